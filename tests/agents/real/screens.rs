//! The screens of the real programs at their own prompts. The recorded screens (`tests/fixtures/screens`) are those of
//! the versions that are pinned here; these tests fail when a newer version looks different.

use std::time::{Duration, Instant};

use orch::{
    config::DriverKind,
    drivers::{self, Prompt, Seen},
    model::wait::Needs,
};
use serde_json::json;

use super::fleet::{Fleet, RETRY_FOR};
use crate::model_server::{Answer, tool, when};

const PANE: &str = "=opus-master:";

/// The master's pane.
struct Watched {
    fleet: Fleet,
    kind: DriverKind,
}

impl Watched {
    fn terminal(&self) -> (String, String) {
        let title = self.fleet.world.tmux(&["display-message", "-p", "-t", PANE, "#{pane_title}"]).stdout;
        (title.trim_end_matches('\n').to_owned(), self.fleet.world.tmux(&["capture-pane", "-p", "-t", PANE]).stdout)
    }

    fn look(&self) -> (Seen, Prompt) {
        let driver = drivers::of(self.kind).expect("a driver");
        let (title, screen) = self.terminal();
        (driver.see(&title, &screen), driver.prompt(&title, &screen))
    }

    #[track_caller]
    fn until(&self, seen: Seen, prompt: Prompt) {
        let began = Instant::now();
        while self.look() != (seen, prompt) {
            let (title, screen) = self.terminal();
            let what = format!("{} is seen {seen:?}, its prompt {prompt:?}", self.kind);
            assert!(began.elapsed() < RETRY_FOR, "{what}, and not {:?}: [{title}]\n{screen}", self.look());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&self, key: &str) {
        self.fleet.world.tmux(&["send-keys", "-t", PANE, key]).ok();
    }

    /// Types a line at the empty prompt, and submits it.
    #[track_caller]
    fn say(&self, line: &str) {
        self.until(Seen::Idle, Prompt::Empty);
        self.fleet.world.tmux(&["send-keys", "-t", PANE, "-l", line]).ok();
        self.until(Seen::Idle, Prompt::Filled);
        // An Enter that comes at once is lost; one that comes too often answers what is asked next.
        let mut pressed: Option<Instant> = None;
        self.fleet.wait_until("the line is taken", || {
            let stands = self.look() == (Seen::Idle, Prompt::Filled);
            if stands && pressed.is_none_or(|at| at.elapsed() > Duration::from_secs(2)) {
                self.press("Enter");
                pressed = Some(Instant::now());
            }
            !stands
        });
    }
}

/// Works, is interrupted, asks, is refused, and answers.
#[track_caller]
fn is_seen(kind: DriverKind, tables: &str, asks: Answer) {
    let rules = vec![
        when("take your time").answer(Answer::Hang),
        when("touch it").step(0).answer(asks),
        when("say it")
            .answer(Answer::text("Do you want to proceed?\n❯ 1. Yes\n  2. No\n\nEsc to cancel · Tab to amend")),
        // Whatever it asks for itself, such as a title.
        when("").answer(Answer::text("A title")),
    ];
    let Some(fleet) = Fleet::with_master(&[kind.as_str()], kind.as_str(), tables, rules) else { return };
    let watched = Watched { fleet, kind };
    watched.say("take your time");
    watched.until(Seen::Working, Prompt::Empty);
    watched.press("Escape");
    watched.fleet.wait_until("it is idle", || watched.look().0 == Seen::Idle);
    // What was interrupted before an answer may have been put back.
    if watched.look().1 == Prompt::Filled {
        watched.press("C-u");
    }
    watched.say("touch it");
    watched.until(Seen::Asking(Needs::Permission), Prompt::Absent);
    watched.press("Escape");
    watched.say("say it");
    watched.fleet.wait_until("it is said", || watched.fleet.world.pane("opus-master").contains("Esc to cancel"));
    watched.until(Seen::Idle, Prompt::Empty);
    watched.fleet.stop();
}

#[test]
fn claude_is_seen_for_what_it_does() {
    is_seen(DriverKind::Claude, "permission_mode = \"manual\"", tool("Bash", json!({"command": "touch it"})));
}

#[test]
fn codex_is_seen_for_what_it_does() {
    let asks = json!({"cmd": "touch it", "sandbox_permissions": "require_escalated", "justification": "May I?"});
    is_seen(DriverKind::Codex, "", tool("exec_command", asks));
}

#[test]
fn gemini_is_seen_for_what_it_does() {
    // Else it asks first which model is to answer.
    let tables = "model = \"gemini-2.5-pro\"";
    is_seen(DriverKind::Gemini, tables, tool("run_shell_command", json!({"command": "touch it"})));
}
