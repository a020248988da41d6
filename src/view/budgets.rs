//! What may be used, was used, and is reserved.

use super::{
    View,
    table::{Cell, Column, Table},
};
use crate::{
    model::{
        duration::human,
        task::TaskState,
        window::{AccountWindow, in_words},
    },
    ops::types::{BudgetChanged, BudgetRow, Budgets},
};

/// A line per budget and unit.
pub fn table(found: &Budgets, view: &View) -> String {
    let mut table = Table::new([
        Column::new("BUDGET").at_least(8),
        Column::new("LIMIT").right(),
        Column::new("USED").right(),
        Column::new("RESERVED").right(),
        Column::new("LEFT").right(),
    ]);
    for row in &found.budgets {
        let (scope, [money, tokens]) = (row.scope.as_str(), sums(row));
        // Where nothing is limited and nothing was used, there is one line all the same.
        let lines: Vec<&Sum> = [&money, &tokens].into_iter().filter(|sum| sum.says_something()).collect();
        for sum in if lines.is_empty() { vec![&money] } else { lines } {
            let cap = sum.cap.map_or_else(|| "-".to_owned(), |cap| (sum.words)(cap));
            let left =
                sum.cap.map_or_else(|| "-".to_owned(), |cap| (sum.words)((cap - sum.spent - sum.reserved).max(0.0)));
            table.row([
                scope.into(),
                cap.into(),
                (sum.words)(sum.spent).into(),
                (sum.words)(sum.reserved).into(),
                Cell::from(left),
            ]);
        }
    }
    table.render(view) + &windows(&found.windows, view)
}

/// A line per window of an account's subscription.
fn windows(windows: &[AccountWindow], view: &View) -> String {
    if windows.is_empty() {
        return String::new();
    }
    let mut table = Table::new([
        Column::new("ACCOUNT").at_least(8),
        Column::new("WINDOW"),
        Column::new("USED").right(),
        Column::new("ENDS IN").right(),
        Column::new("SEEN").right().expendable(1),
    ]);
    for AccountWindow { account, seen_at, window } in windows {
        let used = match window.used {
            _ if window.is_full => "all".to_owned(),
            Some(used) => format!("{:.0} %", 100.0 * used),
            None => "-".to_owned(),
        };
        let ends = window.resets_at.map(|at| at.since(view.now));
        table.row([
            Cell::from(account.as_str()),
            Cell::from(in_words(&window.name)),
            Cell::from(used),
            Cell::from(ends.map_or_else(|| "-".to_owned(), human)),
            Cell::from(view.age(*seen_at)),
        ]);
    }
    format!("\n{}", table.render(view))
}

/// `limit 50.00 USD, 2.00 USD reserved`
pub fn limit(row: &BudgetRow) -> String {
    let amounts = |sum: &Sum| {
        let cap = sum.cap.map(|cap| format!("limit {}", (sum.words)(cap)))?;
        let reserved = (sum.reserved > 0.0).then(|| format!(", {} reserved", (sum.words)(sum.reserved)));
        Some(cap + &reserved.unwrap_or_default())
    };
    sums(row).iter().filter_map(amounts).collect::<Vec<_>>().join(", ")
}

/// A budget was set.
pub fn changed(changed: &BudgetChanged, view: &View) -> String {
    let mut text = match (changed.changed, &changed.from, &changed.state) {
        (false, ..) => format!("{}: this was already the case\n", changed.scope),
        (true, ..) if changed.goes_on => format!("{} goes on\n", changed.scope),
        (true, Some(TaskState::Held), Some(TaskState::Held)) => {
            format!("{} may use more, and stays held for another reason\n", changed.scope)
        }
        _ => format!("{} was changed\n", changed.scope),
    };
    if let Some(budget) = &changed.budget {
        text.push_str(&table(&Budgets { budgets: vec![budget.clone()], windows: Vec::new() }, view));
    }
    text
}

/// Of one unit.
struct Sum {
    cap: Option<f64>,
    spent: f64,
    reserved: f64,
    words: fn(f64) -> String,
}

impl Sum {
    fn says_something(&self) -> bool {
        self.cap.is_some() || self.spent + self.reserved > 0.0
    }
}

fn sums(row: &BudgetRow) -> [Sum; 2] {
    let money = Sum {
        cap: row.cap_usd,
        spent: row.spent_usd,
        reserved: row.reserved_usd,
        words: |usd| format!("{usd:.2} USD"),
    };
    let tokens = Sum {
        cap: row.cap_tokens.map(|n| n as f64),
        spent: row.spent_tokens as f64,
        reserved: row.reserved_tokens as f64,
        words: |tokens| format!("{tokens:.0} tokens"),
    };
    [money, tokens]
}
