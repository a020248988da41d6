//! How an agent program is configured to use `orch mcp`, which offers the verbs as tools.

use std::{ffi::OsStr, path::Path};

use serde_json::{Map, Value, json};

/// The server's name, by which programs call its tools.
pub(in crate::drivers) const NAME: &str = "orch";

/// The MCP server: its program, and for which agent it acts.
///
/// Programs start it with an environment of their own, so the variables that identify the caller are listed explicitly. They
/// are no secret to processes of the same user, but stay out of arguments, which every user can read.
#[derive(Debug)]
pub struct Mcp<'a> {
    /// The program `orch`.
    pub program: &'a Path,
    /// The variables that identify the caller.
    pub env: Vec<(&'a str, String)>,
}

impl Mcp<'_> {
    /// Returns the program as text.
    pub(in crate::drivers) fn command(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    /// Returns the variables as an object.
    pub(in crate::drivers) fn variables(&self) -> Map<String, Value> {
        self.env.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
    }

    /// Returns `{"mcpServers": {"orch": {...}}}`, the format of several programs, with further keys of the server.
    pub(in crate::drivers) fn servers(&self, beside: Value) -> Vec<u8> {
        let mut server = json!({ "command": self.command(), "args": ["mcp"], "env": self.variables() });
        if let (Some(server), Value::Object(beside)) = (server.as_object_mut(), beside) {
            server.extend(beside);
        }
        json!({ "mcpServers": { NAME: server } }).to_string().into_bytes()
    }
}

/// Returns the path of a file in a folder, also as an argument.
pub(in crate::drivers) fn file(dir: &Path, name: &str) -> (std::path::PathBuf, std::ffi::OsString) {
    let path = dir.join(name);
    let argument = OsStr::new(&path).to_owned();
    (path, argument)
}
