//! One case per error in a role: the file's whole text, with line and key.

use super::{Project, diagnostics::all};

#[test]
fn a_network_names_destinations_and_needs_a_sandbox() {
    all(&[
        (
            "[roles.a]\nnetwork = \"none\"",
            "sessions.toml:2: roles.a.network needs sandbox = \"bwrap\": without a sandbox nothing keeps a program from the \
             network",
        ),
        (
            "[roles.a]\nsandbox = \"bwrap\"\nnetwork = \"some\"",
            "sessions.toml:3: roles.a.network is wrong: 'some' is neither \"all\" nor \"none\"; a list names destinations, \
             such as [\"api.example.com:443\"]",
        ),
        (
            "[roles.a]\nsandbox = \"bwrap\"\nnetwork = [\n\"a.org:443\",\n\"b.org\"]",
            "sessions.toml:5: roles.a.network is wrong: 'b.org' names no port: write \"host:443\" or \"*.domain:443\"",
        ),
        (
            "[roles.a]\nsandbox_read = [\"/opt/a\"]",
            "sessions.toml:2: roles.a.sandbox_read needs sandbox = \"bwrap\": without a sandbox a program reads everything",
        ),
        (
            "[roles.a]\nsandbox = \"bwrap\"\nsandbox_read = [\"/opt/a\",\n\"/run/x\"]",
            "sessions.toml:4: roles.a.sandbox_read is wrong: /run/x may have sockets and processes of others in it",
        ),
        (
            "[roles.a]\nnetwork = 1",
            "sessions.toml:2: roles.a.network must be a list of strings, such as [\"a\", \"b\"], not an integer",
        ),
        (
            "[roles.a]\nsandbox = \"docker\"",
            "sessions.toml:2: roles.a.sandbox is wrong: 'docker' is neither \"none\" nor \"bwrap\"",
        ),
    ]);
}

#[test]
fn roles_that_are_named_exist() {
    all(&[
        (
            "[master]\nrole = \"opsu\"",
            "sessions.toml:2: master.role names an unknown role 'opsu'; \
             the roles are opus, shell, sonnet, subagent; did you mean 'opus'?",
        ),
        (
            "[master]\ndefault_role = \"x\"\n[roles.backend]",
            "sessions.toml:2: master.default_role names an unknown role 'x'; \
             the roles are backend, opus, shell, sonnet, subagent",
        ),
        (
            "[roles.sonnet]\ndelegates_to = [\n\"shell\",\n\"shel\"]",
            "sessions.toml:4: roles.sonnet.delegates_to names an unknown role 'shel'; \
             the roles are opus, shell, sonnet, subagent; did you mean 'shell'?",
        ),
    ]);
}

#[test]
fn delegation_does_not_go_in_circles() {
    all(&[
        (
            "[roles.a]\ndelegates_to = [\"b\"]\n[roles.b]\ndelegates_to = [\"shell\",\n\"a\"]",
            "sessions.toml:2: roles.a.delegates_to forms a cycle: a (line 2) -> b (line 5) -> a",
        ),
        (
            "[roles.a]\nsandbox = \"bwrap\"\ndelegates_to = [\"b\"]\n[roles.b]\nsandbox = \"bwrap\"\ndelegates_to = [\"shell\"]",
            "sessions.toml:6: roles.b.delegates_to leaves the sandbox: b (sandbox = \"bwrap\") -> shell (none)",
        ),
        (
            "[roles.a]\nescalation = \"ask\"",
            "sessions.toml:2: roles.a.escalation is wrong: 'ask' is neither \"approve\" nor \"refuse\"",
        ),
        ("[roles.a]\ndelegates_to = [\"a\"]", "sessions.toml:2: roles.a.delegates_to forms a cycle: a (line 2) -> a"),
    ]);
}

#[test]
fn routes_and_tiers_are_checked() {
    all(&[
        (
            "[roles.a]\nroutes = ['api',\n'b(c']",
            "sessions.toml:3: roles.a.routes is wrong: 'b(c' is no regular expression: unclosed group, at its character 2",
        ),
        (
            "[roles.a]\ntags = ['a b']",
            "sessions.toml:2: roles.a.tags is wrong: 'a b' is no tag: write letters, digits, '-', '_', '.', '+' and '#'",
        ),
        (
            "[roles.a]\nescalate_to = 'sonet'",
            "sessions.toml:2: roles.a.escalate_to names an unknown role 'sonet'; \
             the roles are a, opus, shell, sonnet, subagent; did you mean 'sonnet'?",
        ),
        (
            "[roles.a]\nescalate_to = 'b'\n[roles.b]\nescalate_to = 'c'\n[roles.c]\nescalate_to = 'b'",
            "sessions.toml:4: roles.b.escalate_to forms a cycle: b (line 4) -> c (line 6) -> b",
        ),
        (
            "[routing]\nrouter = []",
            "sessions.toml:2: routing.router must start with the program to run; remove the key to run none",
        ),
        (
            "[roles.a]\nescalate_to = 'b'\n[roles.b]\napproval = 'before'",
            "sessions.toml:2: roles.a.escalate_to is wrong: a person approves each task of role b (approval = \"before\")",
        ),
        (
            "[roles.a]\nescalate_to = 'shell'",
            "sessions.toml:2: roles.a.escalate_to is wrong: role shell runs scripts, and would run a text",
        ),
    ]);
}

#[test]
fn drivers_are_known_and_have_their_command() {
    all(&[
        (
            "[roles.tool]\ndriver = \"cluade\"",
            "sessions.toml:2: roles.tool.driver is wrong: 'cluade' is not a driver; \
             the drivers are auto, console, shell, command, claude, codex, gemini, opencode, qwen, aider, copilot; \
             did you mean 'claude'?",
        ),
        (
            "[roles.tool]\nmax = 1\ndriver = \"command\"",
            "sessions.toml:3: roles.tool.command is missing: driver \"command\" needs one, \
             such as command = [\"./agent.py\", \"--fast\"]",
        ),
        ("[roles.tool]\ncommand = []", "sessions.toml:2: roles.tool.command must start with the program to run"),
        (
            "[roles.shell]\ncommand = [\"./agent\"]",
            "sessions.toml:2: roles.shell.command needs driver = \"command\", \
             but this role's driver is \"shell\"",
        ),
        (
            "[roles.tool]\ncommand = [\"a\\u0000\"]",
            "sessions.toml:2: roles.tool.command is wrong: a word contains a NUL",
        ),
    ]);
}

#[test]
fn variables_can_be_in_an_environment() {
    all(&[
        (
            "[roles.tool]\nenv = { \"A=B\" = \"1\" }",
            "sessions.toml:2: roles.tool.env.\"A=B\" is wrong: 'A=B' can't name an environment variable",
        ),
        ("[roles.tool.env]\nA = \"\\u0000\"", "sessions.toml:2: roles.tool.env.A is wrong: its value contains a NUL"),
        (
            "[roles.tool]\nenv_from = [\"\"]",
            "sessions.toml:2: roles.tool.env_from is wrong: '' can't name an environment variable",
        ),
        (
            "[roles.tool.env]\nORCH_TASK = \"t\"",
            "sessions.toml:2: roles.tool.env.ORCH_TASK is wrong: \
             orch sets the variables ORCH_... itself; rename 'ORCH_TASK'",
        ),
        (
            "[roles.tool]\nmodel = \"\"",
            "sessions.toml:2: roles.tool.model is wrong: it is empty; leave the key out for its default",
        ),
    ]);
}

#[test]
fn instructions_can_be_read() {
    let project = Project::with(
        "[roles.a]\ninstructions_file = \"none.md\"\n[roles.b]\ninstructions_file = \"docs\"\n[roles.c]\ninstructions_file = \"long.md\"\n[roles.d]\ninstructions_file = \"bytes.md\"",
    );
    project.write("docs/a.md", "");
    project.write("long.md", vec![b'a'; (1 << 20) + 1]);
    project.write("bytes.md", b"\xff");
    assert_eq!(
        project.load().unwrap_err().message,
        "sessions.toml:2: roles.a.instructions_file is wrong: none.md does not exist\n\
         sessions.toml:4: roles.b.instructions_file is wrong: docs is not a regular file\n\
         sessions.toml:6: roles.c.instructions_file is wrong: long.md is larger than 1 MiB\n\
         sessions.toml:8: roles.d.instructions_file is wrong: bytes.md is not UTF-8 text"
    );
}
