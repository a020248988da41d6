//! The refusals of the store, as codes. A script that refuses has changed nothing.

use super::words;

words! {
    /// Why the store has refused a call. Beside it stands a detail: mostly the id that the call was about.
    Refusal: "refusal" {
        /// The caller holds the lease, or the agent's record, no longer; the detail names the task or the agent.
        Stale = "stale",
        /// A living agent has this id.
        Taken = "taken",
        /// Another task has this id.
        IdTaken = "id_taken",
        /// The idempotency key belongs to another task, with another text; the detail names it.
        KeyTaken = "key_taken",
        /// No new tasks are accepted.
        Draining = "draining",
        /// There is no such task to wait for.
        UnknownDependency = "unknown_dependency",
        /// The task to wait for has failed or was cancelled; the detail is its id and its state.
        DependencyEnded = "dependency_ended",
        /// The task would be nested more deeply than `max_depth`, which the detail gives.
        TooDeep = "too_deep",
        /// The parent has as many open subtasks as `max_children`, which the detail gives.
        TooManyChildren = "too_many_children",
        /// As many tasks as `max_queued`, which the detail gives, have yet to run.
        QueueFull = "queue_full",
        /// The task to wait for is the waiting task itself, or one above it.
        Ancestor = "ancestor",
        /// The record is damaged; the detail is the task's id, and the role in whose queue it was found.
        Damaged = "damaged",
        /// There is no such task or agent.
        Unknown = "unknown",
        /// The task has asked as many questions as it may.
        TooManyQuestions = "too_many",
        /// The task has no open question.
        NothingAsked = "nothing_asked",
        /// The answer is none of the options, which the detail gives as JSON.
        NotAnOption = "not_an_option",
        /// The answer must name its question: several are open, or the open one is not the first that this task has
        /// asked. The detail is the task and the numbers of the open ones.
        QuestionUnnamed = "question_unnamed",
        /// The named question does not wait for an answer; the detail is its task and number.
        QuestionClosed = "question_closed",
        /// The question has options, one of which must be the answer; the detail gives them as JSON.
        HasOptions = "has_options",
        /// The question is whether to approve a delegation, which takes no other answer.
        ApproveOrDeny = "approve_or_deny",
        /// The task was never approved by a person, which its role's rights demand.
        NotApproved = "not_approved",
        /// The receiver has ended.
        Ended = "ended",
        /// An attempt of the task runs, so that it cannot be changed.
        TaskRuns = "task_runs",
        /// The task has ended; the detail is the task and its state.
        TaskEnded = "task_ended",
        /// The task's program has done it, and a person is to accept the result; the detail names that question.
        AwaitsAcceptance = "awaits_acceptance",
        /// An agent asks for what only a person decides about this held task.
        ForPerson = "for_person",
        /// There is no budget of the task that could be raised.
        NoBudget = "no_budget",
        /// The task has used what it would be allowed; the detail is the task and how much more it needs.
        OverBudget = "over_budget",
        /// The agent has no task, so nothing would read the message.
        Idle = "idle",
        /// The receiver has too many unread messages.
        Full = "full",
        /// The run of a schedule before is not over; the detail is its id, or empty where it has not started.
        Overlaps = "overlaps",
        /// Redis has lost data, and what it has lost is being recovered.
        Recovering = "recovering",
        /// Another state folder's supervisor has this namespace; the detail says where it runs.
        Supervised = "supervised",
    }
}
