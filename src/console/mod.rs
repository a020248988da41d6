//! The built-in master's prompt: a surface over ops like any other.
//!
//! A line that is typed becomes an [`input::Input`] on the thread that reads (`prompt`). The one async task answers it
//! (`conversation`, `commands`) and, fed by the event stream (`watch`), tells the life of every task delegated here
//! (`follow`). What is said goes through `screen`, above the line that is being typed. Nothing is kept but bounded sets
//! of ids: a console lives for weeks. Leaving it stops nothing.

mod commands;
mod complete;
mod conversation;
mod follow;
mod input;
mod page;
mod prompt;
mod render;
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
    page::Page,
    prompt::{Before, Prompt},
    screen::{Gate, Screen},
};
use crate::{
    error::{Error, Result},
    ops::Ops,
};

/// Lines that may be typed ahead of their answers; a pipe that is faster waits.
const TYPED_AHEAD: usize = 64;

/// Holds the console until its person leaves. Where standard input is no terminal, each line of it is a task or a
/// command, and the console ends when all of these tasks have.
///
/// # Errors
/// The terminal can't be used. Without a terminal: some lines were not accepted.
pub async fn run(ops: Ops) -> Result<()> {
    let names = ops.config().roles.keys().cloned().collect();
    let roles = Roles { names, default: ops.config().master.default_role.clone() };
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        at_terminal(&ops, roles).await
    } else {
        from_pipe(&ops, roles).await
    }
}

async fn from_pipe(ops: &Ops, roles: Roles) -> Result<()> {
    let (sender, inputs) = channel(TYPED_AHEAD);
    let known = Arc::new(Mutex::new(Known::new(&roles.names)));
    let screen = Screen::pipe(Box::new(io::stdout()), Page::of_stdout());
    prompt::read_pipe(roles, sender);
    talk(Conversation::new(ops, &screen, known, false), ops, inputs).await
}

/// The prompt stands before anything is connected: `orch start` waits for it.
async fn at_terminal(ops: &Ops, roles: Roles) -> Result<()> {
    let before = Before::now();
    let (sender, inputs) = channel(TYPED_AHEAD);
    let known = Arc::new(Mutex::new(Known::new(&roles.names)));
    let gate = Arc::new(Gate::default());
    let history = ops.home().console_history();
    let page = Page::of_stdout();
    print(&render::greeting(&ops.config().namespace, &roles.default, &page));
    let mut prompt = Prompt::new(&history, known.clone(), gate.clone())?;
    // A terminal that can't move its cursor (TERM=dumb) has no place above the prompt: plain lines, then.
    let Ok(printer) = prompt.printer() else { return from_pipe(ops, roles).await };
    let screen = Screen::above_prompt(printer, gate);
    let mut signals = Signals::new()?;
    prompt.read_on(roles, sender);
    tokio::select! {
        ended = talk(Conversation::new(ops, &screen, known, true), ops, inputs) => {
            screen.finish();
            print(render::GOODBYE);
            ended
        }
        () = signals.told_to_end() => {
            before.restore();
            Ok(())
        }
    }
}

async fn talk(conversation: Conversation<'_>, ops: &Ops, inputs: tokio::sync::mpsc::Receiver<Input>) -> Result<()> {
    let (sender, news) = unbounded_channel();
    tokio::select! {
        ended = conversation.hold(inputs, news) => ended,
        () = watch::watch(ops, sender) => Ok(()),
    }
}

/// Prints where no prompt stands. A terminal that is gone takes nothing, and that is all there is to say about it.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// What the terminal and the system may send.
struct Signals {
    terminate: Signal,
    hangup: Signal,
    /// Only kept: Ctrl-C in the moment between two prompts clears nothing, and must not end the console either.
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
    async fn told_to_end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
