//! The store against a real server: every transition from every state, what is safe to send again, who is refused,
//! who is woken, a model that random steps are compared with, and a search of every state that two tasks can come to.
//!
//! After whatever a test does, the store's own audit reads all that is stored and holds it together.

mod admission;
mod again;
mod agent_transitions;
mod approvals;
mod attempt_ends;
mod audit;
mod broken_connection;
mod budget_escapes;
mod budget_steps;
mod budgets;
mod causes;
mod charges;
mod check;
mod clock;
mod damaged;
mod deadlines;
mod delays;
mod dependencies;
mod edges;
mod edit;
mod epoch;
mod exhaustive;
mod fair;
mod fences;
mod figures;
mod fixture;
mod forgetting;
mod format;
mod ids;
mod known_bugs;
mod limits;
mod lock_figures;
#[allow(dead_code)] // Half of it is for `scripts/bench locks`.
mod lock_fleet;
mod lock_steps;
mod locks;
mod messages;
mod model;
mod people;
mod plan_budgets;
mod plan_slots;
mod plans;
mod reference;
mod requests;
mod schedules;
mod schedules_month;
mod spend;
mod steps;
mod subtasks;
mod task_transitions;
mod texts;
mod tls;
mod trails;
mod trial;
mod waits;
mod wakeups;
