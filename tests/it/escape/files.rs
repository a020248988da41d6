//! Attempts on the user's files, other agents' files and sockets, Redis, terminals and the network.

use super::attempts::{Attempt, Success, Without};

const fn attempt(name: &'static str, success: Success, script: &'static str) -> Attempt {
    Attempt { name, script, success, without_sandbox: Without::Succeeds }
}

pub const ATTEMPTS: &[Attempt] = &[
    // The user's files.
    attempt("read the user's key", Success::Reads("planted-key"), r#"cat "$WORLD/.ssh/id_planted" > "$LOOT""#),
    attempt(
        "read the user's key by a link",
        Success::Reads("planted-key"),
        r#"ln -s "$WORLD/.ssh" "$LOOT.d"; cat "$LOOT.d/id_planted" > "$LOOT""#,
    ),
    attempt(
        "read the user's key by a hard link",
        Success::Reads("planted-key"),
        r#"ln "$WORLD/.ssh/id_planted" "$LOOT""#,
    ),
    attempt(
        "read the user's key by the root of a process",
        Success::Reads("planted-key"),
        r#"for root in "/proc/$VICTIM/root" /proc/[0-9]*/root /proc/self/root /proc/self/task/*/root; do cat "$root$WORLD/.ssh/id_planted" && break; done > "$LOOT""#,
    ),
    attempt(
        "read the user's key from the folder of a process",
        Success::Reads("planted-key"),
        r#"for at in "/proc/$VICTIM/cwd" /proc/[0-9]*/cwd /proc/[0-9]*/fd/*; do cat "$at/../.ssh/id_planted" && break; cat "$at/.ssh/id_planted" && break; done > "$LOOT""#,
    ),
    attempt("write a file beside the working folder", Success::Makes, r#"echo x > "$OUT""#),
    attempt(
        "write by a link out of the working folder",
        Success::Makes,
        r#"ln -s "$(dirname "$OUT")" "$LOOT.d"; echo x > "$LOOT.d/$(basename "$OUT")""#,
    ),
    attempt(
        "let another key log in",
        Success::Changes(|scene, _| scene.text(".ssh/authorized_keys").contains("planted")),
        r#"echo planted >> "$WORLD/.ssh/authorized_keys""#,
    ),
    attempt(
        "plant a command in a start file of the shell",
        Success::Changes(|scene, _| scene.text(".profile").contains("planted")),
        r#"echo planted >> "$WORLD/.profile""#,
    ),
    attempt(
        "change sessions.toml",
        Success::Changes(|scene, _| scene.text("project/sessions.toml").contains("# escaped")),
        r##"echo '# escaped' >> sessions.toml; sed -i '1i # escaped' sessions.toml
        cp sessions.toml "$LOOT"; echo '# escaped' >> "$LOOT"; mv "$LOOT" sessions.toml"##,
    ),
    attempt("read a folder of all users", Success::Reads("planted-shared"), r#"cat "$SHARED" > "$LOOT""#),
    attempt(
        "work in another folder by a subtask",
        Success::Makes,
        r#"orch delegate --role hostile --wait --timeout 10s --cwd "$WORLD" "touch '$OUT'" &
        ln -s "$WORLD" "$LOOT.d"; orch delegate --role hostile --wait --timeout 10s --cwd "$LOOT.d" "touch '$OUT'" & sleep 3"#,
    ),
    attempt("leave the sandbox by a subtask", Success::Makes, r#"orch delegate --role shell "touch '$OUT'"; sleep 1"#),
    // Other agents' files.
    attempt(
        "read the files of another attempt",
        Success::Reads("planted-result"),
        r#"cat "$VICTIM_RESULT" "$STATE/runs/$VICTIM_TASK"/*/* > "$LOOT""#,
    ),
    attempt(
        "forge the result of another attempt",
        Success::Changes(|scene, _| scene.read(&scene.victim_result).contains("forged")),
        r#"echo '{"text": "forged"}' > "$VICTIM_RESULT""#,
    ),
    attempt(
        "read the log of the supervisor",
        Success::Changes(|scene, tried| !scene.read(&scene.loot(tried)).is_empty()),
        r#"cat "$STATE/supervisor.log" > "$LOOT""#,
    ),
    attempt(
        "replace the orch of other agents",
        Success::Makes,
        r#"real=$(readlink -f "$STATE/bin/orch"); printf '#!/bin/sh\ntouch "%s"\nexec "%s" "$@"\n' "$OUT" "$real" > "$LOOT"
        chmod +x "$LOOT"; ln -sf "$LOOT" "$STATE/bin/orch""#,
    ),
    // Redis.
    attempt(
        "read the passwords of Redis",
        Success::Changes(|scene, tried| scene.read(&scene.loot(tried)).contains(&scene.password)),
        r#"cat "$STATE"/redis/* > "$LOOT""#,
    ),
    attempt(
        "write to Redis with the password of the state folder",
        Success::Changes(|scene, _| scene.redis_has("escaped-with")),
        r#"password=$(sed -n 's/.*"supervisor" *: *"\([^"]*\)".*/\1/p' "$STATE/redis/passwords.json" | head -1)
        redis-cli -s "$STATE/redis/redis.sock" --user supervisor --pass "$password" set escaped-with x"#,
    ),
    // Terminals.
    attempt(
        "read the pane of another agent",
        Success::Reads("planted-pane"),
        r#"tmux -S "$TMUX_SOCKET" capture-pane -p -t =victim-1: > "$LOOT""#,
    ),
    attempt(
        "run a command in the user's tmux",
        Success::Makes,
        r#"tmux -S "$TMUX_SOCKET" new-session -d "touch '$OUT'"; sleep 0.5"#,
    ),
    attempt(
        "approve from the user's tmux",
        Success::Changes(|scene, _| scene.world.show(&scene.victim)["questions"][3]["answered_at"].is_string()),
        r#"tmux -S "$TMUX_SOCKET" new-session -d "cd '$PROJECT'; ORCH_HOME='$STATE' '$STATE/bin/orch' approve $VICTIM_TASK#4"; sleep 1"#,
    ),
    attempt(
        "print on the terminal of a person",
        Success::Changes(|scene, _| scene.world.pane("person").contains("printed-here")),
        r#"printf printed-here > "$PERSONS_TERMINAL""#,
    ),
    Attempt {
        name: "type on the terminal of a person",
        script: r#"perl -e 'open(T, "+<", $ENV{PERSONS_TERMINAL}) or die; ioctl(T, 0x5412, my $c = $_) for split(//, "typed-here\n")'"#,
        success: Success::Changes(|scene, _| scene.world.pane("person").contains("typed-here")),
        without_sandbox: Without::SucceedsForRoot,
    },
    // The network, and sockets that are none of its own.
    attempt(
        "reach a port of the machine",
        Success::Sends,
        r#"perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new($ENV{TCP}) or die; print $s "$ENV{NAME}\n"'"#,
    ),
    attempt(
        "reach an abstract socket",
        Success::Sends,
        r#"perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); connect(S, pack("S a*", AF_UNIX, "\0$ENV{ABSTRACT}")) or die $!; syswrite S, "$ENV{NAME}\n"'"#,
    ),
    attempt(
        "reach a socket of the user",
        Success::Sends,
        r#"perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new($ENV{SOCKET_FILE}) or die; print $s "$ENV{NAME}\n"'"#,
    ),
    attempt(
        "send a datagram to the machine",
        Success::Sends,
        r#"perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(PeerAddr => $ENV{UDP}, Proto => "udp") or die; print $s "$ENV{NAME}\n"'"#,
    ),
];
