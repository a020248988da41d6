//! How each program is started.

use super::*;
use crate::model::tool::Tool;

pub(super) fn role(kind: DriverKind, agent: AgentOptions) -> Role {
    let env = Env { cwd: "/tmp".into(), state_home: Some("/tmp".into()), ..Env::default() };
    let role = Config::load_with(&env, None).unwrap().roles.remove("sonnet").unwrap();
    Role { driver: kind, model: Some("m1".into()), instructions: Some("Be brief.".into()), agent, ..role }
}

pub(super) fn start(role: &Role, resume: Option<&str>) -> Result<(String, Start), Refusal> {
    let mcp = Mcp { program: Path::new("/h/bin/orch"), env: vec![("ORCH_TASK", "t-1".into())] };
    let (dir, prompt_file) = (Path::new("/r"), Path::new("/r/prompt"));
    let job =
        Job { role: role.settings(), prompt: "do it", prompt_file, dir, mcp: &mcp, new_session: "new-id", resume };
    let start = of(role.driver).unwrap().start(&job)?;
    let words: Vec<&str> = start.args.iter().map(|word| word.to_str().unwrap()).collect();
    Ok((words.join(" "), start))
}

/// The arguments by which codex gets hooks; their hashes are checked where they are computed.
fn codex_hooks(events: &[&str]) -> String {
    let hook = r#"=[{hooks=[{type="command",command="'/h/bin/orch' hook codex",timeout=10}]}]"#;
    let each = events.iter().map(|event| format!(" -c hooks.{event}{hook}"));
    let hashes = [
        "pre_tool_use:0:0\"={trusted_hash=\"sha256:c058220a387d9fefc73d71e0344092fdbea75edb1b8be993226e0c51e8992785\"}",
        "post_tool_use:0:0\"={trusted_hash=\"sha256:e90a7ac3ece03c18f8bc53450020ce94653fc80ea313c88929385e72eadb4c39\"}",
        "stop:0:0\"={trusted_hash=\"sha256:be63f3942296a130c29f477a554967674077f60e6193b910a0cf588aea5361ec\"}",
    ];
    let state = hashes.map(|hash| format!("\"/<session-flags>/config.toml:{hash}")).join(",");
    each.collect::<String>() + &format!(" -c hooks.state={{{state}}}")
}

#[test]
fn each_is_started_without_a_screen() {
    use DriverKind::*;
    let free = |before: &str, after: &str| {
        let tools = Tool::ALL.iter().filter(|tool| tool.is_free());
        tools.map(|tool| format!("{before}{tool}{after}")).collect::<Vec<_>>().join(" ")
    };
    let codex = "exec --json --skip-git-repo-check -c mcp_servers.orch.command=\"/h/bin/orch\" \
                 -c mcp_servers.orch.args=[\"mcp\"] -c mcp_servers.orch.env_vars=[\"ORCH_TASK\"] -c mcp_servers.orch.tool_timeout_sec=3660 \
                 --model m1 --sandbox workspace-write \
                 -c mcp_servers.orch.default_tools_approval_mode=\"prompt\" "
        .to_owned()
        + &free("-c mcp_servers.orch.tools.", ".approval_mode=\"approve\"")
        + &codex_hooks(&["PreToolUse", "PostToolUse", "Stop"]);
    let claude = "--mcp-config /r/mcp.json --strict-mcp-config --settings /r/settings.json --model m1 \
                  --append-system-prompt-file /r/instructions --allowedTools "
        .to_owned()
        + &free("mcp__orch__", "");
    let copilot = "--additional-mcp-config @/r/mcp.json --model m1 --output-format json --stream off --no-ask-user \
                   "
    .to_owned()
        + &free("--allow-tool=orch(", ")");
    let flags = "-p --output-format stream-json --verbose";
    for (kind, resume, words, on_stdin, file) in [
        (Claude, None, format!("{flags} --session-id new-id {claude}"), true, Some("mcp.json")),
        (Claude, Some("old"), format!("{flags} --resume old {claude}"), true, Some("mcp.json")),
        (Codex, None, format!("{codex} -"), true, None),
        (Codex, Some("old"), format!("{codex} resume old -"), true, None),
        (Gemini, Some("old"), "-o stream-json -m m1 --resume old".into(), true, None),
        (Qwen, None, "-o stream-json -m m1".into(), true, Some("settings.json")),
        (Opencode, None, "run --format json --model m1 --title=do it".into(), true, Some("opencode.json")),
        (Opencode, Some("old"), "run --format json --model m1 --session old".into(), true, Some("opencode.json")),
        (
            Aider,
            None,
            "--yes-always --no-pretty --no-check-update --no-fancy-input --no-show-model-warnings \
             --no-show-release-notes --no-detect-urls --model m1 --message-file /r/prompt"
                .into(),
            false,
            None,
        ),
        (Copilot, Some("old"), format!("{copilot} --resume=old"), true, Some("mcp.json")),
        (Copilot, None, format!("{copilot} --session-id=new-id"), true, Some("mcp.json")),
    ] {
        let (said, start) = start(&role(kind, AgentOptions::default()), resume).unwrap();
        assert_eq!((said, start.prompt_on_stdin), (words, on_stdin), "{kind}");
        assert_eq!(start.program, kind.program().unwrap());
        let config = start.files.iter().find(|(path, _)| path.extension().is_some_and(|e| e == "json"));
        assert_eq!(config.map(|(path, _)| path.clone()), file.map(|name| Path::new("/r").join(name)), "{kind}");
        let of_user = start.settings.as_ref().map(|settings| (settings.file, &settings.with));
        assert_eq!(of_user.map(|(file, _)| file), (kind == Gemini).then_some(".gemini/settings.json"), "{kind}");
        for bytes in config.map(|(_, bytes)| bytes).into_iter().chain(of_user.map(|(_, with)| with)) {
            let value: Value = serde_json::from_slice(bytes).unwrap();
            let shown = value.to_string();
            assert!(shown.contains("/h/bin/orch") && shown.contains("\"ORCH_TASK\":\"t-1\""), "{shown}");
        }
        // A program without a place for instructions hears them with its first prompt, and only then.
        let prompt = start.files.iter().find(|(path, _)| path.ends_with("prompt"));
        let instructed = resume.is_none() && matches!(kind, Codex | Qwen | Opencode | Aider | Copilot);
        assert_eq!(prompt.map(|(_, text)| text.as_slice()), instructed.then_some(&b"Be brief.\n\ndo it"[..]), "{kind}");
    }
}

/// What a program may do without asking, by all that it is started with.
fn started_with(kind: DriverKind, options: AgentOptions) -> String {
    let (words, start) = start(&role(kind, options), None).unwrap();
    let files = start.files.iter().map(|(_, bytes)| bytes).chain(start.settings.as_ref().map(|ours| &ours.with));
    let files = files.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    files.fold(words, |all, file| format!("{all}\n{file}"))
}

#[test]
fn each_may_use_the_free_tools_of_orch_without_asking_and_no_others() {
    use DriverKind::*;
    let granted = |kind: DriverKind, all: &str, tool: Tool| match kind {
        Claude => all.contains(&format!("mcp__orch__{tool}")),
        Codex => all.contains(&format!("tools.{tool}.approval_mode=\"approve\"")),
        Gemini | Qwen => all.contains(&format!("\"{tool}\"")),
        Opencode => !all.contains(&format!("\"orch_{tool}\":\"ask\"")),
        Copilot => all.contains(&format!("--allow-tool=orch({tool})")),
        // It knows no tools of others.
        _ => tool.is_free(),
    };
    for kind in DriverKind::agents() {
        let all = started_with(kind, AgentOptions::default());
        for tool in Tool::ALL {
            assert_eq!(granted(kind, &all, *tool), tool.is_free(), "{kind}: {tool}\n{all}");
        }
        for everything in ["mcp__orch ", "mcp__orch\"", "--allow-tool=orch ", "approval_mode=\"auto\""] {
            assert!(!all.contains(everything), "{kind}: {everything}\n{all}");
        }
    }
    let one_more = AgentOptions { allowed_tools: vec!["mcp_orch_send_message".into()], ..AgentOptions::default() };
    let all = started_with(Gemini, one_more);
    assert!(all.contains("\"send_message\"") && !all.contains("\"kill_all\""), "{all}");
}

#[test]
fn a_program_on_a_terminal_asks_its_user_before_it_reaches_others() {
    let settings = |allowed: &[&str]| {
        let allowed: Vec<String> = allowed.iter().map(|tool| (*tool).to_owned()).collect();
        crate::drivers::common::hook_json::permissions(&allowed)
    };
    let asked = |allowed: &[&str]| settings(allowed)["ask"].to_string();
    for tool in Tool::ALL {
        let named = format!("mcp__orch__{tool}");
        assert_eq!(asked(&[]).contains(&named), !tool.is_free(), "{tool}");
    }
    assert!(!asked(&["mcp__orch__cancel_task"]).contains("cancel_task"));
    assert_eq!(asked(&["mcp__orch"]), "[]", "the whole server is allowed by its role");
}

#[test]
fn what_a_role_says_of_its_program_is_kept_to_or_refused() {
    let bounds = AgentOptions { max_turns: Some(7), max_cost_usd: Some(1.5), ..AgentOptions::default() };
    let (words, _) = start(&role(DriverKind::Claude, bounds.clone()), None).unwrap();
    assert!(words.contains("--max-turns 7 --max-budget-usd 1.5"), "{words}");
    for kind in [DriverKind::Codex, DriverKind::Aider, DriverKind::Copilot] {
        let refused = start(&role(kind, bounds.clone()), None).unwrap_err();
        assert!(refused.0.contains("max_turns") && refused.0.contains(kind.as_str()), "{refused:?}");
    }
    let tools = AgentOptions {
        allowed_tools: vec!["Edit".into(), "Bash(npm test:*)".into()],
        permission_mode: Some("acceptEdits".into()),
        args: vec!["--add-dir".into(), "x".into()],
        ..AgentOptions::default()
    };
    let (words, _) = start(&role(DriverKind::Claude, tools), None).unwrap();
    assert!(words.contains("--permission-mode acceptEdits --add-dir x --allowedTools mcp__orch__"), "{words}");
    assert!(words.ends_with("mcp__orch__list_locks Edit Bash(npm test:*)"), "{words}");
    let mode = |mode: &str| AgentOptions { permission_mode: Some(mode.into()), ..AgentOptions::default() };
    let (words, _) = start(&role(DriverKind::Codex, mode("bypass")), None).unwrap();
    assert!(words.contains("--dangerously-bypass-approvals-and-sandbox"), "{words}");
    let (words, _) = start(&role(DriverKind::Codex, mode("workspace-write")), None).unwrap();
    assert!(words.contains("--sandbox workspace-write"), "{words}");
}
