//! `orch plan --from`: an agent drafts a plan, and orch submits it once a person has approved it.
//!
//! The draft is the result of an ordinary task. Its runner checks it: with mistakes, the attempt has failed, and the next
//! one corrects them in the same conversation. Without, the task is held until a person accepts its result, which submits
//! the plan; a denial goes back to the agent with its reason.

use serde_json::json;

use super::submit::{Read, SHOWN, in_lines};
use crate::{
    config::{DriverKind, Role},
    error::{Error, Kind, Result},
    model::{
        approval::ApprovalRule,
        question::{Question, QuestionKind, QuestionRef},
        task::TaskState,
        text::{count, one_line},
    },
    ops::{Delegate, Ops, PlanDraft, PlanSource, PlanSubmitted, delegate::takes_tasks},
    plan::draft,
    store::tasks::Delegated,
};

/// How often an agent corrects its draft.
const CORRECTIONS: u32 = 3;
/// Columns of what a role is for.
const ABOUT: usize = 200;
/// Largest draft: it is stored with the task.
const LARGEST: usize = 256 << 10;

/// A draft without mistakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The plan as text for a person.
    pub outline: String,
    /// The document.
    pub document: String,
}

impl Draft {
    /// What its task keeps of it as data.
    #[must_use]
    pub fn data(&self) -> serde_json::Value {
        json!({ "plan": self.document })
    }
}

impl Ops {
    /// Delegates the draft of a plan. Nothing of the plan starts before a person has approved it.
    ///
    /// # Errors
    /// Usage: the role runs scripts. Failed: an agent calls within a task. Those of [`Ops::delegate`].
    pub async fn draft_plan(&self, asked: PlanDraft) -> Result<Delegated> {
        self.caller.must_not_be_in_an_attempt("draft a plan")?;
        let role = self.config.role(asked.role.as_deref().unwrap_or_else(|| self.default_role()))?;
        if role.driver == DriverKind::Shell {
            return Err(Error::usage(format!("role {} runs scripts, and drafts no plan", role.name))
                .hint("name the role of an agent program: orch plan --from TEXT --role ROLE"));
        }
        if asked.text.trim().is_empty() {
            return Err(Error::usage("what is to be planned is empty").hint("orch plan --from 'Build the cart'"));
        }
        let taking = self.config.roles.values().filter(|role| takes_tasks(&self.config, role).is_ok());
        let roles: Vec<(&str, String)> = taking.map(|role| (role.name.as_str(), about(role))).collect();
        let delegate = Delegate {
            text: draft::request(asked.text.trim(), &roles),
            role: Some(role.name.clone()),
            retries: Some(CORRECTIONS),
            key: asked.key,
            ..Delegate::default()
        };
        let mut new = self.prepare(delegate).await?;
        new.spec.drafts_plan = true;
        new.spec.approval = Some(ApprovalRule::After);
        self.ask(|s| s.delegate(&new)).await
    }

    /// The draft in an agent's answer.
    ///
    /// # Errors
    /// What is wrong with it, for the agent.
    pub fn read_draft(&self, answer: &str) -> std::result::Result<Draft, String> {
        let document = draft::document_in(answer).trim().to_owned();
        if document.is_empty() {
            return Err("its answer has no plan".to_owned());
        }
        if document.len() > LARGEST {
            return Err(format!("its plan has {} bytes, and may have {LARGEST}", document.len()));
        }
        let source = PlanSource { document, ..PlanSource::default() };
        let Read { document, reading, .. } = self.read_plan(&source).map_err(|e| e.message)?;
        match reading.plan {
            Some(plan) => Ok(Draft { outline: draft::outline(&plan, self.default_role())?, document: document.text }),
            None => {
                let mistakes: Vec<_> = reading.mistakes.iter().map(|one| one.located(&document.text)).collect();
                let what = count(mistakes.len() as u64, "mistake", "mistakes");
                Err(format!("its plan has {what} (line:column):\n{}", in_lines(&mistakes, SHOWN)))
            }
        }
    }

    /// Submits the plan that a task has drafted, if that is what a person approves with its question. Done again, it is the
    /// same plan. Nothing is submitted where the answer will be refused: a person who has not seen this question names none
    /// or another one.
    pub(in crate::ops) async fn submit_draft(&self, asked: &QuestionRef) -> Result<Option<PlanSubmitted>> {
        let task = &asked.task;
        let Some(detail) = self.ask(|s| s.task(task)).await? else { return Ok(None) };
        let is_named = |one: &Question| match asked.number {
            Some(number) => one.number == number,
            None => detail.questions.len() == 1,
        };
        let accepts = |one: &Question| one.is_open() && one.kind == QuestionKind::Acceptance && is_named(one);
        let is_held = detail.task.state == TaskState::Held;
        if !detail.task.drafts_plan || !is_held || !detail.questions.iter().any(accepts) {
            return Ok(None);
        }
        let document = detail.result.as_ref().and_then(|result| result.data.as_ref()?.get("plan")?.as_str());
        let Some(document) = document else {
            return Err(Error::failed(format!("task {task} has no plan as its result"))
                .hint(format!("let it draft one again: orch deny {task} 'write the plan again'")));
        };
        let source = PlanSource {
            document: document.to_owned(),
            // One that was sent back and drafted again is another plan.
            key: Some(format!("draft:{task}:{}", detail.attempts.len())),
            ..PlanSource::default()
        };
        self.submit(&source).await.map(Some).map_err(|e| match e.kind {
            // The configuration has changed since it was drafted.
            Kind::Usage => e.hint(format!("send it back: orch deny {task} 'what is to change'")),
            _ => e,
        })
    }
}

/// What an agent that drafts a plan reads about a role.
fn about(role: &Role) -> String {
    let program = match &role.model {
        Some(model) => format!("{} with {model}", role.driver),
        None => role.driver.to_string(),
    };
    match role.instructions.as_deref().map(|text| one_line(text, ABOUT)).filter(|text| !text.is_empty()) {
        Some(instructions) => format!("{program}; {instructions}"),
        None if role.driver == DriverKind::Shell => format!("{program}: the text is a script"),
        None => program,
    }
}
