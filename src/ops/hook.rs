//! `orch hook`: called by an agent's program at each step of its conversation. It records for the agent's runner what the
//! program does, and delivers messages to the model at the end of a turn, so that nothing has to poll for them.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Caller, Ops, TaskFilter, messages::AT_ONCE};
use crate::{
    config::DriverKind,
    drivers::{self, Driver, Hook, Noted, Source},
    error::{Error, Result},
    home::{
        self, Home,
        files::{self, For},
    },
    model::{
        collision::CollisionRule,
        id::TaskId,
        message::{self, Delivery},
        secret::Redactor,
        task::{Task, TaskState},
        text::{count, one_line},
        time::Timestamp,
    },
    store::people::Reader,
};

/// Longest wait for Redis, because the program waits for its hook. Messages that are not delivered now are at the next turn.
const RETRY_FOR: Duration = Duration::from_secs(3);
/// The file of a hook that was interrupted while it delivered messages.
const HANDING: &str = "handing";
/// The file with the subtasks that were named at the end of a turn.
const NAMED: &str = "open-subtasks";
/// Appended for a task whose turn was about to end.
const KEPT: &str = "Your answer so far is kept; your reply to this is added to it.\n";
/// Limit on the tasks that are listed to a model whose conversation starts again.
const LISTED: usize = 30;

/// What a hook prints.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Handed {
    /// In the program's own format; empty where there is nothing.
    pub print: String,
    /// Whether the messages in it are delivered again unless the caller says that it has printed them ([`Ops::hook_done`]).
    pub to_confirm: bool,
}

impl Ops {
    /// Handles one call of a program's hook, and returns what is to be printed.
    ///
    /// # Errors
    /// Usage: the caller is not an agent. Config: the record could not be written. Any other error only delays the delivery of
    /// messages, and is not reported to the program.
    pub async fn hook(&self, program: DriverKind, call: &str) -> Result<Handed> {
        let Some(driver) = drivers::of(program) else { return Ok(Handed::default()) };
        let Some(hook) = driver.hook(call) else { return Ok(Handed::default()) };
        let folder = folder_of_hooks(&self.home, &self.caller)?;
        let note = |hook: &Hook| note(&folder, &self.caller, hook, self.redactor());
        // Whether the turn ends depends on whether there are messages.
        let may_go_on = matches!(hook, Hook::Ended { .. });
        if !may_go_on {
            note(&hook)?;
        }
        let edits = tokio::time::timeout(RETRY_FOR, self.collision(driver, &hook, call, &folder)).await;
        let collides = match edits {
            Ok(Ok(text)) => text,
            Ok(Err(e)) => {
                tracing::warn!("locks are not compared: {e}");
                None
            }
            Err(_) => None,
        };
        let refuses = self.collision_rule() == CollisionRule::Deny;
        if let (Hook::ToolCall { .. }, Some(why), true) = (&hook, &collides, refuses) {
            let print = driver.refuse_tool(why).unwrap_or_default();
            return Ok(Handed { print, to_confirm: false });
        }
        let token = folder.join(HANDING);
        let (text, token) = match tokio::time::timeout(RETRY_FOR, self.waits_for_the_model(driver, &hook, &token)).await
        {
            Ok(Ok(text)) => (text, self.reads_the_box(driver, &hook).then_some(())),
            Ok(Err(e)) => {
                tracing::warn!("nothing is handed over: {e}");
                (None, None)
            }
            // Redis may still do it: the token stays for the next hook.
            Err(_) => (None, None),
        };
        let to_confirm = token.is_some();
        let text = [collides, text].into_iter().flatten().reduce(|first, rest| first + &rest);
        let print = text.and_then(|text| driver.hand_over(&hook, &text)).unwrap_or_default();
        if may_go_on {
            note(&if print.is_empty() { hook } else { hook.going_on() })?;
        }
        Ok(Handed { print, to_confirm })
    }

    /// What the last hook returned was printed: these messages are not delivered again.
    ///
    /// # Errors
    /// Usage: the caller is not an agent.
    pub async fn hook_done(&self) -> Result<()> {
        let _ = fs::remove_file(folder_of_hooks(&self.home, &self.caller)?.join(HANDING));
        Ok(())
    }

    /// Whether this hook delivers the caller's messages.
    fn reads_the_box(&self, driver: &dyn Driver, hook: &Hook) -> bool {
        match hook {
            // A master that is not kept from ending its turn is woken by a typed line ([`message::line_to_idle`]).
            Hook::Ended { .. } => self.caller.attempt().is_some() || driver.continues_quietly(),
            Hook::Prompt { .. } | Hook::ToolResult { .. } => driver.hand_over(hook, "").is_some(),
            _ => false,
        }
    }

    /// The token that an interrupted hook has left, if the caller has hooks.
    pub(super) fn left_token(&self) -> Option<(PathBuf, String)> {
        let path = folder_of_hooks(&self.home, &self.caller).ok()?.join(HANDING);
        let word = read_token(&path)?;
        Some((path, word))
    }

    async fn waits_for_the_model(&self, driver: &dyn Driver, hook: &Hook, token: &Path) -> Result<Option<String>> {
        match hook {
            Hook::Began { source, .. } if self.caller.attempt().is_none() => self.what_was_forgotten(*source).await,
            hook if self.reads_the_box(driver, hook) => {
                let mut text = self.unread(token).await?;
                let (Hook::Ended { .. }, Some(attempt)) = (hook, self.caller.attempt()) else { return Ok(text) };
                if let Some(open) = self.open_subtasks(&attempt.task, token).await? {
                    text.get_or_insert_default().push_str(&open);
                }
                // Otherwise the model would repeat its whole answer, and be paid for it again.
                if let Some(text) = &mut text {
                    text.push_str(KEPT);
                }
                Ok(text)
            }
            _ => Ok(None),
        }
    }

    /// The caller's messages. After an interruption before they were printed, the token that it has left finds the same
    /// ones.
    async fn unread(&self, token: &Path) -> Result<Option<String>> {
        let reader = match self.caller.attempt() {
            Some(attempt) => Reader::Attempt(attempt.clone()),
            None => Reader::Master,
        };
        let word = match read_token(token) {
            Some(word) => word,
            None => {
                let word = Uuid::new_v4().simple().to_string();
                home::write_new(token, word.as_bytes()).map_err(|e| home::unusable(token, &e))?;
                word
            }
        };
        let master = self.config.master.session.as_str();
        let (mut messages, left) = self.ask(|s| s.read_inbox(&reader, master, &word, AT_ONCE)).await?;
        messages.retain(|message| message.state != Delivery::Failed);
        Ok((!messages.is_empty()).then(|| message::delivered(&messages, left)))
    }

    /// Returns that subtasks of a task are open whose turn is about to end; `None` where there are none, or the same were
    /// named before.
    async fn open_subtasks(&self, task: &TaskId, token: &Path) -> Result<Option<String>> {
        let open = self.ask(|s| s.open_subtasks(task)).await?;
        let ids: Vec<&str> = open.iter().map(|(id, _)| id.as_str()).collect();
        let (ids, named) = (ids.join(" "), token.with_file_name(NAMED));
        let before = files::read(&named, 64 * 1024).unwrap_or_default();
        if open.is_empty() || before == ids.as_bytes() {
            return Ok(None);
        }
        home::write_atomically(&named, ids.as_bytes()).map_err(|e| home::unusable(&named, &e))?;
        let mut text = format!("{} of your task:\n", count(open.len() as u64, "subtask is open", "subtasks are open"));
        for (id, said) in open.iter().take(LISTED) {
            text.push_str(&format!("- {id}: {}\n", one_line(said, 120)));
        }
        text.push_str(
            "Wait for them with wait_tasks, or cancel them with cancel_task. If you end your turn again, your task waits for \
             them without you, and you continue with their results.\n",
        );
        Ok(Some(text))
    }

    /// Returns what a master needs to know after its conversation was restarted or summarised.
    async fn what_was_forgotten(&self, source: Source) -> Result<Option<String>> {
        if source == Source::Clear {
            return Ok(None);
        }
        let mut open: Vec<Task> = Vec::new();
        for state in TaskState::ALL.iter().copied().filter(|state| !state.is_terminal()) {
            let filter = TaskFilter { states: vec![state.into()], limit: Some(LISTED), ..TaskFilter::default() };
            open.extend(self.tasks(filter).await?.tasks.into_iter().filter(|task| task.parent.is_none()));
        }
        open.truncate(LISTED);
        if open.is_empty() {
            return Ok(None);
        }
        let mut text = String::from("These tasks, delegated through orch, are open:\n");
        for task in &open {
            text.push_str(&format!(
                "- {} ({}, {}): {}\n",
                task.id,
                task.role,
                task.state,
                one_line(&task.description, 120)
            ));
        }
        text.push_str("Their results are delivered to you automatically, or wait for them with wait_tasks; read_inbox has what you have missed.");
        Ok(Some(text))
    }
}

/// The folder of the caller's program: its attempt's, or the master's.
fn folder_of_hooks(home: &Home, caller: &Caller) -> Result<PathBuf> {
    match (caller, caller.attempt()) {
        (_, Some(attempt)) => Ok(home.run(&attempt.task, attempt.attempt)),
        (Caller::Agent { agent, .. }, None) => Ok(home.agent_files(agent)),
        (Caller::Person(_), None) => Err(Error::usage("orch hook is called by the program of an agent")
            .hint("orch sets it up in the programs that it starts")),
    }
}

fn note(folder: &Path, caller: &Caller, hook: &Hook, redactor: &Redactor) -> Result<()> {
    // A master's file is kept as long as it lives, and its texts are not needed.
    let hook = if caller.attempt().is_some() { hook } else { &hook.without_texts() };
    let hook = hook.clone().shown(|text| redactor.text(text));
    let append = || {
        let mut file = files::open(&Home::hooks(folder), For::Appending)?;
        // One write, so that lines of concurrent hooks do not mix.
        file.write_all(Noted::line(Timestamp::now(), &hook).as_bytes())
    };
    append().map_err(|e| home::unusable(folder, &e))
}

/// The token of an interrupted hook: a word of ours, which a program may have replaced by anything.
fn read_token(path: &Path) -> Option<String> {
    let word = String::from_utf8(files::read(path, 64).ok()?).ok()?;
    (!word.is_empty()).then_some(word)
}
