//! The console as a whole, against a real Redis; what agents do is done by the test, through the store.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::*;
use crate::{
    config::{Config, Env},
    error::Kind,
    model::{
        cause::Cause,
        id::{Capability, Process, TaskId},
        task::TaskResult,
    },
    ops::{
        Caller, Client, Ops, Person,
        types::{Ask, Delegate},
    },
    redis_server::{Server, ServerSpec},
    samples,
    store::{
        Store,
        tasks::{Claimed, Report},
    },
    view::View,
};

/// A project of its own. Its Redis ends with it.
struct World {
    _folder: tempfile::TempDir,
    config: Config,
    server: Option<Server>,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let cwd = folder.path().canonicalize().unwrap();
        std::fs::write(cwd.join("sessions.toml"), "[master]\ndefault_role = 'shell'\n").unwrap();
        let env = Env { orch_home: Some(cwd.join("home")), home: Some(cwd.clone()), cwd, ..Env::default() };
        World { config: Config::load_with(&env, None).unwrap(), _folder: folder, server: None }
    }
    async fn with_redis() -> World {
        let mut world = World::new();
        world.start_redis().await;
        world
    }
    async fn start_redis(&mut self) {
        let spec = ServerSpec::of_home(&self.config.home, &self.config.namespace).unwrap();
        self.server = Some(Server::start_or_adopt(&spec).await.unwrap().0);
    }
    fn person(&self) -> Ops {
        self.ops(Caller::Person(Person::default()))
    }
    fn ops(&self, caller: Caller) -> Ops {
        Ops::new(self.config.clone(), caller).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            let _ = kill(Pid::from_raw(server.pid as i32), Signal::SIGKILL);
            let ended = Instant::now() + Duration::from_secs(10);
            while server.is_alive() && Instant::now() < ended {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// The text that was printed.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Printed {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }
    async fn until(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.text().contains(text) {
            assert!(Instant::now() < deadline, "'{text}' was not printed, but:\n{}", self.text());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    /// The text with `T` for this task.
    fn lines(&self, task: &TaskId) -> Vec<String> {
        self.text().lines().map(|line| line.replace(task.as_str(), "T")).collect()
    }
}

/// A console without a terminal; with `person`, it behaves as if a person used it.
async fn console(ops: Ops, inputs: tokio::sync::mpsc::Receiver<Input>, out: &Printed, person: bool) -> Result<()> {
    console_with(ops, inputs, out, person, View { width: Some(80), ..View::plain() }).await
}

/// A console as a person sees it.
async fn console_at_prompt(ops: Ops, inputs: tokio::sync::mpsc::Receiver<Input>, out: &Printed) -> Result<()> {
    console_with(ops, inputs, out, true, View { width: Some(80), prompt: true, ..View::plain() }).await
}

async fn console_with(
    ops: Ops,
    inputs: tokio::sync::mpsc::Receiver<Input>,
    out: &Printed,
    person: bool,
    view: View,
) -> Result<()> {
    let known = Arc::new(Mutex::new(Known::new(&roles().names)));
    let screen = Screen::pipe(Box::new(out.clone()), view);
    let client = Client::from(ops);
    talk(Conversation::new(&client, "shell", &screen, known, person), &client, inputs).await
}

fn roles() -> Roles {
    let names = vec!["shell".into(), "sonnet".into()];
    Roles { names, default: "shell".into(), default_is_shell: true, shell: Some("shell".into()) }
}

/// These lines, as if piped in.
fn piped(lines: &'static str) -> tokio::sync::mpsc::Receiver<Input> {
    let (sender, inputs) = channel(TYPED_AHEAD);
    std::thread::spawn(move || prompt::read_lines(lines.as_bytes(), &roles(), &sender));
    inputs
}

/// An agent of role shell, played by the test.
struct Agent<'a> {
    id: &'static str,
    store: &'a Store,
}

impl<'a> Agent<'a> {
    async fn start(id: &'static str, store: &'a Store) -> Agent<'a> {
        store.spawn_agent(id, "shell", id, id, false, "a test", None).await.unwrap();
        store.hello(id, id, &Process::default()).await.unwrap();
        Agent { id, store }
    }
    async fn claim(&self) -> Claimed {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            self.store.release_due().await.unwrap();
            if let Some(claimed) = self.store.claim(self.id, self.id, Duration::from_secs(60)).await.unwrap() {
                return claimed;
            }
            assert!(Instant::now() < deadline, "nothing to claim");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    async fn finish(&self, claimed: &Claimed, cause: Cause, text: &str) {
        let result = TaskResult { text: text.into(), duration_ms: 1_500, ..TaskResult::default() };
        let report = Report {
            agent: self.id.into(),
            incarnation: self.id.into(),
            fence: claimed.fence,
            reason: text.into(),
            exit_code: None,
            result: (cause == Cause::Success).then_some(result),
            retry_after_ms: Some(10),
            ..samples::report(&claimed.task.id, claimed.attempt, cause)
        };
        self.store.finish(&report).await.unwrap();
    }
    fn caller(&self, claimed: &Claimed) -> Caller {
        let attempt = Some(Capability {
            task: claimed.task.id.clone(),
            attempt: claimed.attempt,
            fence: claimed.fence,
            incarnation: self.id.into(),
        });
        Caller::Agent { agent: self.id.into(), role: "shell".into(), attempt }
    }
}

#[tokio::test]
async fn a_piped_line_is_delegated_and_reported_until_it_ends() {
    let world = World::with_redis().await;
    let (ops, out) = (world.person(), Printed::default());
    let work = async {
        let agent = Agent::start("shell-1", ops.store()).await;
        let first = agent.claim().await;
        out.until("running on shell-1").await;
        agent.finish(&first, Cause::Transient, "exit code 1").await;
        let second = agent.claim().await;
        agent.finish(&second, Cause::Success, "one\n\x1b[2Jtwo\n").await;
        first.task
    };
    let (ended, task) = tokio::join!(console(world.person(), piped("@shell make \\\nall\n"), &out, false), work);
    ended.unwrap();
    assert_eq!(task.description, "make all");
    // There is no supervisor in this world. That is said when Redis is reached, before the first answer or after it.
    let (alone, reported): (Vec<_>, Vec<_>) =
        out.lines(&task.id).into_iter().partition(|line| line.starts_with("the supervisor is not running"));
    assert_eq!(alone.len(), 1, "{alone:?}");
    assert_eq!(
        reported[..7],
        [
            "T accepted for shell",
            "T running on shell-1",
            "T delayed 10ms: exit code 1 (retry 1 of 3)",
            "  to try none again: retries = 0 under [roles.shell] in sessions.toml, or",
            "    --retries 0",
            "T running on shell-1 (attempt 2)",
            "T succeeded in 1.5s",
        ]
    );
    assert!(out.text().ends_with("\n  one\n  two\n"), "{}", out.text());
}

#[tokio::test]
async fn subtasks_are_reported_below_their_parent() {
    let world = World::with_redis().await;
    let (ops, out) = (world.person(), Printed::default());
    let work = async {
        let (parent, child) = (Agent::start("shell-1", ops.store()).await, Agent::start("shell-2", ops.store()).await);
        let whole = parent.claim().await;
        out.until("running on shell-1").await;
        let part = Delegate { text: "a part".into(), ..Delegate::default() };
        world.ops(parent.caller(&whole)).delegate(part).await.unwrap();
        let part = child.claim().await;
        child.finish(&part, Cause::Success, "the part's answer").await;
        out.until("succeeded").await;
        parent.finish(&whole, Cause::Permanent, "exit code 65").await;
        (whole.task.id, part.task.id)
    };
    let (ended, (whole, part)) = tokio::join!(console(world.person(), piped("the whole"), &out, false), work);
    ended.unwrap();
    let text = out.text();
    assert!(text.contains(&format!("\n  ↳ {part} accepted for shell  a part\n")), "{text}");
    assert!(text.contains(&format!("\n  ↳ {part} succeeded in 1.5s\n")), "{text}");
    assert!(!text.contains("the part's answer"), "{text}");
    assert!(text.ends_with(&format!("{whole} failed: exit code 65\n  orch why {whole}\n")), "{text}");
}

#[tokio::test]
async fn a_new_console_follows_open_tasks() {
    let world = World::with_redis().await;
    let (ops, out) = (world.person(), Printed::default());
    let agent = Agent::start("shell-1", ops.store()).await;
    let (running, waits) = (Delegate { text: "first".into(), ..Delegate::default() }, "second".to_owned());
    let first = ops.delegate(running).await.unwrap().id;
    let claimed = agent.claim().await;
    let second = ops.delegate(Delegate { text: waits, ..Delegate::default() }).await.unwrap().id;
    let (person, inputs) = channel(1);
    let work = async {
        out.until("still open from before").await;
        agent.finish(&claimed, Cause::Success, "done at last").await;
        out.until("done at last").await;
        drop(person);
    };
    let (left, ()) = tokio::join!(console(world.person(), inputs, &out, true), work);
    left.unwrap();
    let text = out.text();
    assert!(text.contains(&format!("{first} running on shell-1  first\n{second} ready  second\n")), "{text}");
    assert!(text.contains(&format!("{first} succeeded in 1.5s\n  done at last\n")), "{text}");
}

#[tokio::test]
async fn an_unreachable_redis_is_reported_once_and_its_return_as_well() {
    let mut world = World::new();
    let out = Printed::default();
    let (ops, (person, inputs)) = (world.person(), channel(1));
    let line = || Input::Delegate { role: None, text: "work".into() };
    let work = async {
        out.until("what runs is not shown").await;
        person.send(line()).await.unwrap();
        out.until("not accepted: ").await;
        world.start_redis().await;
        out.until("Redis answers again.").await;
        person.send(line()).await.unwrap();
        out.until("accepted for shell").await;
        drop(person);
    };
    let (left, ()) = tokio::join!(console(ops, inputs, &out, true), work);
    left.unwrap();
    assert_eq!(out.text().matches("what runs is not shown").count(), 1, "{}", out.text());
}

#[tokio::test]
async fn a_pipe_whose_lines_are_not_accepted_ends_as_an_error() {
    let world = World::new();
    let out = Printed::default();
    let error = console(world.person(), piped("work\n"), &out, false).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotRunning);
    assert!(out.text().contains("not accepted: "), "{}", out.text());
    let error = console(world.person(), piped("@nobody work\n"), &out, false).await.unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
}

#[tokio::test]
async fn commands_answer_and_a_cancelled_task_is_retried() {
    let world = World::with_redis().await;
    let (ops, out) = (world.person(), Printed::default());
    let (person, inputs) = channel(1);
    let work = async {
        let type_ = async |line: &str| person.send(input::parse(line, &roles())).await.unwrap();
        type_("work").await;
        out.until("accepted for shell").await;
        let id = out.text().split_whitespace().find(|w| w.starts_with("t-")).unwrap().to_owned();
        for (line, answer) in [
            (format!("/cancel {id}"), format!("{id}: cancelled (was ready)")),
            (format!("/cancel {id}"), format!("{id}: cancelled already, nothing to do")),
            (format!("/show {id}"), format!("{id}  cancelled\ntext        work")),
            (format!("/why {id}"), format!("{id}  cancelled\n  ")),
            (format!("/logs {id}"), format!("{id} has printed nothing")),
            (format!("/retry {id}"), format!("{id}: ready again (was cancelled)")),
            ("/tasks".to_owned(), format!("{id}  ready  ")),
            ("/status".to_owned(), "tasks  1 ready".to_owned()),
            ("/agents".to_owned(), "no agent runs".to_owned()),
            ("/show t-0000000000".to_owned(), "t-0000000000".to_owned()),
        ] {
            type_(&line).await;
            out.until(&answer).await;
        }
        let agent = Agent::start("shell-1", ops.store()).await;
        let claimed = agent.claim().await;
        agent.finish(&claimed, Cause::Success, "the answer").await;
        out.until("\n  the answer\n").await;
        type_(&format!("/result {id}")).await;
        out.until("\nthe answer\n").await;
        drop(person);
    };
    let (left, ()) = tokio::join!(console(world.person(), inputs, &out, true), work);
    left.unwrap();
}

#[tokio::test]
async fn a_question_is_shown_whole_and_answered_at_the_prompt() {
    let world = World::with_redis().await;
    let (ops, out) = (world.person(), Printed::default());
    let (person, inputs) = channel(1);
    let work = async {
        let type_ = async |line: &str| person.send(input::parse(line, &roles())).await.unwrap();
        let agent = Agent::start("shell-1", ops.store()).await;
        // Another terminal's task: the person at the prompt is asked, too.
        let id = ops.delegate(Delegate { text: "paint".into(), ..Delegate::default() }).await.unwrap().id;
        let claimed = agent.claim().await;
        let program = world.ops(agent.caller(&claimed));
        let options = vec!["red".to_owned(), "dark blue".to_owned()];
        let question = Ask { text: "Which colour?\n  It dries fast.".into(), options, ..Ask::default() };
        program.ask_person(&question).await.unwrap();
        let asked = [
            format!("{id}#1 on shell-1 asks"),
            "  Which colour?\n    It dries fast.\n  choices: red, dark blue\n".to_owned(),
            format!("    /answer {id}#1 red\n    /answer {id}#1 dark blue"),
        ];
        for text in &asked {
            out.until(text).await;
        }
        type_("/questions").await;
        type_(&format!("/approve {id}#1")).await;
        out.until("are for yes-or-no questions").await;
        type_(&format!("/answer {id}#1 dark blue")).await;
        out.until(&format!("{id}: answered 'Which colour?")).await;
        let again = program.ask_person(&question).await.unwrap();
        assert_eq!(again.answer.as_deref(), Some("dark blue"));
        type_("/questions").await;
        out.until("no open questions").await;
        drop(person);
        // When it was asked and when it was listed; not once more for the agent that waits.
        assert_eq!(out.text().matches("It dries fast.").count(), 2, "{}", out.text());
    };
    let (left, ()) = tokio::join!(console_at_prompt(world.person(), inputs, &out), work);
    left.unwrap();
}

#[tokio::test]
async fn messages_to_the_master_are_shown_and_stay_unread_until_the_inbox_is_read() {
    let world = World::with_redis().await;
    let (ops, out) = (world.person(), Printed::default());
    let (person, inputs) = channel(1);
    let work = async {
        let type_ = async |line: &str| person.send(input::parse(line, &roles())).await.unwrap();
        let agent = Agent::start("shell-1", ops.store()).await;
        ops.delegate(Delegate { text: "work".into(), ..Delegate::default() }).await.unwrap();
        let claimed = agent.claim().await;
        let task = &claimed.task.id;
        world.ops(agent.caller(&claimed)).send("master", "the schema\nis done").await.unwrap();
        out.until(&format!("message from shell-1 within {task}")).await;
        out.until("  the schema\n  is done\n").await;
        let unread = ops.status().await.unwrap().attention;
        assert!(unread.iter().any(|one| one.text.as_deref() == Some("the schema\nis done")), "{unread:?}");
        type_("/inbox").await;
        out.until(": the schema\n    is done").await;
        type_("/inbox").await;
        out.until("no new messages").await;
        let read = ops.status().await.unwrap().attention;
        assert!(!read.iter().any(|one| one.text.is_some()), "{read:?}");
        type_(&format!("/send {task} go on, slowly")).await;
        out.until(&format!("sent to {task}")).await;
        for (line, answer) in [
            ("/pause shell", "paused shell: nothing new starts, tasks are accepted (/resume shell undoes it)"),
            ("/resume shell", "resumed shell"),
            ("/costs", "nothing was reported"),
            ("/events", "message.sent"),
        ] {
            type_(line).await;
            out.until(answer).await;
        }
        drop(person);
    };
    let (left, ()) = tokio::join!(console_at_prompt(world.person(), inputs, &out), work);
    left.unwrap();
    assert_eq!(out.text().matches("(/inbox marks it read)").count(), 1, "{}", out.text());
}
