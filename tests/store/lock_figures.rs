//! Many tasks with locks on many agents, in a time of its own: nothing overlaps, agents work where locks allow it, and nothing
//! waits for long. How long a claim takes where much is locked, `scripts/bench locks` measures.

use super::{
    check,
    fixture::*,
    lock_fleet::{LONGEST, longest_wait, parallelism},
};

#[tokio::test]
async fn agents_work_where_the_locks_allow_it_and_nothing_overlaps() {
    let server = Server::start_hasty();
    for seed in 1..=3 {
        let world = server.world(&format!("n{seed}"));
        let share = parallelism(&world, seed).await;
        println!("seed {seed}: {:.1} % of what the locks allow", share * 100.0);
        assert!(share >= 0.9, "seed {seed}: {share}");
        assert_eq!(world.store.locks().await.unwrap(), []);
        check::structures(&world).await;
        check::history(&world).await;
    }
}

#[tokio::test]
async fn a_task_of_ten_locks_among_tasks_of_one_waits_for_at_most_three_of_them() {
    let server = Server::start_hasty();
    for seed in 1..=3 {
        let world = server.world(&format!("n{seed}"));
        let longest = longest_wait(&world, seed).await;
        println!("seed {seed}: the longest wait was {longest}");
        assert!(longest <= 3 * LONGEST, "seed {seed}: {longest}");
    }
}
