//! A document as a tree of values with their places, whether it was written as TOML or as JSON.

use toml::de::{DeTable, DeValue};

use super::mistake::Mistake;

/// How deeply values may be nested.
const DEEPEST: usize = 64;

/// A value, and the byte of the document at which it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub at: usize,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(f64),
    Flag(bool),
    Null,
    List(Vec<Node>),
    /// In the order in which the keys are written.
    Table(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub at: usize,
    pub name: String,
}

impl Value {
    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Number(_) => "a number",
            Value::Flag(_) => "true or false",
            Value::Null => "null",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// The value as JSON.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Value::Text(text) => text.clone().into(),
            Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => (*number as i64).into(),
            Value::Number(number) => (*number).into(),
            Value::Flag(flag) => (*flag).into(),
            Value::Null => serde_json::Value::Null,
            Value::List(list) => list.iter().map(|one| one.value.json()).collect(),
            Value::Table(table) => {
                let fields = table.iter().map(|(key, one)| (key.name.clone(), one.value.json()));
                serde_json::Value::Object(fields.collect())
            }
        }
    }
}

/// Reads a document: JSON if it begins with a brace, else TOML.
///
/// # Errors
/// The mistakes of its syntax.
pub(super) fn parse(text: &str) -> Result<Node, Vec<Mistake>> {
    match text.trim_start().starts_with('{') {
        true => Json { text, at: 0 }.document().map_err(|mistake| vec![mistake]),
        false => toml(text),
    }
}

fn toml(text: &str) -> Result<Node, Vec<Mistake>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mistake = |error: &toml::de::Error| {
            let at = error.span().map_or(text.len(), |span| span.start);
            Mistake::new(at, "", format!("not valid TOML: {}", error.message()))
        };
        return Err(errors.iter().map(mistake).collect());
    }
    Ok(Node { at: 0, value: of_table(table.get_ref(), 0)? })
}

fn of_table(table: &DeTable<'_>, depth: usize) -> Result<Value, Vec<Mistake>> {
    let mut fields = Vec::with_capacity(table.len());
    for (key, value) in table {
        let at = key.span().start;
        if depth == DEEPEST {
            return Err(vec![Mistake::new(at, key.get_ref().as_ref(), "is nested too deeply")]);
        }
        let name = key.get_ref().to_string();
        fields.push((Key { at, name }, of_toml(value.get_ref(), value.span().start, depth + 1)?));
    }
    fields.sort_by_key(|(key, _)| key.at);
    Ok(Value::Table(fields))
}

fn of_toml(value: &DeValue<'_>, at: usize, depth: usize) -> Result<Node, Vec<Mistake>> {
    let number = |text: &str| text.replace('_', "").parse().unwrap_or(f64::NAN);
    let value = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(whole) => {
            Value::Number(i64::from_str_radix(whole.as_str(), whole.radix()).map_or(f64::NAN, |whole| whole as f64))
        }
        DeValue::Float(float) => Value::Number(number(float.as_str())),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(when) => Value::Text(when.to_string()),
        DeValue::Array(list) if depth < DEEPEST => Value::List(
            list.iter().map(|one| of_toml(one.get_ref(), one.span().start, depth + 1)).collect::<Result<_, _>>()?,
        ),
        DeValue::Array(_) => return Err(vec![Mistake::new(at, "", "a list is nested too deeply")]),
        DeValue::Table(table) => of_table(table, depth)?,
    };
    Ok(Node { at, value })
}

/// A reader of JSON that knows where each value begins. What stands between two places is given to serde_json, so that
/// texts and numbers are read by one parser.
struct Json<'a> {
    text: &'a str,
    at: usize,
}

impl Json<'_> {
    fn document(mut self) -> Result<Node, Mistake> {
        let node = self.value(0)?;
        self.space();
        match self.at == self.text.len() {
            true => Ok(node),
            false => Err(self.wrong("unexpected text after the end of the document")),
        }
    }

    fn wrong(&self, what: &str) -> Mistake {
        Mistake::new(self.at.min(self.text.len()), "", format!("not valid JSON: {what}"))
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at = self.text.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn next(&mut self) -> Option<u8> {
        self.space();
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, sign: u8) -> Result<(), Mistake> {
        match self.next() {
            Some(found) if found == sign => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.wrong(&format!("expected '{}'", sign as char))),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Mistake> {
        let first = self.next();
        let at = self.at;
        if depth > DEEPEST {
            return Err(self.wrong("it is nested too deeply"));
        }
        let value = match first {
            Some(b'{') => self.table(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Value::Text(self.string()?),
            Some(_) => self.word()?,
            None => return Err(self.wrong("expected a value")),
        };
        Ok(Node { at, value })
    }

    fn table(&mut self, depth: usize) -> Result<Value, Mistake> {
        self.at += 1;
        let mut fields: Vec<(Key, Node)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        while self.next() != Some(b'}') {
            if !fields.is_empty() {
                self.expect(b',')?;
            }
            self.next();
            let at = self.at;
            if self.next() != Some(b'"') {
                return Err(self.wrong("expected a key in quotes"));
            }
            let name = self.string()?;
            if !names.insert(name.clone()) {
                return Err(Mistake::new(at, name, "is set twice"));
            }
            self.expect(b':')?;
            fields.push((Key { at, name }, self.value(depth + 1)?));
        }
        self.at += 1;
        Ok(Value::Table(fields))
    }

    fn list(&mut self, depth: usize) -> Result<Value, Mistake> {
        self.at += 1;
        let mut list = Vec::new();
        while self.next() != Some(b']') {
            if !list.is_empty() {
                self.expect(b',')?;
            }
            list.push(self.value(depth + 1)?);
        }
        self.at += 1;
        Ok(Value::List(list))
    }

    /// The text whose opening quote is next.
    fn string(&mut self) -> Result<String, Mistake> {
        let bytes = self.text.as_bytes();
        let mut end = self.at + 1;
        while let Some(sign) = bytes.get(end) {
            match sign {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        let Some(text) = self.text.get(self.at..=end) else { return Err(self.wrong("a text has no end")) };
        let read = serde_json::from_str(text)
            .map_err(|_| self.wrong("a text has a character or an escape that JSON does not allow"));
        self.at = end + 1;
        read
    }

    fn word(&mut self) -> Result<Value, Mistake> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-._".contains(c)).unwrap_or(rest.len());
        let value = match serde_json::from_str(&rest[..end]) {
            Ok(serde_json::Value::Bool(flag)) => Value::Flag(flag),
            Ok(serde_json::Value::Null) => Value::Null,
            Ok(serde_json::Value::Number(number)) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
            _ => return Err(self.wrong("expected a value")),
        };
        self.at += end;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> serde_json::Value {
        parse(text).unwrap().value.json()
    }

    #[test]
    fn both_forms_are_read_with_their_places() {
        let expected = serde_json::json!({"a": {"b": [1, "x\n", true, 1.5]}});
        assert_eq!(json("{\"a\": {\"b\": [1, \"x\\n\", true, 1.5]}}"), expected);
        assert_eq!(json("[a]\nb = [1, \"x\\n\", true, 1.5]"), expected);
        let Value::Table(fields) = parse("{ \"a\": 1, \"é\": [2]}").unwrap().value else { panic!("a table") };
        assert_eq!(fields.iter().map(|(key, node)| (key.at, node.at)).collect::<Vec<_>>(), [(2, 7), (10, 16)]);
    }

    #[test]
    fn what_does_not_read_is_told_with_its_place() {
        for (text, at) in [
            ("{\"a\": }", 6),
            ("{\"a\": 1} x", 9),
            ("{\"a\": 1, \"a\": 2}", 9),
            ("{\"a\": \"x", 6),
            ("{\"a\": \"\\q\"}", 6),
            ("{a: 1}", 1),
            ("a = ", 3),
            ("{\"a\"", 4),
        ] {
            let mistakes = parse(text).unwrap_err();
            assert!(mistakes[0].at.abs_diff(at) <= 1, "{text}: {mistakes:?}");
        }
        assert!(parse(&format!("{{\"a\": {}", "[".repeat(100_000))).is_err());
        assert!(parse(&format!("a = {}{}", "[".repeat(90), "]".repeat(90))).is_err());
    }
}
