//! How an agent program is told of `orch mcp`, the verbs as tools.

use std::{ffi::OsStr, path::Path};

use serde_json::{Map, Value, json};

/// The server's name; its tools are called by it.
pub(in crate::drivers) const NAME: &str = "orch";

/// The command of the server, and who it will speak for.
///
/// Programs start it with an environment of their own making, so what says who is calling is named. None of it is a
/// secret from this user's own processes; it stays out of arguments all the same, which every user can read.
#[derive(Debug)]
pub struct Mcp<'a> {
    /// `orch`.
    pub program: &'a Path,
    /// Variables that say who is calling.
    pub env: Vec<(&'a str, String)>,
}

impl Mcp<'_> {
    /// Our program, as text.
    pub(in crate::drivers) fn command(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    /// The variables as an object.
    pub(in crate::drivers) fn variables(&self) -> Map<String, Value> {
        self.env.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
    }

    /// `{"mcpServers": {"orch": {...}}}`, with what a program wants beside: how several name their servers.
    pub(in crate::drivers) fn servers(&self, beside: Value) -> Vec<u8> {
        let mut server = json!({ "command": self.command(), "args": ["mcp"], "env": self.variables() });
        if let (Some(server), Value::Object(beside)) = (server.as_object_mut(), beside) {
            server.extend(beside);
        }
        json!({ "mcpServers": { NAME: server } }).to_string().into_bytes()
    }
}

/// The file in a folder, as an argument.
pub(in crate::drivers) fn file(dir: &Path, name: &str) -> (std::path::PathBuf, std::ffi::OsString) {
    let path = dir.join(name);
    let argument = OsStr::new(&path).to_owned();
    (path, argument)
}
