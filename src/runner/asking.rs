//! Shows the current question of the agent's program to a person, in its pane and in the status line of its session. A
//! program that has the terminal to itself leaves only the status line.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::output::pane::Pane;
use crate::{
    model::{attention::Attention, text::one_line},
    mux::{Tags, TmuxMux},
};

/// Columns of a question in the status line.
const IN_STATUS_LINE: usize = 300;

/// The questions that the program waits for, the first one first.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    pane: Pane,
    open: Arc<Mutex<Vec<Attention>>>,
    /// What the status line shows.
    line: watch::Sender<Option<String>>,
}

impl Asking {
    /// Nothing is asked yet.
    pub fn new(pane: Pane) -> Self {
        Asking { pane, open: Arc::default(), line: watch::Sender::new(None) }
    }

    /// Shows from now on in the status line of this session what is asked, until the runner ends.
    pub fn show_in_status_line(&self, mux: TmuxMux, session: String, tags: Tags) {
        let mut line = self.line.subscribe();
        tokio::spawn(async move {
            while line.changed().await.is_ok() {
                let shown = line.borrow_and_update().clone();
                if let Err(e) = mux.set_status_line(&session, &tags, shown.as_deref()).await {
                    tracing::warn!("the status line of the session: {e}");
                }
            }
        });
    }

    /// The program waits for the answer to a question from now on (`begins`), or no longer.
    pub fn note(&self, asked: &Attention, begins: bool) {
        let mut open = self.open();
        open.retain(|one| one.question_id != asked.question_id);
        if begins {
            open.push(asked.clone());
            self.show(asked);
        }
        let shown = in_status_line(&open);
        self.line.send_if_modified(|line| {
            let is_new = *line != shown;
            *line = shown;
            is_new
        });
    }

    /// Shows what is asked again, and what Ctrl-C does. `false`: nothing is asked.
    pub fn remind(&self) -> bool {
        let open = self.open();
        open.iter().for_each(|asked| self.show(asked));
        if !open.is_empty() {
            self.pane.print("orch: press Ctrl-C again to cancel the task");
        }
        !open.is_empty()
    }

    fn show(&self, asked: &Attention) {
        let name = asked.question_id.as_ref().map(ToString::to_string).unwrap_or_default();
        self.pane.print(&format!("── {name} asks a person:"));
        asked.text.iter().flat_map(|text| text.lines()).for_each(|line| self.pane.print(&format!("   {line}")));
        if !asked.options.is_empty() {
            self.pane.print(&format!("   choices: {}", asked.options.join(", ")));
        }
        self.pane.print("   answer it in another terminal:");
        asked.commands.iter().for_each(|command| self.pane.print(&format!("     {command}")));
    }

    fn open(&self) -> MutexGuard<'_, Vec<Attention>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first question with the command that answers it: `orch answer t-7k2m9qx4hz#1 red | Which one? (red, blue)`. The
/// command comes first, because a narrow terminal shows only the beginning.
fn in_status_line(open: &[Attention]) -> Option<String> {
    let asked = open.first()?;
    let text = one_line(asked.text.as_deref().unwrap_or_default(), IN_STATUS_LINE);
    let options = match asked.options.is_empty() {
        true => String::new(),
        false => format!(" ({})", one_line(&asked.options.join(", "), IN_STATUS_LINE)),
    };
    let more = if open.len() > 1 { format!(" [1 of {}: orch questions]", open.len()) } else { String::new() };
    let command = asked.commands.first().map_or("orch questions", String::as_str);
    Some(format!("{command}{more} | {text}{options}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{attention::AttentionKind, question::QuestionRef};

    #[test]
    fn the_pane_shows_a_question_whole_and_ctrl_c_shows_it_again() {
        let (pane, mut printed) = Pane::unwritten();
        let asking = Asking::new(pane);
        assert!(!asking.remind());
        let id: QuestionRef = "t-7k2m9qx4hz#1".parse().unwrap();
        let asked = Attention {
            question_id: Some(id),
            text: Some("Which one?\nIt stays.".into()),
            options: vec!["red".into(), "blue".into()],
            commands: vec!["orch answer t-7k2m9qx4hz#1 red".into()],
            ..Attention::new(AttentionKind::Question, "", "")
        };
        asking.note(&asked, true);
        let shown = String::from_utf8(printed()).unwrap();
        for line in ["t-7k2m9qx4hz#1 asks", "   Which one?", "   It stays.", "choices: red, blue", "orch answer t-7k"] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        let line = asking.line.borrow().clone();
        assert_eq!(line.as_deref(), Some("orch answer t-7k2m9qx4hz#1 red | Which one?… (red, blue)"));
        assert!(asking.remind());
        assert!(String::from_utf8(printed()).unwrap().contains("Ctrl-C again"));
        asking.note(&asked, false);
        assert!(!asking.remind(), "it is answered");
        assert_eq!(*asking.line.borrow(), None);
    }
}
