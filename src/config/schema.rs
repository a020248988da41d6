//! Every key of sessions.toml as data: for the JSON Schema that editors use, and for the documentation.
//!
//! A key, its type and its bounds come from what the reader asks for ([`written`]); its description and
//! its default come from the commented reference ([`REFERENCE`]). Neither is written down a second time.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    REFERENCE,
    diagnostics::Diagnostics,
    reader::{Known, Shape},
    written,
};
use crate::model::{duration, size};

/// One table of sessions.toml, such as `supervisor` or `roles.NAME`; the top level has no name.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its name, as in its header.
    pub name: String,
    /// Its keys, in the order in which they are read. Tables below it are not among them.
    pub keys: Vec<Key>,
}

/// One key of sessions.toml.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// What its value may be, in words: "duration, at least 50ms".
    pub value: String,
    /// Its default as written in the file; `None` where the description says what happens without it.
    pub default: Option<String>,
    /// What it means, in one or two sentences.
    pub text: String,
}

/// What the reference says about one key.
#[derive(Debug, Default)]
struct Described {
    text: String,
    default: Option<String>,
}

/// Returns every table of sessions.toml with its keys, in the order of the reference.
pub fn tables() -> Vec<Table> {
    let described = described(REFERENCE);
    let table = |(kind, keys): (&&str, &Vec<(&str, Shape)>)| {
        let keys =
            keys.iter().filter(|(_, shape)| !matches!(shape, Shape::Table(_) | Shape::Tables)).map(|(key, shape)| {
                let said = described.get(&(kind.to_string(), key.to_string()));
                Key {
                    name: key.to_string(),
                    value: in_words(shape),
                    default: said.and_then(|said| said.default.clone()),
                    text: said.map(|said| said.text.clone()).unwrap_or_default(),
                }
            });
        Table { name: kind.to_string(), keys: keys.collect() }
    };
    let mut tables: Vec<Table> = known().iter().map(table).filter(|table| !table.keys.is_empty()).collect();
    let order: Vec<String> = REFERENCE.lines().filter_map(header).map(kind_of).collect();
    tables.sort_by_key(|table| order.iter().position(|kind| *kind == table.name).map_or(0, |at| at + 1));
    tables
}

/// Returns the JSON Schema (draft 2020-12) of sessions.toml.
pub fn schema() -> Value {
    let (known, described) = (known(), described(REFERENCE));
    let mut schema = Map::new();
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".into(), json!("sessions.toml: which agents orch runs in a project"));
    schema.append(&mut table_schema("", &known, &described));
    Value::Object(schema)
}

fn known() -> Known {
    written::keys(Diagnostics::new("sessions.toml", ""))
}

fn table_schema(kind: &str, known: &Known, described: &BTreeMap<(String, String), Described>) -> Map<String, Value> {
    let property = |(key, shape): &(&str, Shape)| {
        let mut schema = match shape {
            Shape::Table("roles") => named("roles.NAME", known, described),
            Shape::Table("schedules") => named("schedules.NAME", known, described),
            Shape::Table(kind) => table_schema(kind, known, described),
            shape => value_schema(shape),
        };
        if let Some(said) = described.get(&(kind.to_owned(), key.to_string())) {
            schema.insert("description".into(), json!(said.text));
            if let Some(default) = said.default.as_deref().and_then(as_json) {
                schema.insert("default".into(), default);
            }
        }
        (key.to_string(), Value::Object(schema))
    };
    let properties: Map<_, _> = known.get(kind).into_iter().flatten().map(property).collect();
    object(json!({"type": "object", "properties": properties, "additionalProperties": false}))
}

/// Tables of one kind, each with a name of its own.
fn named(kind: &str, known: &Known, described: &BTreeMap<(String, String), Described>) -> Map<String, Value> {
    let one = table_schema(kind, known, described);
    object(
        json!({"type": "object", "propertyNames": {"pattern": "^[a-z][a-z0-9-]{0,39}$"}, "additionalProperties": one}),
    )
}

fn value_schema(shape: &Shape) -> Map<String, Value> {
    let strings = |of: &[&str]| if of.is_empty() { json!({"type": "string"}) } else { json!({"enum": of}) };
    object(match shape {
        Shape::Text => json!({"type": "string"}),
        Shape::OneOf(words) => strings(words),
        Shape::Duration { .. } => json!({"type": "string", "pattern": r"^\s*([0-9.]+(ms|s|m|h|d)\s*)+$"}),
        Shape::Size { .. } => json!({"type": "string", "pattern": r"^\s*(0|[0-9.]+[KMGT])\s*$"}),
        Shape::Count { least } => json!({"type": "integer", "minimum": least, "maximum": u32::MAX}),
        Shape::Number { least } => json!({"type": "number", "minimum": least}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::List { of } => json!({"type": "array", "items": strings(of)}),
        Shape::OneOfOrList(words) => {
            json!({"anyOf": [strings(words), {"type": "array", "items": strings(&[])}]})
        }
        Shape::Map => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Shape::Table(_) => json!({"type": "object"}),
        Shape::Tables => json!({"type": "object", "additionalProperties": {"type": "object"}}),
    })
}

fn in_words(shape: &Shape) -> String {
    let any_of = |words: &[&str]| words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ");
    match shape {
        Shape::Text => "string".to_owned(),
        Shape::OneOf(words) => any_of(words),
        Shape::Duration { least } if least.is_zero() => "duration".to_owned(),
        Shape::Duration { least } => format!("duration, at least {}", duration::human(*least)),
        Shape::Size { least: 0 | 1 } => "size".to_owned(),
        Shape::Size { least } => format!("size, at least {}", size::human(*least)),
        Shape::Count { least } => format!("whole number, at least {least}"),
        Shape::Number { least } => format!("number, at least {least}"),
        Shape::Flag => "`true` or `false`".to_owned(),
        Shape::List { of } if of.is_empty() => "list of strings".to_owned(),
        Shape::List { of } => format!("list of {}", any_of(of)),
        Shape::OneOfOrList(words) => format!("{}, or list of strings", any_of(words)),
        Shape::Map => "table of strings".to_owned(),
        Shape::Table(kind) => format!("table [{kind}]"),
        Shape::Tables => "tables".to_owned(),
    }
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(object) = value { object } else { Map::new() }
}

/// A value as written in TOML, as JSON.
fn as_json(value: &str) -> Option<Value> {
    let file: toml::Table = format!("v = {value}").parse().ok()?;
    serde_json::to_value(file.get("v")?).ok()
}

/// What the comments of `reference` say about each key, by its kind of table and its name. A key's description is the
/// comment at the end of its line, with the lines that continue it, else the comment block above it.
fn described(reference: &str) -> BTreeMap<(String, String), Described> {
    let mut all: BTreeMap<(String, String), Described> = BTreeMap::new();
    let (mut kind, mut above, mut last) = (String::new(), Vec::new(), None);
    for line in reference.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if let Some(header) = header(line) {
            kind = kind_of(header);
            (above, last) = (Vec::new(), None);
        } else if let Some((key, value, text)) = key_line(bare) {
            let text = if text.is_empty() { above.join(" ") } else { text.to_owned() };
            above = Vec::new();
            let default = (!line.starts_with('#') && !text.contains("Default")).then(|| value.to_owned());
            let name = (kind.clone(), key.to_owned());
            // A role further down shows a value of its own; the first that describes a key is the reference.
            if !text.is_empty() || !all.contains_key(&name) {
                all.entry(name.clone()).or_insert(Described { text, default });
            }
            last = Some(name);
        } else if let (Some(more), Some(name)) = (bare.trim_start().strip_prefix("# "), &last)
            && line.starts_with("# ")
        {
            let said = all.entry(name.clone()).or_default();
            said.text = format!("{} {}", said.text, more.trim());
        } else {
            last = None;
            match line.strip_prefix('#') {
                Some(text) => above.push(text.trim().to_owned()),
                None => above.clear(),
            }
        }
    }
    all
}

/// The name in a table's header, also where that is commented out.
fn header(line: &str) -> Option<&str> {
    line.strip_prefix("# ").unwrap_or(line).strip_prefix('[')?.strip_suffix(']')
}

/// The kind of a table, by its header: every role is `roles.NAME`, and every schedule `schedules.NAME`.
fn kind_of(header: &str) -> String {
    let mut parts: Vec<&str> = header.split('.').collect();
    if let ["roles" | "schedules", name, ..] = parts.as_mut_slice() {
        *name = "NAME";
    }
    parts.join(".")
}

/// The key, the value and the comment of a line such as `lease = "30s"   # how long`.
fn key_line(line: &str) -> Option<(&str, &str, &str)> {
    let (key, rest) = line.split_once('=')?;
    let key = key.trim_end();
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        return None;
    }
    let (value, text) = rest.split_once("  # ").unwrap_or((rest, ""));
    Some((key, value.trim(), text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_description_and_nothing_else_is_described() {
        let tables = tables();
        for table in &tables {
            // A role's own retry policy has the keys of the general one, described there.
            for key in table.keys.iter().filter(|_| table.name != "roles.NAME.retry") {
                assert!(key.text.len() > 5, "[{}] {} has no description in sessions.toml", table.name, key.name);
            }
        }
        for (kind, key) in described(REFERENCE).into_keys() {
            let is_known = tables.iter().any(|t| t.name == kind && t.keys.iter().any(|k| k.name == key));
            assert!(is_known, "sessions.toml describes [{kind}] {key}, which nothing reads");
        }
    }

    #[test]
    fn a_key_is_described_with_its_bounds_and_its_default() {
        let tables = tables();
        let key = |table: &str, name: &str| {
            let table = tables.iter().find(|t| t.name == table).unwrap();
            table.keys.iter().find(|k| k.name == name).cloned().unwrap()
        };
        let lease = key("supervisor", "lease");
        assert_eq!((lease.value.as_str(), lease.default.as_deref()), ("duration, at least 100ms", Some("\"30s\"")));
        assert_eq!(key("roles.NAME", "model").default, None, "what it is without it, its description says");
        assert!(key("roles.NAME", "permission_mode").text.ends_with("copilot \"allow-all\""), "with what continues it");
    }

    #[test]
    fn the_schema_knows_types_bounds_and_words() {
        let schema = schema();
        let role = &schema["properties"]["roles"]["additionalProperties"]["properties"];
        assert_eq!(role["max"]["minimum"], 1);
        assert_eq!(role["max"]["default"], 5);
        assert_eq!(role["mode"]["enum"], json!(["headless", "interactive"]));
        assert_eq!(role["retry"]["properties"]["factor"]["type"], "number");
        assert_eq!(schema["properties"]["supervisor"]["additionalProperties"], false);
    }
}
