//! Errors between orch and Redis, sorted by what the caller can do about them.

use crate::{
    error::Error,
    model::{format::FORMAT, question, refusal::Refusal},
};

/// An error of the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A transition was refused: the state is not what the caller believed.
    #[error("refused: {code} {detail}")]
    Refused {
        /// Why.
        code: Refusal,
        /// What it is about, mostly an id.
        detail: String,
    },
    /// Redis does not answer: not running, restarting, loading, or the connection broke.
    #[error("Redis is not reachable at {address}: {why}")]
    Unreachable {
        /// Where it was looked for, without a password.
        address: String,
        /// What the system says.
        why: String,
    },
    /// Redis wants a user or a password, or refuses the ones it got.
    #[error("Redis at {address} refuses us: {why}")]
    Denied {
        /// Where.
        address: String,
        /// Its own words.
        why: String,
    },
    /// Redis answers, and cannot write: memory or disk is full, or it is a replica.
    #[error("Redis cannot write: {0}")]
    CannotWrite(String),
    /// A record is not as we wrote it.
    #[error("the record {key} is damaged: {why}")]
    Damaged {
        /// Which one.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// What is stored is of another format than that of this release (`store::format`).
    #[error("the records of this namespace in Redis are of format {found}; this orch uses format {FORMAT}")]
    Format {
        /// Theirs, as it is stored.
        found: String,
    },
    /// Anything else that Redis says: our own bug.
    #[error("Redis: {0}")]
    Other(String),
}

impl StoreError {
    /// Whether the connection is to blame, so that asking again may help.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, StoreError::Unreachable { .. })
    }
    /// Records of another format.
    pub(super) fn format(found: impl ToString) -> Self {
        StoreError::Format { found: found.to_string() }
    }
    /// Whether what is stored is of another format.
    pub fn is_of_another_format(&self) -> bool {
        matches!(self, StoreError::Format { .. })
    }
    /// Whether what is stored is of an older format, which a supervisor migrates when it starts.
    pub fn is_of_an_older_format(&self) -> bool {
        matches!(self, StoreError::Format { found } if found.parse::<u32>().is_ok_and(|found| found < FORMAT))
    }
    /// Turns an error about one record into damage of that record.
    pub(super) fn of_record(self, key: &str) -> Self {
        match self {
            StoreError::Other(why) => StoreError::Damaged { key: key.to_owned(), why },
            other => other,
        }
    }
    /// Whether one record or one call is to blame, so that others may continue.
    pub fn concerns_one_record(&self) -> bool {
        matches!(self, StoreError::Damaged { .. } | StoreError::Other(_))
    }
    /// Returns why the call was refused, if it was.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            StoreError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
    /// Returns whether the call was refused because its caller holds the lease or the record no longer.
    pub fn is_stale(&self) -> bool {
        self.refusal() == Some(Refusal::Stale)
    }

    pub(super) fn from_redis(error: &redis::RedisError, address: &str) -> Self {
        use redis::{ErrorKind, ServerErrorKind};
        let address = address.to_owned();
        let detail = error.detail().unwrap_or_default().to_owned();
        let said = || without_hashes(&error.to_string());
        if error.code() == Some("REFUSED") {
            let (code, rest) = detail.split_once(' ').unwrap_or((&detail, ""));
            // Redis 7 adds where in the script it happened.
            let rest = rest.split(" script: ").next().unwrap_or(rest).trim();
            return match code.parse() {
                Ok(code) => StoreError::Refused { code, detail: rest.to_owned() },
                Err(unknown) => StoreError::Other(unknown),
            };
        }
        if error.code() == Some("OTHERFORMAT") {
            return StoreError::format(detail.split(' ').next().unwrap_or_default());
        }
        if matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
            || error.kind() == ErrorKind::AuthenticationFailed
        {
            return StoreError::Denied { address, why: said() };
        }
        if error.code() == Some("OOM") || error.to_string().contains("OOM command not allowed") {
            return StoreError::CannotWrite(FULL.to_owned());
        }
        if matches!(error.code(), Some("MISCONF" | "READONLY"))
            || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
        {
            return StoreError::CannotWrite(said());
        }
        let loading = error.kind() == ErrorKind::Server(ServerErrorKind::BusyLoading)
            // Another client's script runs long, or a failover is under way: no answer, but there will be one.
            // All connections are taken; one of them will end.
            || error.to_string().contains("max number of clients")
            || matches!(error.code(), Some("BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN"));
        if error.is_io_error()
            || error.is_timeout()
            || error.is_connection_dropped()
            || loading
            || error.is_unrecoverable_error()
        {
            return StoreError::Unreachable { address, why: said() };
        }
        StoreError::Other(said())
    }
}

/// A memory over its limit, for a call that would add to it.
const FULL: &str =
    "its memory is full, so it accepts nothing new; tasks that run still end, and their results are kept";

/// Leaves out which script failed, which Redis says by the script's SHA1: ` script: HASH, on @user_script:N.` and
/// ` (call to f_HASH)`.
fn without_hashes(said: &str) -> String {
    let is_hash = |text: &str| text.len() >= 40 && text.bytes().take(40).all(|b| b.is_ascii_hexdigit());
    let mut said = said.to_owned();
    while let Some(at) = said.find(" (call to f_").filter(|at| is_hash(&said[at + 12..])) {
        said.replace_range(at..(at + 12 + 41).min(said.len()), "");
    }
    if let Some(at) = said.find(" script: ").filter(|at| is_hash(&said[at + 9..])) {
        said.truncate(at);
    }
    said
}

impl From<StoreError> for Error {
    fn from(e: StoreError) -> Error {
        let message = e.to_string();
        let hint = match e.is_of_an_older_format() {
            true => "a supervisor migrates them when it starts: orch stop, then: orch start",
            false => "use the orch that wrote them, or give this project another name in sessions.toml",
        };
        match e {
            StoreError::Format { .. } => Error::config(message).hint(hint),
            StoreError::Refused { code, detail } => refusal(code, &detail).code(code),
            StoreError::Unreachable { .. } => {
                Error::not_running(message).hint("start it with: orch start   (orch doctor looks closer)")
            }
            StoreError::Denied { address, .. } if !address.contains("://") => Error::config(message).hint(
                "the private Redis does not know the passwords of this state folder: orch stop, then: orch start",
            ),
            StoreError::Denied { .. } => Error::config(message)
                .hint("give user and password in sessions.toml: [redis] url = \"redis://user:password@host:port\""),
            StoreError::CannotWrite(why) if why == FULL => Error::config(message).hint(
                "raise max_memory under [redis] in sessions.toml (of your own Redis: maxmemory), or shorten keep; \
                 then: orch stop, orch start",
            ),
            StoreError::CannotWrite(_) => Error::config(message)
                .hint("free disk space or memory; nothing that was acknowledged is lost. orch doctor looks closer"),
            StoreError::Damaged { .. } => {
                Error::internal(message).hint("the record is kept as it is; please report this")
            }
            StoreError::Other(_) => Error::internal(message),
        }
    }
}

/// The choices of a refusal's detail (`t-7k2m9qx4hz#2 ["red","blue"]`), and what to type to give one.
fn choices_of(detail: &str) -> (String, String) {
    let (named, options) = detail.split_once(' ').unwrap_or((detail, ""));
    let options: Vec<String> = serde_json::from_str(options).unwrap_or_default();
    let hint = named.parse().map_or_else(
        |_| format!("orch show {named}"),
        |named| question::in_words(&named, &question::choices(&named, &options)),
    );
    (options.join(", "), hint)
}

/// The error for an answer that does not say to which question it belongs.
fn question_unnamed(detail: &str) -> Error {
    let mut words = detail.split(' ');
    let id = words.next().unwrap_or_default();
    let open: Vec<String> = words.map(|number| format!("{id}#{number}")).collect();
    let why = match open.as_slice() {
        [one] => format!("{id} has asked before, and asks something else now: {one}"),
        _ => format!("{id} has several open questions: {}", open.join(", ")),
    };
    let first = open.first().map_or(id, String::as_str);
    Error::usage(why).hint(format!("read them (orch show {id}), and name the one that you answer, such as {first}"))
}

/// What the scripts refuse, in words for a person.
fn refusal(code: Refusal, detail: &str) -> Error {
    match code {
        Refusal::Draining => {
            Error::failed("orch is draining: it accepts nothing new").hint("accept again with: orch resume")
        }
        Refusal::KeyTaken if detail.starts_with("p-") => {
            Error::failed(format!("this key is that of plan {detail}, which has another content"))
                .hint("choose another key, or leave the plan as it was")
        }
        Refusal::KeyTaken => {
            Error::failed(format!("this key is that of {detail}, which is another's and for something else"))
                .hint("choose a key that no other task would have, such as one with the name of your own task in it")
        }
        Refusal::UnknownDependency => {
            Error::not_found(format!("there is no task {detail} to wait for")).hint("list them with: orch tasks")
        }
        Refusal::DependencyEnded => {
            let (id, state) = detail.split_once(' ').unwrap_or((detail, "ended"));
            Error::failed(
                format!(
                    "it would wait for {id}, which has {} ",
                    if state == "failed" { "failed" } else { "been cancelled" }
                )
                .trim()
                .to_owned(),
            )
            .hint(format!("retry that first: orch retry {id}"))
        }
        Refusal::Stale => {
            Error::failed(format!("this attempt is over: {detail} was taken from this agent, cancelled, or has ended"))
                .hint("its result and its calls are not accepted any more; end this program")
        }
        Refusal::TooDeep => {
            Error::failed(format!("tasks are nested too deeply: at most {detail} levels below a person's own task"))
                .hint("do the work here, or raise max_depth under [supervisor] in sessions.toml")
        }
        Refusal::TooManyChildren => Error::failed(format!("this task has too many open subtasks: at most {detail}"))
            .hint("wait for some with: orch wait, or raise max_children under [supervisor] in sessions.toml"),
        Refusal::QueueFull => Error::failed(format!("no further task is accepted: {detail} have yet to run (max_queued)"))
            .hint("wait until some have run, cancel what is not needed, or raise max_queued under [supervisor] in sessions.toml"),
        Refusal::Ancestor => {
            Error::failed(format!("{detail} is this task itself or one above it: waiting for it would never end"))
                .hint("wait for subtasks only")
        }
        Refusal::Damaged => Error::failed(format!("the record of {detail} is damaged, and cannot be worked with"))
            .hint(format!("orch show {detail} says what is wrong with it")),
        Refusal::Unknown => Error::not_found(format!("there is no task {detail}")).hint("list them with: orch tasks"),
        Refusal::TooManyQuestions => {
            Error::failed(format!("{detail} has asked too many questions: 20 may be open at once, and 500 in all"))
                .hint("wait for answers before asking more")
        }
        Refusal::NothingAsked => Error::failed(format!("{detail} has no open question"))
            .hint(format!("see orch show {detail}; a held task goes on with: orch retry {detail}")),
        Refusal::NotAnOption => {
            let (options, hint) = choices_of(detail);
            Error::usage(format!("the question has these answers to choose from: {options}")).hint(hint)
        }
        Refusal::HasOptions => {
            let (options, hint) = choices_of(detail);
            Error::usage(format!("approve and deny are for yes-or-no questions; this one has the choices {options}"))
                .hint(hint)
        }
        Refusal::QuestionUnnamed => question_unnamed(detail),
        Refusal::QuestionClosed => Error::failed(format!("{detail} does not wait for an answer"))
            .hint(format!("see its questions with: orch show {}", detail.split('#').next().unwrap_or(detail))),
        Refusal::ApproveOrDeny => {
            Error::usage(format!("{detail} asks whether its task may run, and takes no other answer"))
                .hint(format!("orch approve {detail}, or: orch deny {detail} WHY"))
        }
        Refusal::NotApproved => {
            let (id, state) = detail.split_once(' ').unwrap_or((detail, ""));
            let error = Error::failed(format!("no person has approved {id}, and it does not run without that"));
            error.hint(match state {
                "held" => format!("orch approve {id}#1, or: orch deny {id}#1 WHY"),
                _ => "delegate it again: a person is asked again".to_owned(),
            })
        }
        Refusal::Ended => Error::failed(format!("{detail} has ended: it reads no messages any more"))
            .hint("delegate a new task with: orch delegate"),
        Refusal::TaskRuns => Error::conflict(format!("task {detail} runs: its program has begun with what it was given"))
            .hint(format!("tell it: orch send {detail} TEXT; or end it first: orch cancel {detail}")),
        Refusal::TaskEnded => {
            let (id, state) = detail.split_once(' ').unwrap_or((detail, "ended"));
            Error::conflict(format!("task {id} is {state}: it runs no further attempt"))
                .hint(format!("run it again first: orch retry {id}"))
        }
        Refusal::AwaitsAcceptance => {
            let id = detail.split('#').next().unwrap_or(detail);
            Error::conflict(format!("the program of {id} has done it, and a person is to accept the result"))
                .hint(format!("orch deny {detail} WHY lets it try again with what you say"))
        }
        Refusal::ForPerson => Error::failed(format!("task {detail} waits for a person, and no agent decides that it continues"))
            .hint(format!("say what is needed to the person you work for; what it waits for: orch why {detail}")),
        Refusal::NoBudget if detail.starts_with("p-") => {
            Error::usage(format!("plan {detail} has no such budget that could be raised"))
                .hint(format!("set one: orch budget set plan:{detail} --cost 20"))
        }
        Refusal::NoBudget => Error::usage(format!("task {detail} has no budget of its own that could be raised"))
            .hint(format!("set one: orch budget set {detail} --cost 5; what holds it: orch why {detail}")),
        Refusal::OverBudget => {
            let (id, missing) = detail.split_once(' ').unwrap_or((detail, "more"));
            Error::conflict(format!("task {id} has used more than that: at least {missing} more are needed"))
                .hint(match missing.split_once(' ') {
                    Some((amount, "USD")) => format!("orch approve {id} --budget +{amount}"),
                    Some((amount, _)) => format!("orch approve {id} --tokens +{amount}"),
                    None => "orch budget says what it has used".to_owned(),
                })
        }
        Refusal::Idle => Error::failed(format!(
            "agent {detail} has no task at this moment, so no program would read it"
        ))
        .hint(match detail.rsplit_once('-') {
            Some((role, _)) => format!("delegate the work to its role: orch delegate --role {role} TEXT"),
            None => "delegate the work: orch delegate TEXT".to_owned(),
        }),
        Refusal::Full => Error::failed(format!("500 messages to {detail} are unread"))
            .hint("its program has to read them with: orch inbox"),
        Refusal::Supervised => Error::conflict(format!("this namespace is supervised from {detail} already"))
            .hint("stop that one there with: orch stop   (or give this project another name in sessions.toml)"),
        Refusal::Overlaps if detail.is_empty() => {
            Error::conflict("a run of this schedule waits already").hint("orch schedule list says what for")
        }
        Refusal::Overlaps => Error::conflict(format!("the run before, {detail}, is not over"))
            .hint(format!("wait for it: orch why {detail}; or end it: orch cancel {detail}")),
        Refusal::Recovering => Error::failed("Redis has lost data, and orch is recovering it").hint("try again in a moment"),
        Refusal::Taken => Error::conflict(format!("an agent {detail} lives already")),
        Refusal::IdTaken => {
            Error::conflict(format!("a task {detail} exists already")).hint("send it again: it gets another id")
        }
    }
}
