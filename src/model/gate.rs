//! The codes of the reasons for which a task or a role does not start now. Their sentences are in `admission`.

use super::words;

words! {
    /// What keeps a task or a role from starting now.
    ///
    /// The order is the order in which reasons are shown: what concerns everything first, then the role, then the task.
    GateCode: "gate" {
        /// `orch stop` was requested: nothing new starts.
        Stopping = "stopping",
        /// `orch stop --drain` was requested: only tasks that running tasks wait for start.
        Draining = "draining",
        /// No supervisor runs, so no agent starts.
        SupervisorDown = "supervisor_down",
        /// Redis has lost data: living agents report what they hold first.
        Recovery = "recovery",
        /// Everything is paused.
        Paused = "paused",
        /// The role is paused.
        RolePaused = "role_paused",
        /// The configuration has no such role.
        UnknownRole = "unknown_role",
        /// The role's agents failed right after they started; the next one starts later.
        BreakerOpen = "breaker_open",
        /// The role's program is not installed, or is not usable.
        ProgramMissing = "program_missing",
        /// The role's program is not logged in: a task of it is held for that.
        LoginNeeded = "login_needed",
        /// The rate limit of the role's account is reached.
        RateLimited = "rate_limited",
        /// Most of a window of the role's subscription is used (`max_window_use`).
        AccountWindow = "account_window",
        /// The role's daily budget is spent.
        BudgetDay = "budget_day",
        /// The daily budget of all roles together is spent.
        BudgetTotal = "budget_total",
        /// What is left of a daily budget is reserved by running attempts.
        BudgetReserved = "budget_reserved",
        /// As many attempts of the role's account run as `max_concurrent` allows.
        AccountSlots = "account_slots",
        /// The role's account starts no attempt now: because of `rate_limit`, or because its first attempts after a pause or
        /// after a limit find out whether its service answers.
        StartRate = "start_rate",
        /// The role was scaled to zero agents.
        ScaledToZero = "scaled_to_zero",
        /// Every slot of the role is taken.
        RoleSlots = "role_slots",
        /// More urgent tasks of another role lack a slot under `max_agents`, and get the role's next one.
        MoreUrgentRole = "more_urgent_role",
        /// As many agents live as `max_agents` allows.
        MaxAgents = "max_agents",
        /// The machine has too little free memory for another agent.
        Memory = "memory",
        /// The disk that holds the state folder has too little free space for another agent.
        Disk = "disk",
        /// Other ready tasks of the role go first.
        BehindOthers = "behind_others",
        /// The task waits for a lock that another task or a person has.
        Lock = "lock",
        /// As many tasks of its plan run as its `max_parallel` allows.
        PlanSlots = "plan_slots",
        /// The budget of the task's plan has no room for it.
        BudgetPlan = "budget_plan",
        /// The task waits for another task.
        Dependency = "dependency",
        /// The task is tried again at a later time.
        Delayed = "delayed",
        /// The task waits for a person's answer to a question.
        HeldQuestion = "held_question",
        /// The task has spent what one task of its role may spend.
        HeldLimit = "held_limit",
        /// The task waits for a person's decision.
        HeldPerson = "held_person",
        /// The task is in a state in which nothing starts it: it runs, or has ended.
        NotReady = "not_ready",
        /// The task's record is damaged.
        Damaged = "damaged",
    }
}

impl GateCode {
    /// Returns whether it is a limit that a role's account has by `max_concurrent` or `rate_limit`: to wait is what is meant.
    pub fn is_of_account(self) -> bool {
        matches!(self, GateCode::AccountSlots | GateCode::StartRate)
    }

    /// Returns whether it keeps every task of the role from starting, not this one task alone.
    pub fn concerns_role(self) -> bool {
        !matches!(
            self,
            GateCode::BehindOthers
                | GateCode::Lock
                | GateCode::PlanSlots
                | GateCode::BudgetPlan
                | GateCode::Dependency
                | GateCode::Delayed
                | GateCode::HeldQuestion
                | GateCode::HeldLimit
                | GateCode::HeldPerson
                | GateCode::NotReady
                | GateCode::Damaged
        )
    }
}
