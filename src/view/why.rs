//! Why a task or an agent is in its state.

use super::{
    Style, View,
    text::{pad, safe, width},
};
use crate::{model::evidence::Evidence, ops::types::Why};

/// The sentences, what is waited for, the evidence, then what to type.
pub fn page(why: &Why, view: &View) -> String {
    let mut out = format!("{}  {}\n", view.paint(&safe(&why.id), Style::Bold), state(&why.state, view));
    for sentence in &why.sentences {
        match sentence.contains('\n') {
            true => out.push_str(&view.verbatim("  ", sentence)),
            false => out.push_str(&view.hanging("  ", sentence)),
        }
    }
    if !why.chain.is_empty() {
        out.push_str(&format!("{}\n", view.paint("waits for:", Style::Bold)));
    }
    for link in &why.chain {
        let state = view.paint(link.state.as_str(), Style::of_task(link.state));
        let lead = format!("{}{}  {}: ", "  ".repeat(link.depth), link.id, link.state);
        let line = view.hanging(&lead, &link.why);
        // Colour comes after the line was measured.
        out.push_str(&line.replacen(link.state.as_str(), &state, 1));
    }
    if let Some(routing) = &why.routing {
        out.push_str(&format!("{}\n", view.paint("roles:", Style::Bold)));
        out.push_str(&super::routing::scores(routing, view));
    }
    if let Some(evidence) = &why.evidence {
        let of = why.evidence_attempt.map(|n| format!(" of attempt {n}")).unwrap_or_default();
        let heading = format!("evidence of the end{of} ({}):", safe(&evidence.agent));
        out.push_str(&format!("{}\n", view.paint(&heading, Style::Bold)));
        out.push_str(&facts(evidence, view));
    }
    if !why.hints.is_empty() {
        let hints: Vec<_> = why.hints.iter().map(|h| (view.typed(&safe(h)), "")).collect();
        out.push_str(&view.commands("next:", &hints));
    }
    out
}

/// The state of a task or an agent. A word that both have has one style.
fn state(word: &str, view: &View) -> String {
    let task = word.parse().map(Style::of_task);
    let style = task.or_else(|_| word.parse().map(Style::of_agent)).unwrap_or_default();
    view.paint(&safe(word), style)
}

/// The facts behind a decision, one per line, aligned.
pub(super) fn facts(evidence: &Evidence, view: &View) -> String {
    let facts = evidence.facts();
    let column = facts.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    facts.iter().map(|(name, fact)| view.hanging(&format!("  {}  ", pad(name, column)), fact)).collect()
}
