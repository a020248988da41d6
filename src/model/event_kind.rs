//! The kinds of events as words; the word of a transition contains the state to which it leads.

use super::{agent::AgentState, task::TaskState, words};

words! {
    /// What an event reports. The part before the dot names its subject.
    EventKind: "kind of event" {
        /// A task was accepted, or retried, and waits for another one.
        TaskBlocked = "task.blocked",
        /// A task waits for an agent.
        TaskReady = "task.ready",
        /// A task is tried again later.
        TaskDelayed = "task.delayed",
        /// A task waits for a person.
        TaskHeld = "task.held",
        /// An agent has claimed a task.
        TaskRunning = "task.running",
        /// A task is done.
        TaskSucceeded = "task.succeeded",
        /// A task has become a dead letter.
        TaskFailed = "task.failed",
        /// A task was cancelled.
        TaskCancelled = "task.cancelled",
        /// A task is not needed: an edge of its plan decided so.
        TaskSkipped = "task.skipped",
        /// A running task is being cancelled; its agent was notified.
        TaskCancelling = "task.cancelling",
        /// A task's program asks a person a question.
        TaskAsks = "task.asks",
        /// A person has answered a question.
        TaskAnswered = "task.answered",
        /// A person has changed what a task was delegated with.
        TaskEdited = "task.edited",
        /// The report of an attempt that holds the task no longer was rejected.
        TaskStale = "task.stale",
        /// A task waits for its subtasks, and frees its slot.
        TaskWaiting = "task.waiting",
        /// A task waits for its subtasks no longer.
        TaskResumed = "task.resumed",
        /// A ready task waits for the lock of another task or of a person.
        TaskParked = "task.parked",
        /// A task's record is damaged, and was quarantined.
        TaskDamaged = "task.damaged",
        /// A task's program reports progress.
        TaskProgress = "task.progress",
        /// A plan was submitted, or goes on.
        PlanRunning = "plan.running",
        /// A plan waits for a person.
        PlanHeld = "plan.held",
        /// All that a plan needs is done.
        PlanSucceeded = "plan.succeeded",
        /// A plan has ended, and a task of it failed.
        PlanFailed = "plan.failed",
        /// A plan was cancelled.
        PlanCancelled = "plan.cancelled",
        /// A person or a running task has locked paths.
        LockTaken = "lock.taken",
        /// A person or a running task has released paths.
        LockReleased = "lock.released",
        /// The time of a person's lock has passed.
        LockExpired = "lock.expired",
        /// A program edits, or was kept from editing, what another one has locked.
        LockCollision = "lock.collision",
        /// A schedule is new, has other times, or was removed.
        ScheduleChanged = "schedule.changed",
        /// An occurrence of a schedule was accepted as a task or a plan.
        ScheduleRun = "schedule.run",
        /// Occurrences of a schedule do not run.
        ScheduleSkipped = "schedule.skipped",
        /// An occurrence of a schedule cannot run.
        ScheduleFailed = "schedule.failed",
        /// A run of a schedule was asked for.
        ScheduleRequested = "schedule.requested",
        /// A schedule was paused.
        SchedulePaused = "schedule.paused",
        /// A schedule goes on.
        ScheduleResumed = "schedule.resumed",
        /// An agent is about to be started.
        AgentStarting = "agent.starting",
        /// An agent waits for a task.
        AgentIdle = "agent.idle",
        /// An agent works on a task.
        AgentBusy = "agent.busy",
        /// An agent was asked to end.
        AgentStopping = "agent.stopping",
        /// An agent has ended on request.
        AgentStopped = "agent.stopped",
        /// An agent has ended otherwise.
        AgentFailed = "agent.failed",
        /// An agent's program asks its user for something.
        AgentNeeds = "agent.needs",
        /// An agent's program repeats a call that its service did not answer.
        AgentRetrying = "agent.retrying",
        /// A prompt was typed into an agent's program.
        AgentPrompted = "agent.prompted",
        /// A program in a sandbox tried to reach a destination that its role may not.
        AgentNetworkRefused = "agent.network_refused",
        /// The master's program has ended.
        AgentProgramEnded = "agent.program_ended",
        /// A message was sent.
        MessageSent = "message.sent",
        /// A message was not read before its reader ended.
        MessageFailed = "message.failed",
        /// Agents of a role failed right after they started: its breaker is open.
        RoleBackoff = "role.backoff",
        /// A role's breaker is closed.
        RoleRecovered = "role.recovered",
        /// The rate limit of a role's account is reached.
        RoleRateLimited = "role.rate_limited",
        /// A person has lifted a rate limit.
        RoleLimitLifted = "role.limit_lifted",
        /// A role is suspended no longer.
        RoleReleased = "role.released",
        /// One more agent of a role was requested.
        RoleSpawn = "role.spawn",
        /// A request for one more agent cannot be fulfilled.
        RoleSpawnRefused = "role.spawn_refused",
        /// Most of a budget is used.
        BudgetWarning = "budget.warning",
        /// A person has changed a budget.
        BudgetChanged = "budget.changed",
        /// A report of usage cannot be true, and is not counted.
        UsageRefused = "usage.refused",
        /// Redis's clock was set back.
        ClockBack = "clock.back",
        /// The supervisor has restarted its Redis.
        RedisRestarted = "redis.restarted",
        /// The configuration of the private Redis was changed from outside.
        RedisChanged = "redis.changed",
        /// A Redis server came up: a new epoch begins.
        RedisEpoch = "redis.epoch",
        /// Redis came back with less than it had acknowledged.
        RedisLostData = "redis.lost_data",
        /// The recovery after a loss of data is over.
        RedisSettled = "redis.settled",
        /// A supervisor has started.
        SupervisorStarted = "supervisor.started",
        /// A stop was requested.
        SupervisorStopping = "supervisor.stopping",
        /// A person asked the supervisor to read sessions.toml again.
        SupervisorReloading = "supervisor.reloading",
        /// A person has read what was said about Redis, and is shown it no more.
        WarningsDismissed = "warnings.dismissed",
        /// The supervisor applies the new sessions.toml.
        SupervisorReloaded = "supervisor.reloaded",
        /// The new sessions.toml cannot be applied; the earlier one stays.
        SupervisorReloadRefused = "supervisor.reload_refused",
        /// A requested stop was withdrawn.
        SupervisorResumed = "supervisor.resumed",
        /// The supervisor has stopped.
        SupervisorStopped = "supervisor.stopped",
        /// A pause was requested.
        RequestPause = "request.pause",
        /// No further tasks are to be accepted.
        RequestDrain = "request.drain",
        /// A pause or a drain was withdrawn.
        RequestResume = "request.resume",
        /// A role is to have another number of agents.
        RequestScale = "request.scale",
        /// Recorded by another build, which knows more kinds.
        Unknown = "unknown",
    }
}

impl EventKind {
    /// Returns whether the event is about a task.
    pub fn is_about_task(self) -> bool {
        self.as_str().starts_with("task.")
    }
    /// Returns whether the event is about an agent.
    pub fn is_about_agent(self) -> bool {
        self.as_str().starts_with("agent.")
    }
    /// Returns the state that a task is in after the event, if the event is a transition of a task.
    pub fn task_state(self) -> Option<TaskState> {
        self.as_str().strip_prefix("task.")?.parse().ok()
    }
    /// Returns the state that an agent is in after the event, if the event is a transition of an agent.
    pub fn agent_state(self) -> Option<AgentState> {
        self.as_str().strip_prefix("agent.")?.parse().ok()
    }
    /// Returns whether the event is about the supervisor.
    pub fn is_about_supervisor(self) -> bool {
        self.as_str().starts_with("supervisor.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_a_task_and_of_an_agent_has_its_event() {
        for state in TaskState::ALL {
            let kind: EventKind = format!("task.{state}").parse().unwrap();
            assert_eq!(kind.task_state(), Some(*state));
        }
        for state in AgentState::ALL {
            let kind: EventKind = format!("agent.{state}").parse().unwrap();
            assert_eq!(kind.agent_state(), Some(*state));
        }
        assert_eq!((EventKind::TaskAsks.task_state(), EventKind::TaskReady.agent_state()), (None, None));
    }
}
