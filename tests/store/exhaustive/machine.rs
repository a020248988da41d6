//! The real transitions on a real server: a step is taken from any node, and what it has come to is seen.

use std::collections::BTreeMap;

use orch::store::{
    audit::{Content, Image},
    keys::Keys,
    transitions,
};
use redis::{ConnectionLike, Pipeline, Value};

use super::{Scenario, steps::Step};
use crate::fixture::{ROLE, Server};

const RESTORE: &str = include_str!("restore.lua");
const LOOK: &str = include_str!("look.lua");

/// A change of the transitions' text, as somebody might make it by mistake.
pub type Mistake = (&'static str, &'static str);

/// What a step has come to.
pub struct Outcome {
    /// The answer's words, or with what words it was refused.
    pub answer: Result<Vec<String>, String>,
    /// The events that it added, as fields.
    pub events: Vec<BTreeMap<String, String>>,
    /// What stands under the keys that it changed; `None` where nothing is left.
    pub changed: Vec<(String, Option<Content>)>,
    /// Under which name the server keeps it.
    pub kept_as: String,
}

pub struct Machine {
    keys: Keys,
    connection: redis::Connection,
    scripts: BTreeMap<&'static str, String>,
    restore: String,
    look: String,
    _server: Server,
}

impl Outcome {
    /// What is stored after it.
    pub fn image(&mut self, before: &Image) -> Image {
        let mut image = before.clone();
        for (key, content) in std::mem::take(&mut self.changed) {
            match content {
                Some(content) => drop(image.keys.insert(key, content)),
                None => drop(image.keys.remove(&key)),
            }
        }
        image
    }
}

impl Machine {
    pub fn new(scenario: &Scenario, mistake: Option<Mistake>) -> Machine {
        let server = Server::start();
        let mut connection = server.raw();
        // Nothing of this is needed after a crash.
        let () = redis::cmd("CONFIG").arg(&["SET", "appendonly", "no"]).query(&mut connection).unwrap();
        let mut load =
            |text: &str| -> String { redis::cmd("SCRIPT").arg("LOAD").arg(text).query(&mut connection).unwrap() };
        let mut mistaken = 0;
        let scripts = transitions().map(|(name, mut text)| {
            if let Some((right, wrong)) = mistake {
                mistaken += text.matches(right).count();
                text = text.replace(right, wrong);
            }
            (name, load(&text))
        });
        let scripts = scripts.collect();
        let (restore, look) = (load(RESTORE), load(LOOK));
        assert_eq!(mistaken > 0, mistake.is_some(), "the text that {mistake:?} changes is there");
        let mut machine = Machine { keys: Keys::new("n"), connection, scripts, restore, look, _server: server };
        machine.begin(scenario.places);
        machine
    }

    /// The empty namespace is node 0.
    fn begin(&mut self, places: Option<u32>) {
        let mut pipe = redis::pipe();
        if let Some(places) = places {
            pipe.cmd("HSET").arg(self.keys.plain("limits")).arg(format!("max:{ROLE}")).arg(places);
        }
        pipe.cmd("EVALSHA").arg(&self.look).arg(1).arg(self.keys.prefix()).arg("none").arg("0");
        let () = pipe.ignore().query(&mut self.connection).unwrap();
    }

    /// Takes each step from that node.
    pub fn take(&mut self, node: &str, steps: &[Step]) -> Vec<Outcome> {
        let mut pipe = redis::pipe();
        let mut answers = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            self.call(&mut pipe, &self.restore, &[node.to_owned()]);
            for edit in &step.edits {
                let [verb, key, rest @ ..] = edit.as_slice() else { panic!("an edit names a key") };
                pipe.cmd(verb).arg(self.keys.plain(key)).arg(rest);
            }
            answers.push(pipe.len());
            self.call(&mut pipe, &self.scripts[step.script], &step.args);
            self.call(&mut pipe, &self.look, &[node.to_owned(), format!("new:{i}")]);
        }
        let packed = pipe.get_packed_pipeline();
        let mut values = self.connection.req_packed_commands(&packed, 0, pipe.len()).unwrap();
        let taken = answers.into_iter().enumerate().map(|(i, at)| {
            let mut take = |n: usize| std::mem::replace(&mut values[n], Value::Nil);
            outcome(take(at), take(at + 1), format!("new:{i}"))
        });
        taken.collect()
    }

    fn call(&self, pipe: &mut Pipeline, script: &str, args: &[String]) {
        pipe.cmd("EVALSHA").arg(script).arg(1).arg(self.keys.prefix()).arg(args);
    }

    /// Keeps what a step came to as a node.
    pub fn keep(&mut self, outcome: &str, node: &str) {
        let packed: Vec<u8> =
            redis::cmd("HGET").arg("search").arg(format!("node:{outcome}")).query(&mut self.connection).unwrap();
        let () = redis::cmd("HSET")
            .arg("search")
            .arg(format!("node:{node}"))
            .arg(packed)
            .query(&mut self.connection)
            .unwrap();
    }
}

fn outcome(answer: Value, seen: Value, kept_as: String) -> Outcome {
    let answer = match answer {
        Value::ServerError(e) => Err(format!("{} {}", e.code(), e.details().unwrap_or_default())),
        Value::Array(words) => Ok(words.into_iter().map(word).collect()),
        one => Ok(vec![word(one)]),
    };
    let mut seen: Vec<Value> = redis::from_redis_value(seen).unwrap();
    let entries = seen.split_off(1);
    let events: Vec<Vec<String>> = redis::from_redis_value(seen.remove(0)).unwrap();
    let events = events.into_iter().map(|e| pairs(&e).collect()).collect();
    Outcome { answer, events, changed: entries.into_iter().map(changed).collect(), kept_as }
}

fn word(value: Value) -> String {
    redis::from_redis_value(value).unwrap_or_default()
}

fn pairs(words: &[String]) -> impl Iterator<Item = (String, String)> {
    words.as_chunks::<2>().0.iter().map(|[k, v]| (k.clone(), v.clone()))
}

fn changed(entry: Value) -> (String, Option<Content>) {
    let words: Vec<String> = redis::from_redis_value(entry).unwrap();
    let [key, kind, rest @ ..] = words.as_slice() else { panic!("a key and its type: {words:?}") };
    let content = match kind.as_str() {
        "gone" => None,
        "hash" => Some(Content::Fields(pairs(rest).collect())),
        "list" => Some(Content::List(rest.to_vec())),
        "set" => Some(Content::Set(rest.iter().cloned().collect())),
        "zset" => Some(Content::Scores(pairs(rest).map(|(m, score)| (m, score.parse().unwrap())).collect())),
        _ => Some(Content::Text(rest.concat())),
    };
    (key.clone(), content)
}
