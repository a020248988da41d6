//! The tools of `orch mcp`, and which of them each caller may use without asking: one table for the drivers and the
//! MCP server.

use super::words;

words! {
    /// A tool of `orch mcp`.
    Tool: "tool" {
        /// Delegates a task.
        DelegateTask = "delegate_task",
        /// Delegates several.
        SpawnWorkers = "spawn_workers",
        /// Waits for tasks and returns their results.
        WaitTasks = "wait_tasks",
        /// Returns the project's status.
        GetStatus = "get_status",
        /// Returns a task.
        GetTask = "get_task",
        /// Lists tasks.
        ListTasks = "list_tasks",
        /// Submits a plan.
        SubmitPlan = "submit_plan",
        /// Returns a plan.
        GetPlan = "get_plan",
        /// Cancels tasks.
        CancelTask = "cancel_task",
        /// Retries tasks.
        RetryTask = "retry_task",
        /// Reports the caller's progress.
        ReportProgress = "report_progress",
        /// Asks a person.
        AskHuman = "ask_human",
        /// Sends a message.
        SendMessage = "send_message",
        /// Reads the caller's messages.
        ReadInbox = "read_inbox",
        /// Locks paths for the caller's task.
        LockFiles = "lock_files",
        /// Releases locks of the caller's task.
        UnlockFiles = "unlock_files",
        /// Lists locks.
        ListLocks = "list_locks",
        /// Sets the number of agents of a role.
        ScaleWorkers = "scale_workers",
        /// Accepts no further tasks.
        Drain = "drain",
        /// Stops everything.
        KillAll = "kill_all",
    }
}

/// How far a program may use a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolClass {
    /// It only reads.
    Reads,
    /// It concerns the caller's own work, and orch itself enforces the caller's rights.
    Own,
    /// It reaches others' work. A program asks its user first.
    Others,
    /// It controls the fleet: the master's alone, whose program asks its user first.
    Fleet,
}

impl Tool {
    /// Returns the tool's class.
    pub fn class(self) -> ToolClass {
        use Tool::*;
        match self {
            GetStatus | GetTask | ListTasks | ListLocks | GetPlan | WaitTasks => ToolClass::Reads,
            DelegateTask | SpawnWorkers | SubmitPlan | ReportProgress | AskHuman | ReadInbox | LockFiles
            | UnlockFiles => ToolClass::Own,
            CancelTask | RetryTask | SendMessage => ToolClass::Others,
            ScaleWorkers | Drain | KillAll => ToolClass::Fleet,
        }
    }

    /// Returns whether the tool ends work that can't be taken back.
    pub fn destroys(self) -> bool {
        matches!(self, Tool::CancelTask | Tool::KillAll)
    }

    /// Returns whether programs may use it without asking their user.
    pub fn is_free(self) -> bool {
        matches!(self.class(), ToolClass::Reads | ToolClass::Own)
    }

    /// Returns the tools that a program may use without asking: the free ones, and those that its role names in
    /// `allowed_tools`, as the program calls them. `allows` is whether one entry means one tool.
    pub fn allowed(names: &[String], allows: impl Fn(&str, Tool) -> bool) -> Vec<Tool> {
        let named = |tool: &Tool| names.iter().any(|name| allows(name.trim(), *tool));
        Tool::ALL.iter().copied().filter(|tool| tool.is_free() || named(tool)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_others_is_free_for_no_program() {
        let free: Vec<&str> = Tool::ALL.iter().filter(|tool| tool.is_free()).map(|tool| tool.as_str()).collect();
        assert_eq!(
            free,
            [
                "delegate_task",
                "spawn_workers",
                "wait_tasks",
                "get_status",
                "get_task",
                "list_tasks",
                "submit_plan",
                "get_plan",
                "report_progress",
                "ask_human",
                "read_inbox",
                "lock_files",
                "unlock_files",
                "list_locks",
            ]
        );
        let asked = Tool::allowed(&["orch_cancel_task".into()], |name, tool| name == format!("orch_{tool}"));
        assert!(asked.contains(&Tool::CancelTask) && !asked.contains(&Tool::RetryTask), "{asked:?}");
    }
}
