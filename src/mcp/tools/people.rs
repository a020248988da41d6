//! `ask_human`, `send_message` and `read_inbox`.

use std::time::Duration;

use rmcp::{
    RoleServer,
    schemars::{self, JsonSchema},
    service::RequestContext,
    tool, tool_router,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::Kind,
    mcp::{
        Server, args,
        args::{Parameters, plain},
        reply::{Answer, reply},
    },
    model::message::{self, ReadWhen},
    ops::types::Ask,
    view::{View, messages},
};

/// Every client waits at least this long for a tool.
const DEFAULT: Duration = Duration::from_secs(50);
const MOST: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct AskHuman {
    /// The question, with everything that a person has to know to answer it.
    question: String,
    /// The answers to choose from. Left out: any.
    #[serde(default, deserialize_with = "args::or_default")]
    options: Vec<String>,
    /// Return after this time at the latest, such as 30s. Default 50s, which every client allows; at most 24h.
    timeout: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct HumanSaid {
    /// Whether a person has answered. If not, ask the same question again to continue waiting.
    answered: bool,
    /// The answer.
    answer: Option<String>,
    /// 'approved' or 'denied', if the person did that.
    approval: Option<&'static str>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct SendMessage {
    /// A task's id, the name of an agent at work, or 'master'.
    to: String,
    /// The message.
    text: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct MessageSent {
    /// Its id.
    id: String,
    /// The task it went to, or the master.
    to: String,
    /// 'unconfirmed' until it is read.
    state: &'static str,
    /// When it will be read, such as 'next_tool' or 'next_attempt'; null where that is not known.
    reads: Option<&'static str>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct ReadInbox {
    /// Wait until there is a message.
    #[serde(default, deserialize_with = "args::or_default")]
    wait: bool,
    /// With 'wait': return after this time at the latest. Default 50s; at most 24h.
    timeout: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = plain)]
pub(in crate::mcp) struct Messages {
    /// The messages, oldest first. Each is shown once.
    messages: Vec<Received>,
    /// How many more there are: call it again.
    left: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Received {
    id: String,
    from: String,
    /// The task from within which it was written, or that it is about.
    task: Option<String>,
    text: String,
    at: String,
}

#[tool_router(router = people_tools, vis = "pub(super)")]
impl Server {
    /// Asks a person about your own task and waits for the answer. If there is no answer within 'timeout', call it again with
    /// exactly the same question to continue waiting; it is asked once. Only for what you cannot decide or find out.
    #[tool(
        output_schema = args::output::<HumanSaid>(),
        annotations(title = "Ask a person", read_only_hint = false, destructive_hint = false, open_world_hint = false)
    )]
    async fn ask_human(
        &self,
        Parameters(asked): Parameters<AskHuman>,
        context: RequestContext<RoleServer>,
    ) -> Answer<HumanSaid> {
        let timeout = Some(args::time(asked.timeout.as_deref())?.unwrap_or(DEFAULT).min(MOST));
        let ask = Ask { text: asked.question, options: asked.options, wait: true, timeout };
        let said = match self.ops().await?.ask_until(ask, context.ct.cancelled()).await {
            Ok(asked) => HumanSaid {
                answered: asked.answer.is_some(),
                answer: asked.answer,
                approval: asked.approval.map(|approval| approval.as_str()),
            },
            Err(e) if e.kind == Kind::TimedOut => HumanSaid { answered: false, answer: None, approval: None },
            Err(e) => return Err(e.into()),
        };
        let words = said
            .answer
            .clone()
            .unwrap_or_else(|| "no answer yet; ask exactly the same again to continue waiting".into());
        reply(words, said)
    }

    /// Sends a message to another running task, an agent, or the master. It is delivered when the recipient reads its inbox,
    /// and belongs to the task, whichever agent works on it.
    #[tool(
        output_schema = args::output::<MessageSent>(),
        annotations(title = "Send a message", read_only_hint = false, destructive_hint = false, open_world_hint = false)
    )]
    async fn send_message(&self, Parameters(asked): Parameters<SendMessage>) -> Answer<MessageSent> {
        let sent = self.ops().await?.send(asked.to, asked.text).await?;
        let reads = sent.reads.map(ReadWhen::as_str);
        let words = messages::sent(&sent);
        reply(words.trim_end(), MessageSent { id: sent.id, to: sent.to, state: sent.state.as_str(), reads })
    }

    /// Reads your messages: those of your own task, or the master's, which also report the ends of the tasks that the master
    /// has delegated.
    #[tool(
        output_schema = args::output::<Messages>(),
        annotations(title = "Read messages", read_only_hint = false, destructive_hint = false, open_world_hint = false)
    )]
    async fn read_inbox(&self, Parameters(asked): Parameters<ReadInbox>) -> Answer<Messages> {
        let timeout = Some(args::time(asked.timeout.as_deref())?.unwrap_or(DEFAULT).min(MOST));
        let inbox = self.ops().await?.inbox(asked.wait, timeout).await?;
        let words = match inbox.messages.is_empty() {
            true => messages::inbox(&inbox, &View::plain()),
            false => {
                let left =
                    if inbox.left > 0 { format!("{} more: read_inbox again", inbox.left) } else { String::new() };
                format!("{}\n{}{left}", message::HOW_TO_READ, message::for_model(&inbox.messages))
            }
        };
        let received = inbox.messages.into_iter().map(|m| Received {
            id: m.id,
            from: m.from,
            task: m.task.map(|id| id.to_string()),
            text: m.text,
            at: m.at.to_string(),
        });
        reply(words.trim_end(), Messages { messages: received.collect(), left: inbox.left })
    }
}
