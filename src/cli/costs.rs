//! `orch costs`.

use super::{
    Session, args,
    end::End,
    render::{
        View,
        table::{Cell, Column, Table},
        task::money,
    },
};
use crate::{
    model::{task::Usage, text::count},
    ops::types::{CostRow, Costs, CostsBy},
};

pub(super) async fn run(args: &args::Costs, session: &mut Session) -> Result<u8, End> {
    let costs = session.ops()?.costs(args.by, args.since).await?;
    session.answer(&costs, table)?;
    Ok(0)
}

fn table(costs: &Costs, view: &View) -> String {
    if costs.rows.is_empty() {
        return match costs.days {
            1 => "nothing was reported today\n".to_owned(),
            _ => format!("nothing was reported in {}\n", days(costs.days)),
        };
    }
    let what = match costs.by {
        CostsBy::Role => "ROLE",
        CostsBy::Agent => "AGENT",
        CostsBy::Day => "DAY",
        CostsBy::Task => "TASK",
    };
    let mut table = Table::new([
        Column::new(what).at_least(8),
        Column::new("TOKENS IN").right(),
        Column::new("OUT").right(),
        Column::new("USD").right(),
    ]);
    let total = CostRow { name: format!("all, {}", days(costs.days)), usage: costs.total.clone() };
    // The sum of tasks is that of those that are kept, which may be fewer.
    let total = (costs.by != CostsBy::Task).then_some(&total);
    for row in costs.rows.iter().chain(total) {
        let Usage { input_tokens, output_tokens, cost_usd } = &row.usage;
        table.row([
            Cell::from(&row.name),
            Cell::from(input_tokens.to_string()),
            Cell::from(output_tokens.to_string()),
            Cell::from(money(*cost_usd).unwrap_or_else(|| "-".to_owned())),
        ]);
    }
    table.render(view)
}

fn days(n: u64) -> String {
    if n == 1 { "today".to_owned() } else { count(n, "day", "days") }
}

#[cfg(test)]
mod tests {
    use super::money;

    #[test]
    fn what_nobody_told_is_not_nothing() {
        let said = [0.0, 0.000_3, 0.005, 12.5, f64::NAN].map(|usd| money(usd).unwrap_or_else(|| "-".to_owned()));
        assert_eq!(said, ["-", "<0.01", "0.01", "12.50", "NaN"]);
    }
}
