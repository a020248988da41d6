//! Types a line into the program's own prompt, and checks whether the program accepted it.
//!
//! Typing is the last resort, for programs that have no other input. A pane that accepts bytes proves nothing, so the
//! line counts as delivered only when the program itself reports a submitted prompt. Enter at the wrong moment would
//! answer a question that only the user may answer; so it is pressed only where our line is seen in the prompt, and a
//! second time only where it is still there.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    drivers::Prompt,
    model::message::Delivery,
    mux::{Mux, MuxError, Screen, Tags},
};

/// The outcome of a typed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runner) struct Typed {
    /// `Delivered`: the program reports a submitted prompt. `Failed`: nothing was typed, so it may be tried again.
    /// `Unconfirmed`: it was typed, and may still be in the prompt or may have been read; typing it again could
    /// deliver it twice.
    pub delivery: Delivery,
    /// Why it was not delivered, in words; for a delivered line, how.
    pub why: String,
}

/// The time limits.
#[derive(Debug, Clone)]
pub(in crate::runner) struct Pace {
    /// A user that has typed or attached within this time may continue to type.
    pub person: Duration,
    /// After this time it is known whether a user who has attached also types.
    pub attached: Duration,
    /// Between a paste and Enter: programs lose an Enter that follows immediately.
    pub before_enter: Duration,
    /// How long a program may take to show what was pasted, and how often the screen is checked.
    pub shown: (Duration, Duration),
    /// How long it may take to report a submitted prompt.
    pub confirmed: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            person: Duration::from_secs(5),
            attached: Duration::from_secs(1),
            before_enter: Duration::from_millis(300),
            shown: (Duration::from_secs(2), Duration::from_millis(100)),
            confirmed: Duration::from_secs(5),
        }
    }
}

/// Types into one pane.
#[derive(Clone)]
pub(in crate::runner) struct Typist {
    pub mux: Arc<dyn Mux>,
    /// tmux's own id of the pane.
    pub pane: String,
    /// The name of its session.
    pub tags: Tags,
    pub pace: Pace,
}

impl Typist {
    /// Types a line and presses Enter, if the prompt is empty and no user is typing. `prompt` reads a screen;
    /// `submitted` counts the submitted prompts that the program reports, from any source.
    pub async fn type_line(
        &self,
        text: &str,
        prompt: impl Fn(&Screen) -> Prompt + Send,
        mut submitted: watch::Receiver<u64>,
    ) -> Typed {
        let earlier = *submitted.borrow_and_update();
        let before = match self.look_before(&prompt).await {
            Ok(screen) => times(&screen, text),
            Err(why) => return failed(why),
        };
        let began = Instant::now();
        match self.mux.paste(&self.pane, &self.tags, text).await {
            Ok(true) => {}
            Ok(false) => return failed("the pane is not ours, or its program has ended".to_owned()),
            Err(e @ MuxError::Unreachable(_)) => return unconfirmed(e.to_string()),
            Err(e) => return failed(e.to_string()),
        }
        tokio::time::sleep(self.pace.before_enter).await;
        let stands = |screen: &Screen| {
            prompt(screen) == Prompt::Filled && times(screen, text) > before && begins_its_line(screen, text)
        };
        if let Err(why) = self.see_it(&stands, began).await {
            return unconfirmed(why);
        }
        for press in ["Enter was pressed", "Enter was pressed twice"] {
            match self.mux.press_enter(&self.pane, &self.tags).await {
                Ok(true) => {}
                Ok(false) => return unconfirmed("the pane is no longer ours".to_owned()),
                Err(e) => return unconfirmed(e.to_string()),
            }
            match tokio::time::timeout(self.pace.confirmed, submitted.wait_for(|now| *now > earlier)).await {
                Ok(Ok(_)) => return Typed { delivery: Delivery::Delivered, why: press.to_owned() },
                Ok(Err(_)) => return unconfirmed("its program has ended".to_owned()),
                Err(_) => {}
            }
            match self.look(began).await {
                Ok(screen) if stands(&screen) => {}
                Ok(_) => return unconfirmed("it has left the prompt, and the program has not reported it".to_owned()),
                Err(why) => return unconfirmed(why),
            }
        }
        unconfirmed("it is in the prompt, and Enter does not submit it".to_owned())
    }

    /// Returns whether there is an empty prompt and no user is typing.
    pub async fn is_free(&self, prompt: impl Fn(&Screen) -> Prompt) -> bool {
        self.look_before(&prompt).await.is_ok()
    }

    /// Returns the screen, if there is an empty prompt and no user is typing.
    async fn look_before(&self, prompt: &impl Fn(&Screen) -> Prompt) -> Result<Screen, String> {
        let screen = self.mux.screen(&self.pane).await.map_err(|e| e.to_string())?;
        if screen.last_typed.is_some_and(|ago| ago < self.pace.person) {
            return Err("a person is typing".to_owned());
        }
        if screen.last_attached.is_some_and(|ago| ago < self.pace.person) {
            return Err("a person has just attached".to_owned());
        }
        match prompt(&screen) {
            Prompt::Empty => Ok(screen),
            Prompt::Filled => Err("something stands in the prompt".to_owned()),
            Prompt::Absent => Err("the program shows no prompt".to_owned()),
        }
    }

    /// Returns the screen, if no user has typed since `began`. Whether a client that attaches meanwhile types is known
    /// a second later.
    async fn look(&self, began: Instant) -> Result<Screen, String> {
        loop {
            let screen = self.mux.screen(&self.pane).await.map_err(|e| e.to_string())?;
            if screen.last_typed.is_some_and(|ago| ago < began.elapsed()) {
                return Err("a person has begun to type, and decides whether to submit it".to_owned());
            }
            if screen.last_attached.is_none_or(|ago| ago >= self.pace.attached.min(began.elapsed())) {
                return Ok(screen);
            }
            tokio::time::sleep(self.pace.shown.1).await;
        }
    }

    /// Waits until the line is seen.
    async fn see_it(&self, stands: &impl Fn(&Screen) -> bool, began: Instant) -> Result<(), String> {
        let (limit, often) = self.pace.shown;
        let start = Instant::now();
        while !stands(&self.look(began).await?) {
            if start.elapsed() >= limit {
                return Err("it is not seen in the prompt, so Enter was not pressed".to_owned());
            }
            tokio::time::sleep(often).await;
        }
        Ok(())
    }
}

fn failed(why: String) -> Typed {
    Typed { delivery: Delivery::Failed, why }
}

fn unconfirmed(why: String) -> Typed {
    Typed { delivery: Delivery::Unconfirmed, why }
}

/// Counts how many times a text is on a screen, regardless of line breaks and of frames drawn around it.
fn times(screen: &Screen, text: &str) -> usize {
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace() && !is_frame(*c)).collect::<String>();
    bare(&screen.text).matches(&bare(text)).count()
}

/// Returns whether the last copy of a text has nothing but marks of the prompt before it. An interrupted program may put back
/// what its user had asked a moment after its prompt was empty; both together are not to be submitted.
fn begins_its_line(screen: &Screen, text: &str) -> bool {
    // A longer beginning could be broken by a narrow pane.
    let beginning: String = text.chars().take(8).collect();
    let last = screen.text.lines().rev().find_map(|line| line.split_once(beginning.trim_end()));
    last.is_some_and(|(before, _)| !before.contains(char::is_alphanumeric))
}

/// Returns whether it is a box drawing or block element, or the plain bar that replaces one.
fn is_frame(c: char) -> bool {
    matches!(c, '\u{2500}'..='\u{259f}' | '|')
}

#[cfg(test)]
mod tests;
