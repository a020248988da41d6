//! Whatever numbers and texts a record holds, it is shown, and shows nothing that a terminal would obey.

use crate::model::task::Spec;
use proptest::prelude::*;

use super::*;
use crate::model::task::TaskDetail;

proptest! {
    #![proptest_config(crate::fuzz::cases(128))]

    #[test]
    fn any_record_is_shown(
        text in any::<String>(),
        numbers in prop::collection::vec(prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)], 8),
        width in prop::option::of(1usize..200),
        state in prop::sample::select(TaskState::ALL),
    ) {
        let at = |n: usize| Timestamp(numbers[n]);
        let task = Task { created_at: at(0), ready_at: Some(at(1)), due_at: Some(at(2)), ended_at: Some(at(3)), lost: numbers[6] as u32, reason: Some(text.clone()), agent: Some(text.clone()), spec: Spec { timeout_ms: numbers[4], retries: numbers[5] as u32, role: text.clone(), cwd: Some(text.clone()), labels: [(text.clone(), text.clone())].into(), artifacts: vec![text.clone()], ..a_task(1, state, &text).spec }, ..a_task(1, state, &text) };
        let agent = Agent {
            started_at: at(0),
            since: at(1),
            heartbeat_age_ms: Some(numbers[2]),
            rss_bytes: Some(numbers[3]),
            tasks_done: numbers[4],
            reason: Some(text.clone()),
            ..an_agent(&text, &text, AgentState::Busy)
        };
        let view = view(width);
        let detail = TaskDetail::of(task.clone());
        let tasks = [task];
        let pages = [
            task::list(&tasks, false, &view),
            task::list(&tasks, true, &view),
            task::page(&detail, &view),
            agent::page(&agent, &view),
            agent::list(&[agent], &view),
        ];
        for page in pages {
            prop_assert!(!page.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{page:?}");
        }
    }
}
