//! A driver is added by its file (`src/drivers/toy.rs`), its fixtures (`tests/fixtures/toy`) and one line in the list of
//! drivers. Everything from sessions.toml to the verdict follows from these.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::File,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Output, Stdio},
};

use super::*;
use crate::{
    config::Rights,
    launchers::{self, Invocation, preflight},
};

/// A project's folder with this table of a role `t`, and with a program `toy` that prints a fixture.
struct Project {
    dir: tempfile::TempDir,
    config: crate::error::Result<Config>,
}

impl Project {
    fn new(role: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("sessions.toml"), format!("[roles.t]\n{role}")).unwrap();
        let env = Env { cwd: dir.path().into(), state_home: Some(dir.path().into()), ..Env::default() };
        let config = Config::load_with(&env, None);
        Project { dir, config }
    }

    fn role(&self) -> &Role {
        &self.config.as_ref().unwrap().roles["t"]
    }

    fn path(&self) -> Option<&OsStr> {
        Some(self.dir.path().as_os_str())
    }

    fn install(&self, case: &str, exit_code: i32) {
        let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/toy/{case}.jsonl"));
        let file = self.dir.path().join("toy");
        let seen = "read -r prompt; echo \"$prompt|$*|$TOY_API_KEY\" >&2";
        let script = format!(
            "#!/bin/sh\n{seen}\nwhile read -r line; do echo \"$line\"; done < '{}'\nexit {exit_code}\n",
            fixture.display()
        );
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Starts it as a runner does, and waits for its end.
    fn run(&self, prompt: &str) -> Output {
        let (role, dir) = (self.role(), self.dir.path());
        let prompt_file = dir.join("prompt");
        fs::write(&prompt_file, prompt).unwrap();
        let mcp = Mcp { program: Path::new("/h/bin/orch"), env: Vec::new() };
        let (role_settings, prompt_file) = (role.settings(), prompt_file.as_path());
        let job = Job { role: role_settings, prompt, prompt_file, dir, mcp: &mcp, new_session: "new-id", resume: None };
        let start = of(role.driver).unwrap().start(&job).unwrap();
        let launcher = launchers::of(role, role.driver);
        launcher.prepare(&start.files).unwrap();
        let env = vec![(OsStr::new("PATH"), self.path().unwrap()), (OsStr::new("TOY_API_KEY"), OsStr::new("k"))];
        let mut command = launcher.command(&Invocation::plain(&start, dir, env, role)).unwrap();
        assert!(start.prompt_on_stdin);
        command.stdin(Stdio::from(File::open(prompt_file).unwrap())).output().unwrap()
    }

    fn verdict(&self, output: &Output) -> Verdict {
        let driver = of(self.role().driver).unwrap();
        let stdout = String::from_utf8(output.stdout.clone()).unwrap();
        let (mut transcript, mut conversation) =
            (driver.transcript(&AgentOptions::default()).unwrap(), Conversation::default());
        stdout.lines().flat_map(|line| transcript.line(line)).for_each(|event| conversation.take(&event));
        driver.read(End {
            exit_code: output.status.code(),
            signal: None,
            stdout: &stdout,
            stderr: "",
            file: None,
            conversation: Some(&conversation),
            on_a_terminal: false,
            was_asking: false,
            hold_denied: true,
            now: NOW,
        })
    }
}

#[test]
fn a_driver_is_one_file_its_fixtures_and_one_line() {
    let project = Project::new("driver = \"toy\"\nmax_turns = 3\nmax_task_tokens = 1000");
    let role = project.role();
    assert_eq!((role.driver.as_str(), role.account(role.driver)), ("toy", "toy".to_owned()));

    let missing = preflight::check(role, &[], project.path()).unwrap_err();
    assert_eq!(missing.missing, "its program toy is not on PATH");
    assert!(missing.fix.starts_with("install it: make toy; "), "{missing}");
    project.install("ok", 0);
    assert_eq!(preflight::check(role, &[], project.path()), Ok(()));

    let output = project.run("play");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "play|--turns 3|k\n");
    let verdict = project.verdict(&output);
    assert_eq!((verdict.cause, verdict.text.as_deref()), (Cause::Success, Some("I have played.")), "{verdict:?}");
    assert_eq!(verdict.usage, Some(Usage { input_tokens: 3, output_tokens: 4, cost_usd: 0.0, ..Usage::default() }));

    project.install("login", 1);
    let verdict = project.verdict(&project.run("play"));
    assert_eq!(verdict.cause, Cause::NeedsPerson);
    assert_eq!(verdict.reason, "toy asks to log in: Invalid API key; run toy login, then orch retry");
}

#[test]
fn what_sessions_toml_may_say_follows_from_the_manifest() {
    for (line, complaint) in [
        ("max_cost_usd = 1", "roles.t.max_cost_usd is not supported by this role's driver, \"toy\"; it is by claude"),
        ("args = [\"--turns\", \"3\"]", "roles.t.args must not contain --turns: use the key max_turns instead"),
        ("max_task_cost_usd = 1", "roles.t.max_task_cost_usd is not supported by this role's driver, \"toy\"; "),
    ] {
        let error = Project::new(&format!("driver = \"toy\"\n{line}")).config.unwrap_err();
        assert!(error.message.contains(complaint), "{}", error.message);
    }
}

#[test]
fn its_secrets_and_rights_are_known_and_it_is_offered_to_nobody() {
    let project = Project::new("driver = \"toy\"");
    let role = project.role();
    assert_eq!(role.driver.manifest().unwrap().secrets, ["TOY_API_KEY"]);
    let rights = Rights::of(role, role.driver);
    assert_eq!(rights.commands, Commands::Asks);
    let shell = &project.config.as_ref().unwrap().roles["shell"];
    assert!(rights.beyond(&Rights::of(shell, shell.driver)).is_empty());
    assert!(!DriverKind::all().any(|kind| kind == DriverKind::Toy));
    assert!(!"tyo".parse::<DriverKind>().unwrap_err().contains("toy"));
}

/// Each driver's manifest says what its code does.
#[test]
fn a_manifest_keeps_its_word() {
    let env = BTreeMap::new();
    for kind in DriverKind::all() {
        let Some(driver) = of(kind) else { continue };
        let can = driver.manifest().capabilities;
        let is_agent = driver.program().is_some();
        assert_eq!(driver.transcript(&AgentOptions::default()).is_some() && is_agent, can.conversation, "{kind}");
        let call = r#"{"hook_event_name":"Stop"}"#;
        assert_eq!(driver.hook(call).is_some(), can.hooks, "{kind}");
        let role = started::role(kind, AgentOptions::default());
        let mcp = Mcp { program: Path::new("/h/bin/orch"), env: Vec::new() };
        let job = InteractiveJob {
            role: role.settings(),
            dir: Path::new("/r"),
            mcp: &mcp,
            new_session: "new-id",
            resume: None,
            prompt: None,
        };
        assert_eq!(driver.interactive(&job).is_some(), can.interactive, "{kind}");
        if is_agent {
            let (words, start) = started::start(&role, None).unwrap();
            let settings = start.settings.into_iter().flat_map(|ours| ours.with);
            let files: Vec<u8> = start.files.into_iter().flat_map(|(_, bytes)| bytes).chain(settings).collect();
            let names_mcp = words.contains("mcp") || String::from_utf8_lossy(&files).contains("/h/bin/orch");
            assert_eq!(names_mcp, can.mcp, "{kind}: {words}");
        }
        assert!(driver.status_file(&env, 1).is_none(), "{kind}: it says nothing without an environment");
    }
}
