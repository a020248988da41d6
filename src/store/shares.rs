//! The shares of the slots of a role, as `lua/prelude/shares.lua` records them.

use std::collections::BTreeSet;

use redis::Value;

use super::{Result, Store, script, values::parse};
use crate::{
    admission::shares::{Queue, Share, Turns},
    model::id::TaskId,
};

impl Store {
    /// The shares of a role's slots and what waits of each; with the place of one of its ready tasks, if it is one.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn turns(&self, role: &str, id: Option<&TaskId>) -> Result<Turns> {
        let id = id.map_or("", TaskId::as_str);
        let answer: Vec<Value> = self.read(self.call(&script::TURNS, [role, id]).await?)?;
        let words: Vec<String> = answer.into_iter().map(|word| self.read(word)).collect::<Result<_>>()?;
        let number = |text: &str| parse::<f64>(text, "turns").map(|number| number as u64);
        let [now, oldest, its_place, own, own_share, rank, queues @ ..] = words.as_slice() else {
            return Ok(Turns::default());
        };
        let mut turns = Turns { now: number(now)?, ..Turns::default() };
        if !oldest.is_empty() {
            turns.oldest = Some((parse(oldest, "priority")?, number(its_place)?));
        }
        let (queues, _) = queues.as_chunks::<9>();
        for [priority, share, ready, first, place, busy, used, weight, last] in queues {
            let known = turns.shares.iter().position(|one| one.id == *share);
            let at = known.unwrap_or(turns.shares.len());
            if known.is_none() {
                let (busy, used, weight) = (number(busy)?, parse(used, "used")?, number(weight)?);
                let last = Some(last).filter(|last| !last.is_empty());
                let last = last.map(|last| parse(last, "priority")).transpose()?;
                turns.shares.push(Share { id: share.clone(), busy, used, weight, last });
            }
            if priority == own && share == own_share {
                turns.own = Some((turns.queues.len(), number(rank)?));
            }
            let first = (parse(first, "id")?, number(place)?);
            turns.queues.push(Queue {
                priority: parse(priority, "priority")?,
                share: at,
                ready: number(ready)?,
                first,
            });
        }
        Ok(turns)
    }

    /// Shares that do not agree with the tasks of their role: a sentence for each.
    pub(super) async fn misshared(&self, roles: &BTreeSet<String>) -> Result<Vec<String>> {
        let differs: Vec<String> =
            self.read(self.call(&script::SHARES, roles.iter().cloned().collect::<Vec<_>>()).await?)?;
        let (differs, _) = differs.as_chunks::<5>();
        let sentence = |[role, share, what, recorded, so]: &[String; 5]| {
            format!("role {role}, share '{share}': {what} is recorded as {recorded}, and should be {so}")
        };
        Ok(differs.iter().map(sentence).collect())
    }
}
