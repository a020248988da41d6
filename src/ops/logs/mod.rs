//! `orch logs`: the output of agents' programs, from the files of their attempts.
//!
//! Redis knows which attempts there are; their output never passes through it. So the log of a task can be read while Redis is
//! down, and after the task's record was removed, as long as its folder is kept.
//!
//! This file follows outputs while they grow: those of running attempts and of the newest ones. `search` searches what
//! was printed before.

mod search;

use std::{
    collections::{BTreeSet, VecDeque},
    path::PathBuf,
    time::Duration,
};

use futures_util::{StreamExt, future::select_all, stream};
use regex::Regex;
use tokio::time::{Instant, sleep, timeout_at};

use self::search::last;
use super::{LogLine, LogQuery, Ops, Steps};
use crate::{
    error::{Error, Kind, Result},
    home::output::{Reader, attempts},
    model::{event::Event, event::EventKind, id::TaskId, task::Attempt, time::Timestamp},
    os::{FileChange, FileWatch},
};

/// How many events are searched for the newest attempts of an agent.
pub(super) const EVENTS: usize = 5_000;
/// How many of the newest attempts are followed at first, besides running ones.
const ATTEMPTS: usize = 10;
/// How often to look for new attempts and for ended ones.
const LOOK: Duration = Duration::from_secs(2);
/// Pause between two reads of a program that prints continuously.
const BREATH: Duration = Duration::from_millis(20);

impl Ops {
    /// The last lines that were printed, in their order.
    ///
    /// # Errors
    /// Usage: the pattern is no regular expression. NotFound: no such task or agent. NotRunning: there is no Redis to
    /// say which attempts an agent had.
    pub async fn logs(&self, query: &LogQuery) -> Result<Vec<LogLine>> {
        let grep = pattern(query.grep.as_deref())?;
        Ok(self.last_lines(query, grep.as_ref(), |_, _| false).await?.0)
    }

    /// Follows those lines and each new one as it is printed. For a task or a plan, the stream ends when it has ended and
    /// everything was read.
    ///
    /// # Errors
    /// Those of [`Ops::logs`]; NotRunning also when Redis is gone and no supervisor brings it back.
    pub fn follow_logs(&self, query: LogQuery) -> Steps<'_, LogLine> {
        let following =
            Following { follow: Follow::new(self, query), grep: None, looked: None, lines: VecDeque::new() };
        stream::try_unfold(following, async |mut following| Ok(following.next().await?.map(|line| (line, following))))
            .boxed()
    }
}

/// A followed log.
struct Following<'a> {
    follow: Follow<'a>,
    grep: Option<Regex>,
    /// When attempts were last looked for; `None`: not yet.
    looked: Option<Instant>,
    /// Lines that were read and not returned yet.
    lines: VecDeque<LogLine>,
}

impl Following<'_> {
    async fn next(&mut self) -> Result<Option<LogLine>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(line));
            }
            let Some(looked) = self.looked else {
                self.grep = pattern(self.follow.query.grep.as_deref())?;
                self.follow.look().await?;
                let newest = self.follow.last_lines(&self.grep);
                let tails = &self.follow.tails;
                let is_followed = |task: &TaskId, number| tails.iter().any(|t| t.task == *task && t.attempt == number);
                let (ops, query) = (self.follow.ops, &self.follow.query);
                let (mut lines, _) = ops.last_lines(query, self.grep.as_ref(), is_followed).await?;
                lines.extend(newest);
                self.lines = last(lines, query.last).into();
                self.looked = Some(Instant::now());
                continue;
            };
            if self.follow.is_over {
                return Ok(None);
            }
            self.follow.watch();
            // After the watch was set up and before the sleep: what is printed in between is not missed.
            self.lines = self.follow.new_lines(&self.grep).into();
            if !self.lines.is_empty() {
                continue;
            }
            let has_changed = self.follow.changed_before(looked + LOOK).await;
            if has_changed {
                sleep(BREATH).await;
            }
            if !has_changed || self.follow.runs.is_some() && self.follow.has_new_folder() {
                self.follow.look().await?;
                self.looked = Some(Instant::now());
            }
            self.lines = self.follow.new_lines(&self.grep).into();
        }
    }
}

/// The attempts that a query is about; their set changes while they are followed.
struct Follow<'a> {
    ops: &'a Ops,
    query: LogQuery,
    tails: Vec<Tail>,
    /// Tasks with a running attempt; the task of the query until it has ended.
    open: BTreeSet<TaskId>,
    /// The newest event that was seen.
    seen: Option<String>,
    /// Whether the task of the query has ended.
    is_over: bool,
    /// Watches for the folder of the query's task, which appears with the first output.
    runs: Option<FileWatch>,
}

/// One attempt's output, read up to some position.
struct Tail {
    task: TaskId,
    attempt: u32,
    agent: String,
    started: Timestamp,
    dir: PathBuf,
    reader: Reader,
    ended: bool,
    /// Ended, and all read.
    done: bool,
    watch: Option<FileWatch>,
}

impl<'a> Follow<'a> {
    fn new(ops: &'a Ops, query: LogQuery) -> Self {
        let open = query.task.iter().cloned().collect();
        Follow { ops, query, tails: Vec::new(), open, seen: None, is_over: false, runs: None }
    }

    /// Looks for new attempts, and for those that have ended.
    async fn look(&mut self) -> Result<()> {
        if self.query.task.is_none() {
            self.look_for_tasks().await?;
        }
        // Before its tasks: what they print after its end is not missed.
        let plan_is_over = match &self.query.plan {
            Some(plan) => {
                let plans = self.ops.existing_plans(std::slice::from_ref(plan)).await?;
                plans.iter().all(|plan| plan.state.is_terminal())
            }
            None => false,
        };
        for task in self.open.clone() {
            self.look_at(&task).await?;
        }
        if plan_is_over {
            self.is_over = self.open.is_empty();
        }
        if self.tails.len() > ATTEMPTS && self.query.task.is_none() {
            // The oldest are dropped, except running ones.
            self.tails.sort_by_key(|tail| tail.started);
            let spare = self.tails.len() - ATTEMPTS;
            let mut index = 0;
            self.tails.retain(|tail| {
                index += 1;
                index > spare || !tail.ended
            });
        }
        Ok(())
    }

    /// Which tasks agents have claimed: at first from the newest events, then from those that came since.
    async fn look_for_tasks(&mut self) -> Result<()> {
        let agent = self.query.agent.clone();
        let agent = agent.as_deref();
        let events = match &self.seen {
            Some(seen) => self.ops.ask(|s| s.events_after(seen, EVENTS)).await?,
            None => {
                let events = self.ops.events(EVENTS).await?;
                if let Some(agent) = agent {
                    self.look_at_record(agent, &events).await?;
                }
                events
            }
        };
        self.seen = Some(events.last().map(|e| e.id.clone()).or(self.seen.take()).unwrap_or_else(|| "0-0".into()));
        let claimed = |event: &&Event| {
            event.kind == EventKind::TaskRunning && agent.is_none_or(|agent| event.agent.as_deref() == Some(agent))
        };
        let of_plan = match &self.query.plan {
            Some(plan) => Some(self.ops.tasks_of_plan(plan).await?),
            None => None,
        };
        let newest = events.iter().rev().filter(claimed).filter_map(|event| event.task.as_ref()?.parse().ok());
        let newest = newest.filter(|task| of_plan.as_ref().is_none_or(|tasks| tasks.contains(task)));
        self.open.extend(newest.take(ATTEMPTS));
        Ok(())
    }

    /// The tasks of an agent whose claims have left the event stream; and whether there is such an agent at all.
    async fn look_at_record(&mut self, agent: &str, events: &[Event]) -> Result<()> {
        match self.ops.record(agent).await {
            Ok(record) => self.open.extend(record.agent.task.into_iter().chain(record.last_task)),
            Err(e) if e.kind == Kind::NotFound && events.iter().any(|e| e.agent.as_deref() == Some(agent)) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// The attempts of one task: who had them, and whether they have ended.
    async fn look_at(&mut self, task: &TaskId) -> Result<()> {
        let asked_for = self.query.task.is_some();
        let found = attempts(&self.ops.home.task_runs(task));
        let detail = match self.ops.ask(|s| s.task(task)).await {
            // The output can be read without Redis; whether there will be more cannot be known.
            Err(e) if e.kind == Kind::NotRunning && !found.is_empty() && asked_for => None,
            detail => detail?,
        };
        if detail.is_none() && found.is_empty() && asked_for {
            return Err(self.ops.missing(super::tasks::no_task(task)).await);
        }
        let over = detail.as_ref().is_none_or(|d| d.task.state.is_terminal());
        let known = detail.map(|d| d.attempts).unwrap_or_default();
        for (number, dir) in found {
            let attempt = known.iter().find(|a| a.number == number);
            if let Some(agent) = &self.query.agent
                && attempt.is_none_or(|a| a.agent != *agent)
            {
                continue;
            }
            self.note(task, number, dir, attempt, over);
        }
        if asked_for {
            self.is_over = over;
        } else if over || known.iter().all(|a| a.ended_at.is_some()) {
            // A further attempt is claimed before it prints, and a claim is an event.
            self.open.remove(task);
        }
        Ok(())
    }

    /// Whether the task of the query has a folder of an attempt that is not known yet.
    fn has_new_folder(&self) -> bool {
        let Some(task) = &self.query.task else { return false };
        let is_new = |number| !self.tails.iter().any(|tail| tail.attempt == number);
        attempts(&self.ops.home.task_runs(task)).into_iter().any(|(number, _)| is_new(number))
    }

    fn note(&mut self, task: &TaskId, number: u32, dir: PathBuf, attempt: Option<&Attempt>, over: bool) {
        let ended = over || attempt.is_none_or(|a| a.ended_at.is_some());
        if let Some(tail) = self.tails.iter_mut().find(|t| t.task == *task && t.attempt == number) {
            tail.ended = ended;
            return;
        }
        let agent = attempt.map_or_else(|| "unknown".to_owned(), |a| a.agent.clone());
        let reader = Reader::new(&dir);
        let (task, started) = (task.clone(), attempt.map(|a| a.started_at).unwrap_or_default());
        self.tails.push(Tail { task, attempt: number, agent, started, dir, reader, ended, done: false, watch: None });
    }

    /// Everything printed so far, of which the last lines that match.
    fn last_lines(&mut self, grep: &Option<Regex>) -> Vec<LogLine> {
        let most = self.query.last;
        let mut lines = Vec::new();
        for tail in &mut self.tails {
            let mut kept = VecDeque::new();
            tail.read(grep, |line| {
                if kept.len() == most {
                    kept.pop_front();
                }
                if most > 0 {
                    kept.push_back(line);
                }
            });
            lines.extend(kept);
        }
        last(lines, most)
    }

    /// What has been printed since.
    fn new_lines(&mut self, grep: &Option<Regex>) -> Vec<LogLine> {
        let mut lines = Vec::new();
        for tail in self.tails.iter_mut().filter(|tail| !tail.done) {
            tail.read(grep, |line| lines.push(line));
        }
        lines.sort_by_key(|line| line.at);
        lines
    }

    /// Watches every output that may still grow.
    fn watch(&mut self) {
        for tail in self.tails.iter_mut().filter(|tail| !tail.done && tail.watch.is_none()) {
            // Without a watch (no folder yet, the user's limit is reached) the periodic look has to do.
            tail.watch = FileWatch::new(&tail.dir).ok();
        }
        // The next attempt of a task that has one makes its folder in there.
        if let Some(task) = self.query.task.as_ref().filter(|_| self.tails.iter().all(|tail| tail.done)) {
            let home = &self.ops.home;
            self.runs = FileWatch::new(&home.task_runs(task)).or_else(|_| FileWatch::new(&home.runs())).ok();
        } else {
            self.runs = None;
        }
    }

    /// Sleeps until something was printed, or until `then`. Returns whether something was printed.
    async fn changed_before(&mut self, then: Instant) -> bool {
        let watches = self.tails.iter_mut().filter(|tail| !tail.done).filter_map(|tail| tail.watch.as_mut());
        let watches = watches.chain(self.runs.as_mut());
        let changes: Vec<_> = watches.map(|watch| Box::pin(watch.changed())).collect();
        if changes.is_empty() {
            tokio::time::sleep_until(then).await;
            return false;
        }
        let Ok((change, at, rest)) = timeout_at(then, select_all(changes)).await else { return false };
        drop(rest);
        if !matches!(change, Ok(FileChange::Modified)) {
            // `at` counts those that were waited for; the next look makes new watches for all of them.
            tracing::debug!(at, "a followed folder went away");
            self.tails.iter_mut().for_each(|tail| tail.watch = None);
            self.runs = None;
            sleep(BREATH).await;
        }
        true
    }
}

impl Tail {
    /// Reads on, to the very end if the attempt has ended. A file that can't be read is an attempt without output.
    fn read(&mut self, grep: &Option<Regex>, mut each: impl FnMut(LogLine)) {
        let read = self.reader.read(self.ended, |line| {
            if grep.as_ref().is_none_or(|grep| grep.is_match(line.text.trim_end_matches('\r'))) {
                each(LogLine {
                    at: line.at,
                    agent: self.agent.clone(),
                    task: self.task.clone(),
                    attempt: self.attempt,
                    stream: line.stream.as_str().into(),
                    text: line.text,
                });
            }
        });
        if let Err(e) = read {
            tracing::warn!(dir = %self.dir.display(), "an attempt's output can't be read: {e}");
        }
        if self.ended {
            self.done = true;
            self.watch = None;
        }
    }
}

/// The regular expression that a filter is.
pub(super) fn pattern(text: Option<&str>) -> Result<Option<Regex>> {
    let compile = |text: &str| {
        Regex::new(text).map_err(|e| {
            // The crate's message shows the position over several lines; its last line says what is wrong.
            let why =
                e.to_string().lines().last().unwrap_or("it does not read").trim_start_matches("error: ").to_owned();
            Error::usage(format!("'{}' is not a regular expression: {why}", crate::model::text::one_line(text, 60)))
                .hint(r"to search for it literally, write a backslash before each of \ . + * ? ( ) | [ ] { } ^ $")
        })
    };
    text.map(compile).transpose()
}
