//! How fast the transitions are. Run by hand, on a machine that does nothing else:
//! `cargo test --release --test store figures -- --ignored --nocapture`

use std::time::Instant;

use orch::model::cause::Cause;

use super::fixture::*;

const TASKS: usize = 2_000;

#[tokio::test]
#[ignore = "a measurement"]
async fn finish_and_claim_pairs_per_second() {
    let server = Server::start();
    for connections in [1, 4, 16] {
        let world = server.world(&format!("n{connections}"));
        let began = Instant::now();
        for _ in 0..TASKS {
            world.delegate(&task("x")).await;
        }
        println!("{:.0} delegates/s, one connection", TASKS as f64 / began.elapsed().as_secs_f64());
        let mut agents = Vec::new();
        for i in 0..connections {
            let world = server.world(&format!("n{connections}"));
            let agent = world.agent(&format!("shell-{i}")).await;
            agents.push((world, agent));
        }
        redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut server.raw()).unwrap();
        let began = Instant::now();
        let work = agents.into_iter().map(|(world, agent)| {
            tokio::spawn(async move {
                let mut next = world.try_claim(&agent).await;
                while let Some(claimed) = next {
                    let report = report(&agent, &claimed, Cause::Success);
                    next = world.store.finish_and_claim(&report, LEASE).await.unwrap().1.unwrap();
                }
            })
        });
        futures_util::future::join_all(work.collect::<Vec<_>>()).await;
        let rate = TASKS as f64 / began.elapsed().as_secs_f64();
        println!("{rate:.0} pairs of finish and claim/s, {connections} connections");
        let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut server.raw()).unwrap();
        println!("{:.1} commands per pair", commands(&stats) as f64 / TASKS as f64);
        println!("{}", stats.lines().find(|l| l.starts_with("cmdstat_evalsha:")).unwrap());
        let began = Instant::now();
        assert_eq!(world.store.audit().await.unwrap(), Vec::<String>::new());
        println!("{:.0} tasks audited/s", TASKS as f64 / began.elapsed().as_secs_f64());
        assert!(rate > 100.0, "an agent would feel this: {rate:.0}/s");
    }
}

/// Returns how many commands Redis has executed, those within scripts included.
fn commands(stats: &str) -> u64 {
    let calls = stats.lines().filter_map(|line| line.split_once(":calls="));
    calls.filter_map(|(_, rest)| rest.split(',').next()?.parse::<u64>().ok()).sum()
}
