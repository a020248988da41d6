//! `orch plan check` and `orch plan submit`.

use sha2::{Digest, Sha256};

use std::path::Path;

use super::{NewPlan, Ops, outlook::History, template::Document};
use crate::{
    config::DriverKind,
    error::{Error, Result},
    model::{
        edge::Edge,
        id::{PlanId, TaskId},
        routing::AUTO,
        task::Usage,
        text::count,
    },
    ops::{
        Caller, Delegate, PlanChecked, PlanSource, PlanSubmitted, PlannedTask,
        delegate::{TaskLocks, check_key},
        locks::too_many,
    },
    plan::{self, Located, Plan, Reading, Terms, rank},
    store::{
        plans::{AcceptedPlan, PlanKey},
        spend::Allowance,
    },
};

/// Largest document.
const LARGEST: usize = 64 << 20;
/// Mistakes that an error lists.
const LISTED: usize = 50;
/// Mistakes that an agent reads at a time.
pub(super) const SHOWN: usize = 20;

/// A plan that was read.
pub(super) struct Read {
    pub document: Document,
    pub reading: Reading,
    /// What its tasks lock, in their order.
    pub locks: Vec<TaskLocks>,
}

impl Ops {
    /// Checks a plan, and reports every mistake with its place.
    ///
    /// # Errors
    /// Usage: the document is too large.
    pub async fn check_plan(&self, source: &PlanSource) -> Result<PlanChecked> {
        let Read { document, reading: Reading { plan, mistakes, remarks }, .. } = self.read_plan(source)?;
        let located = |all: &[plan::Mistake]| all.iter().map(|one| one.located(&document.text)).collect();
        let path = plan.as_ref().map(|plan| {
            let predecessors = plan.predecessors();
            let path = rank::path(&predecessors, &vec![1; plan.tasks.len()]).critical(&predecessors);
            path.into_iter().map(|at| plan.tasks[at].key.clone()).collect()
        });
        Ok(PlanChecked {
            ok: plan.is_some(),
            file: document.file.clone(),
            name: plan.as_ref().map(|plan| plan.name.clone()).unwrap_or_default(),
            tasks: plan.as_ref().map_or(0, |plan| plan.tasks.len()),
            mistakes: located(&mistakes),
            remarks: located(&remarks),
            path: path.unwrap_or_default(),
        })
    }

    /// Accepts a plan: all of its tasks or none. Each is accepted by the rules of [`Ops::delegate`], the caller's rights among
    /// them. Among tasks of equal priority, the one with the longest way to the plan's end starts first.
    ///
    /// # Errors
    /// Usage: the plan has mistakes, which the error lists. Those of [`Ops::delegate`].
    pub async fn submit_plan(&self, source: &PlanSource) -> Result<PlanSubmitted> {
        check_key(source.key.as_deref())?;
        self.submit(source).await
    }

    pub(super) async fn submit(&self, source: &PlanSource) -> Result<PlanSubmitted> {
        let (new, tasks) = self.prepare_plan(source).await?;
        let AcceptedPlan { id, state, created } = self.ask(|s| s.submit_plan(&new)).await?;
        let tasks = match created {
            true => tasks,
            false => {
                let known = self.ask(|s| s.plan_tasks(&id)).await?;
                known.into_iter().map(|(key, id)| PlannedTask { key, id }).collect()
            }
        };
        Ok(PlanSubmitted { id, state, tasks, created })
    }

    /// The plan as the store takes it, and its tasks in the order of the document.
    async fn prepare_plan(&self, source: &PlanSource) -> Result<(NewPlan, Vec<PlannedTask>)> {
        self.prepare_plan_as(PlanId::random(), source).await
    }

    /// The same with an id that the caller has chosen.
    pub(in crate::ops) async fn prepare_plan_as(
        &self,
        id: PlanId,
        source: &PlanSource,
    ) -> Result<(NewPlan, Vec<PlannedTask>)> {
        let Read { document, reading: Reading { plan, mistakes, .. }, mut locks } = self.read_plan(source)?;
        let Some(plan) = plan else {
            let located: Vec<Located> = mistakes.iter().map(|one| one.located(&document.text)).collect();
            return Err(wrong(&located, document.file.as_deref()));
        };
        if plan.weight.is_some() && self.caller.attempt().is_some() {
            return Err(Error::usage(
                "weight: the plan is submitted within a task, and its tasks share the slots of their roles as subtasks of that; remove the key",
            ));
        }
        let ids: Vec<TaskId> = plan.tasks.iter().map(|_| TaskId::random()).collect();
        let by_key = |key: &str| plan.tasks.iter().position(|task| task.key == key).map(|at| ids[at].clone());
        let mut tasks = Vec::with_capacity(plan.tasks.len());
        for at in self.by_rank(&plan).await? {
            let task = &plan.tasks[at];
            let asked = Delegate { text: task.text(by_key), role: task.role.clone(), ..self.terms(&task.terms) };
            let prepared = self.prepare_with(asked, Some(std::mem::take(&mut locks[at]))).await;
            let mut new = prepared.map_err(|e| Error { message: format!("tasks.{}: {}", task.key, e.message), ..e })?;
            new.id = ids[at].clone();
            new.fingerprint = None;
            new.spec.notify = None;
            new.spec.after = task.after.iter().map(|(first, _)| ids[*first].clone()).collect();
            let edges = task.after.iter().filter(|(_, edge)| *edge != Edge::default());
            new.spec.edges = edges.map(|(first, edge)| (ids[*first].clone(), *edge)).collect();
            new.spec.plan = Some(id.clone());
            new.spec.plan_key = Some(task.key.clone());
            new.spec.max_parallel = plan.max_parallel;
            tasks.push((task.key.clone(), new));
        }
        let redactor = self.redactor();
        let new = NewPlan {
            id,
            name: plan.name.clone(),
            text: redactor.text(plan.text.clone()),
            weight: plan.weight,
            tasks,
            notify: matches!(self.caller, Caller::Agent { attempt: None, .. })
                .then(|| self.config.master.session.clone()),
            parent: self.caller.attempt().cloned(),
            who: self.caller.in_words(),
            key: self.key_of(source),
            cap: Allowance {
                micro_usd: plan.max_cost_usd.map(|usd| Usage { cost_usd: usd, ..Usage::default() }.micro_usd()),
                tokens: plan.max_tokens,
            },
        };
        let listed =
            plan.tasks.iter().zip(&ids).map(|(task, id)| PlannedTask { key: task.key.clone(), id: id.clone() });
        Ok((new, listed.collect()))
    }

    /// The caller's own key; within an attempt without one, what the same call of a later attempt has as well.
    fn key_of(&self, source: &PlanSource) -> Option<PlanKey> {
        let digest = digest(source);
        match (&source.key, self.caller.attempt()) {
            (Some(key), _) => Some(PlanKey { key: key.clone(), digest, repeats: false }),
            (None, Some(attempt)) => {
                Some(PlanKey { key: format!("auto:{}:{digest}", attempt.task), digest, repeats: true })
            }
            (None, None) => None,
        }
    }

    /// What a task of a plan says about itself, as one that is delegated says it.
    fn terms(&self, terms: &Terms) -> Delegate {
        let Terms {
            priority,
            timeout,
            deadline,
            retries,
            approval,
            max_cost_usd,
            max_tokens,
            context,
            labels,
            artifacts,
            writes: _,
            reads: _,
            cwd,
        } = terms.clone();
        let max_tokens = max_tokens.map(u64::from);
        let cwd = cwd.map(|dir| self.config.root.join(dir));
        Delegate {
            priority,
            timeout,
            deadline,
            retries,
            approval,
            max_cost_usd,
            max_tokens,
            context,
            labels,
            artifacts,
            cwd,
            ..Delegate::default()
        }
    }

    pub(super) fn read_plan(&self, source: &PlanSource) -> Result<Read> {
        let document = self.document(source)?;
        if document.text.len() > LARGEST {
            return Err(Error::usage(format!("the plan has {} bytes, and may have {LARGEST}", document.text.len()))
                .hint("put long texts into files, and name these in the tasks' texts"));
        }
        let takes_tasks = |role: &&crate::config::Role| role.driver != DriverKind::Console;
        let mut roles: Vec<(&str, u32)> =
            self.config.roles.values().filter(takes_tasks).map(|role| (role.name.as_str(), role.max)).collect();
        if !self.config.roles.contains_key(AUTO) {
            roles.push((AUTO, roles.iter().map(|(_, max)| *max).fold(0, u32::saturating_add)));
        }
        let name = source.template.as_deref();
        let within = ["plans", name.unwrap_or_default()];
        let tables: &[&str] = if document.is_section { &within } else { &[] };
        let place = plan::Place { tables, name };
        let mut reading = plan::read(&document.text, place, &roles, &source.vars, source.text.as_deref());
        // What a task printed must not become part of a script.
        let is_script = |task: &&plan::Task| {
            let role = self.config.roles.get(task.role.as_deref().unwrap_or_else(|| self.default_role()));
            task.names_results() && role.is_some_and(|role| role.driver == DriverKind::Shell)
        };
        for task in reading.plan.iter().flat_map(|plan| &plan.tasks).filter(is_script) {
            let what = "names a result, and is a shell script: read the results from the file at $ORCH_CONTEXT";
            reading.mistakes.push(plan::Mistake::new(task.at, format!("tasks.{}.text", task.key), what));
        }
        // What is no pattern at all was found as the document was read; what leaves the project depends on where that is.
        let mut root = None;
        let mut resolved = |task: &plan::Task, what: &str, texts: &[plan::Placed]| {
            let mut patterns = Vec::new();
            let key = format!("tasks.{}.{what}", task.key);
            for one in texts {
                let root = root.get_or_insert_with(|| self.root_of_patterns());
                if let Err(why) = root.add(&self.redactor().text(one.text.clone()), &mut patterns) {
                    reading.mistakes.push(plan::Mistake::new(one.at, &key, plan::no_pattern(&one.text, &why)));
                }
            }
            reading.mistakes.extend(too_many(&patterns).map(|why| plan::Mistake::new(task.at, &key, why)));
            patterns
        };
        let locks = reading.plan.iter().flat_map(|plan| &plan.tasks).map(|task| TaskLocks {
            writes: resolved(task, "writes", &task.terms.writes),
            reads: resolved(task, "reads", &task.terms.reads),
        });
        let locks = locks.collect();
        if let Some(plan) = &mut reading.plan {
            plan.max_cost_usd = source.max_cost_usd.or(plan.max_cost_usd);
            plan.max_tokens = source.max_tokens.or(plan.max_tokens);
        }
        let unmetered: Vec<plan::Mistake> = reading.plan.iter().flat_map(|plan| self.unmetered(plan)).collect();
        reading.mistakes.extend(unmetered);
        reading.mistakes.sort();
        reading.plan = reading.plan.filter(|_| reading.mistakes.is_empty());
        Ok(Read { document, reading, locks })
    }

    /// The places of a plan's tasks, the one with the longest way to the end first: so each stands after those that it comes
    /// after.
    async fn by_rank(&self, plan: &Plan) -> Result<Vec<usize>> {
        let took = self.ask(|s| s.durations(super::outlook::HISTORY)).await?;
        let history = History::new(&took);
        let expected = |task: &plan::Task| {
            let role = task.role.as_deref().unwrap_or_else(|| self.default_role());
            // Each takes some time, or one could stand before its predecessor.
            history.quantile(role, &task.key, 0.5).unwrap_or(60_000).max(1)
        };
        let durations: Vec<u64> = plan.tasks.iter().map(expected).collect();
        let path = rank::path(&plan.predecessors(), &durations);
        let mut places: Vec<usize> = (0..plan.tasks.len()).collect();
        places.sort_by(|a, b| rank::by_rank(&path.rank, *a, *b));
        Ok(places)
    }
}

/// One line per mistake, at most so many.
pub(super) fn in_lines(mistakes: &[Located], most: usize) -> String {
    let mut lines: Vec<String> = mistakes.iter().take(most).map(ToString::to_string).collect();
    if mistakes.len() > most {
        lines.push(format!("and {} more", mistakes.len() - most));
    }
    lines.join("\n")
}

fn wrong(mistakes: &[Located], file: Option<&Path>) -> Error {
    let what = count(mistakes.len() as u64, "mistake", "mistakes");
    let of = file.map_or_else(|| "the plan".to_owned(), |file| format!("the template {}", file.display()));
    Error::usage(format!("{of} has {what}:\n{}", in_lines(mistakes, LISTED))).hint("nothing was submitted")
}

/// A plan's content in short: its document, and what is put into it.
fn digest(source: &PlanSource) -> String {
    let mut hash = Sha256::new();
    let vars = source.vars.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    for part in [source.document.as_str(), source.text.as_deref().unwrap_or("")].into_iter().chain(vars) {
        // With its length: no two contents run together to the same bytes.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
