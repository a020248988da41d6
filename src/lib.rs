//! orch supervises coding agents on one machine: tasks travel through Redis, agents run in tmux sessions, every accepted
//! task ends exactly once, and nothing is left behind.
//!
//! # Theory of operation
//!
//! Start here. This page describes the whole system; the documentation of each module continues with its own part.
//!
//! ## The parts
//!
//! ```text
//!   a person
//!        │  orch delegate, wait, status ...            (surfaces: cli, console, mcp)
//!        ▼
//!       ops ── writes a request, reads records ─────────────┐
//!                                                           ▼
//!   supervisor ── observe, decide, act ──────────────▶  Redis  ◀── claim, renew, report ── runner (one per agent)
//!        │                                                                                    │
//!        └── opens and closes sessions ──▶ tmux ── the pane's own command is the runner ──────┘
//!                                                                                             │
//!                                                      the agent's program, whose verbs the runner executes with ops
//! ```
//!
//! *Redis* stores everything that must survive: tasks, agents, leases, requests, events. It is either a private server
//! that the supervisor starts and watches ([`redis_server`], which also decides whether its version is new enough), or
//! the user's own.
//!
//! A *runner* ([`runner`]) is one agent. It claims a task of its role, runs the program that the role's driver describes
//! ([`drivers`]), renews the lease by heartbeat, and reports how the attempt ended. It does not depend on the supervisor:
//! while the supervisor is dead, running agents continue and claim further tasks.
//!
//! The *supervisor* ([`supervisor`]) starts and stops agents so that their number fits the work, ends agents that are dead
//! or hung, and releases delayed tasks. It keeps no state outside Redis, tmux and the kernel, so adopting a running fleet
//! after a crash is not a special case: it is the first pass of the next supervisor.
//!
//! *Surfaces* ([`cli`], [`console`], [`mcp`]) translate between their caller and [`ops`], and render the answers with
//! [`view`].
//!
//! *Launchers* ([`launchers`]) decide where a program runs: directly, or in a sandbox of bubblewrap
//! ([`launchers::bwrap`]).
//!
//! ## Words
//!
//! An *attempt* is one try at a task; a *lease* is the time-limited right to it, and its *fence* is a number that
//! grows with every lease. A *role* is a kind of agent, with `max` *slots* for running tasks; an agent's name is its
//! role and a number. A task that is *held* waits for a person; a role that is *suspended* starts nothing for now. A
//! *dead letter* is a failed task, kept until a person retries or removes it, or its retention time has passed. An
//! attempt that leaves something to keep has a folder of its own below `runs/` in the state folder.
//!
//! ## The life of a task
//!
//! `orch delegate` calls one Lua script, `task/delegate`. It stores the record, adds the task to the ready queue of its role,
//! appends the event and leaves a wake-up marker, all in one atomic step. An idle runner of that role blocks on the marker
//! and calls `task/claim`, which gives it the first ready task together with a *fence*: a number that grows with every lease.
//! If no runner is idle, the script wakes the supervisor, which starts an agent.
//!
//! When the program ends, the runner appends the end to its journal ([`home`], `journal`) and calls `task/finish` with
//! its fence. The cause of the end decides what follows ([`model::cause`]): in the same step, `end_attempt` and
//! `propagate_end` in `store/lua/prelude/ends.lua` notify waiting callers and release or cancel dependent tasks. The runner
//! sends its next claim together with this call, in one round trip. If Redis does not acknowledge the end promptly, the
//! runner also writes it to `reports/`, synced.
//!
//! Programs that print a stream of JSON are read while they work ([`drivers::Transcript`]). Programs that use the terminal
//! themselves (the master, and tasks in `mode = "interactive"`) are followed through their hooks, which call `orch hook`, and
//! through the content of their pane ([`runner`], `interactive`).
//!
//! After every interruption, another part continues: the supervisor delivers what a dead runner left in its journal or
//! in `reports/`; a lease that is not renewed expires, and its attempt counts as `lost`; the late call of a former
//! lease holder is rejected because its fence is old.
//!
//! ## Plans
//!
//! A *plan* is a set of tasks with edges between them that is submitted as one. [`plan`] reads the document, reports every
//! mistake with its place and computes the critical path; it is pure. The store stages the tasks and accepts all of them in
//! one step (`plan/submit`); they become ordinary tasks some at a time (`plan/grow`), so that no caller waits for a large plan,
//! and the supervisor continues where a submitter dies. An edge names a condition and a policy ([`model::edge`]); what an end
//! means for the next task is decided where every end is propagated (`store/lua/prelude/ends.lua`). The state of a plan follows from the number
//! of its tasks in each state, which `move` keeps and the audit recounts.
//!
//! ## Rules
//!
//! 1. **One table per state machine.** [`model::task::TRANSITIONS`] and [`model::agent::TRANSITIONS`] are compiled into the
//!    Lua scripts when these are loaded. `move` and `move_agent` in `store/lua/prelude/moves.lua` are the only writers of a
//!    state, and record the event in the same step.
//! 2. **One Lua file per transition.** It reads and checks everything before its first write, uses Redis's clock, and is
//!    safe to repeat: a caller that lost the reply calls again and receives the same answer.
//! 3. **Codes decide, sentences explain.** Event kinds, causes, refusals and gates are enums in [`model`], shared with the
//!    Lua scripts. No decision reads a sentence; a test searches for such comparisons.
//! 4. **A wake-up only means "look again".** A lost or repeated wake-up does no harm, because every reader also looks at
//!    regular intervals.
//! 5. **Decisions are pure.** `supervisor::decide` and [`admission`] are functions of what was observed; drivers are
//!    functions of what a program printed. Clocks and processes are passed in.
//! 6. **Record first, then the effect.** A crash between the two leaves a record on which the next pass acts.
//! 7. **A process is identified by more than its pid**, and never by its name: by its pid and start time, its terminal
//!    session, its cgroup, or the marker `ORCH_INCARNATION` in its environment ([`os`]).
//! 8. **A tmux session without orch's tags is never touched** ([`mux`]).
//! 9. **Secrets stay in environments.** They do not appear in arguments, Redis keys, tmux options or logs. A runner receives
//!    its environment through a file that exists for a few milliseconds ([`home::launch`]).
//!
//! ## Callers
//!
//! The caller is derived, never claimed. An agent's programs reach orch through the socket that their runner serves
//! ([`ops::socket`]), and the runner executes each verb as the attempt that runs, judged by the configuration that the
//! supervisor has read. A process that does not use the socket belongs to a person only if no living runner and no
//! agent's cgroup is above it ([`ops::Identity`]). The console of the built-in master acts for a person: its runner
//! knows its process. What a role's agents may do is a partial order of rights ([`config::Rights`]); a delegation
//! beyond it waits for a person.
//!
//! ## What keeps a task from starting
//!
//! [`admission`] computes the *gates* of a task or a role: paused, suspended by a rate limit, budget used up, all slots
//! taken, too little memory, and so on. The supervisor's scaling, `orch why`, `orch status` and the note that `orch delegate`
//! prints all use this list. `task/claim.lua` applies the same rules inside Redis; a property test on a real server checks
//! that it claims exactly when the list is empty.
//!
//! ## Shares
//!
//! Plans and parents share the slots of a role. A ready task stands in the queue of its priority and share, beside the queue of
//! its role, and `task/claim.lua` looks at the share whose turn it is and at the first task of its queue
//! (`store/lua/prelude/shares.lua`). `move` keeps what each share occupies, and [`admission::shares`] is the same rule for `orch why`.
//!
//! A task that waits for a person keeps its slot, because its program still runs, with its memory and its unfinished
//! files. A task that waits for its own subtasks gives up its slot, because they could not start otherwise.
//!
//! A task for the role `auto` is routed before it is accepted: [`routing`] chooses among the roles to which its caller may
//! delegate, by their routes, tags and records. From then on the role is an ordinary one, but a failure may hand the task on.
//!
//! ## Locks
//!
//! A task may declare which paths it writes and reads ([`model::pattern`]). `task/claim.lua` takes all of its locks or none in
//! the step that claims it, and `move` releases them where the task stops running, however that comes about. A ready task
//! that lacks a lock is *parked*: it leaves the ready queue of its role, waits in a queue of those that lack the same, and is
//! offered again when a lock in its way is released (`store/lua/prelude/locks.lua`). Once it has been overtaken, it reserves
//! what it needs, and younger tasks do not get that. A claim looks at the locks above and below the paths that it needs, and at
//! no others. A person's lock has the same form, and ends when it is released or expires.
//!
//! ## How agents end
//!
//! A runner is a child subreaper: orphaned processes of its program become its own children, and it ends them when the
//! attempt ends. A runner that is asked to stop ends its program (SIGTERM, a grace period, SIGKILL) and signs off. The death
//! of a runner is noticed through a pidfd. The supervisor then records the end of the agent (`agent/end.lua`, which also opens
//! the breaker of a role whose agents keep dying as they start), which frees the task, and ends the *orphans*: descendants,
//! members of the pane's session, carriers of the marker and members of the agent's cgroup, until two consecutive scans find
//! none. The record `orphans` persists until that has happened, so that a crash in between leaves nothing behind.
//!
//! Each runner enters a cgroup of its own before it starts anything ([`os::Cgroup`]), where cgroup v2 is available and
//! writable. Even a process that cleared its environment, left its session and lost its parents is found there. The
//! supervisor, Redis and tmux are never inside an agent's cgroup.
//!
//! A program that exceeds the resource limits of its role is ended without a grace period, and its attempt counts as
//! `lost`. The kernel enforces the limits where it offers the controllers; elsewhere the runner checks once per second.
//!
//! The lease of a silent agent expires only after a full lease without interruption: after an interruption of Redis,
//! of the machine or of the supervisor, every agent has a whole lease to report again (`undisturbed` in
//! [`supervisor`]).
//!
//! ## One supervisor
//!
//! Two locks exclude a second supervisor of the same folder: that of a file, which names its owner, and that of the
//! folder itself, which remains when the file is removed ([`home`], `lock`). The folder records its owner, and every
//! verb compares it (`home/owner.rs`). In each pass, the supervisor checks that folder, lock and Redis are the ones
//! that it created (`supervisor/folder.rs`): it recreates what was removed, and ends in order if its folder is gone.
//! In a Redis server that several folders or machines share, the supervisor renews its leadership of the namespace
//! every two seconds (`supervisor::leadership`), and ends if another one holds it. Actions of a supervisor that has
//! not noticed yet are rejected by states and fences.
//!
//! ## A Redis server that lost data
//!
//! Whenever a Redis server comes up, the *epoch* is raised, also on disk, and new fences start above every fence that
//! can have been given before. If Redis knows less than the supervisor's checkpoint, this is recorded as an event and
//! shown in `orch status`; until every living agent has reported what it holds, nothing is claimed, started or closed
//! ([`store::epoch`]). Ends of attempts, and tasks that were running, are recovered from the runners' journals.
//!
//! ## People
//!
//! A question ([`model::question`]) belongs to a task, not to an attempt: an attempt that ends while its question is open
//! leaves the task `held`, and the answer makes it `ready` again. Messages ([`model::message`]) belong to tasks too; each
//! reader has its own position. What a program waits for ([`model::wait`]: its user, or its service) is part of the runner's
//! heartbeat, and an agent that waits for a person never counts as hung.
//!
//! The usage of an attempt is added to its task, to the task's ancestors, to their plans, and to its role and agent for the day:
//! as its program reports it with the heartbeats, and in the step that ends the attempt, with an estimate of what it was cut off
//! before it could report (`store/lua/prelude/charges.lua`). A role whose daily budget is used up, whose account is rate
//! limited, or whose program is missing is *suspended*: its tasks wait, and the supervisor wakes its agents when the suspension
//! ends. A task for which its plan's budget has no room waits apart from the other ready tasks of its role
//! (`store/lua/prelude/plan_budgets.lua`).
//!
//! A *schedule* ([`schedule`]) delegates a task or submits a plan at certain times. Its record has a *mark*, up to which its
//! occurrences are decided: each runs, or is skipped for a reason, and one step records this together with the new mark. The
//! loop that does so runs in the supervisor's process, beside its own (`supervisor/schedules.rs`).
//!
//! ## Formats
//!
//! Redis and the state folder have a `format` number. A build refuses a newer format without changing anything; the
//! supervisor migrates an older one under its lock before it does anything else ([`model::format`]).
//!
//! ## The layers
//!
//! Imports go downward only; `tests/house/layers.rs` holds the exact table and enforces it:
//!
//! ```text
//!   cli  console  mcp                             surfaces
//!   view                                          rendering: tables, text, styles
//!   supervisor        runner                      the loop; one agent, which serves ops to its programs
//!   ops                                           the one API
//!   store  redis_server  mux  home  launchers     one external system each
//!   config                                        sessions.toml: as written, then as resolved
//!   drivers    admission    plan    schedule    routing    os
//!   model                                         pure vocabulary: tables, causes, codes
//! ```
//!
//! Only [`store`] knows the names of Redis keys, only [`mux`] knows tmux, and only [`os`] knows Linux. [`supervisor`]
//! and [`runner`] import no surface, and not each other. [`config`] is above [`drivers`], because each driver declares
//! what sessions.toml may say about its program. [`drill`] creates test environments of its own and checks them.
//!
//! ## Where to change what
//!
//! - *A driver*: one file in `drivers`, its fixtures, and one line in the list in `drivers/mod.rs` ([`drivers`], "Adding a
//!   driver").
//! - *A place where programs run*: one file in [`launchers`], and one line in its `of`.
//! - *A verb*: a line in the table `ops::verbs`, one file in `ops` with its answer in `ops::types`, and one function
//!   in `cli`; `view` renders its answer, in the file of its subject.
//! - *A tool*: one file in `mcp::tools`, or a function in one.
//! - *A transition*: its line in the table of `model`, one Lua file with its header, one typed call in `store`.
//! - *A field of a task*: `model::task::Spec`; `ops::Delegate`, if callers set it (that covers the command line,
//!   `--each` and MCP); and `ops/delegate.rs`, which fills it.
//! - *A reason not to start something now*: a gate in [`admission`]; one that also blocks a claim belongs in `task/claim.lua`
//!   as well, and `tests/store/admission.rs` compares the two.
//! - *A rule of supervision*: `supervisor::decide`, with a case in its tests.
//! - *A step that a crash must not interrupt*: a point in the table of [`mod@os::failpoint`], at which
//!   `tests/it/faults/failpoints.rs` kills the process.
//!
//! CONTRIBUTING.md describes most of these with their files.

// Tests may unwrap: a test that cannot continue has failed.
#![warn(clippy::unwrap_used)]

pub mod admission;
pub mod cli;
pub mod config;
pub mod console;
pub mod drill;
pub mod drivers;
pub mod error;
#[cfg(test)]
mod fuzz;
pub mod home;
pub mod launchers;
pub mod mcp;
pub mod model;
pub mod mux;
pub mod ops;
pub mod os;
pub mod plan;
pub mod redis_server;
pub mod routing;
pub mod runner;
#[cfg(test)]
mod samples;
pub mod schedule;
pub mod store;
pub mod supervisor;
pub mod view;
