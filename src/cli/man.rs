//! `orch man`: the manual pages, from the same declarations as the help.

use std::{fs, path::Path};

use clap::Command;
use clap_mangen::Man;
use serde_json::json;

use super::{Session, args, stdio::End};
use crate::error::{Error, Result};

pub(super) fn run(args: &args::Man, session: &mut Session) -> Result<u8, End> {
    let mut pages = pages()?;
    let Some(folder) = &args.folder else {
        session.out.text(&pages.swap_remove(0).1)?;
        return Ok(0);
    };
    write(folder, &pages)?;
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    session.answer(&json!({"folder": folder, "pages": names}), |_, _| {
        format!("wrote {} pages to {}\n", pages.len(), folder.display())
    })?;
    Ok(0)
}

/// Returns every page with its file name: orch.1 first, then one per verb.
fn pages() -> Result<Vec<(String, String)>> {
    let mut command = args::everyday();
    // Passes the options that every verb has on to the verbs, and gives each its full name.
    command.build();
    let verbs = command.get_subcommands().filter(|verb| verb.get_name() != "help");
    std::iter::once(page(&command, "orch".to_owned()))
        .chain(verbs.map(|verb| page(verb, format!("orch-{}", verb.get_name()))))
        .collect()
}

fn page(command: &Command, name: String) -> Result<(String, String)> {
    let mut text = Vec::new();
    let man = Man::new(command.clone()).title(&name).source(format!("orch {}", env!("CARGO_PKG_VERSION")));
    man.render(&mut text).map_err(|e| Error::internal(format!("the page {name} cannot be rendered: {e}")))?;
    let mut text = String::from_utf8_lossy(&text).into_owned();
    text.push_str(if name == "orch" { OF_ORCH } else { OF_A_VERB });
    Ok((format!("{name}.1"), text))
}

/// What the page of orch itself ends with. A test compares the exit codes with the code.
const OF_ORCH: &str = r"
.SH EXIT STATUS
.TP
0
The command did what was asked.
.TP
1
It ended otherwise than asked: a task has failed, a question was denied.
.TP
2
The command line is wrong.
.TP
3
orch is not running, or cannot be reached.
.TP
4
The configuration or the environment is wrong.
.TP
5
The time is over.
.TP
6
Conflict: another supervisor, session or task is in the way.
.TP
70
A bug in orch.
.SH ENVIRONMENT
.TP
ORCH_CONFIG
The project's sessions.toml, or its folder.
.TP
ORCH_HOME
The state folder.
.TP
ORCH_LOG
What orch logs about itself to standard error, such as debug.
.SH FILES
.TP
sessions.toml
The configuration, in the project's folder or in one above it.
.TP
~/.local/state/orch/NAMESPACE
The state folder, unless ORCH_HOME or XDG_STATE_HOME say otherwise.
.SH SEE ALSO
tmux(1), redis-server(1)
";

const OF_A_VERB: &str = "
.SH SEE ALSO
orch(1)
";

fn write(folder: &Path, pages: &[(String, String)]) -> Result<()> {
    let failed = |path: &Path, e: std::io::Error| {
        Error::config(format!("{} cannot be written: {e}", path.display())).hint("name a folder that you may write to")
    };
    fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    for (name, text) in pages {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|e| failed(&path, e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn there_is_a_page_for_orch_and_for_each_visible_verb() {
        let pages = pages().unwrap();
        assert_eq!(pages[0].0, "orch.1");
        for (_, verbs) in args::groups() {
            for verb in *verbs {
                let (_, text) = pages.iter().find(|(name, _)| *name == format!("orch-{verb}.1")).expect(verb);
                assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{verb}: {text}");
            }
        }
        assert!(!pages.iter().any(|(name, _)| name.contains("run-agent") || name.contains("hook")));
    }

    #[test]
    fn the_page_of_orch_names_every_exit_code() {
        use Kind::*;
        for kind in [Failed, Usage, NotRunning, Configuration, TimedOut, Conflict, Internal] {
            assert!(OF_ORCH.contains(&format!("\n{}\n", kind.exit_code())), "{kind:?}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_of_the_environment() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = write(file.path(), &pages().unwrap()).unwrap_err();
        assert_eq!(error.kind, Kind::Configuration);
    }
}
