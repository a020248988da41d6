//! Lists tasks by the beginning of their ids and by the order of their acceptance. All reads are bounded, however many
//! tasks are kept.

use std::collections::BTreeMap;

use super::{Result, Store};
use crate::model::{id::TaskId, task::TaskState, text::one_line, time::Timestamp};

/// Elements that one call of `ZSCAN` visits: about a millisecond of Redis.
const SCANNED: usize = 10_000;
/// Tasks whose parents are read together.
const PAGE: usize = 500;

/// The fields of a task that filters look at, read without the rest of its record.
#[derive(Debug, Default)]
pub struct Brief {
    /// The state.
    pub state: Option<TaskState>,
    /// The role.
    pub role: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The text.
    pub text: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Until when it counts as waiting.
    pub waiting_until: Timestamp,
}

impl Store {
    /// `n` ids after the first `from`, of all tasks or of those in one state; the newest first. Those of one state are in the
    /// order in which they entered it.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn newest_ids(&self, state: Option<TaskState>, from: usize, n: usize) -> Result<Vec<TaskId>> {
        if n == 0 {
            return Ok(Vec::new());
        }
        let key = state.map_or_else(|| self.keys.plain("tasks"), |s| self.keys.of("state", s.as_str()));
        let ids: Vec<String> = self.query(redis::cmd("ZREVRANGE").arg(key).arg(from).arg(from + n - 1)).await?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// How many tasks there are.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn task_count(&self) -> Result<u64> {
        self.query(redis::cmd("ZCARD").arg(self.keys.plain("tasks"))).await
    }

    /// All tasks in these states, and with `asking` those with open questions, in the order of acceptance, the newest first;
    /// `None` where there are more than `few`.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn few_ids(&self, states: &[TaskState], asking: bool, few: usize) -> Result<Option<Vec<TaskId>>> {
        let mut keys: Vec<String> = states.iter().map(|state| self.keys.of("state", state.as_str())).collect();
        keys.extend(asking.then(|| self.keys.plain("asking")));
        let mut pipe = redis::pipe();
        for key in &keys {
            pipe.cmd("ZCARD").arg(key);
        }
        let mut sum = 0;
        for count in self.pipeline(&pipe).await? {
            sum += self.read::<usize>(count)?;
        }
        if sum > few {
            return Ok(None);
        }
        let mut pipe = redis::pipe();
        for key in &keys {
            pipe.cmd("ZRANGE").arg(key).arg(0).arg(-1);
        }
        let mut ids: Vec<String> = Vec::with_capacity(sum);
        for some in self.pipeline(&pipe).await? {
            ids.extend(self.read::<Vec<String>>(some)?);
        }
        ids.sort_unstable();
        ids.dedup();
        let mut pipe = redis::pipe();
        for id in &ids {
            pipe.cmd("ZSCORE").arg(self.keys.plain("tasks")).arg(id);
        }
        let mut accepted = Vec::with_capacity(ids.len());
        for (id, score) in ids.into_iter().zip(self.pipeline(&pipe).await?) {
            let score: Option<f64> = self.read(score)?;
            accepted.extend(id.parse::<TaskId>().ok().zip(score));
        }
        accepted.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        Ok(Some(accepted.into_iter().map(|(id, _)| id).collect()))
    }

    /// Redis's time, and what filters look at, of each of these tasks; `None` for a record that does not read.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn briefs(&self, ids: &[TaskId], with_text: bool) -> Result<(Timestamp, Vec<Option<Brief>>)> {
        let mut pipe = redis::pipe();
        pipe.add_command(self.clock());
        for id in ids {
            let fields = ["state", "role", "labels", "created_at", "waiting_until", "text"];
            let read = pipe.cmd("HMGET").arg(self.keys.of("task", id.as_str()));
            read.arg(&fields[..if with_text { 6 } else { 5 }]);
        }
        let read = |answer| {
            let mut fields = self.read_record::<Vec<Option<String>>>(Some(answer), "task").ok()?.into_iter();
            let mut text = || fields.next().flatten().unwrap_or_default();
            let time = |text: String| Timestamp(text.parse::<f64>().unwrap_or(0.0) as u64);
            Some(Brief {
                state: text().parse().ok(),
                role: text(),
                labels: serde_json::from_str(&text()).unwrap_or_default(),
                created_at: time(text()),
                waiting_until: time(text()),
                text: text(),
            })
        };
        let mut answers = self.pipeline_each(&pipe).await?.into_iter();
        let now = self.time(answers.next().transpose()?)?;
        Ok((now, answers.map(read).collect()))
    }

    /// The ids that begin so, at most `at_most`, in no order.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn tasks_beginning(&self, beginning: &str, at_most: usize) -> Result<Vec<TaskId>> {
        let mut pipe = redis::pipe();
        self.ask_counts(&mut pipe);
        let (from, to) = (format!("[{beginning}"), format!("[{beginning}\u{7f}"));
        pipe.cmd("ZRANGE").arg(self.keys.plain("ids")).arg(from).arg(to).arg("BYLEX").arg("LIMIT").arg(0).arg(at_most);
        let mut values = self.pipeline(&pipe).await?.into_iter();
        let mut next = || values.next().unwrap_or(redis::Value::Nil);
        if self.read::<u64>(next())? != self.read::<u64>(next())? {
            return self.scan_for(beginning, at_most).await;
        }
        let ids: Vec<String> = self.read(next())?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// How many tasks there are, and how many of them stand in the order of ids. These differ where an earlier release has
    /// accepted tasks.
    fn ask_counts(&self, pipe: &mut redis::Pipeline) {
        pipe.cmd("ZCARD").arg(self.keys.plain("tasks"));
        pipe.cmd("ZCARD").arg(self.keys.plain("ids"));
    }

    /// Makes the order of ids complete, after an earlier release has accepted or removed tasks.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub(super) async fn complete_ids(&self) -> Result<()> {
        let mut pipe = redis::pipe();
        self.ask_counts(&mut pipe);
        let counts = self.pipeline_each(&pipe).await?;
        if let [Ok(all), Ok(ordered)] = counts.as_slice()
            && all == ordered
        {
            return Ok(());
        }
        let () = self.query(redis::cmd("DEL").arg(self.keys.plain("ids"))).await?;
        for ids in self.task_ids(None).await?.chunks(SCANNED) {
            let mut add = redis::cmd("ZADD");
            add.arg(self.keys.plain("ids"));
            for id in ids {
                add.arg(0).arg(id.as_str());
            }
            let () = self.query(&add).await?;
        }
        Ok(())
    }

    /// The same from all ids, while their order is not complete.
    async fn scan_for(&self, beginning: &str, at_most: usize) -> Result<Vec<TaskId>> {
        let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
        loop {
            let mut scan = redis::cmd("ZSCAN");
            scan.arg(self.keys.plain("tasks")).arg(&cursor).arg("MATCH").arg(format!("{beginning}*"));
            let (next, flat): (String, Vec<String>) = self.query(scan.arg("COUNT").arg(SCANNED)).await?;
            // Each id is followed by its score, and may be answered twice.
            for id in flat.iter().step_by(2).filter_map(|id| id.parse::<TaskId>().ok()) {
                if !found.contains(&id) {
                    found.push(id);
                }
            }
            cursor = next;
            if cursor == "0" || found.len() >= at_most {
                found.truncate(at_most);
                return Ok(found);
            }
        }
    }

    /// The first line of each of these tasks' texts, cut to this many columns; `None` for unknown ones.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn first_lines(&self, ids: &[TaskId], columns: usize) -> Result<Vec<Option<String>>> {
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("HGET").arg(self.keys.of("task", id.as_str())).arg("text");
        }
        let read = |answer| {
            let text: Option<String> = self.read_record(Some(answer), "task").unwrap_or_default();
            text.map(|text| one_line(&text, columns))
        };
        Ok(self.pipeline_each(&pipe).await?.into_iter().map(read).collect())
    }

    /// The attempts of each of these tasks: their numbers, and the agents that ran them. What does not read is left out.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn attempts_of(&self, ids: &[TaskId]) -> Result<Vec<Vec<(u32, String)>>> {
        #[derive(serde::Deserialize)]
        struct Ran {
            number: u32,
            agent: String,
        }
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("LRANGE").arg(self.keys.of("attempts", id.as_str())).arg(0).arg(-1);
        }
        let read = |answer| {
            let texts: Vec<String> = self.read_record(Some(answer), "attempts").unwrap_or_default();
            let ran = texts.iter().filter_map(|text| serde_json::from_str::<Ran>(text).ok());
            ran.map(|ran| (ran.number, ran.agent)).collect()
        };
        Ok(self.pipeline_each(&pipe).await?.into_iter().map(read).collect())
    }

    /// The newest `n` subtasks of a task, or tasks without a parent; the newest first.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn newest_delegated(&self, parent: Option<&TaskId>, n: usize) -> Result<Vec<TaskId>> {
        if let Some(parent) = parent {
            let key = self.keys.of("children", parent.as_str());
            let ids: Vec<String> =
                self.query(redis::cmd("LRANGE").arg(key).arg(-(n.min(1 << 30) as i64)).arg(-1)).await?;
            return Ok(ids.iter().rev().filter_map(|id| id.parse().ok()).collect());
        }
        let (mut from, mut found) = (0, Vec::new());
        loop {
            let tasks = self.keys.plain("tasks");
            let ids: Vec<String> =
                self.query(redis::cmd("ZREVRANGE").arg(tasks).arg(from).arg(from + PAGE - 1)).await?;
            let mut pipe = redis::pipe();
            for id in &ids {
                pipe.cmd("HGET").arg(self.keys.of("task", id)).arg("parent");
            }
            let parents = if ids.is_empty() { Vec::new() } else { self.pipeline_each(&pipe).await? };
            for (id, parent) in ids.iter().zip(parents) {
                let is_root = matches!(parent, Ok(redis::Value::Nil));
                found.extend(is_root.then(|| id.parse().ok()).flatten());
            }
            if ids.len() < PAGE || found.len() >= n {
                found.truncate(n);
                return Ok(found);
            }
            from += PAGE;
        }
    }
}
