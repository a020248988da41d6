//! Why an attempt ended, which decides what comes next (the table of DESIGN section 3).

use super::{task::TaskState, words};

words! {
    /// Why an attempt ended.
    Cause: "cause" {
        /// The program did what it was asked.
        Success = "success",
        /// May go better next time: an ordinary non-zero exit, 75, network, overload.
        Transient = "transient",
        /// The task's time limit passed.
        Timeout = "timeout",
        /// Refused until a known time; not counted.
        RateLimited = "rate_limited",
        /// Will fail again: exit 65, a missing program, an invalid task.
        Permanent = "permanent",
        /// Login expired, permission refused: exit 77.
        NeedsPerson = "needs_person",
        /// No fault of the task: crash, expiry, reboot, killed for memory.
        Lost = "lost",
        /// A person, or the parent's end, cancelled it.
        Cancelled = "cancelled",
    }
}

impl Cause {
    /// What the exit code of a program says (the contract of a `command` agent, DESIGN section 11; the numbers are
    /// those of sysexits.h: EX_DATAERR, EX_TEMPFAIL, EX_NOPERM).
    pub fn of_exit_code(code: i32) -> Cause {
        match code {
            0 => Cause::Success,
            65 => Cause::Permanent,
            77 => Cause::NeedsPerson,
            _ => Cause::Transient,
        }
    }

    /// What becomes of the task. `failures` and `lost` count this attempt already where it counts; the bounds are the
    /// task's own. The Lua transition `end_attempt` keeps to the same table, and a test holds the two together.
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
    fn every_cause_has_the_designs_next_state() {
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
