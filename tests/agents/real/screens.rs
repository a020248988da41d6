//! The screens of the real programs at their own prompts. The recorded screens (`tests/fixtures/screens`) are those of
//! the pinned versions; these tests fail when a newer version looks different.

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

/// A fleet whose master's pane is observed.
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

    fn type_text(&self, text: &str) {
        self.fleet.world.tmux(&["send-keys", "-t", PANE, "-l", text]).ok();
    }

    /// Reports whether exactly this line stands at the prompt.
    fn is_typed(&self, line: &str) -> bool {
        let (_, screen) = self.terminal();
        let at_prompt = |shown: &str| shown.trim_matches(['❯', '›', '>', '│', ' ', '\u{a0}']) == line;
        screen.lines().any(at_prompt) && self.look() == (Seen::Idle, Prompt::Filled)
    }

    /// Types a line at the empty prompt, and submits it.
    #[track_caller]
    fn submit(&self, line: &str) {
        self.fleet.wait_until("the line is typed", || {
            match self.look() {
                (Seen::Idle, Prompt::Empty) => self.type_text(line),
                // The program may put an interrupted prompt back into the line, also a moment after it is idle.
                (Seen::Idle, Prompt::Filled) if !self.is_typed(line) => self.press("C-u"),
                _ => {}
            }
            let typed = Instant::now();
            while !self.is_typed(line) && typed.elapsed() < Duration::from_secs(2) {
                std::thread::sleep(Duration::from_millis(20));
            }
            self.is_typed(line)
        });
        // The program ignores an Enter that follows immediately, and a surplus Enter would answer the next question.
        let mut pressed: Option<Instant> = None;
        self.fleet.wait_until("the model is asked", || {
            // A screen that is just being drawn is no proof that the line is gone: the question is.
            let is_pending = self.look() == (Seen::Idle, Prompt::Filled);
            if is_pending && pressed.is_none_or(|at| at.elapsed() > Duration::from_secs(2)) {
                self.press("Enter");
                pressed = Some(Instant::now());
            }
            self.fleet.model.times_asked(line) > 0
        });
    }
}

/// Asserts that the driver recognizes the program while it works, is interrupted, asks, is denied, and answers.
#[track_caller]
fn assert_states_are_recognized(kind: DriverKind, tables: &str, asks: Answer) {
    let rules = vec![
        when("take your time").answer(Answer::Hang),
        when("touch it").step(0).answer(asks),
        when("say it")
            .answer(Answer::text("Do you want to proceed?\n❯ 1. Yes\n  2. No\n\nEsc to cancel · Tab to amend")),
        // Requests of the program itself, such as one for a title.
        when("").answer(Answer::text("A title")),
    ];
    let Some(fleet) = Fleet::with_master(&[kind.as_str()], kind.as_str(), tables, rules) else { return };
    let watched = Watched { fleet, kind };
    watched.submit("take your time");
    watched.until(Seen::Working, Prompt::Empty);
    watched.press("Escape");
    watched.fleet.wait_until("the program is idle", || watched.look().0 == Seen::Idle);
    watched.submit("touch it");
    watched.until(Seen::Asking(Needs::Permission), Prompt::Absent);
    watched.press("Escape");
    watched.submit("say it");
    watched.fleet.wait_until("the answer is on the screen", || {
        watched.fleet.world.pane("opus-master").contains("Esc to cancel")
    });
    watched.until(Seen::Idle, Prompt::Empty);
    watched.fleet.stop();
}

#[test]
fn the_states_of_claude_are_recognized() {
    assert_states_are_recognized(
        DriverKind::Claude,
        "permission_mode = \"manual\"",
        tool("Bash", json!({"command": "touch it"})),
    );
}

#[test]
fn the_states_of_codex_are_recognized() {
    let asks = json!({"cmd": "touch it", "sandbox_permissions": "require_escalated", "justification": "May I?"});
    assert_states_are_recognized(DriverKind::Codex, "", tool("exec_command", asks));
}

#[test]
fn the_states_of_gemini_are_recognized() {
    // Without a model, gemini asks first which one to use.
    let tables = "model = \"gemini-2.5-pro\"";
    assert_states_are_recognized(DriverKind::Gemini, tables, tool("run_shell_command", json!({"command": "touch it"})));
}
