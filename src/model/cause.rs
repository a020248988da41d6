//! The cause of the end of an attempt, which decides what happens to its task next.

use super::words;

words! {
    /// Why an attempt ended.
    Cause: "cause" {
        /// The program did what it was asked.
        Success = "success",
        /// The next attempt may succeed: an ordinary non-zero exit code, 75, network, overload.
        Transient = "transient",
        /// The task's time limit passed.
        Timeout = "timeout",
        /// The task had to have ended by a time that has passed (`--deadline`).
        Deadline = "deadline",
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
}
