//! The keys of a plan and of a task that are used as they are written: each is listed here once, with the function
//! that reads it.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{Table, values::Reader};
use crate::{
    model::{approval::ApprovalRule, task::Priority},
    plan::Placed,
};

/// Declares a struct of terms: each field is a key of the document, read by the function of [`Reader`] behind it.
macro_rules! terms {
    (
        $(#[$doc:meta])* $name:ident {
            $( $(#[$fdoc:meta])* $key:ident : $ty:ty = $read:ident $( ( $($arg:expr),* ) )? ; )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name {
            $( $(#[$fdoc])* pub $key: $ty, )*
        }

        impl $name {
            /// The keys.
            pub const KEYS: &[&str] = &[$(stringify!($key)),*];

            /// Reads them from the table at `path`.
            pub(super) fn read(reader: &mut Reader, table: &Table, path: &str) -> $name {
                $name { $( $key: reader.$read(table, path, stringify!($key) $(, $($arg),*)?), )* }
            }
        }
    };
}

terms! {
    /// What a task says about itself besides its text, its role and its place in the plan. `ops/plans/submit.rs` hands these
    /// to what delegates.
    Terms {
        /// Its priority.
        priority: Option<Priority> = word_at(Priority::ALL, Priority::as_str);
        /// How long one attempt may take.
        timeout: Option<Duration> = duration_at;
        /// How long after it was accepted it must have ended.
        deadline: Option<Duration> = duration_at;
        /// How many failed attempts are followed by another one.
        retries: Option<u32> = count_at;
        /// When a person is asked about it.
        approval: Option<ApprovalRule> = word_at(ApprovalRule::ALL, ApprovalRule::as_str);
        /// What all its attempts together may use, in US dollars.
        max_cost_usd: Option<f64> = usd_at;
        /// The same in tokens.
        max_tokens: Option<u32> = count_at;
        /// Data for the agent.
        context: Option<Value> = json_at;
        /// Labels.
        labels: BTreeMap<String, String> = labels_at;
        /// Paths that it is about.
        artifacts: Vec<String> = texts_at;
        /// Paths that it writes, as patterns.
        writes: Vec<Placed> = patterns_at;
        /// Paths that it reads, as patterns.
        reads: Vec<Placed> = patterns_at;
        /// The folder to work in.
        cwd: Option<String> = text_at;
    }
}
