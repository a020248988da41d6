//! A key that an agent program does not honour is rejected.

use super::{diagnostics::all, error, meant};

#[test]
fn an_agent_program_keeps_to_what_is_written_for_it() {
    all(&[
        (
            "[roles.shell]\nmax_turns = 5",
            "sessions.toml:2: roles.shell.max_turns is not supported by this role's driver, \"shell\"; \
             it is by claude, qwen",
        ),
        (
            "[roles.a]\ndriver = \"codex\"\nmax_cost_usd = 5",
            "sessions.toml:3: roles.a.max_cost_usd is not supported by this role's driver, \"codex\"; \
             it is by claude",
        ),
        (
            "[roles.sonnet]\nmax_cost_usd = 0",
            "sessions.toml:2: roles.sonnet.max_cost_usd must be a number of at least 0.001, not 0",
        ),
        (
            "[roles.sonnet]\nallowed_tools = [\"Edit\",\n\"--x\"]",
            "sessions.toml:3: roles.sonnet.allowed_tools is wrong: '--x' looks like an option; options go into args",
        ),
        (
            "[roles.sonnet]\nresume = \"yes\"",
            "sessions.toml:2: roles.sonnet.resume must be true or false, not a string",
        ),
        (
            "[roles.sonnet]\non_denial = \"ask\"",
            "sessions.toml:2: roles.sonnet.on_denial is wrong: 'ask' is neither \"hold\" nor \"accept\"",
        ),
        (
            "[roles.sonnet]\nmode = \"tui\"",
            "sessions.toml:2: roles.sonnet.mode is wrong: 'tui' is neither \"headless\" nor \"interactive\"",
        ),
        (
            "[roles.q]\ndriver = \"qwen\"\nmode = \"interactive\"",
            "sessions.toml:3: roles.q.mode is not supported by this role's driver, \"qwen\"; it is by claude, codex",
        ),
        (
            "[roles.sonnet]\nmode = \"interactive\"\nmax_turns = 3",
            "sessions.toml:3: roles.sonnet.max_turns needs mode = \"headless\": on its own terminal a program \
             does not enforce it",
        ),
        (
            "[roles.sonnet]\nmode = \"interactive\"\nmax_cost_usd_per_day = 3.0",
            "sessions.toml:3: roles.sonnet.max_cost_usd_per_day needs mode = \"headless\": on its own terminal \
             a program reports tokens, but no cost",
        ),
        (
            "[roles.a]\ndriver = \"codex\"\nmax_cost_usd_per_day = 5.0",
            "sessions.toml:3: roles.a.max_cost_usd_per_day is not supported by this role's driver, \"codex\"; \
             it is by claude, opencode, aider",
        ),
        (
            "[roles.a]\ndriver = \"copilot\"\nmax_task_tokens = 5",
            "sessions.toml:3: roles.a.max_task_tokens is not supported by this role's driver, \"copilot\"; \
             it is by claude, codex, gemini, opencode, qwen, aider",
        ),
        (
            "[roles.a]\ndriver = \"copilot\"\npermission_mode = \"yolo\"",
            "sessions.toml:3: roles.a.permission_mode is wrong: copilot knows only \"allow-all\"; or name tools in \
             allowed_tools",
        ),
        (
            "[agents]\norder = [\"shell\"]",
            "sessions.toml:2: agents.order is wrong: 'shell' is no agent program that orch knows; \
             there are claude, codex, gemini, opencode, qwen, aider, copilot",
        ),
        ("[agents]\norder = [\"codex\",\n\"codex\"]", "sessions.toml:3: agents.order names codex twice"),
    ]);
}

#[test]
fn arguments_are_not_for_what_orch_passes_itself_or_has_a_key_for() {
    assert_eq!(
        error(
            "[roles.sonnet]\nargs = [\"--settings\", \"mine.json\"]\n[roles.x]\ndriver = \"codex\"\n\
             args = [\"-m\", \"gpt-5\"]"
        )
        .message,
        "sessions.toml:2: roles.sonnet.args must not contain --settings: orch passes its hooks by it: settings of yours go to \
         .claude/settings.json of the project or your home\n\
         sessions.toml:5: roles.x.args must not contain -m: use the key model instead"
    );
}

#[test]
fn what_auto_can_never_keep_to_is_known_beforehand() {
    let role = "[roles.i]\ndriver = \"auto\"\nmode = \"interactive\"\n";
    assert_eq!(
        error(format!("{role}[agents]\norder = [\"gemini\", \"qwen\"]")).message,
        "sessions.toml:3: roles.i.mode is not supported by this role's driver, \"auto\", or by any in [agents] order; \
         it is by claude, codex"
    );
    meant(&format!("{role}[agents]\norder = [\"gemini\", \"claude\"]"));
}

#[test]
fn what_nothing_would_be_told_is_rejected() {
    let told = "claude, codex, gemini, opencode, qwen, aider, copilot, command";
    for (key, value) in [
        ("model", "\"m\""),
        ("instructions", "\"be brief\""),
        ("prompt", "\"bare\""),
        ("prompt_template", "\"{text}\""),
    ] {
        for driver in ["shell", "console"] {
            all(&[(
                &format!("[roles.a]\ndriver = \"{driver}\"\n{key} = {value}"),
                &format!(
                    "sessions.toml:3: roles.a.{key} is not supported by this role's driver, \"{driver}\"; it is by {told}"
                ),
            )]);
        }
        meant(&format!("[roles.a]\ncommand = [\"./a\"]\n{key} = {value}"));
        meant(&format!("[roles.a]\ndriver = \"aider\"\n{key} = {value}"));
    }
    all(&[
        (
            "[roles.a]\nprompt = \"short\"",
            "sessions.toml:2: roles.a.prompt is wrong: 'short' is neither \"full\" nor \"bare\"",
        ),
        (
            "[roles.a]\nprompt_template = \"{text} {resluts}\"",
            "sessions.toml:2: roles.a.prompt_template is wrong: {resluts} is not a known field; did you mean {results}?",
        ),
        (
            "[roles.a]\nprompt_template = \"{results}\"",
            "sessions.toml:2: roles.a.prompt_template is wrong: it does not contain {text}, which stands for the task's text",
        ),
        (
            "[roles.a]\nprompt = \"full\"\nprompt_template = \"{text}\"",
            "sessions.toml:2: roles.a.prompt cannot be combined with prompt_template; remove one of them",
        ),
        (
            "[roles.opus]\ndriver = \"codex\"\ninstructions = \"be brief\"",
            "sessions.toml:3: roles.opus.instructions does not reach the master: its program has no setting for it on its \
             own terminal; write it to the program's own file, such as AGENTS.md",
        ),
    ]);
    for driver in ["auto", "claude"] {
        meant(&format!("[roles.opus]\ndriver = \"{driver}\"\ninstructions = \"be brief\""));
    }
}
