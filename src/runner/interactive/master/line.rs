//! The line that is typed into an idle program when messages wait for it.
//!
//! Most messages are delivered at the end of a turn, by a hook. An idle program has no turn to end; so one line is
//! typed, which starts a turn. Results that arrive together are announced with one line.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{
    drivers::Driver,
    model::event::EventKind,
    model::{
        message::{Delivery, line_to_idle},
        time::Timestamp,
    },
    mux::Screen,
    runner::{
        interactive::turn::Doing,
        interactive::typing::{Typed, Typist},
    },
    store::Store,
};

/// Messages that arrive within this time are announced together.
const GATHER: Duration = Duration::from_secs(1);
/// Pause after an attempt that typed nothing (a user is typing, or the prompt is not empty).
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// Pause after a line was typed and no message was read since: the turn failed, or there was none, and a person has to
/// look. Typing the line again occasionally does no harm, because it is typed into an empty prompt only.
const MUCH_LATER: Duration = Duration::from_secs(300);

/// The line to a program whose last turn ended because its account was limited, once the limit has ended.
const GO_ON: &str = "[orch] The limit of your account has ended: go on where your last turn stopped";

/// When the line is typed.
#[derive(Debug, Default)]
struct Schedule {
    /// Since when the program is idle while messages wait.
    since: Option<Instant>,
    not_before: Option<Instant>,
    /// How many messages waited when the last line was typed; 0 after one of them was read.
    announced: u64,
}

impl Schedule {
    /// Records the current state. `limited`: how long the account of its program is limited yet, if its last turn ended with
    /// that. Then nothing is typed before, and the turn goes on afterwards, also without messages.
    fn observe(&mut self, doing: Doing, waiting: u64, limited: Option<Duration>, now: Instant) {
        match (doing, waiting) {
            (Doing::Idle, 1..) => self.since = self.since.or(Some(now)),
            _ => self.since = None,
        }
        if let (Doing::Idle, Some(left)) = (doing, limited) {
            self.since = now.checked_add(left);
        }
        // A finished turn proves nothing: it may have failed, and the next one would too.
        if waiting < self.announced {
            (self.not_before, self.announced) = (None, 0);
        }
    }

    /// Returns when the line is due, if it is.
    fn due(&self) -> Option<Instant> {
        let due = self.since? + GATHER;
        Some(self.not_before.map_or(due, |not_before| due.max(not_before)))
    }

    /// Records the outcome of a line that announced this many messages.
    fn ended(&mut self, delivery: Delivery, announced: u64, now: Instant) {
        if delivery != Delivery::Failed {
            self.announced = announced;
        }
        let pause = if delivery == Delivery::Failed { RETRY_PAUSE } else { MUCH_LATER };
        self.not_before = Some(now + pause);
    }
}

/// Types the line, where the program has a prompt that can be read.
pub(in crate::runner) struct Line {
    typist: Typist,
    driver: &'static dyn Driver,
    store: Arc<Store>,
    agent: String,
    /// How many messages wait for the program.
    mail: watch::Receiver<u64>,
    schedule: Schedule,
    /// How many submitted prompts the program has reported.
    submitted: watch::Sender<u64>,
    under_way: Option<JoinHandle<Typed>>,
    /// How many messages the line being typed announces.
    telling: u64,
}

impl Line {
    /// Creates it for a program of this driver in that pane.
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

    /// Records that the program has reported a submitted prompt.
    pub fn submitted(&self) {
        self.submitted.send_modify(|count| *count += 1);
    }

    /// Returns whether the program is at its empty prompt, and nothing is being typed.
    pub async fn is_free(&self) -> bool {
        let prompt = |screen: &Screen| self.driver.prompt(&screen.title, &screen.text);
        self.under_way.is_none() && self.typist.is_free(prompt).await
    }

    /// Types when due, according to the state in `doing` and the end of the limit that the last turn has reached; never
    /// returns. Cancel safe.
    pub async fn drive(&mut self, doing: &mut watch::Receiver<Doing>, limit: &mut watch::Receiver<Option<Timestamp>>) {
        loop {
            let (does, waiting) = (*doing.borrow_and_update(), *self.mail.borrow_and_update());
            let limited = *limit.borrow_and_update();
            let left = limited.map(|until| until.since(Timestamp::now()));
            self.schedule.observe(does, waiting, left, Instant::now());
            let due = self.schedule.due().filter(|_| self.under_way.is_none());
            tokio::select! {
                Ok(()) = doing.changed() => {}
                Ok(()) = limit.changed() => {}
                Ok(()) = self.mail.changed() => {}
                typed = ended(&mut self.under_way) => self.note(&typed),
                () = at(due) => self.type_it(waiting, limited.is_some()),
                else => std::future::pending().await,
            }
        }
    }

    fn type_it(&mut self, waiting: u64, was_limited: bool) {
        self.telling = waiting;
        let (typist, driver, submitted) = (self.typist.clone(), self.driver, self.submitted.subscribe());
        let has_hooks = driver.manifest().capabilities.hooks;
        let line = match (was_limited, waiting) {
            // The prompt hook of a program that has one adds the messages.
            (true, _) if has_hooks => GO_ON.to_owned(),
            (true, 0) => GO_ON.to_owned(),
            (true, _) => format!("{GO_ON}; {}", line_to_idle(waiting, has_hooks)),
            (false, _) => line_to_idle(waiting, has_hooks),
        };
        self.under_way = Some(tokio::spawn(async move {
            let prompt = |screen: &Screen| driver.prompt(&screen.title, &screen.text);
            typist.type_line(&line, prompt, submitted).await
        }));
    }

    /// Records the outcome.
    fn note(&mut self, typed: &Typed) {
        self.schedule.ended(typed.delivery, self.telling, Instant::now());
        let what = if self.telling > 0 { "notified of waiting messages" } else { "told to go on after a limit" };
        let said = format!("{} was {what} by a typed line: {}, {}", self.agent, typed.delivery, typed.why);
        tracing::info!("{said}");
        if typed.delivery != Delivery::Failed {
            let store = self.store.clone();
            tokio::spawn(async move {
                if let Err(e) = store.note(EventKind::AgentPrompted, &said).await {
                    tracing::warn!("the event could not be recorded: {e}");
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
    fn it_is_typed_once_while_the_program_is_idle_and_messages_wait() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.observe(Doing::Idle, 0, None, now);
        assert_eq!(schedule.due(), None, "nothing waits");
        schedule.observe(Doing::Working, 2, None, now);
        assert_eq!(schedule.due(), None, "the end of its next turn delivers them");
        schedule.observe(Doing::Idle, 2, None, now);
        schedule.observe(Doing::Idle, 3, None, now + GATHER / 2);
        assert_eq!(schedule.due(), Some(now + GATHER), "later messages do not postpone it");
        schedule.ended(Delivery::Failed, 3, now);
        assert_eq!(schedule.due(), Some(now + RETRY_PAUSE));
        schedule.ended(Delivery::Delivered, 3, now);
        assert_eq!(schedule.due(), Some(now + MUCH_LATER));
        schedule.observe(Doing::Working, 3, None, now);
        schedule.observe(Doing::Idle, 4, None, now);
        assert_eq!(schedule.due(), Some(now + MUCH_LATER), "a turn that has failed has read nothing");
        schedule.observe(Doing::Working, 0, None, now);
        schedule.observe(Doing::Idle, 1, None, now);
        assert_eq!(schedule.due(), Some(now + GATHER), "they were read, and another one waits");
    }

    #[test]
    fn a_turn_that_ended_with_a_limit_goes_on_after_it_and_nothing_is_typed_before() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        let hours = Duration::from_secs(3 * 3600);
        schedule.observe(Doing::Idle, 0, Some(hours), now);
        assert_eq!(schedule.due(), Some(now + hours + GATHER));
        schedule.observe(Doing::Idle, 2, Some(hours / 2), now + hours / 2);
        assert_eq!(schedule.due(), Some(now + hours + GATHER), "messages wait for the end of the limit");
        schedule.observe(Doing::Working, 2, None, now + hours);
        assert_eq!(schedule.due(), None);
        schedule.observe(Doing::Idle, 0, None, now + hours);
        assert_eq!(schedule.due(), None, "its user has gone on");
    }
}
