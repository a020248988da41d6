//! A world whose agents are real programs, and the model service that they call.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    common::{Process, World},
    model_server::{Rule, Server},
};

/// The environment variable that names the folder with the programs.
const PROGRAMS: &str = "ORCH_TEST_AGENTS";
/// The time limit of every wait: a program of 200 MB starts slowly on a loaded machine.
pub const RETRY_FOR: Duration = Duration::from_secs(60);
/// The environment variable that limits the duration of all tests together, in seconds. A test that has not started by
/// then fails without starting, so the run is bounded and no test is killed in the middle.
const TIME_FOR_ALL: &str = "ORCH_AGENTS_SECONDS";

/// Dummy keys of the right form.
const CLAUDE_KEY: &str = "sk-ant-none-0000000000000000000000000000";
const CODEX_KEY: &str = "sk-none-00000000000000000000000000000000";

/// The claude role of most of these tests.
pub const SONNET: &str = "
[roles.sonnet]
driver = \"claude\"
model = \"sonnet\"
max = 2";

pub struct Fleet {
    pub world: World,
    pub model: Server,
}

impl Fleet {
    /// Starts a world with these tables and rules. Returns `None` and prints a notice if a program is not installed.
    pub fn started(programs: &[&str], tables: &str, rules: Vec<Rule>) -> Option<Fleet> {
        Fleet::with_master(programs, "console", tables, rules)
    }

    /// Starts a world like [`Fleet::started`], with a master of this driver.
    pub fn with_master(programs: &[&str], master: &'static str, tables: &str, rules: Vec<Rule>) -> Option<Fleet> {
        let world = |_: &Server| World::builder().master_driver(master).tables(tables).build();
        let fleet = Fleet::prepared(programs, world, rules)?;
        fleet.world.start();
        Some(fleet)
    }

    /// Returns a world with its programs and their settings that is not started yet.
    pub fn prepared(programs: &[&str], world: impl FnOnce(&Server) -> World, rules: Vec<Rule>) -> Option<Fleet> {
        let installed = installed(programs)?;
        within_the_time();
        let model = Server::start(rules);
        let mut world = world(&model);
        for (name, path) in programs.iter().zip(installed) {
            let bin = world.file("bin");
            fs::create_dir_all(&bin).expect("bin");
            std::os::unix::fs::symlink(path, bin.join(name)).expect("a link to the program");
        }
        world.env.insert("ANTHROPIC_BASE_URL", model.url());
        world.env.insert("ANTHROPIC_API_KEY", CLAUDE_KEY.to_owned());
        world.env.insert("OPENAI_API_KEY", CODEX_KEY.to_owned());
        // For qwen and aider; codex and opencode read the URL from their configuration.
        world.env.insert("OPENAI_BASE_URL", format!("{}/v1", model.url()));
        world.env.insert("OPENAI_API_BASE", format!("{}/v1", model.url()));
        world.env.insert("GEMINI_API_KEY", "none-0000000000000000000000000000000000".to_owned());
        world.env.insert("GOOGLE_GEMINI_BASE_URL", model.url());
        // For copilot: a custom provider, and no other network access.
        world.env.insert("COPILOT_PROVIDER_BASE_URL", format!("{}/v1", model.url()));
        world.env.insert("COPILOT_PROVIDER_API_KEY", CODEX_KEY.to_owned());
        world.env.insert("COPILOT_OFFLINE", "true".to_owned());
        // gemini restricts itself in a folder that is not trusted.
        world.env.insert("GEMINI_CLI_TRUST_WORKSPACE", "true".to_owned());
        // claude refuses some modes to root unless this variable declares a sandbox.
        world.env.insert("IS_SANDBOX", "1".to_owned());
        // The programs would leave sockets and scratch files in /tmp.
        let temporary = world.file("tmp");
        fs::create_dir(&temporary).expect("tmp");
        world.env.insert("TMPDIR", temporary.to_str().expect("a path").to_owned());
        world.env.insert("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned());
        let fleet = Fleet { world, model };
        fleet.configure_claude();
        fleet.configure_codex();
        fleet.configure_opencode();
        fleet.configure_gemini();
        fleet.world.give_to_user();
        Some(fleet)
    }

    /// Writes the settings that claude asks for at its first start on a terminal.
    fn configure_claude(&self) {
        let settings = serde_json::json!({
            "hasCompletedOnboarding": true, "theme": "dark",
            "customApiKeyResponses": {"approved": [&CLAUDE_KEY[CLAUDE_KEY.len() - 20..]], "rejected": []},
            "hasSeenAutoDefaultNotice": true,
            "projects": {self.world.project.to_str().expect("a path"): {"hasTrustDialogAccepted": true}},
        });
        fs::write(self.world.path.join(".claude.json"), settings.to_string()).expect(".claude.json");
    }

    /// Writes the configuration with codex's model provider, for which codex has no environment variable.
    fn configure_codex(&self) {
        let dir = self.world.path.join(".codex");
        fs::create_dir(&dir).expect(".codex");
        let config = format!(
            "model = \"gpt-5\"\nmodel_provider = \"scripted\"\n[model_providers.scripted]\nname = \"scripted\"\n\
             base_url = \"{}/v1\"\nenv_key = \"OPENAI_API_KEY\"\nwire_api = \"responses\"\n\
             request_max_retries = 0\nstream_max_retries = 0\n[projects.{:?}]\ntrust_level = \"trusted\"\n",
            self.model.url(),
            self.world.project
        );
        fs::write(dir.join("config.toml"), config).expect("config.toml");
    }

    /// Writes the configuration with opencode's model provider.
    fn configure_opencode(&self) {
        let dir = self.world.path.join(".config/opencode");
        fs::create_dir_all(&dir).expect(".config/opencode");
        let provider = serde_json::json!({
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": format!("{}/v1", self.model.url()), "apiKey": CODEX_KEY},
            "models": {"model-1": {"name": "model-1", "tool_call": true}},
        });
        let config = serde_json::json!({"autoupdate": false, "share": "disabled", "provider": {"scripted": provider}});
        fs::write(dir.join("opencode.json"), config.to_string()).expect("opencode.json");
    }

    /// Writes the setting that makes gemini use its key with a custom service address.
    fn configure_gemini(&self) {
        let dir = self.world.path.join(".gemini");
        fs::create_dir(&dir).expect(".gemini");
        let settings = serde_json::json!({"security": {"auth": {"selectedType": "gemini-api-key"}}});
        fs::write(dir.join("settings.json"), settings.to_string()).expect("settings.json");
    }

    /// Waits until a task is in this state, and returns it.
    #[track_caller]
    pub fn wait_for(&self, task: &str, state: &str) -> Value {
        let mut shown = Value::Null;
        let what = format!("task {task} is {state}");
        self.wait_until(&what, || {
            shown = self.world.show(task);
            let now = shown["state"].as_str().unwrap_or_default();
            let is_over = ["succeeded", "failed", "cancelled", "held"].contains(&now);
            assert!(now == state || !is_over, "task {task} should become {state}: {shown:#}\n{}", self.diagnostics());
            now == state
        });
        shown
    }

    /// Waits until a condition is true.
    #[track_caller]
    pub fn wait_until(&self, what: &str, condition: impl FnMut() -> bool) {
        self.world.wait_until_within(RETRY_FOR, what, condition);
    }

    /// Delegates a task, waits until it has succeeded, and returns it.
    #[track_caller]
    pub fn done(&self, role: &str, text: &str) -> Value {
        let task = self.world.delegate(role, text);
        self.wait_for(&task, "succeeded")
    }

    /// Returns all processes of a program in this world.
    pub fn processes_of(&self, program: &str) -> Vec<Process> {
        let has_name = |p: &Process| {
            let first = p.command.split(' ').next().unwrap_or_default();
            Path::new(first).file_name().is_some_and(|name| name == program)
        };
        self.world.processes().into_iter().filter(has_name).collect()
    }

    /// Returns the programs' requests and output, for the message of a failed test.
    fn diagnostics(&self) -> String {
        let logs = self.world.orch(&["logs", "-n", "60"]).stdout;
        let asked: Vec<String> = self.model.requests().iter().map(|r| format!("{} {}", r.method, r.path)).collect();
        format!("── logs\n{logs}\n── requests\n{}", asked.join("\n"))
    }

    /// Stops orch, and checks that nothing of it or of the programs is left.
    #[track_caller]
    pub fn stop(self) {
        self.world.stop_and_check_nothing_left();
    }
}

/// Returns the paths of these programs if all are installed.
fn installed(programs: &[&str]) -> Option<Vec<PathBuf>> {
    let Some(folder) = std::env::var_os(PROGRAMS).map(PathBuf::from) else {
        eprintln!("skipped: {PROGRAMS} names no folder with {} (scripts/test-agents)", programs.join(" and "));
        return None;
    };
    let find = |name: &&str| {
        let path = folder.join(name).canonicalize().ok();
        if path.is_none() {
            eprintln!("skipped: there is no {name} in {}", folder.display());
        }
        path
    };
    programs.iter().map(find).collect()
}

#[track_caller]
fn within_the_time() {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let Ok(limit) = std::env::var(TIME_FOR_ALL) else { return };
    let limit = Duration::from_secs(limit.parse().unwrap_or_else(|_| panic!("{TIME_FOR_ALL}={limit} is not a number")));
    let began = BEGAN.get_or_init(Instant::now);
    assert!(began.elapsed() < limit, "not started: the tests before it took more than {limit:?} ({TIME_FOR_ALL})");
}
