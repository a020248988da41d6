//! What a driver passes, a role's `args` may not replace.

use super::{
    started::{role, start},
    *,
};

/// Given twice these do no harm: they add to ours, or say the same again.
const HARMLESS: [&str; 16] = [
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
    for kind in DriverKind::AGENTS {
        let agent = AgentOptions {
            permission_mode: kind.knows("permission_mode").then(|| "plan".into()),
            max_turns: kind.knows("max_turns").then_some(3),
            max_cost_usd: kind.knows("max_cost_usd").then_some(1.0),
            allowed_tools: if kind.knows("allowed_tools") { vec!["Edit".into()] } else { Vec::new() },
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
