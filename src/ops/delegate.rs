//! `orch delegate`: accepts a task.
//!
//! This is the hot path: it takes one round trip, and reads nothing that the script reads itself.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    time::Duration,
};

use serde_json::Value;
use uuid::Uuid;

use super::{Caller, Delegate, Ops, Target, Wanted, attention::admission_of, default_role::RUNS_AS_SCRIPT};
use crate::{
    admission::{self, Gate},
    config::{Config, DriverKind, Role},
    error::{Error, Result},
    launchers::preflight,
    model::{
        approval::ApprovalRule,
        edge::{Edge, When},
        id::TaskId,
        pattern::Pattern,
        routing::AUTO,
        secret::Redactor,
        task::{Priority, Spec, TaskState},
        text::one_line,
    },
    os::{self, failpoint},
    store::tasks::{Delegated, NewTask},
};

/// Largest text, and largest context. Anything larger belongs in a file that the text names: it would pass through Redis, its
/// append-only file and every listing.
const TEXT_LIMIT: usize = 1 << 20;
/// Number of artifacts, labels or dependencies of one task.
const COUNT_LIMIT: usize = 1_000;
/// Largest path, label or key.
const WORD_LIMIT: usize = 4_096;
/// How many tasks are accepted in one step at most: Redis serves no other caller in the meantime.
pub const TOGETHER: usize = 1_000;

impl Ops {
    /// Accepts a task, and returns when it is on the disk. Within an attempt it becomes a subtask of that attempt's task, and
    /// the same call of a later attempt of that task finds it again.
    ///
    /// # Errors
    /// Usage: what is wrong with the request. NotFound: no such role, no such dependency. Failed: orch is draining; the
    /// caller's role may not delegate to this one (a role with more rights is no error: the task is held until a person
    /// approves it, unless the role says `escalation = "refuse"`); the caller's attempt is over; too deep, too many subtasks; a
    /// dependency has failed. NotRunning: there is no Redis.
    pub async fn delegate(&self, asked: Delegate) -> Result<Delegated> {
        let is_script = self.is_shell_by_default(&asked);
        let new = self.prepare(asked).await?;
        failpoint!("delegate.checked");
        let answer = self.ask(|s| s.delegate(&new)).await;
        failpoint!("delegate.answered");
        answer.map(|accepted| self.complete(accepted, &new, is_script))
    }

    /// Accepts up to [`TOGETHER`] tasks in one step, all of them or none.
    ///
    /// # Errors
    /// As [`Ops::delegate`]; `place` is added to the message of a request that is wrong on its own.
    pub async fn delegate_all(&self, asked: Vec<(String, Delegate)>) -> Result<Vec<Delegated>> {
        let (mut new, mut are_scripts) = (Vec::with_capacity(asked.len()), Vec::with_capacity(asked.len()));
        for (place, asked) in asked {
            are_scripts.push(self.is_shell_by_default(&asked));
            let prepared = self.prepare(asked).await;
            new.push(prepared.map_err(|e| Error { message: format!("{place}: {}", e.message), ..e })?);
        }
        let accepted = self.ask(|s| s.delegate_all(&new)).await?;
        let all = accepted.into_iter().zip(new.iter().zip(are_scripts));
        Ok(all.map(|(accepted, (new, is_script))| self.complete(accepted, new, is_script)).collect())
    }

    /// The request as the store takes it, once all is checked that can be checked here.
    pub(super) async fn prepare(&self, asked: Delegate) -> Result<NewTask> {
        self.prepare_with(asked, None).await
    }

    /// The same with what it writes and reads, where the caller has resolved these patterns already.
    pub(super) async fn prepare_with(&self, asked: Delegate, locks: Option<TaskLocks>) -> Result<NewTask> {
        // Before anything is compared or stored: the same call later is the same call.
        let mut asked = redacted(asked, self.redactor());
        let routed = self.route(&mut asked).await?;
        let role = self.config.role(asked.role.as_deref().unwrap_or_else(|| self.default_role()))?;
        takes_tasks(&self.config, role)?;
        check(&asked)?;
        self.refuse_english(&asked)?;
        let cwd = asked.cwd.as_deref().map(folder).transpose()?;
        let TaskLocks { writes, reads } = match locks {
            Some(locks) => locks,
            None => TaskLocks {
                writes: self.patterns("writes", &asked.writes)?,
                reads: self.patterns("reads", &asked.reads)?,
            },
        };
        let (max_cost_usd, max_tokens) = self.caps_of_task(role, &asked)?;
        let approval = self.approval_of(role, &asked);
        let escalation = self.escalation(role, &asked, cwd.as_deref()).await?;
        // Only a person gives rights: without one they are denied.
        let approval_default = role.approval_default.filter(|_| escalation.is_none());
        let escalation = match escalation {
            None if approval == Some(ApprovalRule::Before) => Some(self.approval_before(role, &asked).await?),
            escalation => escalation,
        };
        let (mut named, mut after, mut edges) = (HashSet::new(), Vec::new(), BTreeMap::new());
        for word in &asked.after {
            match self.find(word, Wanted::Any).await? {
                Target::Plan(plan) => {
                    for id in self.last_tasks(&plan).await? {
                        edges.insert(id.clone(), Edge { when: When::Done, ..Edge::default() });
                        after.extend(named.insert(id.clone()).then_some(id));
                    }
                }
                Target::Task(id) => after.extend(named.insert(id.clone()).then_some(id)),
                Target::Agent(_) => {
                    let id = self.find_task(word).await?;
                    after.extend(named.insert(id.clone()).then_some(id));
                }
            }
        }
        too_many("dependencies", after.len())?;
        asked.after = after.iter().map(TaskId::to_string).collect();
        let parent = self.caller.attempt().cloned();
        let limits = &self.config.supervisor;
        Ok(NewTask {
            id: TaskId::random(),
            fingerprint: parent.is_some().then(|| {
                // Another attempt of the caller may route it elsewhere, and finds it all the same.
                let role = if routed.is_some() { AUTO } else { &role.name };
                fingerprint(role, &asked)
            }),
            text: asked.text,
            context: asked.context,
            spec: Spec {
                role: role.name.clone(),
                priority: asked.priority.unwrap_or(Priority::Normal),
                after,
                edges,
                plan: None,
                plan_key: None,
                max_parallel: None,
                labels: asked.labels,
                artifacts: asked.artifacts,
                writes,
                reads,
                cwd,
                timeout_ms: in_ms(asked.timeout.unwrap_or(role.task_timeout)),
                deadline_ms: asked.deadline.map(in_ms),
                retries: asked.retries.unwrap_or(role.retry.retries),
                lost_max: role.retry.lost,
                delays_ms: role.retry.delays(),
                detached: asked.detached,
                drafts_plan: false,
                approval,
                approval_timeout_ms: role.approval_timeout.map(in_ms),
                approval_default,
                max_cost_usd,
                max_tokens,
                tiers: routed.as_ref().map(|routed| routed.tiers.clone()).unwrap_or_default(),
                routing: routed.map(|routed| routed.routing),
                allowed_tools: Vec::new(),
                // The master reads how what it has delegated ended.
                notify: matches!(self.caller, Caller::Agent { attempt: None, .. })
                    .then(|| self.config.master.session.clone()),
                key: asked.key,
            },
            parent,
            escalation,
            max_depth: limits.max_depth,
            max_children: limits.max_children,
            max_queued: limits.max_queued,
            max_wait: limits.max_wait,
            inherits_priority: asked.priority.is_none(),
            who: self.caller.in_words(),
        })
    }

    /// Adds the rights for which a new task is held, whether the supervisor does not know its role, whether `detached` has no
    /// effect, and that it is a script only because there is no agent program.
    fn complete(&self, accepted: Delegated, new: &NewTask, is_script: bool) -> Delegated {
        let rights = new.escalation.as_ref().filter(|_| accepted.state == TaskState::Held);
        Delegated {
            needs_approval: rights.map(|one| one.rights.clone()).unwrap_or_default(),
            waits_for_reload: self.is_unknown_to_supervisor(&new.spec.role),
            detached_already: new.spec.detached && !self.caller_is_waited_for(),
            routed_to: new.spec.routing.as_ref().filter(|_| accepted.created).map(|routing| routing.role.clone()),
            note: is_script.then(|| RUNS_AS_SCRIPT.to_owned()),
            ..accepted
        }
    }

    /// Whether the caller's task waits at its end for the subtasks that it delegates: not one of a shell, and a person has
    /// none.
    fn caller_is_waited_for(&self) -> bool {
        match &self.caller {
            Caller::Agent { role, attempt: Some(_), .. } => {
                self.config.roles.get(role).is_none_or(|role| role.driver != DriverKind::Shell)
            }
            _ => false,
        }
    }

    /// Returns why a task of this role waits, in words, where more than its turn keeps it from starting.
    ///
    /// # Errors
    /// NotFound: no such role. NotRunning: there is no Redis.
    pub async fn holds_up(&self, role: Option<&str>) -> Result<Option<String>> {
        if role == Some(AUTO) && !self.config.roles.contains_key(AUTO) {
            return Ok(None);
        }
        let role = &self.config.role(role.unwrap_or_else(|| self.default_role()))?.name;
        let snapshot = self.ask(|s| s.observe(std::slice::from_ref(role))).await?;
        let supervised = self.is_supervised() || self.supervised_from(self.store()).await?.is_some();
        let now =
            admission_of(&self.config, supervised, &snapshot, os::available_memory(), os::free_space(self.home.path()));
        let gate = admission::held_up_by(None, role, &now).into_iter().find(Gate::is_news);
        Ok(gate.map(|gate| gate.sentence(&[role], now.now)))
    }
}

/// What a task locks, resolved.
#[derive(Debug, Clone, Default)]
pub(super) struct TaskLocks {
    pub writes: Vec<Pattern>,
    pub reads: Vec<Pattern>,
}

fn in_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the request without secrets.
pub(super) fn redacted(asked: Delegate, redactor: &Redactor) -> Delegate {
    Delegate {
        text: redactor.text(asked.text),
        context: asked.context.map(|context| redactor.data(context)),
        artifacts: asked.artifacts.into_iter().map(|path| redactor.text(path)).collect(),
        writes: asked.writes.into_iter().map(|path| redactor.text(path)).collect(),
        reads: asked.reads.into_iter().map(|path| redactor.text(path)).collect(),
        labels: asked.labels.into_iter().map(|(name, value)| (redactor.text(name), redactor.text(value))).collect(),
        key: asked.key.map(|key| redactor.text(key)),
        ..asked
    }
}

/// Checks that a role takes tasks: one whose driver is the console is a prompt for a person.
pub(super) fn takes_tasks(config: &Config, role: &Role) -> Result<()> {
    let path = std::env::var_os("PATH");
    if preflight::resolve(role.driver, &config.agents.order, path.as_deref()) != DriverKind::Console {
        return Ok(());
    }
    let why = match role.driver {
        DriverKind::Auto => " (its driver is auto, and no agent program was found on PATH)",
        _ => "",
    };
    Err(Error::usage(format!("role {} is a prompt for a person, and takes no tasks{why}", role.name))
        .hint("delegate to another role (orch delegate --role ROLE), or give it another driver in sessions.toml"))
}

/// Checks everything about a request that needs no other data.
pub(super) fn check(asked: &Delegate) -> Result<()> {
    if asked.text.trim().is_empty() {
        return Err(
            Error::usage("the task has no text").hint("write what is to be done: orch delegate 'run the tests'")
        );
    }
    fits("the task's text", &asked.text, TEXT_LIMIT)?;
    if let Some(context) = &asked.context {
        fits("the context", &context.to_string(), TEXT_LIMIT)?;
        // JSON can hold a NUL as an escape, which programs would read as the end of the text.
        if has_nul(context) {
            return Err(
                Error::usage("the context holds a NUL character").hint("leave it out: no program could read it")
            );
        }
    }
    for (what, count) in
        [("artifacts", asked.artifacts.len()), ("labels", asked.labels.len()), ("dependencies", asked.after.len())]
    {
        too_many(what, count)?;
    }
    for path in &asked.artifacts {
        word("an artifact's path", path)?;
    }
    for (name, value) in &asked.labels {
        word("a label's name", name)?;
        fits(&format!("the label {}", one_line(name, 40)), value, WORD_LIMIT)?;
    }
    check_key(asked.key.as_deref())?;
    if asked.deadline == Some(Duration::ZERO) {
        return Err(Error::usage("a deadline of 0 has passed already")
            .hint("leave it out for none, or write one such as --deadline 2h"));
    }
    if asked.timeout == Some(Duration::ZERO) {
        return Err(Error::usage("a time limit of 0 leaves no time to do anything")
            .hint("leave it out for the role's limit, or write one such as --timeout 10m"));
    }
    Ok(())
}

fn too_many(what: &str, count: usize) -> Result<()> {
    match count > COUNT_LIMIT {
        true => Err(Error::usage(format!("the task has {count} {what}, and may have at most {COUNT_LIMIT}"))
            .hint("list them in a file, and name that in the text")),
        false => Ok(()),
    }
}

/// Checks an idempotency key, of a task or of a plan.
///
/// # Errors
/// Usage: it is empty, too long or reserved.
pub(super) fn check_key(key: Option<&str>) -> Result<()> {
    let Some(key) = key else { return Ok(()) };
    word("the idempotency key", key)?;
    for reserved in ["auto:", "draft:", "schedule:"] {
        if key.starts_with(reserved) {
            let what = format!("an idempotency key must not begin with '{reserved}', which is reserved");
            return Err(Error::usage(what).hint("choose another key"));
        }
    }
    Ok(())
}

fn word(what: &str, text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(Error::usage(format!("{what} is empty")).hint("leave it out, or give it a value"));
    }
    fits(what, text, WORD_LIMIT)
}

/// Checks that a text has at most `limit` bytes and no NUL, which would end it early in argv, environment and C.
fn fits(what: &str, text: &str, limit: usize) -> Result<()> {
    if text.len() > limit {
        return Err(Error::usage(format!("{what} is {} bytes long, and may have at most {limit}", text.len()))
            .hint("write it to a file and name the file in the text or with --artifact"));
    }
    match text.bytes().position(|b| b == 0) {
        Some(at) => Err(Error::usage(format!("{what} holds a NUL character, at byte {at}"))
            .hint("leave it out: programs cannot read what comes after it")),
        None => Ok(()),
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// Checks a working folder, and returns where it is: an absolute path in UTF-8 to an existing folder, without links. The task
/// keeps that path, so that a link that is changed later does not lead it to another place.
fn folder(path: &Path) -> Result<String> {
    let refused = |why: &str| {
        Error::usage(format!("the working folder {} {why}", path.display()))
            .hint("name a folder that exists: orch delegate --cwd DIR")
    };
    if !path.is_absolute() {
        return Err(refused("is not an absolute path"));
    }
    match path.metadata() {
        Err(e) => return Err(refused(&format!("can't be used: {e}"))),
        Ok(found) if !found.is_dir() => return Err(refused("is not a folder")),
        Ok(_) => {}
    }
    let real = path.canonicalize().map_err(|e| refused(&format!("can't be used: {e}")))?;
    real.to_str().map(str::to_owned).ok_or_else(|| refused("has a name that is not UTF-8"))
}

/// A hash of everything that makes two calls the same work. Each part is preceded by its length, so that different lists of
/// parts cannot have the same bytes.
fn fingerprint(role: &str, asked: &Delegate) -> String {
    let context = asked.context.as_ref().map(Value::to_string).unwrap_or_default();
    let cwd = asked.cwd.as_deref().map(Path::to_string_lossy).unwrap_or_default();
    let mut bytes = Vec::new();
    for part in [role, &asked.text, &context, &cwd, &asked.after.join(" ")] {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &bytes).simple().to_string()
}

#[cfg(test)]
mod tests;
