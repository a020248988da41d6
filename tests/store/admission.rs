//! `task/claim.lua` is held to [`orch::admission`]: an idle agent gets the first ready task of its role that no gate keeps
//! from it, and none where there is no such task.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use orch::{
    admission::{self, Candidate, Gate, Needy, Shortage},
    model::{event::EventKind, id::TaskId, pace::Pace, task::Usage},
    store::{
        requests::Request,
        spend::{Allowance, Budget},
    },
};
use proptest::{prelude::*, test_runner::TestRunner};

use super::fixture::*;

const MASTER: &str = "opus-master";
const ACCOUNT: &str = "the account";

/// What may be in a claim's way. Times are over, or long.
#[derive(Debug, Clone)]
struct Way {
    /// `orch stop`: with `true`, running tasks finish first.
    stop: Option<bool>,
    pause: bool,
    pause_role: bool,
    pause_other: bool,
    /// Nothing new is accepted: no matter for a claim.
    drain: bool,
    /// Agents of the role fail right after they start: no matter for a claim either.
    breaker: bool,
    /// Redis has lost data; with `true`, living agents may still report.
    recovery: Option<bool>,
    /// How many tasks of the role may run at once.
    max: Option<u32>,
    /// How many agents it keeps.
    min: u32,
    /// Tasks that lack a slot: whether each is of another role, and whether it is clearly more urgent.
    shortage: Vec<(bool, bool)>,
    /// Whether that is still true.
    shortage_holds: bool,
    /// Other idle agents of the role.
    idle: usize,
    /// Its running tasks: whether each waits for its subtasks.
    running: Vec<bool>,
    /// What was used today, and what the role and all roles may use, in cents.
    used: u64,
    role_day: Option<u64>,
    total_day: Option<u64>,
    /// The account has reached a rate limit; with `true`, it still holds.
    rate_limit: Option<bool>,
    unavailable: bool,
    /// What its next attempt is expected to use, and what others have reserved, in tenths of a cent.
    expected: Option<u64>,
    reserved: (u64, u64),
    /// How many attempts of its account may run; with `true`, another role has it too, and runs one.
    slots: Option<(u32, bool)>,
    /// How many may start in an hour, and how many have started.
    pace: Option<(u32, u32)>,
    /// Its ready tasks in their order: whether each is a subtask.
    ready: Vec<bool>,
}

fn ways() -> impl Strategy<Value = Way> {
    let seldom = || prop::bool::weighted(0.15);
    let requests = (prop::option::weighted(0.3, any::<bool>()), seldom(), seldom(), seldom(), seldom());
    let limits = (
        prop::option::weighted(0.3, prop::bool::weighted(0.4)),
        prop::option::weighted(0.7, 0u32..4),
        prop::collection::vec(any::<bool>(), 0..4),
        0u64..4,
        prop::option::weighted(0.4, 1u64..4),
        prop::option::weighted(0.4, 1u64..4),
        prop::option::weighted(0.3, prop::bool::weighted(0.4)),
        (seldom(), seldom()),
        (
            0u32..4,
            prop::collection::vec((prop::bool::weighted(0.7), prop::bool::weighted(0.7)), 0..4),
            prop::bool::weighted(0.7),
            0usize..3,
        ),
    );
    let rooms = (
        prop::option::weighted(0.4, 1u64..30),
        (0u64..30, 0u64..30),
        prop::option::weighted(0.3, (1u32..5, any::<bool>())),
        prop::option::weighted(0.3, (1u32..4, 0u32..4)),
    );
    (requests, limits, rooms, prop::collection::vec(any::<bool>(), 0..4)).prop_map(
        |(requests, limits, rooms, ready)| {
            let (expected, reserved, slots, pace) = rooms;
            let (stop, pause, pause_role, pause_other, drain) = requests;
            let (recovery, max, running, used, role_day, total_day, rate_limit, (breaker, unavailable), shares) =
                limits;
            let (min, shortage, shortage_holds, idle) = shares;
            Way {
                stop,
                pause,
                pause_role,
                pause_other,
                drain,
                breaker,
                recovery,
                max,
                min,
                shortage,
                shortage_holds,
                idle,
                running,
                used,
                role_day,
                total_day,
                rate_limit,
                unavailable,
                expected,
                reserved,
                slots,
                pace,
                ready,
            }
        },
    )
}

impl Way {
    /// Makes it so: what runs first, then what is ready, then what is in the way.
    async fn set_up(&self, world: &World) {
        let store = &world.store;
        for (n, waits) in self.running.iter().enumerate() {
            let agent = world.agent(&format!("shell-{n}")).await;
            world.delegate(&task("runs")).await;
            let claimed = world.claim(&agent).await;
            if *waits {
                let mut below = subtask("is waited for", &agent, &claimed);
                below.spec.role = "other".into();
                let below = world.delegate(&below).await;
                store.mark_waiting(&capability(&agent, &claimed), &[below], LONG).await.unwrap();
            }
        }
        let lead = world.agent_of("lead-1", "lead").await;
        let mut leading = task("leads");
        leading.spec.role = "lead".into();
        world.delegate(&leading).await;
        let leads = world.claim(&lead).await;
        for (n, is_subtask) in self.ready.iter().enumerate() {
            let text = format!("ready {n}");
            let new = if *is_subtask { subtask(&text, &lead, &leads) } else { task(&text) };
            world.delegate(&new).await;
        }
        for n in 0..self.idle {
            world.agent(&format!("shell-{}", 50 + n)).await;
        }
        self.share(world).await;
        self.limit(world).await;
        self.request(world).await;
    }

    /// Publishes what lacks a slot.
    async fn share(&self, world: &World) {
        let (mut redis, ready) = (world.raw(), world.store.keys().of("ready", ROLE));
        let heads: Vec<(String, f64)> =
            redis::cmd("ZRANGE").arg(ready).arg(0).arg(0).arg("WITHSCORES").query(&mut redis).unwrap();
        let Some(head) = heads.first().map(|(_, place)| *place as u64) else { return };
        let tolerance = 1_000;
        let needy = |(is_other, is_urgent): &(bool, bool)| Needy {
            role: if *is_other { "other".to_owned() } else { ROLE.to_owned() },
            place: head - if *is_urgent { tolerance + 1 } else { tolerance },
        };
        let shortage = Shortage { tasks: self.shortage.iter().map(needy).collect(), tolerance };
        let lifetime = if self.shortage_holds { LONG } else { Duration::ZERO };
        world.store.set_shortage(&shortage, &[(ROLE.to_owned(), self.min)], lifetime).await.unwrap();
    }

    async fn limit(&self, world: &World) {
        let (store, mut redis) = (&world.store, world.raw());
        let until = |holds: bool| if holds { 4_000_000_000_000u64 } else { 1 };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let soon = |holds: bool| now + if holds { 60_000 } else { 0 };
        let usage = Usage { cost_usd: self.used as f64 / 100.0, ..Usage::default() };
        store.meter("shell-0", ROLE, "a conversation", &usage, &usage).await.unwrap();
        let day = |cents: Option<u64>| Allowance { micro_usd: cents.map(|n| n * 10_000), tokens: None };
        store.set_budget(&Budget { day: day(self.total_day), ..Budget::default() }).await.unwrap();
        let unavailable = self.unavailable.then(|| "its program is not on PATH".to_owned());
        let (role, account) = (ROLE.to_owned(), ACCOUNT.to_owned());
        let tenths = |tenths: Option<u64>| Allowance { micro_usd: tenths.map(|n| n * 1_000), tokens: None };
        let slots = self.slots.map(|(most, shared)| {
            let roles = if shared { vec![role.clone(), "lead".to_owned()] } else { vec![role.clone()] };
            (most, roles)
        });
        let pace = self.pace.map(|(starts, _)| Pace { starts, per: LONG });
        let (day, expected) = (day(self.role_day), tenths(self.expected));
        let budget = Budget { role, account, day, unavailable, expected, slots, pace, ..Budget::default() };
        store.set_budget(&budget).await.unwrap();
        let mut set = |key: String, fields: &[(&str, String)]| {
            let () = redis::cmd("HSET").arg(key).arg(fields).query(&mut redis).unwrap();
        };
        let (of_role, of_all) = self.reserved;
        let reserved = [
            (format!("role:{ROLE}:micro_usd"), of_role * 1_000),
            ("all:micro_usd".to_owned(), (of_role + of_all) * 1_000),
        ];
        for (field, amount) in &reserved {
            set(store.keys().plain("reserved"), &[(field.as_str(), amount.to_string())]);
        }
        if let Some((starts, made)) = self.pace {
            // As if they had been made now, evenly apart.
            let used_up = now * 1_000 + u64::from(made) * (LONG.as_micros() as u64 / u64::from(starts)) + 1_000_000;
            let key = store.keys().of("pace", ACCOUNT);
            let () = redis::cmd("SET").arg(key).arg(used_up).query(&mut world.raw()).unwrap();
        }
        if let Some(holds) = self.rate_limit {
            set(store.keys().of("rate", ACCOUNT), &[("until", soon(holds).to_string()), ("reason", "429".into())]);
        }
        if let Some(holds) = self.recovery {
            set(store.keys().plain("epoch"), &[("settling_until", until(holds).to_string())]);
        }
        if self.breaker {
            let fields = [("failures", "3".into()), ("until", until(true).to_string()), ("reason", "exit 127".into())];
            set(store.keys().of("breaker", ROLE), &fields);
        }
        if let Some(max) = self.max {
            store.set_limits(&[(ROLE.to_owned(), max)]).await.unwrap();
        }
    }

    async fn request(&self, world: &World) {
        let requests = [
            (self.stop.is_some(), Request::Stop { drain: self.stop == Some(true) }),
            (self.pause, Request::Pause(None)),
            (self.pause_role, Request::Pause(Some(ROLE.into()))),
            (self.pause_other, Request::Pause(Some("other".into()))),
            (self.drain, Request::Drain),
        ];
        for (_, request) in requests.iter().filter(|(is_so, _)| *is_so) {
            world.store.request(request, EventKind::SupervisorStopping, "a test").await.unwrap();
        }
    }

    /// What the gates say: the task that an idle agent is to get.
    async fn expected(&self, world: &World) -> Option<TaskId> {
        let (store, mut redis) = (&world.store, world.raw());
        let seen = store.observe(&[ROLE.into(), MASTER.into()]).await.unwrap();
        let mut now = seen.admission(MASTER, &BTreeSet::new());
        // Nobody has configured anything beyond what the supervisor has told the store.
        now.supervised = false;
        if let Some(max) = self.max {
            now.configure([(ROLE, max)].into_iter(), 0);
        }
        let ready = store.keys().of("ready", ROLE);
        let ids: Vec<String> = redis::cmd("ZRANGE").arg(ready).arg(0).arg(-1).query(&mut redis).unwrap();
        let ids: Vec<TaskId> = match self.stop {
            Some(_) => ids.iter().map(|id| id.parse().unwrap()).collect(),
            None => {
                store.turns(ROLE, None).await.unwrap().next().map(|queue| queue.first.0.clone()).into_iter().collect()
            }
        };
        let tasks = store.tasks(&ids).await.unwrap();
        let is_free = |ahead: usize| {
            let candidate =
                Candidate { task: &tasks[ahead], ahead: ahead as u64, lacks: None, plan_slots: None, short: None };
            !admission::gates(Some(candidate), ROLE, &now).iter().any(Gate::blocks_claim)
        };
        (0..tasks.len()).find(|n| is_free(*n)).map(|n| tasks[n].id.clone())
    }
}

#[test]
fn a_claim_takes_a_task_exactly_when_no_gate_keeps_it() {
    let server = Server::start_hasty();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut case, mut taken) = (0, 0);
    let cases = std::env::var("ORCH_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let counts = std::cell::RefCell::new((&mut case, &mut taken));
    TestRunner::new(config)
        .run(&ways(), |way| {
            let mut counts = counts.borrow_mut();
            *counts.0 += 1;
            let world = server.world(&format!("n{}", counts.0));
            runtime.block_on(async {
                way.set_up(&world).await;
                let idle = world.agent("shell-99").await;
                let expected = way.expected(&world).await;
                let claimed = world.try_claim(&idle).await.map(|claimed| claimed.task.id);
                prop_assert_eq!(&claimed, &expected);
                *counts.1 += u32::from(claimed.is_some());
                Ok(())
            })
        })
        .unwrap();
    assert!(taken > 10 && taken < case - 10, "both come up: {taken} of {case}");
}
