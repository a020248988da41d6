//! What a right file means: defaults, overriding, paths; the reference and the starters.

use std::{path::Path, time::Duration};

use super::{Project, meant};
use crate::{
    config::{AgentOptions, DriverKind, Mode, REFERENCE, ResourceLimits, SupervisorConfig, Work, starter},
    drivers::Key,
    error::Kind,
    model::collision::CollisionRule,
};

#[test]
fn the_reference_says_the_same_as_no_file() {
    let project = Project::empty();
    let mut defaults = project.load().unwrap();
    project.write("sessions.toml", REFERENCE);
    let reference = project.load().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(reference.fingerprint(), defaults.fingerprint(), "a supervisor goes by the same");
    defaults.file = Some(project.root.join("sessions.toml"));
    assert_eq!(reference, defaults);
}

#[test]
fn what_a_supervisor_goes_by_is_the_same_by_whatever_path_its_folder_is_named() {
    let project = Project::with("[roles.a]\ndriver = \"shell\"\nmax = 2");
    let mut one = project.load().unwrap();
    let before = one.fingerprint();
    one.home = one.home.join(".").join("");
    assert_eq!(one.fingerprint(), before);
    one.roles.get_mut("a").unwrap().max = 3;
    assert_ne!(one.fingerprint(), before);
}

#[test]
fn the_reference_shows_every_key() {
    // An unknown key makes each kind of table tell the keys it knows.
    let wrong = "zzzzzzzz=1\n[redis]\nzzzzzzzz=1\n[tmux]\nzzzzzzzz=1\n[supervisor]\nzzzzzzzz=1\n[retry]\nzzzzzzzz=1\n\
                 [agents]\nzzzzzzzz=1\n[master]\nzzzzzzzz=1\n[roles.a]\nzzzzzzzz=1\n[roles.a.retry]\nzzzzzzzz=1";
    let message = super::error(wrong).message;
    let keys: Vec<&str> =
        message.lines().flat_map(|line| line.split_once("the keys here are ").unwrap().1.split(", ")).collect();
    assert!(keys.len() > 35, "{message}");
    for key in keys {
        let shown = REFERENCE.lines().any(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("[{key}"))
                || line.split([' ', '=']).next() == Some(key)
                || line.starts_with('[') && line.ends_with(&format!(".{key}]"))
        });
        assert!(shown, "{key}");
    }
}

#[test]
fn what_the_reference_comments_out_is_valid_too() {
    let is_key = |line: &str| {
        line.starts_with('[')
            || line
                .split_once(" = ")
                .is_some_and(|(key, _)| key.trim().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    };
    let all: String = REFERENCE
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line))
        // A role has one of two keys.
        .filter(|line| !line.starts_with("instructions_file") && !line.starts_with("prompt_template"))
        .map(|line| format!("{line}\n"))
        .collect();
    let config = meant(&all);
    assert_eq!(config.namespace, "shop");
    assert_eq!(config.tmux.socket.as_deref(), Some("orch"));
    assert_eq!(config.roles["sonnet"].retry.retries, 1);
    assert_eq!(config.schedules["nightly"].when(), "30 2 * * 1-5 Europe/Berlin");
    assert!(
        matches!(&config.schedules["weekly"].work, Work::Plan { file, .. } if file.ends_with("plans/release.toml"))
    );
    assert_eq!(config.roles["tool"].command, ["./agent.py", "--fast"]);
    assert!(config.redis.url.is_some() && config.roles["sonnet"].delegates_to.is_some());
}

#[test]
fn a_sandbox_and_its_network_are_read() {
    use crate::{config::Sandbox, model::network::Network};
    let config = meant(
        "[roles.a]\nsandbox = \"bwrap\"\nnetwork = [\"api.example.com:443\"]\n\
         [roles.b]\nsandbox = \"bwrap\"\nnetwork = []\n[roles.c]\nsandbox = \"none\"\nnetwork = \"all\"",
    );
    let (a, b, c) = (&config.roles["a"], &config.roles["b"], &config.roles["c"]);
    assert_eq!((a.sandbox, a.network.to_string().as_str()), (Sandbox::Bwrap, "api.example.com:443"));
    assert_eq!(b.network, Network::None, "an empty list permits nothing");
    assert_eq!((c.sandbox, &c.network), (Sandbox::None, &Network::All));
}

#[test]
fn a_starter_fits_what_was_found() {
    let others = [DriverKind::Shell, DriverKind::Gemini, DriverKind::Codex];
    let every: Vec<DriverKind> = DriverKind::all().collect();
    for found in [&[][..], &every, &[DriverKind::Shell, DriverKind::Console], &others] {
        let config = meant(&starter(found, None));
        assert_eq!(config.master.session, "opus-master");
        let apart = starter(found, Some("shop-1a2b3c-master"));
        assert_eq!(meant(&apart).master.session, "shop-1a2b3c-master");
        assert_eq!(apart.matches("opus-master").count(), 1, "it is told why, and meant nowhere else: {apart}");
        let default = config.role(&config.master.default_role).unwrap();
        let wanted = DriverKind::agents().find(|kind| found.contains(kind)).unwrap_or(DriverKind::Shell);
        assert_eq!(default.driver, wanted);
        for kind in DriverKind::agents() {
            // The built-in roles are claude's whatever is found.
            let has_role = config.roles.values().any(|role| role.driver == kind);
            assert_eq!(has_role, kind == DriverKind::Claude || found.contains(&kind), "{kind}");
        }
    }
}

#[test]
fn the_roles_of_a_starter_can_change_files() {
    let every: Vec<DriverKind> = DriverKind::all().collect();
    let config = meant(&starter(&every, None));
    for role in config.roles.values().filter(|role| role.driver.program().is_some() && role.name != "opus") {
        assert!(crate::drivers::of(role.driver).unwrap().edits(&role.agent), "{}", role.name);
    }
    let may = |to: &str| config.roles["opus"].delegates_to.as_ref().unwrap().iter().any(|name| name == to);
    assert!(may("sonnet") && may("subagent") && may("codex") && may("gemini"));
    assert!(!may("opencode") && !may("shell"), "they run any command");
}

#[test]
fn builtin_roles_stay_and_are_overridden_key_by_key() {
    let config = meant("[roles.sonnet]\nmax = 9\n[roles.backend]\nmodel = \"opus\"");
    assert_eq!(config.roles.keys().collect::<Vec<_>>(), ["backend", "opus", "shell", "sonnet", "subagent"]);
    let (sonnet, backend) = (&config.roles["sonnet"], &config.roles["backend"]);
    assert_eq!((sonnet.max, sonnet.model.as_deref(), sonnet.driver), (9, Some("sonnet"), DriverKind::Claude));
    assert_eq!((backend.max, backend.driver), (5, DriverKind::Claude));
    assert_eq!(config.roles["shell"].max, 4);
}

#[test]
fn a_driver_that_is_not_written_follows_from_the_rest() {
    let config = meant("[master]\nrole = \"boss\"\n[roles.boss]\n[roles.tool]\ncommand = [\"./agent\"]");
    assert_eq!(config.roles["boss"].driver, DriverKind::Auto);
    assert_eq!(config.roles["tool"].driver, DriverKind::Command);
    assert_eq!(config.master.session, "boss-master");
}

#[test]
fn a_roles_retry_wins_key_by_key() {
    let config = meant("[retry]\nretries = 7\nbase = \"2s\"\n[roles.shell.retry]\nretries = 0\nfactor = 3");
    let retry = &config.roles["shell"].retry;
    assert_eq!((retry.retries, retry.base, retry.factor), (0, Duration::from_secs(2), 3.0));
    assert_eq!((config.roles["sonnet"].retry.retries, config.retry.retries), (7, 7));
}

#[test]
fn paths_start_at_the_projects_folder() {
    let project = Project::with(
        "[roles.a]\ncwd = \".\"\n[roles.b]\ncwd = \"./web\"\n[roles.c]\ncwd = \"~/c\"\n[roles.d]\ncwd = \"/d\"\n\
         [roles.e]\ninstructions_file = \"docs/e.md\"",
    );
    project.write("docs/e.md", "Be brief.");
    project.write("deep/er/x", "");
    let mut env = project.env.clone();
    env.cwd = project.root.join("deep/er");
    let config = super::Config::load_with(&env, None).unwrap();
    let cwd = |role: &str| config.roles[role].cwd.clone();
    assert_eq!((cwd("a"), cwd("b")), (project.root.clone(), project.root.join("web")));
    assert_eq!((cwd("c"), cwd("d")), (project.root.join("home/c"), Path::new("/d").to_owned()));
    assert_eq!(config.roles["e"].instructions.as_deref(), Some("Be brief."));
}

#[test]
fn toml_may_be_written_in_any_of_its_ways() {
    let config = meant(
        "\u{feff}roles.sonnet.max = 0x1_0\r\nretry = { factor = 1, cap = '1h30m' }\r\n[roles.\"shell\"]\r\nmax = 1",
    );
    assert_eq!((config.roles["sonnet"].max, config.roles["shell"].max), (16, 1));
    assert_eq!(config.retry.cap, Duration::from_secs(5400));
}

#[test]
fn a_role_that_is_not_there_comes_with_those_that_are() {
    let error = meant("").role("sonet").unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (Kind::NotFound, "there is no role 'sonet'"));
    assert_eq!(error.hint.as_deref(), Some("did you mean 'sonnet'? the roles are opus, shell, sonnet, subagent"));
}

#[test]
fn how_an_agent_program_is_run_is_there_where_it_is_written() {
    let config = meant(
        "[agents]\norder = [\"codex\", \"claude\"]\n[roles.tool]\nargs = [\"-x\"]\nallowed_tools = [\"Edit\"]\n\
         permission_mode = \"plan\"\nmax_turns = 3\nmax_cost_usd = 0.5\nresume = false\non_denial = \"accept\"\non_collision = \"deny\"\n\
         mode = \"headless\"\nprompt_template = \"Do {text}\"",
    );
    let agent = AgentOptions {
        mode: Mode::Headless,
        args: vec!["-x".into()],
        allowed_tools: vec!["Edit".into()],
        permission_mode: Some("plan".into()),
        max_turns: Some(3),
        max_cost_usd: Some(0.5),
        resume: false,
        hold_denied: false,
        on_collision: Some(CollisionRule::Deny),
        prompt: None,
        prompt_template: Some("Do {text}".into()),
    };
    assert_eq!(agent.written_keys().count(), 5);
    assert_eq!(config.roles["tool"].agent, agent);
    let interactive = meant("[roles.tool]\nmode = \"interactive\"").roles["tool"].agent.clone();
    assert_eq!(interactive, AgentOptions { mode: Mode::Interactive, ..AgentOptions::default() });
    assert_eq!(
        interactive.written_keys().map(Key::as_str).collect::<Vec<_>>(),
        ["mode"],
        "nobody else is to believe in it"
    );
    assert_eq!(config.roles["shell"].agent, AgentOptions::default());
    assert_eq!(config.agents.order, [DriverKind::Codex, DriverKind::Claude]);
}

#[test]
fn limits_are_there_where_they_are_written() {
    let config = meant(
        "[supervisor]\nmin_free_memory = \"0\"\n\
         [roles.tool]\nmemory_max = \"4G\"\ncpu_max = 1.5\nmax_processes = 7\nmax_output = \"512K\"",
    );
    let limits = ResourceLimits { memory: Some(4 << 30), cpu: Some(1.5), processes: Some(7), output: 512 << 10 };
    assert_eq!(config.roles["tool"].limits, limits);
    assert_eq!(config.roles["shell"].limits, ResourceLimits::default());
    assert_eq!(config.supervisor.short_of_memory(Some(0)), None);
    let short = SupervisorConfig { min_free_memory: 256 << 20, ..config.supervisor };
    assert_eq!((short.short_of_memory(None), short.short_of_memory(Some(256 << 20))), (None, None));
    let told = "120 MiB of memory are free, min_free_memory is 256 MiB";
    assert_eq!(short.short_of_memory(Some(120 << 20)).as_deref(), Some(told));
}
