//! The two pipes to the client: detects that the client has gone, and sends the answer to an invalid line ([`Lines`])
//! between the SDK's own messages.

use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::AsFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use nix::unistd::{dup2_stdin, dup2_stdout};
use rmcp::{
    RoleServer,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::{Transport, async_rw::AsyncRwTransport},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{Notify, mpsc},
    task::JoinSet,
};

use super::{
    FAREWELL,
    lines::{Lines, Refused},
};
use crate::error::{Error, Result};

/// Bytes that are read together.
const PIECE: usize = 16 << 10;

/// One of the pipes.
pub(super) struct Pipe {
    file: tokio::fs::File,
    gone: Arc<Notify>,
    lines: Lines,
    /// Messages that the SDK has not read yet, and how much of them it has.
    messages: Vec<u8>,
    given: usize,
    /// Receives the lines that are no messages.
    refused: mpsc::UnboundedSender<Refused>,
}

/// The connection to the client.
pub(super) struct Connection {
    inner: AsyncRwTransport<RoleServer, Pipe, Pipe>,
    refused: mpsc::UnboundedReceiver<Refused>,
    /// Answers to them that are being written.
    answers: JoinSet<io::Result<()>>,
}

/// Reserves standard input and output for the protocol. They are replaced by /dev/null and standard error: only messages may
/// reach the client, and no program that is started here may read one.
pub(super) fn take() -> Result<(Connection, Arc<Notify>)> {
    let (input, output) =
        taken().map_err(|e| Error::internal(format!("standard input and output cannot be used for MCP: {e}")))?;
    let gone = Arc::new(Notify::new());
    let (sender, refused) = mpsc::unbounded_channel();
    let pipe = |file: File| Pipe {
        file: file.into(),
        gone: Arc::clone(&gone),
        lines: Lines::default(),
        messages: Vec::new(),
        given: 0,
        refused: sender.clone(),
    };
    let inner = AsyncRwTransport::new(pipe(input), pipe(output));
    Ok((Connection { inner, refused, answers: JoinSet::new() }, Arc::clone(&gone)))
}

fn taken() -> io::Result<(File, File)> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    dup2_stdin(OpenOptions::new().read(true).open("/dev/null")?)?;
    dup2_stdout(io::stderr().as_fd())?;
    Ok((input.into(), output.into()))
}

impl Transport<RoleServer> for Connection {
    type Error = io::Error;

    fn send(&mut self, item: TxJsonRpcMessage<RoleServer>) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.inner.send(item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            let message = tokio::select! {
                biased;
                Some(refused) = self.refused.recv() => {
                    self.answer(refused);
                    continue;
                }
                // A client that has gone is noticed by others.
                Some(_) = self.answers.join_next() => continue,
                message = self.inner.receive() => message,
            };
            if message.is_none() {
                self.finish_answers().await;
            }
            return message;
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.finish_answers().await;
        self.inner.close().await
    }
}

impl Connection {
    /// Answers a line that is no message. In a task of its own: the call that has read the line may be cancelled while the
    /// SDK writes.
    fn answer(&mut self, (error, id): Refused) {
        self.answers.spawn(self.inner.send(TxJsonRpcMessage::<RoleServer>::error(error, id)));
    }

    /// Answers every line that was read before the end of the input, and waits until the answers are written, or the client
    /// does not read them.
    async fn finish_answers(&mut self) {
        while let Ok(refused) = self.refused.try_recv() {
            self.answer(refused);
        }
        let written = async { while self.answers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FAREWELL, written).await;
    }
}

impl Pipe {
    /// Notifies that the client has gone, after the end of the input or an error.
    fn notify_if(&self, gone: bool) {
        if gone {
            self.gone.notify_one();
        }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let pipe = &mut *self;
        let mut piece = [0; PIECE];
        while pipe.given == pipe.messages.len() {
            let mut read = ReadBuf::new(&mut piece);
            match Pin::new(&mut pipe.file).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(e)) => {
                    pipe.notify_if(true);
                    return Poll::Ready(Err(e));
                }
                Poll::Pending => return Poll::Pending,
            }
            (pipe.messages, pipe.given) = (Vec::new(), 0);
            let at_end = read.filled().is_empty();
            let refused = match at_end {
                true => pipe.lines.end(&mut pipe.messages).into_iter().collect(),
                false => pipe.lines.read(read.filled(), &mut pipe.messages),
            };
            for refused in refused {
                let _ = pipe.refused.send(refused);
            }
            if at_end && pipe.messages.is_empty() {
                pipe.notify_if(true);
                return Poll::Ready(Ok(()));
            }
        }
        let end = pipe.messages.len().min(pipe.given + buf.remaining());
        buf.put_slice(&pipe.messages[pipe.given..end]);
        pipe.given = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.file).poll_write(cx, bytes);
        self.notify_if(matches!(polled, Poll::Ready(Err(_))));
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.file).poll_flush(cx);
        self.notify_if(matches!(polled, Poll::Ready(Err(_))));
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_shutdown(cx)
    }
}
