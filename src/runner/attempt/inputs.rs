//! Reads what an attempt gets in addition to the record of its task.

use crate::{
    config::DriverKind,
    plan,
    runner::{Agent, attempt::start::capability_of},
    store::{StoreError, inputs::Inputs, people::Reader, tasks::Claimed},
};

/// At most this many messages are in a prompt.
const MESSAGES: usize = 50;

/// Returns what is known about the tasks around this one, and the messages to it.
pub(in crate::runner) async fn of(agent: &Agent, claimed: &Claimed) -> Result<Inputs, String> {
    let task = &claimed.task;
    // Most tasks have neither. A script finds only results at `ORCH_CONTEXT`.
    let is_alone = task.parent.is_none() && claimed.attempt == 1 || agent.launch.driver == DriverKind::Shell;
    // Another program reads its messages with orch inbox.
    let has_mail = claimed.has_mail && agent.launch.driver.program().is_some();
    if task.after.is_empty() && is_alone && !has_mail {
        return Ok(Inputs::default());
    }
    let unknown = |e: StoreError| format!("what belongs to it could not be read: {e}");
    let mut inputs = agent.store.inputs(task).await.map_err(unknown)?;
    if task.plan.is_some() {
        inputs.inserted = plan::results_in(&task.description);
    }
    if has_mail {
        let (reader, token) =
            (Reader::Attempt(capability_of(agent, claimed)), uuid::Uuid::new_v4().simple().to_string());
        inputs.messages = agent.store.read_inbox(&reader, task.id.as_str(), &token, MESSAGES).await.map_err(unknown)?;
    }
    Ok(inputs.redacted(&agent.redactor))
}
