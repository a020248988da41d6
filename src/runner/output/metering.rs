//! Turns the totals of a conversation that some programs report into the usage of one run.
//!
//! A program that resumes a conversation may report what the whole conversation has used. The part that was counted
//! before is stored with the task, with the conversation's id, and subtracted here. If an attempt died before it could
//! report, its usage is part of the next total, and so counts with the attempt after it.

use crate::{
    drivers::Totals,
    model::task::{Counted, Usage},
    store::tasks::Metered,
};

/// Subtracts what was counted before from what one program reports.
#[derive(Debug, Default)]
pub(in crate::runner) struct Metering {
    totals: Totals,
    before: Option<Counted>,
    metered: Option<Metered>,
}

impl Metering {
    /// Creates the metering of a program that reports these totals. `before` is what was counted of an earlier conversation of
    /// its task.
    pub fn new(totals: Totals, before: Option<Counted>) -> Self {
        Metering { totals, before, metered: None }
    }

    /// Returns the usage of this run, given what the program has reported in this conversation.
    pub fn own(&mut self, reported: &Usage, conversation: Option<&str>) -> Usage {
        let Some(conversation) = conversation.filter(|_| self.totals != Totals::NONE) else { return reported.clone() };
        let counted = self.before.as_ref().filter(|counted| counted.conversation == conversation);
        let before = counted.map(|counted| counted.usage.clone()).unwrap_or_default();
        let (mut own, mut total) = (reported.clone(), before.clone());
        // Nothing is no total: a run that is ended early reports its tokens without a price.
        if self.totals.money && reported.micro_usd() > 0 {
            own.cost_usd = Usage::of_micro_usd(more(reported.micro_usd(), before.micro_usd()));
            total.cost_usd = reported.cost_usd;
        }
        if self.totals.tokens && reported.tokens() > 0 {
            let is_anew = reported.tokens() < before.tokens();
            let since = |total: u64, before: u64| if is_anew { total } else { total.saturating_sub(before) };
            own.input_tokens = since(reported.input_tokens, before.input_tokens);
            own.output_tokens = since(reported.output_tokens, before.output_tokens);
            (total.input_tokens, total.output_tokens) = (reported.input_tokens, reported.output_tokens);
        }
        self.metered = Some(Metered { conversation: conversation.to_owned(), before, total });
        own
    }

    /// Returns what to store with the task, so that the next run subtracts it.
    pub fn metered(&self) -> Option<&Metered> {
        self.metered.as_ref()
    }
}

/// A total that is smaller than before is that of a program that counts from zero again.
fn more(total: u64, before: u64) -> u64 {
    total.checked_sub(before).unwrap_or(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONEY: Totals = Totals { money: true, tokens: false };
    const TOKENS: Totals = Totals { money: false, tokens: true };

    fn usage(input_tokens: u64, output_tokens: u64, cost_usd: f64) -> Usage {
        Usage { input_tokens, output_tokens, cost_usd, ..Usage::default() }
    }

    fn counted(conversation: &str, usage: Usage) -> Option<Counted> {
        Some(Counted { conversation: conversation.into(), usage })
    }

    #[test]
    fn a_total_counts_by_what_was_not_counted_before() {
        for (totals, before, reported, own, total) in [
            (MONEY, None, usage(10, 1, 0.5), usage(10, 1, 0.5), usage(0, 0, 0.5)),
            (MONEY, counted("c", usage(0, 0, 0.5)), usage(10, 1, 1.25), usage(10, 1, 0.75), usage(0, 0, 1.25)),
            (MONEY, counted("other", usage(0, 0, 0.5)), usage(10, 1, 1.25), usage(10, 1, 1.25), usage(0, 0, 1.25)),
            // Ended before it has reported a price.
            (MONEY, counted("c", usage(0, 0, 0.5)), usage(10, 1, 0.0), usage(10, 1, 0.0), usage(0, 0, 0.5)),
            // It counts from zero again.
            (MONEY, counted("c", usage(0, 0, 0.5)), usage(10, 1, 0.25), usage(10, 1, 0.25), usage(0, 0, 0.25)),
            (TOKENS, counted("c", usage(100, 20, 0.0)), usage(300, 50, 0.0), usage(200, 30, 0.0), usage(300, 50, 0.0)),
            (TOKENS, counted("c", usage(100, 20, 0.0)), usage(90, 5, 0.0), usage(90, 5, 0.0), usage(90, 5, 0.0)),
        ] {
            let mut metering = Metering::new(totals, before.clone());
            assert_eq!(metering.own(&reported, Some("c")), own, "{before:?} {reported:?}");
            assert_eq!(metering.metered().unwrap().total, total, "{before:?} {reported:?}");
        }
    }

    #[test]
    fn a_later_report_of_the_same_run_replaces_the_earlier_one() {
        let mut metering = Metering::new(MONEY, counted("c", usage(0, 0, 1.0)));
        assert_eq!(metering.own(&usage(1, 1, 1.5), Some("c")).cost_usd, 0.5);
        assert_eq!(metering.own(&usage(2, 2, 2.5), Some("c")).cost_usd, 1.5);
        let metered = metering.metered().unwrap();
        assert_eq!((metered.before.cost_usd, metered.total.cost_usd), (1.0, 2.5));
    }

    #[test]
    fn what_a_program_reports_per_run_is_its_usage() {
        let mut metering = Metering::new(Totals::NONE, counted("c", usage(5, 5, 5.0)));
        assert_eq!(metering.own(&usage(1, 2, 3.0), Some("c")), usage(1, 2, 3.0));
        assert_eq!(metering.metered(), None);
    }
}
