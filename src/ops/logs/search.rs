//! Searches the output of attempts, from the newest backwards through everything that is kept.
//!
//! Two questions need two orders. The last lines of all attempts are those of the attempts that printed last, so each
//! attempt's time of its last output is read first, and the search ends where no older attempt can have a later line.
//! A pattern may occur anywhere: if few tasks have left output, all of it is read and the hits are sorted too;
//! otherwise the search begins with the tasks whose attempts began last, and returns each hit as it is found.
//!
//! Files are read on separate threads, because a runner that serves its programs must not wait for a disk.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    vec,
};

use futures_util::{StreamExt, stream};
use regex::Regex;

use super::pattern;
use crate::{
    error::{Error, Kind, Result},
    home::output::{self, Kept, Reader},
    model::id::{PlanId, TaskId},
    ops::{LogFound, LogLine, LogQuery, Looked, Ops, Steps},
};

/// The output of up to this many tasks is read within a tenth of a second.
const FEW: usize = 1_000;
/// Tasks that are read together first; then twice as many, up to the most: a hit in a new attempt is found early.
const FIRST: usize = 8;
const MOST: usize = 256;

impl Ops {
    /// Searches what attempts have printed: the lines, and at the end how far was looked. The lines are in the order of their
    /// times; but those that match a pattern, among the output of more than 1,000 tasks, are returned as they are found: those
    /// of the newest attempt first, each attempt's in their order.
    ///
    /// The stream ends with [`LogFound::Looked`] or an error: those of [`Ops::logs`].
    pub fn search_logs(&self, query: LogQuery) -> Steps<'_, LogFound> {
        self.search_logs_sorted(query, FEW)
    }

    /// The same; the hits are sorted if at most this many tasks have left output.
    pub(in crate::ops) fn search_logs_sorted(&self, query: LogQuery, few: usize) -> Steps<'_, LogFound> {
        let search = Search { ops: self, query, few, state: State::New, found: VecDeque::new() };
        stream::try_unfold(search, async |mut search| Ok(search.next().await?.map(|found| (found, search)))).boxed()
    }
}

struct Search<'a> {
    ops: &'a Ops,
    query: LogQuery,
    few: usize,
    state: State,
    /// Not returned yet.
    found: VecDeque<LogFound>,
}

enum State {
    New,
    Going(Box<Going>),
    Over,
}

/// A search for a pattern.
struct Going {
    grep: Regex,
    tasks: vec::IntoIter<TaskId>,
    chunk: usize,
    /// How many lines are still wanted.
    wanted: usize,
    looked: Looked,
}

impl Search<'_> {
    async fn next(&mut self) -> Result<Option<LogFound>> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Ok(Some(found));
            }
            match std::mem::replace(&mut self.state, State::Over) {
                State::New => self.begin().await?,
                State::Going(going) => self.go_on(going).await?,
                State::Over => return Ok(None),
            }
        }
    }

    async fn begin(&mut self) -> Result<()> {
        let grep = pattern(self.query.grep.as_deref())?;
        if let (Some(grep), None, None) = (&grep, &self.query.task, &self.query.plan) {
            let home = self.ops.home.clone();
            let tasks = blocking(move || home.tasks_by_folder()).await?;
            if tasks.len() > self.few {
                let looked = Looked { of_tasks: tasks.len() as u64, ..Looked::default() };
                let (grep, wanted) = (grep.clone(), self.query.last);
                self.state =
                    State::Going(Box::new(Going { grep, tasks: tasks.into_iter(), chunk: FIRST, wanted, looked }));
                return Ok(());
            }
        }
        let (lines, looked) = self.ops.last_lines(&self.query, grep.as_ref(), |_, _| false).await?;
        self.found.extend(lines.into_iter().map(LogFound::Line));
        self.found.push_back(LogFound::Looked(looked));
        Ok(())
    }

    /// Reads the next tasks' attempts.
    async fn go_on(&mut self, mut going: Box<Going>) -> Result<()> {
        let tasks: Vec<TaskId> = going.tasks.by_ref().take(going.chunk).collect();
        going.chunk = (going.chunk * 2).min(MOST);
        if tasks.is_empty() || going.wanted == 0 {
            going.looked.complete = tasks.is_empty();
            if let (Some(agent), true, 0) = (&self.query.agent, going.looked.complete, going.looked.attempts) {
                self.ops.must_have_been(agent).await?;
            }
            self.found.push_back(LogFound::Looked(going.looked));
            return Ok(());
        }
        let mut agents = None;
        if self.query.agent.is_some() {
            agents = Some(self.ops.agents_of(&tasks).await?);
        }
        let home = self.ops.home.clone();
        let of_tasks = tasks.iter().map(|task| (task.clone(), home.task_runs(task))).collect::<Vec<_>>();
        let kept: Vec<Kept> =
            blocking(move || of_tasks.iter().flat_map(|(id, dir)| output::kept(id, dir)).collect()).await?;
        let kept = chosen(kept, self.query.agent.as_deref(), agents.as_ref());
        going.looked.tasks += tasks.len() as u64;
        going.looked.count(&kept);
        let (grep, wanted) = (going.grep.clone(), going.wanted);
        let hits = blocking(move || {
            let read = |kept: &Kept| last_of(kept, Some(&grep), wanted);
            kept.iter().map(read).filter(|lines| !lines.is_empty()).collect::<Vec<_>>()
        })
        .await?;
        let mut of_hits: Vec<TaskId> = hits.iter().flatten().map(|line| line.task.clone()).collect();
        of_hits.dedup();
        let agents = match agents {
            Some(agents) => agents,
            None => self.ops.agents_of(&of_hits).await?,
        };
        for lines in hits {
            let from = lines.len().saturating_sub(going.wanted);
            going.wanted -= lines.len() - from;
            self.found.extend(lines.into_iter().skip(from).map(|line| LogFound::Line(named(line, &agents))));
        }
        self.state = State::Going(going);
        Ok(())
    }
}

/// Who ran which attempt.
type Agents = HashMap<(TaskId, u32), String>;

impl Ops {
    /// The last lines that match, in the order of their times, of all attempts but those to `leave_out`.
    pub(super) async fn last_lines(
        &self,
        query: &LogQuery,
        grep: Option<&Regex>,
        leave_out: impl Fn(&TaskId, u32) -> bool,
    ) -> Result<(Vec<LogLine>, Looked)> {
        let (home, of) = (self.home.clone(), query.task.clone());
        let mut kept = blocking(move || match of {
            Some(task) => output::kept(&task, &home.task_runs(&task)),
            None => home.outputs(),
        })
        .await?;
        let (mut lines, mut looked) = (Vec::<LogLine>::new(), Looked::default());
        if let Some(task) = &query.task {
            let known = self.agents_of_one(task, !kept.is_empty()).await?;
            kept = chosen(kept, query.agent.as_deref(), Some(&known));
            looked.complete = true;
            looked.count(&kept);
            for kept in kept.iter().filter(|kept| !leave_out(&kept.task, kept.attempt)) {
                lines.extend(last_of(kept, grep, query.last).into_iter().map(|line| named(line, &known)));
            }
            return Ok((last(lines, query.last), looked));
        }
        if let Some(plan) = &query.plan {
            let tasks = self.tasks_of_plan(plan).await?;
            kept.retain(|kept| tasks.contains(&kept.task));
        }
        // The one that printed last first.
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.changed));
        let mut rest = kept.as_slice();
        let mut chunk = FIRST;
        while !rest.is_empty() {
            // No older attempt has a later line than the first one that is shown.
            let is_enough = lines.len() >= query.last && lines.first().is_none_or(|line| line.at >= rest[0].changed);
            if is_enough {
                break;
            }
            let (now, later) = rest.split_at(chunk.min(rest.len()));
            (rest, chunk) = (later, (chunk * 2).min(MOST));
            let tasks: Vec<TaskId> = now.iter().map(|kept| kept.task.clone()).collect();
            let known = self.agents_of(&tasks).await?;
            let now = chosen(now.to_vec(), query.agent.as_deref(), Some(&known));
            looked.count(&now);
            let (wanted, pattern) = (query.last, grep.cloned());
            let now: Vec<Kept> = now.into_iter().filter(|kept| !leave_out(&kept.task, kept.attempt)).collect();
            let read = blocking(move || now.iter().flat_map(|kept| last_of(kept, pattern.as_ref(), wanted)).collect());
            let read: Vec<LogLine> = read.await?;
            lines.extend(read.into_iter().map(|line| named(line, &known)));
            lines = last(lines, query.last);
        }
        looked.complete = rest.is_empty();
        if let (Some(agent), true, 0) = (&query.agent, looked.complete, looked.attempts) {
            self.must_have_been(agent).await?;
        }
        Ok((lines, looked))
    }

    /// The tasks of a plan.
    pub(super) async fn tasks_of_plan(&self, plan: &PlanId) -> Result<BTreeSet<TaskId>> {
        self.existing_plans(std::slice::from_ref(plan)).await?;
        Ok(self.ask(|s| s.plan_tasks(plan)).await?.into_values().collect())
    }

    /// Who ran the attempts of these tasks.
    async fn agents_of(&self, tasks: &[TaskId]) -> Result<Agents> {
        let attempts = self.ask(|s| s.attempts_of(tasks)).await?;
        let of_task = |(task, attempts): (&TaskId, Vec<(u32, String)>)| {
            attempts.into_iter().map(|(number, agent)| ((task.clone(), number), agent)).collect::<Vec<_>>()
        };
        Ok(tasks.iter().zip(attempts).flat_map(of_task).collect())
    }

    /// The same for the task of a query: its output can be read without Redis, and after its record was removed.
    async fn agents_of_one(&self, task: &TaskId, has_output: bool) -> Result<Agents> {
        match self.agents_of(std::slice::from_ref(task)).await {
            Err(e) if e.kind == Kind::NotRunning && has_output => Ok(Agents::new()),
            Ok(agents) if agents.is_empty() && !has_output => {
                self.existing(std::slice::from_ref(task)).await.map(|_| agents)
            }
            answer => answer,
        }
    }

    /// An agent that has printed nothing may never have been.
    async fn must_have_been(&self, agent: &str) -> Result<()> {
        match self.record(agent).await {
            Err(e) if e.kind == Kind::NotFound => {
                let events = self.events(super::EVENTS).await?;
                if events.iter().any(|event| event.agent.as_deref() == Some(agent)) { Ok(()) } else { Err(e) }
            }
            answer => answer.map(drop),
        }
    }
}

/// Those of one agent, where one is asked for.
fn chosen(kept: Vec<Kept>, agent: Option<&str>, agents: Option<&Agents>) -> Vec<Kept> {
    let (Some(agent), Some(agents)) = (agent, agents) else { return kept };
    let of_agent = |kept: &Kept| agents.get(&(kept.task.clone(), kept.attempt)).is_some_and(|its| its == agent);
    kept.into_iter().filter(of_agent).collect()
}

fn named(line: LogLine, agents: &Agents) -> LogLine {
    match agents.get(&(line.task.clone(), line.attempt)) {
        Some(agent) => LogLine { agent: agent.clone(), ..line },
        None => line,
    }
}

/// The last lines of an attempt that match, an incomplete last one among them. A file that can't be read is an attempt
/// without output.
fn last_of(kept: &Kept, grep: Option<&Regex>, most: usize) -> Vec<LogLine> {
    let mut lines = VecDeque::new();
    let read = Reader::new(&kept.dir).read(true, |line| {
        if most > 0 && grep.is_none_or(|grep| grep.is_match(line.text.trim_end_matches('\r'))) {
            if lines.len() == most {
                lines.pop_front();
            }
            lines.push_back(LogLine {
                at: line.at,
                agent: "unknown".to_owned(),
                task: kept.task.clone(),
                attempt: kept.attempt,
                stream: line.stream.as_str().into(),
                text: line.text,
            });
        }
    });
    if let Err(e) = read {
        tracing::warn!(dir = %kept.dir.display(), "an attempt's output can't be read: {e}");
    }
    lines.into()
}

/// The last ones, in the order of their times.
pub(super) fn last(mut lines: Vec<LogLine>, most: usize) -> Vec<LogLine> {
    lines.sort_by_key(|line| line.at);
    lines.split_off(lines.len().saturating_sub(most))
}

impl Looked {
    fn count(&mut self, kept: &[Kept]) {
        self.attempts += kept.len() as u64;
        let oldest = kept.iter().map(|kept| kept.changed).min();
        self.back_to = oldest.into_iter().chain(self.back_to).min();
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal(format!("a search was interrupted: {e}")))
}
