//! The built-in master's prompt: a surface over `ops` like any other.
//!
//! A typed line becomes an [`input::Input`] on the thread that reads (`prompt`). The one async task answers it
//! (`conversation`, `commands`) and reports every step of the tasks that were delegated here (`follow`), driven by the
//! event stream (`watch`). Output goes through `screen`, above the line that is being typed, and looks as `view` renders
//! it. Only bounded sets of ids are kept, because a console runs for weeks. Leaving it stops nothing.

mod asked;
mod bare;
mod commands;
mod complete;
mod conversation;
mod follow;
mod help;
mod input;
mod prompt;
mod screen;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex},
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::{channel, unbounded_channel},
};

use self::{
    complete::Known,
    conversation::Conversation,
    input::{Input, Roles},
    prompt::{Before, Prompt},
    screen::{Gate, Screen},
};
use crate::{
    config::DriverKind,
    error::{Error, Result},
    home::Home,
    ops::{Client, Project, RoleInfo},
    view::terminal,
};

/// Lines that may be typed ahead of their answers. A faster pipe waits.
const TYPED_AHEAD: usize = 64;

/// Runs the console until its person leaves. Where standard input is not a terminal, each line of it is a task or a command,
/// and the console ends when all of these tasks have ended.
///
/// # Errors
/// The terminal can't be used. Without a terminal: some lines were not accepted.
pub async fn run(ops: Client) -> Result<()> {
    let project = ops.project().await?;
    let roles = Roles::of(&project);
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        at_terminal(&ops, &project, roles).await
    } else {
        from_pipe(&ops, roles).await
    }
}

impl Roles {
    fn of(project: &Project) -> Roles {
        let is_shell = |role: &&RoleInfo| role.driver == DriverKind::Shell;
        Roles {
            names: project.roles.iter().map(|role| role.name.clone()).collect(),
            default: project.default_role.clone(),
            default_is_shell: project.roles.iter().filter(is_shell).any(|role| role.name == project.default_role),
            shell: project.roles.iter().find(is_shell).map(|role| role.name.clone()),
        }
    }
}

async fn from_pipe(ops: &Client, roles: Roles) -> Result<()> {
    let (sender, inputs) = channel(TYPED_AHEAD);
    let known = Arc::new(Mutex::new(Known::new(&roles.names)));
    let screen = Screen::pipe(Box::new(io::stdout()), terminal::view());
    let default = roles.default.clone();
    prompt::read_pipe(roles, sender);
    talk(Conversation::new(ops, &default, &screen, known, false), ops, inputs).await
}

/// The prompt is shown before anything is connected: `orch start` waits for it.
async fn at_terminal(ops: &Client, project: &Project, roles: Roles) -> Result<()> {
    let before = Before::now();
    let (sender, inputs) = channel(TYPED_AHEAD);
    let known = Arc::new(Mutex::new(Known::new(&roles.names)));
    let gate = Arc::new(Gate::default());
    let history = Home::new(&project.home).console_history();
    print(&help::greeting(&project.namespace, &roles.default, &terminal::prompt_view()));
    let mut prompt = Prompt::new(&history, known.clone(), gate.clone())?;
    // A terminal that cannot move its cursor (TERM=dumb) gets plain lines: nothing can be printed above its prompt.
    let Ok(printer) = prompt.printer() else { return from_pipe(ops, roles).await };
    let screen = Screen::above_prompt(printer, gate);
    let mut signals = Signals::new()?;
    let default = roles.default.clone();
    prompt.read_on(roles, sender);
    tokio::select! {
        ended = talk(Conversation::new(ops, &default, &screen, known, true), ops, inputs) => {
            screen.finish();
            print(help::GOODBYE);
            ended
        }
        () = signals.received() => {
            before.restore();
            Ok(())
        }
    }
}

async fn talk(conversation: Conversation<'_>, ops: &Client, inputs: tokio::sync::mpsc::Receiver<Input>) -> Result<()> {
    let (sender, news) = unbounded_channel();
    tokio::select! {
        ended = conversation.run(inputs, news) => ended,
        () = watch::watch(ops, sender) => Ok(()),
    }
}

/// Prints while there is no prompt. A terminal that is gone shows nothing; that is no error.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// The signals that end the console.
struct Signals {
    terminate: Signal,
    hangup: Signal,
    /// Caught only so that Ctrl-C between two prompts does not end the console.
    _interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        let catch = |kind| signal(kind).map_err(|e| Error::internal(format!("a signal can't be caught: {e}")));
        Ok(Signals {
            terminate: catch(SignalKind::terminate())?,
            hangup: catch(SignalKind::hangup())?,
            _interrupt: catch(SignalKind::interrupt())?,
        })
    }
    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
