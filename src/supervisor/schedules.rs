//! The loop of the schedules, beside the supervisor's own: decides and runs what is due.
//!
//! It keeps nothing between two looks. What is decided, and what waits, is in Redis, and each step is recorded there once,
//! whoever takes it: so a supervisor that was killed in the middle, or one that has not noticed yet that it was replaced,
//! neither repeats an occurrence nor loses one.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use crate::{
    config::Config,
    model::secret::Redactor,
    ops::{Caller, Ops, Person},
    store::Store,
};

/// After an error.
const AGAIN: Duration = Duration::from_secs(1);
/// At least so long between two looks.
const REST: Duration = Duration::from_millis(5);

/// What the loop goes by: the configuration, and the secrets that nothing may contain which it delegates.
type Terms = (Arc<Config>, Vec<String>);

/// The running loop, which ends when this is dropped.
pub(super) struct Schedules {
    of: watch::Sender<Terms>,
    running: JoinHandle<()>,
}

impl Schedules {
    /// Starts it.
    pub fn start(config: Arc<Config>, store: Arc<Store>, secrets: Vec<String>) -> Self {
        let (of, terms) = watch::channel((config, secrets));
        Schedules { of, running: tokio::spawn(keep(terms, store)) }
    }

    /// Goes on with another configuration.
    pub fn follow(&self, config: Arc<Config>, secrets: Vec<String>) {
        self.of.send_replace((config, secrets));
    }
}

impl Drop for Schedules {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn keep(mut terms: watch::Receiver<Terms>, store: Arc<Store>) {
    let mut waker = store.schedules_waker();
    loop {
        let (config, secrets) = terms.borrow_and_update().clone();
        let has_some = !config.schedules.is_empty();
        let redactor = Redactor::new(secrets.iter().map(String::as_str));
        // What sessions.toml says is a person's wish.
        let ops = Ops::on(config, Caller::Person(Person::default()), store.clone()).with_redactor(redactor);
        let rules = ops.schedule_rules();
        let mut is_defined = false;
        loop {
            let kept = match is_defined {
                false => ops.define_schedules().await.map(|()| Duration::ZERO),
                true => ops.keep_schedules(&rules).await,
            };
            let wait = match kept {
                // Nothing occurs until there is another configuration.
                Ok(_) if !has_some => Duration::MAX,
                Ok(wait) => wait.max(REST),
                Err(ref e) => {
                    tracing::debug!("schedules: {e}");
                    AGAIN
                }
            };
            is_defined |= kept.is_ok();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // A connection of its own is worth it only for a long wait.
                Ok(true) = waker.wait(wait), if has_some && wait > AGAIN => {}
                changed = terms.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
            }
        }
    }
}
