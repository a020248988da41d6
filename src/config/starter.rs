//! The first sessions.toml of a project, for `orch init`: short, with a role for each installed agent program.

use super::{DriverKind, MasterConfig};

/// Returns the text of a sessions.toml that uses the agent programs in `found`. `session` names the master's session where
/// the usual one is taken. The file is valid whatever was found.
pub fn starter(found: &[DriverKind], session: Option<&str>) -> String {
    let agents: Vec<DriverKind> = DriverKind::agents().filter(|kind| found.contains(kind)).collect();
    let mut roles = match agents.first() {
        None => WITHOUT_AGENTS.to_owned(),
        Some(DriverKind::Claude) => WITH_CLAUDE.replace("{trusted}", &trusted(&agents)),
        Some(first) => WITH_ANOTHER.replace("{first}", first.as_str()).replace("{trusted}", &trusted(&agents)),
    };
    for kind in agents.iter().filter(|kind| **kind != DriverKind::Claude) {
        let more = kind.manifest().map_or("", |manifest| manifest.starter);
        roles.push_str(&format!("[roles.{kind}]\ndriver = \"{kind}\"\n{more}\n"));
    }
    let text = format!("{HEAD}{roles}{TAIL}");
    let Some(session) = session else { return text };
    let usual = MasterConfig::default().session;
    let line = format!("[master]\nsession = \"{session}\"   # {usual} is another project's\n");
    text.replace(&usual, session).replacen("[master]\n", &line, 1)
}

/// Returns the roles of which nobody has to approve a task of the master: those that may change files, and run only commands
/// of a list or in a sandbox of their own.
fn trusted(agents: &[DriverKind]) -> String {
    let names = agents.iter().flat_map(|kind| match kind {
        DriverKind::Claude => &["sonnet", "subagent"][..],
        DriverKind::Codex => &["codex"],
        DriverKind::Gemini => &["gemini"],
        DriverKind::Qwen => &["qwen"],
        DriverKind::Copilot => &["copilot"],
        _ => &[],
    });
    let quoted: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
    quoted.join(", ")
}

const HEAD: &str = r#"# Which agents orch runs in this project. Every key is optional and has a default.
# Durations carry their unit: 90s, 5m, 2h.

# name = "shop"           # the project's namespace; default: this folder's name and a hash of its path

# An agent's task for a role that may do more than its own waits until you approve it (orch status shows it). The key
# delegates_to of a role names the roles that need no approval.

"#;

const WITH_CLAUDE: &str = r#"[master]
role = "opus"             # the agent that `orch start` starts: Claude Code, in the session opus-master
default_role = "sonnet"   # the role of a task that names none

[roles.opus]
delegates_to = [{trusted}]   # although these change files without asking, and the master asks
escalation   = "approve"  # its tasks for other roles that may do more than its own wait until you approve them

[roles.sonnet]
driver = "claude"
model  = "sonnet"
max    = 5                # agents at once
permission_mode = "acceptEdits"   # it changes files without asking. A task that would have to ask for more is held
# allowed_tools = ["Bash(npm test:*)"]     # commands that it runs without asking
# instructions = "Run the tests before you report that you are done."

[roles.subagent]
driver = "claude"
model  = "haiku"          # for small tasks
max    = 5                # agents at once
permission_mode = "acceptEdits"

"#;

const WITH_ANOTHER: &str = r#"[master]
role = "opus"             # the agent that `orch start` starts: {first}, in the session opus-master
default_role = "{first}"  # the role of a task that names none

[roles.opus]
delegates_to = [{trusted}]   # although these may change files without asking
escalation   = "approve"  # its tasks for other roles that may do more than its own wait until you approve them

"#;

const WITHOUT_AGENTS: &str = r#"# No agent program was found on this machine. After you install one, a role uses it with driver = "claude" (or codex,
# gemini...).

[master]
role = "opus"             # what `orch start` starts: orch's own prompt, in the session opus-master
default_role = "shell"    # the role of a task that names none

[roles.opus]
driver = "console"

"#;

const TAIL: &str = r#"[roles.shell]
driver = "shell"          # the task's text is a shell script
max    = 4                # agents at once

# Any program can be an agent: it receives its prompt on standard input.
# [roles.tool]
# driver  = "command"
# command = ["./agent.py", "--fast"]
"#;
