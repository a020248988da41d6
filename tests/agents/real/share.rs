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
/// So many while the machine is at work on something else.
const ROUNDS_AT_MOST: usize = 12;
/// orch's own part, at most.
const SHARE: Duration = Duration::from_millis(60);

/// In the place of claude: it writes down when it was started, and how, and becomes it.
const WRITES_DOWN: &str = r#"date +%s%N > "$HOME/started"; env -0 > "$HOME/env"; printf '%s\0' "$@" > "$HOME/args"
exec "$HOME/bin/real-claude" "$@""#;

#[test]
fn orchs_share_of_the_time_to_the_first_question_is_small() {
    let rules = vec![when("").answer(Answer::text("hello"))];
    let Some(fleet) = Fleet::started(&["claude"], SONNET, rules) else { return };
    let bin = fleet.world.file("bin");
    fs::rename(bin.join("claude"), bin.join("real-claude")).unwrap();
    fleet.world.program("claude", WRITES_DOWN);
    // Whatever it does at its first start in a new home.
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
    // The best of each: what comes on top is the machine at work on something else.
    let (start, share) = (best(&until_started), best(&by_orch).saturating_sub(best(&by_hand)));
    println!("orch's share: {start:?} until it is started, {share:?} until it asks (at most {SHARE:?})");
    assert!(start <= SHARE, "until claude is started: {start:?}");
    fleet.stop();
}

/// When a model was first asked this.
fn first_asked(fleet: &Fleet, text: &str) -> Instant {
    let requests = fleet.model.requests();
    let is_it = |request: &&crate::model_server::Request| request.asked.as_ref().is_some_and(|a| a.text.contains(text));
    requests.iter().find(is_it).unwrap_or_else(|| panic!("'{text}' was not asked")).at
}

/// When claude was last started.
fn started_at(fleet: &Fleet) -> SystemTime {
    let text = fs::read_to_string(fleet.world.file("started")).unwrap();
    UNIX_EPOCH + Duration::from_nanos(text.trim().parse().unwrap())
}

/// The last start of claude once more, in its folder and environment, with its arguments and another prompt.
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
