//! One line of `/proc/PID/stat`: the cheapest source for a process's identity, parent and state.

use std::{
    fs::File,
    io::{self, Read},
};

use nix::errno::Errno;

use crate::os::ProcessId;

/// Set in the `flags` field of a kernel thread (`PF_KTHREAD` in the kernel's `sched.h`).
const PF_KTHREAD: u64 = 0x0020_0000;

/// The fields of the line that orch uses; see proc_pid_stat(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub id: ProcessId,
    /// One letter: `R` running, `S` sleeping, `D` stuck in the kernel, `T` stopped, `Z` zombie...
    pub state: char,
    pub parent: u32,
    pub session: u32,
    pub kernel_thread: bool,
    /// User and system time together.
    pub cpu_ticks: u64,
    /// The time of children that have ended and were waited for, including the inherited time of theirs.
    pub children_ticks: u64,
    threads: u64,
}

impl Stat {
    /// Reads the line of `pid`; `None` when there is no such process (any more).
    ///
    /// # Errors
    /// Fails when `/proc` cannot be read (no descriptors left, not mounted): this does *not* mean that the process is
    /// gone.
    pub fn read(pid: u32) -> io::Result<Option<Stat>> {
        // One read returns the whole line, or nothing: the kernel writes it in one piece, and it is never this long.
        let mut line = [0u8; 2048];
        let length = match File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut line)) {
            Ok(length) => length,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = String::from_utf8_lossy(&line[..length]);
        match Stat::parse(pid, &text) {
            Some(stat) => Ok(Some(stat)),
            None if is_being_removed(&text) => Ok(None),
            None => {
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat has an unknown form: {text}")))
            }
        }
    }

    /// The program's name, second in the line, may contain anything, including `) R 1`; what follows the last `)` is
    /// written by the kernel.
    fn parse(pid: u32, line: &str) -> Option<Stat> {
        let fields: Vec<&str> = line.get(line.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        // The first of `fields` has number 3 in the manual.
        let number = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
        Some(Stat {
            id: ProcessId { pid, start_time: number(22)? },
            state: fields.first()?.chars().next()?,
            parent: number(4)? as u32,
            session: number(6)? as u32,
            kernel_thread: number(9)? & PF_KTHREAD != 0,
            cpu_ticks: number(14)?.saturating_add(number(15)?),
            children_ticks: number(16)?.saturating_add(number(17)?),
            threads: number(20)?,
        })
    }

    /// Returns whether it has ended and only waits to be reaped. A program whose first thread has ended while others
    /// run is shown as a zombie too, but with a thread count: it is alive.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X') && self.threads <= 1
    }
}

/// A process that is reaped while its line is written has no group and no session: -1.
fn is_being_removed(line: &str) -> bool {
    let after_name = line.rsplit(')').next().unwrap_or_default();
    after_name.split_ascii_whitespace().nth(3) == Some("-1")
}

/// Returns whether an error of a read below `/proc/PID` means that the process is gone, rather than that it could not
/// be read.
pub(super) fn is_gone(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    errno == Some(Errno::ENOENT as i32) || errno == Some(Errno::ESRCH as i32)
}

#[cfg(test)]
mod fuzz {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(crate::fuzz::cases(256))]

        #[test]
        fn any_line_is_read_or_refused(line in any::<String>(), numbers in prop::collection::vec(any::<u64>(), 0..50)) {
            let _ = (Stat::parse(1, &line), is_being_removed(&line));
            let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
            let _ = Stat::parse(1, &format!("1 ({line}) S {}", numbers.join(" ")));
        }

        /// A program may name itself anything of up to 15 bytes.
        #[test]
        fn no_name_shifts_the_fields(name in "[ ()SRZ0-9a-z\\n\\PC-]{0,15}", state in "[RSDTtZXI]", ppid in any::<u32>()) {
            let line = format!("7 ({name}) {state} {ppid} 8 9 0 -1 0 1 2 3 4 50 25 6 7 20 0 1 0 12345 4096");
            let stat = Stat::parse(7, &line).expect(&line);
            prop_assert_eq!((stat.state.to_string(), stat.parent, stat.session), (state, ppid, 9));
            prop_assert_eq!((stat.id.start_time, stat.cpu_ticks), (12345, 75));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "S 7 8 9 0 -1 4194560 1 2 3 4 50 25 6 7 20 0 1 0 12345 4096 77 18446744073709551615";

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        for name in ["sh", "a b", ") Z 1 (", "))"] {
            let stat = Stat::parse(42, &format!("42 ({name}) {TAIL}\n")).expect(name);
            assert_eq!(stat.id, ProcessId { pid: 42, start_time: 12345 }, "{name}");
            assert_eq!((stat.state, stat.parent, stat.session), ('S', 7, 9), "{name}");
            assert_eq!((stat.cpu_ticks, stat.children_ticks, stat.kernel_thread), (75, 13, false), "{name}");
        }
    }

    #[test]
    fn a_cut_line_is_refused() {
        assert_eq!(Stat::parse(42, "42 (sh) S 7 8"), None);
        assert_eq!(Stat::parse(42, ""), None);
    }

    #[test]
    fn a_process_that_is_reaped_during_a_read_is_gone_and_no_error() {
        for state in ['X', 'Z'] {
            let line = format!("42 (sh) {state} 0 -1 -1 0 -1 4227084 178 0 0 0 0 0 0 0 20 0 0 0 154688 0 0");
            assert_eq!(Stat::parse(42, &line), None);
            assert!(is_being_removed(&line));
        }
        assert!(!is_being_removed(&format!("42 (sh) {TAIL}")) && !is_being_removed("42 (sh"));
    }

    #[test]
    fn a_zombie_with_living_threads_is_not_ended() {
        let with = |state: &str, threads: &str| {
            let tail = TAIL.replacen('S', state, 1).replace(" 0 1 0 12345", &format!(" 0 {threads} 0 12345"));
            Stat::parse(42, &format!("42 (sh) {tail}")).expect(state).is_ended()
        };
        assert!(with("Z", "1"));
        assert!(!with("Z", "3") && !with("T", "1") && !with("D", "1"));
    }
}
