//! One case per error in a file: its whole text, with line and key.

use super::error;

/// Each text has this one error, and no other.
pub(super) fn all(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(error(text).message, *expected, "of:\n{text}");
    }
}

#[test]
fn unknown_keys_come_with_the_nearest_one() {
    all(&[
        (
            "\n[roles.sonnet]\nmax = 2\nidle_timout = \"5m\"",
            "sessions.toml:4: roles.sonnet.idle_timout is not a known key; did you mean idle_timeout?",
        ),
        ("nmae = \"a\"", "sessions.toml:1: nmae is not a known key; did you mean name?"),
        ("[supervisr]\nlease = \"1m\"", "sessions.toml:1: supervisr is not a known key; did you mean supervisor?"),
        (
            "[tmux]\n\"a b\\u001b\" = 1",
            "sessions.toml:2: tmux.\"a b\\u{1b}\" is not a known key; the keys here are socket",
        ),
        ("retry = { retires = 2 }", "sessions.toml:1: retry.retires is not a known key; did you mean retries?"),
    ]);
}

#[test]
fn a_key_of_another_table_is_sent_there() {
    all(&[
        ("heartbeat = \"1s\"", "sessions.toml:1: heartbeat is not a known key here; it belongs in [supervisor]"),
        (
            "[roles.sonnet]\nretries = 1",
            "sessions.toml:2: roles.sonnet.retries is not a known key here; it belongs in [roles.NAME.retry]",
        ),
    ]);
}

#[test]
fn values_have_their_type() {
    all(&[
        ("name = 5", "sessions.toml:1: name must be a string, not an integer"),
        ("supervisor = 5", "sessions.toml:1: supervisor must be a table, not an integer"),
        ("[[roles.tool]]\nmax = 1", "sessions.toml:1: roles.tool must be a table, not an array"),
        ("[roles.sonnet]\nmax = \"5\"", "sessions.toml:2: roles.sonnet.max must be a whole number, not a string"),
        (
            "[roles.sonnet]\nmax = -1",
            "sessions.toml:2: roles.sonnet.max must be a whole number from 1 to 4294967295, not -1",
        ),
        (
            "[roles.sonnet]\nmax = 0",
            "sessions.toml:2: roles.sonnet.max must be a whole number from 1 to 4294967295, not 0",
        ),
        (
            "[supervisor]\nmax_children = 4294967296",
            "sessions.toml:2: supervisor.max_children must be a whole number from 0 to 4294967295, not 4294967296",
        ),
        ("[retry]\nfactor = 0.5", "sessions.toml:2: retry.factor must be a number of at least 1, not 0.5"),
        ("[retry]\nfactor = inf", "sessions.toml:2: retry.factor must be a number of at least 1, not inf"),
        ("[retry]\nfactor = nan", "sessions.toml:2: retry.factor must be a number of at least 1, not nan"),
        ("[retry]\nfactor = true", "sessions.toml:2: retry.factor must be a number, not a boolean"),
        (
            "[roles.tool]\ncommand = \"./agent\"",
            "sessions.toml:2: roles.tool.command must be a list of strings, such as [\"a\", \"b\"], not a string",
        ),
        (
            "[roles.tool]\ncommand = [\n  \"./agent\",\n  5]",
            "sessions.toml:4: roles.tool.command must be a list of strings only, not an integer",
        ),
        (
            "[roles.tool.env]\nA = \"1\"\nPORT = 80",
            "sessions.toml:3: roles.tool.env.PORT must be a string, not an integer; put it in quotes",
        ),
    ]);
}

#[test]
fn durations_have_a_unit_and_a_sense() {
    all(&[
        (
            "[supervisor]\nkill_grace = 5",
            "sessions.toml:2: supervisor.kill_grace has no unit: write \"5s\" for seconds or \"5m\" for minutes",
        ),
        (
            "[supervisor]\nkill_grace = \"5\"",
            "sessions.toml:2: supervisor.kill_grace is wrong: '5' is not a duration: \
             write a number with its unit, such as 500ms, 90s, 5m, 2h or 7d",
        ),
        (
            "[supervisor]\nkill_grace = []",
            "sessions.toml:2: supervisor.kill_grace must be a duration with its unit, \
             such as \"90s\", \"5m\" or \"2h\", not an array",
        ),
        ("[supervisor]\nheartbeat = \"0s\"", "sessions.toml:2: supervisor.heartbeat must be at least 50ms, not 0s"),
        (
            "[redis]\nmax_memory = \"1K\"",
            "sessions.toml:2: redis.max_memory must be at least 16 MiB, or \"0\" for no limit, not 1 KiB",
        ),
        ("[supervisor]\nkeep = \"1s\"", "sessions.toml:2: supervisor.keep must be at least 1m00s, not 1s"),
        (
            "[roles.sonnet]\ntask_timeout = \"0s\"",
            "sessions.toml:2: roles.sonnet.task_timeout must be at least 1ms, not 0s",
        ),
    ]);
}

#[test]
fn sizes_have_a_unit_and_a_sense() {
    all(&[
        (
            "[roles.sonnet]\nmemory_max = 4",
            "sessions.toml:2: roles.sonnet.memory_max has no unit: write \"4M\" for MiB or \"4G\" for GiB",
        ),
        (
            "[roles.sonnet]\nmax_output = \"100MB\"",
            "sessions.toml:2: roles.sonnet.max_output is wrong: '100MB' is not a size: \
             write a number with its unit, such as 512K, 100M or 4G",
        ),
        (
            "[supervisor]\nmin_free_memory = true",
            "sessions.toml:2: supervisor.min_free_memory must be a size with its unit, \
             such as \"512K\", \"100M\" or \"4G\", not a boolean",
        ),
        (
            "[roles.sonnet]\nmemory_max = \"1M\"",
            "sessions.toml:2: roles.sonnet.memory_max must be at least 16 MiB, not 1M",
        ),
        (
            "[roles.sonnet]\ncpu_max = 0",
            "sessions.toml:2: roles.sonnet.cpu_max must be a number of at least 0.01, not 0",
        ),
        (
            "[roles.sonnet]\nmax_processes = 0",
            "sessions.toml:2: roles.sonnet.max_processes must be a whole number from 1 to 4294967295, not 0",
        ),
    ]);
}

#[test]
fn keys_fit_each_other() {
    let lease = "the lease (30s) must be at least two heartbeats (of 20s)";
    all(&[
        (
            "[supervisor]\nlease = \"30s\"\nheartbeat = \"20s\"",
            &format!("sessions.toml:2: supervisor.lease does not fit: {lease}"),
        ),
        ("[supervisor]\nheartbeat = \"20s\"", &format!("sessions.toml:2: supervisor.heartbeat does not fit: {lease}")),
        (
            "[roles.sonnet]\nmin = 3\nmax = 2",
            "sessions.toml:3: roles.sonnet.max does not fit: max (2) is less than min (3)",
        ),
        ("[roles.sonnet]\nmin = 6", "sessions.toml:2: roles.sonnet.min does not fit: max (5) is less than min (6)"),
        ("[retry]\nbase = \"10m\"", "sessions.toml:2: retry.base does not fit: base (10m00s) is more than cap (5m00s)"),
        (
            "[roles.shell.retry]\ncap = \"500ms\"",
            "sessions.toml:2: roles.shell.retry.cap does not fit: base (1.0s) is more than cap (500ms)",
        ),
        (
            "[supervisor]\nmax_agents = 4\n[roles.shell]\nmin = 4\n[roles.opus]\nmin = 1",
            "sessions.toml:2: supervisor.max_agents does not fit: \
             the roles keep 5 agents ready (the sum of their min), of 4 at most",
        ),
        (
            "[roles.sonnet]\ninstructions = \"a\"\ninstructions_file = \"b\"",
            "sessions.toml:3: roles.sonnet.instructions_file cannot be combined with instructions; remove one of them",
        ),
    ]);
}

#[test]
fn names_are_names() {
    let name = "is not a name: a small letter, then small letters, digits and '-', at most";
    all(&[
        ("[roles.Tool]\nmax = 1", &format!("sessions.toml:1: roles.Tool is wrong: 'Tool' {name} 40 in all")),
        (
            "[master]\nsession = \"my master\"",
            &format!("sessions.toml:2: master.session is wrong: 'my master' {name} 48 in all"),
        ),
        (
            "name = \"My Shop\"",
            "sessions.toml:1: name is wrong: 'My Shop' is not a namespace: small letters, digits, '.', '_' and '-', \
             the first a letter or digit, at most 64 in all; did you mean 'my-shop'?",
        ),
        (
            "[master]\nsession = \"sonnet-1\"",
            "sessions.toml:2: master.session is taken: 'sonnet-1' is the name of an agent of role sonnet",
        ),
    ]);
}

#[test]
fn addresses_and_sockets_can_be_used() {
    let long = format!("/{}", "s".repeat(107));
    let shown = format!("/{}…", "s".repeat(59));
    all(&[
        (
            "[redis]\nurl = \"http://user:secret@host\"",
            "sessions.toml:2: redis.url is wrong: an address of Redis begins with one of \
             redis://, rediss://, unix://, redis+unix://",
        ),
        (
            "[redis]\nurl = \"redis+unix://run/redis.sock\"",
            "sessions.toml:2: redis.url is wrong: after unix:// comes the absolute path of a socket: \
             unix:///run/redis.sock",
        ),
        (
            "[tmux]\nsocket = \"a/b\"",
            "sessions.toml:2: tmux.socket is wrong: 'a/b' is neither a name (without '/') nor an absolute path",
        ),
        (
            "[tmux]\nsocket = \"..\"",
            "sessions.toml:2: tmux.socket is wrong: '..' is neither a socket's name nor its absolute path",
        ),
        (
            &format!("[tmux]\nsocket = \"{long}\""),
            &format!(
                "sessions.toml:2: tmux.socket is wrong: '{shown}' is longer than the 107 bytes \
                 that a socket's path can have"
            ),
        ),
    ]);
}

#[test]
fn broken_toml_is_shown_by_line_and_column() {
    let text = "name = \"é\" x\n[roles.sonnet\nmax = = 1\n";
    let message = error(text).message;
    let places: Vec<&str> = message.lines().map(|line| &line[..line.find(": ").unwrap()]).collect();
    assert_eq!(places, ["sessions.toml:1:12", "sessions.toml:2:14", "sessions.toml:3:7"], "{message}");
    assert!(message.lines().all(|line| line.contains(": not valid TOML: ")), "{message}");
    assert!(error("a = 1\na = 2").message.starts_with("sessions.toml:2:1: not valid TOML: duplicate key"));
}

#[test]
fn all_errors_are_reported_together_in_order() {
    let error = error(
        "[roles.sonnet]\nmax = 0\nmin = 9\n[supervisor]\nheartbeat = 5\nlease = \"1s\"\n\
         [master]\nrole = \"boss\"\n[roles.tool]\ndriver = \"command\"\ncommand = 5\ncolour = 1",
    );
    let places: Vec<String> =
        error.message.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    // What a wrong value would have meant for others is not guessed: no word about min, lease, or a missing command.
    assert_eq!(
        places,
        [
            "sessions.toml:2: roles.sonnet.max",
            "sessions.toml:5: supervisor.heartbeat",
            "sessions.toml:8: master.role",
            "sessions.toml:11: roles.tool.command",
            "sessions.toml:12: roles.tool.colour",
        ]
    );
    assert_eq!(error.hint.as_deref(), Some("correct these 5 places in sessions.toml; nothing was changed"));
}

#[test]
fn very_many_errors_are_counted() {
    let text: String = (0..80).map(|n| format!("zzzzzzzzz{n} = 1\n")).collect();
    let message = error(text).message;
    assert_eq!(message.lines().count(), 51);
    assert!(message.ends_with("\nand 30 more"), "{message}");
}
