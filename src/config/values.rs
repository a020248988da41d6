//! Single values of sessions.toml: how they are written, and which values are rejected.

use std::path::{Path, PathBuf};

use super::{
    Auth, EscalationRule,
    diagnostics::At,
    role::Sandbox,
    section::{Either, Section},
};
use crate::{
    drivers::{DriverKind, Mode, PromptForm},
    model::{approval::ApprovalRule, collision::CollisionRule, network::Network, question::Approval, socket, suggest},
};

/// Checks a word that is passed to an agent program, which must not take it for an option.
pub(super) fn word(text: &str) -> Result<&str, String> {
    match filled(text)? {
        text if text.starts_with('-') => {
            Err(format!("'{}' looks like an option; options go into args", suggest::printable(text)))
        }
        text => Ok(text),
    }
}

pub(super) fn driver_names() -> Vec<&'static str> {
    DriverKind::all().map(DriverKind::as_str).collect()
}

pub(super) fn agent_names() -> Vec<&'static str> {
    DriverKind::agents().map(DriverKind::as_str).collect()
}

pub(super) fn agent_program(text: &str) -> Result<DriverKind, String> {
    let known = text.parse().ok().filter(|kind: &DriverKind| kind.program().is_some());
    known.ok_or_else(|| {
        let names = agent_names();
        let meant = suggest::nearest(text, names.iter().copied())
            .map_or(String::new(), |name| format!("; did you mean '{name}'?"));
        format!(
            "'{}' is no agent program that orch knows; there are {}{meant}",
            suggest::printable(text),
            names.join(", ")
        )
    })
}

pub(super) fn sandbox(text: &str) -> Result<Sandbox, String> {
    match text {
        "none" => Ok(Sandbox::None),
        "bwrap" => Ok(Sandbox::Bwrap),
        _ => Err(format!("'{}' is neither \"none\" nor \"bwrap\"", suggest::printable(text))),
    }
}

pub(super) fn network(table: &mut Section<'_, '_>) -> Option<At<Network>> {
    let word = |text: &str| match text {
        "all" => Ok(Network::All),
        "none" => Ok(Network::None),
        _ => Err(format!(
            "'{}' is neither \"all\" nor \"none\"; a list names destinations, such as [\"api.example.com:443\"]",
            suggest::printable(text)
        )),
    };
    let At { line, value } = table.one_of_or_list("network", &["all", "none"], word, str::parse)?;
    let value = match value {
        Either::Word(network) => network,
        Either::List(list) if list.is_empty() => Network::None,
        Either::List(list) => Network::Only(list.into_iter().map(|at| at.value).collect()),
    };
    Some(At { line, value })
}

/// Reads what becomes of a delegation to a role with more rights.
pub(super) fn escalation(text: &str) -> Result<EscalationRule, String> {
    match text {
        "approve" => Ok(EscalationRule::Approve),
        "refuse" => Ok(EscalationRule::Refuse),
        _ => Err(format!("'{}' is neither \"approve\" nor \"refuse\"", suggest::printable(text))),
    }
}

/// Reads when a person is asked about a task.
pub(super) fn approval(text: &str) -> Result<ApprovalRule, String> {
    let unknown = |_| format!("'{}' is none of \"none\", \"before\", \"after\"", suggest::printable(text));
    text.parse().map_err(unknown)
}

/// Reads a regular expression of the texts that are for a role.
pub(super) fn route(text: &str) -> Result<(), String> {
    let wrong = |why| format!("'{}' is no regular expression: {why}", suggest::printable(text));
    filled(text).and_then(|text| crate::routing::check(text).map_err(wrong))
}

/// Reads a word for what a role can do.
pub(super) fn tag(text: &str) -> Result<(), String> {
    let is_of_tag = |c: char| c.is_alphanumeric() || "-_.+#".contains(c);
    match text {
        text if !text.is_empty() && text.len() <= 64 && text.chars().all(is_of_tag) => Ok(()),
        _ => {
            Err(format!("'{}' is no tag: write letters, digits, '-', '_', '.', '+' and '#'", suggest::printable(text)))
        }
    }
}

/// Reads what is decided about a task when nobody has decided in time.
pub(super) fn approval_default(text: &str) -> Result<Approval, String> {
    match text {
        "approve" => Ok(Approval::Approved),
        "deny" => Ok(Approval::Denied),
        _ => Err(format!("'{}' is neither \"approve\" nor \"deny\"", suggest::printable(text))),
    }
}

/// Reads what happens at an edit of what another task has locked.
pub(super) fn on_collision(text: &str) -> Result<CollisionRule, String> {
    let unknown = |_| format!("'{}' is none of \"warn\", \"deny\", \"off\"", suggest::printable(text));
    text.parse().map_err(unknown)
}

/// Reads the name of an account.
pub(super) fn account(text: &str) -> Result<String, String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    match text {
        text if !text.is_empty() && text.len() <= 64 && text.chars().all(is_of_name) => Ok(text.to_owned()),
        _ => Err(format!(
            "'{}' is no name of an account: write letters, digits, '-', '_', '.' and '@'",
            suggest::printable(text)
        )),
    }
}

/// Reads a share, such as `90%`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let percent: Option<f64> = text.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
    percent
        .filter(|percent| (1.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| format!("'{}' is not a share from 1% to 100%, such as \"90%\"", suggest::printable(text)))
}

/// Reads with which account a program works.
pub(super) fn auth(text: &str) -> Result<Auth, String> {
    match text {
        "login" => Ok(Auth::Login),
        "key" => Ok(Auth::Key),
        _ => Err(format!("'{}' is neither \"login\" nor \"key\"", suggest::printable(text))),
    }
}

/// Reads whether a task is held when a tool was denied.
pub(super) fn on_denial(text: &str) -> Result<bool, String> {
    match text {
        "hold" => Ok(true),
        "accept" => Ok(false),
        _ => Err(format!("'{}' is neither \"hold\" nor \"accept\"", suggest::printable(text))),
    }
}

/// Reads what an agent gets for a task.
pub(super) fn prompt(text: &str) -> Result<PromptForm, String> {
    match text {
        "full" => Ok(PromptForm::Full),
        "bare" => Ok(PromptForm::Bare),
        _ => Err(format!("'{}' is neither \"full\" nor \"bare\"", suggest::printable(text))),
    }
}

pub(super) fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "headless" => Ok(Mode::Headless),
        "interactive" => Ok(Mode::Interactive),
        _ => Err(format!("'{}' is neither \"headless\" nor \"interactive\"", suggest::printable(text))),
    }
}

/// Checks an address of Redis. The address is not in the message, because it may contain a password.
pub(super) fn redis_address(text: &str) -> Result<String, String> {
    let known = ["redis://", "rediss://", "unix://", "redis+unix://"];
    if !known.iter().any(|scheme| text.starts_with(scheme)) {
        return Err(format!("an address of Redis begins with one of {}", known.join(", ")));
    }
    if let Some((_, path)) = text.split_once("unix://")
        && !path.starts_with('/')
    {
        return Err("after unix:// comes the absolute path of a socket: unix:///run/redis.sock".to_owned());
    }
    Ok(text.to_owned())
}

/// Checks what `tmux -L` (a name) or `tmux -S` (a path) accepts.
pub(super) fn socket(text: &str) -> Result<String, String> {
    let shown = suggest::printable(text);
    if text.is_empty() || text == "." || text == ".." || text.chars().any(char::is_control) {
        return Err(format!("'{shown}' is neither a socket's name nor its absolute path"));
    }
    if text.contains('/') && !Path::new(text).is_absolute() {
        return Err(format!("'{shown}' is neither a name (without '/') nor an absolute path"));
    }
    let longest = socket::LONGEST_PATH;
    if text.len() > longest {
        return Err(format!("'{shown}' is longer than the {longest} bytes that a socket's path can have"));
    }
    Ok(text.to_owned())
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    filled(text).map(PathBuf::from)
}

pub(super) fn filled(text: &str) -> Result<&str, String> {
    match text {
        "" => Err("it is empty; leave the key out for its default".to_owned()),
        text if text.contains('\0') => Err("it contains a NUL".to_owned()),
        text => Ok(text),
    }
}

pub(super) fn command_word(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("a word contains a NUL".to_owned()) } else { Ok(()) }
}

/// Checks an environment variable (environ(7)). The variables `ORCH_...` identify an agent, so no role may set them.
pub(super) fn variable(name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(format!("'{}' can't name an environment variable", suggest::printable(name)));
    }
    if value.contains('\0') {
        return Err("its value contains a NUL".to_owned());
    }
    if name.starts_with("ORCH_") {
        return Err(format!("orch sets the variables ORCH_... itself; rename '{}'", suggest::printable(name)));
    }
    Ok(())
}
