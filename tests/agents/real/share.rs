//! The time from `orch delegate` to the program's first call of a model, and orch's share of it.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt,
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::fleet::{Fleet, SONNET};
use crate::model_server::{Answer, when};

const ROUNDS: usize = 5;
/// The maximum number of rounds, used while the machine is busy with other work.
const ROUNDS_AT_MOST: usize = 12;
/// The upper limit of orch's share.
const SHARE: Duration = Duration::from_millis(60);

/// A wrapper for claude that records its start time, environment and arguments, and then executes the real claude.
const RECORDING_WRAPPER: &str = r#"date +%s%N > "$HOME/started"; env -0 > "$HOME/env"; printf '%s\0' "$@" > "$HOME/args"
exec "$HOME/bin/real-claude" "$@""#;

#[test]
fn orchs_share_of_the_time_to_the_first_question_is_small() {
    let rules = vec![when("").answer(Answer::text("hello"))];
    let Some(fleet) = Fleet::started(&["claude"], SONNET, rules) else { return };
    let bin = fleet.world.file("bin");
    fs::rename(bin.join("claude"), bin.join("real-claude")).unwrap();
    fleet.world.program("claude", RECORDING_WRAPPER);
    // Excludes the work of the first start in a new home.
    fleet.done("sonnet", "warm up");

    let (mut until_started, mut by_orch, mut by_hand) = (Vec::new(), Vec::new(), Vec::new());
    while by_hand.len() < ROUNDS || (best(&until_started) > SHARE && by_hand.len() < ROUNDS_AT_MOST) {
        let round = by_hand.len();
        let (text, began, began_at) = (format!("round {round} by orch"), Instant::now(), SystemTime::now());
        fleet.done("sonnet", &text);
        by_orch.push(first_asked(&fleet, &text).duration_since(began));
        until_started.push(started_at(&fleet).duration_since(began_at).unwrap());
        by_hand.push(started_by_hand(&fleet, &format!("round {round} by hand")));
    }
    println!("orch delegate → claude started    {until_started:?}");
    println!("orch delegate → first question    {by_orch:?}");
    println!("claude by hand → first question   {by_hand:?}");
    // The best time of each: longer times are due to other work on the machine.
    let (start, share) = (best(&until_started), best(&by_orch).saturating_sub(best(&by_hand)));
    println!("orch's share: {start:?} until it is started, {share:?} until it asks (at most {SHARE:?})");
    assert!(start <= SHARE, "until claude is started: {start:?}");
    fleet.stop();
}

/// Returns when the model first received this text.
fn first_asked(fleet: &Fleet, text: &str) -> Instant {
    let requests = fleet.model.requests();
    let is_it = |request: &&crate::model_server::Request| request.asked.as_ref().is_some_and(|a| a.text.contains(text));
    requests.iter().find(is_it).unwrap_or_else(|| panic!("'{text}' was not asked")).at
}

/// Returns when claude was last started.
fn started_at(fleet: &Fleet) -> SystemTime {
    let text = fs::read_to_string(fleet.world.file("started")).unwrap();
    UNIX_EPOCH + Duration::from_nanos(text.trim().parse().unwrap())
}

/// Repeats the last start of claude with its folder, environment and arguments, and another prompt. Returns the time
/// until its first request.
fn started_by_hand(fleet: &Fleet, text: &str) -> Duration {
    let parts = |name: &str| -> Vec<OsString> {
        let bytes = fs::read(fleet.world.file(name)).unwrap();
        bytes.strip_suffix(&[0]).unwrap().split(|b| *b == 0).map(|part| OsString::from_vec(part.to_vec())).collect()
    };
    let prompt = fleet.world.file("by-hand");
    fs::write(&prompt, text).unwrap();
    let mut args = parts("args");
    let session = args.iter().position(|arg| arg == "--session-id").expect("a new session") + 1;
    args[session] = uuid::Uuid::new_v4().to_string().into();
    let mut command = Command::new(fleet.world.file("bin/claude"));
    command.args(args).current_dir(&fleet.world.project).env_clear();
    for part in parts("env") {
        let part = part.into_string().expect("UTF-8");
        let (name, value) = part.split_once('=').expect("a variable");
        command.env(name, value);
    }
    command.stdin(fs::File::open(&prompt).unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    fleet.wait_until("claude by hand has ended", || child.try_wait().unwrap().is_some());
    first_asked(fleet, text).duration_since(began)
}

fn best(times: &[Duration]) -> Duration {
    times.iter().min().copied().expect("a round")
}
