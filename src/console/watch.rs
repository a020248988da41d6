//! News from the event stream for as long as the console runs, across interruptions of Redis.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    error::{Error, Result},
    model::event::Event,
    ops::Client,
};

/// Pauses between two attempts to reach Redis: the first and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the watch reports.
#[derive(Debug)]
pub(super) enum News {
    /// Redis is reachable, for the first time or again. Events may have been missed: every task has to be read once.
    Connected,
    /// An event was recorded.
    Event(Event),
    /// Redis does not answer.
    Gone(Error),
}

/// Reports news until the receiver is dropped.
pub(super) async fn watch(ops: &Client, news: UnboundedSender<News>) {
    let mut after = None;
    let mut pause = FIRST_PAUSE;
    while !news.is_closed() {
        if let Err(e) = follow(ops, &news, &mut after, &mut pause).await {
            let _ = news.send(News::Gone(e));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn follow(
    ops: &Client,
    news: &UnboundedSender<News>,
    after: &mut Option<String>,
    pause: &mut Duration,
) -> Result<()> {
    // The position is taken before the tasks are read, so that nothing that happens in between is missed. A stream that
    // has begun again (another Redis, an emptied one) is followed from its own end.
    let newest = ops.events(1).await?.pop().map_or_else(|| "0-0".to_owned(), |event| event.id);
    let from = match after.take() {
        Some(seen) if place(&seen) <= place(&newest) => seen,
        _ => newest,
    };
    let _ = news.send(News::Connected);
    *pause = FIRST_PAUSE;
    *after = Some(from.clone());
    let mut events = ops.follow_events(from);
    while let Some(event) = events.next().await {
        let event = event?;
        *after = Some(event.id.clone());
        if news.send(News::Event(event)).is_err() {
            break;
        }
    }
    Ok(())
}

/// A stream id (`ms-seq`) as a pair of numbers: as text, `9-0` would come after `10-0`.
fn place(id: &str) -> (u64, u64) {
    let (ms, seq) = id.split_once('-').unwrap_or((id, "0"));
    (ms.parse().unwrap_or(0), seq.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_ids_are_ordered_as_numbers() {
        assert!(place("9-0") < place("10-0"));
        assert!(place("10-2") < place("10-10"));
        assert!(place("0-0") < place("1700000000000-0"));
    }
}
