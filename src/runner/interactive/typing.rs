//! Types a line into the program's own prompt, and finds out whether it was taken.
//!
//! Typing is the last resort: a program that can be told otherwise is. A pane that takes bytes proves nothing, so the line
//! counts as delivered only when the program itself says that a prompt was submitted. And Enter at the wrong moment answers
//! a question that only its user may answer; so it is pressed only where our line is seen to stand in the prompt, and a
//! second time only where it still stands there.

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

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runner) struct Typed {
    /// `Delivered`: the program says that a prompt was submitted. `Failed`: nothing was typed, so it may be tried again.
    /// `Unconfirmed`: it was typed and may stand there, or may have been read; typing it again could say it twice.
    pub delivery: Delivery,
    /// Why it was not delivered, in words; of a delivered one, how.
    pub why: String,
}

/// How long things take.
#[derive(Debug, Clone)]
pub(in crate::runner) struct Pace {
    /// Whoever has typed or attached within this time may go on.
    pub person: Duration,
    /// After this long it is known whether somebody who has attached types as well.
    pub attached: Duration,
    /// Between a paste and Enter: programs lose an Enter that comes at once.
    pub before_enter: Duration,
    /// How long a program may take to show what was pasted, and how often it is looked for.
    pub shown: (Duration, Duration),
    /// How long it may take to say that a prompt was submitted.
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
    /// tmux's own id of it.
    pub pane: String,
    /// Of its session.
    pub tags: Tags,
    pub pace: Pace,
}

impl Typist {
    /// Types a line and presses Enter, where the prompt is empty and no person is typing. `prompt` reads a screen;
    /// `submitted` counts the prompts that the program says were submitted, whoever has.
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
        let stands = |screen: &Screen| prompt(screen) == Prompt::Filled && times(screen, text) > before;
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
                Ok(_) => return unconfirmed("it has left the prompt, and the program has not said so".to_owned()),
                Err(why) => return unconfirmed(why),
            }
        }
        unconfirmed("it stands in the prompt, and Enter does not submit it".to_owned())
    }

    /// The screen, if there is an empty prompt, and nobody who types.
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

    /// The screen, if nobody but us has typed since then. Of somebody who attaches meanwhile that is known a second later.
    async fn look(&self, began: Instant) -> Result<Screen, String> {
        loop {
            let screen = self.mux.screen(&self.pane).await.map_err(|e| e.to_string())?;
            if screen.last_typed.is_some_and(|ago| ago < began.elapsed()) {
                return Err("a person has begun to type: it is theirs to submit".to_owned());
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

/// How often a text stands on a screen, wherever its lines were broken and whatever frame is drawn around them.
fn times(screen: &Screen, text: &str) -> usize {
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace() && !is_frame(*c)).collect::<String>();
    bare(&screen.text).matches(&bare(text)).count()
}

/// Box drawings and block elements, and the plain bar that stands in for them.
fn is_frame(c: char) -> bool {
    matches!(c, '\u{2500}'..='\u{259f}' | '|')
}

#[cfg(test)]
mod tests;
