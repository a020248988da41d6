//! The emergency stop: ends everything by its processes.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use tokio::time::timeout;

use super::super::{Ops, Stopped, status::is_frozen};
use crate::{
    error::{Error, Kind, Result},
    model::{event::EventKind, text::count},
    mux::Mux,
    os::{self, LockOwner, ProcessId},
    redis_server,
    store::requests::Request,
};

/// How long Redis may take to record the request of a stop by force.
const TO_RECORD: Duration = Duration::from_millis(300);
/// How long a private Redis may take for it that is just starting.
const TO_COME_UP: Duration = Duration::from_secs(1);
/// How long runners get in an emergency to end their programs and to record what these have done.
const GRACE: Duration = Duration::from_secs(1);
/// How long killed processes, and the private Redis, may take to be gone.
const LIMIT: Duration = Duration::from_secs(1);

impl Ops {
    /// Ends everything by its processes.
    pub(super) async fn stop_by_force(&self, why: Error) -> Result<Stopped> {
        if self.home.supervisor() == LockOwner::Unseen {
            // What runs here is another pid namespace's, and so are the pids that are recorded here.
            return Err(self.home.unseen());
        }
        tracing::warn!("emergency stop: {why}");
        self.record_by_force().await;
        let supervisor = self.supervisor();
        let private = self.config.redis.url.is_none();
        let redis = private.then(|| redis_server::running(self.home.path())).flatten();
        let home = self.home.clone();
        let grace = self.config.supervisor.kill_grace.min(GRACE);
        let spared: Vec<u32> = redis.iter().map(|process| process.pid).collect();
        let end = move || {
            let ended = home.end_processes(supervisor, &spared, grace, LIMIT);
            let redis = if private { redis_server::end(home.path(), LIMIT) } else { None };
            ended.map(|ended| (ended, redis))
        };
        // Whether tmux answers is found out meanwhile.
        let (ended, tmux) = tokio::join!(tokio::task::spawn_blocking(end), self.has_sessions());
        let (mut ended, redis) = ended
            .map_err(|e| Error::internal(e.to_string()))?
            .map_err(|e| Error::failed(format!("what runs is unknown: {e}")).hint("try again: orch stop"))?;
        ended.processes += usize::from(redis.is_some_and(|redis| !redis.is_alive()));
        ended.survivors.extend(redis.filter(ProcessId::is_alive));
        let was_running = ended.processes > 0 || supervisor.is_some() || self.home.running().exists();
        if !was_running && why.kind == Kind::Conflict {
            // Another folder's supervisor has this namespace.
            return Err(why);
        }
        if !ended.survivors.is_empty() {
            let pids: Vec<String> = ended.survivors.iter().map(|process| process.pid.to_string()).collect();
            let what = count(pids.len() as u64, "process", "processes");
            return Err(Error::failed(format!("{what} could not be ended: {}", pids.join(", ")))
                .hint("they wait for a device or belong to another user; try again: orch stop"));
        }
        self.home.mark_stopped();
        let closed = match tmux {
            Ok(_) => self.close_sessions().await,
            Err(e) => Err(e),
        };
        let left = closed
            .err()
            .map(|e| format!("tmux does not close its sessions of this project ({e}); they close when it continues"));
        self.end_own_runner();
        Ok(Stopped {
            stopped: was_running,
            emergency: was_running.then_some(why.message),
            ended_processes: was_running.then_some(ended.processes),
            left: left.filter(|_| was_running).into_iter().collect(),
            ..Stopped::default()
        })
    }

    /// Where Redis can record the request, the attempts that end now count as stopped, and not as lost. One that is just
    /// starting can in a moment.
    async fn record_by_force(&self) {
        if self.unknown_redis.is_some() {
            return;
        }
        let request = Request::Stop { drain: false };
        let began = Instant::now();
        loop {
            let recorded = self.store().request(&request, EventKind::SupervisorStopping, "orch stop, by force");
            match timeout(TO_RECORD, recorded).await {
                Ok(Err(e)) if e.is_unreachable() => {}
                Err(_) => {}
                Ok(_) => return,
            }
            let server = redis_server::running(self.home.path()).filter(|server| !is_frozen(server));
            if server.is_none() || self.config.redis.url.is_some() || began.elapsed() > TO_COME_UP {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Closes the sessions that carry our tags. Those of ended runners close by themselves, unless a person has added a
    /// pane.
    pub(super) async fn close_sessions(&self) -> Result<()> {
        let mux = self.quick_mux();
        let sessions = mux.sessions().await?;
        let own: Vec<_> = self.own_line();
        let is_own = |pid: Option<u32>| pid.is_some_and(|pid| own.iter().any(|process| process.pid == pid));
        let ours = sessions.into_iter().filter(|session| self.is_ours(session) && !is_own(session.pane_pid));
        let closing = ours.map(|session| {
            let mux = &mux;
            async move {
                match &session.tags {
                    Some(tags) => mux.close(&session.name, tags).await.map(drop),
                    None => Ok(()),
                }
            }
        });
        join_all(closing).await.into_iter().collect::<Result<(), _>>().map_err(Error::from)
    }

    /// A stop that was called within an agent ends that agent's runner last.
    fn end_own_runner(&self) {
        let own = self.own_line();
        for runner in self.home.living_runners().unwrap_or_default() {
            if own.contains(&runner.process) {
                let _ = runner.process.signal(Signal::SIGTERM);
            }
        }
    }

    /// This process and its ancestors.
    fn own_line(&self) -> Vec<ProcessId> {
        std::iter::successors(Some(ProcessId::current()), os::parent_of).collect()
    }
}
