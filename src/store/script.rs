//! The Lua transitions: one file each under `lua/`, with what it needs of the prelude (`build/lua.rs`), the tables and the
//! words of `model` before it.
//!
//! A script names the words of `model` as constants: `EVENT.task_ready`, `REFUSAL.stale`, `CAUSE.lost`,
//! `CODE.over_memory`. Each is replaced by its word when the script is composed. As tables they would be built again by
//! every call, which takes longer than a small transition does.

use std::{fmt::Display, sync::LazyLock};

use sha1_smol::Sha1;

use crate::model::{
    agent, breaker, cause::Cause, end_code::EndCode, event::EventKind, format::FORMAT, plan, refusal::Refusal, retry,
    task,
};

/// A transition, ready to be called by its SHA1.
///
/// It keeps its name alone: each text is up to 25 KB with its prelude, every process uses several, and a server needs
/// it once. (Texts that were kept at the first call were a third of a runner's memory.)
pub(super) struct Script {
    pub name: &'static str,
    /// What it needs of the prelude (build.rs).
    prelude: &'static str,
    body: &'static str,
    /// As it was written.
    #[cfg(test)]
    source: &'static str,
    hash: LazyLock<String>,
}

impl Script {
    /// Returns the SHA1 by which Redis knows it.
    pub fn hash(&self) -> &str {
        &self.hash
    }
    /// Returns its whole text, tables and prelude included.
    pub fn text(&self) -> String {
        let mut text = String::new();
        parts(self.name, self.prelude, self.body).into_iter().for_each(|part| expand(part, &mut text));
        text
    }
}

/// A file that build.rs has written.
macro_rules! part_of {
    ($file:literal, $kind:literal) => {
        include_str!(concat!(env!("OUT_DIR"), "/lua/", $file, $kind))
    };
}

macro_rules! scripts {
    ($($upper:ident = $file:literal),+ $(,)?) => {
        $(pub(super) static $upper: Script = Script {
            name: $file,
            prelude: part_of!($file, ".prelude.lua"),
            body: part_of!($file, ".body.lua"),
            #[cfg(test)]
            source: include_str!(concat!("lua/", $file, ".lua")),
            hash: LazyLock::new(|| hash_of($file, part_of!($file, ".prelude.lua"), part_of!($file, ".body.lua"))),
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
    EXPIRE_LOCKS = "lock/expire",
    LOOK_AT_LOCKS = "lock/look",
    RELEASE_LOCKS = "lock/release",
    TAKE_LOCKS = "lock/take",
    MARK_READ = "message/mark_read",
    READ_MESSAGES = "message/read",
    SEND = "message/send",
    ANSWER = "question/answer",
    ASK = "question/ask",
    EXPIRE_APPROVALS = "question/expire",
    TAKE_NOTICES = "question/take_notices",
    CANCEL_PLAN = "plan/cancel",
    GROW_PLAN = "plan/grow",
    OFFER_SHORT = "plan/offer",
    SET_CAP_OF_PLAN = "plan/set_cap",
    STAGE_PLAN = "plan/stage",
    SUBMIT_PLAN = "plan/submit",
    LOOK = "record/look",
    RESERVED = "record/reserved",
    SHARES = "record/shares",
    TURNS = "record/turns",
    CLOSE_BREAKER = "role/close_breaker",
    LIFT_RATE_LIMIT = "role/lift_rate_limit",
    RECORD_WINDOWS = "role/record_windows",
    REFUSE_SPAWN = "role/refuse_spawn",
    REQUEST_SPAWN = "role/request_spawn",
    SET_BUDGETS = "role/set_budgets",
    SET_CAP_OF_DAY = "role/set_cap",
    SET_CAPACITY = "role/set_capacity",
    SET_SHORTAGE = "role/set_shortage",
    SUSPENDED = "role/suspended",
    WAKE_ROLE = "role/wake",
    ADVANCE_SCHEDULE = "schedule/advance",
    DEFINE_SCHEDULES = "schedule/define",
    HINDER_SCHEDULE = "schedule/hinder",
    PAUSE_SCHEDULE = "schedule/pause",
    REQUEST_RUN = "schedule/request",
    RUN_SCHEDULE = "schedule/run",
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
    EDIT = "task/edit",
    END_LATE = "task/end_late",
    EXPIRE = "task/expire",
    FINISH = "task/finish",
    MARK_WAITING = "task/mark_waiting",
    PRUNE = "task/prune",
    QUARANTINE = "task/quarantine",
    RELEASE_DUE = "task/release_due",
    REPORT_PROGRESS = "task/report_progress",
    RETRY = "task/retry",
    SET_CAP_OF_TASK = "task/set_cap",
}

/// What a script is sent as.
fn parts(name: &str, prelude: &'static str, body: &'static str) -> [&'static str; 6] {
    [TABLES.as_str(), prelude, super::clock::ADDED, "\n", allowance(name), body]
}

/// What accepts something new, which a server with a full memory refuses, and what only reads.
const REFUSED_WHEN_FULL: &[&str] = &[
    "lock/look",
    "lock/take",
    "message/send",
    "plan/stage",
    "plan/submit",
    "question/ask",
    "record/look",
    "role/suspended",
    "schedule/request",
    "schedule/run",
    "task/delegate",
    "task/report_progress",
];

/// What lets every other transition write while the server's memory is over its limit: reports and ends must get through, and
/// so must what frees memory. Redis refuses the first write of a script that needs memory; after one that needs none, such as
/// this, it refuses nothing, so that scripts stay atomic.
fn allowance(name: &str) -> &'static str {
    if REFUSED_WHEN_FULL.contains(&name) { "" } else { "redis.call('DEL', P .. 'probe')\n" }
}

/// Hashes the text of a script without ever having all of it in memory.
fn hash_of(name: &str, prelude: &'static str, body: &'static str) -> String {
    let (mut hash, mut text) = (Sha1::new(), String::new());
    for part in parts(name, prelude, body) {
        expand(part, &mut text);
        hash.update(text.as_bytes());
        text.clear();
    }
    hash.hexdigest()
}

/// Appends a script to `out`, each constant of a vocabulary replaced by its word. What no vocabulary knows stays as it
/// is: there is no such global in Redis, so that the script fails, and the tests below fail first.
fn expand(script: &str, out: &mut String) {
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let mut rest = script;
    while let Some(dot) = rest.find('.') {
        let (before, after) = (&rest[..dot], &rest[dot + 1..]);
        let table = before.len() - before.bytes().rev().take_while(is_name).count();
        let name = after.bytes().take_while(is_name).count();
        match word(&before[table..], &after[..name]) {
            Some(word) => {
                out.push_str(&before[..table]);
                out.extend(["'", word, "'"]);
                rest = &after[name..];
            }
            None => {
                out.push_str(&rest[..=dot]);
                rest = after;
            }
        }
    }
    out.push_str(rest);
}

/// Returns the word of a constant such as `EVENT.task_ready`.
fn word(table: &str, name: &str) -> Option<&'static str> {
    fn find(words: impl Iterator<Item = &'static str>, name: &str) -> Option<&'static str> {
        // A name in Lua has no dots.
        let is_same = |word: &str| {
            word.len() == name.len() && word.bytes().zip(name.bytes()).all(|(w, n)| w == n || (w, n) == (b'.', b'_'))
        };
        words.into_iter().find(|word| is_same(word))
    }
    match table {
        "EVENT" => find(EventKind::ALL.iter().map(|kind| kind.as_str()), name),
        "REFUSAL" => find(Refusal::ALL.iter().map(|refusal| refusal.as_str()), name),
        "CAUSE" => find(Cause::ALL.iter().map(|cause| cause.as_str()), name),
        "CODE" => find(EndCode::ALL.iter().map(|code| code.as_str()), name),
        _ => None,
    }
}

/// The number of fences per epoch: the size of a fence shows in which epoch it was granted. Lua's numbers
/// are exact up to 2^53, so there can be nine million epochs.
pub const FENCES_PER_EPOCH: u64 = 1_000_000_000;

/// The transition tables of `model` as Lua.
static TABLES: LazyLock<String> = LazyLock::new(|| {
    let delays = serde_json::to_string(&retry::Delays::default()).unwrap_or_default();
    format!(
        "local TASK = '{}'\nlocal AGENT = '{}'\nlocal PLAN = '{}'\nlocal FENCES_PER_EPOCH = {FENCES_PER_EPOCH}\nlocal FORMAT = {FORMAT}\nlocal function spec_fields() return {} end\n\
         local DEFAULT_DELAYS = '{delays}'\nlocal JITTER = {}\nlocal RATE_LIMIT_DEFAULT = {}\n\
         local RATE_LIMIT_MOST = {}\nlocal RATE_LIMIT_LONGEST = {}\nlocal MAX_WAIT = {}\n",
        transitions(task::TRANSITIONS),
        transitions(agent::TRANSITIONS),
        transitions(plan::TRANSITIONS),
        super::spec::fields_in_lua(),
        retry::JITTER,
        retry::RATE_LIMIT_DEFAULT.as_millis(),
        retry::RATE_LIMIT_MOST.as_millis(),
        retry::RATE_LIMIT_LONGEST.as_millis(),
        task::MAX_WAIT.as_millis(),
    ) + &breaker_policy()
});

/// The numbers of `model::breaker`, in milliseconds.
fn breaker_policy() -> String {
    format!(
        "local BREAKER_FIRST_PAUSE = {}\nlocal BREAKER_LONGEST_PAUSE = {}\nlocal BREAKER_PROVEN = {}\n\
         local BREAKER_KEPT = {}\n",
        breaker::FIRST_PAUSE.as_millis(),
        breaker::LONGEST_PAUSE.as_millis(),
        breaker::PROVEN.as_millis(),
        breaker::KEPT.as_millis(),
    )
}

/// Returns a table of transitions as one string, ` from>to from>to `, which `allows` searches: a table of tables would be
/// built by every call.
fn transitions<S: Display>(pairs: &[(S, S)]) -> String {
    pairs.iter().fold(String::from(" "), |text, (from, to)| text + &format!("{from}>{to} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The highest `ARGV[n]` and the numbered arguments of the header agree, and nothing but the prefix is a key.
    #[test]
    fn headers_tell_the_truth() {
        for Script { name, source: text, .. } in ALL {
            let header: String = text.lines().take_while(|l| l.starts_with("--")).collect::<Vec<_>>().join(" ");
            for part in ["KEYS: 1 prefix", "ARGV:", "Returns:"] {
                assert!(header.contains(part), "{name}: its header lacks '{part}'");
            }
            let argv = header.split("ARGV:").nth(1).unwrap().split("Returns:").next().unwrap();
            let code: String = text.lines().filter(|l| !l.starts_with("--")).collect::<Vec<_>>().join("\n");
            let used = (1..20).filter(|n| code.contains(&format!("ARGV[{n}]"))).max().unwrap_or(0);
            let documented = (1..20)
                .filter(|n| argv.contains(&format!(" {n} ")) || argv.contains(&format!(" {n}...")))
                .max()
                .unwrap_or(0);
            let variadic = argv.contains("...");
            assert!(
                used == documented || variadic && used <= documented,
                "{name}: uses ARGV[{used}], its header ends at {documented}"
            );
            assert!(!code.contains("KEYS["), "{name}: takes only the prefix");
            let refuses = code.contains("refuse(");
            assert_eq!(refuses, header.contains("Refuses:"), "{name}: what it refuses is in its header");
            let said: Vec<&str> = code.split("REFUSAL.").skip(1).map(first_word).collect();
            for refusal in &said {
                assert!(header.contains(refusal), "{name}: refuses '{refusal}', which its header does not name");
            }
            let named = header.split("Refuses:").nth(1).unwrap_or_default();
            for refusal in Refusal::ALL.iter().filter(|refusal| names(named, refusal.as_str())) {
                assert!(said.contains(&refusal.as_str()), "{name}: never refuses '{refusal}', which its header names");
            }
            assert!(!code.contains("refuse('"), "{name}: refuses with a word instead of REFUSAL");
        }
    }

    fn first_word(text: &str) -> &str {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap()
    }

    /// Whether a list such as `stale (it is over), taken` names this code.
    fn names(list: &str, code: &str) -> bool {
        let mut depth = 0;
        let outside: String = list
            .chars()
            .map(|c| match c {
                '(' => {
                    depth += 1;
                    ' '
                }
                ')' => {
                    depth -= 1;
                    ' '
                }
                c if depth == 0 => c,
                _ => ' ',
            })
            .collect();
        outside.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == code)
    }

    #[test]
    fn every_constant_is_a_word_of_the_model() {
        for script in ALL {
            for table in ["EVENT.", "REFUSAL.", "CAUSE.", "CODE."] {
                let text = script.text();
                let unknown = text.split(table).nth(1).map(first_word);
                assert_eq!(unknown, None, "{}: {table} has no such word", script.name);
            }
        }
        let mut text = String::new();
        expand("if EVENT.task_ready .. x.CAUSE then f(P.CAUSE.lost, CAUSE.nothing)", &mut text);
        assert_eq!(text, "if 'task.ready' .. x.CAUSE then f(P.'lost', CAUSE.nothing)");
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
