//! Parses a typed line. Pure.

use super::bare;
use crate::{model::suggest, ops::Answer};

/// Every command: its word, its argument, and what it does. Used by `/help`, completion and "did you mean".
pub(super) const COMMANDS: &[(&str, &str, &str)] = &[
    ("status", "", "supervisor, agents, task counts, what needs you"),
    ("tasks", "", "open tasks, and those that ended last"),
    ("agents", "", "living agents"),
    ("questions", "", "open questions, each with what to type"),
    ("answer", "Q TEXT", "answer a question"),
    ("approve", "Q [TEXT]", "answer a question with yes"),
    ("deny", "Q [TEXT]", "answer a question with no"),
    ("inbox", "", "messages to the master that were not read"),
    ("send", "TO TEXT", "a message to a task or an agent"),
    ("show", "ID", "everything about a task, an agent or a plan"),
    ("why", "ID", "why a task, an agent or a plan is in its state"),
    ("logs", "ID", "the last output of a task, an agent or a plan"),
    ("events", "", "what happened last, with reasons"),
    ("costs", "", "tokens and money that were used"),
    ("result", "ID", "the whole answer of a task"),
    ("cancel", "ID...", "cancel tasks"),
    ("retry", "ID...", "retry failed, cancelled or held tasks"),
    ("plan", "[ID|FILE]", "list plans, show one, or submit a file"),
    ("pause", "[ROLE]", "start nothing new"),
    ("resume", "[ROLE]", "continue after a pause, a drain or a limit"),
    ("clear", "", "clear the screen"),
    ("help", "", "this list"),
    ("quit", "", "leave; nothing stops"),
];

/// A command of the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Status,
    Tasks,
    Agents,
    Questions,
    Answer(String, Answer),
    Inbox,
    Send(String, String),
    Events,
    Costs,
    Pause(Option<String>),
    Resume(Option<String>),
    Show(String),
    Why(String),
    Logs(String),
    Result(String),
    Cancel(Vec<String>),
    Retry(Vec<String>),
    Plan(Option<String>),
    Clear,
    Help,
}

/// The meaning of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// A blank line.
    Nothing,
    /// A task for a role; `None`: the default role.
    Delegate { role: Option<String>, text: String },
    /// A command.
    Command(Command),
    /// Leave the console.
    Quit,
    /// A mistake, described with what to type instead.
    Mistake(String),
}

/// The roles that a line may name.
#[derive(Debug, Clone)]
pub(super) struct Roles {
    /// All of them.
    pub names: Vec<String>,
    /// The role of a line that names none.
    pub default: String,
    /// Whether that role's program is a shell.
    pub default_is_shell: bool,
    /// A role whose program is a shell.
    pub shell: Option<String>,
}

/// Parses a whole line (or a pasted text of several lines). Only `/word` and `@word` at its very beginning have a meaning,
/// and lines that can't be meant as a task ([`bare`]): a path such as `/etc/hosts` is plain text, and the text after a role is
/// passed on unchanged.
pub(super) fn parse(line: &str, roles: &Roles) -> Input {
    let text = line.trim();
    if text.is_empty() {
        return Input::Nothing;
    }
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if let Some(role) = word.strip_prefix('@').filter(|r| r.starts_with(char::is_alphanumeric)) {
        return to_role(role, rest.trim(), roles);
    }
    match word.strip_prefix('/') {
        Some(command) if !command.is_empty() && command.bytes().all(|b| b.is_ascii_alphabetic()) => {
            to_command(command, rest, roles)
        }
        Some("") if rest.is_empty() => Input::Command(Command::Help),
        _ => bare::meant(text, roles).unwrap_or_else(|| Input::Delegate { role: None, text: text.to_owned() }),
    }
}

fn to_role(role: &str, text: &str, roles: &Roles) -> Input {
    if !roles.names.iter().any(|r| r == role) {
        let names = || roles.names.iter().map(String::as_str);
        let near = suggest::nearest(role, names()).map(|n| format!("did you mean @{n}? ")).unwrap_or_default();
        let list = names().map(|n| format!("@{n}")).collect::<Vec<_>>().join(" ");
        return Input::Mistake(format!("there is no role '{}': {near}the roles are {list}", suggest::printable(role)));
    }
    if text.is_empty() {
        return Input::Mistake(format!("write the task after the role: @{role} what is to be done"));
    }
    Input::Delegate { role: Some(role.to_owned()), text: text.to_owned() }
}

fn to_command(word: &str, rest: &str, roles: &Roles) -> Input {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let lower = word.to_ascii_lowercase();
    let Some((command, argument, _)) = COMMANDS.iter().find(|(known, ..)| *known == lower) else {
        let near = suggest::nearest(&lower, COMMANDS.iter().map(|(known, ..)| *known));
        let near = near.map(|n| format!("did you mean /{n}? ")).unwrap_or_default();
        let default = &roles.default;
        return Input::Mistake(format!(
            "there is no command '/{}': {near}/help lists them; to delegate this text as it is: @{default} /{} ...",
            suggest::printable(word),
            suggest::printable(word)
        ));
    };
    let fits = match *argument {
        "" => words.is_empty(),
        "ID..." | "Q [TEXT]" => !words.is_empty(),
        "[ROLE]" | "[ID|FILE]" => words.len() < 2,
        "Q TEXT" | "TO TEXT" => words.len() > 1,
        _ => words.len() == 1,
    };
    if !fits {
        return Input::Mistake(match *argument {
            "" => {
                format!("/{command} takes no argument; to delegate this text: @{} /{command} ...", roles.default)
            }
            "[ROLE]" => format!("write it as /{command} or /{command} ROLE"),
            "[ID|FILE]" => format!("write it as /{command}, /{command} ID or /{command} FILE"),
            "Q TEXT" | "Q [TEXT]" => {
                format!("write it as /{command} {argument}; Q is a question as /questions lists it: t-7k2m9qx4hz#1")
            }
            _ => format!("write it as /{command} {argument}; /tasks and /agents list the ids, Tab completes them"),
        });
    }
    // The text after the first word, as it was typed.
    let more = rest.trim().split_once(char::is_whitespace).map(|(_, more)| more.trim().to_owned());
    let answer = |answer: Answer| Command::Answer(words[0].to_owned(), answer);
    let role = || words.first().map(|role| (*role).to_owned());
    let tasks = || words.iter().map(|word| (*word).to_owned()).collect();
    let command = match *command {
        "status" => Command::Status,
        "tasks" => Command::Tasks,
        "agents" => Command::Agents,
        "questions" => Command::Questions,
        "answer" => answer(Answer::Text(more.unwrap_or_default())),
        "approve" => answer(Answer::Approve(more)),
        "deny" => answer(Answer::Deny(more)),
        "inbox" => Command::Inbox,
        "send" => Command::Send(words[0].to_owned(), more.unwrap_or_default()),
        "events" => Command::Events,
        "costs" => Command::Costs,
        "pause" => Command::Pause(role()),
        "resume" => Command::Resume(role()),
        "show" => Command::Show(words[0].to_owned()),
        "why" => Command::Why(words[0].to_owned()),
        "logs" => Command::Logs(words[0].to_owned()),
        "result" => Command::Result(words[0].to_owned()),
        "cancel" => Command::Cancel(tasks()),
        "retry" => Command::Retry(tasks()),
        "plan" => Command::Plan(role()),
        "clear" => Command::Clear,
        "quit" => return Input::Quit,
        _ => Command::Help,
    };
    Input::Command(command)
}

/// Joins lines that end in `\`, as a shell does. Only the end of the submitted text counts: a pasted script keeps its own
/// continuations.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    begun: String,
}

impl Joiner {
    /// The whole text, or `None` while it is incomplete.
    pub fn push(&mut self, line: &str) -> Option<String> {
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            self.begun.push_str(&line[..line.len() - 1]);
            return None;
        }
        let mut whole = std::mem::take(&mut self.begun);
        whole.push_str(line);
        Some(whole)
    }
    /// Whether a text has begun and is incomplete.
    pub fn is_open(&self) -> bool {
        !self.begun.is_empty()
    }
    /// The text that has begun and was not finished.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Input {
        let names = ["opus", "shell", "sonnet"].map(str::to_owned).to_vec();
        let shell = Some("shell".to_owned());
        parse(line, &Roles { names, default: "sonnet".into(), default_is_shell: false, shell })
    }
    fn delegate(role: Option<&str>, text: &str) -> Input {
        Input::Delegate { role: role.map(str::to_owned), text: text.into() }
    }
    fn mistake(line: &str) -> String {
        match read(line) {
            Input::Mistake(text) => text,
            other => panic!("{line:?} was read as {other:?}"),
        }
    }

    #[test]
    fn a_bare_line_is_for_the_default_role() {
        assert_eq!(read("  fix the tests "), delegate(None, "fix the tests"));
        assert_eq!(read(" \t"), Input::Nothing);
        for text in ["/etc/hosts is wrong", "// a comment\nfn main() {}", "@ home", "a /status @shell"] {
            assert_eq!(read(text), delegate(None, text), "{text}");
        }
    }

    #[test]
    fn a_role_receives_its_text_unchanged() {
        assert_eq!(read("@shell ls -la"), delegate(Some("shell"), "ls -la"));
        assert_eq!(read("@shell\nfor i in 1 2; do\n  echo $i\ndone"), {
            delegate(Some("shell"), "for i in 1 2; do\n  echo $i\ndone")
        });
        assert_eq!(read("@sonnet /status @shell"), delegate(Some("sonnet"), "/status @shell"));
    }

    #[test]
    fn an_unknown_role_is_answered_with_the_nearest_and_all() {
        let text = mistake("@shel ls");
        assert!(text.contains("did you mean @shell?") && text.contains("@opus @shell @sonnet"), "{text}");
        assert!(!mistake("@zzzzzzzz ls").contains("did you mean"));
        assert!(mistake("@shell").contains("@shell what is to be done"));
    }

    #[test]
    fn every_command_in_the_list_is_understood() {
        let id = "t-7k2m9qx4hz";
        for (word, argument, _) in COMMANDS {
            let line = match *argument {
                "" | "[ROLE]" | "[ID|FILE]" => format!("/{word}"),
                "Q TEXT" | "TO TEXT" => format!("/{word} {id} a text"),
                _ => format!("/{word} {id}"),
            };
            let read = read(&line);
            assert!(matches!(read, Input::Command(_) | Input::Quit), "{line}: {read:?}");
            assert_eq!(read == Input::Command(Command::Help), *word == "help", "{line}");
        }
        let two = vec![id.to_owned(), "t-0000000000".to_owned()];
        assert_eq!(read(&format!("/Cancel {id}  t-0000000000")), Input::Command(Command::Cancel(two)));
    }

    #[test]
    fn an_answer_keeps_its_words() {
        let read = |line: &str| match read(line) {
            Input::Command(command) => command,
            other => panic!("{line:?} was read as {other:?}"),
        };
        let answer = |answer| Command::Answer("t-7k2m9qx4hz#2".into(), answer);
        assert_eq!(read("/answer t-7k2m9qx4hz#2  the  red one "), answer(Answer::Text("the  red one".into())));
        assert_eq!(read("/approve t-7k2m9qx4hz#2"), answer(Answer::Approve(None)));
        assert_eq!(read("/deny t-7k2m9qx4hz#2 not now"), answer(Answer::Deny(Some("not now".into()))));
        assert_eq!(read("/send shell-1 go on"), Command::Send("shell-1".into(), "go on".into()));
        assert_eq!(read("/pause sonnet"), Command::Pause(Some("sonnet".into())));
        assert_eq!(read("/resume"), Command::Resume(None));
    }

    #[test]
    fn a_mistyped_command_is_answered_with_what_to_type() {
        assert!(mistake("/statsu").contains("did you mean /status?"));
        assert!(mistake("/tmp is full").contains("@sonnet /tmp"));
        assert!(mistake("/show").contains("/show ID"));
        assert!(mistake("/answer t-7k2m9qx4hz#1").contains("/answer Q TEXT"));
        assert!(mistake("/status of the build").contains("@sonnet /status"));
    }

    #[test]
    fn a_backslash_at_the_end_continues_the_line_and_one_inside_stays() {
        let mut joiner = Joiner::default();
        assert_eq!(joiner.push("@shell ls \\"), None);
        assert!(joiner.is_open());
        assert_eq!(joiner.push("-la"), Some("@shell ls -la".into()));
        assert!(!joiner.is_open());
        assert_eq!(joiner.push("echo a \\\n  b"), Some("echo a \\\n  b".into()));
        assert_eq!(joiner.push("C:\\\\"), Some("C:\\\\".into()));
    }
}
