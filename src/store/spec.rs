//! What a task is created from, as the scripts read it (`accept` in `lua/prelude/moves.lua`): when it is delegated, and
//! again where Redis has lost it. Both send the whole [`Spec`], so that nothing of it is forgotten in between.
//!
//! A field of [`Spec`] is stored under its own name: a text as it is, everything else as its JSON. What is empty is not
//! stored. Neither direction lists the fields, nor do the scripts.

use std::{collections::HashMap, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, MapAccess, Visitor, value::MapAccessDeserializer},
    forward_to_deserialize_any,
};
use serde_json::{Map, Value};

use super::{Result, StoreError};
use crate::model::{
    escalation::Escalation,
    id::{Capability, TaskId},
    task::Spec,
    text::one_line,
};

/// What is to be accepted as a task.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Its id, fresh for each request: the same request sent again is the same task.
    pub id: TaskId,
    /// What is to be done.
    pub text: String,
    /// Structured data for the agent, as JSON.
    pub context: Option<Value>,
    /// The terms.
    pub spec: Spec,
    /// The attempt from within which it is delegated.
    pub parent: Option<Capability>,
    /// A hash of its content, by which a retried parent finds its subtasks again.
    pub fingerprint: Option<String>,
    /// What a person has to approve before it runs.
    pub escalation: Option<Escalation>,
    /// Whether a subtask gets the priority of its parent instead.
    pub inherits_priority: bool,
    /// The bounds of the namespace.
    pub max_depth: u32,
    /// Open subtasks that one task may have.
    pub max_children: u32,
    /// Tasks that may wait to run.
    pub max_queued: u32,
    /// How much later a task of a higher priority may be accepted and start before this one.
    pub max_wait: Duration,
    /// The caller in words, for the event.
    pub who: String,
}

/// The names of the fields of [`Spec`], as a list of texts in Lua.
pub(super) fn fields_in_lua() -> String {
    let fields = serde_json::to_value(Spec::default()).unwrap_or_default();
    let names = fields.as_object().into_iter().flat_map(Map::keys).map(|name| format!("'{name}'"));
    format!("{{{}}}", names.collect::<Vec<_>>().join(", "))
}

/// The fields of a spec as they are stored. Only `after` stays a list, because scripts read it.
///
/// # Errors
/// None in practice: every field has a JSON form.
pub(super) fn stored(spec: &Spec) -> Result<Map<String, Value>> {
    let Value::Object(fields) = serde_json::to_value(spec).map_err(|e| StoreError::Other(e.to_string()))? else {
        return Err(StoreError::Other("a spec is not an object".to_owned()));
    };
    let stored = |(name, value): (String, Value)| {
        let value = match value {
            Value::Null | Value::Bool(false) => return None,
            Value::Array(list) if name == "after" => Value::Array(list),
            Value::Array(list) if list.is_empty() => return None,
            Value::Object(fields) if fields.is_empty() => return None,
            Value::String(text) => Value::String(text),
            other => Value::String(other.to_string()),
        };
        Some((name, value))
    };
    Ok(fields.into_iter().filter_map(stored).collect())
}

/// The spec in a stored record; what is wrong with it where it does not read.
pub(super) fn read(fields: &HashMap<String, String>) -> Result<Spec, String> {
    let mut fields = fields.iter().filter(|(_, text)| !text.is_empty());
    let record = Record { fields: &mut fields, value: None };
    Spec::deserialize(MapAccessDeserializer::new(record)).map_err(|Problem(problem)| problem)
}

/// The fields of a record, one after the other.
struct Record<'a, I> {
    fields: &'a mut I,
    value: Option<(&'a str, &'a str)>,
}

impl<'a, I: Iterator<Item = (&'a String, &'a String)>> MapAccess<'a> for Record<'a, I> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        let Some((name, text)) = self.fields.next() else { return Ok(None) };
        self.value = Some((name, text));
        seed.deserialize(Stored(name)).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let (name, text) = self.value.take().unwrap_or_default();
        let unreadable = |_| Problem(format!("its {name} is '{}'", one_line(text, 60)));
        seed.deserialize(Stored(text)).map_err(unreadable)
    }
}

/// A stored text: the type that is asked for says whether it is a text or JSON.
struct Stored<'a>(&'a str);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Problem(String);

impl serde::de::Error for Problem {
    fn custom<T: std::fmt::Display>(problem: T) -> Self {
        Problem(problem.to_string())
    }
    fn missing_field(field: &'static str) -> Self {
        Problem(format!("it has no {field}"))
    }
}

impl<'de> Deserializer<'de> for Stored<'de> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        serde_json::Deserializer::from_str(self.0).deserialize_any(visitor).map_err(serde::de::Error::custom)
    }
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_borrowed_str(self.0)
    }
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }
    /// What belongs to the record, and not to the spec, may have any form.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::approval::ApprovalRule;
    use crate::model::routing::{RoutedBy, Routing};
    use crate::model::{
        edge::{Edge, OnFailure, When},
        id::PlanId,
        question::Approval,
        retry::RetryPolicy,
        task::Priority,
    };

    fn full() -> Spec {
        Spec {
            detached: true,
            drafts_plan: true,
            role: "shell".into(),
            priority: Priority::High,
            after: vec![TaskId::random(), TaskId::random()],
            edges: [(TaskId::random(), Edge { when: When::Ended, on_failure: OnFailure::Run })].into(),
            plan: Some(PlanId::random()),
            plan_key: Some("null".into()),
            max_parallel: Some(3),
            labels: [("1".into(), "[2]".into())].into(),
            artifacts: vec!["a b".into()],
            writes: vec!["src/**/a b".parse().unwrap()],
            reads: vec![".".parse().unwrap()],
            cwd: Some("/tmp".into()),
            // Texts stay texts, whatever they look like.
            key: Some("17".into()),
            notify: Some("null".into()),
            timeout_ms: u64::MAX,
            deadline_ms: Some(7_200_000),
            retries: u32::MAX,
            lost_max: 0,
            delays_ms: RetryPolicy::default().delays(),
            approval: Some(ApprovalRule::After),
            approval_timeout_ms: Some(1),
            approval_default: Some(Approval::Approved),
            max_cost_usd: Some(1.5),
            max_tokens: Some(7),
            routing: Some(Routing {
                role: "shell".into(),
                by: RoutedBy::Only,
                scores: Vec::new(),
                router_failed: None,
            }),
            tiers: vec!["opus".into()],
            allowed_tools: vec!["Bash(a b)".into()],
        }
    }

    /// As the scripts store it.
    fn record(spec: &Spec) -> HashMap<String, String> {
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        stored(spec).unwrap().into_iter().map(|(name, value)| (name, text(value))).collect()
    }

    #[test]
    fn a_spec_reads_back_as_it_was_stored() {
        for spec in [full(), Spec { role: "r".into(), ..Spec::default() }] {
            let mut record = record(&spec);
            record.insert("text".into(), "not a field of a spec, and no JSON".into());
            assert_eq!(read(&record), Ok(spec));
        }
    }

    #[test]
    fn every_field_has_a_name_for_the_scripts() {
        let names = fields_in_lua();
        for name in record(&full()).keys() {
            assert!(names.contains(&format!("'{name}'")), "{name} is not in {names}");
        }
    }

    #[test]
    fn what_does_not_read_is_named() {
        let broken = |change: &dyn Fn(&mut HashMap<String, String>)| {
            let mut record = record(&full());
            change(&mut record);
            read(&record).unwrap_err()
        };
        assert_eq!(broken(&|r| drop(r.remove("role"))), "it has no role");
        assert_eq!(broken(&|r| drop(r.insert("timeout_ms".into(), "soon".into()))), "its timeout_ms is 'soon'");
        assert_eq!(broken(&|r| drop(r.insert("labels".into(), "{".into()))), "its labels is '{'");
        assert_eq!(broken(&|r| drop(r.insert("priority".into(), "urgent".into()))), "its priority is 'urgent'");
        assert_eq!(broken(&|r| drop(r.insert("after".into(), "[\"x\"]".into()))), "its after is '[\"x\"]'");
    }
}
