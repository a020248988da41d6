//! Typing against the recording test double, and into a real prompt on a real tmux server.

use super::*;
use crate::mux::{Call, Opened, RecordingMux, SessionSpec, TmuxMux, TmuxOptions};

const LINE: &str = "orch: 2 new messages";
const LONG_AGO: Duration = Duration::from_secs(3600);

fn spec(argv: &[&str], cwd: &std::path::Path) -> SessionSpec {
    SessionSpec {
        name: "a-1".into(),
        cwd: cwd.into(),
        argv: argv.iter().map(Into::into).collect(),
        size: (60, 12),
        env: vec![("LC_ALL".into(), "C.UTF-8".into())],
        tags: Tags { namespace: "n".into(), agent: "a-1".into(), incarnation: "1".into() },
    }
}

/// A prompt that is `> ` and the typed text, unless the program asks something.
fn prompt(screen: &Screen) -> Prompt {
    match screen.text.lines().rfind(|line| line.starts_with('>')) {
        _ if screen.text.contains("proceed?") => Prompt::Absent,
        Some(">") => Prompt::Empty,
        Some(_) => Prompt::Filled,
        None => Prompt::Absent,
    }
}

fn shows(text: &str) -> Screen {
    Screen { text: text.into(), ..Screen::default() }
}

fn typed_by_a_person(ago: Duration, text: &str) -> Screen {
    Screen { last_typed: Some(ago), ..shows(text) }
}

fn attached(ago: Duration, text: &str) -> Screen {
    Screen { last_attached: Some(ago), ..shows(text) }
}

/// A test double with one session, whose pane shows the next of these screens at each read.
struct Scene {
    mux: Arc<RecordingMux>,
    typist: Typist,
}

impl Scene {
    async fn of(screens: Vec<Screen>) -> Self {
        let mux = Arc::new(RecordingMux::new());
        let spec = spec(&["true"], "/".as_ref());
        let Opened { pane_id, .. } = mux.open(&spec).await.unwrap();
        mux.show(&pane_id, screens);
        let quick = Duration::from_millis(1);
        let pace = Pace { before_enter: quick, shown: (50 * quick, quick), confirmed: 50 * quick, ..Pace::default() };
        Scene { typist: Typist { mux: mux.clone(), pane: pane_id, tags: spec.tags, pace }, mux }
    }

    /// What was done to the pane, one letter per action.
    fn done(&self) -> String {
        let letter = |call: &Call| match call {
            Call::Paste(_, text) if text == LINE => Some('p'),
            Call::Enter(_) => Some('e'),
            _ => None,
        };
        self.mux.calls().iter().filter_map(letter).collect()
    }

    /// Types the line into a program that reports the submitted prompt after this many Enters, if ever.
    async fn type_it(&self, confirmed_after: Option<usize>) -> Typed {
        let submitted = watch::Sender::new(7);
        let program = async {
            while confirmed_after.is_none_or(|enters| self.done().matches('e').count() < enters) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            submitted.send_replace(8);
        };
        let typing = self.typist.type_line(LINE, prompt, submitted.subscribe());
        tokio::pin!(typing);
        // The program is polled first: what it reports in time is received in time, however slow this machine is.
        tokio::select! {
            biased;
            () = program => typing.await,
            typed = &mut typing => typed,
        }
    }
}

#[tokio::test]
async fn a_line_is_delivered_once_the_program_has_reported_it() {
    let scene =
        Scene::of(vec![shows(">"), shows(">"), shows("> orch: 2 new\n> messages"), shows("> orch: 2 new messages")])
            .await;
    let typed = scene.type_it(Some(1)).await;
    assert_eq!((typed.delivery, scene.done()), (Delivery::Delivered, "pe".to_owned()), "{typed:?}");
}

#[tokio::test]
async fn enter_is_pressed_once_more_where_the_line_still_stands() {
    let in_prompt = "he said\n> orch: 2 new messages";
    let scene = Scene::of(vec![shows("he said\n>"), shows(in_prompt)]).await;
    let typed = scene.type_it(Some(2)).await;
    assert_eq!((typed.delivery, scene.done()), (Delivery::Delivered, "pee".to_owned()), "{typed:?}");

    let scene = Scene::of(vec![shows("he said\n>"), shows(in_prompt)]).await;
    let typed = scene.type_it(None).await;
    assert_eq!((typed.delivery, scene.done()), (Delivery::Unconfirmed, "pee".to_owned()), "{typed:?}");
}

/// The line was submitted, the program does not report it, and asks for a permission: Enter would grant it.
#[tokio::test]
async fn a_question_is_never_answered_by_enter() {
    let asks = shows("> orch: 2 new messages\nDo you want to proceed?\n1. Yes");
    let scene = Scene::of(vec![shows(">"), shows("> orch: 2 new messages"), asks.clone()]).await;
    let typed = scene.type_it(None).await;
    assert_eq!((typed.delivery, scene.done()), (Delivery::Unconfirmed, "pe".to_owned()), "{typed:?}");

    // The question appeared while the line was pasted; earlier text on the screen does not prove that the line
    // arrived.
    for looks in
        [vec![shows(">"), asks.clone()], vec![shows("> orch: 2 new messages\n>"), shows("> orch: 2 new messages")]]
    {
        let scene = Scene::of(looks).await;
        let typed = scene.type_it(None).await;
        assert_eq!((typed.delivery, scene.done()), (Delivery::Unconfirmed, "p".to_owned()), "{typed:?}");
    }
}

#[tokio::test]
async fn nothing_is_typed_where_a_person_is_or_the_prompt_is_not_free() {
    for (why, screen) in [
        ("a person is typing", typed_by_a_person(Duration::from_secs(4), ">")),
        ("a person has just attached", attached(Duration::from_secs(4), ">")),
        ("something stands in the prompt", shows("> half a thought")),
        ("the program shows no prompt", shows("Do you want to proceed?")),
    ] {
        let scene = Scene::of(vec![screen]).await;
        let typed = scene.type_it(None).await;
        assert_eq!((typed.delivery, typed.why.as_str(), scene.done()), (Delivery::Failed, why, String::new()));
    }
    let scene =
        Scene::of(vec![typed_by_a_person(LONG_AGO, ">"), typed_by_a_person(LONG_AGO, "> orch: 2 new messages")]).await;
    assert_eq!(
        scene.type_it(Some(1)).await.delivery,
        Delivery::Delivered,
        "an attached user who does not type does not prevent it"
    );
}

#[tokio::test]
async fn a_line_that_a_user_has_begun_to_edit_is_not_submitted() {
    let theirs = typed_by_a_person(Duration::ZERO, "> orch: 2 new messages wait");
    let scene = Scene::of(vec![shows(">"), theirs.clone()]).await;
    let typed = scene.type_it(None).await;
    assert_eq!((typed.delivery, scene.done()), (Delivery::Unconfirmed, "p".to_owned()), "{typed:?}");
    let scene = Scene::of(vec![shows(">"), shows("> orch: 2 new messages"), theirs]).await;
    let typed = scene.type_it(None).await;
    assert_eq!((typed.delivery, scene.done()), (Delivery::Unconfirmed, "pe".to_owned()), "{typed:?}");
}

#[tokio::test]
async fn a_line_behind_what_the_program_has_put_back_is_not_submitted() {
    let restored = format!("> {LINE}\n  An answer.\n> take your time{LINE}");
    let scene = Scene::of(vec![shows(&format!("> {LINE}\n  An answer.\n>")), shows(&restored)]).await;
    let typed = scene.type_it(None).await;
    assert_eq!((typed.delivery, scene.done().as_str()), (Delivery::Unconfirmed, "p"), "{}", typed.why);
}

#[tokio::test]
async fn attaching_while_we_type_does_not_count_as_typing() {
    let in_prompt = "> orch: 2 new messages";
    let comes = vec![shows(">"), attached(Duration::ZERO, in_prompt), attached(LONG_AGO, in_prompt)];
    let scene = Scene::of(comes).await;
    let typed = scene.type_it(Some(1)).await;
    assert_eq!((typed.delivery, scene.done()), (Delivery::Delivered, "pe".to_owned()), "{typed:?}");

    let theirs = typed_by_a_person(Duration::ZERO, in_prompt);
    let scene = Scene::of(vec![shows(">"), attached(Duration::ZERO, in_prompt), theirs]).await;
    let typed = scene.type_it(None).await;
    assert_eq!((typed.delivery, scene.done()), (Delivery::Unconfirmed, "p".to_owned()), "they typed in that second");
}

#[tokio::test]
async fn a_pane_that_is_not_ours_and_a_line_that_is_a_command_fail() {
    let mut scene = Scene::of(vec![shows(">")]).await;
    let submitted = watch::Sender::new(0);
    let typed = scene.typist.type_line("!rm -r .", prompt, submitted.subscribe()).await;
    assert_eq!(typed.delivery, Delivery::Failed, "{typed:?}");
    scene.typist.tags.incarnation = "2".into();
    assert_eq!(scene.type_it(None).await.delivery, Delivery::Failed);
    scene.typist.pane = "%99".into();
    assert_eq!(scene.type_it(None).await.delivery, Delivery::Failed);
    assert_eq!(scene.done(), "");
}

/// A real tmux server with one session. It ends when this is dropped.
struct Server {
    dir: tempfile::TempDir,
    typist: Typist,
}

impl Server {
    async fn running(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (socket, config) = (dir.path().join("s"), dir.path().join("tmux.conf"));
        std::fs::write(&config, "").unwrap();
        let socket = Some(socket.to_str().unwrap().to_owned());
        let mux = TmuxMux::new(TmuxOptions { socket, config: Some(config), ..TmuxOptions::default() });
        let spec = spec(&["bash", "--norc", "-c", script], dir.path());
        let pane = mux.open(&spec).await.unwrap().pane_id;
        let typist = Typist { mux: Arc::new(mux), pane, tags: spec.tags, pace: Pace::default() };
        Server { dir, typist }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Screen) -> bool) {
        let start = Instant::now();
        while !holds(&self.typist.mux.screen(&self.typist.pane).await.unwrap()) {
            assert!(start.elapsed() < Duration::from_secs(20), "never happened: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("said")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let socket = self.dir.path().join("s");
        let _ = std::process::Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output();
    }
}

/// A prompt with line editing and bracketed paste, which asks a question after the first line that it receives.
const PROGRAM: &str = "IFS= read -re -p '> ' line; printf '%s\\n' \"$line\" >>said; \
                       echo 'Do you want to proceed?'; read -rsn1; echo yes >>said; read -r";

#[tokio::test]
async fn a_real_prompt_is_typed_into_and_its_question_is_left_alone() {
    let server = Server::running(PROGRAM).await;
    server.until("the prompt is there", |screen| prompt(screen) == Prompt::Empty).await;
    let submitted = watch::Sender::new(0);
    let hook = async {
        while server.said().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        submitted.send_replace(1);
        std::future::pending().await
    };
    let long = "orch: 2 new messages; #(touch x) ä 漢, and more than one line of this terminal;";
    let typed = tokio::select! {
        typed = server.typist.type_line(long, prompt, submitted.subscribe()) => typed,
        () = hook => unreachable!(),
    };
    assert_eq!((typed.delivery, server.said()), (Delivery::Delivered, format!("{long}\n")), "{typed:?}");

    server.until("it asks", |screen| screen.text.contains("Do you want to proceed?")).await;
    let typed = server.typist.type_line(LINE, prompt, submitted.subscribe()).await;
    assert_eq!((typed.delivery, typed.why.as_str()), (Delivery::Failed, "the program shows no prompt"));
    assert!(!server.said().contains("yes") && !server.dir.path().join("x").exists());
}
