//! The console's loop: answers what was typed, and reports what happened.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{Receiver, UnboundedReceiver};

use super::{
    asked::Asked,
    complete::Known,
    follow::{Followed, Reaction},
    input::Input,
    screen::Screen,
    watch::News,
};
use crate::{
    error::{Error, Kind, Result},
    model::{
        id::TaskId,
        task::{Task, TaskDetail},
    },
    ops::{
        Client,
        types::{Delegate, Shown, Target},
    },
    view::{self, Style, task::life},
};

/// Tasks from before that are listed when the console starts. All of them are followed.
const LISTED: usize = 10;

/// Whether the last attempt to reach Redis succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    NotYet,
    Yes,
    No,
}

/// What a batch of events says about questions and messages.
#[derive(Debug, Default)]
struct Asks {
    /// Tasks that ask; with what to show where it is no question of the task itself.
    tasks: Vec<(TaskId, Option<String>)>,
    messages: bool,
}

/// The state of one console.
pub(super) struct Conversation<'a> {
    pub(super) ops: &'a Client,
    /// The role of a task that names none.
    pub(super) default_role: String,
    pub(super) screen: &'a Screen,
    known: Arc<Mutex<Known>>,
    pub(super) followed: Followed,
    /// Questions and messages that were shown.
    pub(super) asked: Asked,
    reached: Reached,
    begun: bool,
    /// A person uses it: open tasks from before are followed, and leaving does not wait for tasks.
    pub(super) person: bool,
    refused: Option<Kind>,
}

impl<'a> Conversation<'a> {
    /// A console that has not begun.
    pub fn new(
        ops: &'a Client,
        default_role: &str,
        screen: &'a Screen,
        known: Arc<Mutex<Known>>,
        person: bool,
    ) -> Self {
        let followed = Followed::default();
        Conversation {
            ops,
            default_role: default_role.to_owned(),
            screen,
            known,
            followed,
            asked: Asked::default(),
            reached: Reached::NotYet,
            begun: false,
            person,
            refused: None,
        }
    }

    /// Runs until the person leaves; without a person, until the inputs and all tasks that they delegated have ended.
    ///
    /// # Errors
    /// Without a person: some lines were not accepted.
    pub async fn run(mut self, mut inputs: Receiver<Input>, mut news: UnboundedReceiver<News>) -> Result<()> {
        let mut listening = true;
        while listening || !self.person && !self.followed.is_empty() && !self.screen.is_broken() {
            tokio::select! {
                input = inputs.recv(), if listening => match input {
                    Some(input) => self.answer(input).await,
                    None => listening = false,
                },
                Some(first) = news.recv() => {
                    let mut batch = vec![first];
                    while let Ok(next) = news.try_recv() {
                        batch.push(next);
                    }
                    self.receive(batch).await;
                }
            }
        }
        match self.refused {
            Some(kind) if !self.person => Err(Error::new(kind, "not every line was accepted")
                .hint("the errors are above; the other lines were delegated")),
            _ => Ok(()),
        }
    }

    async fn answer(&mut self, input: Input) {
        let answer = match input {
            Input::Nothing | Input::Quit => return,
            Input::Mistake(text) => {
                self.refused.get_or_insert(Kind::Usage);
                let view = self.screen.view();
                Ok(view.paint(&view.fold(&text), Style::Red))
            }
            Input::Delegate { role, text } => self.delegate(role, text).await,
            Input::Command(command) => self.command(command).await,
        };
        let text = answer.unwrap_or_else(|e| {
            self.refused.get_or_insert(e.kind);
            view::error::at_prompt(&e, &self.screen.view())
        });
        self.screen.say(&text);
    }

    async fn delegate(&mut self, role: Option<String>, text: String) -> Result<String> {
        let named = role.clone().unwrap_or_else(|| self.default_role.clone());
        let delegated = self.ops.delegate(Delegate { text, role, ..Delegate::default() }).await.map_err(|mut e| {
            e.message = format!("not accepted: {}", e.message);
            e
        })?;
        self.with_known(|k| k.task(delegated.id.as_str()));
        let mut line = life::accepted(&delegated.id, &named, delegated.state);
        if let Some(note) = delegated.note {
            line = format!("{line}; {note}");
        }
        if self.followed.begin(&delegated.id, 0) {
            return Ok(line);
        }
        Ok(format!("{line}; it is not followed, because too many are: /show {}", delegated.id))
    }

    /// Handles news that arrived together. Each task is read once, however much happened to it.
    async fn receive(&mut self, batch: Vec<News>) {
        let mut touched: Vec<TaskId> = Vec::new();
        let mut asks = Asks::default();
        for news in batch {
            match news {
                News::Gone(e) if self.reached != Reached::No => {
                    self.reached = Reached::No;
                    let view = self.screen.view();
                    let until = view.fold("  until then nothing is accepted here, and what runs is not shown");
                    self.screen.say(&format!("{}\n{until}", view::error::at_prompt(&e, &view)));
                }
                News::Gone(_) => {}
                News::Connected => self.connected().await,
                News::Event(event) => {
                    self.with_known(|k| {
                        event.task.iter().for_each(|t| k.task(t));
                        event.agent.iter().for_each(|a| k.agent(a));
                    });
                    match self.followed.receive(&event, &self.screen.view()) {
                        Reaction::Read(id) if !touched.contains(&id) => touched.push(id),
                        Reaction::Show(text) => self.screen.say(&text),
                        Reaction::Questions(id) => asks.tasks.push((id, None)),
                        Reaction::Needs(id, text) => asks.tasks.push((id, Some(text))),
                        Reaction::Messages => asks.messages = true,
                        Reaction::Read(_) | Reaction::Ignore => {}
                    }
                }
            }
        }
        for id in touched {
            self.look(&id).await;
        }
        self.show_asked(asks).await;
    }

    /// Shows what people are asked and what was written to them, as far as it is new.
    async fn show_asked(&mut self, asks: Asks) {
        let view = self.screen.view();
        if !asks.tasks.is_empty()
            && let Ok(all) = self.ops.questions().await
        {
            for (id, otherwise) in asks.tasks {
                // A pipe hears of its own tasks only.
                if !self.person && !self.followed.ids().contains(&id) {
                    continue;
                }
                let has_question = all.iter().any(|one| one.question_id.is_some() && one.task.as_ref() == Some(&id));
                let texts = self.asked.questions(&all, Some(&id), &view);
                texts.iter().chain(otherwise.iter().filter(|_| !has_question)).for_each(|text| self.screen.say(text));
                let named = all.iter().filter_map(|one| one.question_id.as_ref());
                self.with_known(|k| named.for_each(|question| k.question(&question.to_string())));
            }
        }
        if asks.messages {
            self.show_messages().await;
        }
    }

    /// Shows the messages to the master that were not shown yet. They stay unread.
    async fn show_messages(&mut self) {
        if !self.person {
            return;
        }
        if let Ok(unread) = self.ops.unread().await
            && let Some(text) = self.asked.messages(&unread.messages, &self.screen.view())
        {
            self.screen.say(&text);
        }
    }

    /// Reads a task and reports what is new about it.
    async fn look(&mut self, id: &TaskId) -> Option<TaskDetail> {
        let detail = self.read(id).await?;
        if let Some(text) = self.followed.report(&detail, &self.screen.view()) {
            self.screen.say(&text);
        }
        Some(detail)
    }

    /// Reads a task. A task whose record is gone is followed no longer. When Redis is unreachable, `watch` reports it, and
    /// every task is read again afterwards.
    pub(super) async fn read(&mut self, id: &TaskId) -> Option<TaskDetail> {
        match self.ops.show(Target::Task(id.clone())).await {
            Ok(Shown::Task(detail)) => Some(*detail),
            Err(e) if e.kind == Kind::NotFound => {
                self.followed.forget(id);
                None
            }
            _ => None,
        }
    }

    /// Redis is reachable, for the first time or again: events may have been missed.
    async fn connected(&mut self) {
        if self.reached == Reached::No {
            self.screen.say("Redis answers again.");
        }
        self.reached = Reached::Yes;
        for id in self.followed.ids() {
            if let Some(detail) = self.look(&id).await {
                self.adopt(detail.task.children).await.iter().for_each(|line| self.screen.say(line));
            }
        }
        if self.person && !self.begun {
            self.adopt_all().await;
        }
        self.begun = true;
        if self.person
            && let Ok(all) = self.ops.questions().await
        {
            let named = all.iter().filter_map(|one| one.question_id.as_ref());
            self.with_known(|k| named.for_each(|question| k.question(&question.to_string())));
            let texts = self.asked.questions(&all, None, &self.screen.view());
            texts.iter().for_each(|text| self.screen.say(text));
        }
        self.show_messages().await;
        if let Ok(status) = self.ops.status().await
            && status.supervisor.state != "running"
        {
            let text = "the supervisor is not running: tasks are accepted, and wait for orch start";
            let view = self.screen.view();
            self.screen.say(&view.paint(&view.fold(text), Style::Yellow));
        }
    }

    /// Follows the open tasks that were delegated before this console began.
    async fn adopt_all(&mut self) {
        let Ok(mut open) = self.open_tasks().await else { return };
        open.sort_by_key(|t| t.created_at);
        self.with_known(|k| open.iter().for_each(|t| k.task(t.id.as_str())));
        let (roots, children): (Vec<Task>, Vec<Task>) = open.into_iter().partition(|t| t.parent.is_none());
        let mut lines = Vec::new();
        // A subtask is followed only if its parent is, so parents come first.
        for tasks in [roots, children] {
            lines.extend(self.adopt(tasks.into_iter().map(|t| t.id).collect()).await);
        }
        if lines.is_empty() {
            return;
        }
        let more = lines.len().saturating_sub(LISTED);
        lines.truncate(LISTED);
        let mut text = format!("still open from before:\n{}", lines.join("\n"));
        if more > 0 {
            text += &format!("\n… and {more} more: /tasks");
        }
        self.screen.say(&text);
    }

    /// Follows those of these tasks that are open and not followed yet, and returns a line for each.
    async fn adopt(&mut self, ids: Vec<TaskId>) -> Vec<String> {
        let mut lines = Vec::new();
        for id in ids {
            if let Some(detail) = self.read(&id).await {
                lines.extend(self.followed.adopt(&detail, &self.screen.view()));
            }
        }
        lines
    }

    pub(super) fn with_known(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
