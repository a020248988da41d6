//! `orch status`: what runs, what there is to do, and what needs a person.
//!
//! People type it when something is wrong. So it never fails because the supervisor or Redis is down, and does not
//! wait for them: it reports that they are down.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, UNIX_EPOCH},
};

use futures_util::{StreamExt, stream};
use tokio::time::{sleep, timeout};

use super::{
    Ops, RedisStatus, Status, Steps, SupervisorStatus,
    agents::{in_order, with_texts},
    attention::{self, Look, OUTDATED, RELOAD, RESTART},
};
use crate::{
    error::{Error, Result},
    home::Mark,
    model::{
        attention::{Attention, AttentionKind},
        build,
        duration::human,
        id::PlanId,
        message::Message,
        plan::PlanState,
        schedule::ScheduleRecord,
        task::{Task, TaskState},
        time::Timestamp,
    },
    os::{self, LockOwner, ProcessId},
    redis_server::{check_version, write_trouble},
    store::{self, Store, StoreError, observe::Order, people::Reader},
};

/// How many tasks with questions, and how many held tasks, are listed one by one.
const LISTED: usize = 1_000;
/// How many dead letters are shown: no one waits for them.
const LISTED_FAILED: usize = 100;
/// How long Redis may take to answer: a person who types `status` wants to know that it does not.
const ANSWERS: Duration = Duration::from_secs(2);
/// How long a supervisor that has just taken its lock may take to write its pid.
const BECOMES_VISIBLE: Duration = Duration::from_millis(300);
/// How often a watched status is read without a change.
const REFRESH: Duration = Duration::from_secs(5);
/// How often a watch looks at what is on this machine: the supervisor's lock, the private server's socket.
const LOCAL: Duration = Duration::from_secs(1);
/// Pause after an event, so that a busy fleet's events cause few reads.
const GATHER: Duration = Duration::from_millis(200);

impl Ops {
    /// The project's status.
    ///
    /// # Errors
    /// None because a supervisor or a Redis is down or refuses the connection.
    pub async fn status(&self) -> Result<Status> {
        let is_unseen = self.is_unseen().await;
        let supervisor = self.supervisor();
        let is_supervised = supervisor.is_some() || is_unseen;
        let mode = if self.config.redis.url.is_some() { "external" } else { "managed" };
        let mut writes = None;
        let (look, version, trouble) = match self.look().await {
            Ok((look, info)) => {
                writes = write_trouble(&info);
                match check_version(&info) {
                    Ok(version) => (look, Some(version), None),
                    Err(e) => (look, version_of(&info), Some(e)),
                }
            }
            Err(e) if e.is_unreachable() => {
                let away = || supervisor.as_ref().map_or_else(|| self.unreachable(&e), |s| self.away(&e, s));
                (Look::default(), None, Some(self.frozen_redis().unwrap_or_else(away)))
            }
            Err(e) if e.is_of_another_format() => return Err(e.into()),
            Err(e) => (Look::default(), None, Some(Error::from(e))),
        };
        let state = if version.is_some() { "ok" } else { "unreachable" };
        let mut needs: Vec<Attention> = trouble.into_iter().map(attention::of_error).collect();
        needs.extend(writes.map(|(what, do_)| Attention::new(AttentionKind::Redis, what, do_)));
        needs.extend(is_unseen.then(|| {
            let what =
                "the supervisor and its agents run in another container or pid namespace, and cannot be seen from here";
            Attention::new(AttentionKind::Supervisor, what, "call start, restart, stop and attach there")
        }));
        let displaced = self.displaced_agents().await;
        needs.extend((!displaced.is_empty()).then(|| attention::of_displaced(&displaced, &self.ways_back())));
        let frozen = supervisor.filter(is_frozen);
        needs.extend(frozen.map(|s| {
            let what = format!("the supervisor (pid {}) was stopped by a signal, and does nothing", s.pid);
            let go_on = format!("kill -CONT {}", s.pid);
            let do_ = format!("{go_on}, or end everything: orch stop");
            let commands = vec![go_on, "orch stop".to_owned()];
            Attention { commands, ..Attention::new(AttentionKind::Supervisor, what, do_) }
        }));
        needs.extend(supervisor.and_then(|s| self.another_program(&s)));
        needs.extend(match &self.wrong_file {
            Some(wrong) => Some(attention::of_wrong_file(wrong)),
            None if is_supervised && self.supervisor_is_outdated() => {
                Some(Attention::by(AttentionKind::Configuration, OUTDATED, RELOAD))
            }
            None => None,
        });
        if state == "ok" {
            needs.extend(attention::of(&self.config, is_supervised, &look));
        }
        let agents = in_order(&look.snapshot);
        // What they work on is worth no failure.
        let agents = match state {
            "ok" => with_texts(self.store(), &agents, self.master_is_console()).await.unwrap_or(agents),
            _ => agents,
        };
        let requests = &look.snapshot.requests;
        Ok(Status {
            namespace: self.config.namespace.clone(),
            supervisor: SupervisorStatus {
                state: match supervisor {
                    Some(_) if frozen.is_some() => "frozen",
                    Some(_) => "running",
                    None if is_unseen => "running",
                    None => "stopped",
                }
                .into(),
                pid: supervisor.map(|s| s.pid),
                uptime_ms: is_supervised.then(|| self.supervised_for()).flatten(),
                accepting: state == "ok" && !requests.drain && requests.stop.is_none(),
                paused: requests.pause,
                paused_roles: requests.paused_roles.clone(),
                passes: look.passes,
            },
            redis: RedisStatus { state: state.into(), mode: mode.into(), version },
            tasks: TaskState::ALL.iter().map(|state| (state.as_str().into(), look.count(*state))).collect(),
            usage_today: look.usage_today,
            schedules: super::schedules::infos(&self.config, &look.schedules, look.snapshot.now),
            budgets: look.budgets,
            agents,
            scaled: requests.scale.clone(),
            attention: needs,
        })
    }

    /// Follows the status: as it is now, and again after each change. Events and the supervisor's lock report changes at
    /// once; what has neither (memory, heartbeats, sessions.toml) is read every few seconds. The stream has no end.
    ///
    /// # Errors
    /// Those of [`Ops::status`].
    pub fn watch_status(&self) -> Steps<'_, Status> {
        self.watch_status_every(REFRESH)
    }

    /// The same; without a change, the status is read after `refresh`.
    pub(super) fn watch_status_every(&self, refresh: Duration) -> Steps<'_, Status> {
        let watch = Watch { ops: self, refresh, seen: Seen::Nothing, supervisor: None };
        stream::try_unfold(watch, async |mut watch| Ok(Some((watch.next().await?, watch)))).boxed()
    }

    /// Whether a supervisor runs whose process cannot be seen from here. One that has just taken the lock can in a moment.
    async fn is_unseen(&self) -> bool {
        let began = Instant::now();
        while self.home.supervisor() == LockOwner::Unseen {
            if began.elapsed() > BECOMES_VISIBLE {
                return true;
            }
            sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// Whether the supervisor runs another program than this one: an upgrade has replaced the file.
    fn another_program(&self, supervisor: &ProcessId) -> Option<Attention> {
        let ours = build::IN_WORDS;
        let what = match Mark::read(&self.home).version.as_str() {
            // A supervisor without a recorded version is older, or has just started.
            theirs if theirs.is_empty() || theirs == ours => {
                if supervisor.runs_our_program()? {
                    return None;
                }
                "the supervisor runs another program than this one: orch was replaced since it started".to_owned()
            }
            theirs => format!("supervisor {theirs} runs, this is orch {ours}"),
        };
        Some(Attention::new(AttentionKind::Supervisor, what, RESTART))
    }

    /// Whether sessions.toml was changed since the supervisor started.
    pub(super) fn supervisor_is_outdated(&self) -> bool {
        if self.wrong_file.is_some() {
            // Nobody can say what it changes.
            return false;
        }
        let mark = Mark::read(&self.home);
        // Another build's fingerprint is not comparable.
        let is_comparable = mark.version == build::IN_WORDS && !mark.config.is_empty();
        is_comparable && mark.config != self.config.fingerprint()
    }

    /// Reads the store once, without retries.
    async fn look(&self) -> store::Result<(Look, String)> {
        let store = self.store();
        let info = timeout(ANSWERS, store.info()).await.unwrap_or_else(|_| {
            let why = format!("it has not answered for {}", human(ANSWERS));
            Err(StoreError::Unreachable { address: store.address().to_owned(), why })
        })?;
        // The master's breaker goes by its session.
        let mut roles = self.roles();
        roles.push(self.config.master.session.clone());
        let snapshot = store.observe(&roles).await?;
        let counts: BTreeMap<TaskState, u64> = store.task_counts().await?.into_iter().collect();
        let ready_of_known: u64 = snapshot.load.values().map(|load| load.ready).sum();
        let ready = counts.get(&TaskState::Ready).copied().unwrap_or(0);
        // Tasks of roles that are in sessions.toml no more are few, and looked for only if there are any.
        let ready_of_unknown = match ready > ready_of_known {
            true => {
                let mut tasks = store.first_tasks(TaskState::Ready, 1_000).await?;
                tasks.retain(|task| !self.config.roles.contains_key(&task.role));
                tasks
            }
            false => Vec::new(),
        };
        let held = store.tasks_since(TaskState::Held, Order::Oldest, LISTED).await?;
        let (asking, all_asking) = store.asking(LISTED).await?;
        let unread = self.unread_of_console().await?;
        let usage_today = self.used_today().await?;
        let budgets = self.budgets_of_day().await?;
        let failed = store.tasks_since(TaskState::Failed, Order::Newest, LISTED_FAILED).await?;
        let looked_at = failed.len();
        let failed = self.not_made_up_for(failed).await?;
        let unheard = store.unheard(snapshot.now).await?;
        let keeping = store.persons_locks_that_keep_tasks().await?;
        let deadlocks = super::deadlock::find(store).await?;
        let look = Look {
            snapshot,
            counts,
            ready_of_unknown,
            held,
            asking,
            all_asking,
            unread,
            usage_today,
            budgets,
            made_up_for: (looked_at - failed.len()) as u64,
            failed,
            free_memory: os::available_memory(),
            free_disk: os::free_space(self.home.path()),
            supervised_from: self.supervised_from(store).await?,
            passes: store.passes().await?,
            unheard,
            keeping,
            deadlocks,
            tampering: store.tampering().await?,
            short_plans: store.short_plans().await?,
            schedules: self.schedule_records(store).await?,
        };
        Ok((look, info))
    }

    /// Those of these dead letters for which no other task of their plan made up: a plan that has succeeded needs no person.
    async fn not_made_up_for(&self, mut failed: Vec<(Task, Timestamp)>) -> store::Result<Vec<(Task, Timestamp)>> {
        let mut plans: Vec<PlanId> = failed.iter().filter_map(|(task, _)| task.plan.clone()).collect();
        plans.sort();
        plans.dedup();
        if !plans.is_empty() {
            let plans = self.store().plans(&plans).await?;
            let has_succeeded =
                |id: &PlanId| plans.iter().any(|plan| plan.id == *id && plan.state == PlanState::Succeeded);
            failed.retain(|(task, _)| !task.plan.as_ref().is_some_and(has_succeeded));
        }
        Ok(failed)
    }

    async fn schedule_records(&self, store: &Store) -> store::Result<BTreeMap<String, ScheduleRecord>> {
        let names: Vec<String> = self.config.schedules.keys().cloned().collect();
        Ok(if names.is_empty() { BTreeMap::new() } else { store.schedules(&names).await?.1 })
    }

    /// The messages to the master that no person has read, where a person leads it.
    async fn unread_of_console(&self) -> store::Result<(Vec<Message>, u64)> {
        match self.master_is_console() {
            true => self.store().unread_messages(&self.config.master.session, &Reader::Person, LISTED).await,
            false => Ok(Default::default()),
        }
    }

    /// What people are asked, the oldest first: questions of tasks, approvals, and what agents' programs ask in their
    /// terminals.
    ///
    /// # Errors
    /// NotRunning: Redis does not answer.
    pub async fn questions(&self) -> Result<Vec<Attention>> {
        let roles = self.roles();
        let (asking, all_asking) = self.ask(|s| s.asking(LISTED)).await?;
        let snapshot = self.ask(|s| s.observe(&roles)).await?;
        let mut asked = Vec::new();
        attention::asking(&Look { snapshot, asking, all_asking, ..Look::default() }, &mut asked);
        asked.retain(Attention::asks);
        Ok(asked)
    }

    /// Where the supervisor of another folder runs. A mark of our own supervisor does not count: it may have died since.
    pub(super) async fn supervised_from(&self, store: &Store) -> store::Result<Option<String>> {
        if self.config.redis.url.is_none() {
            return Ok(None);
        }
        Ok(store.reigning().await?.filter(|place| *place != self.home.place()))
    }

    /// How long the supervisor has held its lock: the lock file is written when it is taken, and never again.
    fn supervised_for(&self) -> Option<u64> {
        let since = self.home.supervisor_lock().metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Timestamp::now().0.saturating_sub(since.as_millis() as u64))
    }
}

/// A watched status.
struct Watch<'a> {
    ops: &'a Ops,
    refresh: Duration,
    seen: Seen,
    /// The supervisor before the status was last read.
    supervisor: Option<ProcessId>,
}

/// What was known of the events before the status was last read.
enum Seen {
    /// It was not read yet.
    Nothing,
    /// The id of the newest event.
    Event(String),
    /// Redis did not answer.
    Unreachable,
}

impl Watch<'_> {
    async fn next(&mut self) -> Result<Status> {
        if !matches!(self.seen, Seen::Nothing) {
            tokio::select! {
                () = self.event() => {}
                () = self.another_supervisor() => {}
            }
        }
        // Before the status is read: a change in between causes another look.
        self.supervisor = self.ops.supervisor();
        self.seen = match timeout(ANSWERS, self.ops.store().events_last(1)).await {
            Ok(Ok(newest)) => Seen::Event(newest.last().map_or_else(|| "0-0".to_owned(), |event| event.id.clone())),
            Ok(Err(_)) | Err(_) => Seen::Unreachable,
        };
        self.ops.status().await
    }

    /// Returns after an event, or when it is time to read the status anyway.
    async fn event(&self) {
        let answer = match &self.seen {
            Seen::Event(after) => self.ops.store().next_events(after, self.refresh).await,
            Seen::Nothing | Seen::Unreachable => return sleep(LOCAL).await,
        };
        match answer {
            Ok(events) if events.is_empty() => {}
            Ok(_) => sleep(GATHER).await,
            Err(_) => sleep(LOCAL).await,
        }
    }

    /// Returns when another supervisor, or none, holds the lock. This reads a file; it does not ask Redis.
    async fn another_supervisor(&self) {
        while self.ops.supervisor() == self.supervisor {
            sleep(LOCAL).await;
        }
    }
}

/// Whether a process was stopped by a signal or a debugger.
pub(super) fn is_frozen(process: &ProcessId) -> bool {
    matches!(process.state(), Some('T' | 't'))
}

/// The version of a server that cannot be used.
fn version_of(info: &str) -> Option<String> {
    let value = info.lines().find_map(|line| line.strip_prefix("redis_version:"))?;
    Some(value.trim().to_owned())
}
