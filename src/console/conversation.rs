//! What was typed, and what happened, answered on the screen: the console's one loop.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{Receiver, UnboundedReceiver};

use super::{
    complete::Known,
    follow::{Followed, Look, accepted},
    input::Input,
    page::Tone,
    render,
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
        Ops,
        types::{Delegate, Shown, Target},
    },
};

/// How many tasks from before are listed when the console starts; all of them are followed.
const LISTED: usize = 10;

/// Whether Redis was reached when it was last tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    NotYet,
    Yes,
    No,
}

/// One console's talk with its person.
pub(super) struct Conversation<'a> {
    pub(super) ops: &'a Ops,
    pub(super) screen: &'a Screen,
    known: Arc<Mutex<Known>>,
    pub(super) followed: Followed,
    reached: Reached,
    begun: bool,
    /// A person sits there: tasks from before are taken up, and leaving does not wait.
    pub(super) person: bool,
    refused: Option<Kind>,
}

impl<'a> Conversation<'a> {
    /// A talk that has not begun.
    pub fn new(ops: &'a Ops, screen: &'a Screen, known: Arc<Mutex<Known>>, person: bool) -> Self {
        let followed = Followed::default();
        Conversation { ops, screen, known, followed, reached: Reached::NotYet, begun: false, person, refused: None }
    }

    /// Until the person leaves; or, without one, until the inputs have ended and so has everything they asked for.
    ///
    /// # Errors
    /// Without a person: some lines were not accepted.
    pub async fn hold(mut self, mut inputs: Receiver<Input>, mut news: UnboundedReceiver<News>) -> Result<()> {
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
                    self.hear(batch).await;
                }
            }
        }
        match self.refused {
            Some(kind) if !self.person => Err(Error::new(kind, "not every line was accepted")
                .hint("what is wrong with which of them stands above; the others were delegated")),
            _ => Ok(()),
        }
    }

    async fn answer(&mut self, input: Input) {
        let answer = match input {
            Input::Nothing | Input::Quit => return,
            Input::Mistake(text) => {
                self.refused.get_or_insert(Kind::Usage);
                let page = self.screen.page();
                Ok(page.paint(Tone::Bad, &page.fold(&text)))
            }
            Input::Delegate { role, text } => self.delegate(role, text).await,
            Input::Command(command) => self.command(command).await,
        };
        let text = answer.unwrap_or_else(|e| {
            self.refused.get_or_insert(e.kind);
            render::error("", &e, &self.screen.page())
        });
        self.screen.say(&text);
    }

    async fn delegate(&mut self, role: Option<String>, text: String) -> Result<String> {
        let named = role.clone().unwrap_or_else(|| self.ops.config().master.default_role.clone());
        let delegated = self.ops.delegate(Delegate { text, role, ..Delegate::default() }).await.map_err(|mut e| {
            e.message = format!("not accepted: {}", e.message);
            e
        })?;
        self.with_known(|k| k.task(delegated.id.as_str()));
        let line = accepted(&delegated.id, &named, delegated.state);
        if self.followed.begin(&delegated.id, 0) {
            return Ok(line);
        }
        Ok(format!("{line}; too many are followed already to tell about it: /show {}", delegated.id))
    }

    /// Goes through news that came together: each task is looked at once, however much happened to it.
    async fn hear(&mut self, batch: Vec<News>) {
        let mut touched: Vec<TaskId> = Vec::new();
        for news in batch {
            match news {
                News::Gone(e) if self.reached != Reached::No => {
                    self.reached = Reached::No;
                    let page = self.screen.page();
                    let until = page.fold("  until then nothing is accepted here, and what runs is not shown");
                    self.screen.say(&format!("{}\n{until}", render::error("", &e, &page)));
                }
                News::Gone(_) => {}
                News::Connected => self.connected().await,
                News::Event(event) => {
                    self.with_known(|k| {
                        event.task.iter().for_each(|t| k.task(t));
                        event.agent.iter().for_each(|a| k.agent(a));
                    });
                    match self.followed.hear(&event, &self.screen.page()) {
                        Look::At(id) if !touched.contains(&id) => touched.push(id),
                        Look::Say(text) => self.screen.say(&text),
                        Look::At(_) | Look::No => {}
                    }
                }
            }
        }
        for id in touched {
            self.look(&id).await;
        }
    }

    /// Reads a task and tells what is new about it.
    async fn look(&mut self, id: &TaskId) -> Option<TaskDetail> {
        let detail = self.read(id).await?;
        if let Some(text) = self.followed.tell(&detail, &self.screen.page()) {
            self.screen.say(&text);
        }
        Some(detail)
    }

    /// Reads a task; one whose record is gone is followed no longer. When Redis is away, the watcher says so, and
    /// everything is looked at again afterwards.
    pub(super) async fn read(&mut self, id: &TaskId) -> Option<TaskDetail> {
        match self.ops.show(&Target::Task(id.clone())).await {
            Ok(Shown::Task(detail)) => Some(*detail),
            Err(e) if e.kind == Kind::NotFound => {
                self.followed.forget(id);
                None
            }
            _ => None,
        }
    }

    /// Redis answers, now or again: events may have been missed.
    async fn connected(&mut self) {
        if self.reached == Reached::No {
            self.screen.say("Redis answers again.");
        }
        self.reached = Reached::Yes;
        for id in self.followed.ids() {
            if let Some(detail) = self.look(&id).await {
                self.take_up(detail.task.children).await.iter().for_each(|line| self.screen.say(line));
            }
        }
        if self.person && !self.begun {
            self.take_up_all().await;
        }
        self.begun = true;
        if let Ok(status) = self.ops.status().await
            && status.supervisor.state != "running"
        {
            let text = "the supervisor is not running: tasks are accepted, and wait for orch start";
            let page = self.screen.page();
            self.screen.say(&page.paint(Tone::Wants, &page.fold(text)));
        }
    }

    /// Follows the open tasks from before this console's time.
    async fn take_up_all(&mut self) {
        let Ok(mut open) = self.open_tasks().await else { return };
        open.sort_by_key(|t| t.created_at);
        self.with_known(|k| open.iter().for_each(|t| k.task(t.id.as_str())));
        let (roots, children): (Vec<Task>, Vec<Task>) = open.into_iter().partition(|t| t.parent.is_none());
        let mut lines = Vec::new();
        // A subtask is taken up after its parent, which was created before it.
        for tasks in [roots, children] {
            lines.extend(self.take_up(tasks.into_iter().map(|t| t.id).collect()).await);
        }
        if lines.is_empty() {
            return;
        }
        let more = lines.len().saturating_sub(LISTED);
        lines.truncate(LISTED);
        let mut text = format!("open since before:\n{}", lines.join("\n"));
        if more > 0 {
            text += &format!("\n… and {more} more: /tasks");
        }
        self.screen.say(&text);
    }

    /// Follows those of these tasks that are open, and not followed yet; a line for each.
    async fn take_up(&mut self, ids: Vec<TaskId>) -> Vec<String> {
        let mut lines = Vec::new();
        for id in ids {
            if let Some(detail) = self.read(&id).await {
                lines.extend(self.followed.adopt(&detail, &self.screen.page()));
            }
        }
        lines
    }

    pub(super) fn with_known(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
