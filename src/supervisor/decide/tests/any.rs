//! What must hold for any world.

use super::*;

proptest! {
    /// Whatever the world looks like: names are given once, bounds hold, nobody is both ended and used, and each
    /// action has a reason.
    #[test]
    fn any_decision_keeps_the_bounds(
        agents in proptest::collection::vec((0usize..6, any::<bool>(), 0u64..60_000, any::<bool>()), 0..12),
        ready in 0u64..40,
        max_agents in 0u32..12,
        scale in proptest::option::of(0u32..8),
        foreign in proptest::collection::btree_set(1u32..6, 0..4),
    ) {
        let mut c = case();
        for (n, (state, waiting, age, alive)) in agents.iter().enumerate() {
            let id = format!("shell-{}", n + 1);
            let agent = c.agent(&id, "shell", AgentState::ALL[*state % 4]);
            agent.waiting = *waiting && agent.state == AgentState::Busy;
            agent.heartbeat_at = Some(Timestamp(NOW - age));
            if !alive {
                c.life(&id, Life::Dead(Death::Gone));
            }
        }
        c.sessions.extend(foreign.iter().map(|n| session(&format!("shell-{n}"), None)));
        c.ready("shell", ready);
        c.max_agents = max_agents;
        c.store.requests.scale.extend(scale.map(|n| ("shell".to_owned(), n)));
        let max = scale.unwrap_or(4);

        let (mut spawned, mut ended) = (Vec::new(), BTreeSet::new());
        for action in c.decide() {
            match action {
                Action::Spawn { agent, reason, .. } => {
                    prop_assert!(!reason.is_empty());
                    spawned.push(agent);
                }
                Action::Reap { agent, reason, .. } | Action::Stop { agent, reason, .. } => {
                    prop_assert!(!reason.is_empty());
                    prop_assert!(ended.insert(agent), "ended twice");
                }
                _ => {}
            }
        }
        let names: BTreeSet<_> = spawned.iter().cloned().collect();
        prop_assert_eq!(names.len(), spawned.len());
        for name in &spawned {
            prop_assert!(!c.store.agents.iter().any(|r| r.agent.id == *name), "{} lives", name);
            prop_assert!(!c.sessions.iter().any(|s| s.name == *name), "{} is a stranger's", name);
        }
        let places = |r: &&Record| !r.agent.master && !r.agent.waiting && !ended.contains(&r.agent.id);
        let kept = c.store.agents.iter().filter(places).filter(|r| r.agent.state != AgentState::Stopping).count();
        if !spawned.is_empty() {
            prop_assert!(kept + spawned.len() <= max as usize);
            prop_assert!(kept + spawned.len() <= max_agents as usize);
        }
    }
}
