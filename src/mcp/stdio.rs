//! The two pipes to the client, and the detection that it has gone.

use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::AsFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use nix::unistd::{dup2_stdin, dup2_stdout};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

use crate::error::{Error, Result};

/// One of the pipes.
pub(super) struct Pipe {
    file: tokio::fs::File,
    gone: Arc<Notify>,
}

/// Reserves standard input and output for the protocol. They are replaced by /dev/null and standard error: only messages may
/// reach the client, and no program that is started here may read one.
pub(super) fn take() -> Result<(Pipe, Pipe, Arc<Notify>)> {
    let (input, output) =
        taken().map_err(|e| Error::internal(format!("standard input and output cannot be used for MCP: {e}")))?;
    let gone = Arc::new(Notify::new());
    let pipe = |file: File| Pipe { file: file.into(), gone: Arc::clone(&gone) };
    Ok((pipe(input), pipe(output), Arc::clone(&gone)))
}

fn taken() -> io::Result<(File, File)> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    dup2_stdin(OpenOptions::new().read(true).open("/dev/null")?)?;
    dup2_stdout(io::stderr().as_fd())?;
    Ok((input.into(), output.into()))
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
