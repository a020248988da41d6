//! `orch complete`, which the completion scripts call: ids with their texts, agents and roles that the last word may become.
//! What is known without the project (verbs, options, words of a list) is in the scripts themselves.

use clap::{Arg, CommandFactory};

use super::{
    Session,
    args::{Cli, Complete},
    stdio::End,
};
use crate::ops::{Candidate, Completing, StateFilter};

/// Prints a line per candidate: the word, a tab, and what it is.
pub(super) async fn run(args: &Complete, session: &mut Session) -> Result<u8, End> {
    // The first word is the program's name.
    let Some(of) = completing(args.words.get(1..).unwrap_or_default()) else { return Ok(0) };
    let begun = args.words.last().map(String::as_str).unwrap_or_default();
    // A shell that completes a line shows no errors.
    let Ok(client) = session.client().await else { return Ok(0) };
    let found: Vec<Candidate> = client.candidates(of, begun.to_owned()).await.unwrap_or_default();
    for one in found {
        session.out.text(&format!("{}\t{}\n", one.word, one.about))?;
    }
    Ok(0)
}

/// What the last of these words is going to be, if that is something that the project knows.
fn completing(words: &[String]) -> Option<Completing> {
    let (last, before) = words.split_last()?;
    if last.starts_with('-') {
        return None;
    }
    let all = Cli::command();
    let (mut verb, mut at, mut option) = (None, 0, None);
    for word in before {
        let command = verb.unwrap_or(&all);
        if option.take().is_some() {
            continue;
        }
        if word.starts_with('-') && word.len() > 1 {
            option = find_option(command, word).or_else(|| find_option(&all, word));
        } else if verb.is_none() {
            verb = Some(all.find_subcommand(word)?);
        } else {
            at += 1;
        }
    }
    let verb = verb?;
    let arg = option.or_else(|| positional(verb, at))?;
    let name = arg.get_value_names()?.first()?.as_str();
    let states = || match verb.get_name() {
        "cancel" | "kill" | "attach" => vec![StateFilter::Open],
        "retry" => vec![StateFilter::Failed, StateFilter::Cancelled, StateFilter::Held, StateFilter::Delayed],
        "result" => vec![StateFilter::Ended],
        _ => Vec::new(),
    };
    match (verb.get_name(), name) {
        ("attach" | "kill", "TASK|AGENT") => Some(Completing::TaskOrAgent(vec![StateFilter::Running])),
        (_, "TASK|AGENT") => Some(Completing::TaskOrAgent(states())),
        (_, "TASK") => Some(Completing::Task(states())),
        (_, "TASK[#N]") => Some(Completing::Question),
        (_, "AGENT") => Some(Completing::Agent),
        (_, "ROLE") => Some(Completing::Role),
        _ => None,
    }
}

/// The option that a word is, if it takes a value that is a word of its own.
fn find_option<'a>(command: &'a clap::Command, word: &str) -> Option<&'a Arg> {
    let is_it = |arg: &&Arg| match word.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some_and(|short| word == format!("-{short}")),
    };
    command.get_arguments().filter(|arg| arg.get_action().takes_values()).find(is_it)
}

/// The argument at this place; the last one may take several words.
fn positional(verb: &clap::Command, at: usize) -> Option<&Arg> {
    let all: Vec<&Arg> = verb.get_positionals().collect();
    let last = all.last().copied().filter(|arg| matches!(arg.get_action(), clap::ArgAction::Append));
    all.get(at).copied().or(last)
}

/// The script of clap's for a shell, with the words that the project knows: bash, zsh and fish.
pub(super) fn script(shell: clap_complete::Shell, of_clap: &str) -> String {
    use clap_complete::Shell;
    match shell {
        Shell::Bash => format!("{of_clap}{BASH}"),
        Shell::Fish => format!("{of_clap}{FISH}"),
        Shell::Zsh => match of_clap.split_once("if [ \"$funcstack[1]\" = \"_orch\" ]") {
            Some((functions, end)) => format!("{functions}{ZSH}if [ \"$funcstack[1]\" = \"_orch\" ]{end}"),
            None => of_clap.to_owned(),
        },
        _ => of_clap.to_owned(),
    }
}

/// Several candidates are listed with what they are; a single one is only typed.
const BASH: &str = r#"
_orch_words() {
    local lines=() line
    mapfile -t lines < <("$1" complete -- "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
    if ((${#lines[@]} == 0)); then
        _orch "$@"
        return
    fi
    COMPREPLY=()
    for line in "${lines[@]}"; do
        if ((${#lines[@]} == 1)); then
            COMPREPLY+=("${line%%$'\t'*}")
        else
            COMPREPLY+=("${line%%$'\t'*}  (${line#*$'\t'})")
        fi
    done
}
complete -F _orch_words -o nosort -o bashdefault -o default orch
"#;

const FISH: &str = r#"
complete -c orch -k -a '(orch complete -- (commandline -opc) (commandline -ct) 2>/dev/null)'
"#;

const ZSH: &str = r#"functions[_orch_of_clap]=$functions[_orch]
_orch() {
    local -a lines found
    local line
    lines=(${(f)"$(command $words[1] complete -- ${words[1,CURRENT]} 2>/dev/null)"})
    if (( $#lines == 0 )); then
        _orch_of_clap "$@"
        return
    fi
    for line in $lines; do
        found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    _describe -V 'task, agent or role' found
}

"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Completing> {
        completing(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_place_of_a_word_tells_what_it_may_become() {
        let any = |states: &[StateFilter]| Some(Completing::TaskOrAgent(states.to_vec()));
        assert_eq!(of("show "), any(&[]));
        assert_eq!(of("--config /a/b.toml why t-7"), any(&[]));
        assert_eq!(of("cancel t-7k2m9qx4hz "), any(&[StateFilter::Open]));
        assert_eq!(of("kill "), any(&[StateFilter::Running]));
        assert_eq!(of("delegate --after t-"), Some(Completing::Task(Vec::new())));
        assert_eq!(of("delegate --role sh"), Some(Completing::Role));
        assert_eq!(of("scale "), Some(Completing::Role));
        assert_eq!(of("pause "), Some(Completing::Role));
        assert_eq!(of("tasks --role "), Some(Completing::Role));
        assert_eq!(of("answer "), Some(Completing::Question));
        for none in ["", "sho", "show --js", "scale shell ", "delegate text", "nonsense ", "tasks --state ", "logs -n "]
        {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
