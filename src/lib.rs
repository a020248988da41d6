//! orch supervises coding agents: tasks go through Redis, agents live in tmux, nothing is lost, nothing is left behind.
//!
//! # Theory of operation
//!
//! Read this first. It is the whole machine in a few pages; every module opens with its own part of it.
//!
//! ## Who there is
//!
//! ```text
//!   a person, or an agent's program
//!        │  orch delegate, wait, status ...          (cli, console, mcp: surfaces)
//!        ▼
//!       ops ── writes an intention, reads records ─────────┐
//!                                                          ▼
//!   supervisor ── observe, decide, act ──────────────▶  Redis  ◀── claim, renew, report ── runner (one an agent)
//!        │                                                                                   │
//!        └── opens and closes sessions ──▶ tmux ── the pane's own command is the runner ─────┘
//!                                                                                            │
//!                                                                       the agent's program, and all it starts
//! ```
//!
//! *Redis* holds everything that must survive: tasks, agents, leases, requests, events. It is a private server that the
//! supervisor starts and watches ([`redis_server`]), or the user's own.
//!
//! A *runner* ([`runner`]) is one agent. It claims a task of its role, runs the program of its driver ([`drivers`]) in a
//! folder of the attempt's own, renews the lease by heartbeat, and reports how it ended. It needs no supervisor for
//! that: with the supervisor dead, running agents go on and take further tasks.
//!
//! The *supervisor* ([`supervisor`]) starts and stops agents so that their number fits the work, gives up those who are
//! dead or hung, and makes delayed tasks ready. It keeps no state that is not in Redis, in tmux or in the kernel; so a
//! new one after `kill -9` just looks and goes on. That is all that adopting a fleet means.
//!
//! *Surfaces* ([`cli`], [`console`], [`mcp`]) translate to [`ops`] and show its answers as [`view`] renders them.
//!
//! ## The life of a task
//!
//! `orch delegate` calls one Lua script, `delegate`, which stores the record, puts it among the ready tasks of its role,
//! appends the event and leaves a wake-up marker, all or nothing. An idle runner of that role sits in a blocking pop on
//! that marker; it calls `claim`, which hands it the first ready task with a *fence*, a number that grows with every
//! lease ever given. If nobody is idle, the script wakes the supervisor, which starts an agent.
//!
//! When the program has ended, the runner appends the end to its journal ([`home::Journal`]), calls `finish` with its
//! fence, and marks the end as acknowledged once Redis has answered. `finish` decides by the cause what comes next ([`model::cause`]),
//! tells whoever waits, releases or gives up what depends on it. The same round trip claims the next task.
//!
//! A program that prints what it does as a stream of JSON is read while it works ([`drivers::Transcript`]): the runner
//! shows and logs it as lines that a person reads, keeps the raw lines, and writes the conversation's name down, by which
//! the task's next attempt goes on. What the stream said, and not the exit code alone, says how it ended.
//!
//! A program that has the pane's terminal to itself (the master's, and that of a task in `mode = "interactive"`) prints
//! nothing that could be read. It calls `orch hook` at the turns of its work, which leaves lines in a file; the runner
//! follows it, and looks at the screen where no hook tells (`runner::follow`). Of a task these lines are the stream.
//!
//! Wherever this is cut, somebody finds it: a report that nobody heard is told by the supervisor; a lease that is not
//! renewed ends, and the attempt is `lost`; a holder that wakes up late is refused by its fence.
//!
//! ## The rules that everything keeps to
//!
//! 1. **One table a state.** [`model::task::TRANSITIONS`] and [`model::agent::TRANSITIONS`] are written into the Lua
//!    scripts when they are loaded; `move` and `move_agent` in `store/lua/prelude/moves.lua` are the only writers of a state,
//!    and append the event in the same step.
//! 2. **One Lua file a transition**, which reads and checks everything before its first write, uses Redis's own clock,
//!    and can be sent again: whoever lost an answer asks again and gets the same.
//! 3. **A wake-up only says "look again".** Lost or doubled ones do no harm: everybody looks by himself now and then.
//! 4. **Deciding is pure.** `supervisor::decide` is a function of what was observed; drivers are functions of what a
//!    program printed. Clocks and processes are passed in.
//! 5. **Record first, then the effect.** A crash between the two leaves a record that the next pass acts on.
//! 6. **A process is never named by its pid alone**, nor found by its name. It is a pid with a start time, a terminal
//!    session, or the marker `ORCH_INCARNATION` in its environment ([`os`]).
//! 7. **A session that does not carry our tags is never touched** ([`mux`]).
//! 8. **No secret leaves the environment**: not in an argument, a Redis key, a tmux option or a log. Runners get their
//!    environment by a file that exists for some milliseconds ([`home::launch`]).
//!
//! ## How agents end
//!
//! A runner is a subreaper: what its program leaves behind becomes its child, and is ended when the attempt ends. A
//! runner that is told to leave ends its program (TERM, a grace, KILL) and says goodbye. One that dies is noticed by a
//! pidfd; the supervisor records its end, which frees the task, and then ends what is left of it: descendants, members
//! of the pane's session, carriers of the marker, and who is in its cgroup, until two looks find nobody. What may be
//! left of an ended agent stands in the record `orphans` until somebody has looked, so that a crash in between leaves
//! nothing behind either.
//!
//! An *cgroup* is a control group of the kernel's ([`os::Cgroup`]). A runner enters one of its own before it starts
//! anything, so everything that it starts is inside, also what left its environment, its session and its parents. Its
//! place is derived from the incarnation and from a list of places in the state folder, so that every later supervisor
//! finds it. Supervisor, Redis and tmux are never inside: a supervisor that an agent has started leaves first. Where no
//! cgroup can be made, everything works without.
//!
//! A program that uses more than its role may ([`config::ResourceLimits`]) is ended by its runner without grace, and the attempt
//! is `lost`; the agent goes on. Where the kernel hands on its controllers it holds the bounds in the cgroup, else the
//! runner looks once a second. While the machine is short of memory (`min_free_memory`) nobody is started but the master.
//!
//! Silence counts from the moment at which everything was there: after a break of Redis, of the machine or of the
//! supervisor itself, everybody gets a whole lease to report ([`supervisor`], `undisturbed`).
//!
//! ## One supervisor
//!
//! Those of one state folder are kept apart by a lock in it. In a Redis of the user's own, those of several folders or
//! machines may meet: there a supervisor says every two seconds that the namespace is its own (`supervisor::leadership`), and one
//! that finds it another's ends. What one does that has not noticed yet is refused by states and fences, as from anybody else
//! who is late.
//!
//! ## A Redis that lost something
//!
//! Each time a Redis server comes up, the *epoch* is raised and fences go on above all that can have been given; the
//! number is also on the disk. Where Redis knows of less than was remembered there, that is an event, `orch status`
//! says so, and nothing is claimed, started or closed until the living have said what they are doing
//! ([`store::epoch`]). Ends of attempts and tasks that were begun are restored from the runners'
//! journals ([`home::Journal`]).
//!
//! ## A program on a terminal
//!
//! The program of the master, or of a task in `mode = "interactive"`, has the pane to itself, so nothing that it prints is
//! read. It calls us: its hooks run `orch hook`
//! ([`ops`], `hook`), which leaves a line for the runner in a file and hands over what waits for the model, at the boundary of
//! a turn. The runner follows that file ([`runner`], `follow`), looks at the screen while no hook can tell ([`drivers`], `see`),
//! and so knows whether the program works, is idle, or asks its user. Only an idle master with an empty prompt is typed to (`seat`),
//! one line, and what becomes of it is found out, not assumed.
//!
//! ## What waits for a person, and what waits for money
//!
//! A question ([`model::question`]) belongs to its task, not to the attempt that asked it. Whoever waits for its answer
//! renews a mark, which keeps his agent from passing for hung; whoever ends instead is held, and the answer makes the task
//! ready. Who waits for a person keeps his place in his role, and only who ends gives it up: his program is there, with its
//! memory and with what it has half done in its folder, and however many ask, no more live than may. (Who waits for his
//! own subtasks gives it up, because they could not run otherwise; of them there are only so many.) A message
//! ([`model::message`]) belongs to a task as well; each reader has a mark up to which it has read.
//!
//! What an agent's program waits for ([`model::wait`]: its user, or its service, which it asks again and again by itself) is
//! one state of its runner, and its heart says each change of it at once; who asks is not taken for hung. What exactly is
//! asked is others' text: without secrets, one short line. A program that tries on where only a login would help is ended, and its task held.
//!
//! What an attempt has used is added in the step that ends it: to its task, to all above that, to its role and agent of
//! the day. A master has no attempt: its runner tells the total of its conversation after each turn, of which the store adds
//! what is new, and nothing of what was used before the master took it up. `claim` gives nothing of a role that has used what it may a day, or whose account is rate limited
//! (`suspended` in `store/lua/prelude/usage.lua`); both end by themselves, and the supervisor wakes those that were sent
//! away. A person who knows that a rate limit is over lifts it (`orch resume ROLE`).
//!
//! A role whose program is missing ([`launchers::preflight`]) is suspended in the same way: the supervisor looks at each pass, and
//! its tasks wait until the program is installed, in place of failing one after the other.
//!
//! ## The rooms
//!
//! Imports go downward only, and `tests/house/layers.rs` holds it:
//! surfaces ([`cli`], [`console`], [`mcp`]) → [`view`] → [`ops`] → [`launchers`], [`store`], [`mux`], [`home`], [`config`],
//! [`drivers`], [`model`], [`os`]; [`supervisor`] and [`runner`] → the same, but neither a surface nor each other.
//! [`store`], [`ops`] and [`supervisor`] → [`admission`] → [`model`]: what keeps a task or a role from starting is decided there.
//! [`config`] → [`drivers`] → [`model`]: what sessions.toml may say about a program is its driver's to declare.
//! [`drill`] → the same as [`ops`] but without it, and [`cli`] calls it.
//! Only [`store`] knows a key's name. Only [`mux`] knows that there is a tmux. Only [`os`] knows Linux.
//!
//! ## Where to change what
//!
//! - *A driver*: one file in `drivers`, its fixtures, and one line in the list in `drivers/mod.rs` ([`drivers`], "Adding a
//!   driver").
//! - *A place where programs run*: one file in [`launchers`].
//! - *A verb*: one file in `ops` with its request and answer in `ops::types`, one function in `cli`; what it answers is
//!   rendered in `view`, in the file of its subject.
//! - *A tool*: one file in `mcp::tools`, or a function in one.
//! - *A transition*: its line in the table of `model`, one Lua file with its header, one typed call in `store`.
//! - *A reason not to start something now*: a gate in [`admission`]; one that also blocks a claim stands in `task/claim.lua`
//!   as well, and `tests/store/admission.rs` holds the two together.
//! - *A rule of supervision*: `supervisor::decide`, with a case in its tests.
//! - *A step between two others that must not be torn apart by a death*: a point in the table of [`mod@os::failpoint`], and
//!   `tests/it/faults/failpoints.rs` lets a process die there.

// Tests may unwrap: a test that cannot go on has failed.
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
pub mod redis_server;
pub mod runner;
pub mod store;
pub mod supervisor;
pub mod view;
