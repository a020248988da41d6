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

/// Names the folder with the programs.
const PROGRAMS: &str = "ORCH_TEST_AGENTS";
/// A program of 200 MB that starts on a machine that does three other things may take this long to be done.
pub const RETRY_FOR: Duration = Duration::from_secs(60);
/// Names how many seconds all tests together may take. What has not begun by then does not begin: so the run is bounded,
/// and nothing is killed in the middle.
const TIME_FOR_ALL: &str = "ORCH_AGENTS_SECONDS";

/// Keys that are none. Only their form is right.
const CLAUDE_KEY: &str = "sk-ant-none-0000000000000000000000000000";
const CODEX_KEY: &str = "sk-none-00000000000000000000000000000000";

/// What a role of claude's is in most of these tests.
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
    /// With these tables and rules, started. `None`, and says so, where one of the programs is not there.
    pub fn started(programs: &[&str], tables: &str, rules: Vec<Rule>) -> Option<Fleet> {
        Fleet::with_master(programs, "console", tables, rules)
    }

    /// The same with a master of this driver.
    pub fn with_master(programs: &[&str], master: &'static str, tables: &str, rules: Vec<Rule>) -> Option<Fleet> {
        let fleet = Fleet::prepared(programs, || World::builder().master_driver(master).tables(tables).build(), rules)?;
        fleet.world.start();
        Some(fleet)
    }

    /// A world with its programs and their settings, not started yet.
    pub fn prepared(programs: &[&str], world: impl FnOnce() -> World, rules: Vec<Rule>) -> Option<Fleet> {
        let installed = installed(programs)?;
        within_the_time();
        let model = Server::start(rules);
        let mut world = world();
        for (name, path) in programs.iter().zip(installed) {
            let bin = world.file("bin");
            fs::create_dir_all(&bin).expect("bin");
            std::os::unix::fs::symlink(path, bin.join(name)).expect("a link to the program");
        }
        world.env.insert("ANTHROPIC_BASE_URL", model.url());
        world.env.insert("ANTHROPIC_API_KEY", CLAUDE_KEY.to_owned());
        world.env.insert("OPENAI_API_KEY", CODEX_KEY.to_owned());
        // qwen's and aider's; codex and opencode are told by their configuration.
        world.env.insert("OPENAI_BASE_URL", format!("{}/v1", model.url()));
        world.env.insert("OPENAI_API_BASE", format!("{}/v1", model.url()));
        world.env.insert("GEMINI_API_KEY", "none-0000000000000000000000000000000000".to_owned());
        world.env.insert("GOOGLE_GEMINI_BASE_URL", model.url());
        // A service of one's own, and no other word to anybody.
        world.env.insert("COPILOT_PROVIDER_BASE_URL", format!("{}/v1", model.url()));
        world.env.insert("COPILOT_PROVIDER_API_KEY", CODEX_KEY.to_owned());
        world.env.insert("COPILOT_OFFLINE", "true".to_owned());
        // What it may do in a folder that nobody has said to trust is little.
        world.env.insert("GEMINI_CLI_TRUST_WORKSPACE", "true".to_owned());
        // claude refuses some of its modes to root where nobody says that this is a sandbox.
        world.env.insert("IS_SANDBOX", "1".to_owned());
        // Sockets and scratch files of theirs, which otherwise stay in /tmp.
        let temporary = world.file("tmp");
        fs::create_dir(&temporary).expect("tmp");
        world.env.insert("TMPDIR", temporary.to_str().expect("a path").to_owned());
        world.env.insert("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned());
        let fleet = Fleet { world, model };
        fleet.settle_claude();
        fleet.settle_codex();
        fleet.settle_opencode();
        fleet.settle_gemini();
        Some(fleet)
    }

    /// What a person has answered once, at claude's first start on a terminal.
    fn settle_claude(&self) {
        let settled = serde_json::json!({
            "hasCompletedOnboarding": true, "theme": "dark",
            "customApiKeyResponses": {"approved": [&CLAUDE_KEY[CLAUDE_KEY.len() - 20..]], "rejected": []},
            "hasSeenAutoDefaultNotice": true,
            "projects": {self.world.project.to_str().expect("a path"): {"hasTrustDialogAccepted": true}},
        });
        fs::write(self.world.path.join(".claude.json"), settled.to_string()).expect(".claude.json");
    }

    /// Where codex finds its models: it has no variable for that.
    fn settle_codex(&self) {
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

    /// The same for opencode, as a provider of its own.
    fn settle_opencode(&self) {
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

    /// And for gemini: with a service of another address it does not take its key unless it is told to.
    fn settle_gemini(&self) {
        let dir = self.world.path.join(".gemini");
        fs::create_dir(&dir).expect(".gemini");
        let settings = serde_json::json!({"security": {"auth": {"selectedType": "gemini-api-key"}}});
        fs::write(dir.join("settings.json"), settings.to_string()).expect("settings.json");
    }

    /// Waits until a task is in this state, and shows it.
    #[track_caller]
    pub fn wait_for(&self, task: &str, state: &str) -> Value {
        let mut shown = Value::Null;
        let what = format!("task {task} is {state}");
        self.wait_until(&what, || {
            shown = self.world.show(task);
            let now = shown["state"].as_str().unwrap_or_default();
            let is_over = ["succeeded", "failed", "cancelled", "held"].contains(&now);
            assert!(now == state || !is_over, "task {task} should become {state}: {shown:#}\n{}", self.told());
            now == state
        });
        shown
    }

    /// Waits until something holds.
    #[track_caller]
    pub fn wait_until(&self, what: &str, condition: impl FnMut() -> bool) {
        self.world.wait_until_within(RETRY_FOR, what, condition);
    }

    /// Delegates a task, and waits until it has succeeded.
    #[track_caller]
    pub fn done(&self, role: &str, text: &str) -> Value {
        let task = self.world.delegate(role, text);
        self.wait_for(&task, "succeeded")
    }

    /// All processes of a program in this world.
    pub fn processes_of(&self, program: &str) -> Vec<Process> {
        let has_name = |p: &Process| {
            let first = p.command.split(' ').next().unwrap_or_default();
            Path::new(first).file_name().is_some_and(|name| name == program)
        };
        self.world.processes().into_iter().filter(has_name).collect()
    }

    /// What the programs asked and printed, for a test that has failed.
    fn told(&self) -> String {
        let logs = self.world.orch(&["logs", "-n", "60"]).stdout;
        let asked: Vec<String> = self.model.requests().iter().map(|r| format!("{} {}", r.method, r.path)).collect();
        format!("── logs\n{logs}\n── requests\n{}", asked.join("\n"))
    }

    /// Stops orch; nothing is left of it, nor of the programs.
    #[track_caller]
    pub fn stop(self) {
        self.world.stop_and_check_nothing_left();
    }
}

/// The paths of these programs, if all are there.
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
    let limit = Duration::from_secs(limit.parse().unwrap_or_else(|_| panic!("{TIME_FOR_ALL}={limit} is no number")));
    let began = BEGAN.get_or_init(Instant::now);
    assert!(began.elapsed() < limit, "not begun: the tests before it took more than {limit:?} ({TIME_FOR_ALL})");
}
