//! The Lua transitions: one file each under `lua/`, with the prelude and the tables of `model` before it.

use std::sync::LazyLock;

use sha1_smol::Sha1;

use crate::model::{agent, retry, task};

/// A transition, ready to be called by its SHA1.
///
/// The name is all that is kept of it: each text is some 25 KB with its preludes, every process uses several, and a
/// server has to be told it once. (Texts that were kept at the first call were a third of a runner's memory.)
pub(super) struct Script {
    pub name: &'static str,
    body: &'static str,
    hash: LazyLock<String>,
}

impl Script {
    /// The SHA1 by which Redis knows it.
    pub fn hash(&self) -> &str {
        &self.hash
    }
    /// Its whole text, tables and prelude included.
    pub fn text(&self) -> String {
        parts(self.body).concat()
    }
}

macro_rules! scripts {
    ($($upper:ident = $file:literal),+ $(,)?) => {
        $(pub(super) static $upper: Script = Script {
            name: $file,
            body: include_str!(concat!("lua/", $file, ".lua")),
            hash: LazyLock::new(|| hash_of(include_str!(concat!("lua/", $file, ".lua")))),
        };)+
        pub(super) const ALL: &[&Script] = &[$(&$upper),+];
    };
}

scripts! {
    END_AGENT = "agent/end",
    FORWARD_WAKEUP = "agent/forward_wakeup",
    HEARTBEAT = "agent/heartbeat",
    RECORD_PANE = "agent/record_pane",
    RECORD_USAGE = "agent/record_usage",
    REGISTER_AGENT = "agent/register",
    SPAWN = "agent/spawn",
    STOP_AGENT = "agent/stop",
    MARK_READ = "message/mark_read",
    READ_MESSAGES = "message/read",
    SEND = "message/send",
    ANSWER = "question/answer",
    ASK = "question/ask",
    TAKE_NOTICES = "question/take_notices",
    LOOK = "record/look",
    CLOSE_BREAKER = "role/close_breaker",
    LIFT_RATE_LIMIT = "role/lift_rate_limit",
    REQUEST_SPAWN = "role/request_spawn",
    SET_BUDGETS = "role/set_budgets",
    SET_CAPACITY = "role/set_capacity",
    SUSPENDED = "role/suspended",
    WAKE_ROLE = "role/wake",
    CLOCK_BACK = "supervisor/clock_back",
    END_RECOVERY = "supervisor/end_recovery",
    OPEN_EPOCH = "supervisor/open_epoch",
    RECORD_EVENT = "supervisor/record_event",
    REINSTATE = "supervisor/reinstate",
    RENEW_LEADERSHIP = "supervisor/renew_leadership",
    WRITE_REQUEST = "supervisor/request",
    CANCEL = "task/cancel",
    CLAIM = "task/claim",
    DELEGATE = "task/delegate",
    EXPIRE = "task/expire",
    FINISH = "task/finish",
    MARK_WAITING = "task/mark_waiting",
    PRUNE = "task/prune",
    QUARANTINE = "task/quarantine",
    RELEASE_DUE = "task/release_due",
    REPORT_PROGRESS = "task/report_progress",
    RETRY = "task/retry",
}

/// What is sent, in its order.
fn parts(body: &str) -> [&str; 9] {
    [
        TABLES.as_str(),
        include_str!("lua/prelude/base.lua"),
        include_str!("lua/prelude/people.lua"),
        include_str!("lua/prelude/usage.lua"),
        include_str!("lua/prelude/retry.lua"),
        include_str!("lua/prelude/moves.lua"),
        super::clock::ADDED,
        "\n",
        body,
    ]
}

/// Without the whole text ever being in memory.
fn hash_of(body: &str) -> String {
    let mut hash = Sha1::new();
    parts(body).iter().for_each(|part| hash.update(part.as_bytes()));
    hash.hexdigest()
}

/// So many fences has an epoch; a fence says by its size in which one it was given. Lua prints whole numbers of 14
/// digits, so there can be a hundred thousand epochs.
pub const FENCES_PER_EPOCH: u64 = 1_000_000_000;

/// The transition tables of `model` as Lua.
static TABLES: LazyLock<String> = LazyLock::new(|| {
    let tasks: Vec<_> = task::TRANSITIONS.iter().map(|(f, t)| (f.as_str(), t.as_str())).collect();
    let agents: Vec<_> = agent::TRANSITIONS.iter().map(|(f, t)| (f.as_str(), t.as_str())).collect();
    let delays = serde_json::to_string(&retry::Delays::default()).unwrap_or_default();
    format!(
        "local TASK = {}\nlocal AGENT = {}\nlocal FENCES_PER_EPOCH = {FENCES_PER_EPOCH}\n\
         local DEFAULT_DELAYS = '{delays}'\nlocal JITTER = {}\nlocal RATE_LIMIT_DEFAULT = {}\n",
        lua_table(&tasks),
        lua_table(&agents),
        retry::JITTER,
        retry::RATE_LIMIT_DEFAULT.as_millis(),
    )
});

fn lua_table(pairs: &[(&str, &str)]) -> String {
    let mut out = String::from("{");
    let mut froms: Vec<&str> = pairs.iter().map(|(f, _)| *f).collect();
    froms.dedup();
    for from in froms {
        let tos: Vec<String> = pairs.iter().filter(|(f, _)| *f == from).map(|(_, to)| format!("{to} = true")).collect();
        out.push_str(&format!("{from} = {{{}}}, ", tos.join(", ")));
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The highest `ARGV[n]` and the numbered arguments of the header agree, and nothing but the prefix is a key.
    #[test]
    fn headers_tell_the_truth() {
        for Script { name, body: text, .. } in ALL {
            let header: String = text.lines().take_while(|l| l.starts_with("--")).collect::<Vec<_>>().join(" ");
            for part in ["KEYS: 1 prefix", "ARGV:", "Returns:"] {
                assert!(header.contains(part), "{name}: its header lacks '{part}'");
            }
            let argv = header.split("ARGV:").nth(1).unwrap().split("Returns:").next().unwrap();
            let code: String = text.lines().filter(|l| !l.starts_with("--")).collect::<Vec<_>>().join("\n");
            let used = (1..20).filter(|n| code.contains(&format!("ARGV[{n}]"))).max().unwrap_or(0);
            let told = (1..20)
                .filter(|n| argv.contains(&format!(" {n} ")) || argv.contains(&format!(" {n}...")))
                .max()
                .unwrap_or(0);
            let variadic = argv.contains("...");
            assert!(used == told || variadic && used <= told, "{name}: uses ARGV[{used}], its header ends at {told}");
            assert!(!code.contains("KEYS["), "{name}: takes only the prefix");
            let refuses = code.contains("refuse(");
            assert_eq!(refuses, header.contains("Refuses:"), "{name}: what it refuses is in its header");
            for refusal in code.split("refuse('").skip(1) {
                let code = refusal.split('\'').next().unwrap();
                assert!(header.contains(code), "{name}: refuses '{code}', which its header does not name");
            }
        }
    }

    #[test]
    fn every_script_has_a_hash_of_its_own_and_it_is_that_of_its_text() {
        for script in ALL {
            assert_eq!(script.hash(), Sha1::from(script.text()).hexdigest(), "{}", script.name);
        }
        let hashes: std::collections::HashSet<_> = ALL.iter().map(|s| s.hash().to_owned()).collect();
        assert_eq!(hashes.len(), ALL.len());
    }
}
