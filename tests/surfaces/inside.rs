//! Commands that run inside an agent: as the programs that its runner has started.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::common::{Output, World};

/// A master's program that runs whatever is written into the named pipe `do`, one command after the other. For
/// [`World::program`], with the master's driver `claude`.
pub const OBEDIENT: &str = r#"
[ -p "$HOME/do" ] || mkfifo "$HOME/do"
while :; do . "$(cat "$HOME/do")"; done
"#;

static COMMANDS: AtomicU32 = AtomicU32::new(0);

impl World {
    /// A started world whose master's program is [`OBEDIENT`].
    pub fn with_obedient_master(tables: &str) -> World {
        // It is below the table of its role.
        let tables = format!("delegates_to = [\"shell\"]\n{tables}");
        let world = World::builder().master_driver("claude").tables(&tables).build();
        world.program("claude", OBEDIENT);
        world.start();
        world.wait_until("the master's program reads", || world.file("do").exists());
        world
    }

    /// Runs `orch` as the master's program does, with this standard input.
    #[track_caller]
    pub fn as_master(&self, words: &[&str], input: &str) -> Output {
        let quoted = |word: &&str| format!("'{}'", word.replace('\'', r"'\''"));
        let command: Vec<String> = words.iter().map(quoted).collect();
        self.run_in_master(&format!("orch {}", command.join(" ")), input)
    }

    /// Runs a shell command in the master's program.
    #[track_caller]
    pub fn run_in_master(&self, command: &str, input: &str) -> Output {
        let name = format!("command-{}", COMMANDS.fetch_add(1, Ordering::Relaxed));
        let file = |end: &str| -> PathBuf { self.file(&format!("{name}{end}")) };
        fs::write(file(".in"), input).expect("written");
        let [script, out, err, code] = ["", ".out", ".err", ".code"].map(file);
        let text = format!(
            "( {command} ) < '{0}.in' > '{0}.out' 2> '{0}.err'\necho $? > '{0}.new'; mv '{0}.new' '{0}.code'\n",
            script.display()
        );
        fs::write(&script, text).expect("written");
        // Blocks until the program reads.
        fs::write(self.file("do"), script.display().to_string()).expect("the pipe");
        self.wait_until(&format!("the master has run: {command}"), || code.exists());
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let code = read(code).trim().parse().expect("an exit code");
        Output { words: command.to_owned(), code, stdout: read(out), stderr: read(err) }
    }
}
