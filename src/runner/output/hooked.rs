//! What a program without a screen reports to its hooks, and not in its stream.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use crate::{
    drivers::{Hook, Noted},
    home::{
        Home,
        files::{self, For},
    },
};

/// Most bytes that are read of the file.
const MOST: u64 = 16 << 20;

/// The file of the hooks of one attempt, as far as it was read.
#[derive(Debug)]
pub(super) struct Hooked {
    path: PathBuf,
    /// `None`: no hook has run yet.
    file: Option<File>,
    /// Bytes that may still be read.
    left: u64,
    /// The beginning of an incomplete line.
    line: Vec<u8>,
}

impl Hooked {
    /// The hooks of the attempt with this folder.
    pub fn of(dir: &Path) -> Hooked {
        Hooked { path: Home::hooks(dir), file: None, left: MOST, line: Vec::new() }
    }

    /// Returns the calls of hooks since the last time, the oldest first.
    pub fn next(&mut self) -> Vec<Hook> {
        if self.file.is_none() {
            self.file = files::open(&self.path, For::Reading).ok();
        }
        let Some(file) = &self.file else { return Vec::new() };
        let mut read = Vec::new();
        // What cannot be read is not shown; the attempt continues.
        let _ = file.take(self.left).read_to_end(&mut read);
        self.left -= read.len() as u64;
        self.line.append(&mut read);
        let whole = self.line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let rest = self.line.split_off(whole);
        let lines = std::mem::replace(&mut self.line, rest);
        let noted = lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Noted>(line).ok());
        noted.map(|noted| noted.hook).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    #[test]
    fn each_call_is_returned_once_and_none_before_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let hook = |said: &str| Hook::ToolResult { ok: true, summary: said.into() };
        let line = |said: &str| Noted::line(Timestamp(5), &hook(said));
        let mut hooked = Hooked::of(dir.path());
        assert!(hooked.next().is_empty(), "no hook has run");
        let (first, second) = (line("a"), line("b"));
        let (begin, end) = second.split_at(20);
        let write = |text: &str| {
            use std::io::Write;
            let mut file = files::open(&Home::hooks(dir.path()), For::Appending).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        write(&format!("{first}{begin}"));
        assert_eq!(hooked.next(), [hook("a")]);
        assert!(hooked.next().is_empty());
        write(&format!("{end}no hook\n"));
        assert_eq!(hooked.next(), [hook("b")]);
        assert!(hooked.next().is_empty());
    }
}
