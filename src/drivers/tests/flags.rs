//! What a driver passes, a role's `args` may not replace.

use super::{
    started::{role, start},
    *,
};

/// Given twice these do no harm: they add to ours, or say the same again.
const HARMLESS: [&str; 17] = [
    "--title",
    "--verbose",
    "--mcp-config",
    "--strict-mcp-config",
    "--skip-git-repo-check",
    "--no-daemon",
    "--additional-mcp-config",
    "--no-ask-user",
    "--allow-tool",
    "--allow-all-tools",
    "--yes-always",
    "--no-pretty",
    "--no-check-update",
    "--no-fancy-input",
    "--no-show-model-warnings",
    "--no-show-release-notes",
    "--no-detect-urls",
];

/// Whether sessions.toml may name it in `args`.
fn is_refused(kind: DriverKind, args: &[&str]) -> bool {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sessions.toml"), format!("[roles.x]\ndriver = \"{kind}\"\nargs = {args:?}")).unwrap();
    let env = Env { cwd: dir.path().into(), state_home: Some("/tmp".into()), ..Env::default() };
    Config::load_with(&env, None).is_err()
}

#[test]
fn every_flag_that_orch_passes_is_its_own_or_does_no_harm() {
    for kind in DriverKind::agents() {
        let agent = AgentOptions {
            permission_mode: kind.knows(Key::PermissionMode).then(|| "plan".into()),
            max_turns: kind.knows(Key::MaxTurns).then_some(3),
            max_cost_usd: kind.knows(Key::MaxCostUsd).then_some(1.0),
            allowed_tools: if kind.knows(Key::AllowedTools) { vec!["Edit".into()] } else { Vec::new() },
            ..AgentOptions::default()
        };
        let role = role(kind, agent);
        let mut flags = 0;
        for resume in [None, Some("old")] {
            let (_, start) = start(&role, resume).unwrap();
            let words: Vec<&str> = start.args.iter().map(|word| word.to_str().unwrap()).collect();
            for (n, word) in words.iter().enumerate().filter(|(_, word)| word.len() > 1 && word.starts_with('-')) {
                let name = word.split('=').next().unwrap();
                if HARMLESS.contains(&name) {
                    continue;
                }
                let args = if name == "-c" { vec![*word, words[n + 1]] } else { vec![name] };
                assert!(is_refused(kind, &args), "{kind} {args:?}");
                flags += 1;
            }
        }
        assert!(flags > 2, "{kind}");
    }
    assert!(!is_refused(DriverKind::Claude, &["--add-dir", "x"]));
}

#[test]
fn a_flag_that_would_replace_ours_is_refused_and_one_that_adds_to_it_is_not() {
    use DriverKind::{Aider, Claude, Codex, Command, Copilot, Gemini, Opencode, Qwen};
    let refused = |kind: DriverKind, args: &str| {
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        kind.manifest().unwrap().flags.refusal(&args)
    };
    for (kind, args, words) in [
        (Claude, "--add-dir x --settings mine.json", "must not contain --settings: orch passes its hooks by it"),
        (Claude, "--settings={}", "--settings:"),
        (Claude, "--bare", "--bare: it turns off the hooks"),
        (Claude, "--model=opus", "must not contain --model: use the key model instead"),
        (Claude, "-c", "-c: use the key resume instead"),
        (Codex, "-c hooks.Stop=[]", "-c hooks.Stop: orch passes its own by it"),
        (Codex, "--config=mcp_servers={}", "--config mcp_servers:"),
        (Codex, "-c mcp_servers.orch.command=\"x\"", "-c mcp_servers.orch.command:"),
        (Codex, "--sandbox read-only", "use the key permission_mode"),
        (Gemini, "-o json", "-o: orch passes it itself"),
        (Qwen, "--max-session-turns 5", "use the key max_turns"),
        (Opencode, "--session x", "use the key resume"),
        (Aider, "-m hi", "-m: orch passes the task's text by it"),
        (Copilot, "--resume=x", "use the key resume"),
    ] {
        let said = refused(kind, args).unwrap_or_default();
        assert!(said.starts_with("must not contain ") && said.contains(words), "{kind} {args}: {said}");
    }
    for (kind, args) in [
        (Claude, "--mcp-config mine.json --add-dir --verbose -- --settings x"),
        (Codex, "-c model_provider=x -c mcp_servers.mine.command=x -c features.hooks=true hooks"),
        (Aider, "--no-git"),
        (Command, "--settings x --model y"),
    ] {
        assert_eq!(refused(kind, args), None, "{kind} {args}");
    }
}
