//! Templates of plans: `plans/NAME.toml` beside sessions.toml, or `[plans.NAME]` in it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Kind, Result},
    home::files,
    model::suggest::{nearest, printable},
    ops::{Ops, PlanSource},
};

/// Largest template.
const LARGEST: u64 = 64 << 20;

/// What a plan is read from.
pub(super) struct Document {
    pub text: String,
    /// The file of a template.
    pub file: Option<PathBuf>,
    /// Whether the plan is a section of it.
    pub is_section: bool,
}

impl Ops {
    /// The document that a caller has sent, or that of the template that it names.
    ///
    /// # Errors
    /// NotFound: there is no such template. Usage: both are given, or it can't be read.
    pub(super) fn document(&self, source: &PlanSource) -> Result<Document> {
        let Some(name) = &source.template else {
            return Ok(Document { text: source.document.clone(), file: None, is_section: false });
        };
        if !source.document.is_empty() {
            return Err(Error::usage("a plan is either a document or a template").hint("leave out one of them"));
        }
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let file = self.template_folder().join(format!("{name}.toml"));
        if !name.is_empty() && name.bytes().all(is_word) && file.exists() {
            return Ok(Document { text: read(&file)?, file: Some(file), is_section: false });
        }
        let config = self.config.file.clone();
        let text = config.as_deref().map(read).transpose()?.unwrap_or_default();
        let known = sections(&text);
        match known.iter().any(|known| known == name) {
            true => Ok(Document { text, file: config, is_section: true }),
            false => Err(self.no_template(name, known)),
        }
    }

    fn template_folder(&self) -> PathBuf {
        let beside = self.config.file.as_deref().and_then(Path::parent).unwrap_or(&self.config.root);
        beside.join("plans")
    }

    fn no_template(&self, name: &str, mut known: Vec<String>) -> Error {
        let files = fs::read_dir(self.template_folder()).into_iter().flatten().flatten();
        let files = files.filter_map(|file| file.file_name().to_str()?.strip_suffix(".toml").map(str::to_owned));
        known.extend(files);
        known.sort();
        let hint = match (nearest(name, known.iter().map(String::as_str)), known.as_slice()) {
            (Some(near), _) => format!("did you mean {near}?"),
            (None, []) => "write one to plans/NAME.toml beside sessions.toml, or as [plans.NAME] in it".to_owned(),
            (None, some) => format!("the templates are {}", some.join(", ")),
        };
        Error {
            kind: Kind::NotFound,
            ..Error::not_found(format!("there is no template {}", printable(name))).hint(hint)
        }
    }
}

fn read(file: &Path) -> Result<String> {
    files::read_text(file, LARGEST).map_err(|e| Error::usage(format!("{} can't be read: {e}", file.display())))
}

/// The names of the plans in a sessions.toml. Its mistakes are reported elsewhere.
fn sections(text: &str) -> Vec<String> {
    let table: toml::Table = text.parse().unwrap_or_default();
    table.get("plans").and_then(|plans| plans.as_table()).into_iter().flat_map(|plans| plans.keys().cloned()).collect()
}
