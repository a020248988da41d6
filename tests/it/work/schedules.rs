//! Schedules from the outside: what is typed, what runs, and what a restart and a reload do to them.

use std::fs;

use serde_json::json;

use super::text;
use crate::common::{World, kill9};

const TABLES: &str = "[schedules.often]\ncron = \"* * * * *\"\nrole = \"shell\"\ntext = \"echo often\"\n\
    [schedules.yearly]\ncron = \"@yearly\"\ntimezone = \"UTC\"\ntext = \"echo yearly\"\n\
    [schedules.planned]\ncron = \"0 0 1 1 *\"\nplan = \"plan.toml\"\n";
const PLAN: &str = "name = \"p\"\n[tasks.a]\nrole = \"shell\"\ntext = \"echo a\"\n";

#[test]
fn schedules_run_are_explained_paused_and_reloaded() {
    let world = World::builder().tables(&TABLES.replace("* * * * *", "@yearly")).build();
    fs::write(world.project.join("plan.toml"), PLAN).unwrap();
    world.start();
    world.wait_until("the supervisor has read them", || {
        let schedules = world.orch_json(&["schedule", "list"]);
        schedules.as_array().is_some_and(|all| all.len() == 3 && all.iter().all(|one| one["state"] == "active"))
    });
    let list = world.orch(&["schedule"]).ok();
    assert!(list.contains("yearly") && list.contains("active") && list.contains("echo yearly"), "{list}");

    // One that is asked for runs as a task.
    let ran = world.orch_json(&["schedule", "run", "yearly"]);
    let id = text(&ran["run"]);
    let task = world.wait_for(&id, "succeeded");
    assert_eq!(task["result"]["text"], "yearly\n", "{task:#}");
    assert_eq!(task["labels"]["schedule"], "yearly");
    let why = world.orch(&["schedule", "why", "yearly"]).ok();
    assert!(why.contains(&id) && why.contains("the next occurrence is due in"), "{why}");
    let plan = text(&world.orch_json(&["schedule", "run", "planned"])["run"]);
    assert!(plan.starts_with("p-"), "{plan}");
    world.wait_until("its plan has ended", || world.orch_json(&["plan", "show", &plan])["state"] == "succeeded");

    // A pause survives a supervisor that is killed.
    let paused = world.orch_json(&["schedule", "pause", "yearly"]);
    assert_eq!(paused, json!({"name": "yearly", "paused": true, "changed": true}));
    kill9(world.supervisor_pid());
    world.start();
    let status = world.status();
    let yearly = status["schedules"].as_array().unwrap().iter().find(|one| one["name"] == "yearly").unwrap();
    assert_eq!((&yearly["state"], &yearly["last_run"]), (&json!("paused"), &json!(id)), "{status:#}");
    let why = world.orch(&["schedule", "why", "yearly"]).ok();
    assert!(why.contains("is skipped unless the schedule is resumed before") && !why.contains("is due"), "{why}");
    assert!(world.orch(&["status"]).ok().contains("yearly paused"));
    assert!(world.orch(&["schedule", "why", "yearly"]).ok().contains("orch schedule resume yearly"));
    assert_eq!(world.orch_json(&["schedule", "resume", "yearly"])["changed"], true);

    // A plan that cannot be read is noticed before its time has come.
    fs::rename(world.project.join("plan.toml"), world.project.join("other.toml")).unwrap();
    let doctor = world.orch(&["doctor"]);
    assert!(doctor.stdout.contains("planned: ") && doctor.stdout.contains("plan.toml can't be read"), "{doctor:#?}");

    // What is typed wrong is explained, and nothing happens.
    let unknown = world.orch(&["schedule", "run", "yearlie"]).ended(2);
    assert!(unknown.stderr.contains("did you mean yearly?"), "{unknown:#?}");
    let reserved = world.orch(&["delegate", "--key", "schedule:yearly:x", "true"]).ended(2);
    assert!(reserved.stderr.contains("reserved"), "{reserved:#?}");

    // A reload brings one that is due within a minute, and takes another away.
    let file = world.project.join("sessions.toml");
    let config = fs::read_to_string(&file).unwrap();
    let (before, _) = config.split_once("[schedules.yearly]").unwrap();
    fs::write(&file, before.replacen("@yearly", "* * * * *", 1)).unwrap();
    world.orch(&["reload"]).ok();
    world.wait_until("the others are forgotten", || world.orch_json(&["schedule"]).as_array().unwrap().len() == 1);
    // A minute passes.
    let mut redis = world.redis();
    let () = redis::cmd("SET").arg("orch:{w}:clock_offset").arg(60_000).query(&mut redis).unwrap();
    let () = redis::cmd("RPUSH").arg("orch:{w}:wake:schedules").arg(1).query(&mut redis).unwrap();
    world.wait_until("it occurs", || world.orch_json(&["schedule"])[0]["last_run"].is_string());
    let run = text(&world.orch_json(&["schedule"])[0]["last_run"]);
    world.wait_for(&run, "succeeded");
    let events = world.events_of("schedule.run");
    assert!(events.iter().any(|event| event["data"]["run"] == json!(run)), "{events:#?}");
    world.stop_and_check_nothing_left();
}

#[test]
fn a_wrong_schedule_is_named_with_its_line_and_key() {
    let world = World::builder()
        .tables(
            "[schedules.a]\ncron = \"61 * * * *\"\ntext = \"x\"\ntimezone = \"Europe/Berln\"\n\
             [schedules.b]\ncorn = \"@daily\"\noverlap = \"never\"\nplan = \"missing.toml\"\nrole = \"shell\"\n\
             [schedules.c]\ncron = \"@daily\"\n[schedules.d]\ncron = \"@daily\"\ntext = \"x\"\nrole = \"nobody\"\nmissed = 3\n",
        )
        .build();
    let wrong = world.orch(&["start"]).ended(4).stderr;
    for part in [
        "schedules.a.cron is wrong: '61 * * * *' is no cron line",
        "schedules.a.timezone is wrong: 'Europe/Berln' is no time zone",
        "schedules.b.corn is not a known key; did you mean cron?",
        "schedules.b.cron is missing",
        "schedules.b.overlap",
        "skip, queue, replace",
        "schedules.b.role needs text",
        "schedules.c.text is missing",
        "schedules.d.role names an unknown role 'nobody'",
        "schedules.d.missed must be",
    ] {
        assert!(wrong.contains(part), "{part}\n\n{wrong}");
    }
}
