//! Three levels of `claude`: each delegates to the one below through MCP and waits for the result.

use serde_json::{Value, json};

use super::fleet::Fleet;
use crate::model_server::{Answer, Asked, Rule, tool, when};

const LEVELS: &str = "model = \"opus\"
max = 1
[roles.sonnet]
driver = \"claude\"
model = \"sonnet\"
max = 1
[roles.subagent]
driver = \"claude\"
model = \"haiku\"
max = 1";

/// Returns rules by which the agent that receives `text` delegates `part` to `role`, waits for it, and answers with its
/// result.
fn delegates(text: &'static str, role: &'static str, part: &'static str) -> Vec<Rule> {
    let wait = |asked: &Asked| match asked.found("id") {
        Some(id) => tool("mcp__orch__wait_tasks", json!({"ids": [id]})),
        None => Answer::Text(format!("no id in {:?}", asked.results)),
    };
    let answer = move |asked: &Asked| {
        let text = asked.found("done").and_then(|mut done| done.get_mut(0).map(Value::take));
        let text = text.and_then(|mut task| task.get_mut("text").map(Value::take));
        Answer::Text(format!("{role} says: {}", text.as_ref().and_then(Value::as_str).unwrap_or("nothing").trim()))
    };
    vec![
        when(text).step(0).answer(tool("mcp__orch__delegate_task", json!({"text": part, "role": role}))),
        when(text).step(1).answer_by(wait),
        when(text).step(2).answer_by(answer),
    ]
}

#[test]
fn three_levels_of_claude_delegate_through_mcp_and_the_answer_travels_up() {
    // The innermost first: a subtask is told its parent's text as well.
    let mut rules = vec![when("count the items").answer(Answer::text("three items"))];
    rules.extend(delegates("write the cart", "subagent", "count the items"));
    rules.extend(delegates("build the shop", "sonnet", "write the cart"));
    // The master is a claude too, at its own prompt. It runs without asking the model.
    let Some(fleet) = Fleet::with_master(&["claude"], "claude", LEVELS, rules) else { return };
    let top = fleet.done("opus", "build the shop");
    assert_eq!(top["result"]["text"].as_str().map(str::trim_end), Some("sonnet says: subagent says: three items"));

    let mut level = top;
    for (depth, model) in ["opus", "sonnet", "haiku"].into_iter().enumerate() {
        assert_eq!((&level["depth"], &level["state"]), (&json!(depth), &json!("succeeded")), "{level:#}");
        assert_eq!(level["attempts"].as_array().map(Vec::len), Some(1), "{level:#}");
        let text = level["description"].as_str().unwrap();
        let asked: Vec<Asked> = fleet.model.asked().into_iter().filter(|asked| asked.text.starts_with(text)).collect();
        assert!(asked.iter().all(|asked| asked.model.contains(model)), "{asked:#?}");
        assert_eq!(asked.len(), if model == "haiku" { 1 } else { 3 }, "{text}");
        match level["children"][0].as_str().map(str::to_owned) {
            Some(child) => level = fleet.world.show(&child),
            None => assert_eq!(model, "haiku", "{level:#}"),
        }
    }
    let mut sessions = fleet.world.sessions();
    sessions.retain(|session| session != "opus-master");
    sessions.sort();
    assert_eq!(sessions, ["opus-1", "sonnet-1", "subagent-1"], "each agent has its own session");
    assert_eq!(fleet.processes_of("claude").len(), 1, "only the master's claude still runs");
    fleet.stop();
}
