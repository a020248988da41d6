//! Sends commands and transitions over one connection.
//!
//! The client library returns an error of the server as a value; here it becomes an `Err`, in one place.

use redis::{
    Arg, Cmd, ErrorKind, Pipeline, RedisResult, ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

use super::script::Script;

/// Arguments of a transition.
pub(super) trait Args {
    fn add_to(&self, cmd: &mut Cmd);
}

impl<const N: usize> Args for [&str; N] {
    fn add_to(&self, cmd: &mut Cmd) {
        self.iter().for_each(|a| {
            cmd.arg(*a);
        });
    }
}

impl Args for Vec<String> {
    fn add_to(&self, cmd: &mut Cmd) {
        self.iter().for_each(|a| {
            cmd.arg(a);
        });
    }
}

/// One call of a transition.
pub(super) struct Call {
    script: &'static Script,
    by_hash: Cmd,
}

impl Call {
    pub fn new(script: &'static Script, prefix: &str, args: &impl Args) -> Call {
        let mut by_hash = redis::cmd("EVALSHA");
        by_hash.arg(script.hash()).arg(1).arg(prefix);
        args.add_to(&mut by_hash);
        Call { script, by_hash }
    }

    pub async fn send(&self, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
        match send(connection, &self.by_hash).await {
            answer if is_unknown(&answer) => send(connection, &self.in_full()).await,
            answer => answer,
        }
    }

    /// With the script's text, by which a server that does not know it (new, or after SCRIPT FLUSH) learns it.
    fn in_full(&self) -> Cmd {
        tracing::debug!(script = self.script.name, "sending in full");
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(self.script.text());
        for arg in self.by_hash.args_iter().skip(2) {
            if let Arg::Simple(bytes) = arg {
                cmd.arg(bytes);
            }
        }
        cmd
    }
}

/// Sends both before it waits for either; the server runs them in this order.
///
/// Where the server does not know one of them, both are sent again: the second must never count unless the first has
/// run before it, and each is safe to send again.
pub(super) async fn send_two(
    connection: &MultiplexedConnection,
    first: &Call,
    second: &Call,
) -> (RedisResult<Value>, RedisResult<Value>) {
    let (mut one, mut two) = (connection.clone(), connection.clone());
    let answers = futures_util::future::join(send(&mut one, &first.by_hash), send(&mut two, &second.by_hash)).await;
    if !is_unknown(&answers.0) && !is_unknown(&answers.1) {
        return answers;
    }
    let (first, second) = (first.in_full(), second.in_full());
    futures_util::future::join(send(&mut one, &first), send(&mut two, &second)).await
}

pub(super) async fn send(connection: &mut MultiplexedConnection, cmd: &Cmd) -> RedisResult<Value> {
    connection.req_packed_command(cmd).await?.extract_error()
}

/// All of them in one round trip; the first error stands for all.
pub(super) async fn send_all(connection: &mut MultiplexedConnection, pipe: &Pipeline) -> RedisResult<Vec<Value>> {
    let values = connection.req_packed_commands(pipe, 0, pipe.len()).await?;
    values.into_iter().map(Value::extract_error).collect()
}

/// The same, with an answer for each: one value of the wrong type is no reason not to read the others.
pub(super) async fn send_each(
    connection: &mut MultiplexedConnection,
    pipe: &Pipeline,
) -> RedisResult<Vec<RedisResult<Value>>> {
    let values = connection.req_packed_commands(pipe, 0, pipe.len()).await?;
    Ok(values.into_iter().map(Value::extract_error).collect())
}

fn is_unknown(answer: &RedisResult<Value>) -> bool {
    matches!(answer, Err(e) if e.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
}
