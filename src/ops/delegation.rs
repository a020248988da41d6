//! A task as a caller describes it: the one list of fields for the command line, for the lines of `--each`, for MCP and for
//! the agent's socket.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::model::{approval::ApprovalRule, budget, duration, task::Priority};

/// `orch delegate`, `delegate_task`, a line of `--each`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
#[group(skip)]
pub struct Delegate {
    /// What is to be done, with everything that the agent has to know: it sees nothing else of your conversation. For a role
    /// with the driver 'shell', a shell script.
    #[arg(skip)]
    #[serde(alias = "description")]
    pub text: String,
    /// The role that does it (get_status lists the roles), or "auto": orch chooses one. Default: the project's.
    #[arg(
        long,
        value_name = "ROLE",
        help = "The role whose agents may run it, or auto: orch chooses one [default: default_role of sessions.toml]"
    )]
    #[serde(default, alias = "agent_type")]
    pub role: Option<String>,
    /// With the role "auto": tags that the chosen role must have (tags of sessions.toml, or the name of its driver).
    #[arg(
        long = "needs",
        value_name = "TAG",
        help = "With --role auto: choose only a role with this tag (repeatable)"
    )]
    #[serde(default, deserialize_with = "or_default")]
    pub needs: Vec<String>,
    /// Ids of tasks that must have succeeded before.
    #[arg(long, value_name = "TASK|PLAN", help = "Start it only after this task, or plan, has succeeded (repeatable)")]
    #[serde(default, deserialize_with = "or_default")]
    pub after: Vec<String>,
    /// Idempotency key: a repeated call with the same key returns the same task.
    #[arg(long, value_name = "KEY", help = "Idempotency key: the same key returns the same task")]
    #[serde(default)]
    pub key: Option<String>,
    /// low, normal or high. Default: that of the task at hand, else normal.
    #[arg(long, value_name = "P", value_parser = priority(), help = "Ready tasks of a higher priority start first [default: normal; of a subtask, that of its parent]")]
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("enum" = ["low", "normal", "high"]))]
    pub priority: Option<Priority>,
    /// Time limit of one attempt, such as 90s, 10m or 2h. Default: the role's.
    #[arg(long, value_name = "T", value_parser = duration::parse, help = "The longest duration of one attempt (90s, 5m, 2h) [default: the role's]")]
    #[serde(default, alias = "timeout_ms", with = "limit", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// By when it must have ended after it was accepted, such as 2h, all waiting included: for an agent, a rate limit, a person.
    /// Default: none.
    #[arg(long, value_name = "T", value_parser = duration::parse, help = "End it as failed if it has not ended after this long, all waiting included (2h) [default: none]")]
    #[serde(default, alias = "deadline_ms", with = "limit", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub deadline: Option<Duration>,
    /// How often it is retried after a failure. Default: the role's.
    #[arg(long, value_name = "N", value_parser = number::<u32>, allow_negative_numbers = true, help = "The number of retries after a failure [default: the role's]")]
    #[serde(default)]
    pub retries: Option<u32>,
    /// before: a person approves it before it runs; after: a person accepts its result before it counts; none. Default: the role's.
    #[arg(long, value_name = "WHEN", value_parser = approval(), help = "Ask a person before it runs, or after it has succeeded [default: the role's]")]
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("enum" = ["none", "before", "after"]))]
    pub approval: Option<ApprovalRule>,
    /// What all its attempts together may use, in US dollars: beyond it the task is held for a person. Default: the role's.
    #[arg(long = "max-cost", value_name = "USD", value_parser = budget::usd, allow_negative_numbers = true, help = "The most that all its attempts may cost, in US dollars; beyond it the task is held [default: the role's]")]
    #[serde(default)]
    pub max_cost_usd: Option<f64>,
    /// The same in tokens.
    #[arg(long, value_name = "N", value_parser = budget::tokens, allow_negative_numbers = true, help = "The most tokens that all its attempts may use; beyond it the task is held [default: the role's]")]
    #[serde(default)]
    pub max_tokens: Option<u64>,
    /// Structured data for the agent.
    #[arg(long, value_name = "JSON|@FILE", value_parser = context, help = "Data for the agent: JSON, or @FILE to read it from a file")]
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    pub context: Option<Value>,
    /// Labels: names and values for people and programs.
    #[arg(skip)]
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Paths of files that the task is about.
    #[arg(long = "artifact", value_name = "PATH", help = "A path that the task is about (repeatable)")]
    #[serde(default, deserialize_with = "or_default")]
    pub artifacts: Vec<String>,
    /// Paths that the task writes, as patterns from the project's root (src/api, docs/**/*.md): no other task that writes or
    /// reads one of them runs meanwhile.
    #[arg(
        long = "writes",
        value_name = "PATTERN",
        help = "Paths it writes: it runs when no running task writes or reads them (repeatable)"
    )]
    #[serde(default, deserialize_with = "or_default")]
    pub writes: Vec<String>,
    /// Paths that the task reads, and no other task may write meanwhile.
    #[arg(
        long = "reads",
        value_name = "PATTERN",
        help = "Paths it reads: it runs when no running task writes them (repeatable)"
    )]
    #[serde(default, deserialize_with = "or_default")]
    pub reads: Vec<String>,
    /// The folder to work in. Default: the role's.
    #[arg(long, value_name = "DIR", value_parser = absolute, help = "The working folder [default: the role's]")]
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub cwd: Option<PathBuf>,
    /// Whether the task at hand ends without waiting for this one, and does not get its result.
    #[arg(long, help = "Within a task: let the task end without waiting for this one and its result")]
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    pub detached: bool,
}

impl Delegate {
    /// The same with what it does not say taken from `all`, and with a relative folder made absolute.
    ///
    /// # Errors
    /// The folder cannot be made absolute.
    pub fn completed(self, all: &Delegate) -> Result<Delegate, String> {
        Ok(Delegate {
            text: self.text,
            role: self.role.or_else(|| all.role.clone()),
            needs: if self.needs.is_empty() { all.needs.clone() } else { self.needs },
            after: if self.after.is_empty() { all.after.clone() } else { self.after },
            key: self.key,
            priority: self.priority.or(all.priority),
            timeout: self.timeout.or(all.timeout),
            deadline: self.deadline.or(all.deadline),
            retries: self.retries.or(all.retries),
            approval: self.approval.or(all.approval),
            max_cost_usd: self.max_cost_usd.or(all.max_cost_usd),
            max_tokens: self.max_tokens.or(all.max_tokens),
            context: self.context.or_else(|| all.context.clone()),
            labels: if self.labels.is_empty() { all.labels.clone() } else { self.labels },
            artifacts: if self.artifacts.is_empty() { all.artifacts.clone() } else { self.artifacts },
            writes: if self.writes.is_empty() { all.writes.clone() } else { self.writes },
            reads: if self.reads.is_empty() { all.reads.clone() } else { self.reads },
            cwd: self.cwd.map(|dir| absolute(&dir.to_string_lossy())).transpose()?.or_else(|| all.cwd.clone()),
            detached: self.detached || all.detached,
        })
    }
}

/// A time limit in JSON: a text such as `10m`, or a number of milliseconds.
mod limit {
    use super::*;

    pub fn serialize<S: Serializer>(limit: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a duration such as 90s, or a number of milliseconds")]
        enum Limit {
            Milliseconds(u64),
            Text(String),
        }
        Ok(match Option::<Limit>::deserialize(from)? {
            None => None,
            Some(Limit::Milliseconds(ms)) => Some(Duration::from_millis(ms)),
            Some(Limit::Text(text)) => Some(duration::parse(&text).map_err(de::Error::custom)?),
        })
    }
}

/// An optional field may also be null: some programs send every field of a schema.
///
/// # Errors
/// It is neither null nor what it should be.
pub fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn approval() -> impl clap::builder::TypedValueParser<Value = ApprovalRule> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(ApprovalRule::ALL.iter().map(|rule| rule.as_str())).try_map(|word| word.parse())
}

/// low, normal or high.
pub fn priority() -> impl clap::builder::TypedValueParser<Value = Priority> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(Priority::ALL.iter().map(|p| p.as_str())).try_map(|word| word.parse())
}

/// How many.
///
/// # Errors
/// It is no such number.
pub fn number<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let number = text.parse().ok().and_then(|number: u64| N::try_from(number).ok());
    number.ok_or_else(|| format!("'{text}' is not a number (0, 1, 2...)"))
}

fn absolute(dir: &str) -> Result<PathBuf, String> {
    std::path::absolute(dir).map_err(|e| format!("the folder {dir}: {e}"))
}

/// JSON, or the name of a file that holds it.
fn context(text: &str) -> Result<Value, String> {
    let json = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some(file) => {
            let read = crate::home::files::read_text(file.as_ref(), LARGEST_CONTEXT);
            read.map_err(|e| {
                format!("{file} can't be read: {e}; name a file that holds JSON, or write the JSON itself")
            })?
        }
    };
    serde_json::from_str(&json)
        .map_err(|e| format!("it is not JSON: {e}; write it like --context '{{\"file\": \"a.rs\"}}'"))
}

/// A context that is larger would be refused anyway.
const LARGEST_CONTEXT: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_describes_a_task_in_several_words() {
        let read = |value: Value| serde_json::from_value::<Delegate>(value);
        let task = read(json!({"description": "x", "agent_type": "shell", "timeout": "90s", "after": null})).unwrap();
        assert_eq!((task.text.as_str(), task.role.as_deref()), ("x", Some("shell")));
        assert_eq!(task.timeout, Some(Duration::from_secs(90)));
        assert_eq!(read(json!({"text": "x", "timeout_ms": 1500})).unwrap().timeout, Some(Duration::from_millis(1500)));
        assert_eq!(read(serde_json::to_value(&task).unwrap()).unwrap().timeout, task.timeout);
        for (bad, why) in [
            (json!({}), "missing field `text`"),
            (json!({"text": "x", "timeout": "90"}), "such as"),
            (json!({"text": "x", "priority": "urgent"}), "one of low, normal, high"),
            (json!({"text": "x", "agent": "y"}), "unknown field `agent`"),
        ] {
            let error = read(bad.clone()).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn context_is_json_or_a_file_of_it() {
        assert_eq!(context("[1]"), Ok(json!([1])));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.json");
        std::fs::write(&file, "{\"a\": 2}").unwrap();
        assert_eq!(context(&format!("@{}", file.display())), Ok(json!({"a": 2})));
        assert!(context("{a}").unwrap_err().contains("not JSON"));
        assert!(context("@/nowhere.json").unwrap_err().contains("/nowhere.json"));
        assert!(context("@/dev/zero").unwrap_err().contains("not a file"), "it would never end");
    }
}
