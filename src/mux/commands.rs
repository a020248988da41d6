//! The tmux commands that orch uses, and the parser of their listing.

use std::ffi::{OsStr, OsString};

use tmux_interface::{
    DetachClient, DisplayMessage, IfShell, KillSession, ListPanes, NewSession, SetOption, TmuxCommand,
};

use super::{MuxError, Opened, Result, SessionInfo, SessionSpec, Tags, quote};

/// The tags of a session of ours. `PANE` is the id of the agent's own pane, regardless of other panes in the window.
const NAMESPACE: &str = "@orch-namespace";
const AGENT: &str = "@orch-agent";
const INCARNATION: &str = "@orch-incarnation";
pub(super) const PANE: &str = "@orch-pane";

/// The output of a guarded command when the session is not ours.
pub(super) const OTHER: &str = "orch:other";

/// Commands that tmux runs as one sequence, without interleaved commands of other clients; the first failure drops the
/// rest.
#[derive(Debug, Clone)]
pub(super) struct Batch(Vec<Vec<OsString>>);

impl Batch {
    pub(super) fn new(commands: Vec<Vec<OsString>>) -> Self {
        Batch(commands)
    }

    /// Returns them as arguments of a tmux process.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let commands: Vec<Vec<OsString>> =
            self.0.iter().map(|words| words.iter().map(|word| quote::process_word(word)).collect()).collect();
        commands.join(&OsString::from(";"))
    }
}

pub(super) fn words(command: TmuxCommand<'_>) -> Vec<OsString> {
    command.to_vec().into_iter().map(|word| OsString::from(word.into_owned())).collect()
}

/// Returns a target that matches exactly this session name, valid for any target type.
pub(super) fn target(name: &str) -> String {
    format!("={name}:")
}

fn set(name: &str, option: &str, value: &str) -> Vec<OsString> {
    words(SetOption::new().target_pane(target(name)).option(option).value(value).build())
}

fn set_window(name: &str, option: &str, value: &str) -> Vec<OsString> {
    words(SetOption::new().window().target_pane(target(name)).option(option).value(value).build())
}

/// Returns the words of a new session's command. tmux passes a single word to the user's shell; `env` prevents that.
fn command_words(argv: &[OsString]) -> Vec<OsString> {
    let mut words = vec![OsString::from("--")];
    if argv.len() == 1 {
        words.push("env".into());
    }
    words.extend_from_slice(argv);
    words
}

/// Creates the session and tags it. User options that would keep or end the session by other rules are overridden for
/// this session only.
pub(super) fn open(spec: &SessionSpec) -> Batch {
    let name = spec.name.as_str();
    let mut new = words(
        NewSession::new()
            .detached()
            .print()
            .format("#{session_id} #{pane_id} #{pane_pid}")
            .session_name(name)
            .width(spec.size.0.into())
            .height(spec.size.1.into())
            .build(),
    );
    new.extend(["-c".into(), quote::format_literal(spec.cwd.as_os_str())]);
    for (key, value) in &spec.env {
        new.extend(["-e".into(), OsString::from(format!("{key}={value}"))]);
    }
    new.extend(command_words(&spec.argv));
    let own_pane = SetOption::new().format().target_pane(target(name)).option(PANE).value("#{pane_id}");
    Batch(vec![
        new,
        set(name, NAMESPACE, &spec.tags.namespace),
        set(name, AGENT, &spec.tags.agent),
        set(name, INCARNATION, &spec.tags.incarnation),
        words(own_pane.build()),
        set_window(name, "remain-on-exit", "off"),
        set(name, "destroy-unattached", "off"),
    ])
}

/// Opens a session without our tags, as a user would.
pub(super) fn open_untagged(name: &str, argv: &[OsString]) -> Batch {
    let mut new = words(NewSession::new().detached().session_name(name).build());
    new.extend(command_words(argv));
    Batch(vec![new])
}

/// Parses the output of [`open`]: tmux's id of the session (`$3`), and the result for the caller. A user's hooks may
/// print additional lines.
pub(super) fn opened(text: &str) -> Option<(String, Opened)> {
    let mut fields = text.lines().find(|line| line.starts_with('$'))?.split(' ');
    let (session, pane, pid) = (fields.next()?, fields.next()?, fields.next()?);
    Some((session.to_owned(), Opened { pane_pid: pid.parse().ok()?, pane_id: pane.to_owned() }))
}

/// Kills a session by tmux's own id, which is never reused.
pub(super) fn kill(session_id: &str) -> Batch {
    Batch(vec![words(KillSession::new().target_session(session_id).build())])
}

/// Returns the condition that a session's tags are exactly these.
pub(super) fn are_tags(tags: &Tags) -> String {
    let is = |option: &str, value: &str| format!("#{{==:#{{{option}}},{value}}}");
    format!(
        "#{{&&:{},#{{&&:{},{}}}}}",
        is(NAMESPACE, &tags.namespace),
        is(AGENT, &tags.agent),
        is(INCARNATION, &tags.incarnation)
    )
}

/// Runs `command` if the session's tags are exactly these, else prints [`OTHER`]; tmux checks and acts atomically.
fn guarded(name: &str, tags: &Tags, command: TmuxCommand<'_>) -> Batch {
    let mut guard = words(
        IfShell::new()
            .not_execute()
            .target_pane(target(name))
            .shell_command(are_tags(tags))
            .command(command.to_string())
            .build(),
    );
    guard.push(words(DisplayMessage::new().print().message(OTHER).build()).join(OsStr::new(" ")));
    Batch(vec![guard])
}

/// Returns whether a guarded command found the session to be ours.
pub(super) fn was_ours(text: &str) -> bool {
    !text.lines().any(|line| line == OTHER)
}

pub(super) fn close(name: &str, tags: &Tags) -> Batch {
    guarded(name, tags, KillSession::new().target_session(format!("={name}")).build())
}

pub(super) fn detach_clients(name: &str, tags: &Tags) -> Batch {
    guarded(name, tags, DetachClient::new().target_session(format!("={name}")).build())
}

/// Lists all panes of the server. The separators are printable, because some versions mask control characters: no
/// session name contains `:`, and our tags, which come last, contain neither `:` nor spaces.
pub(super) fn list() -> Batch {
    let format = format!(
        "#{{session_id}}:#{{session_created}}:#{{session_attached}}:#{{pane_id}}:#{{pane_pid}}:#{{pane_dead}}:\
         #{{session_name}}:#{{{NAMESPACE}}} #{{{AGENT}}} #{{{INCARNATION}}} #{{{PANE}}}"
    );
    Batch(vec![words(ListPanes::new().all().format(format).build())])
}

/// Parses the output of [`list`]: one session per id, with its own pane if that still exists. Lines that do not begin
/// with an id come from a user's hooks.
pub(super) fn listed(text: &str) -> Result<Vec<SessionInfo>> {
    let mut sessions: Vec<(&str, SessionInfo)> = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('$')) {
        let row = Row::parse(line)
            .ok_or_else(|| MuxError::Refused(format!("its list of panes has a line that cannot be read: {line:?}")))?;
        let known = sessions.last().is_some_and(|(id, _)| *id == row.session_id);
        if !known {
            sessions.push((row.session_id, row.session()));
        } else if row.is_own_pane() {
            sessions.pop();
            sessions.push((row.session_id, row.session()));
        }
    }
    Ok(sessions.into_iter().map(|(_, session)| session).collect())
}

struct Row<'a> {
    session_id: &'a str,
    created: u64,
    attached: u32,
    pane_id: &'a str,
    pane_pid: Option<u32>,
    name: &'a str,
    namespace: &'a str,
    agent: &'a str,
    incarnation: &'a str,
    own_pane: &'a str,
}

impl<'a> Row<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(8, ':');
        let mut field = || fields.next();
        let (session_id, created, attached) = (field()?, field()?.parse().ok()?, field()?.parse().ok()?);
        let (pane_id, pid, dead, name) = (field()?, field()?.parse().ok()?, field()? == "1", field()?);
        let mut tags = field()?.split(' ');
        let mut tag = || tags.next().unwrap_or_default();
        Some(Row {
            session_id,
            created,
            attached,
            pane_id,
            pane_pid: (!dead).then_some(pid),
            name,
            namespace: tag(),
            agent: tag(),
            incarnation: tag(),
            own_pane: tag(),
        })
    }

    fn tags(&self) -> Option<Tags> {
        let tags = Tags {
            namespace: self.namespace.to_owned(),
            agent: self.agent.to_owned(),
            incarnation: self.incarnation.to_owned(),
        };
        tags.check().is_ok().then_some(tags)
    }

    fn is_own_pane(&self) -> bool {
        self.own_pane == self.pane_id
    }

    fn session(&self) -> SessionInfo {
        let tags = self.tags();
        // Ours, but this is another pane: unless its own pane follows, the agent's pane is gone.
        let gone = tags.is_some() && !self.is_own_pane();
        SessionInfo {
            name: self.name.to_owned(),
            created: self.created,
            attached: self.attached,
            pane_id: if gone { self.own_pane } else { self.pane_id }.to_owned(),
            pane_pid: if gone { None } else { self.pane_pid },
            tags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_panes_becomes_sessions() {
        let text = "$1:17:0:%3:30:0:sonnet-1:shop sonnet-1 i-1 %3\n\
                    $1:17:0:%9:90:0:sonnet-1:shop sonnet-1 i-1 %3\n\
                    $2:18:2:%4:40:0:split first:shop sonnet-2 i-2 %5\n\
                    $2:18:2:%5:50:0:split first:shop sonnet-2 i-2 %5\n\
                    $3:19:0:%6:60:0:own pane gone:shop sonnet-3 i-3 %2\n\
                    $4:20:0:%7:70:1:foreign | dead:   \nhooked\n";
        let sessions = listed(text).unwrap();
        let brief: Vec<_> = sessions
            .iter()
            .map(|s| (s.name.as_str(), s.pane_id.as_str(), s.pane_pid, s.attached, s.tags.is_some()))
            .collect();
        assert_eq!(
            brief,
            [
                ("sonnet-1", "%3", Some(30), 0, true),
                ("split first", "%5", Some(50), 2, true),
                ("own pane gone", "%2", None, 0, true),
                ("foreign | dead", "%7", None, 0, false),
            ]
        );
        assert!(listed("").unwrap().is_empty());
        assert!(listed("$1:17\n").is_err());
    }

    #[test]
    fn a_batch_is_one_argument_list() {
        let batch = Batch(vec![vec!["a".into(), "b;".into()], vec!["c".into()]]);
        assert_eq!(batch.arguments(), ["a", r"b\;", ";", "c"]);
    }
}
