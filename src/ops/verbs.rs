//! The table of verbs: each with its request, the code that executes it, and its answer.
//!
//! The table generates [`Request`], which is what travels over an agent's socket; the methods of [`Client`], which
//! every surface calls; and the dispatch to [`Ops`], which executes. So a verb that one surface has is available to
//! all.

use futures_util::{StreamExt, future};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{path::Path, time::Duration};

use super::{
    Answer, Answered, Ask, Asked, Attention, BudgetChanged, Budgets, Caller, Candidate, Changed, Completing, Costs,
    CostsBy, Delegate, Edited, Edits, Handed, Identity, Inbox, Listed, LockRequest, Locked, Locks, LogFound, LogLine,
    LogQuery, Ops, PlanChanged, PlanChecked, PlanDraft, PlanSource, PlanSubmitted, Project, Prune, Pruned, Rerun,
    ScheduleInfo, ScheduleRequested, ScheduleWhy, Sent, Shown, Status, Steps, Stopped, Target, TaskFilter, Unlocked,
    Wait, WaitStep, Wanted, Why, owner, socket::Connection,
};
use crate::{
    config::{Config, DriverKind},
    error::{Error, Result},
    model::{
        agent::Agent,
        budget::{Change, Scope},
        event::Event,
        id::{PlanId, TaskId},
        plan::{PlanDetail, PlanSummary},
        question::QuestionRef,
        task::TaskDetail,
    },
    store::tasks::Delegated,
};

/// The verbs of one project, as a surface calls them.
#[derive(Debug)]
pub struct Client {
    reach: Reach,
}

/// Where verbs are executed.
#[derive(Debug)]
enum Reach {
    /// In this process, for a person.
    Here(Box<Ops>),
    /// In the runner of the agent that this process belongs to.
    Runner(Connection),
}

/// Declares every verb: its name, its request, its parameters, its answer, and the call that executes it.
macro_rules! verbs {
    (
        calls { $( $(#[$doc:meta])* $verb:ident = $Verb:ident ( $($arg:ident : $ty:ty),* ) -> $answer:ty : |$ops:ident| $call:expr; )* }
        streams { $( $(#[$sdoc:meta])* $stream:ident = $Stream:ident ( $($sarg:ident : $sty:ty),* ) -> $item:ty : |$sops:ident, $cancelled:ident| $scall:expr; )* }
    ) => {
        /// A verb with its parameters, as it travels over an agent's socket.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(tag = "method", content = "params", rename_all = "snake_case")]
        pub enum Request {
            $( $(#[$doc])* $Verb { $(#[allow(missing_docs)] $arg: $ty),* }, )*
            $( $(#[$sdoc])* $Stream { $(#[allow(missing_docs)] $sarg: $sty),* }, )*
        }

        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// Those of the method of [`Ops`] with this name; NotRunning: the agent's runner does not answer.
                pub async fn $verb(&self, $($arg: $ty),*) -> Result<$answer> {
                    match &self.reach {
                        Reach::Here(ops) => { let $ops = ops; $call.await }
                        Reach::Runner(runner) => runner.call(&Request::$Verb { $($arg),* }, future::pending()).await,
                    }
                }
            )*
            $(
                $(#[$sdoc])*
                pub fn $stream<'a>(&'a self, $($sarg: $sty),*) -> Steps<'a, $item> {
                    match &self.reach {
                        Reach::Here(ops) => { let ($sops, $cancelled): (&'a Ops, _) = (ops, future::pending::<()>()); $scall }
                        Reach::Runner(runner) => runner.stream(Request::$Stream { $($sarg),* }, future::pending()),
                    }
                }
            )*
        }

        impl Ops {
            /// Executes a request. What it answers: once, or as a stream.
            pub(super) fn execute<'a>(
                &'a self,
                request: Request,
                cancelled: impl Future<Output = ()> + Send + 'a,
            ) -> Execution<'a> {
                match request {
                    // It ends early without an error of its own.
                    Request::Ask { ask } if ask.wait => {
                        Execution::once(async move { self.ask_person_until(&ask, cancelled).await })
                    }
                    $( Request::$Verb { $($arg),* } => {
                        Execution::once(async move { let $ops = self; $call.await })
                    } )*
                    $( Request::$Stream { $($sarg),* } => { let ($sops, $cancelled) = (self, cancelled); Execution::stream($scall) } )*
                }
            }
        }

        /// The names of all verbs, in the order of the table.
        pub const VERBS: &[&str] = &[ $(stringify!($verb),)* $(stringify!($stream),)* ];
    };
}

verbs! {
    calls {
        /// What the caller may know of the project before it asks for anything: its names, its roles, and who it is itself.
        project = Project() -> Project: |ops| ops.project();
        /// The task or the agent that a word names.
        find = Find(word: String, wanted: Wanted) -> Target: |ops| ops.find(&word, wanted);
        /// What a word that begins so may become.
        candidates = Candidates(of: Completing, begun: String) -> Vec<Candidate>: |ops| ops.candidates(&of, &begun);
        /// Accepts a task.
        delegate = Delegate(asked: Delegate) -> Delegated: |ops| ops.delegate(asked);
        /// Accepts many tasks in one step, each with where it stands in the caller's list; all of them or none.
        delegate_all = DelegateAll(asked: Vec<(String, Delegate)>) -> Vec<Delegated>: |ops| ops.delegate_all(asked);
        /// Why a task of this role waits, where more than its turn keeps it from starting.
        holds_up = HoldsUp(role: Option<String>) -> Option<String>: |ops| ops.holds_up(role.as_deref());
        /// Cancels tasks with their open subtasks.
        cancel = Cancel(ids: Vec<TaskId>) -> Vec<Changed>: |ops| ops.cancel(&ids);
        /// Retries failed, cancelled and held tasks, and starts delayed ones at once.
        retry = Retry(ids: Vec<TaskId>) -> Vec<Changed>: |ops| ops.retry(&ids);
        /// Changes a task of which no attempt runs.
        edit = Edit(id: TaskId, edits: Edits) -> Edited: |ops| ops.edit(&id, edits);
        /// Allows a task tools that its program was refused, and retries it.
        allow = Allow(id: TaskId, tools: Vec<String>) -> Changed: |ops| ops.allow(&id, &tools);
        /// Asks a person about the caller's own task.
        ask = Ask(ask: Ask) -> Asked: |ops| ops.ask_person(&ask);
        /// Answers a question of a task.
        answer = Answer(question: QuestionRef, answer: Answer) -> Answered: |ops| ops.answer(&question, &answer);
        /// What people are asked, by tasks and by agents' programs.
        questions = Questions() -> Vec<Attention>: |ops| ops.questions();
        /// Sends a message to a task, an agent or the master.
        send = Send(to: String, text: String) -> Sent: |ops| ops.send(&to, &text);
        /// The caller's unread messages.
        inbox = Inbox(wait: bool, timeout: Option<Duration>) -> Inbox: |ops| ops.inbox(wait, timeout);
        /// The messages to the master that no person has read yet. They stay unread.
        unread = Unread() -> Inbox: |ops| ops.unread_by_person();
        /// The tasks that match a filter.
        tasks = Tasks(filter: TaskFilter) -> Listed: |ops| ops.tasks(filter);
        /// Everything recorded about a task or an agent.
        show = Show(target: Target) -> Shown: |ops| ops.show(&target);
        /// A task that has ended and left an answer.
        result = Result(id: TaskId) -> TaskDetail: |ops| ops.result(&id);
        /// Why a task or an agent is in the state that it is in.
        why = Why(target: Target) -> Why: |ops| ops.why(&target);
        /// The project's status.
        status = Status() -> Status: |ops| ops.status();
        /// The newest events, the oldest first.
        events = Events(last: usize) -> Vec<Event>: |ops| ops.events(last);
        /// The last lines that programs have printed.
        logs = Logs(query: LogQuery) -> Vec<LogLine>: |ops| ops.logs(&query);
        /// What is wrong with a plan, and what is probably not meant.
        check_plan = CheckPlan(source: PlanSource) -> PlanChecked: |ops| ops.check_plan(&source);
        /// Lets an agent draft a plan, which is submitted once a person has approved it.
        draft_plan = DraftPlan(asked: PlanDraft) -> Delegated: |ops| ops.draft_plan(asked);
        /// Accepts a plan.
        submit_plan = SubmitPlan(source: PlanSource) -> PlanSubmitted: |ops| ops.submit_plan(&source);
        /// The newest plans.
        plans = Plans(last: usize) -> Vec<PlanSummary>: |ops| ops.plans(last);
        /// The plan that a word names.
        find_plan = FindPlan(word: String) -> PlanId: |ops| ops.find_plan(&word);
        /// A plan with its tasks, its critical path and how long it goes on.
        show_plan = ShowPlan(id: PlanId) -> PlanDetail: |ops| ops.show_plan(&id);
        /// Cancels a plan with its open tasks.
        cancel_plan = CancelPlan(id: PlanId) -> PlanChanged: |ops| ops.cancel_plan(&id);
        /// Retries what of a plan failed or was cancelled, or what is named.
        retry_plan = RetryPlan(id: PlanId, which: Rerun) -> PlanChanged: |ops| ops.retry_plan(&id, &which);
        /// Locks paths.
        lock = Lock(asked: LockRequest) -> Locked: |ops| ops.lock(asked);
        /// Releases locks.
        unlock = Unlock(what: Vec<String>) -> Unlocked: |ops| ops.unlock(what);
        /// What is locked, and what waits for it.
        locks = Locks() -> Locks: |ops| ops.locks();
        /// The schedules of sessions.toml.
        schedules = Schedules() -> Vec<ScheduleInfo>: |ops| ops.schedules();
        /// Why a schedule does not run now, and what became of its last occurrences.
        explain_schedule = ExplainSchedule(name: String) -> ScheduleWhy: |ops| ops.explain_schedule(&name);
        /// Asks for a run of a schedule now.
        run_schedule = RunSchedule(name: String) -> ScheduleRequested: |ops| ops.run_schedule(&name);
        /// Skips the occurrences of a schedule until it is resumed.
        pause_schedule = PauseSchedule(name: String) -> bool: |ops| ops.pause_schedule(&name);
        /// Lets a paused schedule go on.
        resume_schedule = ResumeSchedule(name: String) -> bool: |ops| ops.resume_schedule(&name);
        /// What was used, by role, agent, day or task.
        costs = Costs(by: CostsBy, since: Option<Duration>) -> Costs: |ops| ops.costs(by, since);
        /// What may be used, was used and is reserved.
        budgets = Budgets() -> Budgets: |ops| ops.budgets();
        /// Sets what may be used in a day, or by a task.
        set_budget = SetBudget(scope: Scope, usd: Option<Change<f64>>, tokens: Option<Change<u64>>, is_default: bool) -> BudgetChanged: |ops| ops.set_budget(scope, usd, tokens, is_default);
        /// The living agents.
        agents = Agents() -> Vec<Agent>: |ops| ops.agents();
        /// Asks for one more agent of a role.
        spawn = Spawn(role: String) -> Option<Agent>: |ops| ops.spawn(&role);
        /// Ends an agent.
        kill = Kill(agent: String) -> Agent: |ops| ops.kill(&agent);
        /// Starts nothing new, of a role or at all.
        pause = Pause(role: Option<String>) -> bool: |ops| ops.pause(role.as_deref());
        /// Lets running tasks finish and accepts no new ones.
        drain = Drain() -> bool: |ops| ops.drain();
        /// Takes back a pause or a drain, or lifts what suspends a role.
        resume = Resume(role: Option<String>) -> bool: |ops| ops.resume(role.as_deref());
        /// Takes back what is said about data that Redis has lost, or about its changed configuration.
        dismiss = Dismiss() -> bool: |ops| ops.dismiss();
        /// Sets how many agents of a role there are at most.
        scale = Scale(role: String, n: Option<u32>) -> bool: |ops| ops.scale(&role, n);
        /// Forgets ended tasks.
        prune = Prune(prune: Prune) -> Pruned: |ops| ops.prune(&prune);
        /// Ends everything.
        stop = Stop(drain: bool, timeout: Option<Duration>) -> Stopped: |ops| ops.stop(drain, timeout);
        /// Reports what the caller's program is doing.
        report_progress = ReportProgress(text: String) -> (): |ops| ops.report_progress(&text);
        /// Handles one call of a program's hook, and returns what is to be printed.
        hook = Hook(program: DriverKind, call: String) -> Handed: |ops| ops.hook(program, &call);
        /// What the last hook returned was printed: its messages are not delivered again.
        hook_done = HookDone() -> (): |ops| ops.hook_done();
    }
    streams {
        /// Waits for tasks, step by step.
        wait_steps = WaitSteps(wait: Wait) -> WaitStep: |ops, cancelled| ops.wait_steps(wait, cancelled);
        /// Each event after this one, as it is recorded.
        follow_events = FollowEvents(after: String) -> Event: |ops, _cancelled| ops.follow_events(&after);
        /// The last lines, and each new one as it is printed.
        follow_logs = FollowLogs(query: LogQuery) -> LogLine: |ops, _cancelled| ops.follow_logs(query);
        /// The last lines that programs have printed or those that match, and how far was looked.
        search_logs = SearchLogs(query: LogQuery) -> LogFound: |ops, _cancelled| ops.search_logs(query);
        /// The status as it is now, and again after each change.
        watch_status = WatchStatus() -> Status: |ops, _cancelled| ops.watch_status();
    }
}

/// A request that is being executed, with its answers as JSON.
pub(super) enum Execution<'a> {
    /// One answer.
    Once(future::BoxFuture<'a, Result<Value>>),
    /// Any number of items, up to the end or the first error.
    Stream(Steps<'a, Value>),
}

impl<'a> Execution<'a> {
    fn once<T: Serialize>(answer: impl Future<Output = Result<T>> + Send + 'a) -> Self {
        Execution::Once(Box::pin(async move { json(answer.await?) }))
    }

    fn stream<T: Serialize + 'a>(items: Steps<'a, T>) -> Self {
        Execution::Stream(items.map(|item| json(item?)).boxed())
    }
}

fn json<T: Serialize>(value: T) -> Result<Value> {
    serde_json::to_value(value).map_err(|e| Error::internal(format!("an answer can't be written as JSON: {e}")))
}

impl From<Ops> for Client {
    fn from(ops: Ops) -> Client {
        Client { reach: Reach::Here(Box::new(ops)) }
    }
}

impl From<Connection> for Client {
    fn from(runner: Connection) -> Client {
        Client { reach: Reach::Runner(runner) }
    }
}

impl Client {
    /// Opens the project that this process means: that of the agent it belongs to, else the one that `file`, the
    /// environment or the folder names. `surface` says in events what a person used, and `note` receives a sentence when a
    /// verb has to wait for Redis.
    ///
    /// # Errors
    /// Those of [`Config::load`] and [`Ops::new`]; NotRunning: the agent's runner does not answer.
    pub async fn open(file: Option<&Path>, surface: &'static str, note: fn(&str)) -> Result<Client> {
        Client::open_with(file, surface, note, Ops::as_started, false).await
    }

    /// The same for start, restart and reload, which go by what sessions.toml says now.
    ///
    /// # Errors
    /// Those of [`Client::open`]. Configuration: sessions.toml has a mistake.
    pub async fn open_as_written(file: Option<&Path>, surface: &'static str, note: fn(&str)) -> Result<Client> {
        Client::open_with(file, surface, note, Ops::new, true).await
    }

    /// The same for `stop` and `doctor`: also where others can change the state folder.
    ///
    /// # Errors
    /// Those of [`Client::open`] and [`Ops::to_repair`].
    pub async fn open_to_repair(file: Option<&Path>, surface: &'static str, note: fn(&str)) -> Result<Client> {
        Client::open_with(file, surface, note, Ops::to_repair, false).await
    }

    /// The same for `start --adopt`: also with the state folder of another project.
    ///
    /// # Errors
    /// Those of [`Client::open`] and [`Ops::to_adopt`].
    pub async fn open_to_adopt(file: Option<&Path>, surface: &'static str, note: fn(&str)) -> Result<Client> {
        Client::open_with(file, surface, note, Ops::to_adopt, true).await
    }

    /// `as_written`: a sessions.toml with a mistake is refused, even where the supervisor has loaded an earlier one.
    async fn open_with(
        file: Option<&Path>,
        surface: &'static str,
        note: fn(&str),
        ops: fn(Config, Caller) -> Result<Ops>,
        as_written: bool,
    ) -> Result<Client> {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        // A project that is named may be another one than the agent's.
        let is_named = file.is_some() || is_set("ORCH_CONFIG") || is_set("ORCH_HOME");
        let by_socket = if is_named { None } else { Identity::by_socket() };
        if let Some(Identity::Agent { agent, socket }) = by_socket {
            return Ok(Connection::open(&socket, &agent).await?.into());
        }
        let owner::Loaded { config, wrong } = owner::load(file, note)?;
        match Identity::of_process(&config)? {
            Identity::Agent { agent, socket } => Ok(Connection::open(&socket, &agent).await?.into()),
            Identity::Person => {
                let ops = ops(config, Caller::person(surface))?.with_notes(note);
                match wrong {
                    Some(wrong) if as_written => Err(wrong),
                    Some(wrong) => {
                        note(&owner::works_without(&wrong));
                        Ok(ops.with_wrong_file(wrong).into())
                    }
                    None => Ok(ops.into()),
                }
            }
        }
    }

    /// The same for verbs that only read what is recorded: for a person also while orch is stopped ([`Ops::with_history`]).
    ///
    /// # Errors
    /// As [`Client::open`] and [`Ops::with_history`].
    pub async fn open_to_read(file: Option<&Path>, surface: &'static str, note: fn(&str)) -> Result<Client> {
        let client = Client::open(file, surface, note).await?;
        match client.reach {
            Reach::Here(ops) => Ok(ops.with_history().await?.into()),
            runner => Ok(Client { reach: runner }),
        }
    }

    /// What only a person's own process does: starting, attaching, examining the machine.
    ///
    /// # Errors
    /// Failed: an agent calls.
    pub fn for_person(&self, verb: &str) -> Result<&Ops> {
        match &self.reach {
            Reach::Here(ops) => Ok(ops),
            Reach::Runner(runner) => Err(Error::failed(format!(
                "orch {verb} is for a person, and this terminal is inside agent {}",
                runner.agent()
            ))
            .hint("use a terminal outside of orch's agents")),
        }
    }

    /// [`Client::ask`]; `cancelled` ends the wait for the answer early: the question stays open.
    ///
    /// # Errors
    /// Those of [`Ops::ask_person`].
    pub async fn ask_until(&self, ask: Ask, cancelled: impl Future<Output = ()> + Send) -> Result<Asked> {
        match &self.reach {
            Reach::Here(ops) => ops.ask_person_until(&ask, cancelled).await,
            Reach::Runner(runner) => runner.call(&Request::Ask { ask }, cancelled).await,
        }
    }

    /// [`Client::wait_steps`]; `cancelled` ends the wait early and takes its mark away.
    pub fn wait_steps_until<'a>(
        &'a self,
        wait: Wait,
        cancelled: impl Future<Output = ()> + Send + 'a,
    ) -> Steps<'a, WaitStep> {
        match &self.reach {
            Reach::Here(ops) => ops.wait_steps(wait, cancelled),
            Reach::Runner(runner) => runner.stream(Request::WaitSteps { wait }, cancelled),
        }
    }

    /// Waits until tasks have ended, and returns them.
    ///
    /// # Errors
    /// Those of [`Ops::wait`].
    pub async fn wait(&self, wait: Wait) -> Result<Vec<TaskDetail>> {
        let limit = wait.timeout;
        let mut steps = self.wait_steps(wait);
        while let Some(step) = steps.next().await {
            if let WaitStep::Done(waited) = step? {
                return Ok(waited.in_time(limit)?.ended);
            }
        }
        Err(Error::internal("the wait has ended without an answer"))
    }
}
