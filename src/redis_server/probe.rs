//! Identifies the process that listens on a socket before anything is sent to it.
//!
//! This does not use the client library: the kernel names the answering process (the socket's peer), even if the
//! server does not answer at all, and a server that is still loading or was stopped is a result here, not an error.

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use super::{access::Login, program::loading};

/// How long one answer may take. A server on this machine takes 0.1 ms; one whose disk is slow may take its time.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// More than INFO ever is: beyond it, this is no Redis.
const LONGEST_ANSWER: usize = 1 << 20;

/// The answer of the process that listens.
#[derive(Debug)]
pub(super) enum Answer {
    /// It serves. With its INFO.
    Ready(String),
    /// It loads its append-only file; bytes loaded so far and in total.
    Loading { loaded: u64, total: u64 },
    /// It accepts neither our password nor a caller without one.
    Denied,
    /// It refuses, or is no Redis: what it said.
    Refused(String),
    /// Nothing, within the limit or before it hung up: stopped, hung, ending.
    Nothing,
}

/// A connection to the process that listens on the socket.
pub(super) struct Peer {
    /// The process that listens, says the kernel.
    pub(super) pid: u32,
    stream: UnixStream,
}

impl Peer {
    /// Connects; `None` if no process listens there.
    pub(super) async fn connect(socket: &Path) -> Option<Peer> {
        let stream = UnixStream::connect(socket).await.ok()?;
        let pid = stream.peer_cred().ok()?.pid()?;
        Some(Peer { pid: u32::try_from(pid).ok()?, stream })
    }

    /// Logs in and asks for INFO, both of which a server also answers while it loads. A server that has no such user, such
    /// as one that an earlier release has started, answers without a login.
    pub(super) async fn ask(&mut self, login: &Login) -> Answer {
        match timeout(ANSWER_LIMIT, self.info(login)).await {
            Ok(Ok(text)) => understand(text),
            Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => Answer::Denied,
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Answer::Refused(error.to_string()),
            _ => Answer::Nothing,
        }
    }

    /// Asks it to end. It answers by ending; why it did not, the caller sees by its being there still.
    pub(super) async fn shut_down(&mut self) {
        // NOSAVE is about snapshots, which we don't make; the append-only file is synced in any case.
        let _ = timeout(ANSWER_LIMIT, self.stream.write_all(b"SHUTDOWN NOSAVE\r\n")).await;
    }

    /// The answer to the login (`+OK CRLF`, or an error), and one bulk string (`$LENGTH CRLF TEXT CRLF`), or an error
    /// (`-TEXT CRLF`).
    async fn info(&mut self, Login { user, password }: &Login) -> io::Result<String> {
        self.stream.write_all(format!("AUTH {user} {password}\r\nINFO\r\n").as_bytes()).await?;
        let mut answer = Vec::with_capacity(8192);
        loop {
            if let Some(text) = after_login(&answer).map_or(Ok(None), whole)? {
                return Ok(text);
            }
            if self.stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// What comes after the answer to the login; `None` while that is not there. Whether the login was accepted shows in what
/// follows.
fn after_login(answer: &[u8]) -> Option<&[u8]> {
    let is_reply = answer.first().is_none_or(|first| matches!(first, b'+' | b'-'));
    match answer.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) if is_reply => Some(&answer[end + 2..]),
        // No Redis answers a login so.
        _ if !is_reply || answer.len() >= LONGEST_ANSWER => Some(answer),
        _ => None,
    }
}

/// The text of a whole answer; `None` while more is to come.
fn whole(answer: &[u8]) -> io::Result<Option<String>> {
    let Some(end) = answer.windows(2).position(|pair| pair == b"\r\n") else {
        return if answer.len() < LONGEST_ANSWER { Ok(None) } else { Err(io::ErrorKind::InvalidData.into()) };
    };
    let head = String::from_utf8_lossy(&answer[..end]);
    let refused = || io::Error::new(io::ErrorKind::InvalidData, head.chars().take(200).collect::<String>());
    if head.starts_with("-NOAUTH") || head.starts_with("-NOPERM") {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let length: usize = head.strip_prefix('$').and_then(|n| n.parse().ok()).ok_or_else(refused)?;
    if length > LONGEST_ANSWER {
        return Err(refused());
    }
    let text = answer.get(end + 2..end + 2 + length);
    Ok(text.map(|text| String::from_utf8_lossy(text).into_owned()))
}

fn understand(info: String) -> Answer {
    match loading(&info) {
        Some((loaded, total)) => Answer::Loading { loaded, total },
        None => Answer::Ready(info),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_or_not_yet() {
        let answer = b"$4\r\na:1\n\r\n";
        for cut in 0..8 {
            assert_eq!(whole(&answer[..cut]).unwrap(), None, "{cut}");
        }
        assert_eq!(whole(answer).unwrap().as_deref(), Some("a:1\n"));
    }

    #[test]
    fn what_is_no_info_is_refused_with_its_words() {
        assert_eq!(whole(b"-ERR no\r\n").unwrap_err().to_string(), "-ERR no");
        let denied = whole(b"-NOAUTH Authentication required.\r\n").unwrap_err();
        assert_eq!(denied.kind(), io::ErrorKind::PermissionDenied);
        assert!(whole(b"$99999999999\r\n").is_err() && whole(b"$-1\r\n").is_err());
        assert!(whole(&vec![b'x'; LONGEST_ANSWER]).is_err());
    }

    #[test]
    fn the_answer_to_the_login_is_left_out() {
        for login in ["+OK\r\n", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"] {
            let answer = [login.as_bytes(), b"$1\r\na\r\n"].concat();
            assert_eq!(after_login(&answer), Some(&b"$1\r\na\r\n"[..]));
            assert_eq!(after_login(&answer[..3]), None);
        }
        assert_eq!(after_login(b"HTTP/1.1 400\r\n"), Some(&b"HTTP/1.1 400\r\n"[..]));
    }

    #[test]
    fn loading_is_told_with_its_progress() {
        let info = "loading:1\r\nloading_total_bytes:100\r\nloading_loaded_bytes:40\r\n".to_owned();
        assert!(matches!(understand(info), Answer::Loading { loaded: 40, total: 100 }));
        assert!(matches!(understand("loading:0\r\n".into()), Answer::Ready(_)));
    }
}
