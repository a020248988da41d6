//! The one line that tells an idle program that something waits for it.
//!
//! Most of what waits is handed over at the end of a turn, by a hook. A program that is idle has no turn to end; so one
//! line is typed, which begins one. What comes while several results arrive together is told at once.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{
    drivers::Driver,
    model::event::EventKind,
    model::message::{Delivery, line_to_idle},
    mux::Screen,
    runner::{
        interactive::turn::Doing,
        interactive::typing::{Typed, Typist},
    },
    store::Store,
};

/// What else arrives within this time is told with it.
const GATHER: Duration = Duration::from_secs(1);
/// Where nothing was typed (somebody is typing, something stands in the prompt).
const AGAIN: Duration = Duration::from_secs(10);
/// Where it was typed and nothing was read since: the turn has failed, or there was none, and a person has to look. To type
/// it once more now and then does no harm, because it is typed into an empty prompt only.
const MUCH_LATER: Duration = Duration::from_secs(300);

/// When it is typed.
#[derive(Debug, Default)]
struct Schedule {
    /// Since when the program is idle while something waits.
    since: Option<Instant>,
    not_before: Option<Instant>,
    /// How much waited when the last line was typed; 0 once something of it was read.
    told: u64,
}

impl Schedule {
    /// What is known now.
    fn observe(&mut self, doing: Doing, waiting: u64, now: Instant) {
        match (doing, waiting) {
            (Doing::Idle, 1..) => self.since = self.since.or(Some(now)),
            _ => self.since = None,
        }
        // That a turn was made settles nothing: it may have failed, and the next one would too.
        if waiting < self.told {
            (self.not_before, self.told) = (None, 0);
        }
    }

    /// When it is due, if it is.
    fn due(&self) -> Option<Instant> {
        let due = self.since? + GATHER;
        Some(self.not_before.map_or(due, |not_before| due.max(not_before)))
    }

    /// What became of the line that told of so many.
    fn ended(&mut self, delivery: Delivery, told: u64, now: Instant) {
        if delivery != Delivery::Failed {
            self.told = told;
        }
        let pause = if delivery == Delivery::Failed { AGAIN } else { MUCH_LATER };
        self.not_before = Some(now + pause);
    }
}

/// Types it, where the program has a prompt that can be read.
pub(in crate::runner) struct Line {
    typist: Typist,
    driver: &'static dyn Driver,
    store: Arc<Store>,
    agent: String,
    /// How many messages wait for the program.
    mail: watch::Receiver<u64>,
    schedule: Schedule,
    /// How many prompts the program says were submitted.
    submitted: watch::Sender<u64>,
    under_way: Option<JoinHandle<Typed>>,
    /// How many the line under way tells of.
    telling: u64,
}

impl Line {
    /// For the program of this driver in that pane.
    pub fn new(
        typist: Typist,
        driver: &'static dyn Driver,
        store: Arc<Store>,
        agent: &str,
        mail: watch::Receiver<u64>,
    ) -> Self {
        let (schedule, submitted) = (Schedule::default(), watch::Sender::new(0));
        Line { typist, driver, store, agent: agent.to_owned(), mail, schedule, submitted, under_way: None, telling: 0 }
    }

    /// The program says that a prompt was submitted.
    pub fn submitted(&self) {
        self.submitted.send_modify(|count| *count += 1);
    }

    /// Does what is to be done while the program does what `doing` says; for ever. May be cancelled.
    pub async fn drive(&mut self, doing: &mut watch::Receiver<Doing>) {
        loop {
            let (does, waiting) = (*doing.borrow_and_update(), *self.mail.borrow_and_update());
            self.schedule.observe(does, waiting, Instant::now());
            let due = self.schedule.due().filter(|_| self.under_way.is_none());
            tokio::select! {
                Ok(()) = doing.changed() => {}
                Ok(()) = self.mail.changed() => {}
                typed = ended(&mut self.under_way) => self.note(&typed),
                () = at(due) => self.type_it(waiting),
                else => std::future::pending().await,
            }
        }
    }

    fn type_it(&mut self, waiting: u64) {
        self.telling = waiting;
        let (typist, driver, submitted) = (self.typist.clone(), self.driver, self.submitted.subscribe());
        self.under_way = Some(tokio::spawn(async move {
            let prompt = |screen: &Screen| driver.prompt(&screen.title, &screen.text);
            typist.type_line(&line_to_idle(waiting), prompt, submitted).await
        }));
    }

    /// What became of it.
    fn note(&mut self, typed: &Typed) {
        self.schedule.ended(typed.delivery, self.telling, Instant::now());
        let said =
            format!("{} was told by a typed line that something waits: {}, {}", self.agent, typed.delivery, typed.why);
        tracing::info!("{said}");
        if typed.delivery != Delivery::Failed {
            let store = self.store.clone();
            tokio::spawn(async move {
                if let Err(e) = store.note(EventKind::AgentPrompted, &said).await {
                    tracing::warn!("it is not among the events: {e}");
                }
            });
        }
    }
}

async fn ended(under_way: &mut Option<JoinHandle<Typed>>) -> Typed {
    let Some(handle) = under_way else { return std::future::pending().await };
    let typed = handle.await;
    *under_way = None;
    typed.unwrap_or_else(|e| Typed { delivery: Delivery::Unconfirmed, why: e.to_string() })
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_typed_once_while_the_program_is_idle_and_something_waits() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.observe(Doing::Idle, 0, now);
        assert_eq!(schedule.due(), None, "nothing waits");
        schedule.observe(Doing::Working, 2, now);
        assert_eq!(schedule.due(), None, "its next turn's end will do");
        schedule.observe(Doing::Idle, 2, now);
        schedule.observe(Doing::Idle, 3, now + GATHER / 2);
        assert_eq!(schedule.due(), Some(now + GATHER), "what arrives meanwhile does not put it off");
        schedule.ended(Delivery::Failed, 3, now);
        assert_eq!(schedule.due(), Some(now + AGAIN));
        schedule.ended(Delivery::Delivered, 3, now);
        assert_eq!(schedule.due(), Some(now + MUCH_LATER));
        schedule.observe(Doing::Working, 3, now);
        schedule.observe(Doing::Idle, 4, now);
        assert_eq!(schedule.due(), Some(now + MUCH_LATER), "a turn that has failed has read nothing");
        schedule.observe(Doing::Working, 0, now);
        schedule.observe(Doing::Idle, 1, now);
        assert_eq!(schedule.due(), Some(now + GATHER), "they were read, and another one waits");
    }
}
