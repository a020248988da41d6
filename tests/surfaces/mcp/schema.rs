//! The part of JSON Schema that the tools' schemas use.

use serde_json::{Map, Value, json};

/// Whether a value is as a schema says; what is wrong, else.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    below(schema, schema, value, "")
}

fn below(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let definition = &root["$defs"][name.trim_start_matches("#/$defs/")];
        return below(root, definition, value, at);
    }
    if let Some(kind) = schema["type"].as_str()
        && !is(kind, value)
    {
        return Err(format!("{at} is no {kind}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            return Err(format!("{at} lacks {name}"));
        }
    }
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    for (name, value) in value.as_object().unwrap_or(&none) {
        let schema = properties.get(name).or(schema.get("additionalProperties").filter(|more| more.is_object()));
        // A schema that says nothing of properties takes any.
        match schema {
            _ if properties.is_empty() && schema.is_none() => {}
            Some(schema) => below(root, schema, value, &format!("{at}/{name}"))?,
            None => return Err(format!("{at} has a {name}, which the schema does not know")),
        }
    }
    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
        below(root, &schema["items"], item, &format!("{at}/{n}"))?;
    }
    Ok(())
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => panic!("a schema of the type {kind}"),
    }
}

#[test]
fn the_schema_check_finds_mistakes() {
    let schema = json!({
        "type": "object", "required": ["a"], "properties": {"a": {"items": {"$ref": "#/$defs/N"}, "type": "array"}},
        "$defs": {"N": {"type": "integer"}},
    });
    assert_eq!(check(&schema, &json!({"a": [1]})), Ok(()));
    for wrong in [json!([]), json!({}), json!({"a": 1}), json!({"a": ["x"]}), json!({"a": [], "b": 1})] {
        assert!(check(&schema, &wrong).is_err(), "{wrong}");
    }
}
