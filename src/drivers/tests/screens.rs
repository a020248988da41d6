//! Screens of the real programs, each in a file whose name says what must be seen: `permission-write-40.txt` is a question
//! for permission on a terminal of 40 columns. Its first line is the pane's title (`tmux display-message -p '#{pane_title}'`),
//! the rest what `tmux capture-pane -p` gave. A screen that was seen for something else becomes a file here.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{
    drivers::{DriverKind, Prompt, Seen, of},
    model::{text::in_one_line, wait::COLUMNS, wait::Needs},
};

use DriverKind::{Claude, Codex, Copilot, Gemini, Opencode, Qwen};

const SCREENS: &str = "tests/fixtures/screens";

fn wanted(name: &str) -> Seen {
    match name.split('-').next().unwrap() {
        "working" => Seen::Working,
        "idle" => Seen::Idle,
        "permission" => Seen::Asking(Needs::Permission),
        "input" => Seen::Asking(Needs::Input),
        "login" => Seen::Asking(Needs::Login),
        "unknown" => Seen::Unknown,
        _ => panic!("{name}: its first word is no state"),
    }
}

/// Every file: program, name without ending, title, screen.
fn screens() -> Vec<(DriverKind, String, String, String)> {
    let mut screens = Vec::new();
    for folder in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(SCREENS)).unwrap() {
        let folder = folder.unwrap().path();
        let program = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let kind: DriverKind = serde_json::from_value(program.clone().into()).unwrap();
        for file in fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let (title, screen) = text.split_once('\n').unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            screens.push((kind, name, title.to_owned(), screen.to_owned()));
        }
    }
    screens.sort_by_key(|(kind, name, ..)| (kind.as_str(), name.clone()));
    screens
}

fn see(kind: DriverKind, title: &str, screen: &str) -> Seen {
    of(kind).unwrap().see(title, screen)
}

#[test]
fn an_error_that_no_hook_tells_is_read_from_the_screen() {
    for (kind, name, _, screen) in screens().into_iter().filter(|(kind, ..)| *kind == DriverKind::Codex) {
        let failure = of(kind).unwrap().failure(&screen);
        assert_eq!(failure.is_some(), name.contains("error") || name.contains("no-key"), "{name}: {failure:?}");
        if name.starts_with("idle-api-error") {
            let whole = "We’re currently experiencing high demand, which may cause temporary errors.";
            assert_eq!(failure.as_deref(), Some(whole), "{name}");
        }
    }
}

#[test]
fn what_exactly_is_asked_stands_at_the_head_of_the_choices() {
    let words = |kind, name: &str| match (kind, name) {
        (Claude | Codex, "permission") => "run Bash: touch a1",
        (Gemini, "permission") => "use Shell: touch a1",
        (Qwen, "permission") => "use Shell touch a1 (Run it)",
        (Opencode | Copilot, "permission") => "run touch a1",
        (Gemini, "permission-mcp") => "use delegate (orch MCP Server)",
        (Gemini, "permission-write") => "use WriteFile: Writing to hello.py",
        (Qwen, "permission-write") => "use WriteFile Writing to hello.py",
        (Opencode, "permission-write") => "use Edit hello.py",
        (Gemini, "input-trust") => "Do you trust the files in this",
        (Copilot, "input-trust") => "Confirm folder trust: /home/dev/project",
        (Gemini, "input-loop") => "A potential loop was detected",
        (Claude, "permission-auto") => "run Bash: curl -X POST https://example.com/deploy",
        (Claude, "input-auto-mode") => "Auto mode can't check actions in this session",
        (Claude, "permission-wide") => "run Bash: echo 漢字 > 漢字.txt",
        (Claude, "permission-write") => "write hello.py",
        (Claude, "permission-fetch") => "fetch https://example.com/",
        (Claude, "permission-mcp") => "use orch — Delegate Tool: text: \"write the tests\"",
        (Claude, "permission-leave-plan") => "exit plan mode",
        (Codex, "permission-write") => "write /home/dev/project/hello.py",
        (Codex, "permission-mcp") => "use orch.delegate: text: write the tests",
        (_, "input-question") => "Which database should it use?",
        (Claude, "input-trust" | "input-first-trust") => "Accessing workspace: /home/dev/project",
        (Codex, "input-trust") => "Folder access: /home/dev/project",
        (Claude, "input-bypass") => "WARNING: Claude Code running in",
        (Claude, "input-mcp") => "New MCP server found in this project: db",
        (Codex, "input-hooks") => "Hooks need review",
        (_, "input-resume") => "Resume",
        (Claude, "input-config") => "Settings",
        (_, "input-menu") => "Select",
        (Codex, "input-permissions") => "Update Model Permissions",
        (Claude, "input-security-notes") => "Security notes:",
        (Claude, "input-theme") => "Choose the text style that looks best with your terminal",
        (Claude, "login-choice") => "Select login method:",
        (Claude, "login-command") => "Login",
        (Claude, "login-console") => "How do you want to sign in?",
        (Claude, "login-api-key") => "Detected a custom API key in your environment",
        (Claude, "login-api-error") => "Invalid API key · Fix external API key",
        (Claude, "login-no-key") => "Not logged in · Please run /login",
        (Codex, "login-api-error") => "unexpected status 401 Unauthorized: invalid x-api-key",
        (Codex, "login-no-key") => "Missing environment variable: `OPENAI_API_KEY`.",
        // A narrow one shows the second sentence alone.
        (Codex, "login-choice") => "",
        _ => panic!("{kind}/{name}: what does it ask?"),
    };
    let mut wrong = Vec::new();
    // Menus and logins of the others are told by their kind alone.
    let is_told = |kind, name: &str| {
        let others = ["login", "input-menu", "input-settings"].iter().any(|word| name.starts_with(word));
        matches!(kind, Claude | Codex) || !others
    };
    for (kind, name, _, screen) in screens().into_iter().filter(|(kind, name, ..)| is_told(*kind, name)) {
        let asked = of(kind).unwrap().asked(&screen).map(|asked| in_one_line(&asked, COLUMNS));
        let asks = matches!(wanted(&name), Seen::Asking(_));
        let stem = name.rsplit_once('-').map_or(name.as_str(), |(stem, _)| stem);
        if asks && !asked.as_ref().is_some_and(|asked| !asked.is_empty() && asked.starts_with(words(kind, stem))) {
            wrong.push(format!("{kind}/{name}: {asked:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_program_that_tries_its_service_again_says_so_on_its_screen() {
    let mut found = Vec::new();
    for (kind, name, _, screen) in screens().into_iter().filter(|(kind, ..)| matches!(kind, Claude | Codex)) {
        match of(kind).unwrap().retrying(&screen) {
            Some(retry) => found.push(format!("{kind}/{name} {retry}")),
            None => assert!(!name.contains("retrying") && !name.contains("overloaded"), "{kind}/{name}"),
        }
    }
    let no_network = "waiting for network (Connection failed: error sending request)";
    let wanted = [
        "claude/working-overloaded-40 tries again 7 of 10: 529 Overl…".to_owned(),
        "claude/working-overloaded-80 tries again 6 of 10: 529 Overloaded".to_owned(),
        "claude/working-retrying-40 tries again 3 of 10: Connectio…".to_owned(),
        "claude/working-retrying-80 tries again 3 of 10: Connection refused — a firewall or proxy ma…".to_owned(),
        format!("codex/working-retrying-40 tries again: {no_network}"),
        format!("codex/working-retrying-80 tries again: {no_network}"),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn every_recorded_screen_is_seen_for_what_it_is() {
    let mut wrong = Vec::new();
    let mut seen_of: BTreeMap<&str, Vec<Seen>> = BTreeMap::new();
    for (kind, name, title, screen) in screens() {
        let seen = see(kind, &title, &screen);
        if seen != wanted(&name) {
            wrong.push(format!("{kind}/{name}: {seen:?}"));
        }
        seen_of.entry(kind.as_str()).or_default().push(seen);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (program, seen) in seen_of {
        for state in [Seen::Working, Seen::Idle, Seen::Asking(Needs::Permission), Seen::Asking(Needs::Input)] {
            assert!(seen.contains(&state), "{program} has a screen of {state:?}");
        }
    }
}

/// A title can be turned off, and is missing before the first turn.
#[test]
fn the_screen_alone_says_the_same() {
    let wrong: Vec<String> = screens()
        .into_iter()
        // The view of all that was printed hides the prompt.
        .filter(|(_, name, ..)| !name.starts_with("working-transcript"))
        .map(|(kind, name, _, screen)| (see(kind, "", &screen), kind, name))
        .filter(|(seen, _, name)| *seen != wanted(name))
        .map(|(seen, kind, name)| format!("{kind}/{name}: {seen:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_empty_screen_says_nothing_and_a_title_alone_a_little() {
    use DriverKind::*;
    for kind in [Claude, Codex, Gemini, Opencode, Qwen, Copilot, Shell] {
        for screen in ["", "\n\n   \n"] {
            assert_eq!(see(kind, "", screen), Seen::Unknown, "{kind}");
        }
    }
    assert_eq!(see(Claude, "◐ Claude Code", ""), Seen::Working);
    assert_eq!(see(Claude, "✳ Claude Code", ""), Seen::Unknown, "it is the title of a question too");
    assert_eq!(see(Codex, "⠦ project", ""), Seen::Working);
    assert_eq!(see(Codex, "[ . ] Action Required | project", ""), Seen::Asking(Needs::Permission));
    assert_eq!(see(Gemini, "✦  Working… (project)", ""), Seen::Working);
    assert_eq!(see(Gemini, "◇  Ready (project)", ""), Seen::Unknown, "it is the title of a login too");
}

/// The same program, with this printed above its prompt.
fn printed_above(screen: &str, prompt_lines: usize, text: &str) -> String {
    let lines: Vec<&str> = screen.trim_end().lines().collect();
    let (above, prompt) = lines.split_at(lines.len() - prompt_lines);
    [above.join("\n").as_str(), text, "", prompt.join("\n").as_str()].join("\n")
}

/// What the model or a tool prints is shown indented, above the prompt. Whatever it says, nobody is asked by it, nor is
/// anything at work.
#[test]
fn a_text_that_looks_like_a_question_is_a_text() {
    let texts = [
        "  Do you want to proceed?\n  ❯ 1. Yes\n    2. No\n\n  Esc to cancel · Tab to amend",
        "  ✻ Thinking… (3s · esc to interrupt)\n     esc to interrupt",
        "  ⎿  Not logged in · Please run /login\n\n● It says that I should log in.",
        "  Would you like to run the following command?\n  › 1. Yes, proceed (y)\n\n  Press enter to confirm or esc to cancel",
        "  • Working (1s • esc to interrupt)\n  ■ unexpected status 401 Unauthorized",
        "  Welcome to Claude Code v2.1.328\n  ❯ 1. Dark mode\n    2. Light mode",
        "  ╭────────────────╮\n  │ ● 1. Allow once │\n  ╰────────────────╯",
        "  ⠇ Thinking... (esc to cancel, 2s)",
        "     △ Permission required\n     Allow once   Allow always   Reject\n     ⬝⬝⬝⬝  esc interrupt",
    ];
    for (kind, name, title, screen) in screens().into_iter().filter(|(_, name, ..)| name.starts_with("idle-8")) {
        let prompt_lines = match kind {
            DriverKind::Claude => 4,
            DriverKind::Codex => 5,
            DriverKind::Gemini => 9,
            DriverKind::Qwen | DriverKind::Copilot => 5,
            _ => 6,
        };
        for text in texts {
            // Its own spinner stands where the others' texts begin.
            let text =
                if kind == DriverKind::Qwen { format!("  {}", text.replace('\n', "\n  ")) } else { text.to_owned() };
            for title in [title.as_str(), ""] {
                let screen = printed_above(&screen, prompt_lines, &text);
                assert_eq!(see(kind, title, &screen), Seen::Idle, "{kind}/{name} [{title}]\n{screen}");
            }
        }
    }
}

/// What is typed into it stands in the names: a line would be added to that, or be a command.
#[test]
fn a_prompt_is_empty_filled_or_not_there() {
    let typed = ["typed", "put-back", "menu", "shell", "many-lines", "wide"];
    // In a box.
    let asks_for_key = [DriverKind::Gemini, DriverKind::Qwen];
    let mut wrong = Vec::new();
    for (kind, name, title, screen) in screens() {
        let variant =
            name.rsplit_once('-').and_then(|(name, _)| name.split_once('-')).map_or("", |(_, variant)| variant);
        let has_input = match wanted(&name) {
            _ if variant == "transcript" => false,
            Seen::Working | Seen::Idle => true,
            _ => {
                name.starts_with("login-api-error") || name.starts_with("login-no-key") && !asks_for_key.contains(&kind)
            }
        };
        let wanted = match () {
            () if !has_input => Prompt::Absent,
            () if name.starts_with("idle") && typed.contains(&variant) => Prompt::Filled,
            () => Prompt::Empty,
        };
        let found = of(kind).unwrap().prompt(&title, &screen);
        if found != wanted {
            wrong.push(format!("{kind}/{name}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whatever is cut from a screen: something is said of it, and nobody falls over it; and nothing under it counts.
#[test]
fn no_screen_is_too_strange() {
    for (kind, name, title, screen) in screens() {
        assert_eq!(see(kind, &title, &format!("{screen}\n \n\n")), see(kind, &title, &screen), "{kind}/{name}");
        let lines: Vec<&str> = screen.lines().collect();
        for cut in 0..lines.len() {
            for part in [&lines[cut..], &lines[..cut]] {
                let part = part.join("\n");
                let (seen, prompt) = (see(kind, "", &part), of(kind).unwrap().prompt("", &part));
                let _ = of(kind).unwrap().asked(&part);
                let is_there = matches!(seen, Seen::Working | Seen::Idle | Seen::Asking(Needs::Login));
                assert!(is_there || prompt == Prompt::Absent, "{kind}/{name} {cut}: {seen:?} {prompt:?}");
            }
        }
    }
}

#[test]
fn what_claude_writes_about_itself_is_read() {
    for (text, seen) in [
        (r#"{"pid":49,"status":"busy","statusUpdatedAt":1}"#, Seen::Working),
        (r#"{"pid":49,"status":"idle"}"#, Seen::Idle),
        (r#"{"status":"waiting","waitingFor":"permission prompt"}"#, Seen::Asking(Needs::Permission)),
        (r#"{"status":"waiting","waitingFor":"input needed"}"#, Seen::Asking(Needs::Input)),
        (r#"{"status":"waiting","waitingFor":"dialog open"}"#, Seen::Asking(Needs::Input)),
        (r#"{"status":"waiting"}"#, Seen::Asking(Needs::Input)),
        (r#"{"status":"something new"}"#, Seen::Unknown),
        ("[]", Seen::Unknown),
    ] {
        let said = serde_json::from_str(text).unwrap();
        assert_eq!(of(DriverKind::Claude).unwrap().read_status(&said), seen, "{text}");
    }
}

#[test]
fn only_a_prompt_in_which_nothing_stands_is_typed_into() {
    let mut found = Vec::new();
    for (kind, name, title, screen) in screens() {
        let prompt = of(kind).unwrap().prompt(&title, &screen);
        let what = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        let holds_something = ["-typed", "-put-back", "-menu", "-shell"].iter().any(|word| what.ends_with(word));
        let asks = !name.starts_with("idle") && !name.starts_with("working") && !name.starts_with("login");
        assert!(!(prompt == Prompt::Empty && (holds_something || asks)), "{kind}/{name}");
        if prompt == Prompt::Empty {
            found.push(format!("{kind}/{name}"));
        }
    }
    for empty in ["claude/idle-40", "claude/idle-80", "claude/idle-new-80", "codex/idle-80", "codex/idle-new-80"] {
        assert!(found.iter().any(|name| name == empty), "{empty}: {found:?}");
    }
}
