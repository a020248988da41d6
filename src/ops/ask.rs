//! `orch ask`: an attempt's program asks a person. `orch answer`, `orch approve`, `orch deny`: a person answers.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{Answer, Ask, AskState, Asked, Ops, wait::message};
use crate::{
    error::{Error, Result},
    model::{
        attention::Attention,
        duration,
        id::Capability,
        question::{Approval, Question, QuestionKind, QuestionRef},
        refusal::Refusal,
        time::Timestamp,
    },
    store::people::{self, Answered},
};

/// Largest question. Anything larger belongs in a file that the question names.
const QUESTION_LIMIT: usize = 16 * 1024;
/// Largest answer.
const ANSWER_LIMIT: usize = 64 * 1024;
/// Number of options, and bytes of each.
const OPTIONS: usize = 20;
const OPTION_LIMIT: usize = 200;
/// How often to look without a message.
const LOOK: Duration = Duration::from_secs(5);
/// How long the mark of a waiting program lasts. A program that is killed leaves it for at most this long.
const MARK: Duration = Duration::from_secs(15);

type Announce = dyn Fn(&Attention, bool) + Send + Sync;

/// What learns that a program waits for the answer to a question (`true`), and that it no longer does.
#[derive(Clone)]
pub struct Announcer(Arc<Announce>);

impl Announcer {
    /// Creates one that calls this.
    pub fn new(call: impl Fn(&Attention, bool) + Send + Sync + 'static) -> Announcer {
        Announcer(Arc::new(call))
    }
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Announcer")
    }
}

/// A question that was announced. Dropped, the program no longer waits for it.
struct Announced<'a>(&'a Announcer, Attention);

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        (self.0.0)(&self.1, false);
    }
}

impl Ops {
    /// Announces that the caller's program waits for an answer.
    fn announce(&self, asked: &Asked, ask: &Ask) -> Option<Announced<'_>> {
        let announcer = self.announcer.as_ref()?;
        let question = Question {
            number: asked.question,
            kind: QuestionKind::Question,
            rights: Vec::new(),
            question: ask.text.clone(),
            options: ask.options.clone(),
            attempt: 0,
            asked_at: Timestamp::now(),
            answer: None,
            approval: None,
            until: None,
            by_default: None,
            answered_at: None,
            answered_by: None,
            closed: None,
        };
        let asked = Attention::of_question(&asked.task, None, &question);
        (announcer.0)(&asked, true);
        Some(Announced(announcer, asked))
    }

    /// Asks a person about the caller's own task, and with `wait` waits for the answer. When a later attempt asks again, it is
    /// the same question with the same answer.
    ///
    /// # Errors
    /// Usage: no question, or too large a one. Failed: the caller has no task, its attempt is over, or the task has ended
    /// meanwhile. TimedOut: there is no answer yet; the question stays.
    pub async fn ask_person(&self, ask: &Ask) -> Result<Asked> {
        self.ask_person_until(ask, std::future::pending()).await
    }

    /// The same; `cancelled` ends the wait early: the question stays, and the answer is that it is open.
    ///
    /// # Errors
    /// As [`Ops::ask_person`].
    pub async fn ask_person_until(&self, ask: &Ask, cancelled: impl Future<Output = ()>) -> Result<Asked> {
        let redacted = |text: &str| self.redactor().text(text.to_owned());
        let options = ask.options.iter().map(|option| redacted(option)).collect();
        let ask = &Ask { text: redacted(&ask.text), options, ..ask.clone() };
        let text = ask.text.trim();
        check("question", text, QUESTION_LIMIT)?;
        check_options(&ask.options)?;
        let Some(attempt) = self.caller.attempt() else {
            return Err(Error::failed(
                "there is no task to ask about: only the program of a running attempt asks a person",
            )
            .hint("run orch ask within an agent's program"));
        };
        // Sent again and looked at again, it is one question.
        let token = Uuid::new_v4().simple().to_string();
        if !ask.wait {
            return self.look_at(attempt, &token, text, ask, Duration::ZERO).await;
        }
        tokio::select! {
            answered = self.until_answered(attempt, &token, text, ask) => answered,
            () = cancelled => self.look_at(attempt, &token, text, ask, Duration::ZERO).await,
        }
    }

    async fn until_answered(&self, attempt: &Capability, token: &str, text: &str, ask: &Ask) -> Result<Asked> {
        let deadline = ask.timeout.and_then(|limit| Instant::now().checked_add(limit));
        let mut news = None;
        let mut announced = None;
        loop {
            // Before the look: an answer in between sends a message.
            if news.is_none() {
                news = Some(self.ask(|s| s.watch_news(attempt.task.as_str())).await?);
            }
            let asked = self.look_at(attempt, token, text, ask, MARK).await?;
            if asked.state != AskState::Open {
                return Ok(asked);
            }
            if announced.is_none() {
                announced = self.announce(&asked, ask);
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.look_at(attempt, token, text, ask, Duration::ZERO).await?;
                let limit = duration::human(ask.timeout.unwrap_or_default());
                return Err(Error::timed_out(format!("no answer within {limit}; the question stays"))
                    .hint("end the program with exit code 77: the task is held until a person has answered"));
            }
            let until = deadline.map_or(now + LOOK, |deadline| deadline.min(now + LOOK));
            if let Some(subscription) = &mut news
                && timeout_at(until, message(subscription)).await == Ok(false)
            {
                news = None;
            }
        }
    }

    async fn look_at(
        &self,
        attempt: &Capability,
        token: &str,
        text: &str,
        ask: &Ask,
        waits: Duration,
    ) -> Result<Asked> {
        let (number, state) = self.ask(|s| s.ask(attempt, token, text, &ask.options, waits)).await?;
        let task = attempt.task.clone();
        Ok(match state {
            people::Asked::Open => {
                Asked { task, question: number, state: AskState::Open, answer: None, approval: None }
            }
            people::Asked::Answered { answer, approval } => {
                Asked { task, question: number, state: AskState::Answered, answer: Some(answer), approval }
            }
            people::Asked::Closed(why) => {
                return Err(Error::failed(format!("the question was closed: {why}")));
            }
        })
    }

    /// Answers a question. A task that is held for it becomes ready; a task that is denied before it ran is cancelled.
    ///
    /// # Errors
    /// NotFound: no such task. Usage: no answer, too large a one, or none of the options; `approve` or `deny` of a question
    /// with options; the question is not named, and more than one has been asked. Failed: there is no open question, the
    /// named one is not open, or an agent's attempt answers.
    pub async fn answer(&self, question: &QuestionRef, answer: &Answer) -> Result<Answered> {
        let (verb, approval) = match answer {
            Answer::Text(_) => ("answer", None),
            Answer::Approve(_) => ("approve", Some(Approval::Approved)),
            Answer::Deny(_) => ("deny", Some(Approval::Denied)),
        };
        self.caller.must_not_be_in_an_attempt(verb)?;
        let text = match answer {
            Answer::Text(text) => text.trim().to_owned(),
            Answer::Approve(more) | Answer::Deny(more) => {
                let more = more.as_deref().map(str::trim).filter(|more| !more.is_empty());
                let word = approval.map_or("", Approval::as_str);
                more.map_or_else(|| word.to_owned(), |more| format!("{word}: {more}"))
            }
        };
        let text = self.redactor().text(text);
        check("answer", &text, ANSWER_LIMIT)?;
        let plan = match approval {
            Some(Approval::Approved) => self.submit_draft(question).await?,
            _ => None,
        };
        let (token, who) = (Uuid::new_v4().simple().to_string(), self.caller.in_words());
        match self.ask(|s| s.answer(question, &token, &text, approval, &who)).await {
            Err(e) if e.code == Refusal::QuestionUnnamed.into() => Err(self.show_questions(question, e).await),
            answered => answered.map(|answered| Answered { plan: plan.map(|plan| plan.id), ..answered }),
        }
    }

    /// Adds the open questions to an error, whole: the person is about to answer one of them.
    async fn show_questions(&self, asked: &QuestionRef, error: Error) -> Error {
        let Ok(Some(detail)) = self.ask(|s| s.task(&asked.task)).await else { return error };
        let open = detail.questions.iter().filter(|question| question.is_open());
        let shown = open.map(|one| format!("{}: {}", QuestionRef::new(&asked.task, one.number), one.question));
        let message = std::iter::once(error.message.clone()).chain(shown).collect::<Vec<_>>().join("\n");
        Error { message, ..error }
    }
}

/// Checks a text that people and programs send to each other.
pub(super) fn check(what: &str, text: &str, limit: usize) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::usage(format!("the {what} is empty")).hint("write it as one argument, in quotes"));
    }
    if text.len() > limit {
        return Err(Error::usage(format!("the {what} is {} bytes long, and may have at most {limit}", text.len()))
            .hint("write it to a file and name the file"));
    }
    Ok(())
}

fn check_options(options: &[String]) -> Result<()> {
    if options.len() > OPTIONS {
        return Err(Error::usage(format!("there are {} options, and may be at most {OPTIONS}", options.len())));
    }
    match options.iter().find(|o| o.trim().is_empty() || o.len() > OPTION_LIMIT || o.contains('\n')) {
        Some(bad) => {
            Err(Error::usage(format!("'{bad}' is not an option: write one line of 1 to {OPTION_LIMIT} bytes"))
                .hint("separate options with commas: --options yes,no"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn questions_and_options_are_bounded() {
        assert_eq!(check("question", " \n", 10).unwrap_err().kind, Kind::Usage);
        assert!(check("question", "12345678901", 10).unwrap_err().message.contains("11 bytes"));
        assert!(check("question", "why?", 10).is_ok());
        let options = |n: usize| vec!["x".to_owned(); n];
        assert!(check_options(&options(20)).is_ok());
        assert!(check_options(&options(21)).is_err());
        for bad in ["", "  ", "a\nb"] {
            assert!(check_options(&[bad.to_owned()]).is_err(), "{bad:?}");
        }
    }
}
