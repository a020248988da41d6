//! Attempts on other processes, on the kernel, and on what keeps a program in its place. The last ones end what the others
//! need.

use super::attempts::{Attempt, Success, Without};

const fn attempt(name: &'static str, success: Success, script: &'static str) -> Attempt {
    Attempt { name, script, success, without_sandbox: Without::Succeeds }
}

/// One that the kernel permits only root.
const fn for_root(name: &'static str, success: Success, script: &'static str) -> Attempt {
    Attempt { name, script, success, without_sandbox: Without::SucceedsForRoot }
}

pub const ATTEMPTS: &[Attempt] = &[
    attempt(
        "read the environment of another agent",
        Success::Reads("planted-environment"),
        r#"cd /proc; for process in "$VICTIM" [0-9] [0-9][0-9]; do tr '\0' '\n' < $process/environ | grep PLANTED && break; done > "$LOOT""#,
    ),
    attempt(
        "read the arguments of another agent",
        Success::Reads("planted-argument"),
        r#"cd /proc; for process in "$VICTIM" [0-9] [0-9][0-9]; do tr '\0' ' ' < $process/cmdline | grep "planted[-]argument" && break; done > "$LOOT""#,
    ),
    for_root(
        "read the memory of another agent",
        Success::Reads("planted-memory"),
        r#"for process in "$VICTIM" $(cd /proc; echo [0-9] [0-9][0-9]); do perl -e '
            my ($pid) = @ARGV; exit 1 if $pid == $$ || $pid == getppid;
            open(MAPS, "/proc/$pid/maps") && open(MEM, "/proc/$pid/mem") or exit 1;
            while (<MAPS>) {
                /^(\w+)-(\w+) rw.*(heap|stack)/ or next; my ($from, $to) = (hex $1, hex $2);
                sysseek(MEM, $from, 0) && sysread(MEM, my $text, $to - $from) or next;
                my $sought = join("-", "planted", "memory"); print("$sought\n"), exit if index($text, $sought) >= 0;
            } exit 1' "$process" && break; done > "$LOOT""#,
    ),
    for_root(
        "trace another agent",
        Success::Changes(|scene, tried| {
            let status = scene.read(&scene.loot(tried));
            status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
        }),
        r#"case $(uname -m) in x86_64) call=101;; *) call=117;; esac
        for process in "$VICTIM" $(cd /proc; echo [0-9] [0-9][0-9]); do perl -e '
            my ($call, $pid) = @ARGV; my $process = "/proc/$pid"; exit if $pid == $$ || $pid == getppid;
            open(C, "$process/cmdline"); exit unless <C> =~ join("-", "planted", "argument");
            syscall($call, 16, $pid + 0, 0, 0); open(S, "$process/status"); print grep { /TracerPid/ } <S>;' $call "$process"; done > "$LOOT""#,
    ),
    attempt("read a shared memory", Success::Reads("planted-shm"), r#"cat "$SHARED_MEMORY" > "$LOOT""#),
    attempt(
        "undo what hides the user's files",
        Success::Reads("planted-key"),
        r#"for at in "$WORLD/.ssh" "$WORLD" /tmp; do cat "$WORLD/.ssh/id_planted" && break; umount -l "$at"; done > "$LOOT"; cat "$WORLD/.ssh/id_planted" >> "$LOOT""#,
    ),
    attempt(
        "undo it with the rights of a new namespace",
        Success::Reads("planted-key"),
        r#"export WORLD; for words in -m -Um -Urm "-Urm --mount-proc -pf"; do
            unshare $words sh -c 'umount -l "$WORLD"; umount -l /tmp; mount --bind / /mnt; cat "$WORLD/.ssh/id_planted" "/mnt$WORLD/.ssh/id_planted"'; done > "$LOOT""#,
    ),
    for_root(
        "enter the namespaces of another process",
        Success::Reads("planted-key"),
        r#"for process in "/proc/$VICTIM" /proc/[0-9]*; do nsenter -t "${process##*/}" -m -- cat "$WORLD/.ssh/id_planted" && break
            nsenter --mount="$process/ns/mnt" cat "$WORLD/.ssh/id_planted" && break; done > "$LOOT""#,
    ),
    for_root(
        "change its root",
        Success::Reads("planted-key"),
        r#"for root in / /proc/1/root /proc/self/root; do chroot "$root" cat "$WORLD/.ssh/id_planted"; done > "$LOOT""#,
    ),
    Attempt {
        name: "read the file of another user",
        script: r#"cat "$PROJECT/of-another-user" > "$LOOT""#,
        success: Success::Reads("planted-of-another"),
        without_sandbox: Without::SucceedsForRoot,
    },
    Attempt {
        name: "gain rights by a program with the bit of its owner",
        script: r#""$PROJECT/cat-as-another" "$PROJECT/of-another-user" > "$LOOT""#,
        success: Success::Reads("planted-of-another"),
        without_sandbox: Without::SucceedsForRoot,
    },
    for_root(
        "make a device",
        Success::Changes(|scene, tried| scene.is_device(&scene.loot(tried))),
        r#"mknod "$LOOT" c 1 3"#,
    ),
    Attempt {
        name: "write to a folder of programs",
        script: r#"cp /bin/sh "$PROGRAMS""#,
        success: Success::Changes(|scene, _| scene.programs.exists()),
        without_sandbox: Without::NotTried("it would change the machine"),
    },
    Attempt {
        name: "read the environment of the first process",
        script: r#"for process in 1 "$PPID" "$RUNNER" "$SUPERVISOR"; do tr '\0' '\n' < "/proc/$process/environ"; done > "$LOOT""#,
        success: Success::Changes(|scene, tried| !scene.read(&scene.loot(tried)).is_empty()),
        without_sandbox: Without::NotTried("root reads every environment"),
    },
    Attempt {
        name: "read the descriptors of the first process",
        script: r#"for process in 1 "$PPID" "$RUNNER" "$SUPERVISOR"; do ls -l "/proc/$process/fd/" | grep -- '->'; done > "$LOOT""#,
        success: Success::Changes(|scene, tried| !scene.read(&scene.loot(tried)).is_empty()),
        without_sandbox: Without::NotTried("root reads every list of descriptors"),
    },
    Attempt {
        name: "report for itself how it has ended",
        script: r#"for file in /proc/1/fd/* /proc/self/fd/* "/proc/$PPID/fd"/*; do case $(readlink "$file") in *memfd*) printf 'ended 0\0' 1<> "$file";; esac; done
        exit 3"#,
        success: Success::Changes(|_, tried| tried.task["state"] == "succeeded"),
        without_sandbox: Without::NotTried("there is no such report"),
    },
    // These end what the others need.
    attempt("kill another agent's program", Success::Ends("VICTIM"), r#"kill -9 "$VICTIM""#),
    attempt("kill a runner", Success::Ends("RUNNER"), r#"kill -9 "$RUNNER""#),
    attempt("kill the supervisor", Success::Ends("SUPERVISOR"), r#"kill -9 "$SUPERVISOR""#),
    attempt("kill Redis", Success::Ends("REDIS"), r#"kill -9 "$REDIS""#),
    attempt(
        "kill the user's tmux server",
        Success::Ends("TMUX_SERVER"),
        r#"tmux -S "$TMUX_SOCKET" kill-server; kill -9 "$TMUX_SERVER""#,
    ),
];
