//! `orch wait`.

use std::collections::HashSet;

use futures_util::StreamExt;

use super::{Session, args, errors, stdio::End};
use crate::{
    error::{Error, Kind, Result},
    model::{
        attention::Attention,
        duration::human,
        id::TaskId,
        plan::PlanState,
        task::{Task, TaskState},
        text::one_line,
        time::Timestamp,
        wait::Wait,
    },
    ops::{
        Client, Wanted, Work,
        types::{self, Ended, Shown, Target, WaitStep, Waited},
    },
    view::{View, messages, plan, task::life},
};

pub(super) async fn run(args: args::Wait, session: &mut Session) -> Result<u8, End> {
    let client = session.reader().await?;
    let Work { tasks: ids, plans } = client.find_work(&args.tasks, Wanted::LastTask).await?;
    let wait = types::Wait { ids, plans, any: args.any, timeout: args.timeout };
    let Waited { ended, plans, .. } = noting_held(&client, wait).await?;
    let well = ended.iter().all(|detail| detail.task.state == TaskState::Succeeded)
        && plans.iter().all(|plan| plan.state == PlanState::Succeeded);
    let tasks = ended.into_iter().map(|detail| Ended::Task(Box::new(detail)));
    let ended: Vec<Ended> = tasks.chain(plans.into_iter().map(Ended::Plan)).collect();
    let line = |one: &Ended, view: &View| match one {
        Ended::Task(detail) => life::end_in_one_line(detail, view),
        Ended::Plan(plan) => plan::end_in_one_line(plan, view),
    };
    session.answer(&ended, |ended, view| ended.iter().map(|one| line(one, view)).collect())?;
    Ok(if well { 0 } else { Kind::Failed.exit_code() })
}

/// Waits, and notes on standard error what a person has to know meanwhile: that a task waits for an answer or is held, and
/// that one is tried again. Without the note, it would look as if the task were at work.
pub(super) async fn noting_held(ops: &Client, wait: types::Wait) -> Result<Waited> {
    let limit = wait.timeout;
    let mut noted = Noted::default();
    let mut steps = ops.wait_steps(wait);
    while let Some(step) = steps.next().await {
        match step? {
            WaitStep::Looked(tasks) => {
                let at_work = |task: &&Task| matches!(task.state, TaskState::Running | TaskState::Delayed);
                for task in tasks.iter().filter(at_work).take(LOOKED_INTO) {
                    noted.look(ops, &task.id).await;
                }
            }
            WaitStep::Held(task) => {
                if !noted.look(ops, &task.id).await {
                    let reason = task.reason.map(|reason| format!(": {}", one_line(&reason, 200))).unwrap_or_default();
                    errors::note(&format!("{} is held{reason}; it continues after: orch retry {}", task.id, task.id));
                }
            }
            WaitStep::Locked { task, what, command } => errors::note(&format!("{task}: {what}; {command} releases it")),
            WaitStep::Done(waited) => return waited.in_time(limit),
        }
    }
    Err(Error::internal("the wait has ended without an answer"))
}

/// How many tasks at work are looked into each time.
const LOOKED_INTO: usize = 10;

/// What was noted, each once.
#[derive(Debug, Default)]
struct Noted {
    questions: HashSet<(TaskId, u32)>,
    /// What agents' programs ask in their terminals: each agent with the time since when.
    needs: HashSet<(String, Option<Timestamp>)>,
    attempts: HashSet<(TaskId, u32)>,
}

impl Noted {
    /// Notes what is new about a task. Returns whether it has an open question.
    async fn look(&mut self, ops: &Client, id: &TaskId) -> bool {
        // What can't be read now is noted later, or by the end.
        let Ok(Shown::Task(detail)) = ops.show(Target::Task(id.clone())).await else { return false };
        for attempt in &detail.attempts {
            let (Some(ended), Some(next)) = (attempt.ended_at, attempt.next_retry_at) else { continue };
            if self.attempts.insert((id.clone(), attempt.number)) {
                let again = life::again(&detail, attempt);
                let why = one_line(attempt.reason.as_deref().unwrap_or("no reason was recorded"), 200);
                let wait = human(next.since(ended));
                let off = again.off.map(|off| format!("\n{off}")).unwrap_or_default();
                errors::note(&format!("{id} is retried in {wait}{}: {why}{off}", again.count));
            }
        }
        let mut asks = false;
        for question in detail.questions.iter().filter(|question| question.is_open()) {
            asks = true;
            if self.questions.insert((id.clone(), question.number)) {
                let asked = Attention::of_question(id, detail.task.agent.as_deref(), question);
                errors::note(messages::question(&asked, &View::plain()).trim_end());
            }
        }
        if let Some(agent) = detail.task.agent.as_deref().filter(|_| !asks) {
            self.look_at_agent(ops, agent).await;
        }
        asks
    }

    /// Notes what the program of a task without an open question asks in its terminal.
    async fn look_at_agent(&mut self, ops: &Client, id: &str) {
        let Ok(Shown::Agent(agent)) = ops.show(Target::Agent(id.to_owned())).await else { return };
        if let Some(Wait::Person(need)) = agent.waits_for()
            && self.needs.insert((agent.id.clone(), agent.waits_since()))
        {
            let asked = Attention::of_need(&agent, &need, Timestamp::now());
            errors::note(messages::question(&asked, &View::plain()).trim_end());
        }
    }
}
