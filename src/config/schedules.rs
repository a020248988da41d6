//! `[schedules.NAME]`: work that is delegated at certain times.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Budget, Role,
    diagnostics::{At, Diagnostics, dotted, no_role},
    section::Section,
    values,
    written::LEAST_COST,
};
use crate::{
    drivers::{DriverKind, Key},
    model::{
        name,
        routing::AUTO,
        schedule::{Missed, Overlap},
        suggest::printable,
        task::Priority,
        time::Timestamp,
    },
    schedule::{Cron, Rule, zone},
};

/// What happens at certain times, as meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its key under `[schedules]`.
    pub name: String,
    /// When it occurs: a cron line of five fields, or a word such as `@daily`.
    pub cron: String,
    /// The time zone of the line; `None`: the machine's.
    pub timezone: Option<String>,
    /// What an occurrence runs.
    pub work: Work,
    /// What becomes of an occurrence while an earlier run is not over.
    pub overlap: Overlap,
    /// What becomes of occurrences at which no supervisor was at work.
    pub missed: Missed,
    /// Each occurrence runs up to this much later.
    pub jitter: Duration,
    /// What the task or the plan of each occurrence may use.
    pub budget: Budget,
}

/// What an occurrence runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// A task.
    Task {
        /// What is to be done.
        text: String,
        /// Its role; `None`: the default one.
        role: Option<String>,
        /// Its priority.
        priority: Priority,
    },
    /// A plan.
    Plan {
        /// Its file, absolute, which is read at each occurrence.
        file: PathBuf,
        /// Values for its variables.
        vars: BTreeMap<String, String>,
    },
}

impl Schedule {
    /// Returns when it occurs, and its policies.
    ///
    /// # Errors
    /// The system knows the time zone no longer.
    pub fn rule(&self) -> Result<Rule, String> {
        Ok(Rule {
            name: self.name.clone(),
            cron: Cron::parse(&self.cron, zone(self.timezone.as_deref())?)?,
            overlap: self.overlap,
            missed: self.missed,
            jitter: self.jitter,
        })
    }

    /// Returns when it occurs, in one line: two schedules with the same line have the same occurrences.
    pub fn when(&self) -> String {
        match &self.timezone {
            Some(zone) => format!("{} {zone}", self.cron),
            None => self.cron.clone(),
        }
    }
}

/// As written.
#[derive(Debug, Default)]
pub(super) struct WrittenSchedule {
    pub line: usize,
    pub cron: Option<At<String>>,
    pub timezone: Option<At<String>>,
    pub text: Option<At<String>>,
    pub role: Option<At<String>>,
    pub priority: Option<At<Priority>>,
    pub plan: Option<At<PathBuf>>,
    pub vars: Option<BTreeMap<String, String>>,
    pub overlap: Option<At<Overlap>>,
    pub missed: Option<At<Missed>>,
    pub jitter: Option<At<Duration>>,
    pub max_cost_usd: Option<At<f64>>,
    pub max_tokens: Option<At<u32>>,
}

pub(super) fn read(name: At<&str>, table: &mut Section<'_, '_>) -> (String, WrittenSchedule) {
    if let Err(why) = name::check_role(name.value) {
        table.report_table(name.line, format!("is wrong: {why}"));
    }
    let word = |why: String| why.replace(" is not a", " is no");
    let written = WrittenSchedule {
        line: name.line,
        cron: table.checked("cron", |line| {
            let cron = Cron::parse(line, jiff::tz::TimeZone::UTC)?;
            let next = cron.next(Timestamp::now());
            next.map(|_| line.trim().to_owned()).ok_or_else(|| "no day fits it: it never occurs".to_owned())
        }),
        timezone: table.checked("timezone", |name| zone(Some(name)).map(|_| name.to_owned())),
        text: table.checked("text", |text| match text.trim() {
            "" => Err("it is empty; write what is to be done".to_owned()),
            _ => values::filled(text).map(str::to_owned),
        }),
        role: table.text("role"),
        priority: table.one_of("priority", &words(Priority::ALL, Priority::as_str), |text| text.parse().map_err(word)),
        plan: table.checked("plan", values::path),
        vars: table.map("vars", |_, _| Ok(())),
        overlap: table.one_of("overlap", &words(Overlap::ALL, Overlap::as_str), |text| text.parse().map_err(word)),
        missed: table.one_of("missed", &words(Missed::ALL, Missed::as_str), |text| text.parse().map_err(word)),
        jitter: table.duration("jitter", Duration::ZERO),
        max_cost_usd: table.number("max_cost_usd", LEAST_COST),
        max_tokens: table.count("max_tokens", 1),
    };
    (name.value.to_owned(), written)
}

fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|one| word(*one)).collect()
}

/// Returns the schedules as meant; what is wrong with them is added to the diagnostics.
pub(super) fn resolve(
    written: &BTreeMap<String, WrittenSchedule>,
    roles: &BTreeMap<String, Role>,
    absolute: impl Fn(&Path) -> PathBuf,
    out: &mut Diagnostics,
) -> BTreeMap<String, Schedule> {
    let mut schedules = BTreeMap::new();
    for (name, written) in written {
        let table = dotted("schedules", name);
        let key = |key: &str| dotted(&table, key);
        if written.cron.is_none() && !out.about(&key("cron")) {
            out.add(
                written.line,
                key("cron"),
                "is missing: a schedule says when it occurs, such as cron = \"0 3 * * *\"",
            );
        }
        if let Some(at) = &written.role
            && !roles.contains_key(&at.value)
            && at.value != AUTO
        {
            let names: Vec<&str> = roles.keys().map(String::as_str).collect();
            out.add(at.line, key("role"), no_role(&at.value, &names));
        }
        if let Some(at) = &written.role
            && roles.get(&at.value).is_some_and(|role| role.driver == DriverKind::Console)
        {
            let what = format!("is wrong: role {} is a prompt for a person, and takes no tasks", printable(&at.value));
            out.add(at.line, key("role"), what);
        }
        let caps = [
            ("max_cost_usd", Key::MaxTaskCostUsd, written.max_cost_usd.as_ref().map(|at| at.line)),
            ("max_tokens", Key::MaxTaskTokens, written.max_tokens.as_ref().map(|at| at.line)),
        ];
        let role = written.role.as_ref().and_then(|at| roles.get(&at.value));
        for (name, what, line) in caps {
            if let (Some(line), Some(role)) = (line, role.filter(|role| !role.driver.knows(what))) {
                let what = format!("is not supported by the driver of role {}, \"{}\"", role.name, role.driver);
                out.add(line, key(name), what);
            }
        }
        let work = work(written, &key, &absolute, out);
        if let (Some(cron), Some(work)) = (&written.cron, work) {
            let schedule = Schedule {
                name: name.clone(),
                cron: cron.value.clone(),
                timezone: written.timezone.as_ref().map(|at| at.value.clone()),
                work,
                overlap: written.overlap.as_ref().map_or(Overlap::Skip, |at| at.value),
                missed: written.missed.as_ref().map_or(Missed::One, |at| at.value),
                jitter: written.jitter.as_ref().map_or(Duration::ZERO, |at| at.value),
                budget: Budget {
                    cost_usd: written.max_cost_usd.as_ref().map(|at| at.value),
                    tokens: written.max_tokens.as_ref().map(|at| u64::from(at.value)),
                },
            };
            schedules.insert(name.clone(), schedule);
        }
    }
    schedules
}

fn work(
    written: &WrittenSchedule,
    key: &impl Fn(&str) -> String,
    absolute: &impl Fn(&Path) -> PathBuf,
    out: &mut Diagnostics,
) -> Option<Work> {
    match (&written.text, &written.plan) {
        (Some(_), Some(plan)) => {
            out.add(plan.line, key("plan"), "cannot be combined with text; remove one of them");
            None
        }
        (Some(text), None) => {
            if written.vars.is_some() {
                out.add(written.line, key("vars"), "needs plan: a text has no variables");
            }
            Some(Work::Task {
                text: text.value.clone(),
                role: written.role.as_ref().map(|at| at.value.clone()),
                priority: written.priority.as_ref().map_or(Priority::Normal, |at| at.value),
            })
        }
        (None, Some(plan)) => {
            let beside = [
                ("role", written.role.as_ref().map(|at| at.line)),
                ("priority", written.priority.as_ref().map(|at| at.line)),
            ];
            for (name, line) in beside {
                if let Some(line) = line {
                    out.add(line, key(name), "needs text: the tasks of a plan name their own");
                }
            }
            // It is read at each occurrence, and may come later.
            Some(Work::Plan { file: absolute(&plan.value), vars: written.vars.clone().unwrap_or_default() })
        }
        (None, None) => {
            if !out.about(&key("text")) && !out.about(&key("plan")) {
                out.add(written.line, key("text"), "is missing: a schedule runs a text, or a plan = \"FILE\"");
            }
            None
        }
    }
}
