//! The command line: words are parsed (`args`), a verb's file turns them into a request to `ops`, and `render` turns
//! the answer into text. Everything goes out through one writer (`out`) and ends in one place (`exit`).
//!
//! Not here: doing anything. A verb that needs more than one call of `ops` and some text is in the wrong room.

pub mod args;
mod cancel;
mod costs;
mod delegate;
mod drill;
mod end;
mod events;
pub mod exit;
mod fleet;
mod flow;
mod hook;
mod inspect;
mod lifecycle;
mod logs;
mod man;
mod out;
mod people;
pub mod render;
mod screen;
mod setup;
mod status;
mod tasks;
mod terminal;
mod text;
mod wait;
mod watch;

use std::{ffi::OsString, io::IsTerminal, path::PathBuf};

use args::Verb;
use end::End;
use out::Out;
use render::View;

use crate::{
    config::Config,
    error::{Error, Result},
    model::time::Timestamp,
    ops::{
        Ops,
        types::{Answer, Caller},
    },
    supervisor::Mode,
};

/// Runs a whole command line and says with which code to exit (DESIGN section 5).
pub fn run(words: &[OsString]) -> u8 {
    let json = exit::wants_json(words);
    let mut session = Session { out: Out::stdout(), view: terminal::view(), json, config: None };
    let ended = parse_and_run(words, &mut session).and_then(|code| {
        session.out.flush()?;
        Ok(code)
    });
    match ended {
        Ok(code) => code,
        Err(end) => exit::report(end, &mut session.out, json),
    }
}

fn parse_and_run(words: &[OsString], session: &mut Session) -> Result<u8, End> {
    let cli = match args::parse(words, session.view.page()) {
        Ok(cli) => cli,
        Err(e) if e.kind() == exit::NOTHING_TYPED && !session.json => {
            return Ok(exit::help(&e.render().to_string()));
        }
        Err(e) if e.use_stderr() => return Err(exit::usage(&e).into()),
        Err(help) => {
            session.out.text(&session.view.clap(&help.render()))?;
            return Ok(0);
        }
    };
    session.json = cli.json;
    session.config = cli.config;
    match cli.verb {
        Verb::Supervise(_) | Verb::RunAgent(_) => {}
        // It runs for hours, and nobody sees it.
        Verb::Mcp => log_to_stderr(Some("warn")),
        _ => log_to_stderr(None),
    }
    // One thread: a surface waits for answers and does nothing else, and starts in no time.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::internal(format!("no event loop on this machine: {e}")))?;
    let reads_on = matches!(cli.verb, Verb::Mcp);
    let ended = runtime.block_on(dispatch(cli.verb, session));
    if reads_on {
        // A read of standard input can't be given up, and is not to keep us from ending.
        runtime.shutdown_background();
    }
    ended
}

async fn dispatch(verb: Verb, session: &mut Session) -> Result<u8, End> {
    match verb {
        Verb::Init(args) => setup::init(&args, session).await,
        Verb::Start(args) => lifecycle::start(&args, session).await,
        Verb::Stop(args) => lifecycle::stop(&args, session).await,
        Verb::Status(args) if args.watch => watch::run(session).await,
        Verb::Status(_) => status::run(session).await,
        Verb::Attach(args) => lifecycle::attach(&args, session).await,
        Verb::Delegate(args) => delegate::run(*args, session).await,
        Verb::Wait(args) => wait::run(args, session).await,
        Verb::Result(args) => inspect::result(&args, session).await,
        Verb::Tasks(args) => tasks::run(args, session).await,
        Verb::Show(args) => inspect::show(&args, session).await,
        Verb::Why(args) => inspect::why(&args, session).await,
        Verb::Cancel(args) => cancel::cancel(&args, session).await,
        Verb::Retry(args) => cancel::retry(&args, session).await,
        Verb::Ask(args) => people::ask(args, session).await,
        Verb::Answer(args) => people::answer(&args.task, Answer::Text(text::given(args.text)?), session).await,
        Verb::Approve(args) => {
            people::answer(&args.task, Answer::Approve(args.text.map(text::given).transpose()?), session).await
        }
        Verb::Deny(args) => {
            people::answer(&args.task, Answer::Deny(args.text.map(text::given).transpose()?), session).await
        }
        Verb::Send(args) => people::send(args, session).await,
        Verb::Inbox(args) => people::inbox(&args, session).await,
        Verb::Logs(args) => logs::run(args, session).await,
        Verb::Costs(args) => costs::run(&args, session).await,
        Verb::Events(args) => events::run(&args, session).await,
        Verb::Agents => fleet::agents(session).await,
        Verb::Spawn(args) => fleet::spawn(&args, session).await,
        Verb::Kill(args) => fleet::kill(&args, session).await,
        Verb::Scale(args) => fleet::scale(&args, session).await,
        Verb::Pause(args) => flow::pause(&args, session).await,
        Verb::Drain => flow::drain(session).await,
        Verb::Resume(args) => flow::resume(&args, session).await,
        Verb::Doctor => setup::doctor(session).await,
        Verb::Drill(args) => drill::run(&args, session).await,
        Verb::Completions(args) => setup::completions(&args, session),
        Verb::Man(args) => man::run(&args, session),
        Verb::Supervise(args) => {
            let mode = Mode { daemon: args.daemon, to_stop: args.to_stop };
            crate::supervisor::run(session.load_config()?, mode).await?;
            Ok(0)
        }
        Verb::RunAgent(args) => {
            crate::runner::run(&args.launch).await?;
            Ok(0)
        }
        Verb::Console => {
            // Its prompt has the terminal.
            crate::console::run(session.ops()?.telling(|_| {})).await?;
            Ok(0)
        }
        Verb::Hook(args) => hook::run(&args, session).await,
        Verb::Mcp => {
            let config = session.config.take();
            crate::mcp::run(move || Ops::new(Config::load(config.as_deref())?, Caller::from_env()?)).await?;
            Ok(0)
        }
    }
}

/// One run of the command line: where it writes, how wide, and in which project.
struct Session {
    out: Out,
    view: View,
    json: bool,
    config: Option<PathBuf>,
}

impl Session {
    fn load_config(&self) -> Result<Config> {
        Config::load(self.config.as_deref())
    }

    fn ops(&self) -> Result<Ops> {
        Ok(Ops::new(self.load_config()?, Caller::from_env()?)?.telling(exit::note))
    }

    /// Prints an answer: as JSON if that was asked for, else as `human` renders it.
    fn answer<T: serde::Serialize>(&mut self, value: &T, human: impl FnOnce(&T, &View) -> String) -> Result<(), End> {
        if self.json {
            return self.out.json(value, self.view.colour);
        }
        // Ages are counted to the answer, which may have been long in coming.
        self.view.now = Timestamp::now();
        self.out.text(&human(value, &self.view))
    }
}

/// A log of what we do ourselves, for whoever looks for a fault in orch: `ORCH_LOG=debug orch status`.
fn log_to_stderr(unless_said: Option<&str>) {
    let said = std::env::var("ORCH_LOG").ok();
    if let Some(filter) = said.as_deref().or(unless_said) {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        // Somebody who set one before us keeps it.
        let _ = subscriber.try_init();
    }
}
