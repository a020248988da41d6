//! Calls that wait: they return in time, report progress, and do not block other calls.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Client, succeeded, text};
use crate::common::{World, gate};

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[test]
fn it_returns_in_time_with_what_has_ended() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let quick = client.delegate("echo quick");
    let slow = client.delegate(&gate(&world.file("go")));
    world.wait_for(&quick, "succeeded");
    world.wait_for(&slow, "running");
    let began = Instant::now();
    let waited = client.call("wait_tasks", json!({"ids": [slow, quick], "timeout": "400ms"}));
    assert!(began.elapsed() >= Duration::from_millis(400));
    let ended = &waited["structuredContent"];
    assert_eq!((ids(&ended["done"]), ids(&ended["open"])), (vec![quick.as_str()], vec![slow.as_str()]));
    assert_eq!((&ended["timed_out"], &ended["open"][0]["state"]), (&json!(true), &json!("running")));
    assert!(text(&waited).contains("call wait_tasks again") && text(&waited).contains("quick"), "{waited:#}");

    // And again, as it says.
    let wait = client.send_call("wait_tasks", json!({"ids": [slow]}));
    world.touch("go");
    assert_eq!(ids(&succeeded(client.result(wait))["done"]), [slow]);
}

#[test]
fn with_any_it_returns_after_the_first_end() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let slow = client.delegate(&gate(&world.file("never")));
    let quick = client.delegate("true");
    let ended = client.ok("wait_tasks", json!({"ids": [slow, quick], "any": true}));
    assert_eq!((ids(&ended["done"]), ids(&ended["open"])), (vec![quick.as_str()], vec![slow.as_str()]));
    assert_eq!(ended["timed_out"], false);
}

#[test]
fn progress_is_reported_during_a_wait() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let (first, second) = (client.delegate(&gate(&world.file("one"))), client.delegate(&gate(&world.file("two"))));
    world.wait_for(&second, "running");
    let wait = client.send_call("wait_tasks", json!({"ids": [first, second]}));
    let begin = client.progress(wait);
    let said = begin["message"].as_str().unwrap();
    assert!(said.starts_with("0 of 2 ended") && said.contains(&format!("{second} running")), "{said}");
    assert_eq!(begin["total"], 50.0, "the bound that it has by itself");
    world.touch("one");
    let mut last = begin;
    while !last["message"].as_str().unwrap().starts_with("1 of 2 ended") {
        let next = client.progress(wait);
        assert!(next["progress"].as_f64() > last["progress"].as_f64(), "{last} then {next}");
        last = next;
    }
    world.touch("two");
    assert_eq!(succeeded(client.result(wait))["done"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_client_that_does_not_ask_for_progress_gets_none() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let id = client.delegate("true");
    let params = json!({"name": "wait_tasks", "arguments": {"ids": [id]}});
    let wait = client.send("tools/call", params);
    // Whatever came before it would be kept, and be found below.
    succeeded(client.result(wait));
    let ping = client.send("ping", json!({}));
    let next = client.until("a message", |_| true);
    assert_eq!(next["id"], ping);
}

#[test]
fn calls_do_not_wait_for_each_other() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let (one, two) = (client.delegate(&gate(&world.file("one"))), client.delegate(&gate(&world.file("two"))));
    let waits = [&one, &two].map(|id| client.send_call("wait_tasks", json!({"ids": [id]})));
    client.progress(waits[0]);
    client.progress(waits[1]);
    // Both sleep, and everything else goes on.
    client.ok("get_status", json!({}));
    let third = client.delegate("true");
    client.ok("wait_tasks", json!({"ids": [third]}));
    assert!(!client.is_answered(waits[0]) && !client.is_answered(waits[1]));
    world.touch("two");
    assert_eq!(ids(&succeeded(client.result(waits[1]))["done"]), [two]);
    assert!(!client.is_answered(waits[0]));
    world.touch("one");
    assert_eq!(ids(&succeeded(client.result(waits[0]))["done"]), [one]);
}

#[test]
fn a_cancelled_call_ends_its_wait_and_nothing_else() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let id = client.delegate(&gate(&world.file("go")));
    let wait = client.send_call("wait_tasks", json!({"ids": [id]}));
    client.progress(wait);
    let params = json!({"requestId": wait, "reason": "the user pressed Esc"});
    client.write(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}).to_string());
    world.touch("go");
    assert_eq!(client.ok("wait_tasks", json!({"ids": [id]}))["done"][0]["state"], "succeeded");
    assert!(!client.is_answered(wait), "a cancelled call is not answered");
}

#[test]
fn a_task_that_waits_for_a_person_ends_the_wait() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let open = client.delegate(&gate(&world.file("never")));
    let held = client.delegate("echo log in first >&2; exit 77");
    let waited = client.call("wait_tasks", json!({"ids": [open, held], "timeout": "1h"}));
    let said = text(&waited);
    assert!(said.contains("held until a person acts") && said.contains("log in first"), "{said}");
    assert_eq!(ids(&waited["structuredContent"]["open"]), [open.as_str(), held.as_str()]);
    assert_eq!(waited["structuredContent"]["timed_out"], false);
}
