//! What a model is asked, in one form whichever API it came by, and the rules by which it answers.
//!
//! A rule looks at the request alone, and not at what was answered before: so a program that asks again, or that
//! resumes a conversation, gets what its conversation calls for. Only `times` counts.

use serde_json::{Value, json};

use super::{Api, chat, generate, messages, responses};

/// What a model is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub api: Api,
    pub model: String,
    /// The last thing that a person said.
    pub text: String,
    /// All that persons said, the oldest first: more than one where a conversation goes on.
    pub texts: Vec<String>,
    /// How many rounds of tool calls were answered since the last text: 0 for a text that was just said.
    pub step: usize,
    /// What the tools of the last round gave.
    pub results: Vec<String>,
    /// The tools that are offered, by name.
    pub tools: Vec<String>,
}

/// One thing in a conversation, as far as rules care.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Person(String),
    Model,
    Tool(String),
}

impl Asked {
    pub fn of(api: Api, path: &str, body: &Value) -> Asked {
        let said = match api {
            Api::Messages => messages::said(body),
            Api::Responses => responses::said(body),
            Api::Chat => chat::said(body),
            Api::Generate => generate::said(body),
        };
        let is_person = |said: &Said| matches!(said, Said::Person(_));
        let texts = said.iter().filter_map(|one| if let Said::Person(text) = one { Some(text.clone()) } else { None });
        let texts: Vec<String> = texts.collect();
        let since = said.iter().rposition(is_person).map_or(0, |at| at + 1);
        let rounds: Vec<&[Said]> = said[since..].split(|one| *one == Said::Model).filter(|r| !r.is_empty()).collect();
        let result = |one: &Said| if let Said::Tool(result) = one { Some(result.clone()) } else { None };
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

    /// The first JSON object in the results of the last round that has this field; its value.
    pub fn found(&self, field: &str) -> Option<Value> {
        self.results.iter().find_map(|text| {
            let (from, to) = (text.find('{')?, text.rfind('}')?);
            let mut value: Value = serde_json::from_str(text.get(from..=to)?).ok()?;
            value.get_mut(field).map(Value::take)
        })
    }
}

/// What a model answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A text, which ends its turn.
    Text(String),
    /// Calls of tools, all at once.
    Tools(Vec<ToolCall>),
    /// An error in place of an answer.
    Error { status: u16, kind: &'static str, message: String, headers: Vec<(String, String)> },
    /// Nothing at all.
    Hang,
    /// This much of a text, and then the connection ends.
    Cut(String),
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// Where the API has tools within tools: the outer name.
    pub namespace: Option<String>,
    pub name: String,
    pub input: Value,
}

/// A call of one tool.
pub fn tool(name: &str, input: Value) -> Answer {
    Answer::Tools(vec![ToolCall { namespace: None, name: name.to_owned(), input }])
}

impl Answer {
    pub fn text(text: &str) -> Answer {
        Answer::Text(text.to_owned())
    }

    /// The service has too much to do.
    pub fn overloaded() -> Answer {
        Answer::error(529, "overloaded_error", "Overloaded")
    }

    /// A limit, until so many seconds from now.
    pub fn rate_limited(retry_after_s: u64) -> Answer {
        Answer::error(429, "rate_limit_error", "This request would exceed your account's rate limit.")
            .with("retry-after", &retry_after_s.to_string())
    }

    /// The same error with the word that to ask again at once is of no use.
    pub fn no_retry(self) -> Answer {
        self.with("x-should-retry", "false")
    }

    /// The same error with a header.
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

/// When to answer what.
pub struct Rule {
    text: String,
    model: Option<String>,
    step: Option<usize>,
    times: Option<usize>,
    make: Make,
}

/// A rule for what has this in its last text; "" is any.
pub fn when(text: &str) -> Rule {
    let make = Box::new(|_: &Asked| Answer::error(400, "invalid_request_error", "the rule has no answer"));
    Rule { text: text.to_owned(), model: None, step: None, times: None, make }
}

impl Rule {
    /// Only where the model's name has this in it.
    pub fn model(mut self, name: &str) -> Rule {
        self.model = Some(name.to_owned());
        self
    }
    /// Only after so many rounds of tool calls.
    pub fn step(mut self, step: usize) -> Rule {
        self.step = Some(step);
        self
    }
    /// Only so many times; then the rules after it are looked at.
    pub fn times(mut self, times: usize) -> Rule {
        self.times = Some(times);
        self
    }
    /// What it answers.
    pub fn answer(self, answer: Answer) -> Rule {
        self.answer_by(move |_| answer.clone())
    }
    /// What it answers, by what is asked.
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

/// The first rule that fits. That there is none is an error that no program tries again.
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

/// The tokens of every answer: the same, so that a test can multiply.
pub const INPUT_TOKENS: u64 = 11;
pub const OUTPUT_TOKENS: u64 = 7;

/// The text of a content: a string, or a list of parts with texts.
pub fn flat(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|p| p["text"].as_str()).collect::<Vec<_>>().join("\n"),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// What programs put among a person's words that no person said, by how it begins.
pub fn is_a_persons(text: &str) -> bool {
    let begins = ["<system-reminder>", "<environment_context>", "<user_instructions>", "# AGENTS.md", "<permissions"];
    !text.trim().is_empty() && !begins.iter().any(|begin| text.trim_start().starts_with(begin))
}

/// A text in two pieces, so that whoever reads a stream must put it together.
pub fn halves(text: &str) -> [&str; 2] {
    let mut middle = text.len() / 2;
    while !text.is_char_boundary(middle) {
        middle += 1;
    }
    let (a, b) = text.split_at(middle);
    [a, b]
}

/// An event of a stream with a name.
pub fn event(name: &str, mut data: Value) -> String {
    data["type"] = json!(name);
    format!("event: {name}\ndata: {data}\n\n")
}
