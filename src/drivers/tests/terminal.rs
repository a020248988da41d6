//! Programs that have the terminal to themselves: how they are begun with a task, and what their end means.

use super::{started::role, *};

#[test]
fn on_a_terminal_an_end_without_a_result_is_a_persons_or_an_accident() {
    let began = Hook::Began { session: Some("s".into()), source: Source::Startup, record: None };
    let ended = Hook::Ended { said: Some("done".into()) };
    let left = "closed before it was done: orch retry continues";
    for (hooks, exit_code, was_asking, cause, words, anew) in [
        (vec![&began, &ended], Some(143), false, Cause::Success, "claude has done it", false),
        (vec![&began, &ended], None, false, Cause::Success, "claude has done it", false),
        (vec![&began], Some(0), false, Cause::NeedsPerson, left, false),
        (vec![], Some(0), false, Cause::NeedsPerson, left, false),
        (vec![], Some(1), true, Cause::NeedsPerson, "was asking its user something", false),
        (vec![], Some(1), false, Cause::Transient, "exit code 1 before it had begun", true),
        (vec![&began], Some(1), false, Cause::Transient, "exit code 1", false),
        (vec![&began], None, false, Cause::Lost, "signal 9", false),
    ] {
        let (mut told, mut transcript) = (Conversation::default(), HookTranscript::default());
        let lines = hooks.iter().map(|hook| Noted::line(NOW, hook));
        lines.flat_map(|line| transcript.line(&line)).for_each(|event| told.take(&event));
        let end = End {
            exit_code,
            signal: exit_code.is_none().then_some(9),
            stdout: "",
            stderr: "",
            file: None,
            conversation: Some(&told),
            on_a_terminal: true,
            was_asking,
            hold_denied: true,
            now: NOW,
        };
        let said = of(DriverKind::Claude).unwrap().read(end);
        assert_eq!((said.cause, said.start_anew), (cause, anew), "{said:?}");
        assert!(said.reason.contains(words), "{said:?}");
    }
}

#[test]
fn a_program_on_a_terminal_begins_with_its_task_and_nothing_else() {
    let mcp = Mcp { program: Path::new("/h/bin/orch"), env: vec![("ORCH_TASK", "t-1".into())] };
    let words = |kind, prompt, resume| {
        let role = role(kind, AgentOptions::default());
        let (dir, new_session) = (Path::new("/r"), "new-id");
        let role = role.settings();
        let job = InteractiveJob { role, dir, mcp: &mcp, new_session, resume, prompt: Some(prompt) };
        let start = of(kind).unwrap().interactive(&job).unwrap();
        start.args.iter().map(|arg| arg.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    use DriverKind::*;
    for (kind, resume, session) in [
        (Claude, None, "--session-id new-id"),
        (Claude, Some("old"), "--resume old"),
        (Codex, Some("old"), "resume old"),
    ] {
        let words = words(kind, "/do \u{1b}[31mit\n-- now", resume);
        assert!(words.join(" ").contains(session), "{words:?}");
        assert_eq!(words[words.len() - 2..], ["--", "The task:\n\n/do it\n-- now"], "{kind}");
    }
    assert_eq!(words(Codex, "do it", None).last().unwrap(), "Be brief.\n\ndo it");
    assert_eq!(words(Claude, "do it", None).last().unwrap(), "do it");
}
