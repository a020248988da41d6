//! Checks that all stored structures agree: each fact is in several structures, which the transitions write together.
//!
//! Everything about a task or an agent can be checked by reading it and its neighbours. So the audit first collects
//! all ids from every structure that names one, over any length of time; then it reads some of them at a time, each
//! time at one moment (`lua/record/look.lua`), and checks these. A working system changes between two reads and never
//! within one, so whatever an audit finds was true. Records that are added after the collection are not checked.
//!
//! The events are read along with the records: after each read, up to the last event before it, so that both describe
//! the same moment.

mod agent;
mod approvals;
mod image;
mod locks;
mod plan;
mod task;
mod told;

use std::collections::BTreeSet;

use redis::Value;
use serde_json::json;

pub use self::image::{Content, Image};
use self::told::Told;
use super::{Result, Store, script};

/// How many are looked at in one call: Redis serves no other client meanwhile.
const AT_ONCE: usize = 50;

/// Who there is.
#[derive(Debug, Default)]
struct Who {
    tasks: BTreeSet<String>,
    agents: BTreeSet<String>,
    roles: BTreeSet<String>,
    plans: BTreeSet<String>,
}

/// A structure that names several.
#[derive(Debug, Clone, Copy)]
enum Shared {
    Set,
    Scores,
}

fn shares(key: &str) -> Option<Shared> {
    match key.split_once(':').map_or(key, |(kind, _)| kind) {
        "agents" | "running" | "idle" => Some(Shared::Set),
        "tasks" | "ids" | "state" | "ready" | "waiting" | "asking" | "parked" | "short" | "approval_ends" => {
            Some(Shared::Scores)
        }
        _ => None,
    }
}

impl Who {
    /// Whom a key's own name names.
    fn named_by(&mut self, key: &str) {
        match key.split_once(':') {
            Some(("task" | "attempts" | "children" | "deps" | "dependents" | "questions" | "trail", id)) => {
                self.tasks.insert(id.to_owned());
            }
            Some(("held", id)) if id.starts_with("t-") => drop(self.tasks.insert(id.to_owned())),
            Some(("agent", id)) => drop(self.agents.insert(id.to_owned())),
            Some(("plan" | "plan_tasks", id)) => drop(self.plans.insert(id.to_owned())),
            Some(("ready" | "running" | "waiting" | "idle" | "shares", role)) => {
                self.roles.insert(role.to_owned());
            }
            _ => {}
        }
    }

    /// Whom the members of what stands under a key name.
    fn members(&mut self, key: &str, members: impl IntoIterator<Item = String>) {
        match key.split_once(':').map_or(key, |(kind, _)| kind) {
            "agents" | "idle" => self.agents.extend(members),
            _ if shares(key).is_some() => self.tasks.extend(members),
            _ => {}
        }
    }
}

impl Store {
    /// What does not agree, one sentence each; empty where all is well.
    ///
    /// It reads everything but the texts, and goes through all keys of the server once, without holding anyone up for
    /// long; a shared server of many millions of keys takes seconds.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn audit(&self) -> Result<Vec<String>> {
        let who = self.who().await?;
        let mut told = Told::default();
        let mut found = Vec::new();
        let (tasks, agents): (Vec<_>, Vec<_>) = (who.tasks.iter().collect(), who.agents.iter().collect());
        for some in tasks.chunks(AT_ONCE) {
            let which = json!({"tasks": some, "agents": [], "roles": who.roles});
            let (last_event, image) = self.look(&which).await?;
            told.read(self, &last_event, &mut found).await?;
            for id in some {
                task::judge(&image, id, &mut found);
                locks::judge(&image, id, &mut found);
                approvals::judge(&image, id, &mut found);
                told.judge(&image, id, &mut found);
            }
        }
        for some in agents.chunks(AT_ONCE) {
            let which = json!({"tasks": [], "agents": some, "roles": who.roles});
            let (_, image) = self.look(&which).await?;
            some.iter().for_each(|id| agent::judge(&image, id, &mut found));
        }
        for id in &who.plans {
            let (_, image) = self.look(&json!({"tasks": [], "agents": [], "roles": [], "plans": [id]})).await?;
            plan::judge(&image, id, &mut found);
        }
        found.extend(self.misreserved().await?);
        found.extend(self.misshared(&who.roles).await?);
        found.extend(self.miscounted_days().await?);
        Ok(found)
    }

    async fn look(&self, which: &serde_json::Value) -> Result<(String, Image)> {
        let which = which.to_string();
        let mut seen: Vec<Value> = self.read(self.call(&script::LOOK, [which.as_str()]).await?)?;
        let entries = seen.split_off(seen.len().min(1));
        let last_event = self.read(seen.pop().unwrap_or(Value::Nil))?;
        let entries: Vec<Vec<String>> = entries.into_iter().map(|e| self.read(e)).collect::<Result<_>>()?;
        Ok((last_event, Image::from_look(entries)))
    }

    /// Everybody whom any structure names.
    async fn who(&self) -> Result<Who> {
        let mut who = Who::default();
        let keys = self.all_keys().await?;
        let mut pipe = redis::pipe();
        let mut shared = Vec::new();
        for key in &keys {
            who.named_by(key);
            match shares(key) {
                Some(Shared::Set) => pipe.cmd("SMEMBERS").arg(self.keys.plain(key)),
                Some(Shared::Scores) => pipe.cmd("ZRANGE").arg(self.keys.plain(key)).arg(0).arg(-1),
                None => continue,
            };
            shared.push(key);
        }
        for (key, members) in shared.into_iter().zip(self.pipeline(&pipe).await?) {
            who.members(key, self.read::<Vec<String>>(members)?);
        }
        Ok(who)
    }

    /// The namespace's keys, without its prefix.
    async fn all_keys(&self) -> Result<BTreeSet<String>> {
        let (mut keys, mut cursor) = (BTreeSet::new(), "0".to_owned());
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(&cursor).arg("MATCH").arg(self.keys.plain("*")).arg("COUNT").arg(1000);
            let (next, some): (String, Vec<String>) = self.query(&scan).await?;
            let short = some.iter().filter_map(|key| key.strip_prefix(self.keys.prefix()));
            keys.extend(short.map(str::to_owned));
            if next == "0" {
                return Ok(keys);
            }
            cursor = next;
        }
    }
}

/// The same of a whole namespace that was read at one moment, but for the events.
pub fn judge(image: &Image) -> Vec<String> {
    let mut found = Vec::new();
    let who = image.who();
    who.tasks.iter().for_each(|id| task::judge(image, id, &mut found));
    who.tasks.iter().for_each(|id| locks::judge(image, id, &mut found));
    who.tasks.iter().for_each(|id| approvals::judge(image, id, &mut found));
    who.agents.iter().for_each(|id| agent::judge(image, id, &mut found));
    who.plans.iter().for_each(|id| plan::judge(image, id, &mut found));
    found
}
