//! The append-only file is truncated, is long, or is on a full disk.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use crate::common::{Disk, Work, World, gate, kill9};

/// Returns the append-only file that Redis writes: of several, the one that was modified last.
fn append_only_file(folder: &Path) -> PathBuf {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => files.push(append_only_file(&path)),
            path if path.to_string_lossy().ends_with(".aof") => files.push(path),
            _ => {}
        }
    }
    files.into_iter().max_by_key(|path| path.metadata().unwrap().modified().unwrap()).expect("an append-only file")
}

#[test]
fn a_truncated_record_was_never_acknowledged_and_blocks_nothing() {
    let world = World::started("[roles.shell]\nmax = 1");
    let mut work = Work::default();
    let halves = ["*3\r\n$3\r\nSET\r\n$4\r\nhal", "*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$1\r\nx\r\n"];
    for (i, half) in halves.iter().enumerate() {
        let go = format!("go-{i}");
        let task = work.delegate(&world, &gate(&world.file(&go)));
        work.delegate(&world, ":");
        Work::wait_until_it_runs(&world, &task);
        kill9(world.supervisor_pid());
        kill9(world.redis_pid());
        let file = append_only_file(&world.home.join("redis"));
        fs::OpenOptions::new().append(true).open(file).unwrap().write_all(half.as_bytes()).unwrap();
        world.start();
        world.touch(&go);
        world.wait_for(&task, "succeeded");
    }
    work.all_succeed_at_once(&world);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_redis_that_is_killed_while_it_loads_is_started_again() {
    let world = World::started("[roles.shell]\nmax = 1");
    let mut work = Work::default();
    let task = work.delegate(&world, &gate(&world.file("go")));
    work.delegate(&world, ":");
    Work::wait_until_it_runs(&world, &task);
    let long = "for i = 1, 300000 do redis.call('SET', 'orch:{w}:ballast:' .. i, 'x') end";
    redis::cmd("EVAL").arg(long).arg(0).exec(&mut world.redis()).unwrap();
    kill9(world.redis_pid());
    let url = orch::redis_server::url_with_password(&world.home, orch::redis_server::User::Supervisor).unwrap();
    let mut loading = 0;
    world.wait_until("Redis was killed three times while it loaded", || {
        let asked = redis::Client::open(url.as_str()).and_then(|client| client.get_connection());
        let answer = asked.and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection));
        if answer.is_err_and(|e| e.code() == Some("LOADING") || e.to_string().contains("LOADING"))
            && let Some(pid) = world.redis_pid_if_any()
        {
            kill9(pid);
            loading += 1;
        }
        loading == 3
    });
    world.touch("go");
    work.all_succeed_at_once(&world);
    world.stop_and_check_nothing_left();
}

#[test]
fn a_full_disk_under_redis_delays_results_and_loses_none() {
    let world = World::builder().tables("[roles.shell]\nmax = 2").build();
    let folder = world.home.join("redis");
    let Some(disk) = Disk::new(&folder) else { return };
    world.start();
    let mut work = Work::default();
    let task = work.delegate(&world, &gate(&world.file("go")));
    Work::wait_until_it_runs(&world, &task);
    disk.fill();
    let refused = world.orch(&["delegate", "--key", "k", &"x".repeat(8_000)]);
    assert!(refused.code != 0 && refused.stderr.contains("hint:"), "{refused:#?}");
    world.touch("go");
    let report = world.home.join(format!("reports/{task}.1.json"));
    world.wait_until("the report is on disk", || report.exists());
    disk.free();
    world.wait_until("Redis serves again", || world.orch(&["show", &task]).code == 0);
    work.delegate(&world, ":");
    work.all_succeed_at_once(&world);
    world.stop_and_check_nothing_left();
}
