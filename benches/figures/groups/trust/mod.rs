//! The walls between agents, and a stop that always works: what they cost, and what gets through.

mod stop;
mod suites;

use super::{mcp, sandbox};
use crate::{Result, table::Row};

pub fn measure() -> Result<Vec<Row>> {
    let mut rows = sandbox::measure()?;
    rows.extend(mcp::added_by_the_socket()?);
    rows.extend(stop::measure()?);
    rows.extend(suites::measure()?);
    Ok(rows)
}
