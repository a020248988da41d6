//! One file per agent program: how it is started, fed and read, and what its end means.
//!
//! A driver is pure: it turns a [`Job`] into a [`Start`], and an [`End`] into a [`Verdict`]. The runner does the rest in the
//! same way for every driver: folders, pipes, time limits, the end of the process tree.
//!
//! A program that prints a stream of JSON while it works has a [`Transcript`], which turns its lines into [`Event`]s. Their
//! sum, a [`Conversation`], determines what the program's end means, by the same rules for all programs. A program without
//! one is read by its exit code and its result file.
//!
//! The state of a program on a terminal is read from its screen ([`Seen`]), and from the calls of its hooks ([`Hook`]).
//!
//! What a driver declares about its program is its [`Manifest`]: name and tested version, the keys of sessions.toml that it
//! honours, the flags that `args` must not contain, the secrets of its login, its capabilities. How far its program may run
//! commands without asking is [`Driver::commands`].
//!
//! # Adding a driver
//!
//! A driver for the program `toy` consists of:
//!
//! 1. *Its file*, `src/drivers/toy.rs`: a unit struct `Toy` that implements [`Driver`]. [`Driver::manifest`] and
//!    [`Driver::start`] are required; everything else has a default. Parts of it that need files of their own (a screen, say)
//!    go to `src/drivers/toy/`. Use the helpers in `common`: `stream_json` if the stream looks like claude's, `mcp_config` for
//!    the file that names orch's tools, `errors` to classify what the service says, `prompt` for a role's instructions.
//! 2. *Its fixtures*, `tests/fixtures/toy/`: what the real program printed, one file per case, with lines in
//!    `src/drivers/tests.rs` that state what each means. Screens go to `tests/fixtures/screens/toy/`; the file's name states
//!    what must be seen.
//! 3. *One line* in the list of drivers in this file: `Toy => toy,`.
//!
//! Nothing else: `driver = "toy"` in sessions.toml, the checks of its keys, `orch doctor`, `orch init` and the master follow
//! from the manifest. Leave `is_offered` at `false` until the program itself passes `scripts/test-agents`.
//!
//! `cargo fmt` does not look into the list, so format a driver's file with `rustfmt`; `scripts/check` verifies it.

mod common;
mod driver;
mod flags;
mod kind;
mod manifest;
mod options;
mod rights;
#[cfg(test)]
mod tests;
mod verdict;

pub use self::{
    common::{
        conversation::Conversation,
        event::{Ending, Event, Failure, Transcript, When},
        hook::{EDIT_REFUSED, Hook, HookTranscript, Noted, Source, failure_of},
        login::{LOGIN_TOKENS, Login, login},
        mcp_config::Mcp,
        program::{APPROVE, Program, version_in},
        screen::{Prompt, Seen},
        trust::trusts,
    },
    driver::{Driver, InteractiveJob, Job, Refusal, Start, UserSettings},
    flags::{Flags, Instead, Refused, Settings},
    manifest::{Access, Capabilities, HomeFiles, IDLE_SHARE, Manifest, Totals},
    options::{AgentOptions, Key, Mode, PromptForm, RoleSettings},
    rights::Commands,
    verdict::{End, ResultFile, Verdict},
};

kind::drivers! {
    Shell => shell,
    Command => command,
    Claude => claude,
    Codex => codex,
    Gemini => gemini,
    Opencode => opencode,
    Qwen => qwen,
    Aider => aider,
    Copilot => copilot,
    #[cfg(test)] Toy => toy,
}

/// The driver of a kind. `None` for `auto`, which stands for another kind, and for the console, which takes no tasks.
pub fn of(kind: DriverKind) -> Option<&'static dyn Driver> {
    kind.driver()
}
