//! The screen layout of `claude` 2.1.328.
//!
//! | state | title | screen's bottom | `sessions/PID.json` |
//! |---|---|---|---|
//! | working | `◐ …`, `◑ …` | input box, under it `esc to interrupt` | `busy` |
//! | idle | `✳ …` | input box: a rule, `❯`, a rule, and a line of hints | `idle` |
//! | asking | `✳ …`, as idle | a list of choices in place of the input box | `waiting`, `waitingFor` |
//! | first start | none yet | `Welcome to Claude Code`, choices, no input box | no such file yet |
//! | not logged in | `✳ …` | input box; the last prompt was answered with `⎿  Not logged in` | `idle` |
//!
//! Delays, measured on two busy cores: a prompt shows as working in 0.1 s everywhere. A question is on the screen 0.5 to 0.7 s
//! after the model has asked for the tool (until then `Waiting for permission…` and the looks of working), in the file after
//! 0.1 to 0.2 s, and its hook `PermissionRequest` is called after 0.1 to 0.2 s. The end of a turn shows in 0.1 s, a denial or
//! Esc in 0.2 s; of these two no hook is called.

use serde_json::Value;

use crate::drivers::common::screen::{
    Prompt, Seen, bottom, choice, end, first_choice, indent, is_rule, is_turning, is_yes_or_no, lines, paragraphs,
    tries, wants_login,
};
use crate::model::wait::{Needs, Retry};

/// The cursor of a list, also the sign before the input.
const CURSOR: char = '❯';

/// What turns before the words for what it does, in the first column.
const SPINNER: [char; 7] = ['·', '✢', '✳', '✶', '✻', '✽', '*'];

/// Returns what the program does. The screen's choices win over the title, because a helper of its own can ask while it works.
pub(in crate::drivers) fn see(title: &str, screen: &str) -> Seen {
    let works = is_turning(title) || title.starts_with(['◐', '◑', '◒', '◓']);
    let lines = lines(screen);
    if let Some(at) = input_box(&lines) {
        return Seen::at_prompt(works || at.says_working(&lines), at.follows_login_error(&lines));
    }
    if let Some(hint) = lines.last().filter(|line| line.contains("Showing detailed transcript")) {
        // The view of all that was printed hides everything else, and says a word of it.
        return match hint.trim_start() {
            hint if works || hint.starts_with("working ") => Seen::Working,
            hint if hint.starts_with("dialog waiting ") => Seen::Asking(Needs::Input),
            _ => Seen::Unknown,
        };
    }
    match question(&lines) {
        // What a person opens himself while it works is no question of its own.
        Some(Question::Menu) | None if works => Seen::Working,
        Some(Question::Permission) => Seen::Asking(Needs::Permission),
        Some(Question::Login) => Seen::Asking(Needs::Login),
        Some(Question::Choice | Question::Menu) => Seen::Asking(Needs::Input),
        None => Seen::Unknown,
    }
}

/// What it shows in its input box where nothing is typed.
const OWN_WORDS: [&str; 6] = [
    "Try \"",
    "Press up to ",
    "Press Enter to edit ",
    "Once fixed, resend",
    "Resend your message",
    "Run /rewind to go",
];

/// Returns the state of the input box. In shell mode it counts as filled, because typed text would be a command.
pub(in crate::drivers) fn prompt(screen: &str) -> Prompt {
    let lines = lines(screen);
    let Some(at) = input_box(&lines) else { return Prompt::Absent };
    let typed = lines[at.top + 1..at.under].join(" ");
    Prompt::with(typed.trim_start_matches(CURSOR), &OWN_WORDS)
}

/// The lines of the rules above and below the input.
struct InputBox {
    top: usize,
    under: usize,
}

/// The input box, if it is what the screen ends with.
fn input_box(lines: &[&str]) -> Option<InputBox> {
    // Under it are hints, or a status line of the user's.
    let under = lines.iter().rposition(|line| is_rule(line, '─')).filter(|at| lines.len() - at <= 6)?;
    let top = lines[..under].iter().rposition(|line| is_rule(line, '─'))?;
    // In shell mode the sign is another one; where more was typed than is shown, the rule says so: `─── ↑ 2 more ───`.
    let is_typed_into = lines[top + 1].starts_with([CURSOR, '!']) || lines[top].contains("─ ↑ ");
    is_typed_into.then_some(InputBox { top, under })
}

impl InputBox {
    fn says_working(&self, lines: &[&str]) -> bool {
        let hints = &lines[self.under + 1..];
        if hints.iter().any(|line| line.contains("esc to interrupt")) {
            return true;
        }
        // Where hints are cut or replaced: `✶ Thinking… (3s · ↓ 7 tokens)` in the first column, which no text of the model has.
        let spinner = |line: &&&str| line.starts_with(SPINNER);
        self.above(lines).iter().rev().take(4).find(spinner).is_some_and(|line| line.contains('…'))
    }

    /// `❯ prompt` and right under it `⎿  Not logged in · Please run /login`: nothing came of the last prompt but that.
    fn follows_login_error(&self, lines: &[&str]) -> bool {
        let above = self.above(lines);
        let Some(at) = above.iter().rposition(|line| line.starts_with("  ⎿")) else { return false };
        let is_last = above[at + 1..].iter().all(|line| !line.is_empty() && indent(line) > 2);
        // The prompt may be several lines long.
        let is_answer = above[..at].iter().rev().find(|line| indent(line) == 0).is_some_and(|l| l.starts_with(CURSOR));
        is_last && is_answer && wants_login(above[at..].iter().map(|line| line.trim_start_matches([' ', '⎿'])))
    }

    /// What was printed, without the hints that stand at the right side above the box.
    fn above<'a, 'b>(&self, lines: &'a [&'b str]) -> &'a [&'b str] {
        let is_nothing = |line: &&str| line.is_empty() || indent(line) > 10;
        let printed = lines[..self.top].iter().rposition(|line| !is_nothing(line)).map_or(0, |at| at + 1);
        &lines[..printed]
    }
}

/// What a list of choices is about.
enum Question {
    /// May it do this?
    Permission,
    /// Which account, which key?
    Login,
    /// The model asks something, or the first start does.
    Choice,
    /// A menu that a person has opened.
    Menu,
}

/// The question in place of the input box, if there is one.
fn question(lines: &[&str]) -> Option<Question> {
    // A menu that is taller than the terminal has no hint, but always its upper edge.
    let is_menu = lines.iter().any(|line| is_rule(line, '▔'));
    let lines = bottom(lines);
    let hint = end(lines, 2);
    let says = |words: &[&str]| lines.iter().any(|line| words.iter().any(|word| line.contains(word)));
    let is_first_start = lines.iter().any(|line| line.starts_with("Welcome to Claude Code"));
    let has_cursor = lines.iter().any(|line| indent(line) <= 4 && line.trim_start().starts_with(CURSOR));
    let has_hint = ["Esc to ", "Enter to "].iter().any(|key| hint.contains(key));
    let ends_in_choices = lines.iter().rev().take(3).any(|line| choice(line, CURSOR).is_some_and(|(n, _)| n > 1));
    if !(has_hint || is_menu || has_cursor && (is_first_start || ends_in_choices)) {
        return None;
    }
    let is_for_select = hint.contains("Enter to select");
    let is_permission = is_yes_or_no(lines, CURSOR) || !hint.contains("Enter to ") && is_no_or_yes(lines);
    if !is_for_select && is_permission {
        return Some(Question::Permission);
    }
    if says(&["Select login method", "How do you want to sign in", "use this API key", "Paste code here"]) {
        return Some(Question::Login);
    }
    let is_at_start = is_first_start || hint.contains("Enter to confirm");
    Some(if is_for_select || is_at_start { Question::Choice } else { Question::Menu })
}

/// Returns whether the screen ends with choices without numbers, one of which is yes and one no: the permission that auto
/// mode asks for where it cannot check.
fn is_no_or_yes(lines: &[&str]) -> bool {
    let Some(at) = lines.iter().rposition(|line| line.trim_start().starts_with(CURSOR)) else { return false };
    let is_empty = |line: &&str| line.is_empty();
    let from = lines[..at].iter().rposition(is_empty).map_or(0, |empty| empty + 1);
    let to = lines[at..].iter().position(is_empty).map_or(lines.len(), |n| at + n);
    let texts = || lines[from..to].iter().map(|line| line.trim_start().trim_start_matches(CURSOR).trim_start());
    ["Yes", "No"].iter().all(|word| texts().any(|text| text.starts_with(word)))
}

/// Returns where the dialog begins: below the last line drawn from side to side that does not stand between two choices.
fn edge(lines: &[&str]) -> Option<usize> {
    let is_edge = |line: &str| is_rule(line.trim_start(), '─') || is_rule(line, '▔');
    let goes_on = |at: usize| {
        let next = lines[at + 1..].iter().find(|line| !line.is_empty());
        next.and_then(|line| choice(line, CURSOR)).is_some_and(|(n, _)| n > 1)
    };
    (0..lines.len()).rev().find(|at| is_edge(lines[*at]) && !goes_on(*at))
}

/// Returns which retry of its service it is at: `✻ Connection refused · retrying in 2s · attempt 3/10` above its input box.
pub(in crate::drivers) fn retrying(screen: &str) -> Option<Retry> {
    let lines = lines(screen);
    let above = input_box(&lines)?.above(&lines);
    let at = above.iter().rposition(|line| line.starts_with(SPINNER))?;
    let status = paragraphs(&above[at..]).swap_remove(0);
    let (why, rest) = status.trim_start_matches(SPINNER).trim().split_once(" · retrying in ")?;
    // Behind the count may stand what to do.
    let count = rest.split_once("attempt ").and_then(|(_, count)| count.split(' ').next());
    let (attempt, of) = tries(count.unwrap_or_default());
    Some(Retry { attempt, of, why: why.to_owned(), limited_until: None })
}

/// Returns what exactly the program asks: the words at the head of its choices; above its input box, why its service refuses it.
pub(in crate::drivers) fn asked(screen: &str) -> Option<String> {
    let lines = lines(screen);
    if let Some(at) = input_box(&lines).filter(|at| at.follows_login_error(&lines)) {
        let above = at.above(&lines);
        let error = &above[above.iter().rposition(|line| line.starts_with("  ⎿"))?..];
        return Some(paragraphs(error).join(" ").trim_start_matches(['⎿', ' ']).to_owned());
    }
    let question = question(&lines)?;
    let Some(edge) = edge(&lines) else {
        // The first start: what it is about stands right above.
        return paragraphs(&lines[..first_choice(&lines, CURSOR)?]).pop();
    };
    let Some(choices) = first_choice(&lines[edge + 1..], CURSOR).map(|at| edge + 1 + at) else {
        // A dialog without choices, which is answered with keys: its heading. What stands above the dialog is no part of it.
        return paragraphs(&lines[edge + 1..]).into_iter().next();
    };
    let mut dialog = lines[edge + 1..choices].iter().map(|line| line.trim()).filter(|line| !line.is_empty());
    let (head, next) = (dialog.next()?, dialog.next().unwrap_or_default());
    let dotted = |line: &&str| is_rule(line.trim_start(), '╌');
    // What a tool is given stands between two dotted lines.
    let mut parts = lines[edge + 1..choices].split(|line| dotted(line)).skip(1);
    let given = parts.next().map(|given| paragraphs(given).join(" ")).unwrap_or_default();
    Some(match (question, head) {
        (Question::Permission, "Bash command") => format!("run Bash: {given}"),
        (Question::Permission, "Create file" | "Edit file" | "Overwrite file") => format!("write {next}"),
        (Question::Permission, "Fetch") if given.starts_with("url: ") => {
            format!("fetch {}", given["url: ".len()..].split(' ').next().unwrap_or_default())
        }
        (Question::Permission, "Tool use") => {
            format!("use {}: {given}", next.trim_end_matches("(MCP)").trim_end_matches([' ', ':']))
        }
        (Question::Permission, _) => {
            let mut letters = head.trim_end_matches('?').chars();
            letters.next().map(|first| first.to_lowercase().chain(letters).collect())?
        }
        // `☐ Database`, and under it the question.
        (_, head) if head.starts_with(['☐', '☒', '✔', '←']) => paragraphs(&lines[edge + 1..choices]).pop()?,
        (_, head) if head.ends_with(':') => format!("{head} {next}"),
        // A narrow terminal has wrapped it.
        (_, head) => match next.starts_with(char::is_lowercase) {
            true => format!("{head} {next}"),
            false => head.to_owned(),
        },
    })
}

/// What claude writes about itself, in the file `sessions/PID.json` of its configuration's folder: `status`, and what it
/// waits for. Quicker than its screen, and of one meaning; but it is not there before the first screens are answered, and an
/// idle one may be one that is not logged in.
pub(in crate::drivers) fn status(said: &Value) -> Seen {
    match (said["status"].as_str(), said["waitingFor"].as_str()) {
        (Some("busy"), _) => Seen::Working,
        (Some("idle"), _) => Seen::Idle,
        (Some("waiting"), Some("permission prompt" | "sandbox request" | "worker request" | "goal proposal")) => {
            Seen::Asking(Needs::Permission)
        }
        // "input needed", "dialog open", and what later versions wait for: a person is wanted.
        (Some("waiting"), _) => Seen::Asking(Needs::Input),
        _ => Seen::Unknown,
    }
}
