//! What a program on a terminal is doing, from all that is known of it. Pure.
//!
//! Hooks are the surest word, and come at once; but none comes after Esc, nor between a permission that was given and the
//! end of the tool. So the screen is looked at as well, while the program is not idle.

use crate::{
    drivers::{Hook, Seen, Source},
    model::{
        wait::Needs,
        wait::{Need, Retry, Wait},
    },
};

/// A program that shows its prompt already may still start, and begin by itself with what it was given.
const TO_BEGIN: u32 = 8;

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runner) enum Doing {
    /// Nothing was heard of it yet.
    Starting,
    /// It is in the middle of a turn.
    Working,
    /// It waits for the next prompt.
    Idle,
    /// It waits for its user.
    Asking(Needs),
}

/// What a program does, and what was seen that is not believed yet.
#[derive(Debug)]
pub(in crate::runner) struct Turn {
    doing: Doing,
    /// What exactly it asks its user, if it does; empty where that is not known.
    of: String,
    /// Whether a hook has told that: then no screen knows it better.
    is_told: bool,
    /// That it was last seen to try its service again.
    retry: Option<Retry>,
    /// Whether it was started with a task.
    of_task: bool,
    /// Whether nobody has said yet how that came out: then it is not idle for nothing.
    has_task: bool,
    /// Whether it still has to begin by itself with what it was given.
    is_to_begin: bool,
    /// How often in a row it was seen idle while it was thought to work: between two of its steps a screen may look so.
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
            looked_idle: 0,
        }
    }
}

impl Turn {
    /// Of a program that is started with a task.
    pub fn with_task() -> Self {
        Turn { of_task: true, has_task: true, is_to_begin: true, ..Turn::default() }
    }

    /// What it does.
    pub fn doing(&self) -> Doing {
        self.doing
    }

    /// What it waits for: a person before its service.
    pub fn waits_for(&self) -> Option<Wait> {
        let retry = || self.retry.clone().filter(|_| self.doing == Doing::Working);
        self.asks().map(Wait::Person).or_else(|| retry().map(Wait::Service))
    }

    /// What it asks. Whoever stops it in the middle of its task is the one it waits for.
    fn asks(&self) -> Option<Need> {
        match self.doing {
            Doing::Asking(what) => Some(Need { what, of: self.of.clone() }),
            Doing::Idle if self.has_task => Some(Need { what: Needs::Input, of: String::new() }),
            _ => None,
        }
    }

    /// It asks this from now on. Who only says that it still does takes back nothing of what is known.
    fn ask(&mut self, what: Needs, of: &str, is_told: bool) {
        let is_known = match self.doing {
            Doing::Asking(_) if is_told => of.is_empty(),
            Doing::Asking(known) => known == what && (of.is_empty() || self.is_told || is_wrapped_anew(of, &self.of)),
            _ => false,
        };
        if !is_known {
            (self.of, self.is_told) = (of.to_owned(), is_told && !of.is_empty());
            self.doing = Doing::Asking(what);
        }
    }

    /// One of its hooks was called.
    pub fn hear(&mut self, hook: &Hook) {
        self.looked_idle = 0;
        self.retry = None;
        self.doing = match hook {
            // It goes on with what it does.
            Hook::Began { source: Source::Compact, .. } => return,
            Hook::Began { source: Source::Startup | Source::Resume, .. } if self.is_to_begin => Doing::Starting,
            Hook::Began { .. } | Hook::Interrupted => Doing::Idle,
            Hook::Ended { .. } | Hook::Failed { .. } => {
                self.has_task = false;
                Doing::Idle
            }
            Hook::Prompt { .. } | Hook::ToolCall { .. } | Hook::ToolResult { .. } | Hook::GoesOn { .. } => {
                self.is_to_begin = false;
                // Whatever begins takes the result back; the end of what had begun before does not.
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

    /// So often in a row it must look idle to be taken for it.
    fn retry_for(&self) -> u32 {
        if self.is_to_begin { TO_BEGIN } else { 2 }
    }

    /// Its screen was looked at: this is what it says of its service there.
    pub fn see_retry(&mut self, retry: Option<Retry>) {
        self.retry = retry;
    }

    /// Its terminal was looked at; if it asks, this is what stands there.
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

/// Whether two texts of a screen are the same but for where it has wrapped them: whoever attaches may give it another width.
fn is_wrapped_anew(one: &str, other: &str) -> bool {
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(turn: &Turn) -> Option<Needs> {
        turn.asks().map(|asked| asked.what)
    }

    fn heard(hooks: &[Hook]) -> Turn {
        let mut turn = Turn::default();
        hooks.iter().for_each(|hook| turn.hear(hook));
        turn
    }

    fn began(source: Source) -> Hook {
        Hook::Began { session: None, source, record: None }
    }

    fn asks() -> Hook {
        Hook::Asks { what: Needs::Permission, of: "Bash".into() }
    }

    #[test]
    fn hooks_say_at_once_what_it_does() {
        let prompt = Hook::Prompt { text: "x".into() };
        assert_eq!(heard(&[]).doing(), Doing::Starting);
        assert_eq!(heard(&[began(Source::Startup)]).doing(), Doing::Idle);
        assert_eq!(heard(std::slice::from_ref(&prompt)).doing(), Doing::Working);
        assert_eq!(needs(&heard(&[prompt.clone(), asks()])), Some(Needs::Permission));
        assert_eq!(heard(&[prompt.clone(), began(Source::Compact)]).doing(), Doing::Working, "it goes on");
        assert_eq!(heard(&[prompt, Hook::Ended { said: None }]).doing(), Doing::Idle);
    }

    #[test]
    fn the_screen_says_what_no_hook_does() {
        let mut turn = heard(&[asks()]);
        turn.see(Seen::Unknown, None);
        assert_eq!(needs(&turn), Some(Needs::Permission), "a screen that says nothing changes nothing");
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
    fn a_step_between_two_looks_makes_the_first_one_old() {
        let mut turn = heard(&[Hook::Prompt { text: "x".into() }]);
        turn.see(Seen::Idle, None);
        turn.hear(&Hook::ToolCall { name: "Bash".into(), summary: String::new() });
        turn.see(Seen::Idle, None);
        assert_eq!(turn.doing(), Doing::Working);
    }

    #[test]
    fn who_stops_a_task_in_the_middle_is_waited_for() {
        let mut turn = Turn::with_task();
        turn.hear(&began(Source::Startup));
        assert_eq!((turn.doing(), needs(&turn)), (Doing::Starting, None), "it begins by itself");
        for _ in 1..TO_BEGIN {
            turn.see(Seen::Idle, None);
            assert_eq!(needs(&turn), None, "in a moment");
        }
        turn.see(Seen::Idle, None);
        assert_eq!(needs(&turn), Some(Needs::Input), "it does not");
        turn.hear(&Hook::Prompt { text: "x".into() });
        assert_eq!(needs(&turn), None);
        turn.hear(&Hook::Interrupted);
        assert_eq!(needs(&turn), Some(Needs::Input));
        turn.hear(&Hook::Prompt { text: "go on".into() });
        turn.hear(&Hook::Ended { said: None }.going_on());
        assert_eq!(turn.doing(), Doing::Working);
        turn.hear(&Hook::Ended { said: None });
        assert_eq!((turn.doing(), needs(&turn)), (Doing::Idle, None), "it is done");
    }

    #[test]
    fn a_turn_after_the_result_that_is_stopped_waits_for_its_person() {
        let mut turn = Turn::with_task();
        let prompt = Hook::Prompt { text: "one thing more".into() };
        for hook in [prompt.clone(), Hook::Ended { said: Some("done".into()) }, prompt, Hook::Interrupted] {
            turn.hear(&hook);
        }
        assert_eq!(needs(&turn), Some(Needs::Input));
        turn.hear(&Hook::Ended { said: Some("done".into()) });
        assert_eq!(needs(&turn), None);
    }

    #[test]
    fn what_a_hook_has_told_is_what_is_asked_and_a_screen_says_it_where_none_has() {
        let of = |turn: &Turn| turn.asks().unwrap().of;
        let asks = |of: &str| Hook::Asks { what: Needs::Permission, of: of.into() };
        let mut turn = heard(&[asks("run Bash: ls")]);
        turn.see(Seen::Asking(Needs::Permission), Some("run Bash: l"));
        turn.hear(&asks(""));
        assert_eq!(of(&turn), "run Bash: ls", "still the same");
        let which = Hook::Asks { what: Needs::Input, of: "Which?".into() };
        let still = heard(&[which, asks("")]);
        assert_eq!((needs(&still), of(&still).as_str()), (Some(Needs::Input), "Which?"), "its kind was told as well");
        turn.hear(&asks("run Bash: pwd"));
        assert_eq!(of(&turn), "run Bash: pwd", "the next one");
        turn.see(Seen::Asking(Needs::Input), Some("Which one?"));
        turn.see(Seen::Asking(Needs::Input), None);
        assert_eq!(of(&turn), "Which one?");
        turn.see(Seen::Asking(Needs::Input), Some("And which one now?"));
        assert_eq!(of(&turn), "And which one now?");
        turn.see(Seen::Asking(Needs::Input), Some("And which o ne now?"));
        assert_eq!(of(&turn), "And which one now?", "it was only wrapped anew");
        turn.hear(&Hook::Prompt { text: "x".into() });
        assert_eq!(turn.asks(), None);
        turn.see(Seen::Asking(Needs::Input), None);
        assert_eq!(of(&turn), "", "what was asked before is nothing of it");
    }

    #[test]
    fn a_service_is_waited_for_until_something_else_is_seen_or_heard() {
        let retry = || Some(Retry { attempt: Some(2), of: None, why: "overloaded".into() });
        let mut turn = heard(&[Hook::Prompt { text: "x".into() }]);
        turn.see_retry(retry());
        assert_eq!(turn.waits_for(), retry().map(Wait::Service));
        turn.see(Seen::Asking(Needs::Login), Some("not logged in"));
        assert!(matches!(turn.waits_for(), Some(Wait::Person(_))));
        turn.see(Seen::Working, None);
        turn.see_retry(None);
        assert_eq!(turn.waits_for(), None);
        turn.see_retry(retry());
        turn.hear(&Hook::ToolCall { name: "Bash".into(), summary: String::new() });
        assert_eq!(turn.waits_for(), None);
    }
}
