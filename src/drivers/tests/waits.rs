//! What a program waits for while it runs, and what it was not allowed to do.

use super::*;
use crate::model::wait::{Retry, Wait};

#[test]
fn a_login_is_asked_for_until_it_goes_on_and_in_vain_once_it_was_refused_again() {
    let refused = |why: &str| Event::Retrying {
        attempt: Some(1),
        of: None,
        after: Duration::ZERO,
        why: why.into(),
        failure: errors::failure(None, why),
    };
    let (bad_key, overloaded) = (refused("invalid api key"), refused("overloaded"));
    let mut all = Conversation::default();
    let mut after = |events: &[&Event]| {
        events.iter().for_each(|event| all.take(event));
        let login = match all.waits_for() {
            Some(Wait::Person(asked)) => Some(asked.what),
            _ => None,
        };
        (login, all.asks_in_vain())
    };
    assert_eq!(after(&[&overloaded, &overloaded, &overloaded]), (None, false));
    assert_eq!(after(&[&bad_key]), (Some(Needs::Login), false));
    assert_eq!(after(&[&Event::Text("I go on.".into())]), (None, false), "its new token was taken");
    assert_eq!(after(&[&bad_key, &Event::Answers]), (None, false), "it thinks: it was let in");
    assert_eq!(after(&[&bad_key, &overloaded, &bad_key]), (Some(Needs::Login), false));
    assert_eq!(after(&[&bad_key]), (Some(Needs::Login), true));
    let done = Event::Result { text: None, ending: Ending::Done };
    assert!(!after(&[&done]).1, "it has done it all the same");
    for (kind, tries) in [(DriverKind::Claude, 2), (DriverKind::Codex, 2), (DriverKind::Copilot, 2)] {
        let (events, told) = told(kind, &fixture(kind, "refused"));
        assert_eq!(events.iter().filter(|event| matches!(event, Event::Retrying { .. })).count(), tries, "{kind}");
        assert!(told.is_some_and(|told| told.asks_in_vain()), "{kind}");
    }
}

#[test]
fn what_was_not_allowed_is_named_and_so_is_what_to_do_however_much_it_was() {
    let end = |told| End {
        exit_code: Some(0),
        signal: None,
        stdout: "",
        stderr: "",
        file: None,
        conversation: Some(told),
        on_a_terminal: false,
        was_asking: false,
        hold_denied: true,
        now: NOW,
    };
    let mut told = Conversation::default();
    for n in 0..9 {
        told.take(&Event::Needs { what: Needs::Permission, of: format!("Bash(rm {n} {})", "x".repeat(70)) });
    }
    told.take(&Event::Result { text: None, ending: Ending::Done });
    let reason = of(DriverKind::Claude).unwrap().read(end(&told)).reason;
    assert!(
        reason.contains("Bash(rm 0 x")
            && reason.contains(" and 6 more: allow it with: orch approve TASK --allow 'Bash(rm 0:*)' "),
        "{reason}"
    );
    assert!(reason.ends_with("or with --role, in its role's allowed_tools"), "{reason}");
}

#[test]
fn it_tries_again_until_it_gets_on() {
    use DriverKind::*;
    let waits_for = |kind, text: &str| told(kind, text).1.unwrap().waits_for();
    for (kind, case, attempt, of, why) in [
        (Claude, "unreachable", Some(7), Some(10), "its service can't be reached"),
        (Claude, "overloaded", Some(1), Some(10), "overloaded (529)"),
        (Codex, "unreachable", None, None, "waiting for network (Connection failed: error sending request)"),
        (Codex, "overloaded", Some(2), Some(5), "unexpected status 503 Service Unavailable"),
        (Copilot, "unreachable", Some(6), None, "Connection refused"),
    ] {
        let text = fixture(kind, case);
        let Some(Wait::Service(Retry { attempt: found, of: of_found, why: said, .. })) = waits_for(kind, &text) else {
            panic!("{kind}/{case}")
        };
        assert_eq!((found, of_found), (attempt, of), "{kind}/{case}");
        assert!(said.contains(why), "{kind}/{case}: {said}");
        let got_on = fixture(kind, "ok");
        let got_on = got_on.lines().find(|line| line.contains("text") || line.contains("message")).unwrap();
        assert_eq!(waits_for(kind, &format!("{text}\n{got_on}\n{}", fixture(kind, "ok"))), None, "{kind}/{case}");
    }
    assert_eq!(waits_for(Claude, &fixture(Claude, "ok")), None);
}

#[test]
fn money_that_was_told_stays_told_where_only_tokens_are_told_after_it() {
    let mut told = Conversation::default();
    for (input_tokens, cost_usd) in [(10, 0.0), (20, 0.5), (30, 0.0)] {
        told.take(&Event::Usage(Usage { input_tokens, output_tokens: 1, cost_usd, ..Usage::default() }));
    }
    assert_eq!(told.usage, Some(Usage { input_tokens: 30, output_tokens: 1, cost_usd: 0.5, ..Usage::default() }));
}
