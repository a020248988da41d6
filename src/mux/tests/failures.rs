//! What goes away, and what was never there.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::*;

/// A process that a failed test leaves behind no more than a passed one.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn server_pid(server: &Server) -> Pid {
    Pid::from_raw(server.says(&["display-message", "-p", "#{pid}"]).parse().unwrap())
}

#[tokio::test]
async fn a_killed_keeper_is_replaced() {
    let server = Server::new();
    let mux = server.kept();
    mux.open(&server.spec("a-1")).await.unwrap();
    let mut changes = mux.changes();
    for _ in 0..3 {
        let keepers = server.keepers();
        assert_eq!(keepers.len(), 1, "{keepers:?}");
        changes.mark_unchanged();
        server.says(&["kill-session", "-t", &format!("={}", keepers[0])]);
        // Whether or not the loss is noticed before the next call.
        assert_eq!(names(&mux).await, ["a-1"]);
        changes.changed().await.unwrap();
        until("there is a keeper again", async || names(&mux).await == ["a-1"] && server.keepers().len() == 1).await;
    }
    mux.open(&server.spec("a-2")).await.unwrap();
    assert_eq!(names(&mux).await, ["a-1", "a-2"]);
}

#[tokio::test]
async fn a_killed_server_is_empty_and_started_anew() {
    let server = Server::new();
    for mux in [server.kept(), server.plain()] {
        for round in 0..4 {
            assert_eq!(names(&mux).await, [""; 0], "before round {round}");
            let spec = server.spec("a-1");
            assert!(!mux.close("a-1", &spec.tags).await.unwrap());
            mux.open(&spec).await.unwrap();
            assert_eq!(names(&mux).await, ["a-1"]);
            if round % 2 == 0 {
                kill(server_pid(&server), Signal::SIGKILL).unwrap();
            } else {
                server.says(&["kill-server"]);
            }
            until("the server is gone", async || mux.sessions().await == Ok(vec![])).await;
        }
    }
}

#[tokio::test]
async fn closing_the_last_session_and_opening_the_next_meet_an_ending_server() {
    let server = Server::new();
    let mux = server.plain();
    let spec = server.spec("a-1");
    for round in 0..20 {
        mux.open(&spec).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(mux.close("a-1", &spec.tags).await.unwrap(), "round {round}");
    }
}

#[tokio::test]
async fn a_stopped_server_is_unreachable_not_empty() {
    let server = Server::new();
    for keeper in [None, Some("shop".to_owned())] {
        let mux = TmuxMux::new(TmuxOptions { limit: Duration::from_millis(300), keeper, ..server.options() });
        let spec = server.spec("a-1");
        mux.open(&spec).await.unwrap();
        let pid = server_pid(&server);
        kill(pid, Signal::SIGSTOP).unwrap();
        for _ in 0..2 {
            assert!(matches!(mux.sessions().await, Err(MuxError::Unreachable(_))));
        }
        let unheard = mux.open(&server.spec("a-2")).await;
        kill(pid, Signal::SIGCONT).unwrap();
        assert!(matches!(unheard, Err(MuxError::Unreachable(_))), "{unheard:?}");
        until("it answers again", async || mux.sessions().await.is_ok_and(|all| all[0].name == "a-1")).await;
        assert_eq!(server_pid(&server), pid);
        server.says(&["kill-server"]);
        until("the server is gone", async || mux.sessions().await == Ok(vec![])).await;
    }
}

#[tokio::test]
async fn nothing_is_left_when_a_mux_is_shut_down_or_dropped() {
    let server = Server::new();
    server.says(&["new-session", "-d", "-s", "mine", "cat"]);
    let (shut, dropped) = (server.kept(), server.kept());
    assert_eq!(names(&shut).await, ["mine"]);
    assert_eq!(names(&dropped).await, ["mine"]);
    assert_eq!(server.keepers().len(), 2);
    shut.shutdown().await;
    assert_eq!(server.keepers().len(), 1);
    assert_eq!(names(&shut).await, ["mine"], "one process for each call");
    assert_eq!(server.keepers().len(), 1);
    drop(dropped);
    until("the keeper went with its client", async || server.keepers().is_empty()).await;
}

/// A control client that goes down badly can take tmux's whole server with it, and every agent: see `commands::keeper`.
#[tokio::test]
async fn killed_supervisors_leave_the_server_and_nothing_else() {
    const PLACE: &str = "ORCH_TEST_SUPERVISOR_IN";
    if let Some(place) = std::env::var_os(PLACE) {
        // This process is the supervisor: it listens until it is killed.
        let socket = PathBuf::from(place).join("s").to_str().unwrap().to_owned();
        let mux =
            TmuxMux::new(TmuxOptions { socket: Some(socket), keeper: Some("shop".into()), ..TmuxOptions::default() });
        let mut changes = mux.changes();
        loop {
            let _ = mux.sessions().await;
            changes.changed().await.unwrap();
        }
    }
    let server = Server::new();
    let mux = server.plain();
    mux.open(&server.spec("a-1")).await.unwrap();
    let pid = server_pid(&server);
    let supervisor = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "mux::tests::failures::killed_supervisors_leave_the_server_and_nothing_else"]);
        Ended(command.env(PLACE, server.dir.path()).stdout(std::process::Stdio::null()).spawn().unwrap())
    };
    let mut supervisors: Vec<_> = (0..6).map(|_| supervisor()).collect();
    until("all of them listen", async || server.keepers().len() == supervisors.len()).await;
    for supervisor in &mut supervisors {
        // tmux has much to tell just when nobody listens any more.
        for name in ["x", "y", "z"] {
            server.tmux(&["new-session", "-d", "-s", name, "true"]);
        }
        supervisor.0.kill().unwrap();
        server.tmux(&["new-session", "-d", "-s", "w", "true"]);
    }
    until("keepers and clients are gone", async || {
        server.keepers().is_empty() && server.says(&["list-clients"]).is_empty()
    })
    .await;
    assert_eq!(server_pid(&server), pid);
    until("only a-1 is left", async || names(&mux).await == ["a-1"]).await;
}

#[tokio::test]
async fn a_listing_starts_no_server() {
    let server = Server::new();
    for mux in [server.kept(), server.plain()] {
        assert_eq!(mux.sessions().await, Ok(vec![]));
        assert!(!server.path("s").exists());
    }
}

#[tokio::test]
async fn a_missing_program_is_said_to_be_missing() {
    let server = Server::new();
    for keeper in [None, Some("shop".to_owned())] {
        let program = server.path("no-tmux-here");
        let mux = TmuxMux::new(TmuxOptions { program, keeper, ..server.options() });
        assert!(matches!(mux.version().await, Err(MuxError::Missing { .. })));
        assert!(matches!(mux.sessions().await, Err(MuxError::Missing { .. })));
        assert!(matches!(mux.open(&server.spec("a-1")).await, Err(MuxError::Missing { .. })));
    }
}

#[tokio::test]
async fn an_old_program_opens_nothing() {
    let server = Server::new();
    let program = server.script("[ \"$2\" = -V ] && echo tmux 3.1 && exit; echo \"$@\" >>\"$0.calls\"");
    let mux = TmuxMux::new(TmuxOptions { program, ..server.options() });
    let too_old = Err(MuxError::TooOld { found: "3.1".into(), needed: "3.2".into() });
    assert_eq!(mux.open(&server.spec("a-1")).await, too_old);
    assert!(!server.path("fake-tmux.calls").exists());
    assert!(server.plain().version().await.unwrap().number >= Some((3, 2)));
}

#[tokio::test]
async fn a_session_that_could_not_be_tagged_is_ended_by_its_id() {
    let server = Server::new();
    let program = server.script(
        "case \"$*\" in\n*-V*) echo tmux 3.3a ;;\n*new-session*) echo '$7 %8 99'; echo 'no space' >&2; exit 1 ;;\n\
         *) echo \"$@\" >>\"$0.calls\" ;;\nesac",
    );
    let mux = TmuxMux::new(TmuxOptions { program, ..server.options() });
    assert_eq!(mux.open(&server.spec("a-1")).await, Err(MuxError::Refused("no space".into())));
    let calls = std::fs::read_to_string(server.path("fake-tmux.calls")).unwrap();
    assert!(calls.trim_end().ends_with("-t $7") && calls.contains("kill-session"), "{calls}");
    assert_eq!(calls.lines().count(), 1, "{calls}");
}
