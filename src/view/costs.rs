//! Usage: tokens and money.

use super::{
    View,
    table::{Cell, Column, Table},
};
use crate::{
    model::{task::Usage, text::count},
    ops::types::{CostRow, Costs, CostsBy},
};

/// One line per role, agent, task or day, and the sum.
pub fn table(costs: &Costs, view: &View) -> String {
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
        CostsBy::Plan => "PLAN",
    };
    let mut table = Table::new([
        Column::new(what).at_least(8),
        Column::new("TOKENS IN").right(),
        Column::new("OUT").right(),
        Column::new("USD").right(),
    ]);
    let total = CostRow::new(format!("all, {}", days(costs.days)), costs.total.clone());
    // The total also covers tasks that are no longer kept, so it is not the sum of the tasks or plans listed.
    let total = (!matches!(costs.by, CostsBy::Task | CostsBy::Plan)).then_some(&total);
    for row in costs.rows.iter().chain(total) {
        let Usage { input_tokens, output_tokens, cost_usd, .. } = &row.usage;
        table.row([
            Cell::from(match &row.title {
                Some(title) => format!("{} {title}", row.name),
                None => row.name.clone(),
            }),
            Cell::from(input_tokens.to_string()),
            Cell::from(output_tokens.to_string()),
            Cell::from(money(*cost_usd).unwrap_or_else(|| "-".to_owned())),
        ]);
    }
    let note = match costs.overcounted.as_slice() {
        [] => String::new(),
        [.., last] => format!(
            "until {last}, an earlier release counted what a conversation had used again each time that it was resumed\n"
        ),
    };
    let of_estimate = estimated(&costs.total)
        .map(|amount| format!("{amount} of it are an estimate of what was cut off before its program reported it\n"));
    table.render(view) + &of_estimate.unwrap_or_default() + &note
}

/// `1200 tokens in, 340 out, 0.12 USD`
pub fn used(u: &Usage) -> String {
    let money = money(u.cost_usd).map(|usd| format!(", {usd} USD")).unwrap_or_default();
    let estimated = estimated(u).map(|amount| format!(" ({amount} estimated)")).unwrap_or_default();
    format!("{} tokens in, {} out{money}{estimated}", u.input_tokens, u.output_tokens)
}

/// How much of it is an estimate, because attempts were cut off before their programs reported what they had used.
fn estimated(u: &Usage) -> Option<String> {
    let tokens = (u.estimated_tokens > 0).then(|| count(u.estimated_tokens, "token", "tokens"));
    let usd = money(u.estimated_usd).map(|usd| format!("{usd} USD"));
    let parts: Vec<String> = usd.into_iter().chain(tokens).collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

/// An amount in dollars. `None`: no program has reported one, which does not mean that nothing was spent.
pub(super) fn money(usd: f64) -> Option<String> {
    match usd {
        ..=0.0 => None,
        ..0.005 => Some("<0.01".to_owned()),
        _ => Some(format!("{usd:.2}")),
    }
}

fn days(n: u64) -> String {
    if n == 1 { "today".to_owned() } else { count(n, "day", "days") }
}

#[cfg(test)]
mod tests {
    use super::money;

    #[test]
    fn money_that_was_not_reported_is_not_zero() {
        let said = [0.0, 0.000_3, 0.005, 12.5, f64::NAN].map(|usd| money(usd).unwrap_or_else(|| "-".to_owned()));
        assert_eq!(said, ["-", "<0.01", "0.01", "12.50", "NaN"]);
    }
}
