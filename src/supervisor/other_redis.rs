//! A start with another Redis than the last start. It is accepted only if no work is repeated by it.

use super::redis::Redis;
use crate::{
    config::Config,
    error::{Error, Result},
    home::{Home, OtherRedis},
    store::checkpoint::Checkpoint,
};

/// Refuses a Redis that is not the one of the last start, unless it has what that one had: its data were copied, or it is the
/// same one by another address. With `adopt`, orch begins with what it has.
///
/// # Errors
/// Conflict: it names both servers and the ways out.
pub(super) async fn check(redis: &Redis, config: &Config, home: &Home, adopt: bool) -> Result<()> {
    let Some(OtherRedis { earlier, now }) = home.other_redis(config) else { return Ok(()) };
    let checkpoint = Checkpoint::new(home.epoch(), config.supervisor.lease);
    let known = checkpoint.recall().unwrap_or_default();
    let seen = redis.open_unconfirmed(config, redis.retry_for())?.observe(&[]).await?;
    if seen.accepted >= known.accepted && seen.fence >= known.fence {
        tracing::info!("{now} has what {earlier} had");
        return Ok(());
    }
    if adopt || known.accepted == 0 {
        tracing::warn!("orch begins with what is in {now}; the tasks of {earlier} stay there");
        home.set_aside_earlier_records()?;
        return checkpoint.begin_again().map_err(|e| crate::home::unusable(&home.epoch(), &e));
    }
    let accepted = crate::model::text::count(known.accepted, "task was", "tasks were");
    Err(Error::conflict(format!(
        "this project's tasks are in {earlier}, and [redis] in sessions.toml means {now}, which does not have them \
         ({accepted} accepted in all)"
    ))
    .hint(
        "set url under [redis] as it was, or copy the data there; to begin with what is there, without the tasks of before: \
         orch start --adopt",
    ))
}
