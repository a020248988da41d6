//! Records the session that the README shows: the real orch and the real claude, with a scripted model service.
//!
//! It runs only if `ORCH_DEMO` names the file to write (`scripts/demo` sets it). The terminal of the demo's user is a
//! separate tmux server. Its screen is captured during the demo, and [`svg`] turns the captures into one animated
//! picture.

mod screen;
mod svg;

use std::{fs, path::PathBuf, thread, time::Duration};

use serde_json::json;

use self::screen::Screen;
use super::fleet::Fleet;
use crate::{
    common::World,
    model_server::{Answer, Rule, ToolCall, tool, when},
};

const FLEET: &str = "model = \"opus\"
permission_mode = \"manual\"
delegates_to = [\"sonnet\"]
[roles.sonnet]
driver = \"claude\"
model = \"sonnet\"
max = 3
allowed_tools = [\"Bash(make:*)\"]";

const MAKEFILE: &str =
    "test-cart:\n\t@sleep 8; echo '12 tests passed'\ntest-payment:\n\t@sleep 13; echo '9 tests passed'\n";

const WISH: &str = "Have two agents review src/cart and src/payment, and report what they find.";
const CART: &str = "12 tests pass. cart.rs:41 rounds each item; it should round the sum.";
const PAYMENT: &str = "9 tests pass. charge.rs:88 retries a charge without an idempotency key.";

fn delegation(text: &str) -> ToolCall {
    let input = json!({"text": text, "role": "sonnet"});
    ToolCall { namespace: None, name: "mcp__orch__delegate_task".to_owned(), input }
}

/// Returns the rules by which the models answer.
fn script() -> Vec<Rule> {
    let found = |text: &str| -> Option<&'static str> {
        let (cart, payment) = (text.contains(CART), text.contains(PAYMENT));
        match (cart, payment) {
            (true, true) => Some(
                "Both reviews are done: src/cart must round the sum (cart.rs:41), and src/payment \
                needs an idempotency key (charge.rs:88).",
            ),
            (true, false) => Some("src/cart is reviewed: it must round the sum (cart.rs:41). Both reviews are done."),
            (false, true) => Some(
                "src/payment is reviewed: it retries a charge without an idempotency key \
                (charge.rs:88). src/cart is still being reviewed.",
            ),
            (false, false) => None,
        }
    };
    let reported = move |text: &str| Answer::text(found(text).unwrap_or("Nothing has come back yet."));
    let handed_over = move |asked: &crate::model_server::Asked| reported(&asked.text);
    let read = move |asked: &crate::model_server::Asked| reported(&asked.results.join("\n"));
    vec![
        when(WISH).step(0).answer(Answer::Tools(vec![
            delegation("Review the module src/cart"),
            delegation("Review the module src/payment"),
        ])),
        when(WISH).answer(Answer::text("Two agents are reviewing. I report when they are done.")),
        when("Review the module src/cart").step(0).answer(tool("Bash", json!({"command": "make test-cart"}))),
        when("Review the module src/cart").answer(Answer::text(CART)),
        when("Review the module src/payment").step(0).answer(tool("Bash", json!({"command": "make test-payment"}))),
        when("Review the module src/payment").answer(Answer::text(PAYMENT)),
        when(CART).answer_by(handed_over),
        when(PAYMENT).answer_by(handed_over),
        when("call read_inbox").step(0).answer(tool("mcp__orch__read_inbox", json!({}))),
        when("call read_inbox").answer_by(read),
        when("").answer(Answer::text("Ready.")),
    ]
}

/// Waits so that a viewer can read the screen.
fn pause(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}

#[test]
fn records_the_session_of_the_readme() {
    let Some(file) = std::env::var_os("ORCH_DEMO").map(PathBuf::from) else { return };
    let shop = |_: &crate::model_server::Server| {
        let mut world = World::builder().name("shop").master_driver("claude").tables(FLEET).build();
        let project = world.file("shop");
        fs::rename(&world.project, &project).expect("the project's folder");
        world.project = project;
        world
    };
    let fleet = Fleet::prepared(&["claude"], shop, script()).expect("claude is installed by scripts/demo");
    fs::write(fleet.world.project.join("Makefile"), MAKEFILE).expect("Makefile");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_orch"), fleet.world.file("bin/orch")).expect("orch");
    let quiet = "set -g status-right ''\nset -g status-left ' #S '\nset -g status-left-length 40\nset -g window-status-current-format ''\n";
    fs::write(fleet.world.file(".tmux.conf"), quiet).expect(".tmux.conf");

    let screen = Screen::open(&fleet.world);
    screen.runs("orch start", "next:");
    pause(1200);
    screen.clears();
    screen.runs("orch attach", "? for shortcuts");
    pause(600);
    screen.types(WISH);
    screen.key("Enter");
    screen.shows("I report when they are done");
    pause(1800);
    screen.leaves();

    screen.clears();
    let at_work = |agent: &str| fleet.world.agent(agent)["state"] == "busy";
    fleet.wait_until("both agents are busy", || at_work("sonnet-1") && at_work("sonnet-2"));
    screen.runs("orch status", "sonnet-2");
    pause(2200);
    let cart = fleet.world.orch_json(&["tasks"]);
    let cart = cart.as_array().unwrap().iter().find(|t| t["description"] == "Review the module src/cart").unwrap();
    let (task, agent) = (cart["id"].as_str().unwrap(), cart["agent"].as_str().unwrap());
    let runner = fleet.world.runner_pid(agent);
    screen.runs(&format!("kill -9 {runner}     # the runner of {agent}"), "kill -9");
    fleet.wait_until("the task is retried", || {
        fleet.world.show(task)["attempts"].as_array().is_some_and(|a| a.len() == 2)
    });
    pause(900);
    screen.clears();
    screen.runs(&format!("orch why {task}"), "attempt 2");
    pause(3000);
    screen.clears();
    screen.runs("orch attach", "? for shortcuts");
    screen.shows("Both reviews are done");
    pause(2500);
    screen.leaves();
    screen.clears();
    screen.runs("orch tasks", "src/payment");
    pause(1500);
    screen.runs("orch stop", "nothing is left running");
    pause(2500);

    let frames = screen.close();
    fs::write(&file, svg::animation(&frames)).expect("the picture");
    fleet.world.check_nothing_left(&[]);
}
