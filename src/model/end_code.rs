//! The end of an attempt or an agent as a code, finer than the [`Cause`](super::cause::Cause), which decides what
//! comes next.

use super::{evidence::Rule, words};

words! {
    /// Why an attempt or an agent ended.
    EndCode: "code of an end" {
        /// The program did what it was asked.
        Done = "done",
        /// The same, but its result file cannot be read: what is known of its result is its output.
        ResultUnreadable = "result_unreadable",
        /// The program ended with a non-zero exit code.
        ExitCode = "exit_code",
        /// A signal killed the program.
        Signal = "signal",
        /// The program ended, and its exit status is not known.
        ExitUnknown = "exit_unknown",
        /// The program's result file names the cause.
        ProgramSaid = "program_said",
        /// The program's service failed: overloaded, out of reach, an error of its own.
        ServiceError = "service_error",
        /// The program's service has reached a limit.
        RateLimited = "rate_limited",
        /// The program's service refuses the request as such.
        RequestRefused = "request_refused",
        /// A bound that the role sets was reached: turns or money.
        BoundReached = "bound_reached",
        /// The program is not logged in, or its account is not paid for.
        LoginNeeded = "login_needed",
        /// The program was not allowed to use a tool.
        PermissionDenied = "permission_denied",
        /// The conversation to be resumed does not exist.
        ConversationMissing = "conversation_missing",
        /// The program does not know an argument it was given.
        BadArguments = "bad_arguments",
        /// The program ended before it gave a result.
        NoResult = "no_result",
        /// What the program printed is not its format.
        OutputUnreadable = "output_unreadable",
        /// The plan that it was to draft has mistakes.
        PlanMistakes = "plan_mistakes",
        /// A person left the program before it was done.
        LeftUnfinished = "left_unfinished",
        /// The program ended while it asked its user something.
        LeftAsking = "left_asking",
        /// The program could not be started: the machine lacks something.
        SpawnFailed = "spawn_failed",
        /// The program, or its interpreter, is not installed or not executable.
        ProgramMissing = "program_missing",
        /// The task's working folder does not exist.
        FolderMissing = "folder_missing",
        /// The driver cannot do what the role asks of it.
        NotSupported = "not_supported",
        /// The attempt took longer than its timeout.
        Timeout = "timeout",
        /// The task's deadline has passed.
        DeadlinePassed = "deadline_passed",
        /// The program waited for a person for longer than `person_timeout`.
        PersonTimeout = "person_timeout",
        /// The program repeated itself without an end.
        Runaway = "runaway",
        /// The program needs a variable that orch withholds from it.
        KeyWithheld = "key_withheld",
        /// The program gave its result and did not end.
        Lingered = "lingered",
        /// A person, or an agent, cancelled the task.
        Cancelled = "cancelled",
        /// Its parent ended.
        ParentEnded = "parent_ended",
        /// A task that it waited for ended without success.
        DependencyEnded = "dependency_ended",
        /// The end of a task that it comes after decided that it is not needed.
        NotNeeded = "not_needed",
        /// Ctrl-C was pressed in the agent's pane.
        Interrupted = "interrupted",
        /// The attempt ended while a person has yet to answer its question.
        QuestionOpen = "question_open",
        /// The task was delegated to a role with more rights, and a person has yet to approve it.
        ApprovalNeeded = "approval_needed",
        /// A person has denied a delegation to a role with more rights.
        ApprovalDenied = "approval_denied",
        /// Nobody has approved or denied within `approval_timeout`.
        ApprovalExpired = "approval_expired",
        /// The task has spent what one task of its role may spend.
        OverBudget = "over_budget",
        /// The program used more memory than `memory_max`.
        OverMemory = "over_memory",
        /// The program started more processes than `max_processes`.
        OverProcesses = "over_processes",
        /// The program used more processor time than `cpu_max`.
        OverCpu = "over_cpu",
        /// The program printed more than `max_output`.
        OverOutput = "over_output",
        /// The agent was asked to end.
        AgentStopped = "agent_stopped",
        /// The agent was asked to end, and did not in time.
        StopTimedOut = "stop_timed_out",
        /// The agent had done `tasks_per_agent` tasks.
        TasksPerAgent = "tasks_per_agent",
        /// The agent's tmux session was closed.
        SessionClosed = "session_closed",
        /// The agent's tmux session could not be opened.
        SessionFailed = "session_failed",
        /// The agent's tmux session was not opened in time.
        SessionNotOpened = "session_not_opened",
        /// The agent's runner did not register in time.
        RegistrationTimedOut = "registration_timed_out",
        /// The agent's runner received SIGTERM.
        Terminated = "terminated",
        /// The agent's runner no longer exists.
        RunnerGone = "runner_gone",
        /// The machine was rebooted.
        Rebooted = "rebooted",
        /// The agent sent no heartbeat for longer than its lease.
        LeaseExpired = "lease_expired",
        /// The attempt's lease was given to another agent.
        LeaseLost = "lease_lost",
        /// The agent's program showed no progress for longer than `stall_timeout`.
        Stalled = "stalled",
        /// The lease expired, and its agent is not recorded any more.
        AgentGone = "agent_gone",
        /// Redis has lost how the attempt ended.
        DataLost = "data_lost",
        /// The task's record is damaged.
        RecordDamaged = "record_damaged",
        /// Recorded by another build.
        Unknown = "unknown",
    }
}

impl Default for EndCode {
    /// Returns the code of an end whose record has none.
    fn default() -> EndCode {
        EndCode::Unknown
    }
}

impl From<Rule> for EndCode {
    /// Returns the code of an end that was decided by `rule`.
    fn from(rule: Rule) -> EndCode {
        match rule {
            Rule::ProcessGone => EndCode::RunnerGone,
            Rule::Boot => EndCode::Rebooted,
            Rule::Open => EndCode::SessionNotOpened,
            Rule::NotOpened => EndCode::SessionFailed,
            Rule::Start => EndCode::RegistrationTimedOut,
            Rule::Leave => EndCode::StopTimedOut,
            Rule::Lease | Rule::Silent => EndCode::LeaseExpired,
            Rule::TaskTimeout => EndCode::Timeout,
            Rule::StallTimeout => EndCode::Stalled,
            Rule::Requested => EndCode::AgentStopped,
            Rule::SessionClosed => EndCode::SessionClosed,
            Rule::Terminated => EndCode::Terminated,
            Rule::TasksPerAgent => EndCode::TasksPerAgent,
            Rule::Broken => EndCode::SpawnFailed,
            Rule::ProgramKilled => EndCode::Signal,
            Rule::OverLimit => EndCode::OverMemory,
        }
    }
}
