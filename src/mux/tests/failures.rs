//! What goes away, and what was never there.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::*;

fn server_pid(server: &Server) -> Pid {
    Pid::from_raw(server.says(&["display-message", "-p", "#{pid}"]).parse().unwrap())
}

#[tokio::test]
async fn a_killed_server_is_empty_and_started_anew() {
    let server = Server::new();
    let mux = server.mux();
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

#[tokio::test]
async fn a_server_without_sessions_is_as_good_as_none() {
    let server = Server::new();
    std::fs::write(server.path("tmux.conf"), "set -g exit-empty off\n").unwrap();
    let (mux, spec) = (server.mux(), server.spec("a-1"));
    server.says(&["start-server"]);
    let pid = server_pid(&server);
    for _ in 0..2 {
        assert_eq!(mux.sessions().await, Ok(vec![]));
        assert_eq!(mux.close("a-1", &spec.tags).await, Ok(false));
        assert_eq!(mux.detach_clients("a-1", &spec.tags).await, Ok(false));
        assert_eq!(mux.screen("%0").await, Err(MuxError::Gone));
        assert_eq!(mux.press_enter("%0", &spec.tags).await, Ok(false));
        mux.open(&spec).await.unwrap();
        assert_eq!(names(&mux).await, ["a-1"]);
        assert_eq!(mux.close("a-1", &spec.tags).await, Ok(true));
    }
    assert_eq!(server_pid(&server), pid);
}

#[tokio::test]
async fn closing_the_last_session_and_opening_the_next_meet_an_ending_server() {
    let server = Server::new();
    let mux = server.mux();
    let spec = server.spec("a-1");
    for round in 0..20 {
        mux.open(&spec).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(mux.close("a-1", &spec.tags).await.unwrap(), "round {round}");
    }
}

#[tokio::test]
async fn a_stopped_server_is_unreachable_not_empty() {
    let server = Server::new();
    let mux = server.mux();
    mux.open(&server.spec("a-1")).await.unwrap();
    let hasty = TmuxMux::new(TmuxOptions { limit: Duration::from_millis(300), ..server.options() });
    // On a busy machine that alone may take longer, and the limit is not what is on trial.
    until("the version is known", async || hasty.version().await.is_ok()).await;
    let pid = server_pid(&server);
    kill(pid, Signal::SIGSTOP).unwrap();
    let (listed, opened) = (hasty.sessions().await, hasty.open(&server.spec("a-2")).await);
    kill(pid, Signal::SIGCONT).unwrap();
    assert!(matches!(listed, Err(MuxError::Unreachable(_))), "{listed:?}");
    assert!(matches!(opened, Err(MuxError::Unreachable(_))), "{opened:?}");
    until("it answers again", async || mux.sessions().await.is_ok_and(|all| all[0].name == "a-1")).await;
    assert_eq!(server_pid(&server), pid);
}

#[tokio::test]
async fn a_listing_starts_no_server() {
    let server = Server::new();
    assert_eq!(server.mux().sessions().await, Ok(vec![]));
    assert!(!server.path("s").exists());
}

#[tokio::test]
async fn a_missing_program_is_said_to_be_missing() {
    let server = Server::new();
    let mux = TmuxMux::new(TmuxOptions { program: server.path("no-tmux-here"), ..server.options() });
    assert!(matches!(mux.version().await, Err(MuxError::Missing { .. })));
    assert!(matches!(mux.sessions().await, Err(MuxError::Missing { .. })));
    assert!(matches!(mux.open(&server.spec("a-1")).await, Err(MuxError::Missing { .. })));
}

#[tokio::test]
async fn an_old_program_opens_nothing() {
    let server = Server::new();
    let program = server.script("[ \"$2\" = -V ] && echo tmux 3.1 && exit; echo \"$@\" >>\"$0.calls\"");
    let mux = TmuxMux::new(TmuxOptions { program, ..server.options() });
    let too_old = Err(MuxError::TooOld { found: "3.1".into(), needed: "3.2".into() });
    assert_eq!(mux.open(&server.spec("a-1")).await, too_old);
    assert!(!server.path("fake-tmux.calls").exists());
    assert!(server.mux().version().await.unwrap().number >= Some((3, 2)));
}

#[tokio::test]
async fn a_session_that_could_not_be_tagged_is_ended_by_its_id() {
    let server = Server::new();
    let program = server.script(
        "case \"$*\" in\n*-V*) echo tmux 3.3a ;;\n*show-options*) ;;\n*new-session*) echo '$7 %8 99'; echo 'no space' >&2; exit 1 ;;\n\
         *) echo \"$@\" >>\"$0.calls\" ;;\nesac",
    );
    let mux = TmuxMux::new(TmuxOptions { program, ..server.options() });
    assert_eq!(mux.open(&server.spec("a-1")).await, Err(MuxError::Refused("no space".into())));
    let calls = std::fs::read_to_string(server.path("fake-tmux.calls")).unwrap();
    assert!(calls.trim_end().ends_with("-t $7") && calls.contains("kill-session"), "{calls}");
    assert_eq!(calls.lines().count(), 1, "{calls}");
}
