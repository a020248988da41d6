//! The keys in which two configurations of one project differ, which `orch reload` shows and applies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Config;
use crate::error::{Error, Result};

/// Keys that a running supervisor cannot change: its place, its servers, and the rhythm that running agents were started
/// with.
const FIXED: [&str; 8] =
    ["namespace", "root", "redis", "tmux", "master.role", "master.session", "supervisor.heartbeat", "supervisor.lease"];
/// Keys that change nothing about an agent: only the supervisor reads them.
const OF_SUPERVISOR: [&str; 5] = ["supervisor", "day_budget", "retry", "schedules", "router"];
const OF_ROLES: [&str; 10] = [
    "min",
    "max",
    "day_budget",
    "expected_use",
    "max_concurrent",
    "rate_limit",
    "max_window_use",
    "routes",
    "tags",
    "escalate_to",
];
/// Columns of a value that is shown.
const VALUE: usize = 60;

/// A key whose value differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The key with its tables, such as `roles.sonnet.max`; a table that is new or gone stands for all in it.
    pub key: String,
    /// The value before, as JSON; `None`: the table is new, or the value is not shown.
    pub from: Option<String>,
    /// The value after; `None`: the table is gone, or the value is not shown.
    pub to: Option<String>,
}

impl Difference {
    /// Returns whether only a restart changes this key.
    pub fn is_fixed(&self) -> bool {
        FIXED.iter().any(|fixed| is_below(&self.key, fixed))
    }

    /// Returns whether agents are started in another way because of it.
    fn concerns_agents(&self) -> bool {
        let of_role = |key: &str| key.split('.').nth(2).is_some_and(|last| OF_ROLES.contains(&last));
        !OF_SUPERVISOR.iter().any(|table| is_below(&self.key, table)) && !of_role(&self.key)
    }

    /// Returns it as a sentence: `roles.sonnet.max: 2 → 4`.
    pub fn in_words(&self) -> String {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => format!("{}: {from} → {to}", self.key),
            (None, Some(_)) => format!("{}: new", self.key),
            (Some(_), None) => format!("{}: removed", self.key),
            (None, None) => format!("{}: changed", self.key),
        }
    }
}

/// Refuses changes that a running fleet cannot follow.
///
/// # Errors
/// Conflict: it names their keys and the two ways out.
pub fn refuse_fixed(differences: &[Difference]) -> Result<()> {
    let fixed: Vec<&str> = differences.iter().filter(|one| one.is_fixed()).map(|one| one.key.as_str()).collect();
    if fixed.is_empty() {
        return Ok(());
    }
    Err(Error::conflict(format!("only orch stop and orch start change {}; nothing was applied", fixed.join(", ")))
        .hint("orch stop, then: orch start; or take that change back, and: orch reload"))
}

/// Returns whether agents that were started with one of the two configurations differ from those of the other.
pub fn concern_agents(differences: &[Difference]) -> bool {
    differences.iter().any(Difference::concerns_agents)
}

impl Config {
    /// Returns what `new` has changed, in the order of the keys. Values that may be secrets, and long ones, are not shown.
    pub fn difference(&self, new: &Config) -> Vec<Difference> {
        let (old, new) = (flat(self), flat(new));
        let has_role = |values: &BTreeMap<String, Value>, role: &str| values.contains_key(&format!("{role}.name"));
        let mut found: Vec<Difference> = Vec::new();
        for key in old.keys().chain(new.keys()).collect::<std::collections::BTreeSet<_>>() {
            let (before, after) = (old.get(key), new.get(key));
            if before == after {
                continue;
            }
            let role = role_of(key);
            let difference = match role {
                Some(role) if has_role(&old, role) != has_role(&new, role) => {
                    let there = |there: bool| there.then(|| "a role".to_owned());
                    Difference {
                        key: role.to_owned(),
                        from: there(has_role(&old, role)),
                        to: there(has_role(&new, role)),
                    }
                }
                _ if is_private(key) => Difference { key: key.clone(), from: None, to: None },
                _ => {
                    let shown = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), |v| shown(key, v));
                    Difference { key: key.clone(), from: Some(shown(before)), to: Some(shown(after)) }
                }
            };
            if found.last() != Some(&difference) {
                found.push(difference);
            }
        }
        found
    }

    /// Returns the same without what may be a secret: for a file that is kept.
    #[must_use]
    pub fn without_secrets(&self) -> Config {
        let mut config = self.clone();
        config.redis.url = config.redis.url.as_deref().map(super::address::without_login);
        config.roles.values_mut().for_each(|role| role.env.clear());
        config
    }
}

fn is_below(key: &str, table: &str) -> bool {
    key.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The table of the role that a key is in: `roles.sonnet`.
fn role_of(key: &str) -> Option<&str> {
    let name = key.strip_prefix("roles.")?.find('.')? + "roles.".len();
    Some(&key[..name])
}

fn is_private(key: &str) -> bool {
    is_below(key, "redis") || key.contains(".env.") || key.ends_with(".instructions")
}

/// Every value by its key. The state folder and the file's name say nothing about what is configured.
fn flat(config: &Config) -> BTreeMap<String, Value> {
    fn add(key: String, value: Value, into: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(table) if !is_duration(&table) => {
                let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
                table.into_iter().for_each(|(name, value)| add(below(&name), value, into));
            }
            value => drop(into.insert(key, value)),
        }
    }
    let mut values = BTreeMap::new();
    let mut all = serde_json::to_value(config).unwrap_or_default();
    if let Some(table) = all.as_object_mut() {
        table.retain(|name, _| !["home", "file"].contains(&name.as_str()));
    }
    add(String::new(), all, &mut values);
    values
}

/// Durations are stored as seconds and nanoseconds.
fn is_duration(table: &serde_json::Map<String, Value>) -> bool {
    table.len() == 2 && table.contains_key("secs") && table.contains_key("nanos")
}

fn shown(key: &str, value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(table) if is_duration(table) => {
            let part = |name: &str| table[name].as_u64().unwrap_or_default();
            let nanos = u32::try_from(part("nanos")).unwrap_or_default();
            crate::model::duration::human(std::time::Duration::new(part("secs"), nanos))
        }
        other => other.to_string(),
    };
    let plain = crate::model::secret::known_values(key.rsplit('.').next().unwrap_or(key), &text).is_empty();
    if plain { crate::model::text::one_line(&text, VALUE) } else { "[redacted]".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Env;

    fn config(text: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("sessions.toml"), text).unwrap();
        let env = Env { cwd: dir.path().into(), state_home: Some(dir.path().into()), ..Env::default() };
        let mut config = Config::load_with(&env, None).unwrap();
        config.root = "/p".into();
        config.namespace = "p".into();
        config.roles.values_mut().for_each(|role| role.cwd = "/p".into());
        config
    }

    fn words(old: &str, new: &str) -> Vec<String> {
        config(old).difference(&config(new)).iter().map(Difference::in_words).collect()
    }

    #[test]
    fn what_differs_is_named_by_its_key() {
        assert_eq!(words("", "# a comment"), [] as [&str; 0]);
        let new =
            "[supervisor]\nmax_agents = 3\nkill_grace = '9s'\n[roles.shell]\nmax = 7\n[roles.words]\ncommand = ['wc']";
        let old = "[roles.gone]\ncommand = ['x']\nmax = 2";
        assert_eq!(
            words(old, new),
            [
                "roles.gone: removed",
                "roles.shell.max: 4 → 7",
                "roles.words: new",
                "supervisor.kill_grace: 3.0s → 9.0s",
                "supervisor.max_agents: 50 → 3",
            ]
            .map(str::to_owned)
        );
    }

    #[test]
    fn no_secret_is_shown() {
        let with = |value: &str| {
            format!("[roles.tool]\ncommand = ['x']\nenv = {{ TOKEN = '{value}' }}\ninstructions = '{value}'")
        };
        let differences = config(&with("hunter2-one")).difference(&config(&with("hunter2-two")));
        assert_eq!(differences.len(), 2);
        assert!(differences.iter().all(|one| one.in_words().ends_with(": changed")), "{differences:?}");
        assert!(!format!("{:?}", config(&with("hunter2-one")).without_secrets().roles["tool"].env).contains("hunter2"));
    }

    #[test]
    fn some_keys_need_a_restart_and_some_concern_no_agent() {
        let of = |new: &str| config("").difference(&config(new));
        assert!(of("[supervisor]\nheartbeat = '2s'").iter().all(Difference::is_fixed));
        assert!(of("[tmux]\nsocket = 'x'").iter().all(Difference::is_fixed));
        assert!(!of("[roles.shell]\nmax = 9").iter().any(Difference::is_fixed));
        assert!(!concern_agents(&of("[roles.shell]\nmax = 9\n[supervisor]\nmax_agents = 5")));
        assert!(concern_agents(&of("[roles.shell]\ntask_timeout = '9s'")));
        assert!(concern_agents(&of("[roles.new]\ncommand = ['x']")));
    }
}
