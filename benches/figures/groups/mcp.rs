//! `orch mcp`: its start, a call, and the time from the end of a task to the return of a waiting call.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    Result, clock, percentile,
    table::{Goal, Row, Unit},
    world::World,
};

const WARM_UP: usize = 5;
const STARTS: usize = 50;
const CALLS: usize = 100;
const WAITS: usize = 50;

pub fn measure() -> Result<Vec<Row>> {
    let world = world()?;
    let mut starts = Vec::new();
    for _ in 0..WARM_UP + STARTS {
        let began = clock::now();
        let client = Client::start(&world)?;
        starts.push(clock::ms(clock::now() - began));
        client.leave()?;
    }
    let mut client = Client::start(&world)?;
    let mut waits = Vec::new();
    for run in 0..WARM_UP + WAITS {
        waits.push(wait_for_an_end(&world, &mut client, run)?);
    }
    let calls = calls_of_a_person(client)?;
    Ok(vec![
        row("orch mcp, started until its handshake is answered, p50", Goal::AtMost(20.0), &starts, 50.0),
        row("delegate_task, the call, p50", Goal::AtMost(10.0), &calls, 50.0),
        row("delegate_task, the call, p99", Goal::None, &calls, 99.0),
        row("a task's program ended → its wait_tasks returned, p50", Goal::AtMost(20.0), &waits, 50.0),
        row("a task's program ended → its wait_tasks returned, p99", Goal::None, &waits, 99.0),
    ])
}

/// What the agent's socket adds to a call: by a person, `orch mcp` asks Redis itself; within an agent it asks the runner
/// through the agent's socket, and the runner asks Redis.
pub(super) fn added_by_the_socket() -> Result<Vec<Row>> {
    let world = world()?;
    let calls = calls_of_a_person(Client::start(&world)?)?;
    let mut client = Client::inside(&world)?;
    let mut by_socket = Vec::new();
    for _ in 0..WARM_UP + CALLS {
        let began = clock::now();
        client.delegate("true")?;
        by_socket.push(clock::ms(clock::now() - began));
    }
    // Its program ends, and the task with it.
    client.leave()?;
    let of = |values: &[f64], p| percentile(&values[WARM_UP..], p);
    let added = of(&by_socket, 50.0) - of(&calls, 50.0);
    Ok(vec![
        Row::new("delegate_task, added by the agent's socket, p50", Unit::Ms, Goal::AtMost(1.0), added, CALLS)
            .with_reference(of(&calls, 50.0), "by Redis"),
        row("delegate_task within an agent, by its socket, p99", Goal::None, &by_socket, 99.0)
            .with_reference(of(&calls, 99.0), "by Redis"),
    ])
}

fn world() -> Result<World> {
    let world = World::new("[supervisor]\nmax_children = 1000\n[roles.shell]\nmax = 1\nmin = 1\n")?;
    world.run(&["start"])?;
    Ok(world)
}

fn row(name: &str, goal: Goal, values: &[f64], p: f64) -> Row {
    Row::new(name, Unit::Ms, goal, percentile(&values[WARM_UP..], p), values.len() - WARM_UP)
}

/// Measures `delegate_task` while the only agent is busy with the first task, so that nothing else is measured.
fn calls_of_a_person(mut client: Client) -> Result<Vec<f64>> {
    let mut calls = Vec::new();
    let mut ids = vec![client.delegate("sleep 600")?];
    for _ in 0..WARM_UP + CALLS {
        let began = clock::now();
        ids.push(client.delegate("true")?);
        calls.push(clock::ms(clock::now() - began));
    }
    client.call("cancel_task", json!({"ids": ids}))?;
    client.leave()?;
    Ok(calls)
}

/// Returns the time from the last action of a task's program, which records the time, to the answer.
fn wait_for_an_end(world: &World, client: &mut Client, run: usize) -> Result<f64> {
    let (gate, ended) = (world.dir.join(format!("gate{run}")), world.dir.join(format!("ended{run}")));
    let made = std::process::Command::new("mkfifo").arg(&gate).status()?;
    if !made.success() {
        return Err(format!("mkfifo: {made}").into());
    }
    let script = format!("read line < '{}'; date +%s%N > '{}'", gate.display(), ended.display());
    let id = client.delegate(&script)?;
    let wait = client.send("tools/call", json!({"name": "wait_tasks", "arguments": {"ids": [id]}}))?;
    // The pipe opens when the program reads it. Afterwards all processes should be asleep.
    let mut open = fs::OpenOptions::new().write(true).open(&gate)?;
    std::thread::sleep(Duration::from_millis(20));
    writeln!(open, "go")?;
    client.answer(wait)?;
    let returned = clock::time_of_day_ms();
    let ended: f64 = fs::read_to_string(&ended)?.trim().parse()?;
    Ok(returned - ended / 1e6)
}

/// One `orch mcp` and the connection to it.
pub(super) struct Client {
    /// `None`: the program of an agent has started it.
    child: Option<Child>,
    stdin: Box<dyn Write>,
    stdout: Box<dyn BufRead>,
    last_id: u64,
}

impl Client {
    /// Starts `orch mcp`, and completes the handshake.
    pub fn start(world: &World) -> Result<Client> {
        let mut child = world.orch(&["mcp"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (stdin, stdout) = (child.stdin.take().ok_or("no pipe")?, child.stdout.take().ok_or("no pipe")?);
        Client::greeted(Some(child), Box::new(stdin), Box::new(BufReader::new(stdout)))
    }

    /// The same, started by the program of an attempt, whose runner executes its calls.
    fn inside(world: &World) -> Result<Client> {
        let [to, from] = ["to", "from"].map(|end| world.dir.join(end));
        let made = std::process::Command::new("mkfifo").args([&to, &from]).status()?;
        if !made.success() {
            return Err(format!("mkfifo: {made}").into());
        }
        let script = format!("exec orch mcp < '{}' > '{}'", to.display(), from.display());
        world.run(&["delegate", "--role", "shell", &script])?;
        // Each blocks until the program opens the other end.
        let stdin = fs::OpenOptions::new().write(true).open(&to)?;
        let stdout = fs::File::open(&from)?;
        Client::greeted(None, Box::new(stdin), Box::new(BufReader::new(stdout)))
    }

    fn greeted(child: Option<Child>, stdin: Box<dyn Write>, stdout: Box<dyn BufRead>) -> Result<Client> {
        let mut client = Client { child, stdin, stdout, last_id: 0 };
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}});
        let id = client.send("initialize", hello)?;
        client.answer(id)?;
        writeln!(client.stdin, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        Ok(client)
    }

    pub fn send(&mut self, method: &str, params: Value) -> Result<u64> {
        self.last_id += 1;
        let line = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        self.stdin.write_all(format!("{line}\n").as_bytes())?;
        Ok(self.last_id)
    }

    pub fn answer(&mut self, id: u64) -> Result<Value> {
        loop {
            let mut line = String::new();
            if self.stdout.read_line(&mut line)? == 0 {
                return Err("orch mcp has ended".into());
            }
            let mut answer: Value = serde_json::from_str(&line)?;
            if answer["id"] == id {
                return Ok(answer["result"].take());
            }
        }
    }

    /// Waits for the next answer to any call.
    pub fn any_answer(&mut self) -> Result<()> {
        loop {
            let mut line = String::new();
            if self.stdout.read_line(&mut line)? == 0 {
                return Err("orch mcp has ended".into());
            }
            // A notification has no id.
            if line.contains("\"id\":") {
                return Ok(());
            }
        }
    }

    fn call(&mut self, tool: &str, arguments: Value) -> Result<Value> {
        let id = self.send("tools/call", json!({"name": tool, "arguments": arguments}))?;
        let mut result = self.answer(id)?;
        match result["isError"] == false {
            true => Ok(result["structuredContent"].take()),
            false => Err(format!("{tool}: {result}").into()),
        }
    }

    fn delegate(&mut self, script: &str) -> Result<String> {
        let task = self.call("delegate_task", json!({"text": script, "role": "shell"}))?;
        Ok(task["id"].as_str().ok_or("no id")?.to_owned())
    }

    pub fn leave(mut self) -> Result<()> {
        drop(self.stdin);
        if let Some(child) = &mut self.child {
            child.wait()?;
        }
        Ok(())
    }
}
