//! Writes foreign JSON so that it can be read back. Readers reject deeply nested values, and a task whose record
//! cannot be read could not end.

use serde::{Serialize, Serializer};
use serde_json::Value;

/// Number of levels that are kept as they are. serde_json reads 127, and what holds the value adds a few of its own.
const MAX_LEVELS: usize = 100;

/// Writes a value as it is, or as its JSON text where it has more than 100 levels.
pub struct Shallow<'a>(pub &'a Value);

impl Serialize for Shallow<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if has_more_levels(self.0, MAX_LEVELS) { s.collect_str(self.0) } else { self.0.serialize(s) }
    }
}

/// [`Shallow`] for `#[serde(serialize_with)]`.
pub(super) fn shallow<S: Serializer>(value: &Option<Value>, s: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(Shallow).serialize(s)
}

fn has_more_levels(value: &Value, levels: usize) -> bool {
    let mut inner: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(values) => Box::new(values.iter()),
        Value::Object(fields) => Box::new(fields.values()),
        _ => return false,
    };
    levels == 0 || inner.any(|v| has_more_levels(v, levels - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(value: &Value) -> Value {
        serde_json::to_value(Shallow(value)).unwrap()
    }

    #[test]
    fn only_what_is_deep_becomes_text() {
        let levels = |n: usize| (1..n).fold(json!({"a": 1}), |inner, _| json!([0, inner]));
        for value in [json!(null), json!("x"), json!([[], {}]), levels(100)] {
            assert_eq!(written(&value), value);
        }
        let deep = levels(101);
        assert_eq!(written(&deep), Value::String(deep.to_string()));
    }
}
