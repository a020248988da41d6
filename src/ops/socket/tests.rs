use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, future};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};

use super::{Connection, Request, serve};
use crate::{
    config::{Config, Env},
    error::{Error, Kind},
    ops::{Caller, Client, Ops, Target, VERBS},
};

/// A project without a Redis, whose verbs are served on a socket.
struct Served {
    folder: tempfile::TempDir,
}

impl Served {
    fn new() -> Served {
        let folder = tempfile::tempdir().unwrap();
        let env = Env { cwd: folder.path().into(), orch_home: Some(folder.path().join("home")), ..Env::default() };
        let caller = Caller::Agent { agent: "shell-1".into(), role: "shell".into(), attempt: None };
        let ops = Arc::new(Ops::new(Config::load_with(&env, None).unwrap(), caller).unwrap());
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, ops.clone()));
            }
        });
        Served { folder }
    }

    async fn client(&self) -> Client {
        Connection::open(&self.folder.path().join("s"), "shell-1").await.unwrap().into()
    }

    async fn raw(&self, line: &str) -> String {
        let mut stream = BufReader::new(UnixStream::connect(self.folder.path().join("s")).await.unwrap());
        stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).await.unwrap();
        answer
    }
}

#[tokio::test]
async fn the_runner_says_who_the_caller_is() {
    let served = Served::new();
    let project = served.client().await.project().await.unwrap();
    assert_eq!(project.you.map(|you| you.agent).as_deref(), Some("shell-1"));
    assert!(project.roles.iter().any(|role| role.name == "shell"));
}

#[tokio::test]
async fn answers_and_errors_come_back_to_the_request_they_belong_to() {
    let served = Served::new();
    let client = served.client().await;
    let asks = (0..50).map(|n| {
        let client = &client;
        async move {
            match n % 2 {
                0 => client.project().await.map(drop),
                _ => client.show(Target::Agent(format!("none-{n}"))).await.map(drop),
            }
        }
    });
    let answers = future::join_all(asks).await;
    let failed: Vec<Kind> = answers.iter().filter_map(|a| a.as_ref().err()).map(|e: &Error| e.kind).collect();
    assert_eq!(failed, [Kind::NotRunning; 25], "there is no Redis");
}

#[tokio::test]
async fn a_stream_ends_with_its_error_and_a_dropped_one_disturbs_nobody() {
    let served = Served::new();
    let client = served.client().await;
    let mut status = client.watch_status();
    assert_eq!(status.next().await.unwrap().unwrap().supervisor.state, "stopped");
    drop(status);
    let mut events = client.follow_events("0-0".into());
    assert_eq!(events.next().await.unwrap().unwrap_err().kind, Kind::NotRunning);
    assert!(events.next().await.is_none());
    client.project().await.unwrap();
}

#[tokio::test]
async fn what_is_no_request_gets_an_error_with_its_id() {
    let served = Served::new();
    for (line, said) in [
        (r#"{"id":7,"request":{"method":"fly","params":{}}}"#, r#"{"id":7,"answer":{"error":{"kind":"usage""#),
        (r#"{"id":8,"request":{"method":"show","params":{}}}"#, r#"{"id":8,"answer":{"error""#),
        ("hello", r#"{"id":0,"answer":{"error""#),
        (
            r#"{"id":9,"cancel":true}
{"id":10,"request":{"method":"project","params":{}}}"#,
            r#"{"id":10,"answer":{"result""#,
        ),
    ] {
        let answer = served.raw(line).await;
        assert!(answer.starts_with(said), "{line}: {answer}");
    }
    for (line, said) in [
        ("hello", "the line is no JSON: expected value"),
        (r#"{"id":1}"#, "it needs an id (a number) and a request"),
        (r#"{"id":1,"request":{}}"#, "the request names no method"),
        (r#"{"id":1,"request":{"method":"shwo","params":{}}}"#, r#"knows no method \"shwo\""#),
        (r#"{"id":1,"request":{"method":"shwo","params":{}}}"#, r#"do you mean \"show\"?"#),
        (r#"{"id":1,"request":{"method":"show","params":{}}}"#, "the parameters of show are wrong: missing field"),
    ] {
        let answer = served.raw(line).await;
        assert!(answer.contains(said) && !answer.contains("variant"), "{line}: {answer}");
    }
}

#[tokio::test]
async fn a_runner_that_is_gone_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let refused = Connection::open(&path, "shell-1").await.unwrap_err();
    assert_eq!(refused.kind, Kind::NotRunning);
    let listener = UnixListener::bind(&path).unwrap();
    let (client, accepted) = tokio::join!(Connection::open(&path, "shell-1"), listener.accept());
    drop(accepted);
    let client = Client::from(client.unwrap());
    let answer = tokio::time::timeout(Duration::from_secs(10), client.project()).await.unwrap();
    assert!(answer.unwrap_err().message.contains("shell-1"));
}

#[test]
fn a_request_is_written_by_the_name_of_its_verb() {
    let request = serde_json::to_value(Request::Tasks { filter: crate::ops::TaskFilter::default() }).unwrap();
    assert_eq!(request["method"], "tasks");
    assert!(VERBS.contains(&"tasks") && VERBS.contains(&"watch_status"));
}
