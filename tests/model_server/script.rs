//! Requests to a model in a form that is independent of the API, and the rules that choose the answers.
//!
//! A rule depends only on the request, not on earlier answers: a program that repeats a request or resumes a
//! conversation gets the answer that fits its conversation. Only `times` counts requests.

use serde_json::{Value, json};

use super::{Api, chat, generate, messages, responses};

/// A request to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub api: Api,
    pub model: String,
    /// The last text of a person.
    pub text: String,
    /// All texts of a person, oldest first; more than one in a resumed conversation.
    pub texts: Vec<String>,
    /// The number of rounds of tool calls since the last text; 0 for a new text.
    pub step: usize,
    /// The results of the tools of the last round.
    pub results: Vec<String>,
    /// The names of the offered tools.
    pub tools: Vec<String>,
}

/// One entry of a conversation, reduced to what rules need.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    Person(String),
    Model,
    Tool(String),
}

impl Asked {
    pub fn of(api: Api, path: &str, body: &Value) -> Asked {
        let entries = match api {
            Api::Messages => messages::entries(body),
            Api::Responses => responses::entries(body),
            Api::Chat => chat::entries(body),
            Api::Generate => generate::entries(body),
        };
        let is_person = |entry: &Entry| matches!(entry, Entry::Person(_));
        let texts =
            entries.iter().filter_map(|one| if let Entry::Person(text) = one { Some(text.clone()) } else { None });
        let texts: Vec<String> = texts.collect();
        let since = entries.iter().rposition(is_person).map_or(0, |at| at + 1);
        let rounds: Vec<&[Entry]> =
            entries[since..].split(|one| *one == Entry::Model).filter(|r| !r.is_empty()).collect();
        let result = |one: &Entry| if let Entry::Tool(result) = one { Some(result.clone()) } else { None };
        let (model, tools) = match api {
            Api::Generate => (generate::model(path), generate::tools(&body["tools"])),
            _ => (body["model"].as_str().unwrap_or_default(), body["tools"].as_array().into_iter().flatten().collect()),
        };
        let name =
            |tool: &Value| tool["name"].as_str().or_else(|| tool["function"]["name"].as_str()).map(str::to_owned);
        Asked {
            api,
            model: model.to_owned(),
            text: texts.last().cloned().unwrap_or_default(),
            texts,
            step: rounds.len(),
            results: rounds.last().into_iter().copied().flatten().filter_map(result).collect(),
            tools: tools.into_iter().filter_map(name).collect(),
        }
    }

    /// Returns the value of this field in the first JSON object of the last round's results that has it.
    pub fn found(&self, field: &str) -> Option<Value> {
        self.results.iter().find_map(|text| {
            let (from, to) = (text.find('{')?, text.rfind('}')?);
            let mut value: Value = serde_json::from_str(text.get(from..=to)?).ok()?;
            value.get_mut(field).map(Value::take)
        })
    }
}

/// An answer of a model.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A text, which ends the turn.
    Text(String),
    /// Parallel tool calls.
    Tools(Vec<ToolCall>),
    /// An error instead of an answer.
    Error { status: u16, kind: &'static str, message: String, headers: Vec<(String, String)> },
    /// No answer: the connection stays open.
    Hang,
    /// The beginning of a text, after which the connection is closed.
    Cut(String),
}

/// A tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The namespace of the tool, for an API that has one.
    pub namespace: Option<String>,
    pub name: String,
    pub input: Value,
}

/// Returns an answer with one tool call.
pub fn tool(name: &str, input: Value) -> Answer {
    Answer::Tools(vec![ToolCall { namespace: None, name: name.to_owned(), input }])
}

impl Answer {
    pub fn text(text: &str) -> Answer {
        Answer::Text(text.to_owned())
    }

    /// Returns the error of an overloaded service.
    pub fn overloaded() -> Answer {
        Answer::error(529, "overloaded_error", "Overloaded")
    }

    /// Returns a rate limit error that ends after this number of seconds.
    pub fn rate_limited(retry_after_s: u64) -> Answer {
        Answer::error(429, "rate_limit_error", "This request would exceed your account's rate limit.")
            .with("retry-after", &retry_after_s.to_string())
    }

    /// Adds the header that asks clients not to retry.
    pub fn no_retry(self) -> Answer {
        self.with("x-should-retry", "false")
    }

    /// Adds a header to the error.
    pub fn with(mut self, name: &str, value: &str) -> Answer {
        if let Answer::Error { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub fn error(status: u16, kind: &'static str, message: &str) -> Answer {
        Answer::Error { status, kind, message: message.to_owned(), headers: Vec::new() }
    }
}

type Make = Box<dyn Fn(&Asked) -> Answer + Send>;

/// A condition on a request, and the answer to it.
pub struct Rule {
    text: String,
    model: Option<String>,
    step: Option<usize>,
    times: Option<usize>,
    make: Make,
}

/// Returns a rule for requests whose last text contains `text`; "" matches every request.
pub fn when(text: &str) -> Rule {
    let make = Box::new(|_: &Asked| Answer::error(400, "invalid_request_error", "the rule has no answer"));
    Rule { text: text.to_owned(), model: None, step: None, times: None, make }
}

impl Rule {
    /// Restricts the rule to models whose name contains `name`.
    pub fn model(mut self, name: &str) -> Rule {
        self.model = Some(name.to_owned());
        self
    }
    /// Restricts the rule to requests after this number of rounds of tool calls.
    pub fn step(mut self, step: usize) -> Rule {
        self.step = Some(step);
        self
    }
    /// Limits how often the rule answers; afterwards the next rules apply.
    pub fn times(mut self, times: usize) -> Rule {
        self.times = Some(times);
        self
    }
    /// Sets the answer.
    pub fn answer(self, answer: Answer) -> Rule {
        self.answer_by(move |_| answer.clone())
    }
    /// Sets a function that makes the answer from the request.
    pub fn answer_by(mut self, make: impl Fn(&Asked) -> Answer + Send + 'static) -> Rule {
        self.make = Box::new(make);
        self
    }

    fn fits(&self, asked: &Asked) -> bool {
        asked.text.contains(&self.text)
            && self.model.as_ref().is_none_or(|model| asked.model.contains(model))
            && self.step.is_none_or(|step| step == asked.step)
            && self.times != Some(0)
    }
}

/// Returns the answer of the first matching rule. If none matches, it is an error that no program retries.
pub fn choose(rules: &mut [Rule], asked: &Asked) -> Answer {
    match rules.iter_mut().find(|rule| rule.fits(asked)) {
        Some(rule) => {
            rule.times = rule.times.map(|times| times - 1);
            (rule.make)(asked)
        }
        None => {
            let what = format!("no rule for step {} of {:?} by {:?}", asked.step, asked.text, asked.model);
            Answer::error(400, "invalid_request_error", &what)
        }
    }
}

/// The tokens of every answer. They are constant, so that a test can multiply.
pub const INPUT_TOKENS: u64 = 11;
pub const OUTPUT_TOKENS: u64 = 7;

/// Returns the text of a content: a string, or a list of parts with texts.
pub fn flat(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|p| p["text"].as_str()).collect::<Vec<_>>().join("\n"),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Returns whether a person wrote a text. The beginnings of the texts that programs add are known.
pub fn is_a_persons(text: &str) -> bool {
    let begins = ["<system-reminder>", "<environment_context>", "<user_instructions>", "# AGENTS.md", "<permissions"];
    !text.trim().is_empty() && !begins.iter().any(|begin| text.trim_start().starts_with(begin))
}

/// Splits a text into two pieces, so that a reader of a stream must join them.
pub fn halves(text: &str) -> [&str; 2] {
    let mut middle = text.len() / 2;
    while !text.is_char_boundary(middle) {
        middle += 1;
    }
    let (a, b) = text.split_at(middle);
    [a, b]
}

/// Returns a named event of a stream.
pub fn event(name: &str, mut data: Value) -> String {
    data["type"] = json!(name);
    format!("event: {name}\ndata: {data}\n\n")
}
