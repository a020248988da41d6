//! What needs a person, as `status`, `questions` and `notify_command` report it.

use serde::{Deserialize, Serialize};

use super::{
    agent::Agent,
    duration::human,
    gate::GateCode,
    id::TaskId,
    message::Message,
    plan::ShortPlan,
    question::{Approval, Question, QuestionKind, QuestionRef},
    text::{count, one_line},
    time::Timestamp,
    wait::{Need, Wait},
    words,
};

words! {
    /// What kind of thing needs a person.
    AttentionKind: "kind of attention" {
        /// The supervisor does not run, is frozen, or is another program than this one.
        Supervisor = "supervisor",
        /// Redis does not answer, does not write, or is not usable.
        Redis = "redis",
        /// A program has changed the private Redis's configuration.
        Tampering = "tampering",
        /// Redis has lost data.
        DataLoss = "data_loss",
        /// sessions.toml has changed since it was read.
        Configuration = "configuration",
        /// A task's program asks something.
        Question = "question",
        /// A task waits for the approval of its delegation, or of its result.
        Approval = "approval",
        /// An agent's program asks its user in its terminal.
        Needs = "needs",
        /// An agent's program waits for its service.
        Service = "service",
        /// Messages to the master, or of a person to a task, were not read.
        Messages = "messages",
        /// A task is held for another reason than a question.
        Held = "held",
        /// Most of a day's budget is used, or a plan's has no room for its next task.
        Budget = "budget",
        /// Roles start nothing: `code` says why.
        Suspended = "suspended",
        /// A task has failed, and is kept.
        Failed = "failed",
        /// Tasks wait for each other.
        Deadlock = "deadlock",
        /// A person's lock keeps tasks from starting.
        Lock = "lock",
        /// The last occurrence of a schedule could not run.
        Schedule = "schedule",
        /// A person has paused or drained orch or a role.
        Paused = "paused",
        /// A record is damaged.
        Damaged = "damaged",
    }
}

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attention {
    /// What kind of thing it is.
    pub kind: AttentionKind,
    /// What needs attention, in a sentence.
    pub what: String,
    /// What to type, in words.
    #[serde(rename = "do")]
    pub do_: String,
    /// The commands of `do`; where there are several, any one of them, unless `do` says that they follow each other.
    pub commands: Vec<String>,
    /// The task that it is about.
    pub task: Option<TaskId>,
    /// The agent that it is about.
    pub agent: Option<String>,
    /// The question's number within its task.
    pub question: Option<u32>,
    /// The question as commands take it: `t-7k2m9qx4hz#2`.
    pub question_id: Option<QuestionRef>,
    /// The question, the reason, or what exactly an agent's program asks for, whole.
    pub text: Option<String>,
    /// The answers to choose from; empty: any.
    pub options: Vec<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When it is decided without a person.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// What is decided then.
    #[serde(default)]
    pub by_default: Option<Approval>,
    /// What keeps roles from starting anything.
    pub code: Option<GateCode>,
    /// The roles that it is about.
    pub roles: Vec<String>,
    /// How many things it stands for: more than 1 only where there are too many to list.
    pub count: u64,
}

/// How many questions, held tasks and dead letters people and models are shown one by one.
const SHOWN: usize = 3;
/// Columns of a message in a sentence.
const LINE: usize = 200;

impl Attention {
    /// Creates one that is about nothing in particular.
    pub fn new(kind: AttentionKind, what: impl Into<String>, do_: impl Into<String>) -> Attention {
        Attention {
            kind,
            what: what.into(),
            do_: do_.into(),
            commands: Vec::new(),
            task: None,
            agent: None,
            question: None,
            question_id: None,
            text: None,
            options: Vec::new(),
            since: None,
            until: None,
            by_default: None,
            code: None,
            roles: Vec::new(),
            count: 1,
        }
    }

    /// Creates one that a single command resolves.
    pub fn by(kind: AttentionKind, what: impl Into<String>, command: impl Into<String>) -> Attention {
        let command = command.into();
        Attention { commands: vec![command.clone()], ..Attention::new(kind, what, command) }
    }

    /// Returns an open question of a task, with the commands that answer it.
    pub fn of_question(task: &TaskId, agent: Option<&str>, asked: &Question) -> Attention {
        let named = QuestionRef::new(task, asked.number);
        let options = match asked.options.is_empty() {
            true => String::new(),
            false => format!(" ({})", asked.options.join(", ")),
        };
        let kind = match asked.kind {
            QuestionKind::Question => AttentionKind::Question,
            QuestionKind::Escalation | QuestionKind::Acceptance => AttentionKind::Approval,
        };
        let text = asked.question.trim_end();
        let what = format!("task {named} asks: {text}{options}");
        Attention {
            commands: asked.commands(task),
            task: Some(task.clone()),
            agent: agent.map(str::to_owned),
            question: Some(asked.number),
            question_id: Some(named),
            text: Some(text.to_owned()),
            options: asked.options.clone(),
            since: Some(asked.asked_at),
            until: asked.until,
            by_default: asked.by_default,
            ..Attention::new(kind, what, asked.command(task))
        }
    }

    /// Returns what an agent's program asks its user in its terminal.
    pub fn of_need(agent: &Agent, need: &Need, now: Timestamp) -> Attention {
        let since = agent.waits_since();
        let task = agent.task.as_ref().map(|t| format!(" for {t}")).unwrap_or_default();
        let for_ = since.map(|at| format!(" (for {})", human(now.since(at)))).unwrap_or_default();
        let what = format!("agent {} waits{task}: its program {}{for_}", agent.id, Wait::Person(need.clone()));
        Attention {
            task: agent.task.clone(),
            agent: Some(agent.id.clone()),
            text: Some(need.of.clone()),
            since,
            ..Attention::by(AttentionKind::Needs, what, format!("orch attach {}", agent.id))
        }
    }

    /// Returns a message to the master that no person has read.
    pub fn of_message(message: &Message) -> Attention {
        let what = format!("{} wrote to the master: {}", message.from, one_line(&message.text, LINE));
        Attention {
            task: message.task.clone(),
            text: Some(message.text.clone()),
            since: Some(message.at),
            ..Attention::by(AttentionKind::Messages, what, "orch inbox")
        }
    }

    /// Returns a message of a person that its task has not read.
    pub fn of_unheard(task: &TaskId, text: &str, reason: &str, at: Timestamp) -> Attention {
        let what = format!("{task} has not read your message '{}': {}", one_line(text, LINE), one_line(reason, LINE));
        Attention {
            task: Some(task.clone()),
            text: Some(text.to_owned()),
            since: Some(at),
            ..Attention::by(AttentionKind::Messages, what, format!("orch show {task}"))
        }
    }

    /// Returns a held task that waits for no answer.
    pub fn of_held(task: &TaskId, reason: &str, short: &str, since: Option<Timestamp>) -> Attention {
        Attention::of_stopped(AttentionKind::Held, task, format!("task {task} is held: {short}"), reason, since)
    }

    /// Makes it say how a person allows the task more, which has used what it may: by this command.
    #[must_use]
    pub fn resolved_by_more(mut self, more: String) -> Attention {
        let drop = self.task.as_ref().map(|task| format!("orch cancel {task}")).unwrap_or_default();
        self.do_ = format!("{more}; or drop it: {drop}");
        self.commands = vec![more, drop];
        self
    }

    /// Returns a plan whose budget has no room for its next task.
    pub fn of_short_plan(plan: &ShortPlan) -> Attention {
        let waits = count(plan.tasks, "task waits", "tasks wait");
        let what = format!("plan {}: {waits} for its budget: {}", plan.name, plan.reason);
        let (more, show) = (plan.more(), format!("orch plan show {}", plan.id));
        Attention {
            commands: vec![more.clone(), show.clone()],
            ..Attention::new(AttentionKind::Budget, what, format!("{more}; what it has done: {show}"))
        }
    }

    /// Returns a task that is kept because it has failed.
    pub fn of_failed(task: &TaskId, reason: &str, short: &str, since: Option<Timestamp>) -> Attention {
        Attention::of_stopped(AttentionKind::Failed, task, format!("task {task} has failed: {short}"), reason, since)
    }

    fn of_stopped(
        kind: AttentionKind,
        task: &TaskId,
        what: String,
        reason: &str,
        since: Option<Timestamp>,
    ) -> Attention {
        // Not `orch attach`: its program has ended, and its agent may be at something else, or gone.
        let commands = ["why", "retry", "cancel"].map(|verb| format!("orch {verb} {task}"));
        Attention {
            commands: commands.into(),
            task: Some(task.clone()),
            text: Some(reason.to_owned()),
            since,
            ..Attention::new(kind, what, format!("orch why {task}, then: orch retry {task}"))
        }
    }

    /// Returns what stands for `more` further ones of a kind, which are not listed.
    pub fn more(kind: AttentionKind, more: u64) -> Attention {
        let (what, command) = match kind {
            AttentionKind::Question | AttentionKind::Approval => {
                (format!("{} something", count(more, "more task asks", "more tasks ask")), "orch questions")
            }
            AttentionKind::Needs => {
                (count(more, "more agent waits for its user", "more agents wait for their users"), "orch questions")
            }
            AttentionKind::Messages => {
                (format!("{} not read", count(more, "more message is", "more messages are")), "orch inbox")
            }
            AttentionKind::Held => {
                (format!("{} held", count(more, "more task is", "more tasks are")), "orch tasks --state held")
            }
            _ => (format!("{} failed", count(more, "more task has", "more tasks have")), "orch tasks --state failed"),
        };
        Attention { count: more, ..Attention::by(kind, what, command) }
    }

    /// Returns whether a person is asked something by it.
    pub fn asks(&self) -> bool {
        matches!(self.kind, AttentionKind::Question | AttentionKind::Approval | AttentionKind::Needs)
    }
}

/// The list for a reader who sees all of it at once: of many questions, agents, held tasks and dead letters, the first
/// ones and how many there are.
pub fn in_short(all: &[Attention]) -> Vec<Attention> {
    let mut short: Vec<Attention> = Vec::new();
    let mut rest = all;
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|one| group(one.kind) == group(first.kind)).count();
        let (these, others) = rest.split_at(same);
        rest = others;
        let listed = match group(first.kind) {
            Some(_) if these.len() > SHOWN => SHOWN,
            _ => these.len(),
        };
        let left_out: u64 = these[listed..].iter().map(|one| one.count).sum();
        if first.kind == AttentionKind::Failed && left_out > 0 {
            let all: u64 = these.iter().map(|one| one.count).sum();
            let newest = first.task.as_ref().map(|task| format!("; the newest is {task}")).unwrap_or_default();
            let what = format!("{} failed{newest}", count(all, "task has", "tasks have"));
            let many = Attention::by(AttentionKind::Failed, what, "orch tasks --state failed");
            short.push(Attention { count: all, ..many });
            continue;
        }
        short.extend_from_slice(&these[..listed]);
        if left_out > 0 {
            short.push(Attention::more(first.kind, left_out));
        }
    }
    short
}

/// Which of them are shown together; `None`: each is shown.
fn group(kind: AttentionKind) -> Option<AttentionKind> {
    match kind {
        AttentionKind::Question | AttentionKind::Approval => Some(AttentionKind::Question),
        AttentionKind::Needs | AttentionKind::Messages | AttentionKind::Held | AttentionKind::Failed => Some(kind),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(kind: AttentionKind, n: usize) -> Vec<Attention> {
        (0..n)
            .map(|_| Attention::of_held(&TaskId::random(), "why", "why", None))
            .map(|a| Attention { kind, ..a })
            .collect()
    }

    #[test]
    fn a_reader_is_shown_the_first_ones_and_how_many_there_are() {
        let mut all = many(AttentionKind::Question, 2);
        all.extend(many(AttentionKind::Approval, 3));
        all.extend(many(AttentionKind::Held, 4));
        all.push(Attention::more(AttentionKind::Held, 90));
        all.extend(many(AttentionKind::Failed, 3));
        all.push(Attention::new(AttentionKind::Paused, "orch is paused", "orch resume"));
        let short = in_short(&all);
        let kinds: Vec<&str> = short.iter().map(|one| one.kind.as_str()).collect();
        assert_eq!(kinds[..4], ["question", "question", "approval", "question"]);
        assert_eq!((short[3].what.as_str(), short[3].do_.as_str()), ("2 more tasks ask something", "orch questions"));
        assert_eq!(short[7].what, "91 more tasks are held");
        assert_eq!(kinds[8..], ["failed", "failed", "failed", "paused"]);
        assert_eq!(in_short(&short[..4]).len(), 4, "a short list stays as it is");

        let failed = in_short(&many(AttentionKind::Failed, 40));
        assert_eq!((failed.len(), failed[0].count), (1, 40));
        assert!(failed[0].what.starts_with("40 tasks have failed; the newest is t-"), "{}", failed[0].what);
    }
}
