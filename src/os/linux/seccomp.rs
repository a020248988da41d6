//! The system calls that a program in a sandbox is denied, as a seccomp filter (seccomp(2), classic BPF).
//!
//! The namespaces of a sandbox decide what its programs see. This filter closes the ways around them: commands that are
//! pushed into a terminal, new namespaces in which a process has all capabilities again, the key rings of the user,
//! other processes, and parts of the kernel that are often attacked and that no agent program needs.

/// What a denied call returns.
#[derive(Clone, Copy)]
enum Answer {
    NotPermitted,
    /// For calls that programs replace by another one if the kernel does not have them.
    NotImplemented,
}

impl Answer {
    fn action(self) -> u32 {
        let errno = match self {
            Answer::NotPermitted => libc::EPERM,
            Answer::NotImplemented => libc::ENOSYS,
        };
        libc::SECCOMP_RET_ERRNO | errno as u32
    }
}

/// Offsets in `struct seccomp_data`. Only the lower halves of arguments are compared: the kernel takes these 32 bits, and
/// ignores the upper ones of `ioctl`'s command and `socket`'s family; the flags of `clone` are in the lower half too.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = if cfg!(target_endian = "big") { 20 } else { 16 };
const SECOND_ARGUMENT: u32 = FIRST_ARGUMENT + 8;

#[cfg(target_arch = "x86_64")]
const OWN_ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const OWN_ARCHITECTURE: u32 = 0xc000_00b7;
#[cfg(target_arch = "riscv64")]
const OWN_ARCHITECTURE: u32 = 0xc000_00f3;

/// Numbers from here on are those of the x32 interface, which has other numbers for the same calls.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// Flags of `clone` that make a namespace.
const NEW_NAMESPACE: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// Not in every version of libc. It puts input into the terminal as if it was typed, with its subcommand 2.
const TIOCLINUX: u32 = 0x541c;
/// Sockets to the host of a virtual machine: no network namespace keeps a program from them.
const AF_VSOCK: u32 = 40;

/// Calls that are denied whatever their arguments.
const DENIED: &[(libc::c_long, Answer)] = &[
    // Keys of the user, which no namespace separates.
    (libc::SYS_add_key, Answer::NotPermitted),
    (libc::SYS_keyctl, Answer::NotPermitted),
    (libc::SYS_request_key, Answer::NotPermitted),
    // Other processes.
    (libc::SYS_kcmp, Answer::NotPermitted),
    (libc::SYS_pidfd_getfd, Answer::NotPermitted),
    (libc::SYS_process_madvise, Answer::NotPermitted),
    (libc::SYS_process_vm_readv, Answer::NotPermitted),
    (libc::SYS_process_vm_writev, Answer::NotPermitted),
    (libc::SYS_ptrace, Answer::NotPermitted),
    // Namespaces and mounts. `clone3` passes its flags in memory, where a filter cannot look.
    (libc::SYS_chroot, Answer::NotPermitted),
    (libc::SYS_clone3, Answer::NotImplemented),
    (libc::SYS_fsconfig, Answer::NotPermitted),
    (libc::SYS_fsmount, Answer::NotPermitted),
    (libc::SYS_fsopen, Answer::NotPermitted),
    (libc::SYS_fspick, Answer::NotPermitted),
    (libc::SYS_mount, Answer::NotPermitted),
    (libc::SYS_mount_setattr, Answer::NotPermitted),
    (libc::SYS_move_mount, Answer::NotPermitted),
    (libc::SYS_open_tree, Answer::NotPermitted),
    (libc::SYS_pivot_root, Answer::NotPermitted),
    (libc::SYS_setns, Answer::NotPermitted),
    (libc::SYS_umount2, Answer::NotPermitted),
    (libc::SYS_unshare, Answer::NotPermitted),
    // Parts of the kernel that are often attacked, or that pass by this filter.
    (libc::SYS_bpf, Answer::NotPermitted),
    (libc::SYS_io_uring_enter, Answer::NotImplemented),
    (libc::SYS_io_uring_register, Answer::NotImplemented),
    (libc::SYS_io_uring_setup, Answer::NotImplemented),
    (libc::SYS_open_by_handle_at, Answer::NotPermitted),
    (libc::SYS_perf_event_open, Answer::NotPermitted),
    (libc::SYS_userfaultfd, Answer::NotPermitted),
    // The machine.
    (libc::SYS_acct, Answer::NotPermitted),
    (libc::SYS_delete_module, Answer::NotPermitted),
    (libc::SYS_finit_module, Answer::NotPermitted),
    (libc::SYS_init_module, Answer::NotPermitted),
    (libc::SYS_kexec_load, Answer::NotPermitted),
    (libc::SYS_quotactl, Answer::NotPermitted),
    (libc::SYS_reboot, Answer::NotPermitted),
    (libc::SYS_swapoff, Answer::NotPermitted),
    (libc::SYS_swapon, Answer::NotPermitted),
    (libc::SYS_syslog, Answer::NotPermitted),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_ioperm, Answer::NotPermitted),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_iopl, Answer::NotPermitted),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_kexec_file_load, Answer::NotPermitted),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_uselib, Answer::NotPermitted),
];

/// Returns the filter, in the form in which `bwrap --seccomp` reads it.
pub fn sandbox_filter() -> Vec<u8> {
    let mut filter = Filter::default();
    filter.load(ARCHITECTURE);
    // A 32-bit program has other numbers for its calls. It is denied all of them.
    filter.unless_equal_answer(OWN_ARCHITECTURE, Answer::NotImplemented.action());
    filter.load(NUMBER);
    #[cfg(target_arch = "x86_64")]
    filter.if_at_least_answer(X32, Answer::NotImplemented.action());
    for (number, answer) in DENIED {
        filter.if_equal_answer(*number as u32, answer.action());
    }
    let denied = Answer::NotPermitted.action();
    filter.if_argument(
        libc::SYS_ioctl as u32,
        SECOND_ARGUMENT,
        &[Test::Equal(libc::TIOCSTI as u32, denied), Test::Equal(TIOCLINUX, denied)],
    );
    filter.if_argument(libc::SYS_clone as u32, FIRST_ARGUMENT, &[Test::AnyBit(NEW_NAMESPACE, denied)]);
    let no_family = libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32;
    filter.if_argument(libc::SYS_socket as u32, FIRST_ARGUMENT, &[Test::Equal(AF_VSOCK, no_family)]);
    filter.answer(libc::SECCOMP_RET_ALLOW);
    filter.bytes
}

/// A test of one argument, with the answer where it holds.
enum Test {
    Equal(u32, u32),
    AnyBit(u32, u32),
}

/// Instructions, as they are added.
#[derive(Default)]
struct Filter {
    bytes: Vec<u8>,
}

impl Filter {
    /// Adds one `struct sock_filter`.
    fn add(&mut self, code: u32, if_true: u8, if_false: u8, value: u32) {
        self.bytes.extend((code as u16).to_ne_bytes());
        self.bytes.extend([if_true, if_false]);
        self.bytes.extend(value.to_ne_bytes());
    }

    fn load(&mut self, offset: u32) {
        self.add(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    }

    fn answer(&mut self, action: u32) {
        self.add(libc::BPF_RET | libc::BPF_K, 0, 0, action);
    }

    /// Compares what was loaded, and answers where the comparison holds.
    fn test(&mut self, comparison: u32, value: u32, action: u32) {
        self.add(libc::BPF_JMP | comparison | libc::BPF_K, 0, 1, value);
        self.answer(action);
    }

    fn if_equal_answer(&mut self, value: u32, action: u32) {
        self.test(libc::BPF_JEQ, value, action);
    }

    #[cfg(target_arch = "x86_64")]
    fn if_at_least_answer(&mut self, value: u32, action: u32) {
        self.test(libc::BPF_JGE, value, action);
    }

    fn unless_equal_answer(&mut self, value: u32, action: u32) {
        self.add(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, value);
        self.answer(action);
    }

    /// Tests an argument of one call. The number is loaded before and after.
    fn if_argument(&mut self, call: u32, argument: u32, tests: &[Test]) {
        let skipped = 2 + 2 * tests.len() as u8;
        self.add(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, skipped, call);
        self.load(argument);
        for test in tests {
            match test {
                Test::Equal(value, action) => self.test(libc::BPF_JEQ, *value, *action),
                Test::AnyBit(bits, action) => self.test(libc::BPF_JSET, *bits, *action),
            }
        }
        self.load(NUMBER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Interprets the filter for one call, as the kernel does.
    fn answer(call: libc::c_long, arguments: [u64; 2]) -> u32 {
        let mut data = Vec::new();
        data.extend((call as u32).to_ne_bytes());
        data.extend(OWN_ARCHITECTURE.to_ne_bytes());
        data.extend(0u64.to_ne_bytes());
        arguments.iter().for_each(|argument| data.extend(argument.to_ne_bytes()));
        let filter = sandbox_filter();
        let word = |at: usize| u32::from_ne_bytes(data[at..at + 4].try_into().unwrap());
        let (mut at, mut loaded) = (0, 0);
        loop {
            let instruction = &filter[at * 8..at * 8 + 8];
            let code = u32::from(u16::from_ne_bytes([instruction[0], instruction[1]]));
            let value = u32::from_ne_bytes(instruction[4..].try_into().unwrap());
            let is_true = match code & 0xf0 {
                libc::BPF_JEQ => loaded == value,
                libc::BPF_JGE => loaded >= value,
                _ => loaded & value != 0,
            };
            at += 1;
            match code & 7 {
                libc::BPF_LD => loaded = word(value as usize),
                libc::BPF_RET => return value,
                _ => at += usize::from(if is_true { instruction[2] } else { instruction[3] }),
            }
        }
    }

    #[test]
    fn only_what_leads_out_of_a_sandbox_is_denied() {
        let denied = Answer::NotPermitted.action();
        let allowed = libc::SECCOMP_RET_ALLOW;
        assert_eq!(answer(libc::SYS_read, [0, 0]), allowed);
        assert_eq!(answer(libc::SYS_ioctl, [0, libc::TIOCGWINSZ]), allowed);
        assert_eq!(answer(libc::SYS_ioctl, [0, libc::TIOCSTI]), denied);
        assert_eq!(answer(libc::SYS_ioctl, [0, libc::TIOCSTI | 7 << 32]), denied, "the kernel ignores the upper half");
        assert_eq!(answer(libc::SYS_ioctl, [0, u64::from(TIOCLINUX)]), denied);
        assert_eq!(answer(libc::SYS_clone, [libc::SIGCHLD as u64, 0]), allowed);
        assert_eq!(answer(libc::SYS_clone, [libc::CLONE_NEWUSER as u64 | libc::SIGCHLD as u64, 0]), denied);
        assert_eq!(answer(libc::SYS_unshare, [0, 0]), denied);
        assert_eq!(answer(libc::SYS_socket, [libc::AF_UNIX as u64, 0]), allowed);
        assert_ne!(answer(libc::SYS_socket, [u64::from(AF_VSOCK), 0]), allowed);
        assert_eq!(answer(libc::SYS_clone3, [0, 0]), Answer::NotImplemented.action());
        assert_eq!(answer(libc::SYS_kill, [1, 9]), allowed);
    }
}
