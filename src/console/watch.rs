//! News from the event stream, for as long as the console lives: Redis may come and go meanwhile.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use crate::{
    error::{Error, Result},
    model::event::Event,
    ops::Ops,
};

/// Pauses between two tries to reach Redis: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the watcher has to say.
#[derive(Debug)]
pub(super) enum News {
    /// Redis answers, for the first time or again: look at everything once, for events may have been missed.
    Connected,
    /// Something happened.
    Event(Event),
    /// Redis does not answer.
    Gone(Error),
}

/// Passes news on until nobody listens.
pub(super) async fn watch(ops: &Ops, news: UnboundedSender<News>) {
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
    ops: &Ops,
    news: &UnboundedSender<News>,
    after: &mut Option<String>,
    pause: &mut Duration,
) -> Result<()> {
    // The place is taken before anybody looks at the tasks: what happens between the two is heard, not missed. A
    // stream that begins anew (another Redis, an emptied one) is followed from its own end.
    let newest = ops.events(1).await?.pop().map_or_else(|| "0-0".to_owned(), |event| event.id);
    let from = match after.take() {
        Some(seen) if place(&seen) <= place(&newest) => seen,
        _ => newest,
    };
    let _ = news.send(News::Connected);
    *pause = FIRST_PAUSE;
    *after = Some(from.clone());
    let pass_on = &mut |event: Event| {
        *after = Some(event.id.clone());
        news.send(News::Event(event)).is_ok()
    };
    ops.follow_events(&from, pass_on).await
}

/// A stream id (`ms-seq`) as a number pair, because as text `9-0` is behind `10-0`.
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
