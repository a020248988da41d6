//! The two pipes to the client, the detection that it has gone, and the answer to a line that is no JSON.
//!
//! The SDK ignores such a line, and a client that waits for its answer would wait for ever. So the input is compared as it
//! passes, and the error goes out between the SDK's own messages.

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
    ErrorData, RoleServer,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::{Transport, async_rw::AsyncRwTransport},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{Notify, mpsc},
};

use crate::error::{Error, Result};

/// One of the pipes.
pub(super) struct Pipe {
    file: tokio::fs::File,
    gone: Arc<Notify>,
    lines: Lines,
}

/// The lines that pass.
struct Lines {
    current: Vec<u8>,
    /// Receives why a line is no JSON.
    unreadable: mpsc::UnboundedSender<String>,
}

/// The connection to the client.
pub(super) struct Connection {
    inner: AsyncRwTransport<RoleServer, Pipe, Pipe>,
    unreadable: mpsc::UnboundedReceiver<String>,
}

/// Reserves standard input and output for the protocol. They are replaced by /dev/null and standard error: only messages may
/// reach the client, and no program that is started here may read one.
pub(super) fn take() -> Result<(Connection, Arc<Notify>)> {
    let (input, output) =
        taken().map_err(|e| Error::internal(format!("standard input and output cannot be used for MCP: {e}")))?;
    let gone = Arc::new(Notify::new());
    let (sender, unreadable) = mpsc::unbounded_channel();
    let lines = || Lines { current: Vec::new(), unreadable: sender.clone() };
    let pipe = |file: File| Pipe { file: file.into(), gone: Arc::clone(&gone), lines: lines() };
    let inner = AsyncRwTransport::new(pipe(input), pipe(output));
    Ok((Connection { inner, unreadable }, Arc::clone(&gone)))
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
            let why = tokio::select! {
                biased;
                Some(why) = self.unreadable.recv() => why,
                message = self.inner.receive() => return message,
            };
            let error = ErrorData::parse_error(format!("this line is no JSON: {why}"), None);
            // On its own: this call may be cancelled while the SDK writes. A client that has gone is noticed by others.
            tokio::spawn(self.inner.send(TxJsonRpcMessage::<RoleServer>::error(error, None)));
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.inner.close().await
    }
}

impl Lines {
    fn pass(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.current.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.check();
            self.current = Vec::new();
        }
        self.current.extend_from_slice(bytes);
    }

    fn check(&self) {
        let line = self.current.strip_suffix(b"\r").unwrap_or(&self.current);
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        if line.is_empty() {
            return;
        }
        if let Err(e) = serde_json::from_slice::<serde_json::Value>(line) {
            let _ = self.unreadable.send(e.to_string());
        }
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
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.file).poll_read(cx, buf);
        let ended = matches!(polled, Poll::Ready(Ok(()))) && buf.filled().len() == before && buf.remaining() > 0;
        self.notify_if(ended || matches!(polled, Poll::Ready(Err(_))));
        self.lines.pass(&buf.filled()[before..]);
        polled
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
