//! Compares the configuration of the private server with the intended one, and reverts differences.
//!
//! Only a program with the supervisor's password can cause a difference, or a server that an earlier release has
//! started.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use redis::Value;

use super::{Result, Store, StoreError};
use crate::{model::time::Timestamp, redis_server::UserRules};

/// Something in which a server differs from what is intended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A setting.
    Setting {
        /// Its name.
        name: String,
        /// Its value.
        found: String,
        /// The intended one.
        intended: String,
    },
    /// It is a replica of this host.
    Replica(String),
    /// A user has other rights or another password.
    User(UserRules),
    /// A user that is not ours.
    Stranger(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Setting { name, found, intended } => {
                write!(f, "{name} is \"{found}\" instead of \"{intended}\"")
            }
            Difference::Replica(of) => write!(f, "it is a replica of {of}"),
            Difference::User(rules) => write!(f, "the user {} is not as intended", rules.user),
            Difference::Stranger(user) => write!(f, "it has a user {user}"),
        }
    }
}

/// How a server differs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// In what.
    pub differences: Vec<Difference>,
    /// It has none of our users: an earlier release has started it.
    pub is_unprotected: bool,
}

/// The last change from outside that the supervisor has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tampering {
    /// When, by Redis's clock.
    pub at: Timestamp,
    /// What, in one sentence.
    pub what: String,
    /// What of it could not be put back; empty: nothing.
    pub left: String,
}

impl Store {
    /// Compares the server with these settings and users. Changes nothing. The store must be that of the supervisor.
    ///
    /// # Errors
    /// An unreachable Redis, or one that refuses the supervisor's password.
    pub async fn compare(&self, settings: &[(&str, String)], users: &[UserRules]) -> Result<Comparison> {
        let mut pipe = redis::pipe();
        pipe.cmd("INFO").cmd("ACL").arg("LIST");
        for (name, _) in settings {
            pipe.cmd("CONFIG").arg("GET").arg(*name);
        }
        let mut answers = self.pipeline(&pipe).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let (info, list): (String, Vec<String>) = (self.read(next())?, self.read(next())?);
        let mut differences = Vec::new();
        for (name, intended) in settings {
            let pair: Vec<String> = self.read(next())?;
            // A setting that this version does not have.
            let Some(found) = pair.get(1) else { continue };
            if found != intended {
                let (name, found, intended) = ((*name).to_owned(), found.clone(), intended.clone());
                differences.push(Difference::Setting { name, found, intended });
            }
        }
        let field =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        if field("role") == Some("slave") {
            differences.push(Difference::Replica(field("master_host").unwrap_or_default().to_owned()));
        }
        let names_commands = field("redis_version").is_some_and(|version| !version.starts_with("6."));
        let mut found: BTreeMap<&str, BTreeSet<&str>> = list.iter().filter_map(|line| tokens(line)).collect();
        let is_unprotected = !users.iter().any(|user| user.user != "default" && found.contains_key(user.user.as_str()));
        for user in users {
            let mut intended: BTreeSet<&str> = user.rules.iter().map(String::as_str).collect();
            let mut found = found.remove(user.user.as_str()).unwrap_or_default();
            if !names_commands {
                // It lists commands by the categories that come nearest.
                for rules in [&mut intended, &mut found] {
                    rules.retain(|rule| !rule.starts_with(['+', '-']));
                }
            }
            if found != intended {
                differences.push(Difference::User(user.clone()));
            }
        }
        differences.extend(found.into_keys().map(|user| Difference::Stranger(user.to_owned())));
        Ok(Comparison { differences, is_unprotected })
    }

    /// Puts it back.
    ///
    /// # Errors
    /// An unreachable Redis; a setting that cannot be changed while the server runs.
    pub async fn put_back(&self, difference: &Difference) -> Result<()> {
        let mut cmd = redis::Cmd::new();
        match difference {
            Difference::Setting { name, intended, .. } => cmd.arg("CONFIG").arg("SET").arg(name).arg(intended),
            Difference::Replica(_) => cmd.arg("REPLICAOF").arg("NO").arg("ONE"),
            Difference::Stranger(user) => cmd.arg("ACL").arg("DELUSER").arg(user),
            Difference::User(UserRules { user, rules }) => {
                cmd.arg("ACL").arg("SETUSER").arg(user).arg("reset").arg("resetchannels").arg(rules)
            }
        };
        self.query::<Value>(&cmd).await.map(drop)
    }

    /// Writes all data into `dir`: the folder was removed while the server ran, and made again. Returns once all of it is on the
    /// disk, and each further write is.
    ///
    /// # Errors
    /// An unreachable Redis; a server that does not take another folder, because an earlier release has started it.
    pub async fn save_into(&self, dir: &Path, limit: Duration) -> Result<()> {
        let mut set = redis::cmd("CONFIG");
        self.query::<Value>(set.arg("SET").arg("dir").arg(dir.as_os_str().as_encoded_bytes())).await?;
        // That writes everything again.
        for value in ["no", "yes"] {
            self.query::<Value>(redis::cmd("CONFIG").arg("SET").arg("appendonly").arg(value)).await?;
        }
        let began = Instant::now();
        loop {
            let info: String = self.query(redis::cmd("INFO").arg("persistence")).await?;
            let says = |line: &str| info.lines().any(|found| found.trim() == line);
            let is_idle = says("aof_rewrite_in_progress:0") && says("aof_rewrite_scheduled:0");
            if is_idle && says("aof_enabled:1") && says("aof_last_bgrewrite_status:ok") {
                return Ok(());
            }
            if !dir.exists() {
                return Err(StoreError::Other(format!("{} was removed again", dir.display())));
            }
            if began.elapsed() > limit {
                return Err(StoreError::Other(format!("it has not written its data after {limit:?}")));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Connects again before the next call: the user that it has logged in as is another one now.
    pub async fn log_in_again(&self) {
        self.forget_connection().await;
    }

    /// Records a change from outside, for `orch status`.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn note_tampering(&self, what: &str, left: &str) -> Result<()> {
        let now = self.time(Some(self.query(&self.clock()).await?))?;
        let mut set = redis::cmd("HSET");
        set.arg(self.keys.plain("tampering")).arg("at").arg(now.0).arg("what").arg(what).arg("left").arg(left);
        self.query::<Value>(&set).await.map(drop)
    }

    /// The last change from outside that was recorded.
    ///
    /// # Errors
    /// An unreachable Redis.
    pub async fn tampering(&self) -> Result<Option<Tampering>> {
        let fields: HashMap<String, String> =
            self.query(redis::cmd("HGETALL").arg(self.keys.plain("tampering"))).await?;
        let of = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let at = of("at").parse().map(Timestamp).ok();
        Ok(at.map(|at| Tampering { at, what: of("what"), left: of("left") }))
    }
}

/// A user and its rules, from a line of `ACL LIST`, without the rules that every user has.
fn tokens(line: &str) -> Option<(&str, BTreeSet<&str>)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let user = words.next()?;
    Some((user, words.filter(|word| !matches!(*word, "sanitize-payload" | "resetchannels" | "resetkeys")).collect()))
}
