//! Checks `delegates_to` and `escalate_to`. Of the former, every name must be a role, and the declared delegations must not form a cycle. A role with a
//! sandbox may not name one without, because a delegation that the key declares needs no approval. Roles without the
//! key delegate by their rights, up to `max_depth`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Role, Sandbox,
    diagnostics::{Diagnostics, dotted, no_role},
    written::WrittenRole,
};
use crate::{drivers::DriverKind, model::approval::ApprovalRule};

/// Circles that are reported. Further ones are mostly variations; in the worst case there is one per declared delegation.
const CIRCLES: usize = 10;

/// Reports what is wrong with `delegates_to` of every role.
pub(super) fn check(written: &BTreeMap<String, WrittenRole>, roles: &BTreeMap<String, Role>, out: &mut Diagnostics) {
    let names: Vec<&str> = roles.keys().map(String::as_str).collect();
    for (name, role) in written {
        for to in role.delegates_to.iter().flat_map(|at| &at.value) {
            if !roles.contains_key(&to.value) {
                let key = dotted(&dotted("roles", name), "delegates_to");
                out.add(to.line, key, no_role(&to.value, &names));
            }
        }
    }
    for (name, role) in written {
        let Some(own) = roles.get(name).filter(|role| role.sandbox != Sandbox::None) else { continue };
        for to in role.delegates_to.iter().flat_map(|at| &at.value) {
            if roles.get(&to.value).is_some_and(|to| to.sandbox == Sandbox::None) {
                let key = dotted(&dotted("roles", name), "delegates_to");
                let (to_name, sandbox) = (&to.value, own.sandbox.as_str());
                let why = format!("leaves the sandbox: {name} (sandbox = \"{sandbox}\") -> {to_name} (none)");
                out.add(to.line, key, why);
            }
        }
    }
    for circle in circles(written) {
        report_circle(&circle, "delegates_to", out);
    }
}

fn report_circle(circle: &[(&str, usize)], key: &str, out: &mut Diagnostics) {
    let steps: Vec<String> = circle.iter().map(|(role, line)| format!("{role} (line {line})")).collect();
    let Some((first, line)) = circle.first() else { return };
    out.add(*line, dotted(&dotted("roles", first), key), format!("forms a cycle: {} -> {first}", steps.join(" -> ")));
}

/// Reports what is wrong with `escalate_to`: the next tier is another role that takes tasks, and tiers have an end.
pub(super) fn check_tiers(
    written: &BTreeMap<String, WrittenRole>,
    roles: &BTreeMap<String, Role>,
    out: &mut Diagnostics,
) {
    let names: Vec<&str> = roles.keys().map(String::as_str).collect();
    let next = |role: &str| written.get(role).and_then(|role| role.escalate_to.as_ref());
    let mut seen = BTreeSet::new();
    for (name, at) in written.iter().filter_map(|(name, role)| Some((name, role.escalate_to.as_ref()?))) {
        let key = dotted(&dotted("roles", name), "escalate_to");
        match roles.get(&at.value) {
            None => out.add(at.line, key, no_role(&at.value, &names)),
            Some(to) if to.driver == DriverKind::Console => {
                out.add(
                    at.line,
                    key,
                    format!("is wrong: role {} is a prompt for a person, and takes no tasks", to.name),
                );
            }
            Some(to) if to.driver == DriverKind::Shell && roles.get(name).is_none_or(|own| own.driver != to.driver) => {
                out.add(at.line, key, format!("is wrong: role {} runs scripts, and would run a text", to.name));
            }
            Some(to) if to.approval == ApprovalRule::Before => {
                let what = format!("is wrong: a person approves each task of role {} (approval = \"before\")", to.name);
                out.add(at.line, key, what);
            }
            Some(_) => {}
        }
        let (mut way, mut role): (Vec<(&str, usize)>, &str) = (Vec::new(), name);
        while seen.insert(role) {
            let Some(at) = next(role) else { break };
            way.push((role, at.line));
            role = &at.value;
        }
        if let Some(from) = way.iter().position(|(one, _)| *one == role) {
            report_circle(&way[from..], "escalate_to", out);
        }
    }
}

/// Finds circles by a depth-first walk. Each is returned as its roles, with the lines that delegate to the next one. The walk
/// has its own stack, because a file can contain more roles than a thread's stack has room for frames.
fn circles(written: &BTreeMap<String, WrittenRole>) -> Vec<Vec<(&str, usize)>> {
    let mut circles = Vec::new();
    let mut seen = BTreeSet::new();
    for start in written.keys() {
        // The way so far: each role, how many of its steps were taken, and the line of the step at hand.
        let mut way: Vec<(&str, usize, usize)> = Vec::new();
        let mut on_way = BTreeSet::new();
        if seen.insert(start.as_str()) {
            way.push((start, 0, 0));
            on_way.insert(start.as_str());
        }
        while let Some((role, taken, line)) = way.last_mut() {
            let steps = written.get(*role).and_then(|role| role.delegates_to.as_ref());
            let Some(step) = steps.and_then(|at| at.value.get(*taken)) else {
                on_way.remove(*role);
                way.pop();
                continue;
            };
            (*taken, *line) = (*taken + 1, step.line);
            let to = step.value.as_str();
            if on_way.contains(to) {
                let circle = way.iter().skip_while(|(role, ..)| *role != to);
                circles.push(circle.map(|(role, _, line)| (*role, *line)).collect());
                if circles.len() == CIRCLES {
                    return circles;
                }
            } else if seen.insert(to) {
                on_way.insert(to);
                way.push((to, 0, 0));
            }
        }
    }
    circles
}
