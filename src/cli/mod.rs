//! The command line: words are parsed (`args`), the verb's function turns them into a request to `ops`, and `view` turns
//! the answer into text. Everything is written through `stdio`, and every error ends in `errors`.
//!
//! Not here: any work. If a verb needs more than one call of `ops` and some text, the rest belongs to `ops`.

mod agents;
pub mod args;
mod budgets;
mod cancel;
mod complete;
mod costs;
mod delegate;
mod delegate_each;
mod drill;
mod edit;
pub mod errors;
mod events;
mod hook;
mod lifecycle;
mod locks;
mod logs;
mod man;
mod messages;
mod plans;
mod requests;
mod schedules;
mod screen;
mod setup;
mod status;
mod stdio;
mod tasks;
mod wait;

use std::{ffi::OsString, io::IsTerminal, path::PathBuf};

use args::{RunSandboxed, Verb};
use futures_util::StreamExt;
use stdio::{End, Out};

use crate::{
    config::Config,
    error::{Error, Result},
    model::time::{Timestamp, Zone},
    ops::{Answer, Client, Steps},
    os,
    supervisor::Mode,
    view::{self, View},
};

/// Prepares this process: first its signals, then how it reports a panic.
pub fn prepare_process(words: &[OsString]) {
    // The first process of a sandbox is started with the signals blocked that it forwards.
    let is_first = words.get(1).is_some_and(|verb| verb == "run-sandboxed");
    os::reset_signals(is_first);
    errors::report_panics();
}

/// Runs a command line and returns its exit code.
pub fn run(words: &[OsString]) -> u8 {
    let json = errors::wants_json(words);
    let mut session = Session { out: Out::stdout(), view: view::terminal::view(), json, config: None };
    let ended = parse_and_run(words, &mut session).and_then(|code| {
        session.out.flush()?;
        Ok(code)
    });
    match ended {
        Ok(code) => code,
        Err(end) => errors::report(end, &mut session.out, json),
    }
}

fn parse_and_run(words: &[OsString], session: &mut Session) -> Result<u8, End> {
    let cli = match args::parse(words, session.view.page()) {
        Ok(cli) => cli,
        Err(e) if e.kind() == errors::NOTHING_TYPED && !session.json => {
            return Ok(errors::help(&e.render().to_string()));
        }
        Err(e) if e.use_stderr() => return Err(errors::usage(&e).into()),
        Err(help) => {
            session.out.text(&session.view.clap(&help.render()))?;
            return Ok(0);
        }
    };
    session.json = cli.json;
    if cli.utc {
        session.view.zone = Zone::Utc;
    }
    session.config = cli.config;
    match cli.verb {
        Verb::Supervise(_) | Verb::RunAgent(_) => {}
        // No event loop: it is single-threaded, and waits for signals.
        Verb::RunSandboxed(args) => {
            let RunSandboxed { report, on_a_terminal, proxy, local, guard, program } = args;
            let inside = crate::runner::Inside { report, on_a_terminal, proxy, local, guard, program };
            return Ok(crate::runner::run_sandboxed(inside)?);
        }
        // It runs for hours without a reader, and the SDK warns of each error that it answers.
        Verb::Mcp => log_to_stderr(Some("warn,rmcp=error")),
        _ => log_to_stderr(None),
    }
    // One thread: a surface only waits for answers, and a runtime with one thread starts faster.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::internal(format!("the event loop cannot be created: {e}")))?;
    let reads_stdin = matches!(cli.verb, Verb::Mcp);
    let ended = runtime.block_on(dispatch(cli.verb, session));
    if reads_stdin {
        // A blocked read of standard input cannot be cancelled and must not delay the end.
        runtime.shutdown_background();
    }
    ended
}

async fn dispatch(verb: Verb, session: &mut Session) -> Result<u8, End> {
    match verb {
        Verb::Init(args) => setup::init(&args, session).await,
        Verb::Start(args) => lifecycle::start(&args, session).await,
        Verb::Stop(args) => lifecycle::stop(&args, session).await,
        Verb::Restart => lifecycle::restart(session).await,
        Verb::Status(args) if args.watch => status::watch(session).await,
        Verb::Status(args) if args.all => status::all(session).await,
        Verb::Status(_) => status::run(session).await,
        Verb::Attach(args) => lifecycle::attach(&args, session).await,
        Verb::Delegate(args) if args.each.is_some() => delegate_each::run(*args, session).await,
        Verb::Delegate(args) => delegate::run(*args, session).await,
        Verb::Wait(args) => wait::run(args, session).await,
        Verb::Result(args) => tasks::result(&args, session).await,
        Verb::Tasks(args) => tasks::list(args, session).await,
        Verb::Show(args) => tasks::show(&args, session).await,
        Verb::Why(args) => tasks::why(&args, session).await,
        Verb::Edit(args) => edit::run(*args, session).await,
        Verb::Cancel(args) => cancel::cancel(&args, session).await,
        Verb::Retry(args) => cancel::retry(&args, session).await,
        Verb::Plan(args) => plans::run(*args, session).await,
        Verb::Lock(args) => locks::lock(args, session).await,
        Verb::Unlock(args) => locks::unlock(args, session).await,
        Verb::Locks => locks::list(session).await,
        Verb::Schedule(args) => schedules::run(args, session).await,
        Verb::Prune(args) => cancel::prune(&args, session).await,
        Verb::Ask(args) => messages::ask(args, session).await,
        Verb::Questions => messages::questions(session).await,
        Verb::Approvals => messages::approvals(session).await,
        Verb::Answer(args) => messages::answer(&args.question, Answer::Text(stdio::text(args.text)?), session).await,
        Verb::Approve(args) if !args.allow.is_empty() => messages::allow(args, session).await,
        Verb::Approve(args) if args.budget.is_some() || args.tokens.is_some() => budgets::approve(args, session).await,
        Verb::Approve(args) => {
            messages::answer(&args.question, Answer::Approve(args.text.map(stdio::text).transpose()?), session).await
        }
        Verb::Deny(args) => {
            messages::answer(&args.question, Answer::Deny(args.text.map(stdio::text).transpose()?), session).await
        }
        Verb::Send(args) => messages::send(args, session).await,
        Verb::Inbox(args) => messages::inbox(&args, session).await,
        Verb::Logs(args) => logs::run(args, session).await,
        Verb::Budget(args) => budgets::run(args, session).await,
        Verb::Costs(args) => costs::run(&args, session).await,
        Verb::Events(args) => events::run(&args, session).await,
        Verb::Agents => agents::list(session).await,
        Verb::Spawn(args) => agents::spawn(&args, session).await,
        Verb::Kill(args) => agents::kill(&args, session).await,
        Verb::Scale(args) => requests::scale(&args, session).await,
        Verb::Pause(args) => requests::pause(&args, session).await,
        Verb::Drain => requests::drain(session).await,
        Verb::Dismiss => requests::dismiss(session).await,
        Verb::Resume(args) => requests::resume(&args, session).await,
        Verb::Reload(args) => lifecycle::reload(&args, session).await,
        Verb::Doctor => setup::doctor(session).await,
        Verb::Drill(args) => drill::run(&args, session).await,
        Verb::Completions(args) => setup::completions(&args, session),
        Verb::Complete(args) => complete::run(&args, session).await,
        Verb::Man(args) => man::run(&args, session),
        Verb::Supervise(args) => {
            let mode = Mode { daemon: args.daemon, to_stop: args.to_stop, paused: args.paused, adopt: args.adopt };
            crate::supervisor::run(session.load_config()?, mode).await?;
            Ok(0)
        }
        Verb::RunAgent(args) => {
            crate::runner::run(&args.launch).await?;
            Ok(0)
        }
        Verb::RunSandboxed(_) => Err(Error::internal("it has no event loop").into()),
        Verb::Console => {
            // Its prompt owns the terminal: notes would be written across it.
            crate::console::run(Client::open(session.config.as_deref(), "the console", |_| {}).await?).await?;
            Ok(0)
        }
        Verb::Hook(args) => hook::run(&args, session).await,
        Verb::Mcp => {
            let config = session.config.take();
            let load = async |config: Option<PathBuf>| Client::open(config.as_deref(), "orch mcp", |_| {}).await;
            crate::mcp::run(move || Box::pin(load(config.clone()))).await?;
            Ok(0)
        }
    }
}

/// One run of the command line: its output, how that looks, and the project's configuration file.
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

    /// Reads again how the terminal is: its size may have changed.
    fn look_again(&mut self) {
        self.view = View { zone: self.view.zone, ..view::terminal::view() };
    }

    async fn client(&self) -> Result<Client> {
        Client::open(self.config.as_deref(), "the command line", errors::note).await
    }

    /// The same for a verb that only reads what is recorded, also while orch is stopped.
    async fn reader(&self) -> Result<Client> {
        Client::open_to_read(self.config.as_deref(), "the command line", errors::note).await
    }

    /// The same for a verb that works in an unsafe state folder, too.
    async fn client_to_repair(&self) -> Result<Client> {
        Client::open_to_repair(self.config.as_deref(), "the command line", errors::note).await
    }

    /// The same for what goes by sessions.toml as it is now.
    async fn client_as_written(&self) -> Result<Client> {
        Client::open_as_written(self.config.as_deref(), "the command line", errors::note).await
    }

    /// The same for a start that may take over the state folder of another project.
    async fn client_to_adopt(&self) -> Result<Client> {
        Client::open_to_adopt(self.config.as_deref(), "the command line", errors::note).await
    }

    /// Prints an answer: with `--json` as JSON, else as `render` shows it.
    fn answer<T: serde::Serialize>(&mut self, value: &T, render: impl FnOnce(&T, &View) -> String) -> Result<(), End> {
        if self.json {
            return self.out.json(value, self.view.colour);
        }
        // Ages are counted to the answer, which may have taken long.
        self.view.now = Timestamp::now();
        self.page(render(value, &self.view))
    }

    /// Prints a page.
    fn page(&mut self, page: String) -> Result<(), End> {
        self.out.text(&self.view.encode(page))
    }

    /// Prints one of many items at once: with `--json` as a line of JSON, else as `render` shows it.
    fn item<T: serde::Serialize>(&mut self, value: &T, render: impl FnOnce(&T, &View) -> String) -> Result<(), End> {
        if self.json { self.out.json(value, false) } else { self.page(render(value, &self.view)) }
    }

    /// Prints each item of a stream as it comes, until the stream ends or standard output is closed.
    async fn follow<T: serde::Serialize>(
        &mut self,
        mut items: Steps<'_, T>,
        render: impl Fn(&T, &View) -> String,
    ) -> Result<u8, End> {
        let closed = stdio::closed();
        tokio::pin!(closed);
        loop {
            tokio::select! {
                item = items.next() => match item {
                    Some(item) => self.item(&item?, &render)?,
                    None => return Ok(0),
                },
                end = &mut closed => return Err(end),
            }
            self.out.flush()?;
        }
    }
}

/// Logs to standard error what orch itself does: `ORCH_LOG=debug orch status`. `default` applies without `ORCH_LOG`.
fn log_to_stderr(default: Option<&str>) {
    let set = std::env::var("ORCH_LOG").ok();
    if let Some(filter) = set.as_deref().or(default) {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        // A subscriber that was set before stays.
        let _ = subscriber.try_init();
    }
}
