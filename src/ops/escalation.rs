//! Compares rights at a delegation: whether it is free or needs approval, and what the approving person reads.
//!
//! A role passes on no right that it lacks. An agent delegates freely to roles with no further right, and to those
//! that its role's `delegates_to` names. A task for any other role is held until a person approves it, or refused
//! (`escalation`). Only the rights of the delegating role count: the approval of a task gives its own subtasks
//! nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{Caller, Delegate, Ops, delegate::takes_tasks};
use crate::{
    config::{DriverKind, EscalationRule, Reach, Right, Rights, Role, reach},
    error::{Error, Result},
    launchers::preflight,
    model::{
        escalation::Escalation,
        task::Task,
        text::{cut, one_line},
    },
};

/// Bytes of the task's text that the question shows. A person can't judge more in one question, which says how much is missing.
const SHOWN: usize = 16 * 1024;
/// Bytes of its context.
const SHOWN_CONTEXT: usize = 4 * 1024;
/// Columns of the text of a task above it.
const ABOVE: usize = 100;

/// How a role may be delegated to, as far as the two roles decide.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Passage {
    Free,
    /// Only with a person's approval: the rights that the delegating role lacks; none where only `delegates_to` leaves the role
    /// out.
    Escalates(Vec<Right>),
}

/// Judges a delegation between two roles with these rights. `own` is `None` for a role that is not configured any more.
fn passage(own: Option<&Role>, own_rights: &Rights, to: &Role, its_rights: &Rights) -> Passage {
    let beyond = its_rights.beyond(own_rights);
    match own.and_then(|role| role.delegates_to.as_ref()) {
        Some(named) if !named.contains(&to.name) => Passage::Escalates(beyond),
        // What it names was granted with all the role's rights, but not with another folder than the role's own.
        Some(_) => match beyond.into_iter().filter(|right| is_elsewhere(right, to)).collect::<Vec<_>>() {
            more if more.is_empty() => Passage::Free,
            more => Passage::Escalates(more),
        },
        None if beyond.is_empty() => Passage::Free,
        None => Passage::Escalates(beyond),
    }
}

/// Whether a right is to a folder outside the role's own: one that the request names.
fn is_elsewhere(right: &Right, to: &Role) -> bool {
    matches!(right, Right::Folder(folder) if !folder.starts_with(canonical(&to.cwd)))
}

impl Ops {
    /// The roles that take tasks and to which the caller may delegate, and whether a person has to approve each task.
    pub(super) fn delegable_roles(&self) -> BTreeMap<&str, bool> {
        let own = match &self.caller {
            Caller::Agent { role, .. } => Some((self.config.roles.get(role), self.rights_of_name(role))),
            Caller::Person(_) => None,
        };
        let judge = |role: &'_ Role| match &own {
            None => Some(false),
            Some((own, rights)) => match passage(*own, rights, role, &self.rights_of(role)) {
                Passage::Free => Some(false),
                Passage::Escalates(_) => (!refuses(*own)).then_some(true),
            },
        };
        let taking = self.config.roles.values().filter(|role| takes_tasks(&self.config, role).is_ok());
        taking.filter_map(|role| Some((role.name.as_str(), judge(role)?))).collect()
    }

    /// The rights that roles reach by `delegates_to`, without a person's approval, and that they lack.
    pub fn reached_rights(&self) -> Vec<Reach> {
        let rights = self.config.roles.iter().map(|(name, role)| (name.clone(), self.rights_of(role))).collect();
        reach(&self.config.roles, &rights)
    }

    /// Whether a person leads the master: its role's program has no prompt of its own.
    pub(super) fn master_is_console(&self) -> bool {
        let Some(role) = self.config.roles.get(&self.config.master.role) else { return false };
        !self.program_of(role).manifest().is_some_and(|manifest| manifest.capabilities.interactive)
    }

    /// What a person has to approve before this task runs; `None`: nothing. `cwd` is the folder that the request names.
    ///
    /// # Errors
    /// Failed: the caller's role may not delegate to this one.
    pub(super) async fn escalation(
        &self,
        to: &Role,
        asked: &Delegate,
        cwd: Option<&str>,
    ) -> Result<Option<Escalation>> {
        let Caller::Agent { agent, role: name, attempt } = &self.caller else { return Ok(None) };
        let own = self.config.roles.get(name);
        if own.is_some_and(|role| self.program_of(role) == DriverKind::Console) {
            // The console is a person's.
            return Ok(None);
        }
        let mut rights = own.map_or_else(Rights::none, |role| self.rights_of(role));
        let mut its = self.rights_of(to);
        if let Some(cwd) = cwd {
            its.folder = canonical(Path::new(cwd));
        }
        // A program that runs any command can enter any folder. For others, the task's own folder counts, and costs a
        // round trip.
        let task = match attempt {
            Some(attempt) if !rights.runs_anything() => {
                self.ask(|s| s.tasks(std::slice::from_ref(&attempt.task))).await?.pop()
            }
            _ => None,
        };
        if let Some(folder) = task.as_ref().and_then(|task| task.cwd.as_deref()) {
            rights.folder = canonical(Path::new(folder));
        }
        match passage(own, &rights, to, &its) {
            Passage::Free => Ok(None),
            Passage::Escalates(beyond) if refuses(own) => Err(refused(agent, name, own, to, &beyond)),
            Passage::Escalates(beyond) => {
                let above = self.tasks_above(task).await?;
                let asks = Asks { who: self.caller.in_words(), role: name, to, folder: &its.folder, above: &above };
                Ok(Some(asks.escalation(asked, &beyond)))
            }
        }
    }

    /// The caller's task and the tasks above it, the nearest first.
    pub(super) async fn tasks_above(&self, known: Option<Task>) -> Result<Vec<Task>> {
        let mut next = match known {
            Some(task) => Some(task),
            None => match self.caller.attempt() {
                Some(attempt) => self.ask(|s| s.tasks(std::slice::from_ref(&attempt.task))).await?.pop(),
                None => None,
            },
        };
        let mut above = Vec::new();
        while let Some(task) = next.take() {
            let parent = task.parent.clone();
            above.push(task);
            // Levels are bounded by `max_depth`; a damaged record must not make a circle.
            if let Some(parent) = parent.filter(|_| above.len() <= 100) {
                next = self.ask(|s| s.tasks(std::slice::from_ref(&parent))).await?.pop();
            }
        }
        Ok(above)
    }

    /// The program that runs a role, once `auto` is resolved.
    pub(super) fn program_of(&self, role: &Role) -> DriverKind {
        preflight::resolve(role.driver, &self.config.agents.order, std::env::var_os("PATH").as_deref())
    }

    /// The rights of a role, its folder with links resolved.
    fn rights_of(&self, role: &Role) -> Rights {
        let rights = Rights::of(role, self.program_of(role));
        Rights { folder: canonical(&rights.folder), ..rights }
    }

    /// What the agents of a role may do, one phrase each.
    pub(super) fn rights_in_words(&self, role: &Role) -> Vec<String> {
        self.rights_of(role).beyond(&Rights::none()).iter().map(ToString::to_string).collect()
    }

    fn rights_of_name(&self, name: &str) -> Rights {
        self.config.roles.get(name).map_or_else(Rights::none, |role| self.rights_of(role))
    }
}

/// Whether a role's escalations are refused.
fn refuses(own: Option<&Role>) -> bool {
    own.is_some_and(|role| role.escalation == EscalationRule::Refuse)
}

/// A folder with links resolved; as it is where it does not exist.
fn canonical(folder: &Path) -> PathBuf {
    fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned())
}

fn refused(agent: &str, role: &str, own: Option<&Role>, to: &Role, beyond: &[Right]) -> Error {
    let (name, at) = (&to.name, format!("under [roles.{role}] in sessions.toml"));
    match own.and_then(|role| role.delegates_to.as_deref()) {
        Some(named) if !named.contains(name) => {
            let list = if named.is_empty() { "nobody".to_owned() } else { named.join(", ") };
            Error::failed(format!("{agent} may not delegate to {name}: its role {role} delegates to {list}")).hint(
                match named {
                    [] => format!("a person can delegate it, or name {name} in delegates_to {at}"),
                    _ => format!("delegate to one of these, or change delegates_to {at}"),
                },
            )
        }
        _ => Error::failed(format!("{agent} may not delegate to {name}: {}", why(name, role, beyond)))
            .hint(format!("a person can delegate it, or allow it with delegates_to {at}")),
    }
}

/// Why a delegation needs approval.
fn why(to: &str, role: &str, beyond: &[Right]) -> String {
    if beyond.is_empty() {
        return format!("delegates_to of role {role} does not name {to}");
    }
    let rights: Vec<String> = beyond.iter().map(ToString::to_string).collect();
    format!("role {to} may {}, and role {role} may not", rights.join(", "))
}

/// A delegation as a person is asked about it.
pub(super) struct Asks<'a> {
    /// The asker, in words.
    pub who: String,
    /// Its role.
    pub role: &'a str,
    /// The role that is to do it.
    pub to: &'a Role,
    /// Where.
    pub folder: &'a Path,
    /// The asker's task, and those above it.
    pub above: &'a [Task],
}

impl Asks<'_> {
    /// What a person is asked about a task that needs approval whoever delegates it.
    pub(super) fn approval(&self, asked: &Delegate, rights: &[String], cost: &str) -> Escalation {
        let to = &self.to.name;
        let first = vec![
            format!("May role {to} do this task? It needs approval (approval = \"before\")."),
            format!("asked by: {}", self.who),
            format!("it may:   {}", rights.join(", ")),
            format!("cost:     {cost}"),
        ];
        Escalation {
            question: self.lines(first, asked),
            reason: "a person has to approve it before it runs".to_owned(),
            rights: vec![format!("work for role {to}")],
        }
    }

    fn escalation(&self, asked: &Delegate, beyond: &[Right]) -> Escalation {
        let (to, role) = (&self.to.name, self.role);
        let first = vec![
            format!("May role {to} do this task? It needs approval: {}.", why(to, role, beyond)),
            format!("asked by: {} (role {role})", self.who),
        ];
        Escalation {
            question: self.lines(first, asked),
            reason: format!("a person has to approve it: {}", why(to, role, beyond)),
            rights: match beyond {
                [] => vec![format!("work for role {role}")],
                rights => rights.iter().map(ToString::to_string).collect(),
            },
        }
    }

    /// The facts come first: what follows is an agent's text, each line marked, and might imitate them.
    fn lines(&self, mut lines: Vec<String>, asked: &Delegate) -> String {
        let to = &self.to.name;
        lines.extend(
            self.above.iter().map(|task| {
                format!("within:   {} (role {}): {}", task.id, task.role, one_line(&task.description, ABOVE))
            }),
        );
        lines.push(format!("runs as:  role {to} (driver {}), in {}", self.to.driver, self.folder.display()));
        lines.push("task:".to_owned());
        lines.extend(marked(&asked.text, SHOWN));
        if let Some(context) = &asked.context {
            lines.push("context:".to_owned());
            lines.extend(marked(&context.to_string(), SHOWN_CONTEXT));
        }
        lines.join("\n")
    }
}

/// The lines of a text, each marked as a quotation, and a line that says what is left out.
fn marked(text: &str, most: usize) -> Vec<String> {
    let shown = cut(text, most).len();
    let ends = |c: char| matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut lines: Vec<String> = text[..shown].split(ends).map(|line| format!("  | {line}")).collect();
    if shown < text.len() {
        lines.push(format!("  (and {} more bytes, which orch show prints)", text.len() - shown));
    }
    lines
}
