//! Asks the router of sessions.toml which of some equally good roles a task goes to.
//!
//! It is a program of the person who wrote sessions.toml, and gets no more of the environment than where programs are: the
//! caller's may have secrets.

use std::{path::Path, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::timeout,
};

use crate::model::{routing::RoleScore, text::one_line};

/// A router that takes longer is ended: its caller waits for it.
const LIMIT: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const LONGEST: u64 = 4_096;

/// The process group of a router: dropped, it is ended with all that is in it.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// Returns the role that the router prints. It reads the text and the roles, each with its score, as JSON.
///
/// # Errors
/// Why there is no answer, in words.
pub(super) async fn ask(router: &[String], folder: &Path, text: &str, equals: &[&RoleScore]) -> Result<String, String> {
    let [program, args @ ..] = router else { return Err("there is none".to_owned()) };
    let mut command = Command::new(program);
    let kept = ["PATH", "HOME", "LANG", "TMPDIR"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(kept).args(args).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| format!("it could not be started: {e}"))?;
    let _group = Group(child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw));
    let asked = json!({"text": text, "roles": equals}).to_string();
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A router that goes by the roles alone does not read it.
            let _ = stdin.write_all(asked.as_bytes()).await;
        }
    };
    let read = async {
        let mut answer = String::new();
        if let Some(stdout) = stdout {
            stdout.take(LONGEST).read_to_string(&mut answer).await.map_err(|e| e.to_string())?;
        }
        Ok::<String, String>(answer)
    };
    let answered = timeout(LIMIT, async {
        let ((), answer) = tokio::join!(write, read);
        let status = child.wait().await.map_err(|e| e.to_string())?;
        if status.success() { answer } else { Err(format!("it ended with {status}")) }
    });
    let answer = answered.await.map_err(|_| format!("it did not answer within {LIMIT:?}"))??;
    let role = answer.trim();
    match equals.iter().find(|one| one.role == role) {
        Some(one) => Ok(one.role.clone()),
        None => Err(format!("it answered '{}', which is none of the roles it was asked about", one_line(role, 60))),
    }
}
