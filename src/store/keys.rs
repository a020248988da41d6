//! The shape of what is stored. Every key begins with the namespace's prefix `orch:{ns}:`, whose braces keep them in
//! one cluster slot. The Lua transitions build the same names from the same prefix; no other code knows them.
//!
//! | key | type | what |
//! |---|---|---|
//! | `task:<id>` | hash | the record; the fields are those of [`super::decode::task`] |
//! | `attempts:<id>` | list | one JSON object per attempt, the oldest first |
//! | `quarantine:<id>` | any | what was stored as the record of a task that could not be read and was quarantined |
//! | `children:<id>` | list | its subtasks' ids |
//! | `questions:<id>` | list | the questions of its programs to persons, one JSON object each ([`super::people`]) |
//! | `asking` | zset | tasks with open questions, by the time of the first |
//! | `approval_ends` | zset | tasks that wait for an approval, by when it is decided by its default |
//! | `messages:<box>` | list | messages to a task or to the master (by its session), the last 500, one JSON object each |
//! | `marks:<box>` | hash | `count` of messages so far; `read:<reader>`: up to which that reader has read; `token:`, `before:` of its last reading |
//! | `sent:<id>` | string | the box that this message went to (an hour) |
//! | `notices` | list | what newly needs a person, until the supervisor has run `notify_command` for it |
//! | `unheard` | list | the last messages of people that were not read before their task ended (an hour) |
//! | `deps:<id>` | set | while it is blocked: its open dependencies |
//! | `dependents:<id>` | set | the tasks that start after it |
//! | `locks` | zset | what is locked and reserved, in the order of the alphabet: node, mode and pattern, holder, separated by the character 1 (`lua/prelude/locks.lua`) |
//! | `held:<holder>` | hash | the entries of `locks` of a task, of a person's lock (`l-`) or of a reservation (`~` and the task) → when and why, as JSON |
//! | `lock:<id>` | hash | a person's lock: `by`, `at`, `reason`, `until` |
//! | `person_locks` | set | the ids of persons' locks |
//! | `lock_ends` | zset | when persons' locks and reservations end |
//! | `parked` | zset | ready tasks that wait for a lock, by since when; they are not in `ready:<role>` |
//! | `parked:<queue>` | zset | those that lack the same lock first, by their place among the ready tasks |
//! | `wants` | zset | the queues that have tasks, in the order of the alphabet |
//! | `reserving` | set | parked tasks that have a reservation |
//! | `lock_offers` | list | ranges of `wants` that are to be looked at, because a lock has become free |
//! | `plan:<id>` | hash | a plan: `name`, `text`, `state`, `since`, how many of its tasks there are in each state (`n:<state>`), how many of its `total` tasks are `made`; `cap_micro_usd` and `cap_tokens`, and what is counted of that (`used_`); `short` (`used` or `reserved`) and `short_why`, where its budget has no room for its next task, and how many of its tasks wait for that (`n:short`) |
//! | `plan_tasks:<id>` | hash | its tasks: key → id |
//! | `staged:<id>` | hash | tasks of a plan that are not made yet, by their order; before the plan is accepted, for ten minutes |
//! | `plan_key:<key>` | string | the plan with this idempotency key |
//! | `plans` | zset | every plan, by order of acceptance |
//! | `growing` | set | accepted plans of which some tasks are not made yet |
//! | `schedules` | set | names of the schedules that the supervisor has read from sessions.toml |
//! | `schedule:<name>` | hash | a schedule: its `times`; the `mark` up to which its occurrences are decided; its `last` run and that one's occurrence, `last_at`; `paused_at`, `paused_by`, `resumed_at`; the `obstacle` to what waits; the last `failure` |
//! | `schedule_waiting:<name>` | list | its occurrences that are to run and were not accepted yet, one JSON object each |
//! | `schedule_log:<name>` | list | what became of its last occurrences, one JSON object each, the oldest first |
//! | `tasks` | zset | every id, by order of acceptance |
//! | `ids` | zset | the same ids in the order of the alphabet: all scores are 0 |
//! | `state:<state>` | zset | the ids in that state, by the time they entered it; `delayed`: by due time; `running`: by the lease's end |
//! | `queue:<role>:<priority>:<share>` | zset | the same tasks, those of one priority and one share together, by the same place |
//! | `turns:<role>:<priority>` | zset | shares with such tasks, by whose turn it is (`lua/prelude/shares.lua`) |
//! | `shares:<role>` | hash | what each share of the role's slots occupies and has used: `busy:<share>`, `used:<share>`, `waits:<share>`, `last:<share>`; `floor`, `queued`, `mistrusted` |
//! | `weights` | hash | plan → its weight among shares, where that is not 1 |
//! | `record:<role>` | hash | how its latest attempts ended: `tries`, `successes`; `micro_usd` of those that are `priced` |
//! | `ready:<role>` | zset | ready tasks that no lock is known to keep from an agent, by priority, then by order of acceptance |
//! | `running:<role>` | set | running tasks |
//! | `waiting:<role>` | zset | running tasks that wait for their subtasks, by the time until which the mark holds |
//! | `agents` | set | ids of the living agents |
//! | `agent:<id>` | hash | the record; kept a week after the agent has ended |
//! | `idle:<role>` | set | agents without a task, the master excepted |
//! | `orphans` | hash | incarnation → what may be left of an ended agent's processes, until the supervisor has verified that none is left |
//! | `breaker:<role>` | hash | agents of this role fail right after they start: how often in a row, and until when none is started |
//! | `requests` | hash | requests: `stop` (`now`, `drain`), `pause`, `pause:<role>`, `drain`, `scale:<role>`, `spawn:<role>:<token>` |
//! | `limits` | hash | `max:<role>`, as the supervisor read it from sessions.toml |
//! | `budgets` | hash | `account:<role>`, `day_usd:<role>`, `day_tokens:<role>`, `task_usd:<role>`, `task_tokens:<role>` (no role: all together), as the supervisor read them, money in millionths of a dollar; `set_usd:<role>`, `set_tokens:<role>`: a person's, which comes before; `expected_usd:<role>`, `learned_usd:<role>` and the same in tokens: what the next attempt is expected to use; `slots:<role>`: `max_concurrent` of its account and the roles of that; `pace:<role>`: how many attempts of its account may start in how many milliseconds; `tried:<role>`: whether a few attempts try its service first; `reports:<role>`: what its program is known to report; `window_use:<role>`: how much of a window of its account may be used; `login:<role>`: why the role waits for a login |
//! | `reserved` | hash | what running attempts have reserved: `all:`, `role:<role>:`, `plan:<plan>:` and `micro_usd`, `tokens`; each task's own is its `reserves` |
//! | `costs:<role>` | list | what the last 50 attempts of that role have used: millionths of a dollar, tokens, and in how many milliseconds |
//! | `short:<plan>` | zset | ready tasks for which the budget of that plan has no room, by their place; they are not in `ready:<role>` |
//! | `short_plans` | set | the plans that have such tasks |
//! | `short_of_room` | set | roles whose agents were refused a task for want of a budget or of a slot of their account, until there may be room |
//! | `pace:<account>` | string | when the starts that `rate_limit` allows would be used up evenly, in microseconds |
//! | `trial:<account>` | string | when the trial of that account began whose first attempts find out whether its service answers, and how many attempts have started in it (ten minutes after the last) |
//! | `warned:<day>` | set | whose budget of that day a person was warned of |
//! | `usage:<day>` | hash | what was used on that day (days since 1970, UTC): `all:`, `role:<role>:`, `agent:<id>:` and `input_tokens`, `output_tokens`, `micro_usd`, and how much of that is an estimate (`estimated_`); `counts_resumes_once` unless an earlier release began it (90 days) |
//! | `metered:<agent>` | hash | what of its conversations is counted there that belong to no task: `<conversation>:` and the same three (90 days) |
//! | `windows:<account>` | hash | what its programs have reported of the windows of its subscription, one JSON object each (8 days) |
//! | `rate:<account>` | hash | that account is rate limited: `until` when, the `reason`, and how many `times` in a row (for a while after its end) |
//! | `key:<key>` | string | idempotency key → task |
//! | `calls:<task>:<fence>` | hash | how often this attempt delegated a given content, and what it found again (a day) |
//! | `requested:<token>` | string | this request to spawn was received (an hour) |
//! | `supervisor` | hash | in a Redis of the user's own: the id of the state folder whose supervisor this namespace has, `where` that is, `until` when |
//! | `supervisor_starts` | counter | supervisors started; an agent's record has its value as `supervisor_start` |
//! | `passes` | hash | what the supervisor's passes took: `last_ms`, `max_ms`, `max_held_up_ms`, `max_starved_ms` |
//! | `epoch` | hash | which Redis server these records were last used with, and what was lost before it ([`super::epoch`]) |
//! | `jumped:<token>` | string | this jump of the clock was applied (an hour) |
//! | `format` | string | the number of the layout that this table describes ([`super::format`]) |
//! | `fence`, `seq` | counter | leases given; tasks accepted |
//! | `events` | stream | capped |
//! | `trail:<id>` | list | the ids of the newest 50 to 100 events about that task |
//! | `tampering` | hash | the last change of the private server's configuration that the supervisor found: `at`, `what`, and what is `left` of it |
//! | `probe` | string | written to see whether Redis writes (a minute) |
//! | `wake:supervisor`, `wake:schedules`, `wake:role:<role>`, `wake:agent:<id>` | list | markers for blocking pops |
//! | `ended:<id>` | channel | published when a task has ended |
//! | `news:<box>` | channel | published when a message has come or was read, or a question was answered or closed |

/// Names keys of one namespace.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// The keys of a namespace.
    pub fn new(namespace: &str) -> Self {
        Keys { prefix: format!("orch:{{{namespace}}}:") }
    }
    /// What every key begins with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
    /// A key without a parameter.
    pub fn plain(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
    /// A key with one parameter.
    pub fn of(&self, kind: &str, what: &str) -> String {
        format!("{}{kind}:{what}", self.prefix)
    }
}
