//! The JSON Schema of sessions.toml accepts what orch accepts, and rejects what orch rejects.

use serde_json::{Value, json};

use super::{read, root};

/// Checks `value` against the part of JSON Schema that our schema uses, and returns where it does not fit.
fn check(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let keywords = schema.as_object().expect("a schema is an object");
    for (keyword, said) in keywords {
        let fits = match keyword.as_str() {
            "type" => is_of_type(value, said.as_str().unwrap()),
            "enum" => said.as_array().unwrap().contains(value),
            // A bound says nothing of a value of another type: that is for "type" to reject.
            "minimum" => value.as_f64().is_none_or(|value| value >= said.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|value| value <= said.as_f64().unwrap()),
            "pattern" => value.as_str().is_none_or(|value| matches(said, value)),
            "anyOf" => said.as_array().into_iter().flatten().any(|one| check(one, value, at).is_ok()),
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(said, item, at)?;
                }
                true
            }
            "propertyNames" => value.as_object().into_iter().flatten().all(|(name, _)| matches(&said["pattern"], name)),
            "properties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    let schema = said.get(name).or_else(|| keywords.get("additionalProperties"));
                    match schema {
                        Some(Value::Bool(false)) => return Err(format!("{at}.{name} is not a key")),
                        Some(schema) => check(schema, value, &format!("{at}.{name}"))?,
                        None => {}
                    }
                }
                true
            }
            "additionalProperties" if said.is_object() && !keywords.contains_key("properties") => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    check(said, value, &format!("{at}.{name}"))?;
                }
                true
            }
            "additionalProperties" | "description" | "default" | "title" | "$schema" => true,
            other => panic!("this check does not know '{other}'"),
        };
        if !fits {
            return Err(format!("{at}: {value} does not fit {keyword} {said}"));
        }
    }
    Ok(())
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("this check does not know the type '{other}'"),
    }
}

fn matches(pattern: &Value, text: &str) -> bool {
    regex::Regex::new(pattern.as_str().unwrap()).unwrap().is_match(text)
}

fn fits(toml: &str) -> Result<(), String> {
    let file: toml::Table = toml.parse().map_err(|e| format!("{e}"))?;
    check(&orch::config::schema::schema(), &serde_json::to_value(file).unwrap(), "")
}

#[test]
fn the_reference_and_the_examples_fit_the_schema() {
    let mut files = vec!["sessions.toml".to_owned()];
    for entry in std::fs::read_dir(root().join("examples")).unwrap() {
        files.push(format!("examples/{}/sessions.toml", entry.unwrap().file_name().to_str().unwrap()));
    }
    assert!(files.len() > 3);
    for file in files {
        fits(&read(&file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    }
    let every: Vec<_> = orch::config::DriverKind::all().collect();
    fits(&orch::config::starter(&every, Some("a-master"))).unwrap();
}

#[test]
fn what_orch_rejects_does_not_fit_the_schema() {
    for wrong in [
        "nam = \"x\"",
        "[supervisor]\nlease = 30",
        "[supervisor]\nlease = \"30\"",
        "[supervisor]\nmax_agents = 0",
        "[supervisor]\nmin_free_memory = \"4GB\"",
        "[agents]\norder = [\"clod\"]",
        "[roles.Sonnet]\nmax = 1",
        "[roles.a]\ndriver = \"clod\"",
        "[roles.a]\nmode = \"headles\"",
        "[roles.a]\nresume = \"yes\"",
        "[roles.a]\nsandbox = \"docker\"",
        "[roles.a]\nnetwork = \"some\"",
        "[roles.a]\nnetwork = [1]",
        "[roles.a.retry]\nfactor = 0.5",
    ] {
        assert!(fits(wrong).is_err(), "{wrong}");
    }
    assert_eq!(orch::config::schema::schema()["additionalProperties"], json!(false));
}
