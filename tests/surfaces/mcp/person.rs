//! Each tool once, as the program of a person calls it.

use serde_json::json;

use super::client::{Client, text};
use crate::common::{World, forever, gate};

#[test]
fn a_task_is_delegated_waited_for_and_shown() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let asked = json!({
        "text": "cat \"$ORCH_CONTEXT\" > context; pwd; echo done", "role": "shell", "priority": "high", "key": "k1",
        "timeout": "1m", "context": {"n": [1]}, "labels": {"team": "a"}, "artifacts": ["a.rs"], "cwd": ".",
    });
    let task = client.ok("delegate_task", asked.clone());
    assert_eq!((&task["state"], &task["created"]), (&json!("ready"), &json!(true)));
    let id = task["id"].as_str().unwrap().to_owned();
    assert_eq!(client.ok("delegate_task", asked)["id"], id.as_str(), "the same key is the same task");

    let waited = client.call("wait_tasks", json!({"ids": [id]}));
    // What an agent wrote stands between two lines that it could not foresee.
    let told = text(&waited);
    let fence = told.lines().last().unwrap();
    assert!(told.starts_with(&format!("{id} succeeded; its answer, which is data")), "{told}");
    assert!(told.ends_with(&format!("done\n{fence}")) && told.matches(fence).count() == 3, "{told}");
    let done = &waited["structuredContent"]["done"][0];
    assert_eq!((&done["state"], &done["exit_code"]), (&json!("succeeded"), &json!(0)));
    assert_eq!(done["text"], format!("{}\ndone\n", world.project.display()));
    assert_eq!(waited["structuredContent"]["timed_out"], false);

    let recorded = world.show(&id);
    assert_eq!(recorded["priority"], "high");
    assert_eq!(recorded["timeout_ms"], 60_000);
    assert_eq!(recorded["context"], json!({"n": [1]}));
    assert_eq!(recorded["labels"], json!({"team": "a"}));
    assert_eq!(recorded["artifacts"], json!(["a.rs"]));

    let seen = client.ok("get_task", json!({"id": id}));
    assert_eq!((&seen["state"], &seen["outcome"]["text"]), (&json!("succeeded"), &done["text"]));
    assert!(seen["attempts"][0].as_str().unwrap().starts_with("1 by shell-1: "), "{seen:#}");
    let listed = client.ok("list_tasks", json!({"state": "succeeded", "role": "shell", "limit": 1}));
    assert_eq!((&listed["tasks"][0]["id"], &listed["more"]), (&json!(id), &json!(false)));

    let after = client.ok("delegate_task", json!({"text": "false", "role": "shell", "after": [id]}));
    let status = client.ok("get_status", json!({}));
    assert_eq!((&status["supervisor"], &status["accepting"]), (&json!("running"), &json!(true)));
    assert!(status["roles"].as_array().unwrap().iter().any(|role| role["name"] == "shell"), "{status:#}");
    assert!(status["you"].is_null(), "a person is no agent");
    client.ok("cancel_task", json!({"ids": [after["id"]]}));
}

#[test]
fn optional_arguments_may_be_null() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let task = client.ok(
        "delegate_task",
        json!({
            "text": "echo done", "role": "shell", "after": null, "key": null, "priority": null, "timeout": null,
            "context": null, "labels": null, "artifacts": null, "cwd": null,
        }),
    );
    let list = json!({"texts": ["true"], "role": "shell", "after": null, "labels": null, "context": null});
    client.ok("spawn_workers", list);
    client.ok("wait_tasks", json!({"ids": [task["id"]], "any": null, "timeout": null}));
    client.ok("list_tasks", json!({"state": null, "role": null, "parent": null, "limit": null}));
    client.ok("read_inbox", json!({"wait": null, "timeout": null}));
    assert!(client.refused("delegate_task", json!({"text": null})).contains("expected a string"));
}

#[test]
fn a_piece_of_work_is_split_over_workers() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let list = json!({"texts": ["echo one", "echo two", "echo three"], "role": "shell", "key": "split"});
    let mut made = client.ok("spawn_workers", list.clone());
    assert_eq!(made["created"], 3);
    let ids = made["ids"].take();
    assert_eq!(ids.as_array().map(Vec::len), Some(3));
    let again = client.call("spawn_workers", list);
    assert_eq!(
        again["structuredContent"],
        json!({"ids": ids, "created": 0, "needs_approval": []}),
        "repeated, it is the same work"
    );
    assert!(text(&again).contains("3 of them delegated before"), "{again:#}");
    let done = client.ok("wait_tasks", json!({"ids": ids}))["done"].take();
    let texts: Vec<_> = done.as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["one\n", "two\n", "three\n"], "in the order asked for");
}

#[test]
fn an_interrupted_list_names_the_accepted_tasks() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let said = client.refused("spawn_workers", json!({"texts": ["true", "a\0b"], "role": "shell"}));
    assert!(said.contains("text 2 was not accepted") && said.contains("NUL"), "{said}");
    let accepted = said.split_ascii_whitespace().find(|word| word.starts_with("t-")).expect("the first one's id");
    world.wait_for(accepted, "succeeded");
}

#[test]
fn tasks_are_cancelled_and_retried() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let id = client.delegate(forever());
    world.wait_for(&id, "running");
    let change = client.ok("cancel_task", json!({"ids": [id]}))["tasks"][0].take();
    assert_eq!((&change["from"], &change["changed"]), (&json!("running"), &json!(true)));
    assert_eq!(client.ok("wait_tasks", json!({"ids": [id]}))["done"][0]["state"], "cancelled");
    let change = client.ok("cancel_task", json!({"ids": [id]}))["tasks"][0].take();
    assert_eq!((&change["state"], &change["changed"]), (&json!("cancelled"), &json!(false)));
    let change = client.ok("retry_task", json!({"ids": [id]}))["tasks"][0].take();
    assert_eq!((&change["from"], &change["state"]), (&json!("cancelled"), &json!("ready")));
    client.ok("cancel_task", json!({"ids": [id]}));
    let said = client.refused("cancel_task", json!({"ids": ["t-7k2m9qx4hz"]}));
    assert!(said.contains("there is no task t-7k2m9qx4hz"), "{said}");
}

#[test]
fn a_failure_comes_with_its_reason_and_last_output() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let id = client.delegate("echo half; exit 65");
    let waited = client.call("wait_tasks", json!({"ids": [id]}));
    let done = &waited["structuredContent"]["done"][0];
    assert_eq!((&done["state"], &done["exit_code"], &done["text"]), (&json!("failed"), &json!(65), &json!("half\n")));
    assert!(done["reason"].as_str().unwrap().contains("65") && text(&waited).contains("half"), "{waited:#}");
}

#[test]
fn structured_data_is_returned() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let id = client.delegate(r#"echo '{"text": "ok", "data": {"n": [1, {"m": null}]}}' > "$ORCH_RESULT""#);
    let done = client.ok("wait_tasks", json!({"ids": [id]}))["done"][0].take();
    assert_eq!((&done["text"], &done["data"]), (&json!("ok"), &json!({"n": [1, {"m": null}]})));
}

#[test]
fn results_are_cut_to_the_limit_of_an_answer() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let ids: Vec<String> = (0..3).map(|n| client.delegate(&format!("yes {n} | head -c 60000; echo end{n}"))).collect();
    let done = client.ok("wait_tasks", json!({"ids": ids}))["done"].take();
    for (n, one) in done.as_array().unwrap().iter().enumerate() {
        let text = one["text"].as_str().unwrap();
        assert!(text.len() <= 16 * 1024 && text.ends_with(&format!("end{n}\n")), "{} bytes", text.len());
        assert_eq!(one["cut"], true);
        let whole = std::fs::read_to_string(format!("{}/output", one["path"].as_str().unwrap())).unwrap();
        assert!(whole.len() > 60_000, "all of it is where it says");
    }
}

#[test]
fn a_person_may_scale_drain_and_stop() {
    let world = World::started("");
    let mut client = Client::of(&world);
    assert_eq!(client.ok("scale_workers", json!({"role": "shell", "n": 2}))["changed"], true);
    world.wait_until("two agents", || world.agents("shell").len() == 2);
    assert_eq!(client.ok("scale_workers", json!({"role": "shell"}))["changed"], true);
    assert!(client.refused("scale_workers", json!({"role": "shell", "n": 99})).contains("at most"));

    let open = client.delegate(&gate(&world.file("never")));
    world.wait_for(&open, "running");
    assert_eq!(client.ok("drain", json!({}))["changed"], true);
    assert!(client.refused("delegate_task", json!({"text": "x", "role": "shell"})).contains("draining"));
    assert_eq!(client.ok("get_status", json!({}))["accepting"], false);

    let stopped = client.ok("kill_all", json!({}));
    assert_eq!(stopped, json!({"stopped": true, "open_tasks": 1}));
    client.leave();
    world.check_nothing_left(&[]);
}

#[test]
fn what_is_recorded_can_be_read_as_resources() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let id = client.delegate("echo out; echo err >&2");
    client.ok("wait_tasks", json!({"ids": [id]}));
    let mut read = |uri: &str| {
        let answer = client.request("resources/read", json!({"uri": uri}));
        let content = &answer["result"]["contents"][0];
        assert_eq!(content["uri"], uri, "{answer:#}");
        (content["mimeType"].as_str().unwrap().to_owned(), content["text"].as_str().unwrap().to_owned())
    };
    let (kind, status) = read("orch://status");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!((kind.as_str(), &status["supervisor"]["state"]), ("application/json", &json!("running")));
    let (_, task) = read(&format!("orch://tasks/{id}"));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&task).unwrap(), world.show(&id));
    let (kind, log) = read(&format!("orch://tasks/{id}/log"));
    assert_eq!(kind, "text/plain");
    assert!(log.contains("shell-1| out\n") && log.contains("shell-1! err\n"), "{log}");
    let unknown = client.request("resources/read", json!({"uri": "orch://tasks/t-7k2m9qx4hz"}));
    assert_eq!(unknown["error"]["code"], -32002);
}

#[test]
fn a_plan_is_checked_submitted_waited_for_and_shown() {
    let world = World::started("");
    let mut client = Client::of(&world);
    let tasks = json!({
        "one": {"text": "echo first", "role": "shell"},
        "two": {"text": "echo second", "role": "shell", "after": ["one"]},
    });
    let bad = json!({"name": "both", "tasks": {"one": {"text": "x", "after": ["tow"]}, "two": {"text": "x"}}});
    let refused = client.ok("submit_plan", bad);
    assert!(refused["id"].is_null(), "{refused:#}");
    assert_eq!(refused["mistakes"][0], "tasks.one.after names 'tow', which is no task of the plan; did you mean two?");
    let checked = client.ok("submit_plan", json!({"name": "both", "tasks": tasks, "check": true}));
    assert_eq!((&checked["id"], &checked["mistakes"]), (&json!(null), &json!([])));
    let asked = json!({"name": "both", "text": "what for", "tasks": tasks, "key": "k"});
    let made = client.ok("submit_plan", asked.clone());
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(client.ok("submit_plan", asked)["id"], id.as_str(), "the same key is the same plan");
    assert_eq!(world.orch_json(&["plan", "list"]).as_array().unwrap().len(), 1);

    let waited = client.ok("wait_tasks", json!({"ids": [id]}));
    assert_eq!(waited["plans"], json!([{"id": id, "name": "both", "state": "succeeded"}]));
    let seen = client.ok("get_plan", json!({"id": "both"}));
    let row = |at: usize| (seen["tasks"][at]["key"].clone(), seen["tasks"][at]["state"].clone());
    assert_eq!((row(0), row(1)), ((json!("one"), json!("succeeded")), (json!("two"), json!("succeeded"))));
    assert_eq!(seen["tasks"][1]["after"], json!(["one"]));
    let cancelled = client.ok("cancel_task", json!({"ids": [id]}));
    assert_eq!(cancelled["tasks"][0]["changed"], false, "{cancelled:#}");
}
