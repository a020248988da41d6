//! Events that an agent program reports while it works, in one form for all programs.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::{
    hook::Hook,
    rate_limit::{self, Clock},
};
use crate::model::{
    end_code::EndCode,
    task::Usage,
    time::Timestamp,
    wait::{Need, Needs},
    window::Window,
};

/// Reads what one run of a program prints, line by line. A line that it does not understand is [`Event::Unknown`] and never an
/// error, because programs change.
pub trait Transcript: Send {
    /// Returns the events of a line of standard output, which is passed without its line break.
    fn line(&mut self, line: &str) -> Vec<Event>;

    /// Returns the events of a line of standard error, for programs that report something there. The line is shown unchanged.
    fn error_line(&mut self, _line: &str) -> Vec<Event> {
        Vec::new()
    }

    /// Reports whether its hooks report something that its stream does not ([`Transcript::hooked`]).
    fn reads_hooks(&self) -> bool {
        false
    }

    /// Returns the events of a call of a hook.
    fn hooked(&mut self, _hook: Hook) -> Vec<Event> {
        Vec::new()
    }

    /// Reports whether a line of standard error says nothing about the task, and is left out.
    fn is_noise(&self, _line: &str) -> bool {
        false
    }
}

/// One thing that a program reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A conversation has begun or continues.
    Started {
        /// Its session id; `None`: the one that the program was given ([`Start::session`](crate::drivers::Start::session)), or
        /// none.
        session: Option<String>,
        /// The model that answers.
        model: Option<String>,
    },
    /// The program records the conversation in a file.
    KeptIn {
        /// A file.
        path: String,
    },
    /// Its service answers, but there is nothing to report yet.
    Answers,
    /// A turn begins: what was said before is not the result.
    Turn,
    /// The turn was about to end, and continues with what was passed on: the last text is an answer, but not the last one.
    HandedOver,
    /// The model says something.
    Text(String),
    /// The model uses a tool.
    ToolCall {
        /// The tool, as the program calls it.
        name: String,
        /// What for, in a few words.
        summary: String,
    },
    /// The result of a tool.
    ToolResult {
        /// Whether it worked.
        ok: bool,
        /// What it printed, not cut.
        summary: String,
    },
    /// What the last call of a tool changes in a file: lines that begin with `-` or `+`, not cut.
    Changes(String),
    /// A warning or an error of the program itself, after which it continues.
    Note(String),
    /// Tokens and cost of this run so far.
    Usage(Usage),
    /// It needs a person to continue, or did not do something without one.
    Needs {
        /// What kind of help.
        what: Needs,
        /// For what.
        of: String,
    },
    /// It asks its user on its screen, and waits.
    Asks(Need),
    /// How much of a window of its subscription is used.
    Window(Window),
    /// The service has reached a limit.
    RateLimited {
        /// When the limit ends, where that is known.
        until: Option<When>,
    },
    /// The program retries a call of its service itself.
    Retrying {
        /// The number of the next try, where it is known.
        attempt: Option<u64>,
        /// The number of tries, where it is known.
        of: Option<u64>,
        /// The delay before it.
        after: Duration,
        /// Why.
        why: String,
        /// What the failure would mean if the program stopped retrying.
        failure: Failure,
    },
    /// It is done with the task, well or not.
    Result {
        /// The answer.
        text: Option<String>,
        /// How it ended.
        ending: Ending,
    },
    /// A line that is not understood.
    Unknown {
        /// The part of it that is shown: nothing for JSON of an unknown kind.
        shown: Option<String>,
    },
}

impl Event {
    /// Reports whether the event shows that the service has answered.
    pub fn is_progress(&self) -> bool {
        matches!(
            self,
            Event::Answers
                | Event::Turn
                | Event::Text(_)
                | Event::ToolCall { .. }
                | Event::Usage(_)
                | Event::Asks(_)
                | Event::Result { .. }
        )
    }
}

/// How a program reports its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// It has done what it was asked.
    Done,
    /// It has not.
    Failed(Failure, String),
}

/// Why not, by what comes next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Failure {
    /// It may succeed next time: the service was overloaded, or the network unavailable.
    Transient,
    /// The service has reached a limit.
    RateLimited(Option<When>),
    /// It would fail again: the service refuses the request itself.
    Permanent,
    /// It reached a limit of its role: turns, money.
    Bound,
    /// A person must log in, or pay.
    Login,
    /// The conversation that was to be continued does not exist.
    NoSuchSession,
}

impl Failure {
    /// Returns the code of an attempt that ended with it.
    pub fn code(self) -> EndCode {
        match self {
            Failure::Transient => EndCode::ServiceError,
            Failure::RateLimited(_) => EndCode::RateLimited,
            Failure::Permanent => EndCode::RequestRefused,
            Failure::Bound => EndCode::BoundReached,
            Failure::Login => EndCode::LoginNeeded,
            Failure::NoSuchSession => EndCode::ConversationMissing,
        }
    }
}

/// The end of a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// At this time.
    At(Timestamp),
    /// After this long.
    After(Duration),
    /// When a clock shows this.
    Clock(Clock),
}

impl When {
    /// Returns the time from `now`, plus one second, because clocks differ and a call that is too early is refused again.
    /// `None`: it is too far away to be meant.
    pub fn from_now(self, now: Timestamp) -> Option<Duration> {
        const MARGIN: Duration = Duration::from_secs(1);
        self.left(now, &TimeZone::system()).map(|left| left + MARGIN)
    }

    /// Returns the time from `now` on a machine in the zone `local`.
    pub(super) fn left(self, now: Timestamp, local: &TimeZone) -> Option<Duration> {
        let left = match self {
            When::At(time) => time.since(now),
            When::After(time) => time,
            When::Clock(clock) => clock.left(now, local)?,
        };
        (left <= rate_limit::LONGEST).then_some(left)
    }
}
