//! What a program on a terminal is doing, from all that is known of it. Pure.
//!
//! Hooks are the surest word, and come at once; but none comes after Esc, nor between a permission that was given and the
//! end of the tool. So the screen is looked at as well, while the program is not idle.

use crate::{
    drivers::{Hook, Seen, Source},
    model::agent::Needs,
};

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
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
pub(super) struct Turn {
    doing: Doing,
    /// Seen idle once while it was thought to work: between two of its steps a screen may look so.
    looked_idle: bool,
}

impl Default for Turn {
    fn default() -> Self {
        Turn { doing: Doing::Starting, looked_idle: false }
    }
}

impl Turn {
    /// What it does.
    pub fn doing(&self) -> Doing {
        self.doing
    }

    /// What it asks for.
    pub fn needs(&self) -> Option<Needs> {
        match self.doing {
            Doing::Asking(what) => Some(what),
            _ => None,
        }
    }

    /// One of its hooks was called.
    pub fn hear(&mut self, hook: &Hook) {
        self.looked_idle = false;
        self.doing = match hook {
            // It goes on with what it does.
            Hook::Began { source: Source::Compact, .. } => return,
            Hook::Began { .. } | Hook::Ended { .. } | Hook::Failed { .. } => Doing::Idle,
            Hook::Prompt { .. } | Hook::ToolCall { .. } | Hook::ToolResult { .. } => Doing::Working,
            Hook::Asks { what, .. } => Doing::Asking(*what),
            Hook::Left => Doing::Starting,
        };
    }

    /// Its terminal was looked at.
    pub fn see(&mut self, seen: Seen) {
        let looked_idle = std::mem::take(&mut self.looked_idle);
        match (seen, self.doing) {
            (Seen::Unknown, _) => {}
            (Seen::Asking(what), _) => self.doing = Doing::Asking(what),
            (Seen::Working, _) => self.doing = Doing::Working,
            (Seen::Idle, Doing::Idle | Doing::Starting) => self.doing = Doing::Idle,
            (Seen::Idle, _) if looked_idle => self.doing = Doing::Idle,
            (Seen::Idle, _) => self.looked_idle = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(hooks: &[Hook]) -> Turn {
        let mut turn = Turn::default();
        hooks.iter().for_each(|hook| turn.hear(hook));
        turn
    }

    fn asks() -> Hook {
        Hook::Asks { what: Needs::Permission, of: "Bash".into() }
    }

    #[test]
    fn hooks_say_at_once_what_it_does() {
        let prompt = Hook::Prompt { text: "x".into() };
        assert_eq!(heard(&[]).doing(), Doing::Starting);
        assert_eq!(heard(&[Hook::Began { session: None, source: Source::Startup }]).doing(), Doing::Idle);
        assert_eq!(heard(std::slice::from_ref(&prompt)).doing(), Doing::Working);
        assert_eq!(heard(&[prompt.clone(), asks()]).needs(), Some(Needs::Permission));
        let compacted = Hook::Began { session: None, source: Source::Compact };
        assert_eq!(heard(&[prompt.clone(), compacted]).doing(), Doing::Working, "it goes on");
        assert_eq!(heard(&[prompt, Hook::Ended { said: None }]).doing(), Doing::Idle);
    }

    #[test]
    fn the_screen_says_what_no_hook_does() {
        let mut turn = heard(&[asks()]);
        turn.see(Seen::Unknown);
        assert_eq!(turn.needs(), Some(Needs::Permission), "a screen that says nothing changes nothing");
        turn.see(Seen::Working);
        assert_eq!(turn.doing(), Doing::Working, "it was allowed");
        turn.see(Seen::Idle);
        assert_eq!(turn.doing(), Doing::Working, "between two steps");
        turn.see(Seen::Idle);
        assert_eq!(turn.doing(), Doing::Idle, "Esc");
        turn.see(Seen::Asking(Needs::Login));
        assert_eq!(turn.needs(), Some(Needs::Login));
    }

    #[test]
    fn a_step_between_two_looks_makes_the_first_one_old() {
        let mut turn = heard(&[Hook::Prompt { text: "x".into() }]);
        turn.see(Seen::Idle);
        turn.hear(&Hook::ToolCall { name: "Bash".into(), summary: String::new() });
        turn.see(Seen::Idle);
        assert_eq!(turn.doing(), Doing::Working);
    }
}
