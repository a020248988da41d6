//! Requests and responses of the verbs. Responses serialize to the JSON that `--json` prints.

mod budgets;
mod costs;
mod edit;
mod fleet;
mod locks;
mod logs;
mod people;
mod plans;
mod schedules;
mod tasks;

pub use budgets::*;
pub use costs::*;
pub use edit::*;
pub use fleet::*;
pub use locks::*;
pub use logs::*;
pub use people::*;
pub use plans::*;
pub use schedules::*;
pub use tasks::*;

pub use super::delegation::Delegate;
pub use crate::{model::attention::Attention, store::people::Answered};
