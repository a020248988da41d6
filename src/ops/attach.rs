//! `orch attach`: the command that shows an agent's session in a terminal.
//!
//! It asks only tmux, whose sessions carry our tags, so it works while Redis is down.

use std::process::Command;

use super::{Ops, Target, Wanted};
use crate::{
    error::{Error, Kind, Result},
    mux::{Mux, SessionInfo},
};

impl Ops {
    /// The command that shows an agent's session, the master's by default. Inside tmux it switches the client. `agent` may
    /// also name the task that it works on.
    ///
    /// # Errors
    /// NotFound: no session of that agent. NotRunning: neither session nor supervisor. Configuration: no tmux.
    pub async fn attach_command(&self, agent: Option<&str>) -> Result<Command> {
        let mux = self.mux();
        let mut ours = mux.sessions().await?;
        ours.retain(|s| self.is_ours(s));
        let wanted = agent.unwrap_or(&self.config.master.session);
        let mut found = ours.iter().find(|s| is_meant(s, wanted));
        if let (None, Some(word)) = (found, agent) {
            match self.find(word, Wanted::Agent).await {
                Ok(Target::Agent(id)) => found = ours.iter().find(|s| is_meant(s, &id)),
                Err(e) if e.kind != Kind::NotRunning => return Err(e),
                _ => {}
            }
        }
        match found {
            Some(session) => Ok(mux.attach_command(&session.name, std::env::var_os("TMUX").as_deref())),
            None => Err(self.no_session(agent, &ours)),
        }
    }

    /// The agents whose tmux server runs on while another one has taken the place of its socket.
    pub(super) async fn displaced_agents(&self) -> Vec<String> {
        let mut runners = self.home.living_runners().unwrap_or_default();
        let displaced = self.mux().displaced(runners.iter().map(|runner| runner.process).collect()).await;
        runners.retain(|runner| displaced.contains(&runner.process));
        let mut agents: Vec<String> = runners.into_iter().map(|runner| runner.agent).collect();
        agents.sort();
        agents
    }

    /// What brings the sessions of displaced agents back.
    pub(super) fn ways_back(&self) -> String {
        let socket = self.mux().socket().display().to_string();
        format!(
            "end the other tmux server (tmux -S '{socket}' kill-server), and the supervisor has the socket made again; \
             or end the agents: orch kill AGENT, orch stop"
        )
    }

    fn is_master_alive(&self) -> bool {
        let runners = self.home().living_runners().unwrap_or_default();
        runners.iter().any(|runner| runner.agent == self.config.master.session)
    }

    fn no_session(&self, agent: Option<&str>, ours: &[SessionInfo]) -> Error {
        if !self.is_supervised() && ours.is_empty() {
            return Error::not_running(format!(
                "orch is not running for '{}': it has no sessions",
                self.config.namespace
            ))
            .hint("start it with: orch start --attach");
        }
        match agent {
            Some(agent) => {
                super::tasks::no_agent(agent, ours.iter().filter_map(|s| Some(s.tags.as_ref()?.agent.as_str())))
            }
            None if self.is_master_alive() => Error::not_found(format!(
                "the master runs, but tmux does not show its session {}: the socket of its server was removed or replaced",
                self.config.master.session
            ))
            .hint("try again in a few seconds; orch doctor shows more"),
            None => Error::not_found(format!("the master's session {} does not exist", self.config.master.session))
                .hint("the supervisor starts it again within seconds; orch status shows more"),
        }
    }
}

/// By the agent's id, or by the session's own name.
fn is_meant(session: &SessionInfo, wanted: &str) -> bool {
    session.name == wanted || session.tags.as_ref().is_some_and(|tags| tags.agent == wanted)
}
