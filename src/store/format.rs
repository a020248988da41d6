//! The format of what is stored in Redis, in the key `format`, and how older ones become that of this release.
//!
//! Every new connection checks the number, and every transition checks it again before it does anything
//! (`lua/prelude/base.lua`), so that a process of an older release touches nothing that a newer one has migrated
//! meanwhile. A namespace without a number is of format 1 if anything is recorded in it; the first event of an empty
//! one sets the number of this release.
//!
//! Only the supervisor migrates, under its lock and before anything else. Each step can be repeated and skips what the
//! new name already holds; the number is written last. So a crash in between loses nothing.

use redis::{Cmd, ErrorKind, ServerErrorKind, Value, aio::MultiplexedConnection};

use super::{Result, Store, StoreError, call::send_each};
use crate::model::{
    format::{FORMAT, UNNUMBERED},
    text::one_line,
};

/// What renames a key, or part of one.
enum Step {
    /// A hash; fields that the new one has already stay as they are.
    Hash { old: &'static str, new: &'static str },
    /// The beginning of the fields of a hash.
    Fields { hash: &'static str, old: &'static str, new: &'static str },
    /// The beginning of the names of keys.
    Keys { old: &'static str, new: &'static str },
}

/// Every step, with the format that it leads to.
const STEPS: &[(u32, Step)] = &[
    (2, Step::Hash { old: "intent", new: "requests" }),
    (2, Step::Hash { old: "remains", new: "orphans" }),
    (2, Step::Fields { hash: "budgets", old: "unfit:", new: "unavailable:" }),
    (2, Step::Keys { old: "damaged:", new: "quarantine:" }),
    (2, Step::Keys { old: "wished:", new: "requested:" }),
];

/// Any of these is there in a namespace in which anything was ever recorded, whatever its format.
const RECORDED: &[&str] = &["events", "seq", "epoch", "intent", "requests", "agents"];

impl Store {
    /// The same store for the supervisor, which may connect to an older format in order to migrate it.
    #[must_use]
    pub fn accepting_older_formats(self) -> Self {
        Store { accepts_older: true, ..self }
    }

    /// Logs in, where that is necessary, and checks the format on a connection that was just made. Returns false where Redis
    /// cannot say it yet, because it still loads what it has stored: then it answers nothing but how far it is.
    pub(super) async fn confirm_format(
        &self,
        connection: &mut MultiplexedConnection,
        log_in: Option<Cmd>,
    ) -> Result<bool> {
        let mut pipe = redis::pipe();
        for cmd in log_in.iter().chain(self.ask_format().cmd_iter()) {
            pipe.add_command(cmd.clone());
        }
        let answers = send_each(connection, &pipe).await.map_err(|e| self.error(&e))?;
        // A server that an earlier release has started has no users yet, and no password: it refuses the login, and answers
        // the rest. Another one refuses the rest as well.
        let answers = answers.into_iter().skip(usize::from(log_in.is_some()));
        let answers = match answers.collect::<redis::RedisResult<Vec<Value>>>() {
            Err(e) if e.kind() == ErrorKind::Server(ServerErrorKind::BusyLoading) => return Ok(false),
            answers => answers.map_err(|e| self.error(&e))?,
        };
        match self.format_in(answers)? {
            Some(found) if found > FORMAT || found < FORMAT && !self.accepts_older => Err(StoreError::format(found)),
            _ => Ok(true),
        }
    }

    fn ask_format(&self) -> redis::Pipeline {
        let mut pipe = redis::pipe();
        pipe.cmd("GET").arg(self.keys.plain("format"));
        pipe.cmd("EXISTS");
        for key in RECORDED {
            pipe.arg(self.keys.plain(key));
        }
        pipe
    }

    /// The format of the namespace; `None` where nothing is recorded in it.
    fn format_in(&self, answers: Vec<Value>) -> Result<Option<u32>> {
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let (number, recorded): (Option<String>, u64) = (self.read(next())?, self.read(next())?);
        match number {
            Some(text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(StoreError::format(format!("'{}'", one_line(&text, 40)))),
            },
            None => Ok((recorded > 0).then_some(UNNUMBERED)),
        }
    }

    /// Brings the namespace to the format of this release; returns the older format that it had. The caller holds the
    /// supervisor's lock.
    ///
    /// # Errors
    /// `Format` where it is of a newer one; an unreachable Redis.
    pub async fn migrate(&self) -> Result<Option<u32>> {
        let found = self.format_in(self.pipeline(&self.ask_format()).await?)?;
        if let Some(found) = found.filter(|found| *found > FORMAT) {
            return Err(StoreError::format(found));
        }
        let older = found.filter(|found| *found < FORMAT);
        if let Some(older) = older {
            for (_, step) in STEPS.iter().filter(|(to, _)| older < *to) {
                self.take(step).await?;
            }
        }
        if found != Some(FORMAT) {
            let () = self.query(redis::cmd("SET").arg(self.keys.plain("format")).arg(FORMAT)).await?;
        }
        self.complete_ids().await?;
        Ok(older)
    }

    async fn take(&self, step: &Step) -> Result<()> {
        match step {
            Step::Hash { old, new } => self.move_fields(&self.keys.plain(old), &self.keys.plain(new), ("", "")).await,
            Step::Fields { hash, old, new } => {
                let hash = self.keys.plain(hash);
                self.move_fields(&hash, &hash, (old, new)).await
            }
            Step::Keys { old, new } => self.rename_keys(old, new).await,
        }
    }

    /// Moves the fields that begin with `old` from one hash to another, where they begin with `new`. Each is removed only
    /// after it stands in its new place.
    async fn move_fields(&self, from: &str, to: &str, (old, new): (&str, &str)) -> Result<()> {
        let fields: Vec<(String, String)> = self.query(redis::cmd("HGETALL").arg(from)).await?;
        let mut pipe = redis::pipe();
        for (name, value) in &fields {
            let Some(rest) = name.strip_prefix(old) else { continue };
            pipe.cmd("HSETNX").arg(to).arg(format!("{new}{rest}")).arg(value);
            pipe.cmd("HDEL").arg(from).arg(name);
        }
        self.pipeline(&pipe).await.map(drop)
    }

    /// Renames every key that begins so. They are found by SCAN, which does not block other clients.
    async fn rename_keys(&self, old: &str, new: &str) -> Result<()> {
        let prefix = self.keys.plain(old);
        let pattern: String = prefix.chars().flat_map(escaped).chain(['*']).collect();
        let mut cursor = "0".to_owned();
        loop {
            let scan = redis::cmd("SCAN").arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1_000).clone();
            let (next, names): (String, Vec<String>) = self.query(&scan).await?;
            for name in &names {
                let rest = name.strip_prefix(&prefix).unwrap_or(name);
                let renamed = self.keys.plain(&format!("{new}{rest}"));
                // It may have expired since it was found.
                match self.query::<u64>(redis::cmd("RENAMENX").arg(name).arg(&renamed)).await {
                    Err(StoreError::Other(why)) if why.to_lowercase().contains("no such key") => {}
                    done => drop(done?),
                }
            }
            if next == "0" {
                return Ok(());
            }
            cursor = next;
        }
    }
}

/// A character as a pattern of SCAN has it that stands for itself.
fn escaped(c: char) -> impl Iterator<Item = char> {
    let special = matches!(c, '*' | '?' | '[' | ']' | '\\');
    special.then_some('\\').into_iter().chain([c])
}
