//! `orch complete`, which the completion scripts call: the ids with their texts, the agents and the roles with which
//! the last word can be completed. The scripts themselves contain what does not depend on the project (verbs, options,
//! the values of an option), except the second and further words of a list, such as `--state held,failed`.

use clap::{Arg, CommandFactory, builder::PossibleValue};

use super::{
    Session,
    args::{Cli, Complete},
    stdio::End,
};
use crate::ops::{Candidate, Completing, StateFilter};

/// Prints a line per candidate: the word, a tab, and what it is.
pub(super) async fn run(args: &Complete, session: &mut Session) -> Result<u8, End> {
    // The first word is the program's name.
    let Some(place) = place(args.words.get(1..).unwrap_or_default()) else { return Ok(0) };
    let found = match place.of {
        Of::Project(of) => {
            // A shell that completes a line shows no errors.
            let Ok(client) = session.client().await else { return Ok(0) };
            client.candidates(of, place.begun).await.unwrap_or_default()
        }
        Of::List(words) => {
            let fits = words.into_iter().filter(|word| word.starts_with(&place.begun));
            fits.map(|word| Candidate { word, about: String::new() }).collect()
        }
    };
    for one in found {
        session.out.text(&format!("{}{}\t{}\n", place.before, one.word, one.about))?;
    }
    Ok(0)
}

/// What the last word of a line is going to be.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    of: Of,
    /// What stands before it in the same word: `--state=` or `held,`.
    before: String,
    /// What is typed of it.
    begun: String,
}

/// What completes a word.
#[derive(Debug, PartialEq, Eq)]
enum Of {
    /// Something that the project knows.
    Project(Completing),
    /// Words that are not in the list yet.
    List(Vec<String>),
}

/// What the last of these words is going to be, if that is not known to the script itself.
fn place(words: &[String]) -> Option<Place> {
    let (last, before) = words.split_last()?;
    if let Some((option, value)) = last.split_once('=').filter(|(option, _)| option.starts_with("--")) {
        let words = [before, &[option.to_owned(), value.to_owned()]].concat();
        let place = place(&words).filter(|_| !value.starts_with('-'))?;
        return Some(Place { before: format!("{option}={}", place.before), ..place });
    }
    if last.starts_with('-') {
        return None;
    }
    let (verb, arg) = argument(before)?;
    let listed = arg.get_value_delimiter().and_then(|delimiter| last.rsplit_once(delimiter));
    if let (Some((earlier, begun)), Some(delimiter)) = (listed, arg.get_value_delimiter()) {
        let known = arg.get_possible_values();
        let is_new = |word: &&str| !earlier.split(delimiter).any(|one| one == *word);
        let words = known.iter().map(PossibleValue::get_name).filter(is_new).map(str::to_owned).collect();
        return Some(Place { of: Of::List(words), before: format!("{earlier}{delimiter}"), begun: begun.to_owned() });
    }
    let of = completing(&verb, &arg)?;
    Some(Place { of: Of::Project(of), before: String::new(), begun: last.clone() })
}

/// The verb and its argument that the word after these belongs to.
fn argument(before: &[String]) -> Option<(String, Arg)> {
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
        } else if let Some(below) = verb.filter(|_| at == 0).and_then(|verb| verb.find_subcommand(word)) {
            verb = Some(below);
        } else {
            at += 1;
        }
    }
    let verb = verb?;
    let arg = option.or_else(|| positional(verb, at))?;
    Some((verb.get_name().to_owned(), arg.clone()))
}

/// What an argument of a verb names, if that is something that the project knows.
fn completing(verb: &str, arg: &Arg) -> Option<Completing> {
    let name = arg.get_value_names()?.first()?.as_str();
    let states = || match verb {
        "cancel" | "kill" | "attach" => vec![StateFilter::Open],
        "retry" => vec![StateFilter::Failed, StateFilter::Cancelled, StateFilter::Held, StateFilter::Delayed],
        "result" => vec![StateFilter::Ended],
        _ => Vec::new(),
    };
    match (verb, name) {
        ("attach" | "kill", "TASK|AGENT") => Some(Completing::TaskOrAgent(vec![StateFilter::Running])),
        (_, "TASK|AGENT") => Some(Completing::TaskOrAgent(states())),
        (_, "TASK|PLAN|AGENT" | "TASK|PLAN") => Some(Completing::Any(states())),
        (_, "PLAN") => Some(Completing::Plan),
        (_, "TASK") => Some(Completing::Task(states())),
        (_, "TASK[#N]") => Some(Completing::Question),
        (_, "AGENT") => Some(Completing::Agent),
        (_, "ROLE") => Some(Completing::Role),
        (_, "SCHEDULE") => Some(Completing::Schedule),
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
        Shell::Fish => format!("{of_clap}{FISH}{}", fish_options()),
        Shell::Zsh => match of_clap.split_once("if [ \"$funcstack[1]\" = \"_orch\" ]") {
            Some((functions, end)) => format!("{functions}{ZSH}if [ \"$funcstack[1]\" = \"_orch\" ]{end}"),
            None => of_clap.to_owned(),
        },
        _ => of_clap.to_owned(),
    }
}

/// Several candidates are listed with what they are; a single one is only typed. bash takes `@` and `=` for words of their
/// own, so the words are joined again. It replaces what stands after `=`, and what begins with `@`.
const BASH: &str = r#"
_orch_words() {
    local lines=() words=() line word begun='' about i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $begun == *[@=] || $word == = && $begun == --* ]]; then
            words[${#words[@]}-1]+=$word
        else
            words+=("$word")
        fi
        begun=${words[${#words[@]}-1]}
    done
    # The part of the last word that stays as it is.
    [[ $begun == --*=* ]] && begun=${begun%%=*}= || begun=''
    mapfile -t lines < <("$1" complete -- "${words[@]}" 2>/dev/null)
    if ((${#lines[@]} == 0)); then
        _orch "$@"
        return
    fi
    COMPREPLY=()
    for line in "${lines[@]}"; do
        word=${line%%$'\t'*} about=${line#*$'\t'}
        word=${word#"$begun"}
        if ((${#lines[@]} == 1)) || [[ -z $about ]]; then
            COMPREPLY+=("$word")
        else
            COMPREPLY+=("$word  ($about)")
        fi
    done
}
complete -F _orch_words -o nosort -o bashdefault -o default orch
"#;

/// fish compares the value of `--role=` without its option.
const FISH: &str = r#"
function __orch_words
    set -l words (commandline -opc) (commandline -ct)
    orch complete -- $words 2>/dev/null | string replace -r -- '^--[^=\t]*=' ''
end
complete -c orch -k -a '(__orch_words)'
"#;

/// fish asks an option's own completions for its value.
fn fish_options() -> String {
    let mut out = String::new();
    for verb in Cli::command().get_subcommands() {
        let is_ours = |arg: &&Arg| completing(verb.get_name(), arg).is_some() || arg.get_value_delimiter().is_some();
        for long in verb.get_opts().filter(is_ours).filter_map(Arg::get_long) {
            let verb = verb.get_name();
            out.push_str(&format!(
                "complete -c orch -n \"__fish_orch_using_subcommand {verb}\" -l {long} -x -k -a '(__orch_words)'\n"
            ));
        }
    }
    out
}

const ZSH: &str = r#"functions[_orch_of_clap]=$functions[_orch]
_orch() {
    local -a lines found
    local line about
    lines=(${(f)"$(command $words[1] complete -- "${(@)words[1,CURRENT]}" 2>/dev/null)"})
    if (( $#lines == 0 )); then
        _orch_of_clap "$@"
        return
    fi
    for line in $lines; do
        about=${line#*$'\t'}
        found+=("${${line%%$'\t'*}//:/\\:}${about:+:$about}")
    done
    _describe -V 'task, agent or role' found
}

"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(line: &str) -> Option<Place> {
        place(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    fn of(line: &str) -> Option<Completing> {
        placed(line).map(|place| match place.of {
            Of::Project(of) => of,
            Of::List(words) => panic!("{line}: {words:?}"),
        })
    }

    #[test]
    fn the_words_of_a_list_are_completed_one_by_one() {
        let state = placed("tasks --state held,fa").unwrap();
        assert_eq!((state.before.as_str(), state.begun.as_str()), ("held,", "fa"));
        let Of::List(words) = state.of else { panic!("{:?}", state.of) };
        assert!(words.contains(&"failed".to_owned()) && !words.contains(&"held".to_owned()), "{words:?}");
        let state = placed("tasks --state=held,asks,").unwrap();
        assert_eq!((state.before.as_str(), state.begun.as_str()), ("--state=held,asks,", ""));
        let role = placed("delegate --role=so").unwrap();
        assert_eq!((role.before.as_str(), role.begun.as_str()), ("--role=", "so"));
        assert_eq!(role.of, Of::Project(Completing::Role));
    }

    #[test]
    fn the_place_of_a_word_tells_what_it_may_become() {
        let any = |states: &[StateFilter]| Some(Completing::Any(states.to_vec()));
        assert_eq!(of("show "), any(&[]));
        assert_eq!(of("plan show "), Some(Completing::Plan));
        assert_eq!(of("plan retry check"), Some(Completing::Plan));
        assert_eq!(of("tasks --plan "), Some(Completing::Plan));
        assert_eq!(of("--config /a/b.toml why t-7"), any(&[]));
        assert_eq!(of("cancel t-7k2m9qx4hz "), any(&[StateFilter::Open]));
        assert_eq!(of("kill "), Some(Completing::TaskOrAgent(vec![StateFilter::Running])));
        assert_eq!(of("delegate --after t-"), any(&[]));
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
