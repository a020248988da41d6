//! The state of a program on a terminal, derived from all that is known of it. Pure.
//!
//! Hooks are the most reliable source, and arrive immediately; but none arrives after Esc, nor between a granted
//! permission and the end of the tool. So the screen is read as well, while the program is not idle.

use crate::{
    drivers::{Failure, Hook, Seen, Source, failure_of},
    model::{
        time::Timestamp,
        wait::Needs,
        wait::{Need, Retry, Wait},
    },
};

/// A program that already shows its prompt may still be starting, and begin with the task it was started with.
const TO_BEGIN: u32 = 8;

/// The state of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runner) enum Doing {
    /// Nothing is known of it yet.
    Starting,
    /// It is in the middle of a turn.
    Working,
    /// It waits for the next prompt.
    Idle,
    /// It waits for its user.
    Asking(Needs),
}

/// The state of a program, and observations that are not confirmed yet.
#[derive(Debug)]
pub(in crate::runner) struct Turn {
    doing: Doing,
    /// What exactly it asks its user, if it does; empty where that is not known.
    of: String,
    /// Whether a hook has reported that: then the screen does not override it.
    is_told: bool,
    /// The retry of its service that was last seen.
    retry: Option<Retry>,
    /// Whether it was started with a task.
    of_task: bool,
    /// Whether the outcome of that task is still unknown: then an idle program waits for its user.
    has_task: bool,
    /// Whether it has yet to begin with the task it was started with.
    is_to_begin: bool,
    /// The error with which its last turn ended, until another one begins. What a task's program reports of it is the
    /// outcome of the task instead.
    failed: Option<String>,
    /// When it ended so, because the error may say for how long.
    failed_at: Option<Timestamp>,
    /// How many times in a row it was seen idle while it was believed to work: between two steps a screen may look
    /// idle.
    looked_idle: u32,
}

impl Default for Turn {
    fn default() -> Self {
        Turn {
            doing: Doing::Starting,
            of: String::new(),
            is_told: false,
            retry: None,
            of_task: false,
            has_task: false,
            is_to_begin: false,
            failed: None,
            failed_at: None,
            looked_idle: 0,
        }
    }
}

impl Turn {
    /// Creates the state of a program that is started with a task.
    pub fn with_task() -> Self {
        Turn { of_task: true, has_task: true, is_to_begin: true, ..Turn::default() }
    }

    /// Returns its state.
    pub fn doing(&self) -> Doing {
        self.doing
    }

    /// Returns what it is blocked on now: its user takes precedence over its service.
    pub fn waits_for(&self, now: Timestamp) -> Option<Wait> {
        let retry = || self.retry.clone().filter(|_| self.doing == Doing::Working);
        let refused = |retry: &Retry| retry.attempt > Some(1) && failure_of(&retry.why).0 == Failure::Login;
        let at = self.failed_at.unwrap_or(now);
        let failed = || self.failed.as_ref().filter(|_| self.doing == Doing::Idle).map(|why| after_failure(why, at));
        let service = || match retry()? {
            retry if refused(&retry) => Some(Wait::Person(Need { what: Needs::Login, of: retry.why })),
            retry => Some(Wait::Service(retry)),
        };
        self.asks().map(Wait::Person).or_else(service).or_else(failed)
    }

    /// Records the time of what was seen or reported last.
    pub fn set_time(&mut self, now: Timestamp) {
        self.failed_at = self.failed.as_ref().map(|_| self.failed_at.unwrap_or(now));
    }

    /// Returns the end of the limit with which its last turn ended, if it has not begun another one since.
    pub fn limited_until(&self, now: Timestamp) -> Option<Timestamp> {
        match self.waits_for(now) {
            Some(Wait::Service(retry)) if self.doing == Doing::Idle => retry.limited_until,
            _ => None,
        }
    }

    /// Returns what it asks. If a user stops it in the middle of its task, it waits for that user.
    fn asks(&self) -> Option<Need> {
        match self.doing {
            Doing::Asking(what) => Some(Need { what, of: self.of.clone() }),
            Doing::Idle if self.has_task => Some(Need { what: Needs::Input, of: String::new() }),
            _ => None,
        }
    }

    /// Records a question. A screen that shows the same question does not override what a hook has reported.
    fn ask(&mut self, what: Needs, of: &str, is_told: bool) {
        let is_known = match self.doing {
            Doing::Asking(_) if is_told => of.is_empty(),
            Doing::Asking(known) => {
                known == what && (of.is_empty() || self.is_told || differs_only_in_wrapping(of, &self.of))
            }
            _ => false,
        };
        if !is_known {
            (self.of, self.is_told) = (of.to_owned(), is_told && !of.is_empty());
            self.doing = Doing::Asking(what);
        }
    }

    /// Handles a hook of the program.
    pub fn handle(&mut self, hook: &Hook) {
        self.looked_idle = 0;
        self.retry = None;
        match hook {
            Hook::Failed { why } if !self.of_task => self.failed = Some(why.clone()),
            // They say nothing about the last turn.
            Hook::Began { source: Source::Compact, .. } | Hook::ToolResult { .. } => {}
            _ => self.failed = None,
        }
        self.doing = match hook {
            // It continues with what it does.
            Hook::Began { source: Source::Compact, .. } => return,
            Hook::Began { source: Source::Startup | Source::Resume, .. } if self.is_to_begin => Doing::Starting,
            Hook::Began { .. } | Hook::Interrupted => Doing::Idle,
            Hook::Ended { .. } | Hook::Failed { .. } => {
                self.has_task = false;
                Doing::Idle
            }
            Hook::Prompt { .. } | Hook::ToolCall { .. } | Hook::ToolResult { .. } | Hook::GoesOn { .. } => {
                self.is_to_begin = false;
                // A turn that begins withdraws the result; the end of an earlier turn does not.
                self.has_task |= self.of_task && !matches!(hook, Hook::ToolResult { .. });
                Doing::Working
            }
            Hook::Asks { what, of } => {
                self.has_task |= self.of_task;
                return self.ask(*what, of, true);
            }
            Hook::Left => Doing::Starting,
        };
    }

    /// Returns how many times in a row it must look idle to be considered idle.
    fn retry_for(&self) -> u32 {
        if self.is_to_begin { TO_BEGIN } else { 2 }
    }

    /// Records what its screen shows about retries of its service.
    pub fn see_retry(&mut self, retry: Option<Retry>) {
        self.retry = retry;
    }

    /// Records what its screen shows; if it asks, `asked` is the question there.
    pub fn see(&mut self, seen: Seen, asked: Option<&str>) {
        let looked_idle = std::mem::take(&mut self.looked_idle) + 1;
        match (seen, self.doing) {
            (Seen::Unknown, _) => {}
            (Seen::Asking(what), _) => self.ask(what, asked.unwrap_or_default(), false),
            (Seen::Working, _) => self.doing = Doing::Working,
            (Seen::Idle, Doing::Idle) => {}
            (Seen::Idle, Doing::Starting) if !self.is_to_begin => self.doing = Doing::Idle,
            (Seen::Idle, _) if looked_idle >= self.retry_for() => self.doing = Doing::Idle,
            (Seen::Idle, _) => self.looked_idle = looked_idle,
        }
    }
}

/// Returns what a program waits for after a turn that has ended with this error.
fn after_failure(why: &str, now: Timestamp) -> Wait {
    let (failure, of) = failure_of(why);
    match failure {
        Failure::Login => Wait::Person(Need { what: Needs::Login, of }),
        Failure::RateLimited(Some(end)) => {
            let left = end.from_now(now).map_or(0, |left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            let until = Timestamp(now.0.saturating_add(left));
            Wait::Service(Retry { attempt: None, of: None, why: of, limited_until: Some(until) })
        }
        _ => Wait::Person(Need { what: Needs::Error, of }),
    }
}

/// Returns whether two texts of a screen differ only in where it has wrapped them: an attaching client may change its
/// width.
fn differs_only_in_wrapping(one: &str, other: &str) -> bool {
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn needs(turn: &Turn) -> Option<Needs> {
        turn.asks().map(|asked| asked.what)
    }

    fn after_hooks(hooks: &[Hook]) -> Turn {
        let mut turn = Turn::default();
        hooks.iter().for_each(|hook| turn.handle(hook));
        turn
    }

    fn began(source: Source) -> Hook {
        Hook::Began { session: None, source, record: None }
    }

    fn asks() -> Hook {
        Hook::Asks { what: Needs::Permission, of: "Bash".into() }
    }

    #[test]
    fn hooks_report_immediately_what_it_does() {
        let prompt = Hook::Prompt { text: "x".into() };
        assert_eq!(after_hooks(&[]).doing(), Doing::Starting);
        assert_eq!(after_hooks(&[began(Source::Startup)]).doing(), Doing::Idle);
        assert_eq!(after_hooks(std::slice::from_ref(&prompt)).doing(), Doing::Working);
        assert_eq!(needs(&after_hooks(&[prompt.clone(), asks()])), Some(Needs::Permission));
        assert_eq!(after_hooks(&[prompt.clone(), began(Source::Compact)]).doing(), Doing::Working, "it continues");
        assert_eq!(after_hooks(&[prompt, Hook::Ended { said: None }]).doing(), Doing::Idle);
    }

    #[test]
    fn the_screen_shows_what_no_hook_reports() {
        let mut turn = after_hooks(&[asks()]);
        turn.see(Seen::Unknown, None);
        assert_eq!(needs(&turn), Some(Needs::Permission), "a screen that proves nothing changes nothing");
        turn.see(Seen::Working, None);
        assert_eq!(turn.doing(), Doing::Working, "it was allowed");
        turn.see(Seen::Idle, None);
        assert_eq!(turn.doing(), Doing::Working, "between two steps");
        turn.see(Seen::Idle, None);
        assert_eq!(turn.doing(), Doing::Idle, "Esc");
        turn.see(Seen::Asking(Needs::Login), None);
        assert_eq!(needs(&turn), Some(Needs::Login));
    }

    #[test]
    fn a_step_between_two_reads_of_the_screen_resets_the_count() {
        let mut turn = after_hooks(&[Hook::Prompt { text: "x".into() }]);
        turn.see(Seen::Idle, None);
        turn.handle(&Hook::ToolCall { name: "Bash".into(), summary: String::new(), changes: String::new() });
        turn.see(Seen::Idle, None);
        assert_eq!(turn.doing(), Doing::Working);
    }

    #[test]
    fn a_task_that_was_stopped_in_the_middle_waits_for_its_user() {
        let mut turn = Turn::with_task();
        turn.handle(&began(Source::Startup));
        assert_eq!((turn.doing(), needs(&turn)), (Doing::Starting, None), "it begins automatically");
        for _ in 1..TO_BEGIN {
            turn.see(Seen::Idle, None);
            assert_eq!(needs(&turn), None, "in a moment");
        }
        turn.see(Seen::Idle, None);
        assert_eq!(needs(&turn), Some(Needs::Input), "it does not");
        turn.handle(&Hook::Prompt { text: "x".into() });
        assert_eq!(needs(&turn), None);
        turn.handle(&Hook::Interrupted);
        assert_eq!(needs(&turn), Some(Needs::Input));
        turn.handle(&Hook::Prompt { text: "go on".into() });
        turn.handle(&Hook::Ended { said: None }.going_on());
        assert_eq!(turn.doing(), Doing::Working);
        turn.handle(&Hook::Ended { said: None });
        assert_eq!((turn.doing(), needs(&turn)), (Doing::Idle, None), "it is done");
    }

    #[test]
    fn a_turn_after_the_result_that_is_stopped_waits_for_its_user() {
        let mut turn = Turn::with_task();
        let prompt = Hook::Prompt { text: "one thing more".into() };
        for hook in [prompt.clone(), Hook::Ended { said: Some("done".into()) }, prompt, Hook::Interrupted] {
            turn.handle(&hook);
        }
        assert_eq!(needs(&turn), Some(Needs::Input));
        turn.handle(&Hook::Ended { said: Some("done".into()) });
        assert_eq!(needs(&turn), None);
    }

    #[test]
    fn a_question_reported_by_a_hook_overrides_the_one_on_the_screen() {
        let of = |turn: &Turn| turn.asks().unwrap().of;
        let asks = |of: &str| Hook::Asks { what: Needs::Permission, of: of.into() };
        let mut turn = after_hooks(&[asks("run Bash: ls")]);
        turn.see(Seen::Asking(Needs::Permission), Some("run Bash: l"));
        turn.handle(&asks(""));
        assert_eq!(of(&turn), "run Bash: ls", "still the same");
        let which = Hook::Asks { what: Needs::Input, of: "Which?".into() };
        let still = after_hooks(&[which, asks("")]);
        assert_eq!(
            (needs(&still), of(&still).as_str()),
            (Some(Needs::Input), "Which?"),
            "its kind was reported as well"
        );
        turn.handle(&asks("run Bash: pwd"));
        assert_eq!(of(&turn), "run Bash: pwd", "the next one");
        turn.see(Seen::Asking(Needs::Input), Some("Which one?"));
        turn.see(Seen::Asking(Needs::Input), None);
        assert_eq!(of(&turn), "Which one?");
        turn.see(Seen::Asking(Needs::Input), Some("And which one now?"));
        assert_eq!(of(&turn), "And which one now?");
        turn.see(Seen::Asking(Needs::Input), Some("And which o ne now?"));
        assert_eq!(of(&turn), "And which one now?", "it was only wrapped again");
        turn.handle(&Hook::Prompt { text: "x".into() });
        assert_eq!(turn.asks(), None);
        turn.see(Seen::Asking(Needs::Input), None);
        assert_eq!(of(&turn), "", "the earlier question does not belong to it");
    }

    #[test]
    fn a_turn_of_a_master_that_ended_with_an_error_is_not_idle() {
        let failed = |why: &str| after_hooks(&[Hook::Prompt { text: "x".into() }, Hook::Failed { why: why.into() }]);
        let wait = |why: &str| failed(why).waits_for(NOW);
        let needs = |what, of: &str| Some(Wait::Person(Need { what, of: of.into() }));
        assert_eq!(
            wait("server_error API Error: 529 Overloaded"),
            needs(Needs::Error, "server_error API Error: 529 Overloaded")
        );
        assert_eq!(
            wait("API Error: 401 no").map(|wait| matches!(wait, Wait::Person(Need { what: Needs::Login, .. }))),
            Some(true)
        );
        let limited = wait("You've hit your limit · resets in 2h");
        assert!(matches!(limited, Some(Wait::Service(Retry { limited_until: Some(_), .. }))), "{limited:?}");
        let mut limited = failed("You've hit your limit · resets in 2h");
        limited.set_time(NOW);
        limited.set_time(Timestamp(NOW.0 + 60_000));
        let later = Timestamp(NOW.0 + 120_000);
        let ends = limited.limited_until(later).expect("limited");
        assert!(ends.0 < NOW.0 + 2 * 3_600_000 + 60_000, "counted from the end of the turn: {ends:?}");
        assert_eq!(failed("API Error: 529 Overloaded").limited_until(NOW), None);
        let mut turn = failed("API Error: 529 Overloaded");
        turn.handle(&Hook::Prompt { text: "again".into() });
        assert_eq!(turn.waits_for(NOW), None);
        let mut task = Turn::with_task();
        task.handle(&Hook::Failed { why: "API Error: 529 Overloaded".into() });
        assert_eq!(task.waits_for(NOW), None, "its attempt ends with it");
    }

    #[test]
    fn a_service_is_waited_for_until_something_else_is_seen_or_reported() {
        let retry = || Some(Retry { attempt: Some(2), of: None, why: "overloaded".into(), limited_until: None });
        let mut turn = after_hooks(&[Hook::Prompt { text: "x".into() }]);
        turn.see_retry(retry());
        assert_eq!(turn.waits_for(NOW), retry().map(Wait::Service));
        turn.see(Seen::Asking(Needs::Login), Some("not logged in"));
        assert!(matches!(turn.waits_for(NOW), Some(Wait::Person(_))));
        turn.see(Seen::Working, None);
        let refused =
            Retry { attempt: Some(2), of: Some(10), why: "401 invalid x-api-key".into(), limited_until: None };
        turn.see_retry(Some(refused));
        assert!(matches!(turn.waits_for(NOW), Some(Wait::Person(Need { what: Needs::Login, .. }))));
        turn.see_retry(None);
        assert_eq!(turn.waits_for(NOW), None);
        turn.see_retry(retry());
        turn.handle(&Hook::ToolCall { name: "Bash".into(), summary: String::new(), changes: String::new() });
        assert_eq!(turn.waits_for(NOW), None);
    }
}
