//! How many messages wait for the agent's program: kept up to date concurrently, so that readers need no request.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use crate::store::{Result, Store, people::Reader};

/// How often to poll without a notification. It bounds how long a lost notification goes unnoticed.
const LOOK: Duration = Duration::from_secs(60);
/// Pause before subscribing again.
const PAUSE: Duration = Duration::from_secs(1);

/// Follows the number of unread messages in a box (`store::people`) for this reader, for as long as the receiver is
/// kept. It is 0 until Redis has answered.
pub(in crate::runner) fn unread(store: Arc<Store>, of: String, reader: Reader) -> watch::Receiver<u64> {
    let (sender, receiver) = watch::channel(0);
    tokio::spawn(async move {
        tokio::select! {
            () = follow(&store, &of, &reader, &sender) => {}
            () = sender.closed() => {}
        }
    });
    receiver
}

async fn follow(store: &Store, of: &str, reader: &Reader, unread: &watch::Sender<u64>) {
    loop {
        if let Err(e) = follow_while_connected(store, of, reader, unread).await {
            tracing::debug!("the number of unread messages is not known: {e}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Counts, and counts again after each notification, until the connection breaks.
async fn follow_while_connected(store: &Store, of: &str, reader: &Reader, unread: &watch::Sender<u64>) -> Result<()> {
    // Subscribe before the first count, so that messages between the two are not missed.
    let mut news = store.watch_news(of).await?;
    loop {
        let n = store.unread(of, reader).await?;
        unread.send_if_modified(|now| std::mem::replace(now, n) != n);
        if timeout(LOOK, news.next()).await == Ok(false) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, Env},
        os::ProcessId,
        redis_server::{Server, ServerSpec, User},
        store::people::NewMessage,
    };

    const MASTER: &str = "opus-master";

    /// A Redis server that is killed when this is dropped.
    struct Killed(ProcessId);

    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.signal(nix::sys::signal::Signal::SIGKILL);
            while self.0.is_alive() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    async fn started(spec: &ServerSpec) -> Killed {
        let (server, _) = Server::start_or_adopt(spec).await.unwrap();
        Killed(ProcessId::of(server.pid).unwrap())
    }

    async fn send(store: &Store, id: &str) {
        let message = NewMessage {
            id: id.into(),
            to: "master".into(),
            text: "hello".into(),
            from: "a test".into(),
            attempt: None,
            reply_to: None,
            master: MASTER.into(),
        };
        store.send(&message).await.unwrap();
    }

    /// Waits for less than the polling interval.
    async fn becomes(unread: &mut watch::Receiver<u64>, n: u64) {
        timeout(LOOK / 3, unread.wait_for(|now| *now == n)).await.unwrap_or_else(|_| panic!("it is not {n}")).unwrap();
    }

    #[tokio::test]
    async fn new_and_read_messages_are_counted_immediately() {
        let folder = tempfile::tempdir().unwrap();
        let env = Env { cwd: folder.path().into(), orch_home: Some(folder.path().join("home")), ..Env::default() };
        let config = Config::load_with(&env, None).unwrap();
        crate::home::Home::new(&config.home).create().unwrap();
        let spec = ServerSpec::of_home(&config.home, "test").unwrap();
        let redis = started(&spec).await;
        let store = Arc::new(Store::private(&config.home, "test", User::Runner, Duration::from_secs(20)).unwrap());
        send(&store, "m-1").await;
        let mut unread = super::unread(store.clone(), MASTER.into(), Reader::Master);
        becomes(&mut unread, 1).await;
        send(&store, "m-2").await;
        becomes(&mut unread, 2).await;
        store.read_inbox(&Reader::Person, MASTER, "t", 9).await.unwrap();
        store.read_inbox(&Reader::Master, MASTER, "t", 1).await.unwrap();
        becomes(&mut unread, 1).await;

        // The subscription works again after Redis was down.
        drop(redis);
        let _redis = started(&spec).await;
        send(&store, "m-3").await;
        becomes(&mut unread, 2).await;
        store.read_inbox(&Reader::Master, MASTER, "u", 9).await.unwrap();
        becomes(&mut unread, 0).await;
    }
}
