//! Why an attempt ended, which decides what happens to its task next.

use super::{task::TaskState, words};

words! {
    /// Why an attempt ended.
    Cause: "cause" {
        /// The program did what it was asked.
        Success = "success",
        /// The next attempt may succeed: an ordinary non-zero exit code, 75, network, overload.
        Transient = "transient",
        /// The task's time limit passed.
        Timeout = "timeout",
        /// The service takes no requests until a known time; not counted as a failure.
        RateLimited = "rate_limited",
        /// Every attempt would fail: exit code 65, a missing program, an invalid task.
        Permanent = "permanent",
        /// Only a person can help: login expired, permission refused, exit code 77.
        NeedsPerson = "needs_person",
        /// The task is not to blame: a crash, an expired lease, a reboot, a resource limit.
        Lost = "lost",
        /// The task was cancelled, by a person or with its parent.
        Cancelled = "cancelled",
    }
}

impl Cause {
    /// Returns what a program's exit code means. The numbers are those of sysexits.h: 65 is EX_DATAERR, 75 EX_TEMPFAIL,
    /// 77 EX_NOPERM.
    pub fn of_exit_code(code: i32) -> Cause {
        match code {
            0 => Cause::Success,
            65 => Cause::Permanent,
            77 => Cause::NeedsPerson,
            _ => Cause::Transient,
        }
    }

    /// Returns the task's next state. `failures` and `lost` include this attempt where it counts; `retries` and
    /// `lost_max` are the task's bounds. The Lua function `end_attempt` implements the same table; a test compares them.
    pub fn next(self, failures: u32, retries: u32, lost: u32, lost_max: u32) -> TaskState {
        match self {
            Cause::Success => TaskState::Succeeded,
            Cause::Transient | Cause::Timeout if failures > retries => TaskState::Failed,
            Cause::Lost if lost > lost_max => TaskState::Failed,
            Cause::Transient | Cause::Timeout | Cause::Lost | Cause::RateLimited => TaskState::Delayed,
            Cause::Permanent => TaskState::Failed,
            Cause::NeedsPerson => TaskState::Held,
            Cause::Cancelled => TaskState::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_next_state() {
        use TaskState::*;
        let first = |c: Cause| c.next(1, 3, 1, 3);
        let spent = |c: Cause| c.next(4, 3, 4, 3);
        assert_eq!(
            Cause::ALL.iter().map(|c| first(*c)).collect::<Vec<_>>(),
            [Succeeded, Delayed, Delayed, Delayed, Failed, Held, Delayed, Cancelled]
        );
        assert_eq!(
            Cause::ALL.iter().map(|c| spent(*c)).collect::<Vec<_>>(),
            [Succeeded, Failed, Failed, Delayed, Failed, Held, Failed, Cancelled]
        );
    }
}
