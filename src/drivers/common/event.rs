//! What an agent program tells while it works, in one form whatever program it is.

use std::time::Duration;

use crate::model::{
    end_code::EndCode,
    task::Usage,
    time::Timestamp,
    wait::{Need, Needs},
};

/// Reads what one run of a program prints on standard output, line by line. What it does not understand is
/// [`Event::Unknown`] and never an error: programs change.
pub trait Transcript: Send {
    /// What a line says, without its end. Several things, or nothing that is worth telling.
    fn line(&mut self, line: &str) -> Vec<Event>;

    /// The same of standard error, where a program says something there that counts. It is shown as it comes.
    fn error_line(&mut self, _line: &str) -> Vec<Event> {
        Vec::new()
    }
}

/// One thing that a program tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A conversation has begun, or goes on.
    Started {
        /// What it is resumed by; `None`: what it was told ([`Start::session`](crate::drivers::Start::session)), or nothing.
        session: Option<String>,
        /// The model that answers.
        model: Option<String>,
    },
    /// The program keeps its own record of the conversation.
    KeptIn {
        /// A file.
        path: String,
    },
    /// Its service answers, with nothing yet that is worth telling.
    Answers,
    /// A turn begins: what was said before is not the result.
    Turn,
    /// The turn was about to end, and goes on with what was handed over: what was said last is an answer, and not the
    /// last one.
    HandedOver,
    /// The model says something.
    Text(String),
    /// The model uses a tool.
    ToolCall {
        /// The tool, as the program calls it.
        name: String,
        /// What for, in some words.
        summary: String,
    },
    /// What came of it.
    ToolResult {
        /// Whether it worked.
        ok: bool,
        /// What it printed; long ones are cut by whoever shows them.
        summary: String,
    },
    /// Tokens and money of this run so far.
    Usage(Usage),
    /// It can't go on, or did not do something, without a person.
    Needs {
        /// What kind of help.
        what: Needs,
        /// For what.
        of: String,
    },
    /// It asks a person at its screen, and waits.
    Asks(Need),
    /// The service takes nothing more for a while.
    RateLimited {
        /// How long, where it says so.
        until: Option<When>,
    },
    /// The program tries a call of its own again.
    Retrying {
        /// Which try comes next, where it counts them.
        attempt: Option<u64>,
        /// Of how many.
        of: Option<u64>,
        /// After this long.
        after: Duration,
        /// Why.
        why: String,
        /// What it would mean, were it to give up.
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
        /// What a person may want to see of it: nothing of well-formed JSON of a kind that is not known.
        shown: Option<String>,
    },
}

impl Event {
    /// Whether its service has answered it since.
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

/// How a program says that it ended.
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
    /// May go better next time: the service was overloaded, the network was away.
    Transient,
    /// The service takes nothing more for a while.
    RateLimited(Option<When>),
    /// Will fail again: the service refuses the request as such.
    Permanent,
    /// A bound that its role sets was reached: turns, money.
    Bound,
    /// A person must log in, or pay.
    Login,
    /// The conversation that was to be resumed is not there.
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
}

impl When {
    /// How long that is from `now`. Clocks differ a little, and who comes too early is refused again: one second more.
    pub fn from_now(self, now: Timestamp) -> Duration {
        const MARGIN: Duration = Duration::from_secs(1);
        match self {
            When::At(time) => time.since(now) + MARGIN,
            When::After(time) => time + MARGIN,
        }
    }
}
