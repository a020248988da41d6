//! Runs `notify_command` in the background, once per notice, when something newly needs a person.

use std::{collections::BTreeMap, process::Stdio, sync::Arc, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command, sync::Semaphore};

use super::environment;
use crate::{
    config::Config,
    model::{
        attention::{Attention, AttentionKind},
        question::{Question, QuestionKind},
        secret::Redactor,
    },
    os,
    store::{Result, Store, people::Notice},
};

/// A notifier that takes longer is ended: it is to deliver a message, not to wait for an answer.
const LIMIT: Duration = Duration::from_secs(30);
/// Notifiers that run concurrently; further notices follow in later passes.
const AT_ONCE: usize = 4;

/// Runs `notify_command`.
#[derive(Debug)]
pub(super) struct Notifier {
    slots: Arc<Semaphore>,
    redactor: Redactor,
}

impl Notifier {
    /// Creates one that removes these secrets from what it passes on.
    pub fn new(redactor: Redactor) -> Self {
        Notifier { slots: Arc::new(Semaphore::new(AT_ONCE)), redactor }
    }

    /// Takes the waiting notices, and starts to report them. A notice that was taken is never reported again, even if the report
    /// fails: `orch status` says it for as long as it is so.
    ///
    /// Its programs get `environment`, that of `orch start`, without what is a secret.
    pub async fn tell(&self, store: &Store, config: &Config, environment: &BTreeMap<String, String>) -> Result<()> {
        let at_most = if config.supervisor.notify_command.is_empty() { 1000 } else { self.slots.available_permits() };
        if at_most == 0 {
            return Ok(());
        }
        let notices = store.take_notices(at_most).await?;
        let [program, args @ ..] = config.supervisor.notify_command.as_slice() else { return Ok(()) };
        for notice in notices {
            let mut command = Command::new(program);
            command.env_clear().envs(environment::of_helper(config, environment));
            command.args(args).current_dir(&config.root);
            let (slots, facts) = (self.slots.clone(), facts(&notice, config, &self.redactor));
            tokio::spawn(async move {
                let _slot = slots.acquire_owned().await;
                if let Err(why) = run(command, facts, LIMIT).await {
                    tracing::warn!("notify_command: {why}");
                }
            });
        }
        Ok(())
    }
}

/// What the program reads: the notice with all that `attention` of `orch status --json` says of the same, and the namespace.
/// What the notice itself says stays: its `what` is a word, and its `text` of an agent a sentence.
fn facts(notice: &Notice, config: &Config, redactor: &Redactor) -> Vec<u8> {
    let mut facts = serde_json::to_value(notice).unwrap_or_default();
    if let Ok(Value::Object(attention)) = serde_json::to_value(attention(notice)) {
        for (name, value) in attention {
            if facts[&name].is_null() {
                facts[&name] = value;
            }
        }
    }
    facts["namespace"] = config.namespace.as_str().into();
    redactor.data(facts).to_string().into_bytes()
}

/// The notice as something to attend to.
fn attention(notice: &Notice) -> Attention {
    let since = Some(notice.at);
    match (&notice.agent, &notice.task, notice.question) {
        (Some(agent), task, _) => {
            let what = format!("agent {agent} waits: {}", notice.text);
            let asks = Attention::by(AttentionKind::Needs, what, format!("orch attach {agent}"));
            Attention { agent: Some(agent.clone()), task: task.clone(), text: notice.needs_for.clone(), since, ..asks }
        }
        (None, Some(task), Some(number)) => {
            let question = Question {
                number,
                kind: match (notice.escalates, notice.accepts) {
                    (true, _) => QuestionKind::Escalation,
                    (false, true) => QuestionKind::Acceptance,
                    (false, false) => QuestionKind::Question,
                },
                rights: Vec::new(),
                question: notice.text.clone(),
                options: notice.options.clone(),
                attempt: 0,
                asked_at: notice.at,
                answer: None,
                approval: None,
                until: None,
                by_default: None,
                answered_at: None,
                answered_by: None,
                closed: None,
            };
            Attention::of_question(task, notice.asked_by.as_deref(), &question)
        }
        (None, Some(task), None) => Attention::of_held(task, &notice.text, &notice.text, since),
        (None, None, _) if notice.what == "budget" => {
            Attention::by(AttentionKind::Budget, notice.text.as_str(), "orch budget")
        }
        (None, None, _) => Attention::by(AttentionKind::Needs, notice.text.as_str(), "orch status"),
    }
}

/// The process group of a notifier that has not ended yet: dropped, it is ended with all that is in it.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        // Its leader is not waited for yet, so the number is still its own.
        if let Some(leader) = self.0 {
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

async fn run(mut command: Command, facts: Vec<u8>, limit: Duration) -> std::result::Result<(), String> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
    let mut child = os::as_before(|| command.spawn()).map_err(|e| format!("it could not be started: {e}"))?;
    // After `child`, so that it is dropped before: also with the supervisor, which may end at any time.
    let mut group = Group(child.id().map(|pid| Pid::from_raw(pid as i32)));
    let told = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not want to know is none that fails.
            let _ = stdin.write_all(&facts).await;
        }
        child.wait().await.map_err(|e| e.to_string())
    };
    let told = tokio::time::timeout(limit, told).await;
    if told.is_ok() {
        // What it has left behind on purpose is its own.
        group.0 = None;
    }
    match told {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("it ended with {status}")),
        Ok(Err(why)) => Err(why),
        Err(_) => Err(format!("it did not end within {limit:?}, and was ended")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::ProcessId;

    #[tokio::test]
    async fn who_takes_too_long_is_ended_with_all_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo $! > new; mv new below; wait"]).current_dir(folder.path());
        let below = folder.path().join("below");
        // Cut off only once there is something to end.
        let begun = async {
            while !below.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            ended = run(command, Vec::new(), Duration::MAX) => panic!("{ended:?}"),
            () = begun => {}
        }
        let pid: u32 = std::fs::read_to_string(&below).unwrap().trim().parse().unwrap();
        // It is no child of ours, and is gone as soon as its new parent has reaped it.
        while ProcessId::of(pid).is_some_and(|process| process.is_alive()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }

        let mut hangs = Command::new("sh");
        hangs.args(["-c", "sleep 1000"]);
        let why = run(hangs, b"x".to_vec(), Duration::from_millis(20)).await.unwrap_err();
        assert!(why.contains("did not end"), "{why}");
    }
}
