//! The first sessions.toml of a project, for `orch init`: short, and fit for the agent programs of this machine.

use super::{DriverKind, MasterConfig};

/// The text of a sessions.toml that uses the agent programs in `found`, with a `session` of its own for the master where
/// the usual one is taken. Whatever is found, it is a valid file.
pub fn starter(found: &[DriverKind], session: Option<&str>) -> String {
    let agents: Vec<DriverKind> = DriverKind::agents().filter(|kind| found.contains(kind)).collect();
    let mut roles = match agents.first() {
        None => WITHOUT_AGENTS.to_owned(),
        Some(DriverKind::Claude) => WITH_CLAUDE.to_owned(),
        Some(first) => WITH_ANOTHER.replace("{first}", first.as_str()),
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

const HEAD: &str = r#"# What orch runs in this project. Every key may be left out, and then has its default.
# Durations carry their unit: 90s, 5m, 2h.

# name = "shop"           # the project's namespace; default: this folder's name and a hash of its path

"#;

const WITH_CLAUDE: &str = r#"[master]
role = "opus"             # the agent that `orch start` starts: Claude Code, in the session opus-master
default_role = "sonnet"   # who gets a task that names no role

[roles.sonnet]
driver = "claude"
model  = "sonnet"
max    = 5                # agents at once
# permission_mode = "acceptEdits"          # what it may do without asking: a task that would have to ask is held
# allowed_tools   = ["Bash(npm test:*)"]
# instructions = "Run the tests before you say that you are done."

[roles.subagent]
driver = "claude"
model  = "haiku"          # for small tasks
max    = 5                # agents at once

"#;

const WITH_ANOTHER: &str = r#"[master]
role = "opus"             # the agent that `orch start` starts: {first}, in the session opus-master
default_role = "{first}"  # who gets a task that names no role

"#;

const WITHOUT_AGENTS: &str = r#"# No agent program was found on this machine; once one is, driver = "claude" (or codex, gemini...) makes a role use it.

[master]
role = "opus"             # what `orch start` starts: orch's own prompt, in the session opus-master
default_role = "shell"    # who gets a task that names no role

[roles.opus]
driver = "console"

"#;

const TAIL: &str = r#"[roles.shell]
driver = "shell"          # the task's text is a shell script
max    = 4                # agents at once

# Any program can be an agent: it gets its prompt on standard input.
# [roles.tool]
# driver  = "command"
# command = ["./agent.py", "--fast"]
"#;
