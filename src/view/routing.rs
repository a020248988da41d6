//! Which roles were considered for a task.

use super::{
    View,
    table::{Cell, Column, Table},
};
use crate::model::routing::Routing;

/// One line per role, the best first.
pub(super) fn scores(routing: &Routing, view: &View) -> String {
    let mut table = Table::new([
        Column::new("ROLE").at_least(8),
        Column::new("SCORE").right(),
        Column::new("SUCCEEDED").right(),
        Column::new("COST").right(),
        Column::new("ROUTES").at_least(8),
        Column::new("LEFT OUT").at_least(8),
    ]);
    for one in &routing.scores {
        let cost = one.cost_usd.map_or_else(|| "-".to_owned(), |usd| format!("${usd:.3}"));
        table.row([
            Cell::from(&one.role),
            Cell::from(format!("{:.2}", one.score)),
            Cell::from(format!("{} of {}", one.successes, one.tries)),
            Cell::from(cost),
            Cell::from(or_dash(&one.routes.join(" "))),
            Cell::from(or_dash(one.left_out.as_deref().unwrap_or_default())),
        ]);
    }
    table.render(view)
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}
