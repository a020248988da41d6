//! The completion scripts in real shells: keys are typed at a prompt, and the line that the shell makes of them is read. A
//! shell that is not installed is skipped.

use std::{fs, process::Command};

use crate::common::World;

const SESSION: &str = "person";

/// A shell at its prompt, with the completions loaded, in a tmux session of the world.
struct Shell<'a> {
    world: &'a World,
}

impl<'a> Shell<'a> {
    /// `None`: this machine has no such shell.
    fn start(world: &'a World, shell: &str) -> Option<Shell<'a>> {
        if Command::new(shell).arg("--version").output().is_err() {
            eprintln!("skipped: there is no {shell}");
            return None;
        }
        let script = world.orch(&["completions", shell]).ok();
        let folder = world.file(&format!("{shell}-home"));
        fs::create_dir_all(folder.join("fish")).expect("a folder");
        let file = |name: &str, text: &str| {
            fs::write(folder.join(name), text).expect("a file");
            folder.join(name).display().to_string()
        };
        let completions = file("completions", &script);
        // `orch` on the PATH is the one of this test. tmux takes the PATH from its client.
        fs::create_dir_all(world.file("bin")).expect("bin");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_orch"), world.file("bin/orch")).expect("orch");
        let words: Vec<String> = match shell {
            "bash" => {
                let rc = file("rc", &format!("PS1='ready> '\nsource {completions}\nbind 'set bell-style none'\n"));
                ["bash", "--noprofile", "--rcfile", &rc, "-i"].map(str::to_owned).into()
            }
            "zsh" => {
                let rc = "autoload -Uz compinit\ncompinit -u -D\nPS1='ready> '\nsource $ZDOTDIR/completions\n\
                          LISTMAX=0\nunsetopt beep\n";
                file(".zshrc", rc);
                ["zsh", "-i"].map(str::to_owned).into()
            }
            _ => {
                let config = format!(
                    "function fish_prompt; echo -n 'ready> '; end\nset fish_greeting\nset fish_autosuggestion_enabled 0\n\
                     source {completions}\n"
                );
                file("fish/config.fish", &config);
                ["fish", "-i"].map(str::to_owned).into()
            }
        };
        let of_home = |name: &str| format!("{name}={}", folder.display());
        let mut start: Vec<String> =
            ["new-session", "-d", "-s", SESSION, "-x", "150", "-y", "50", "-c"].map(str::to_owned).into();
        start.push(world.project.display().to_string());
        let env = [
            format!("ORCH_HOME={}", world.home.display()),
            of_home("ZDOTDIR"),
            of_home("XDG_CONFIG_HOME"),
            of_home("XDG_DATA_HOME"),
            of_home("HOME"),
        ];
        start.extend(env.iter().flat_map(|one| ["-e".to_owned(), one.clone()]));
        start.extend(words);
        world.tmux(&start.iter().map(String::as_str).collect::<Vec<_>>()).ok();
        let shell = Shell { world };
        shell.world.wait_until("the shell shows its prompt", || shell.line() == "ready>");
        Some(shell)
    }

    fn keys(&self, keys: &[&str]) {
        self.world.tmux(&[&["send-keys", "-t", &format!("={SESSION}:")], keys].concat()).ok();
    }

    fn screen(&self) -> String {
        self.world.tmux(&["capture-pane", "-p", "-J", "-t", &format!("={SESSION}:")]).ok()
    }

    /// The line that is being typed: the last one that begins with the prompt.
    fn line(&self) -> String {
        let screen = self.screen();
        screen.lines().rev().find(|line| line.starts_with("ready>")).unwrap_or_default().trim_end().to_owned()
    }

    /// Types the beginning of a line and Tab until the screen shows `expected`; the line is then removed.
    #[track_caller]
    fn completes(&self, begun: &str, expected: &str) {
        self.keys(&["-l", begun]);
        let typed = format!("ready> {begun}");
        self.world.wait_until(&format!("{begun:?} is typed"), || self.line() == typed.trim_end());
        self.keys(&["Tab"]);
        let mut tabs = 1;
        let mut looks = 0;
        self.world.wait_until(&format!("{begun:?} becomes {expected:?}"), || {
            let screen = self.screen();
            // bash lists several candidates at the second Tab.
            looks += 1;
            if looks % 50 == 0 && tabs < 3 && !screen.contains(expected) {
                tabs += 1;
                self.keys(&["Tab"]);
            }
            screen.contains(expected)
        });
        self.keys(&["C-c"]);
        self.world.wait_until("there is an empty line", || self.line() == "ready>");
        self.keys(&["C-l"]);
        self.world.wait_until("the screen is empty", || !self.screen().contains(expected) && self.line() == "ready>");
    }
}

impl Drop for Shell<'_> {
    fn drop(&mut self) {
        self.world.tmux(&["kill-session", "-t", &format!("={SESSION}")]);
    }
}

fn completes_what_the_project_knows(shell: &str) {
    let world = World::started("[roles.sonnet]\ndriver = \"shell\"");
    let id = world.delegate("shell", "echo the-first");
    world.wait_for(&id, "succeeded");
    let Some(shell) = Shell::start(&world, shell) else { return };
    shell.completes("orch dele", "ready> orch delegate");
    shell.completes("orch delegate --role sonn", "--role sonnet");
    shell.completes(&format!("orch show {}", &id[..6]), &format!("ready> orch show {id}"));
    shell.completes("orch show @la", "ready> orch show @last");
    shell.completes("orch tasks --state hel", "--state held");
    shell.completes("orch tasks --state held,faile", "--state held,failed");
    shell.completes("orch tasks --role=sonn", "--role=sonnet");
    // Of several, what they are is shown.
    shell.completes("orch show @", "the-first");
}

#[test]
fn bash_completes_what_the_project_knows() {
    completes_what_the_project_knows("bash");
}

#[test]
fn zsh_completes_what_the_project_knows() {
    completes_what_the_project_knows("zsh");
}

#[test]
fn fish_completes_what_the_project_knows() {
    completes_what_the_project_knows("fish");
}
