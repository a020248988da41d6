//! The typed calls about questions to people, and about messages.

use std::time::Duration;

use redis::Value;
use serde::Deserialize;

use super::{
    Result, Store, StoreError, script,
    values::{ms, parse},
    wake::News,
};
use crate::model::{
    id::{Capability, PlanId, TaskId},
    message::{Delivery, Message},
    question::{Approval, Question, QuestionKind, QuestionRef},
    task::TaskState,
    time::Timestamp,
    wait::Needs,
};

/// How much is read from a box at once, if there is more than one message: a model has to take it all in.
const INBOX_BYTES: usize = 128 * 1024;

/// Where a question stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// There is no answer yet.
    Open,
    /// A person has answered.
    Answered {
        /// The answer.
        answer: String,
        /// Where they approved or denied.
        approval: Option<Approval>,
    },
    /// The task has ended.
    Closed(String),
}

/// What `answer` answers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Answered {
    /// The question's number within its task.
    pub number: u32,
    /// What had been asked.
    pub question: String,
    /// Where the task stands now.
    pub state: TaskState,
    /// How many of its questions are open.
    pub open: u32,
    /// Whether it was approved or denied, if one of the two.
    #[serde(default)]
    pub approval: Option<Approval>,
    /// The plan that was submitted, where the task had drafted one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
}

/// A message that is to be sent.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Its id, fresh for each request: the same request sent again is the same message.
    pub id: String,
    /// A task, an agent, or `master`.
    pub to: String,
    /// What it says.
    pub text: String,
    /// The sender in words.
    pub from: String,
    /// The attempt from within which it is sent.
    pub attempt: Option<Capability>,
    /// The box that gets a message if this one is not read.
    pub reply_to: Option<String>,
    /// The master's agent.
    pub master: String,
}

/// A reader of a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reader {
    /// An attempt, its own task's.
    Attempt(Capability),
    /// The master's program.
    Master,
    /// A person, the master's; each has marks of their own.
    Person,
}

impl Reader {
    fn word(&self) -> &'static str {
        match self {
            Reader::Attempt(_) => "task",
            Reader::Master => "master",
            Reader::Person => "person",
        }
    }
}

/// Something that newly needs a person.
#[derive(Debug, Clone, PartialEq, serde::Serialize, Deserialize)]
pub struct Notice {
    /// `question`, `held` (a task or plan is), `budget` (most of it is used) or `needs` (an agent's program asks its user).
    pub what: String,
    /// The task; that of an agent, if it has one.
    pub task: Option<TaskId>,
    /// The question's number.
    pub question: Option<u32>,
    /// Whether the question is to be approved or denied: a delegation to a role with more rights.
    #[serde(default)]
    pub escalates: bool,
    /// Whether the result of the task is to be accepted.
    #[serde(default)]
    pub accepts: bool,
    /// The choices of the question.
    #[serde(default, deserialize_with = "choices")]
    pub options: Vec<String>,
    /// The agent whose program asked the question.
    #[serde(default, skip_serializing)]
    pub asked_by: Option<String>,
    /// The agent whose program asks its user.
    pub agent: Option<String>,
    /// What it asks for.
    pub needs: Option<Needs>,
    /// What exactly, where it is known.
    pub needs_for: Option<String>,
    /// The question, why the task is held, or which agent asks for what.
    pub text: String,
    /// When.
    #[serde(deserialize_with = "millis")]
    pub at: Timestamp,
}

fn millis<'de, D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Timestamp, D::Error> {
    Ok(Timestamp(f64::deserialize(d)? as u64))
}

/// The choices of a question, which are stored as JSON in a text.
fn choices<'de, D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Vec<String>, D::Error> {
    Ok(serde_json::from_str(&String::deserialize(d)?).unwrap_or_default())
}

/// An element of `questions:<id>`. Times are milliseconds there, and the options a text.
#[derive(Deserialize)]
pub(super) struct StoredQuestion {
    number: u32,
    text: String,
    #[serde(default)]
    options: String,
    #[serde(default)]
    kind: QuestionKind,
    #[serde(default)]
    rights: Vec<String>,
    attempt: u32,
    asked_at: f64,
    answer: Option<String>,
    verdict: Option<Approval>,
    till: Option<f64>,
    by_default: Option<Approval>,
    answered_at: Option<f64>,
    answered_by: Option<String>,
    closed: Option<String>,
}

impl From<StoredQuestion> for Question {
    fn from(q: StoredQuestion) -> Self {
        Question {
            number: q.number,
            kind: q.kind,
            rights: q.rights,
            question: q.text,
            options: serde_json::from_str(&q.options).unwrap_or_default(),
            attempt: q.attempt,
            asked_at: Timestamp(q.asked_at as u64),
            answer: q.answer,
            approval: q.verdict,
            until: q.till.map(|ms| Timestamp(ms as u64)),
            by_default: q.by_default,
            answered_at: q.answered_at.map(|ms| Timestamp(ms as u64)),
            answered_by: q.answered_by,
            closed: q.closed,
        }
    }
}

/// An element of `messages:<box>`.
#[derive(Deserialize)]
struct StoredMessage {
    n: u64,
    id: String,
    from: String,
    task: Option<TaskId>,
    text: String,
    at: f64,
    failed: Option<String>,
}

impl StoredMessage {
    /// `read`: up to which the box was read.
    fn known(self, read: u64) -> Message {
        let state = match &self.failed {
            Some(_) => Delivery::Failed,
            None if self.n <= read => Delivery::Delivered,
            None => Delivery::Unconfirmed,
        };
        let at = Timestamp(self.at as u64);
        Message { id: self.id, from: self.from, task: self.task, text: self.text, at, state, reason: self.failed }
    }
}

/// Skips elements that can't be decoded, so that the others still reach their reader.
pub(super) fn questions(texts: &[String]) -> Vec<Question> {
    texts.iter().filter_map(|text| serde_json::from_str::<StoredQuestion>(text).ok()).map(Question::from).collect()
}

/// Those that come with a claimed task, as one text.
pub(super) fn questions_of(claimed: &super::decode::Fields) -> Vec<Question> {
    let all: Vec<StoredQuestion> =
        claimed.text("questions").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    all.into_iter().map(Question::from).collect()
}

/// The same for messages of a task; `read` is its mark.
pub(super) fn messages(texts: &[String], read: u64) -> Vec<Message> {
    texts.iter().filter_map(|text| Some(serde_json::from_str::<StoredMessage>(text).ok()?.known(read))).collect()
}

impl Store {
    /// Asks a person, or checks for the answer: the same token is the same question. For `waits` from now on
    /// the program counts as waiting (`lua/question/ask.lua`).
    ///
    /// # Errors
    /// `stale`, `too_many`.
    pub async fn ask(
        &self,
        who: &Capability,
        token: &str,
        text: &str,
        options: &[String],
        waits: Duration,
    ) -> Result<(u32, Asked)> {
        let options = if options.is_empty() { String::new() } else { super::values::to_json(&options)? };
        let fence = who.fence.to_string();
        let args = [who.task.as_str(), &fence, &who.incarnation, token, text, &options, &ms(waits)];
        let answer = self.call(&script::ASK, args).await?;
        let (number, state, said, approval): (u32, String, String, String) = self.read(answer)?;
        let asked = match state.as_str() {
            "answered" => Asked::Answered { answer: said, approval: approval.parse().ok() },
            "closed" => Asked::Closed(said),
            _ => Asked::Open,
        };
        Ok((number, asked))
    }

    /// Decides about tasks whose time limit for an approval has passed; returns how many (`lua/question/expire.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn expire_approvals(&self) -> Result<u64> {
        self.read(self.call(&script::EXPIRE_APPROVALS, ["100"]).await?)
    }

    /// Answers a question (`lua/question/answer.lua`).
    ///
    /// # Errors
    /// `unknown`, `nothing_asked`, `question_unnamed`, `question_closed`, `not_an_option`, `has_options`,
    /// `approve_or_deny`, `damaged`.
    pub async fn answer(
        &self,
        question: &QuestionRef,
        token: &str,
        text: &str,
        approval: Option<Approval>,
        who: &str,
    ) -> Result<Answered> {
        let number = question.number.map(|number| number.to_string()).unwrap_or_default();
        let args = [question.task.as_str(), token, text, approval.map_or("", Approval::as_str), who, &number];
        let answer = self.call(&script::ANSWER, args).await?;
        let (number, question, state, open): (u32, String, String, u32) = self.read(answer)?;
        Ok(Answered { number, question, state: parse(&state, "state")?, open, approval, plan: None })
    }

    /// Returns up to `at_most` tasks with their open questions, the first asked first; and the ids of all tasks that have
    /// any.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn asking(&self, at_most: usize) -> Result<(Vec<(TaskId, Vec<Question>)>, Vec<TaskId>)> {
        let mut pipe = redis::pipe();
        pipe.cmd("ZRANGE").arg(self.keys.plain("asking")).arg(0).arg(-1);
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let all: Vec<String> = self.read(values.next().unwrap_or(Value::Nil))?;
        let all: Vec<TaskId> = all.iter().filter_map(|id| id.parse().ok()).collect();
        let ids = &all[..all.len().min(at_most)];
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("LRANGE").arg(self.keys.of("questions", id.as_str())).arg(0).arg(-1);
        }
        let mut asking = Vec::with_capacity(ids.len());
        for (id, answer) in ids.iter().zip(self.pipeline_each(&pipe).await?) {
            let texts: Vec<String> = self.read_record(Some(answer), "questions").unwrap_or_default();
            let mut open = questions(&texts);
            open.retain(Question::is_open);
            asking.push((id.clone(), open));
        }
        Ok((asking, all))
    }

    /// Sends a message; the box it went to, and what became of it (`lua/message/send.lua`).
    ///
    /// # Errors
    /// `stale`, `unknown`, `ended`, `idle`, `full`.
    pub async fn send(&self, new: &NewMessage) -> Result<(String, Delivery)> {
        let attempt = new.attempt.as_ref();
        let args = [
            new.to.as_str(),
            &new.id,
            &new.text,
            &new.from,
            attempt.map_or("", |a| a.task.as_str()),
            &attempt.map(|a| a.fence.to_string()).unwrap_or_default(),
            attempt.map_or("", |a| a.incarnation.as_str()),
            new.reply_to.as_deref().unwrap_or_default(),
            &new.master,
        ];
        let (to, state): (String, String) = self.read(self.call(&script::SEND, args).await?)?;
        Ok((to, parse(&state, "delivery")?))
    }

    /// The messages that this reader has not read yet, which are read by this; and how many are left. The same token
    /// reads the same again (`lua/message/read.lua`). `master` is the master's agent.
    ///
    /// # Errors
    /// `stale`.
    pub async fn read_inbox(
        &self,
        reader: &Reader,
        master: &str,
        token: &str,
        at_most: usize,
    ) -> Result<(Vec<Message>, u64)> {
        let at_most = at_most.to_string();
        let args = match reader {
            Reader::Attempt(a) => [a.task.to_string(), a.fence.to_string(), a.incarnation.clone()],
            Reader::Master | Reader::Person => [master.to_owned(), String::new(), String::new()],
        };
        let [of, fence, incarnation] = &args;
        let bytes = INBOX_BYTES.to_string();
        let args = [of, reader.word(), token, fence, incarnation, &at_most, &bytes];
        let answer: Vec<Value> = self.read(self.call(&script::READ_MESSAGES, args).await?)?;
        let Some((left, texts)) = answer.split_first() else {
            return Err(StoreError::Other("an inbox without an answer".to_owned()));
        };
        let texts: Vec<String> = texts.iter().map(|text| self.read(text.clone())).collect::<Result<_>>()?;
        Ok((messages(&texts, u64::MAX), self.read(left.clone())?))
    }

    /// Marks the messages read that report how these tasks ended, as far as they are the next ones
    /// (`lua/message/mark_read.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn master_has_heard(&self, master: &str, work: &[&str]) -> Result<()> {
        let mut args = vec![master.to_owned(), Reader::Master.word().to_owned()];
        args.extend(work.iter().map(|id| (*id).to_owned()));
        self.call(&script::MARK_READ, args).await.map(drop)
    }

    /// How many messages of a box (a task's id, or the master's agent) this reader has not read yet. A message that has
    /// failed is none of them.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn unread(&self, of: &str, reader: &Reader) -> Result<u64> {
        let mut pipe = redis::pipe();
        pipe.cmd("HMGET").arg(self.keys.of("marks", of)).arg("count").arg(format!("read:{}", reader.word()));
        pipe.cmd("LLEN").arg(self.keys.of("messages", of));
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let mut next = || values.next().unwrap_or(Value::Nil);
        let (count, read): (Option<u64>, Option<u64>) = self.read(next())?;
        // Of many, the first ones were dropped since.
        let kept: u64 = self.read(next())?;
        Ok(count.unwrap_or(0).saturating_sub(read.unwrap_or(0)).min(kept))
    }

    /// Returns the last `at_most` messages of a box that this reader has not read, the oldest first, and how many unread ones
    /// come before them. It marks nothing.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn unread_messages(&self, of: &str, reader: &Reader, at_most: usize) -> Result<(Vec<Message>, u64)> {
        let unread = self.unread(of, reader).await?;
        let n = unread.min(at_most as u64);
        if n == 0 {
            return Ok((Vec::new(), 0));
        }
        let key = self.keys.of("messages", of);
        let texts: Vec<String> = self.query(redis::cmd("LRANGE").arg(key).arg(-(n as i64)).arg(-1)).await?;
        let mut messages = messages(&texts, 0);
        messages.retain(|message| message.state != Delivery::Failed);
        Ok((messages, unread - n))
    }

    /// Subscribes to the news of these boxes: messages that come or are read, and answers to questions.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn watch_news(&self, of: &str) -> Result<News> {
        self.subscribe(&[self.keys.of("news", of)]).await
    }

    /// Takes up to `at_most` notices; each is returned once (`lua/question/take_notices.lua`).
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn take_notices(&self, at_most: usize) -> Result<Vec<Notice>> {
        let texts: Vec<String> = self.read(self.call(&script::TAKE_NOTICES, [at_most.to_string().as_str()]).await?)?;
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }
}
