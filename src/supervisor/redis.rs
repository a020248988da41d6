//! The Redis server: starts, watches and restarts a private one; only checks a user's own.

use std::time::{Duration, Instant};

use super::background::on_a_thread;
use crate::{
    config::Config,
    error::{Error, Kind, Result},
    home::{Home, launch::RedisAt},
    os::{self, failpoint},
    redis_server::{Access, Lost, Origin, Server, ServerSpec, User, check_version},
    store::{Store, Tls, checkpoint::Checkpoint},
};

/// How long a server that is killed while the supervisor starts is restarted.
const KILLED_AT_START: Duration = Duration::from_secs(2);
/// A server that does not stay up is not started more often than this.
const PAUSE_CAP: Duration = Duration::from_secs(10);
/// One that does not answer for this long is ended and started again: it loses nothing by it.
const HUNG: Duration = Duration::from_secs(10);
/// One that has stayed up this long was well.
const WELL: Duration = Duration::from_secs(30);

/// How long a server may take to write all its data.
const SAVES: Duration = Duration::from_secs(60);

/// Where the state is, and who keeps it there.
pub(super) enum Redis {
    /// Our own.
    Managed(Box<Managed>),
    /// The user's.
    External(String, Tls),
}

pub(super) struct Managed {
    spec: ServerSpec,
    server: Option<Server>,
    /// The passwords of the last server that was started or adopted.
    access: Option<Access>,
    watch: Option<os::ExitWatch>,
    /// It ran before this supervisor did.
    was_adopted: bool,
    /// Since when it serves; `None` where the last start has failed.
    up_since: Option<Instant>,
    pause: Duration,
    /// When it last answered.
    answered: Instant,
}

impl Redis {
    /// Starts or adopts our own server; or asks the user's for its version.
    ///
    /// # Errors
    /// What keeps it from starting; an unreachable or too old server of the user's.
    pub async fn start(config: &Config) -> Result<Self> {
        if let Some(url) = &config.redis.url {
            let tls = Tls { ca_file: config.redis.ca_file.clone() };
            let store = Store::at_url(url, tls.clone(), &config.namespace, Duration::from_secs(2))?;
            check_version(&store.info().await?)?;
            return Ok(Redis::External(url.clone(), tls));
        }
        let spec = ServerSpec::of_home(&config.home, &config.namespace)?.with_max_memory(config.redis.max_memory);
        let mut managed = Managed {
            spec,
            server: None,
            access: None,
            watch: None,
            was_adopted: false,
            up_since: None,
            pause: Duration::ZERO,
            answered: Instant::now(),
        };
        let began = Instant::now();
        while let Err(e) = managed.start().await {
            // It may be killed in its first moments as in any other; what else keeps it from starting stays so.
            if e.kind != Kind::NotRunning || began.elapsed() > KILLED_AT_START {
                return Err(e);
            }
            tracing::warn!("redis-server: {e}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Redis::Managed(Box::new(managed)))
    }

    /// A store on it.
    pub fn open(&self, config: &Config, retry_for: Duration) -> Result<Store> {
        Ok(self
            .open_unconfirmed(config, retry_for)?
            .with_checkpoint(Checkpoint::new(Home::new(&config.home).epoch(), config.supervisor.lease)))
    }

    /// The same, to look at what is there: its epoch is neither compared nor raised.
    pub fn open_unconfirmed(&self, config: &Config, retry_for: Duration) -> Result<Store> {
        let store = match self {
            Redis::Managed(_) => Store::private(&config.home, &config.namespace, User::Supervisor, retry_for)?,
            Redis::External(url, tls) => Store::at_url(url, tls.clone(), &config.namespace, retry_for)?,
        };
        Ok(store.accepting_older_formats())
    }

    /// How long the supervisor waits for an answer within a pass. Our own server is brought back by nobody but the
    /// supervisor: waiting for it would be waiting for oneself.
    pub fn retry_for(&self) -> Duration {
        match self {
            Redis::Managed(_) => Duration::from_millis(30),
            Redis::External(..) => Duration::from_millis(500),
        }
    }

    /// Where runners find it.
    pub fn at(&self) -> RedisAt {
        match self {
            Redis::Managed(m) => RedisAt::Socket {
                path: m.spec.socket.clone(),
                login: m.access.as_ref().map(|access| access.login(User::Runner)),
            },
            Redis::External(url, tls) => RedisAt::Url { url: url.clone(), ca_file: tls.ca_file.clone() },
        }
    }

    /// Our own server and its passwords.
    pub fn private(&self) -> Option<(&ServerSpec, &Access)> {
        match self {
            Redis::Managed(m) => Some((&m.spec, m.access.as_ref()?)),
            Redis::External(..) => None,
        }
    }

    /// When our own server has died.
    pub async fn died(&mut self) {
        match self {
            Redis::Managed(m) => match &mut m.watch {
                Some(watch) => watch.exited().await,
                None => std::future::pending().await,
            },
            Redis::External(..) => std::future::pending().await,
        }
    }

    /// It has just answered.
    pub fn has_answered(&mut self) {
        if let Redis::Managed(m) = self {
            m.answered = Instant::now();
        }
    }

    /// Starts our own server again if it is gone, or hung for too long. What fails is tried again by the next call,
    /// after a longer pause. Whether it was started again.
    pub async fn mend(&mut self) -> bool {
        let Redis::Managed(m) = self else { return false };
        if m.is_well().await {
            return false;
        }
        m.pause = next_pause(m.pause, m.up_since.take().map(|since| since.elapsed()));
        tokio::time::sleep(m.pause).await;
        tracing::warn!("redis-server is gone; starting it again");
        match m.start().await {
            Ok(()) => {
                failpoint!("mend.redis_up");
                true
            }
            Err(e) => {
                tracing::error!("redis-server: {e} ({})", e.hint.as_deref().unwrap_or("orch doctor looks closer"));
                false
            }
        }
    }

    /// The process of our own server.
    pub fn process(&self) -> Option<os::ProcessId> {
        match self {
            Redis::Managed(m) => os::ProcessId::of(m.server.as_ref()?.pid),
            Redis::External(..) => None,
        }
    }

    /// What of our own server was removed while it runs.
    pub fn lost(&self) -> Option<Lost> {
        match self {
            Redis::Managed(m) => m.server.as_ref().filter(|server| server.is_alive())?.lost(),
            Redis::External(..) => None,
        }
    }

    /// Has our own server, whose folder was removed, write all its data again, through the connection of `store`.
    ///
    /// # Errors
    /// The folder was removed again; a server that an earlier release has started.
    pub async fn save_again(&self, store: &Store) -> Result<()> {
        let Redis::Managed(m) = self else { return Ok(()) };
        let Some(server) = &m.server else { return Ok(()) };
        server.make_folder_again()?;
        Ok(store.save_into(&m.spec.dir, SAVES).await?)
    }

    /// Starts our own server again, with what is on the disk. Whether it runs again.
    pub async fn start_again(&mut self) -> bool {
        let Redis::Managed(m) = self else { return false };
        if let Some(server) = m.server.take()
            && let Err(e) = server.shutdown().await
        {
            tracing::error!("redis-server: {e}");
        }
        m.start().await.inspect_err(|e| tracing::error!("redis-server: {e}")).is_ok()
    }

    /// Ends our own server unless it ran before: the start comes to nothing.
    pub async fn undo_start(&mut self) {
        if matches!(self, Redis::Managed(m) if !m.was_adopted)
            && let Err(e) = self.shut_down().await
        {
            tracing::warn!("redis-server: {e}");
        }
    }

    /// Ends our own server.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn shut_down(&mut self) -> Result<()> {
        match self {
            Redis::Managed(m) => match m.server.take() {
                Some(server) => server.shutdown().await,
                None => Ok(()),
            },
            Redis::External(..) => Ok(()),
        }
    }
}

impl Managed {
    /// Whether it is there and answers, or may still be given time to.
    async fn is_well(&mut self) -> bool {
        let Some(server) = self.server.as_ref().filter(|s| s.is_alive()) else { return false };
        let Err(e) = server.ping().await else {
            self.answered = Instant::now();
            return true;
        };
        if self.answered.elapsed() < HUNG {
            return true;
        }
        tracing::error!("{e}: it is ended");
        if let Some(server) = self.server.take()
            && let Err(e) = server.shutdown().await
        {
            tracing::error!("redis-server: {e}");
        }
        false
    }

    async fn start(&mut self) -> Result<()> {
        if !self.spec.dir.parent().is_some_and(std::path::Path::is_dir) {
            return Err(Error::config("the state folder is gone").hint("orch start makes a new one"));
        }
        // Files are written and synced, and a process is started: all of that may block.
        let spec = self.spec.clone();
        let (server, origin) = on_a_thread(async move { Server::start_or_adopt(&spec).await }).await?;
        tracing::info!(pid = server.pid, version = %server.version, adopted = origin == Origin::Adopted, "redis-server");
        self.answered = Instant::now();
        self.up_since = Some(self.answered);
        self.was_adopted = origin == Origin::Adopted;
        self.watch = match os::ProcessId::of(server.pid) {
            Some(process) => os::ExitWatch::new(&process).map_err(|e| Error::internal(format!("redis-server: {e}")))?,
            None => None,
        };
        self.access = Some(server.access().clone());
        self.server = Some(server);
        Ok(())
    }
}

/// The pause before a start: none for a server that was well, and twice as long each time for one that was not, or did
/// not come up at all (`lived` is `None`).
fn next_pause(last: Duration, lived: Option<Duration>) -> Duration {
    if lived.is_some_and(|lived| lived > WELL) {
        return Duration::ZERO;
    }
    (last * 2).clamp(Duration::from_millis(20), PAUSE_CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_come_up_is_tried_ever_more_rarely() {
        let mut pause = next_pause(Duration::ZERO, Some(WELL * 2));
        assert_eq!(pause, Duration::ZERO, "it was well");
        for _ in 0..20 {
            pause = next_pause(pause, None);
        }
        assert_eq!(pause, PAUSE_CAP);
        assert_eq!(next_pause(pause, Some(Duration::from_secs(1))), PAUSE_CAP, "up for a moment is not well");
    }
}
