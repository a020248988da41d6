//! How many tasks of one plan run at the same time (`max_parallel`).

use orch::{
    model::{
        cause::Cause,
        edge::Edge,
        pattern::Pattern,
        plan::PlanState,
        task::{Priority, TaskState},
    },
    plan::rank::Draws,
    store::{
        plans::NewPlan,
        tasks::{Claimed, NewTask},
    },
};

use super::{
    check,
    fixture::*,
    plans::{FAIL, plan, state},
};

/// A plan of these tasks of which at most `slots` run at the same time.
fn limited(tasks: &[(&str, &[(&str, Edge)])], slots: u32) -> NewPlan {
    let mut new = plan(tasks);
    new.tasks.iter_mut().for_each(|(_, task)| task.spec.max_parallel = Some(slots));
    new
}

async fn agents(world: &World, n: usize) -> Vec<Agent> {
    let mut agents = Vec::new();
    for i in 1..=n {
        agents.push(world.agent(&format!("shell-{i}")).await);
    }
    agents
}

#[tokio::test]
async fn no_more_tasks_of_a_plan_run_than_it_says_and_each_end_lets_another_start() {
    let server = Server::start();
    let world = server.world("n");
    let agents = agents(&world, 4).await;
    let new = limited(&[("a", &[]), ("b", &[]), ("c", &[]), ("d", &[]), ("e", &[("a", FAIL)])], 2);
    world.store.submit_plan(&new).await.unwrap();
    let first = world.claim(&agents[0]).await;
    let second = world.claim(&agents[1]).await;
    assert!(world.try_claim(&agents[2]).await.is_none(), "both slots are taken");
    check::structures(&world).await;
    let other = world.delegate(&task("of no plan")).await;
    assert_eq!(world.claim(&agents[2]).await.task.id, other, "what waits for a slot keeps nothing else");
    world.finish(&agents[0], &first, Cause::Success).await;
    check::structures(&world).await;
    let third = world.claim(&agents[3]).await;
    assert!(world.try_claim(&agents[0]).await.is_none());
    world.finish(&agents[1], &second, Cause::Transient).await;
    assert!(world.try_claim(&agents[0]).await.is_some(), "a delayed task takes no slot");
    assert!(third.task.plan.is_some());
    check::structures(&world).await;
}

#[tokio::test]
async fn the_end_of_a_task_that_was_offered_a_slot_offers_it_to_the_next() {
    let server = Server::start();
    let world = server.world("n");
    let agents = agents(&world, 2).await;
    let new = limited(&[("a", &[]), ("b", &[]), ("c", &[])], 1);
    world.store.submit_plan(&new).await.unwrap();
    let first = world.claim(&agents[0]).await;
    assert!(world.try_claim(&agents[1]).await.is_none());
    let ids = world.store.plan_tasks(&new.id).await.unwrap();
    let waiting: Vec<_> = ids.values().filter(|id| **id != first.task.id).collect();
    world.finish(&agents[0], &first, Cause::Success).await;
    // One of them is offered the slot. Whichever it is, the other one may have it.
    assert_eq!(world.cancel(waiting[0]).await, Some(TaskState::Cancelled));
    check::structures(&world).await;
    assert_eq!(world.claim(&agents[0]).await.task.id, *waiting[1]);
}

/// What is offered a lock and lacks another one then keeps nobody from the first.
#[tokio::test]
async fn a_task_that_does_not_take_what_it_was_offered_leaves_it_to_the_next() {
    let server = Server::start();
    let world = server.world("n");
    let agents = agents(&world, 3).await;
    let writing = |what: &[&str]| {
        let writes = what.iter().map(|one| one.parse::<Pattern>().unwrap()).collect();
        let new = task(&what.join(" "));
        NewTask { spec: Spec { writes, ..new.spec }, ..new }
    };
    world.delegate(&writing(&["l"])).await;
    let holder = world.claim(&agents[0]).await;
    let both = world.delegate(&writing(&["l", "m"])).await;
    let one = world.delegate(&writing(&["l"])).await;
    assert!(world.try_claim(&agents[1]).await.is_none());
    world.finish(&agents[0], &holder, Cause::Success).await;
    let urgent = writing(&["m"]);
    let urgent = NewTask { spec: Spec { priority: Priority::High, ..urgent.spec }, ..urgent };
    let urgent = world.delegate(&urgent).await;
    assert_eq!(world.claim(&agents[0]).await.task.id, urgent);
    let mut claimed = None;
    for _ in 0..3 {
        claimed = claimed.or(world.try_claim(&agents[1]).await);
    }
    let claimed = claimed.expect("l is free").task.id;
    assert_eq!((&claimed, world.state(&both).await), (&one, TaskState::Ready));
    check::structures(&world).await;
}

/// Whatever ends how, the plan comes to an end, and never has more running tasks than slots.
#[tokio::test]
async fn a_plan_with_few_slots_always_comes_to_its_end() {
    let server = Server::start_hasty();
    for seed in 0..40 {
        let world = server.world(&format!("n{seed}"));
        let agents = agents(&world, 3).await;
        let mut draws = Draws::new(seed);
        let mut draw = |n: usize| (draws.next().unwrap_or(0.0) * n as f64) as usize;
        let keys: Vec<String> = (0..10).map(|n| format!("k{n}")).collect();
        let before: Vec<Vec<(&str, Edge)>> = (0..10)
            .map(|n| if n > 3 && draw(2) == 0 { vec![(keys[draw(n)].as_str(), FAIL)] } else { Vec::new() })
            .collect();
        let tasks: Vec<(&str, &[(&str, Edge)])> =
            keys.iter().zip(&before).map(|(key, before)| (key.as_str(), before.as_slice())).collect();
        let slots = 1 + draw(2) as u32;
        let mut new = limited(&tasks, slots);
        for (_, task) in &mut new.tasks {
            if draw(3) == 0 {
                task.spec.writes = vec![["l", "m"][draw(2)].parse().unwrap()];
            }
        }
        world.store.submit_plan(&new).await.unwrap();
        let ids: Vec<_> = world.store.plan_tasks(&new.id).await.unwrap().into_values().collect();
        let mut running: Vec<(Agent, Claimed)> = Vec::new();
        for step in 0..400 {
            match draw(4) {
                0 if step < 100 && draw(4) == 0 => {
                    let id = &ids[draw(ids.len())];
                    if world.state(id).await == TaskState::Ready {
                        world.cancel(id).await;
                    }
                }
                0 | 1 if !running.is_empty() => {
                    let (agent, claimed) = running.swap_remove(draw(running.len()));
                    let cause = [Cause::Success, Cause::Success, Cause::Permanent, Cause::Transient][draw(4)];
                    if world.finish(&agent, &claimed, cause).await == TaskState::Delayed {
                        world.make_due(&claimed.task.id);
                        world.store.release_due().await.unwrap();
                    }
                }
                _ => {
                    let busy = |agent: &&Agent| running.iter().any(|(one, _)| one.id == agent.id);
                    if let Some(agent) = agents.iter().find(|agent| !busy(agent)).cloned()
                        && let Some(claimed) = world.try_claim(&agent).await
                    {
                        running.push((agent, claimed));
                    }
                }
            }
            assert!(running.len() <= slots as usize, "seed {seed}: {} run", running.len());
        }
        for (agent, claimed) in running {
            world.finish(&agent, &claimed, Cause::Success).await;
        }
        // A claim that only parks tasks finds none.
        let mut found_none = 0;
        while found_none < 5 {
            match world.try_claim(&agents[0]).await {
                Some(claimed) => drop(world.finish(&agents[0], &claimed, Cause::Success).await),
                None => found_none += 1,
            }
        }
        let ended = state(&world, &new.id).await;
        assert!(matches!(ended, PlanState::Succeeded | PlanState::Failed), "seed {seed}: {ended}");
    }
}
