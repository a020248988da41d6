//! Reads a plan from a document. One reading finds all mistakes, except those that follow from others.

mod terms;
mod values;

use std::collections::HashMap;

use self::values::{Reader, field};
pub use self::{terms::Terms, values::no_pattern};
use super::{
    MOST_TASKS, MOST_WEIGHT, Plan, Task, check,
    insert::{Inserted, LONGEST, Names, insert},
    locks,
    mistake::Mistake,
    node::{self, Key, Node, Value},
};
use crate::model::{
    edge::{Edge, OnFailure, When},
    suggest::{nearest, printable},
};

/// Longest name of a plan, of a task or of a variable.
const LONGEST_KEY: usize = 64;
/// The keys of a plan.
const PLAN: &[&str] =
    &["name", "text", "max_cost_usd", "max_tokens", "max_parallel", "on_failure", "weight", "vars", "tasks"];
/// The keys of a task besides its terms.
const TASK: &[&str] = &["role", "text", "after", "on_failure"];
/// The keys of an edge.
const EDGE: &[&str] = &["task", "when", "on_failure"];

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The plan; `None` where there are mistakes.
    pub plan: Option<Plan>,
    /// What is wrong, in the order of the document.
    pub mistakes: Vec<Mistake>,
    /// What is allowed, and probably not meant.
    pub remarks: Vec<Mistake>,
}

/// Where a plan stands in its document.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place<'a> {
    /// The tables in which it stands, the outermost first; none: it is the whole document.
    pub tables: &'a [&'a str],
    /// What it is called if it does not say so itself.
    pub name: Option<&'a str>,
}

/// Reads a plan. `roles` are the names of the roles that take tasks, each with how many agents it may have; `vars` stand
/// instead of those of the document, and `text` instead of its text.
#[must_use]
pub fn read(
    document: &str,
    place: Place<'_>,
    roles: &[(&str, u32)],
    vars: &[(String, String)],
    text: Option<&str>,
) -> Reading {
    let mut reader = Reader::default();
    let plan = match node::parse(document) {
        Ok(root) => reader.found(&root, place).and_then(|root| reader.plan(root, place.name, roles, vars, text)),
        Err(mistakes) => {
            reader.mistakes = mistakes;
            None
        }
    };
    let mut reading = Reading { plan: None, mistakes: reader.mistakes, remarks: Vec::new() };
    if let Some((plan, places)) = plan {
        reading.mistakes.extend(check::cycles(&plan, &places));
        if reading.mistakes.is_empty() {
            reading.mistakes.extend(check::results(&plan, &places));
            reading.remarks = check::remarks(&plan, roles);
            reading.remarks.extend(locks::remarks(&plan, &places));
        }
        reading.plan = Some(plan).filter(|_| reading.mistakes.is_empty());
    }
    reading.mistakes.sort();
    reading.mistakes.dedup();
    reading
}

type Table = [(Key, Node)];

impl Reader {
    /// The table at a place.
    fn found<'a>(&mut self, root: &'a Node, place: Place<'_>) -> Option<&'a Node> {
        let mut node = root;
        for (depth, name) in place.tables.iter().enumerate() {
            let path = place.tables[..=depth].join(".");
            let Some(below) = field(self.table(node, &path)?, name) else {
                self.wrong(0, path, "is missing");
                return None;
            };
            node = below;
        }
        Some(node)
    }

    fn plan(
        &mut self,
        root: &Node,
        called: Option<&str>,
        roles: &[(&str, u32)],
        given: &[(String, String)],
        text: Option<&str>,
    ) -> Option<(Plan, Vec<usize>)> {
        let table = self.table(root, "the plan")?;
        self.known(table, "", PLAN);
        let name = match field(table, "name") {
            Some(node) => self.text(node, "name").filter(|name| self.is_key(node.at, "name", name)).unwrap_or_default(),
            None => called.map(str::to_owned).unwrap_or_else(|| {
                self.wrong(root.at, "name", "is missing: a plan has a name");
                String::new()
            }),
        };
        let its_text = self.text_at(table, "", "text").unwrap_or_default();
        let text = text.map_or(its_text, str::to_owned);
        let policy =
            self.word_at(table, "", "on_failure", OnFailure::ALL, OnFailure::as_str).unwrap_or(OnFailure::Fail);
        let weight = self.number_at(table, "", "weight", 1..=MOST_WEIGHT);
        let max_parallel = self.count_at(table, "", "max_parallel");
        if let (Some(0), Some(node)) = (max_parallel, field(table, "max_parallel")) {
            self.wrong(node.at, "max_parallel", "must be 1 or more: with 0, nothing would run");
        }
        let vars = self.vars(table, given);
        let (max_cost_usd, max_tokens) =
            (self.usd_at(table, "", "max_cost_usd"), self.tokens_at(table, "", "max_tokens"));
        let Some(node) = field(table, "tasks") else {
            self.wrong(root.at, "tasks", "is missing: a plan has at least one task, as [tasks.KEY]");
            return None;
        };
        let tasks = self.table(node, "tasks")?;
        if tasks.is_empty() || tasks.len() > MOST_TASKS {
            self.wrong(node.at, "tasks", format!("has {} tasks; a plan has 1 to {MOST_TASKS}", tasks.len()));
            return None;
        }
        let keys: Vec<&str> = tasks.iter().map(|(key, _)| key.name.as_str()).collect();
        let places: HashMap<&str, usize> = keys.iter().enumerate().map(|(place, key)| (*key, place)).collect();
        let names = Names { plan_name: &name, plan_text: &text, vars: &vars, keys: &keys };
        let whole = Whole { names: &names, places: &places, policy, roles };
        let read: Vec<Task> = tasks.iter().filter_map(|(key, node)| self.task(key, node, &whole)).collect();
        let at = tasks.iter().map(|(key, _)| key.at).collect();
        let (name, text) = (name.clone(), text.clone());
        let is_whole = read.len() == tasks.len();
        is_whole.then_some((Plan { name, text, weight, max_parallel, max_cost_usd, max_tokens, tasks: read }, at))
    }

    fn vars(&mut self, table: &Table, given: &[(String, String)]) -> Vec<(String, String)> {
        let mut vars: Vec<(String, String)> = Vec::new();
        if let Some(node) = field(table, "vars")
            && let Some(table) = self.table(node, "vars")
        {
            for (key, node) in table {
                let path = format!("vars.{}", printable(&key.name));
                if self.is_key(key.at, &path, &key.name) {
                    vars.extend(self.text(node, &path).map(|value| (key.name.clone(), value)));
                }
            }
        }
        for (name, value) in given {
            match vars.iter_mut().find(|(known, _)| known == name) {
                Some(var) => var.1.clone_from(value),
                None => {
                    let near = nearest(name, vars.iter().map(|(name, _)| name.as_str()));
                    let meant = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                    self.wrong(
                        0,
                        format!("vars.{}", printable(name)),
                        format!("is given, and the plan has no such variable{meant}"),
                    );
                }
            }
        }
        vars
    }

    fn task(&mut self, key: &Key, node: &Node, whole: &Whole<'_>) -> Option<Task> {
        let path = format!("tasks.{}", printable(&key.name));
        self.is_key(key.at, &path, &key.name);
        let table = self.table(node, &path)?;
        self.known(table, &path, &[TASK, Terms::KEYS].concat());
        let role = self.text_at(table, &path, "role");
        if let (Some(role), Some(node)) = (&role, field(table, "role"))
            && !whole.roles.iter().any(|(name, _)| name == role)
        {
            let names = || whole.roles.iter().map(|(name, _)| *name);
            let meant = match nearest(role, names()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("the roles are {}", names().collect::<Vec<_>>().join(", ")),
            };
            self.wrong(
                node.at,
                format!("{path}.role"),
                format!("names an unknown role '{}'; {meant}", printable(role)),
            );
        }
        let text = match field(table, "text") {
            Some(node) => {
                self.text(node, &format!("{path}.text")).map(|text| self.inserted(node.at, &path, &text, whole))
            }
            None => {
                self.wrong(key.at, format!("{path}.text"), "is missing: it says what is to be done");
                None
            }
        };
        let policy =
            self.word_at(table, &path, "on_failure", OnFailure::ALL, OnFailure::as_str).unwrap_or(whole.policy);
        let after = field(table, "after").map(|node| self.edges(node, &path, policy, whole)).unwrap_or_default();
        Some(Task {
            key: key.name.clone(),
            at: key.at,
            role,
            text: text.unwrap_or_default(),
            after,
            terms: Terms::read(self, table, &path),
        })
    }

    fn inserted(&mut self, at: usize, path: &str, text: &str, whole: &Whole<'_>) -> Inserted {
        if text.trim().is_empty() || text.len() > LONGEST || text.contains('\0') {
            self.wrong(at, format!("{path}.text"), format!("must have 1 to {LONGEST} bytes, and no NUL"));
            return Inserted::default();
        }
        insert(text, whole.names).unwrap_or_else(|wrong| {
            for (_, what) in wrong {
                self.wrong(at, format!("{path}.text"), what);
            }
            Inserted::default()
        })
    }

    fn edges(&mut self, node: &Node, path: &str, policy: OnFailure, whole: &Whole<'_>) -> Vec<(usize, Edge)> {
        let path = format!("{path}.after");
        let one = std::slice::from_ref(node);
        let list = match &node.value {
            Value::List(list) => list.as_slice(),
            Value::Text(_) | Value::Table(_) => one,
            other => {
                self.wrong(node.at, path, format!("must be a list of tasks' keys, not {}", other.kind()));
                return Vec::new();
            }
        };
        let mut edges: Vec<(usize, Edge)> = Vec::new();
        for node in list {
            let mut edge = Edge { on_failure: policy, ..Edge::default() };
            let first = match &node.value {
                Value::Text(key) => Some(key.clone()),
                Value::Table(table) => {
                    self.known(table, &path, EDGE);
                    edge.when = self.word_at(table, &path, "when", When::ALL, When::as_str).unwrap_or(edge.when);
                    let its_own = self.word_at(table, &path, "on_failure", OnFailure::ALL, OnFailure::as_str);
                    edge.on_failure = its_own.unwrap_or(policy);
                    if its_own.is_some() && edge.when != When::Succeeded {
                        self.wrong(
                            node.at,
                            &path,
                            "has both when and on_failure: the latter is for an edge that waits for a success",
                        );
                    }
                    let named = self.text_at(table, &path, "task");
                    if named.is_none() && field(table, "task").is_none() {
                        self.wrong(node.at, &path, "has an edge without a task");
                    }
                    named
                }
                other => {
                    self.wrong(node.at, &path, format!("must name a task by its key, not be {}", other.kind()));
                    None
                }
            };
            let Some(first) = first else { continue };
            match whole.places.get(first.as_str()) {
                Some(place) if edges.iter().any(|(known, _)| known == place) => {
                    self.wrong(node.at, &path, format!("names {} twice", printable(&first)));
                }
                Some(place) => edges.push((*place, edge)),
                None => {
                    let near = nearest(&first, whole.places.keys().copied());
                    let meant = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                    self.wrong(
                        node.at,
                        &path,
                        format!("names '{}', which is no task of the plan{meant}", printable(&first)),
                    );
                }
            }
        }
        edges
    }
}

/// What a task is read with.
struct Whole<'a> {
    names: &'a Names<'a>,
    places: &'a HashMap<&'a str, usize>,
    policy: OnFailure,
    roles: &'a [(&'a str, u32)],
}
