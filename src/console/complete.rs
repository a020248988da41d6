//! Completion with Tab: roles, commands, and the ids seen so far.

use std::collections::VecDeque;

use super::input::COMMANDS;

/// Ids of each kind that are remembered: a person names recent ones.
const REMEMBERED: usize = 200;

/// The names that Tab knows.
#[derive(Debug, Default)]
pub(super) struct Known {
    roles: Vec<String>,
    tasks: VecDeque<String>,
    agents: VecDeque<String>,
    questions: VecDeque<String>,
}

impl Known {
    /// With these roles, and no ids yet.
    pub fn new(roles: &[String]) -> Self {
        Known { roles: roles.to_vec(), ..Known::default() }
    }
    /// A task was seen.
    pub fn task(&mut self, id: &str) {
        remember(&mut self.tasks, id);
    }
    /// An agent was seen.
    pub fn agent(&mut self, id: &str) {
        remember(&mut self.agents, id);
    }

    /// A question was seen.
    pub fn question(&mut self, id: &str) {
        remember(&mut self.questions, id);
    }

    /// Where the word at `pos` begins, and what it may become, the newest id first.
    pub fn complete(&self, line: &str, pos: usize) -> (usize, Vec<String>) {
        let before = &line[..pos];
        let start = before.rfind(char::is_whitespace).map_or(0, |i| i + 1);
        let word = &before[start..];
        let first = before[..start].split_whitespace().next();
        let candidates: Vec<String> = match first {
            None if word.starts_with('@') => self.roles.iter().map(|r| format!("@{r} ")).collect(),
            None if word.starts_with('/') => {
                COMMANDS.iter().map(|(c, a, _)| format!("/{c}{}", if a.is_empty() { "" } else { " " })).collect()
            }
            Some("/answer" | "/approve" | "/deny") if before[..start].split_whitespace().count() == 1 => {
                newest(&self.questions).map(|id| id + " ").collect()
            }
            Some("/pause" | "/resume") => self.roles.clone(),
            Some("/show" | "/why" | "/logs" | "/send") => newest(&self.tasks).chain(newest(&self.agents)).collect(),
            Some("/result" | "/cancel" | "/retry") => newest(&self.tasks).collect(),
            _ if word.starts_with("t-") => newest(&self.tasks).collect(),
            _ => Vec::new(),
        };
        (start, candidates.into_iter().filter(|c| c.starts_with(word)).collect())
    }
}

fn newest(ids: &VecDeque<String>) -> impl Iterator<Item = String> + '_ {
    ids.iter().rev().cloned()
}

fn remember(ids: &mut VecDeque<String>, id: &str) {
    if ids.iter().any(|known| known == id) {
        return;
    }
    if ids.len() == REMEMBERED {
        ids.pop_front();
    }
    ids.push_back(id.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let mut known = Known::new(&["shell".into(), "sonnet".into()]);
        known.task("t-7k2m9qx4hz");
        known.task("t-8k2m9qx4hz");
        known.agent("sonnet-1");
        known.question("t-7k2m9qx4hz#2");
        known
    }
    fn at_end(line: &str) -> (usize, Vec<String>) {
        known().complete(line, line.len())
    }

    #[test]
    fn tab_completes_roles_commands_and_ids() {
        assert_eq!(at_end("@sh"), (0, vec!["@shell ".into()]));
        assert_eq!(at_end("/st"), (0, vec!["/status".into()]));
        assert_eq!(at_end("/sh"), (0, vec!["/show ".into()]));
        assert_eq!(at_end("/show son"), (6, vec!["sonnet-1".into()]));
        assert_eq!(at_end("/cancel "), (8, vec!["t-8k2m9qx4hz".into(), "t-7k2m9qx4hz".into()]));
        assert_eq!(at_end("what about t-7"), (11, vec!["t-7k2m9qx4hz".into()]));
        assert_eq!(at_end("/answer t"), (8, vec!["t-7k2m9qx4hz#2 ".into()]));
        assert_eq!(at_end("/pause so"), (7, vec!["sonnet".into()]));
        assert_eq!(at_end("héllo wor"), (7, vec![]));
    }

    #[test]
    fn the_number_of_remembered_ids_is_bounded() {
        let mut known = known();
        for n in 0..1_000 {
            known.task(&format!("t-{n}"));
        }
        assert_eq!(known.tasks.len(), REMEMBERED);
        assert_eq!(known.tasks.back().map(String::as_str), Some("t-999"));
    }
}
