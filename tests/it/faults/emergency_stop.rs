//! `orch stop` ends everything within seconds when what it usually needs does not do its part: the disk is full, Redis
//! cannot write or was stopped, tmux was stopped, the supervisor was stopped. Accepted tasks run after the next start.

use std::time::{Duration, Instant};

use crate::common::{Disk, Signal, World, kill9, signal};

const AGENTS: usize = 20;
/// How long `orch stop` may take.
const LIMIT: Duration = Duration::from_secs(5);

/// A world whose agents all run a program that ignores signals and has a child outside its session.
struct Fleet {
    world: World,
    tasks: Vec<String>,
}

impl Fleet {
    fn start(world: World) -> Fleet {
        world.start();
        let go = world.file("go");
        let text = format!(
            "[ -e '{}' ] && exit\ntrap '' TERM HUP INT\n(setsid nohup sleep 76543 >/dev/null 2>&1 &)\n\
             while :; do sleep 1; done",
            go.display()
        );
        let tasks = (0..AGENTS).map(|_| world.delegate("shell", &text)).collect();
        let children = || world.processes().iter().filter(|p| p.command.contains("sleep 76543")).count();
        world.wait_until("all agents are at work", || children() == AGENTS);
        Fleet { world, tasks }
    }

    /// Stops everything within the limit; tmux may have to continue before its sessions close.
    fn stop(&self, tmux: u32) -> serde_json::Value {
        let began = Instant::now();
        let answer = self.world.orch(&["stop", "--json"]).ended(0).json();
        let took = began.elapsed();
        eprintln!("orch stop took {took:?}: {answer}");
        assert!(took < LIMIT, "it took {took:?}: {answer}");
        let left: Vec<_> = self.world.processes().into_iter().filter(|p| p.pid != tmux).collect();
        assert!(left.is_empty(), "{left:#?}");
        answer
    }

    /// Every task is still there, and succeeds after the next start.
    fn start_again(&self) {
        self.world.check_nothing_left(&[]);
        self.world.touch("go");
        self.world.start();
        for task in &self.tasks {
            assert_eq!(self.world.wait_for(task, "succeeded")["lost"], 0);
        }
        self.world.stop_and_check_nothing_left();
    }
}

fn world() -> World {
    World::builder().tables(&format!("[roles.shell]\nmax = {AGENTS}")).build()
}

/// Redis refuses every write from now on.
fn out_of_memory(world: &World) {
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(1).exec(&mut world.redis()).expect("CONFIG SET");
}

#[test]
fn stop_works_with_a_full_disk() {
    let world = world();
    let home = world.home.clone();
    let Some(disk) = Disk::new(&home) else { return };
    let fleet = Fleet::start(world);
    disk.fill();
    let answer = fleet.stop(0);
    // The lock cannot be written, or Redis has ended because it cannot write.
    assert!(answer["emergency"].is_string(), "{answer}");
    disk.free();
    fleet.start_again();
}

#[test]
fn stop_works_with_a_redis_that_cannot_write() {
    let fleet = Fleet::start(world());
    out_of_memory(&fleet.world);
    let answer = fleet.stop(0);
    // The supervisor may have put the limit back already.
    assert!(answer["emergency"].as_str().is_none_or(|why| why.contains("cannot write")), "{answer}");
    fleet.start_again();
    assert!(fleet.world.orch(&["stop"]).ok().contains("nothing was running"));
}

#[test]
fn stop_works_with_a_stopped_redis() {
    let fleet = Fleet::start(world());
    signal(fleet.world.redis_pid(), Signal::SIGSTOP);
    let began = Instant::now();
    let status = fleet.world.orch(&["status"]);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let said = status.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("was stopped by a signal") && said.contains("kill -CONT"), "{status:?}");
    fleet.stop(0);
    fleet.start_again();
}

#[test]
fn stop_works_with_a_stopped_tmux() {
    let fleet = Fleet::start(world());
    let tmux = fleet.world.tmux_server_pid();
    signal(tmux, Signal::SIGSTOP);
    let answer = fleet.stop(tmux);
    assert!(answer["left"][0].as_str().is_some_and(|what| what.contains("tmux")), "{answer}");
    signal(tmux, Signal::SIGCONT);
    fleet.start_again();
}

#[test]
fn stop_works_with_a_stopped_supervisor() {
    let fleet = Fleet::start(world());
    signal(fleet.world.supervisor_pid(), Signal::SIGSTOP);
    let status = fleet.world.orch(&["status", "--json"]).ended(3).json();
    assert_eq!(status["supervisor"]["state"], "frozen");
    assert!(status["attention"].to_string().contains("kill -CONT"), "{status}");
    fleet.stop(0);
    fleet.start_again();
}

#[test]
fn stop_works_with_all_of_it_at_once() {
    let world = world();
    let home = world.home.clone();
    let Some(disk) = Disk::new(&home) else { return };
    let fleet = Fleet::start(world);
    let (tmux, supervisor) = (fleet.world.tmux_server_pid(), fleet.world.supervisor_pid());
    out_of_memory(&fleet.world);
    let redis = fleet.world.redis_pid();
    for pid in [tmux, supervisor, redis] {
        signal(pid, Signal::SIGSTOP);
    }
    disk.fill();
    let answer = fleet.stop(tmux);
    assert!(answer["emergency"].is_string(), "{answer}");
    signal(tmux, Signal::SIGCONT);
    disk.free();
    fleet.start_again();
}

#[test]
fn a_signal_ends_everything_although_redis_cannot_write() {
    let fleet = Fleet::start(world());
    let supervisor = fleet.world.supervisor_pid();
    out_of_memory(&fleet.world);
    signal(supervisor, Signal::SIGTERM);
    fleet.world.wait_until_within(LIMIT, "everything has ended", || fleet.world.processes().is_empty());
    fleet.start_again();
}

#[test]
fn stop_without_a_supervisor_ends_what_is_left_on_a_full_disk() {
    let world = world();
    let home = world.home.clone();
    let Some(disk) = Disk::new(&home) else { return };
    let fleet = Fleet::start(world);
    disk.fill();
    kill9(fleet.world.supervisor_pid());
    // A Redis that cannot write to its disk may have ended already.
    if let Some(redis) = fleet.world.redis_pid_if_any() {
        kill9(redis);
    }
    fleet.stop(0);
    assert_eq!(fleet.world.orch(&["stop", "--json"]).ended(0).json()["stopped"], false, "again");
    disk.free();
    fleet.start_again();
}
