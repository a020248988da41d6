//! Quarantines damaged records: a dead letter with the fields that can be read replaces them, so that they block no other
//! task.

use std::collections::HashMap;

use super::{Result, Store, script};
use crate::model::{id::TaskId, task::Priority, text::one_line};

impl Store {
    /// Quarantines a task whose record can't be read; the readable fields become a dead letter
    /// (`lua/task/quarantine.lua`). `role` is that of the queue it was found in, if it was in one.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn quarantine(&self, id: &str, role: &str, why: &str) -> Result<()> {
        let raw = self.query(redis::cmd("HGETALL").arg(self.keys.of("task", id))).await;
        let raw: HashMap<Vec<u8>, Vec<u8>> = match raw {
            Err(e) if !e.concerns_one_record() => return Err(e),
            raw => raw.unwrap_or_default(),
        };
        let mut args = vec![id.to_owned(), one_line(why, 300), role.to_owned()];
        if let Ok(id) = id.parse::<TaskId>() {
            let salvaged = salvage(&id, &raw, role);
            args.extend(salvaged.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
        }
        self.call(&script::QUARANTINE, args).await.map(drop)
    }

    /// Quarantines those of these tasks whose records can't be read, and returns their number.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn quarantine_damaged(&self, ids: &[TaskId]) -> Result<usize> {
        let (_, damaged) = self.tasks_and_damaged(ids).await?;
        for (id, why) in &damaged {
            self.quarantine(id.as_str(), "", &why.to_string()).await?;
        }
        Ok(damaged.len())
    }
}

/// What can be read of a damaged record, as the fields of one that reads: the text as far as it is text, each number as
/// far as it is one. Data, labels, dependencies and results are left out; the damaged record itself is kept beside it.
pub(super) fn salvage(id: &TaskId, raw: &HashMap<Vec<u8>, Vec<u8>>, queue: &str) -> Vec<(&'static str, String)> {
    let text = |name: &str| {
        let value = raw.get(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned());
        value.filter(|value| !value.is_empty())
    };
    let number = |name: &str| text(name).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0).to_string();
    // Whole milliseconds; what is larger is no time, and no count either that Lua could keep exactly.
    let large = |name: &str| text(name).and_then(|text| text.parse::<u64>().ok()).filter(|n| *n < 1 << 53);
    let role = text("role").or_else(|| Some(queue.to_owned()).filter(|queue| !queue.is_empty()));
    let priority: Option<Priority> = text("priority").and_then(|text| text.parse().ok());
    let mut fields = vec![
        ("role", role.unwrap_or_else(|| "unknown".to_owned())),
        ("text", text("text").unwrap_or_default()),
        ("priority", priority.unwrap_or(Priority::Normal).to_string()),
        ("seq", large("seq").unwrap_or(0).to_string()),
        ("created_at", large("created_at").unwrap_or(0).to_string()),
        ("timeout_ms", large("timeout_ms").unwrap_or(0).to_string()),
    ];
    fields.extend(["depth", "retries", "failures", "lost", "lost_max"].map(|name| (name, number(name))));
    let parent = text("parent").and_then(|text| text.parse::<TaskId>().ok()).filter(|parent| parent != id);
    fields.extend(parent.map(|parent| ("parent", parent.to_string())));
    fields.extend(text("key").map(|key| ("key", key)));
    fields.extend(text("cwd").map(|cwd| ("cwd", cwd)));
    fields.extend(large("open_children").map(|n| ("open_children", n.to_string())));
    fields
}
