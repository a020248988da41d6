//! What the form of a word tells, before anything is looked up.

use crate::{
    error::{Error, Result},
    model::{
        id::{self, PlanId, TaskId},
        name,
        suggest::printable,
        text::one_line,
    },
};

/// A word of at least this many characters that names no agent may be a task's id without its `t-`.
const BARE: usize = 4;

/// What the form of a word tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// `t-7k2m9qx4hz`
    Task(TaskId),
    /// `t-7k`
    Beginning(&'a str),
    /// `@last` is 1.
    Recent(usize),
    /// `p-3v8n1c5ydw`
    Plan(PlanId),
    /// `p-3v`
    PlanBeginning(&'a str),
    /// `checkout/api`: a plan, and the key of one of its tasks.
    InPlan(&'a str, &'a str),
    /// `sonnet-1`
    Name(&'a str),
}

impl Word<'_> {
    /// # Errors
    /// Usage: the word can name nothing.
    pub fn parse(text: &str) -> Result<Word<'_>> {
        if let Ok(task) = text.parse() {
            return Ok(Word::Task(task));
        }
        if let Some(which) = text.strip_prefix('@') {
            let n = if which == "last" { Some(1) } else { which.parse().ok().filter(|n| *n > 0) };
            return n.map(Word::Recent).ok_or_else(|| {
                Error::usage(format!("'{}' names no task", printable(text)))
                    .hint("@last is the task that you delegated last, @2 the one before it; orch tasks lists the ids")
            });
        }
        if let Some((plan, key)) = text.split_once('/').filter(|(plan, key)| is_key(plan) && is_key(key)) {
            return Ok(Word::InPlan(plan, key));
        }
        if let Ok(plan) = text.parse() {
            return Ok(Word::Plan(plan));
        }
        let meant_as_plan = text.strip_prefix("p-").is_some_and(|rest| !rest.bytes().all(|b| b.is_ascii_digit()));
        if meant_as_plan && id::is_beginning_of_plan(text) {
            return Ok(Word::PlanBeginning(text));
        }
        // An agent of a role named `t` is called t-1.
        let meant_as_task = text.strip_prefix("t-").is_some_and(|rest| !rest.bytes().all(|b| b.is_ascii_digit()));
        if meant_as_task && id::is_beginning(text) {
            return Ok(Word::Beginning(text));
        }
        if meant_as_task || text == "t-" || name::check(text).is_err() && id_without_t(text).is_none() {
            return Err(Error::usage(format!("'{}' names neither a task nor an agent", one_line(text, 60)))
                .hint(
                    "a task looks like t-7k2m9qx4hz (orch tasks), an agent like sonnet-1 (orch agents), a plan like p-3v8n1c5ydw (orch plan list)",
                ));
        }
        Ok(Word::Name(text))
    }
}

/// Returns whether a plan or a task of one may be called so.
fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Returns the id, or its beginning, that a word is without its `t-`. Many terminals select only that by a double click.
pub(super) fn id_without_t(word: &str) -> Option<String> {
    let id = format!("t-{word}");
    (word.len() >= BARE && (id::is_beginning(&id) || id.parse::<TaskId>().is_ok())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn the_form_of_a_word_tells_what_it_may_name() {
        let id = TaskId::random();
        assert_eq!(Word::parse(id.as_str()), Ok(Word::Task(id.clone())));
        for agent in ["sonnet-1", "opus-master", "t-12", "t", "7k2m", &id.as_str()[2..]] {
            assert_eq!(Word::parse(agent), Ok(Word::Name(agent)));
        }
        for beginning in ["t-7k", "t-x", &id.as_str()[..11]] {
            assert_eq!(Word::parse(beginning), Ok(Word::Beginning(beginning)));
        }
        for (word, n) in [("@last", 1), ("@1", 1), ("@99", 99)] {
            assert_eq!(Word::parse(word), Ok(Word::Recent(n)));
        }
        let plan = PlanId::random();
        assert_eq!(Word::parse(plan.as_str()), Ok(Word::Plan(plan.clone())));
        assert_eq!(Word::parse("p-3v"), Ok(Word::PlanBeginning("p-3v")));
        assert_eq!(Word::parse("p-12"), Ok(Word::Name("p-12")), "an agent of a role p");
        assert_eq!(Word::parse("checkout/api_2"), Ok(Word::InPlan("checkout", "api_2")));
        for bad in [
            "/x",
            "a/",
            "a/b/c",
            "",
            "t-",
            "t-7k2m9qx4hl",
            "t-7k2m9qx4hz0",
            "Sonnet-1",
            "a b",
            "-x",
            "@0",
            "@",
            "@-1",
            "@first",
            "t-7k*",
        ] {
            assert_eq!(Word::parse(bad).unwrap_err().kind, Kind::Usage, "{bad}");
        }
    }
}
