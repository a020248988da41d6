//! A full disk: accepted tasks are kept, and tasks that cannot be stored are rejected.

use serde_json::json;

use crate::common::{Disk, World};

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let world = World::new();
    let home = world.home.clone();
    let Some(disk) = Disk::new(&home) else { return };
    world.start();
    world.orch(&["pause"]).ok();
    let accepted: Vec<String> = (0..3).map(|i| world.delegate("shell", &format!("echo {i}"))).collect();
    disk.fill();
    // Redis writes before it answers, so a task that it cannot write is not accepted.
    let refused = world.orch(&["delegate", &"x".repeat(8_000)]);
    assert_ne!(refused.code, 0, "{refused:#?}");
    assert!(refused.stderr.starts_with("orch: ") && refused.stderr.contains("hint:"), "{refused:#?}");
    let status = world.orch(&["status"]);
    assert!(matches!(status.code, 0 | 3) && !status.stderr.contains("bug"), "{status:#?}");
    let doctor = world.orch(&["doctor"]).ended(4);
    assert!(doctor.stdout.contains("free some space"), "{doctor:#?}");

    disk.free();
    world.wait_until("Redis serves again", || world.orch(&["resume"]).code == 0);
    for (i, id) in accepted.iter().enumerate() {
        assert_eq!(world.wait_for(id, "succeeded")["result"]["text"], format!("{i}\n"));
    }
    let tasks = world.orch_json(&["tasks"]);
    assert!(tasks.as_array().unwrap().iter().filter(|t| t["state"] == json!("succeeded")).count() == 3, "{tasks:#}");
    world.stop_and_check_nothing_left();
}
