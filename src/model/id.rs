//! Ids: of tasks, of agents, of one incarnation of an agent.

use serde::{Deserialize, Serialize};

/// A task's id: `t-` and ten characters, random, easy to read aloud (no i, l, o, u).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct TaskId(String);

/// Crockford's base 32 in lower case: nothing in it is mistaken for something else.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const RANDOM_CHARS: usize = 10;

impl TryFrom<String> for TaskId {
    type Error = String;
    /// As its `FromStr`: an id becomes part of keys and paths, wherever it comes from.
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TaskId {
    /// A new id: 50 random bits. The delegate transition refuses one that exists, and the caller takes another.
    pub fn random() -> Self {
        TaskId(format!("t-{}", random_chars(RANDOM_CHARS)))
    }
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A plan's id: as a task's, with `p-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PlanId(String);

impl TryFrom<String> for PlanId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl PlanId {
    /// A new id.
    pub fn random() -> Self {
        PlanId(format!("p-{}", random_chars(RANDOM_CHARS)))
    }
    /// The id that stands for this text: always the same.
    pub fn of(text: &str) -> Self {
        PlanId(format!("p-{}", chars_of(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, text.as_bytes()), RANDOM_CHARS)))
    }
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for PlanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for PlanId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match has_form(text, "p-") {
            true => Ok(PlanId(text.to_owned())),
            false => Err(format!("'{text}' is not a plan id: it looks like p-7k2m9qx4hz")),
        }
    }
}

/// Returns whether a text is this prefix with as many characters of the alphabet as an id has.
fn has_form(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == RANDOM_CHARS && rest.bytes().all(|b| ALPHABET.contains(&b)))
}

/// Returns whether a task's id may begin so: `t-` and at least one character of its alphabet.
pub fn is_beginning(text: &str) -> bool {
    begins_so(text, "t-")
}

/// Returns whether a plan's id may begin so: `p-` and at least one character of its alphabet.
pub fn is_beginning_of_plan(text: &str) -> bool {
    begins_so(text, "p-")
}

fn begins_so(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| (1..RANDOM_CHARS).contains(&rest.len()) && rest.bytes().all(|b| ALPHABET.contains(&b)))
}

/// `n` random characters of the id alphabet (at most 25).
/// As many random characters as an id has.
pub fn random_word() -> String {
    random_chars(RANDOM_CHARS)
}

fn random_chars(n: usize) -> String {
    chars_of(uuid::Uuid::new_v4(), n)
}

fn chars_of(uuid: uuid::Uuid, n: usize) -> String {
    let mut bits = uuid.as_u128();
    // The version and variant bits of a v4 uuid are fixed; fold them away.
    bits ^= bits >> 67;
    (0..n.min(25))
        .map(|_| {
            let c = ALPHABET[(bits & 31) as usize] as char;
            bits >>= 5;
            c
        })
        .collect()
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for TaskId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match has_form(text, "t-") {
            true => Ok(TaskId(text.to_owned())),
            false => Err(format!("'{text}' is not a task id: it looks like t-7k2m9qx4hz")),
        }
    }
}

/// Returns a new incarnation: the identity of one run of an agent, never used again. Leases and liveness are checked
/// against it and not against the agent's id, which a successor may have.
pub fn new_incarnation() -> String {
    random_chars(20)
}

/// Identifies a process across machines and reboots, so that a reused pid is never mistaken for the agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Process {
    /// The machine's name.
    pub host: String,
    /// Which boot of it, and which of its pid namespaces.
    pub boot_id: String,
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub start_time: u64,
}

/// Where a process is, as seen from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On this machine, since its last boot: its pid is valid.
    ThisBoot,
    /// On this machine, before its last boot: it is gone.
    EarlierBoot,
    /// On another machine, or in another container.
    Elsewhere,
}

impl Process {
    /// Where it is, seen from a process on this `host` and `boot_id`. A boot id is the stronger evidence: a laptop
    /// may get another name with another network.
    pub fn place(&self, host: &str, boot_id: &str) -> Place {
        match (self.boot_id == boot_id, self.host == host) {
            (true, _) => Place::ThisBoot,
            (false, true) => Place::EarlierBoot,
            (false, false) => Place::Elsewhere,
        }
    }
}

/// What an agent's program carries to prove which attempt it belongs to (`ORCH_CAPABILITY`):
/// `task.attempt.fence.incarnation`. It allows the verbs of that attempt alone, and nothing once the attempt has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// The task of the attempt.
    pub task: TaskId,
    /// The attempt's number.
    pub attempt: u32,
    /// The attempt's fence.
    pub fence: u64,
    /// The holder's incarnation.
    pub incarnation: String,
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}.{}", self.task, self.attempt, self.fence, self.incarnation)
    }
}

impl std::str::FromStr for Capability {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "ORCH_CAPABILITY is damaged".to_owned();
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or_else(bad);
        let capability = Capability {
            task: next()?.parse().map_err(|_| bad())?,
            attempt: next()?.parse().map_err(|_| bad())?,
            fence: next()?.parse().map_err(|_| bad())?,
            incarnation: next()?.to_owned(),
        };
        if parts.next().is_some() { Err(bad()) } else { Ok(capability) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_and_differ() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| TaskId::random()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.as_str().parse::<TaskId>().as_ref() == Ok(id)));
        for bad in ["", "t-", "7k2m9qx4hz", "t-7k2m9qx4h", "t-7k2m9qx4hzz", "t-7k2m9qx4hi", "t-7k2m9qx4h\n"] {
            assert!(bad.parse::<TaskId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_process_is_placed_by_its_boot_first_and_then_by_its_host() {
        let place = |host: &str, boot: &str| {
            Process { host: host.into(), boot_id: boot.into(), ..Process::default() }.place("h", "b")
        };
        assert_eq!(place("h", "b"), Place::ThisBoot);
        assert_eq!(place("renamed", "b"), Place::ThisBoot);
        assert_eq!(place("h", "a"), Place::EarlierBoot);
        assert_eq!(place("other", "a"), Place::Elsewhere);
    }

    #[test]
    fn a_capability_reads_back() {
        let c = Capability { task: TaskId::random(), attempt: 2, fence: 17, incarnation: new_incarnation() };
        assert_eq!(c.to_string().parse(), Ok(c.clone()));
        assert!(format!("{c}.x").parse::<Capability>().is_err());
    }
}
