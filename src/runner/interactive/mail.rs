//! How much mail waits for the agent's program: kept up to date beside everything else, so that whoever wants to know need
//! not ask.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use crate::store::{Result, Store, people::Reader};

/// How often to look without having been told: news that were lost are found by then.
const LOOK: Duration = Duration::from_secs(60);
/// Between two tries to hear of news.
const PAUSE: Duration = Duration::from_secs(1);

/// How many messages of a box (`store::people`) this reader has not read yet, from now on and for as long as the answer is
/// held. It is 0 until Redis has been asked.
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
            tracing::debug!("whether there is mail is not known: {e}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks, and looks again with each news, until the connection breaks.
async fn follow_while_connected(store: &Store, of: &str, reader: &Reader, unread: &watch::Sender<u64>) -> Result<()> {
    // Before the first look: what comes between the two is heard.
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
        redis_server::{Server, ServerSpec},
        store::people::NewMessage,
    };

    const MASTER: &str = "opus-master";

    /// A Redis that dies with this.
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

    /// Sooner than anybody looks without having been told.
    async fn becomes(unread: &mut watch::Receiver<u64>, n: u64) {
        timeout(LOOK / 3, unread.wait_for(|now| *now == n)).await.unwrap_or_else(|_| panic!("it is not {n}")).unwrap();
    }

    #[tokio::test]
    async fn it_is_known_at_once_what_came_and_what_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let env = Env { cwd: folder.path().into(), orch_home: Some(folder.path().join("home")), ..Env::default() };
        let config = Config::load_with(&env, None).unwrap();
        crate::home::Home::new(&config.home).create().unwrap();
        let spec = ServerSpec::of_home(&config.home).unwrap();
        let redis = started(&spec).await;
        let store = Arc::new(Store::at_socket(&spec.socket, "test", Duration::from_secs(20)).unwrap());
        send(&store, "m-1").await;
        let mut unread = super::unread(store.clone(), MASTER.into(), Reader::Master);
        becomes(&mut unread, 1).await;
        send(&store, "m-2").await;
        becomes(&mut unread, 2).await;
        store.read_inbox(&Reader::Person, MASTER, "t", 9).await.unwrap();
        store.read_inbox(&Reader::Master, MASTER, "t", 1).await.unwrap();
        becomes(&mut unread, 1).await;

        // A Redis that was away is heard again.
        drop(redis);
        let _redis = started(&spec).await;
        send(&store, "m-3").await;
        becomes(&mut unread, 2).await;
        store.read_inbox(&Reader::Master, MASTER, "u", 9).await.unwrap();
        becomes(&mut unread, 0).await;
    }
}
