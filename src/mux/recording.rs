//! A test double for users of the multiplexer: keeps sessions in memory, and records the calls.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::future::{BoxFuture, FutureExt, ready};
use tokio::sync::watch;

use super::{Mux, MuxError, Opened, Result, Screen, SessionInfo, SessionSpec, Tags, Version, typing};

/// The pid of the double's first pane: beyond the kernel's maximum, so that no test can signal a real process.
const FIRST_PID: u32 = 1 << 24;

/// A change that was requested from the double. Reads are not recorded: their number is not part of any contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// A session was requested, whether or not it was opened.
    Open(SessionSpec),
    /// This session was to be closed.
    Close(String, Tags),
    /// This text was typed into this pane: for a foreign pane the call is refused, and nothing is recorded.
    Paste(String, String),
    /// Enter was pressed in this pane.
    Enter(String),
}

/// A multiplexer without tmux. Opens sessions immediately, lists them, and closes them by the same rules as the real
/// one.
#[derive(Debug, Default)]
pub(crate) struct RecordingMux {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    sessions: BTreeMap<String, SessionInfo>,
    calls: Vec<Call>,
    panes: u32,
    next_open: Option<MuxError>,
    outage: Option<MuxError>,
    screens: BTreeMap<String, Vec<Screen>>,
}

impl RecordingMux {
    /// Creates a double without sessions or failures.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the recorded calls, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Makes the next `open` fail with this error.
    pub fn fail_next_open(&self, error: MuxError) {
        self.state().next_open = Some(error);
    }

    /// Makes every call fail with this error until `None` is set: an unreachable server.
    pub fn fail_all(&self, error: Option<MuxError>) {
        self.state().outage = error;
    }

    /// Sets what the pane shows at each read from now on, in order; the last screen stays.
    pub fn show(&self, pane: &str, screens: Vec<Screen>) {
        self.state().screens.insert(pane.to_owned(), screens);
    }

    /// Sets the process of a session's pane.
    pub fn set_process(&self, name: &str, pid: u32) {
        if let Some(session) = self.state().sessions.get_mut(name) {
            session.pane_pid = Some(pid);
        }
    }

    /// Adds a session that orch did not create.
    pub fn add_foreign(&self, name: &str) {
        self.state().add(name, None);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn up(&self) -> Result<()> {
        self.outage.clone().map_or(Ok(()), Err)
    }

    fn add(&mut self, name: &str, tags: Option<Tags>) -> Opened {
        self.panes += 1;
        let opened = Opened { pane_pid: FIRST_PID + self.panes, pane_id: format!("%{}", self.panes) };
        let session = SessionInfo {
            name: name.to_owned(),
            created: self.panes.into(),
            attached: 0,
            pane_id: opened.pane_id.clone(),
            pane_pid: Some(opened.pane_pid),
            tags,
        };
        self.sessions.insert(name.to_owned(), session);
        opened
    }

    fn open(&mut self, spec: &SessionSpec) -> Result<Opened> {
        self.calls.push(Call::Open(spec.clone()));
        self.up()?;
        spec.check()?;
        if let Some(error) = self.next_open.take() {
            return Err(error);
        }
        if self.sessions.contains_key(&spec.name) {
            return Err(MuxError::NameTaken(spec.name.clone()));
        }
        Ok(self.add(&spec.name, Some(spec.tags.clone())))
    }

    fn is_ours(&self, name: &str, tags: &Tags) -> bool {
        self.sessions.get(name).is_some_and(|session| session.tags.as_ref() == Some(tags))
    }

    /// Returns an empty screen where none was set.
    fn screen(&mut self, pane: &str) -> Result<Screen> {
        self.up()?;
        typing::check_pane(pane)?;
        if !self.sessions.values().any(|session| session.pane_id == pane) {
            return Err(MuxError::NoPane(pane.to_owned()));
        }
        let Some(screens) = self.screens.get_mut(pane) else { return Ok(Screen::default()) };
        if screens.len() > 1 {
            return Ok(screens.remove(0));
        }
        Ok(screens.first().cloned().unwrap_or_default())
    }

    fn type_into(&mut self, pane: &str, tags: &Tags, call: Call) -> Result<bool> {
        self.up()?;
        typing::check_pane(pane)?;
        let ours = self.sessions.values().any(|s| s.pane_id == pane && s.tags.as_ref() == Some(tags));
        if ours {
            self.calls.push(call);
        }
        Ok(ours)
    }

    fn close(&mut self, name: &str, tags: &Tags) -> Result<bool> {
        self.calls.push(Call::Close(name.to_owned(), tags.clone()));
        self.up()?;
        let ours = self.is_ours(name, tags);
        if ours {
            self.sessions.remove(name);
        }
        Ok(ours)
    }
}

impl Mux for RecordingMux {
    fn version(&self) -> BoxFuture<'_, Result<Version>> {
        let version = self.state().up().map(|()| Version::parse("tmux 3.3a"));
        ready(version).boxed()
    }

    fn open<'a>(&'a self, spec: &'a SessionSpec) -> BoxFuture<'a, Result<Opened>> {
        async move { self.state().open(spec) }.boxed()
    }

    fn sessions(&self) -> BoxFuture<'_, Result<Vec<SessionInfo>>> {
        async move {
            let state = self.state();
            state.up().map(|()| state.sessions.values().cloned().collect())
        }
        .boxed()
    }

    fn close<'a>(&'a self, name: &'a str, tags: &'a Tags) -> BoxFuture<'a, Result<bool>> {
        async move {
            let closed = self.state().close(name, tags)?;
            if closed {
                // Its process ends with the session, and that is reported.
                self.changes.send_modify(|count| *count += 1);
            }
            Ok(closed)
        }
        .boxed()
    }

    fn screen<'a>(&'a self, pane: &'a str) -> BoxFuture<'a, Result<Screen>> {
        async move { self.state().screen(pane) }.boxed()
    }

    fn paste<'a>(&'a self, pane: &'a str, tags: &'a Tags, text: &'a str) -> BoxFuture<'a, Result<bool>> {
        async move {
            typing::check_line(text)?;
            self.state().type_into(pane, tags, Call::Paste(pane.to_owned(), text.to_owned()))
        }
        .boxed()
    }

    fn press_enter<'a>(&'a self, pane: &'a str, tags: &'a Tags) -> BoxFuture<'a, Result<bool>> {
        async move { self.state().type_into(pane, tags, Call::Enter(pane.to_owned())) }.boxed()
    }

    /// No client is ever attached.
    fn detach_clients<'a>(&'a self, name: &'a str, tags: &'a Tags) -> BoxFuture<'a, Result<bool>> {
        async move {
            let state = self.state();
            state.up().map(|()| state.is_ours(name, tags))
        }
        .boxed()
    }

    fn attach_command(&self, name: &str, _tmux_env: Option<&OsStr>) -> Command {
        let mut command = Command::new("true");
        command.arg(name);
        command
    }

    fn restore_socket(&self, _panes: &mut dyn Iterator<Item = crate::os::ProcessId>) -> bool {
        false
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str) -> SessionSpec {
        SessionSpec {
            name: name.into(),
            cwd: "/".into(),
            argv: vec!["true".into()],
            size: (80, 24),
            env: vec![],
            tags: Tags { namespace: "n".into(), agent: name.into(), incarnation: "1".into() },
        }
    }

    #[tokio::test]
    async fn the_double_follows_the_rules_of_the_real_one() {
        let mux = RecordingMux::new();
        let (first, changes) = (spec("a-1"), mux.changes());
        mux.fail_next_open(MuxError::Gone);
        assert_eq!(mux.open(&first).await, Err(MuxError::Gone));
        mux.open(&first).await.unwrap();
        assert_eq!(mux.open(&first).await, Err(MuxError::NameTaken("a-1".into())));

        mux.add_foreign("a-2");
        assert!(!changes.has_changed().unwrap());
        let stranger = Tags { incarnation: "2".into(), ..first.tags.clone() };
        for (name, tags, closed) in [
            ("a-2", &first.tags, false),
            ("a-1", &stranger, false),
            ("a-1", &first.tags, true),
            ("a-1", &first.tags, false),
        ] {
            assert_eq!(mux.close(name, tags).await, Ok(closed), "{name}");
        }
        assert!(changes.has_changed().unwrap(), "a process of ours has ended");
        assert_eq!(mux.sessions().await.unwrap().len(), 1);
        assert_eq!(mux.calls().len(), 7);

        mux.fail_all(Some(MuxError::Unreachable("no answer".into())));
        assert!(mux.sessions().await.is_err() && mux.version().await.is_err());
        mux.fail_all(None);
        assert_eq!(mux.sessions().await.unwrap().len(), 1, "no session ends because the server is unreachable");
    }
}
