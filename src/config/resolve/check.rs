//! Rejects keys of a role or of the supervisor that contradict each other or the driver.

use std::collections::BTreeMap;

use super::Resolver;
use crate::{
    config::{
        Role, SupervisorConfig,
        diagnostics::{At, dotted},
        private,
        role::Sandbox,
        written::{Written, WrittenRole},
    },
    drivers::{DriverKind, Key, Mode},
    model::{collision::CollisionRule, network::Network, text::count},
};

impl Resolver<'_> {
    pub(super) fn check_command(&mut self, table: &str, written: &WrittenRole, role: &Role) {
        let key = dotted(table, "command");
        // A wrong driver or command is already reported, and its replacement means nothing.
        if self.diagnostics.about(&key) || self.diagnostics.about(&dotted(table, "driver")) {
            return;
        }
        let program = role.command.first().is_some_and(|word| !word.is_empty());
        match (role.driver, &written.command) {
            (DriverKind::Command, None) => {
                let line = written.driver.as_ref().map_or(written.line, |at| at.line);
                let what = "is missing: driver \"command\" needs one, such as command = [\"./agent.py\", \"--fast\"]";
                self.diagnostics.add(line, key, what);
            }
            (DriverKind::Command, Some(at)) if !program => {
                self.diagnostics.add(at.line, key, "must start with the program to run");
            }
            (DriverKind::Command, Some(_)) | (_, None) => {}
            (driver, Some(at)) => {
                let what = format!("needs driver = \"command\", but this role's driver is \"{driver}\"");
                self.diagnostics.add(at.line, key, what);
            }
        }
    }

    /// Checks what the role's sandbox shows, and that the limits of its network are enforced by something.
    pub(super) fn check_sandbox(&mut self, table: &str, written: &WrittenRole, role: &Role) {
        if let Some(at) = &written.sandbox_read
            && !self.diagnostics.about(&dotted(table, "sandbox"))
        {
            let key = dotted(table, "sandbox_read");
            if role.sandbox == Sandbox::None && !at.value.is_empty() {
                self.diagnostics.add(
                    at.line,
                    key.clone(),
                    "needs sandbox = \"bwrap\": without a sandbox a program reads everything",
                );
            }
            let home = self.env.home.as_ref().map(|home| self.env.cwd.join(home));
            for (at, folder) in at.value.iter().zip(&role.sandbox_read) {
                if let Some(why) = private::refusal(folder, home.as_deref(), self.state) {
                    self.diagnostics.add(at.line, key.clone(), format!("is wrong: {} {why}", folder.display()));
                }
            }
        }
        let Some(at) = &written.network else { return };
        if role.sandbox == Sandbox::None
            && at.value != Network::All
            && !self.diagnostics.about(&dotted(table, "sandbox"))
        {
            let what = "needs sandbox = \"bwrap\": without a sandbox nothing keeps a program from the network";
            self.diagnostics.add(at.line, dotted(table, "network"), what);
        }
    }

    /// Checks that an answer by default has a time limit after which it is given.
    pub(super) fn check_approval(&mut self, table: &str, written: &WrittenRole) {
        if let (Some(at), None) = (&written.approval_default, &written.approval_timeout)
            && !self.diagnostics.about(&dotted(table, "approval_timeout"))
        {
            let what = "needs approval_timeout, the time after which it is decided so";
            self.diagnostics.add(at.line, dotted(table, "approval_default"), what);
        }
    }

    /// Checks that the role's driver honours the keys that are written for it.
    pub(super) fn check_agent(&mut self, table: &str, written: &WrittenRole, role: &Role) {
        if self.diagnostics.about(&dotted(table, "driver")) {
            return;
        }
        let is_interactive = |at: &&At<Mode>| at.value == Mode::Interactive;
        let checks_edits = |at: &&At<CollisionRule>| at.value != CollisionRule::Off;
        let keys = [
            (Key::Mode, written.mode.as_ref().filter(is_interactive).map(|at| at.line)),
            (Key::Args, written.args.as_ref().map(|at| at.line)),
            (Key::Auth, written.auth.as_ref().map(|at| at.line)),
            (Key::AllowedTools, written.allowed_tools.as_ref().map(|at| at.line)),
            (Key::PermissionMode, written.permission_mode.as_ref().map(|at| at.line)),
            (Key::MaxTurns, written.max_turns.as_ref().map(|at| at.line)),
            (Key::MaxCostUsd, written.max_cost_usd.as_ref().map(|at| at.line)),
            (Key::Resume, written.resume.as_ref().map(|at| at.line)),
            (Key::OnDenial, written.on_denial.as_ref().map(|at| at.line)),
            (Key::OnCollision, written.on_collision.as_ref().filter(checks_edits).map(|at| at.line)),
            (Key::MaxTaskTokens, written.max_task_tokens.as_ref().map(|at| at.line)),
            (Key::ExpectedTokens, written.expected_tokens.as_ref().map(|at| at.line)),
            (Key::MaxTokensPerDay, written.day.max_tokens.as_ref().map(|at| at.line)),
            (Key::MaxWindowUse, written.max_window_use.as_ref().map(|at| at.line)),
            (Key::Model, written.model.as_ref().map(|at| at.line)),
            (Key::Instructions, written.instructions.as_ref().map(|at| at.line)),
            (Key::InstructionsFile, written.instructions_file.as_ref().map(|at| at.line)),
            (Key::Prompt, written.prompt.as_ref().map(|at| at.line)),
            (Key::PromptTemplate, written.prompt_template.as_ref().map(|at| at.line)),
        ];
        let in_money = [
            (Key::MaxTaskCostUsd, written.max_task_cost_usd.as_ref().map(|at| at.line)),
            (Key::ExpectedCostUsd, written.expected_cost_usd.as_ref().map(|at| at.line)),
            (Key::MaxCostUsdPerDay, written.day.max_cost_usd.as_ref().map(|at| at.line)),
        ];
        let modes = role.driver.manifest().map_or(&[][..], |manifest| manifest.permission_modes);
        if let Some(at) = written.permission_mode.as_ref().filter(|_| !modes.is_empty())
            && !modes.contains(&at.value.as_str())
        {
            let (driver, modes) = (role.driver, modes.join("\", \""));
            let what = format!("is wrong: {driver} knows only \"{modes}\"; or name tools in allowed_tools");
            self.diagnostics.add(at.line, dotted(table, Key::PermissionMode.as_str()), what);
        }
        if let (Some(at), Some(_)) = (&written.prompt, &written.prompt_template) {
            let what = "cannot be combined with prompt_template; remove one of them";
            self.diagnostics.add(at.line, dotted(table, Key::Prompt.as_str()), what);
        }
        for (key, line) in in_money.into_iter().filter(|_| role.agent.mode == Mode::Interactive) {
            let what = "needs mode = \"headless\": on its own terminal a program reports tokens, but no cost";
            line.into_iter().for_each(|line| self.diagnostics.add(line, dotted(table, key.as_str()), what));
        }
        if let Some(at) = &written.args
            && let Some(manifest) = role.driver.manifest()
            && let Some(what) = manifest.flags.refusal(&at.value)
        {
            self.diagnostics.add(at.line, dotted(table, "args"), what);
        }
        for (key, line) in keys.into_iter().chain(in_money) {
            let Some(line) = line else { continue };
            if role.agent.mode == Mode::Interactive && [Key::MaxTurns, Key::MaxCostUsd, Key::OnDenial].contains(&key) {
                let what = "needs mode = \"headless\": on its own terminal a program does not enforce it";
                self.diagnostics.add(line, dotted(table, key.as_str()), what);
            }
            let is_auto = role.driver == DriverKind::Auto;
            if role.driver.knows(key) && (!is_auto || self.order.iter().any(|kind| kind.knows(key))) {
                continue;
            }
            // `command` honours what an agent program is told; a limit that only its result file keeps is not named.
            let drivers: Vec<&str> = DriverKind::agents()
                .filter(|kind| kind.knows(key))
                .chain((!DriverKind::Shell.knows(key) && DriverKind::Command.knows(key)).then_some(DriverKind::Command))
                .map(DriverKind::as_str)
                .collect();
            let what = format!(
                "is not supported by this role's driver, \"{}\"{}; it is by {}",
                role.driver,
                if is_auto { ", or by any in [agents] order" } else { "" },
                drivers.join(", ")
            );
            self.diagnostics.add(line, dotted(table, key.as_str()), what);
        }
    }

    /// Checks that the master's program gets the instructions of its role.
    pub(super) fn check_master(&mut self, table: &str, written: &WrittenRole, role: &Role) {
        let keys = [
            (Key::Instructions, written.instructions.as_ref().map(|at| at.line)),
            (Key::InstructionsFile, written.instructions_file.as_ref().map(|at| at.line)),
        ];
        let kinds = if role.driver == DriverKind::Auto { self.order.clone() } else { vec![role.driver] };
        let kinds: Vec<DriverKind> = kinds.into_iter().filter(|kind| kind.program().is_some()).collect();
        if kinds.is_empty() || kinds.iter().any(|kind| kind.instructs_master()) {
            return;
        }
        for (key, line) in keys {
            let what = "does not reach the master: its program has no setting for it on its own terminal; write it to the \
                        program's own file, such as AGENTS.md";
            line.into_iter().for_each(|line| self.diagnostics.add(line, dotted(table, key.as_str()), what));
        }
    }

    /// Checks that `max_agents` has room for the agents that the roles keep ready.
    pub(super) fn fits(&mut self, written: &Written, supervisor: &SupervisorConfig, roles: &BTreeMap<String, Role>) {
        let kept: u64 = roles.values().map(|role| u64::from(role.min)).sum();
        if kept <= u64::from(supervisor.max_agents) || self.diagnostics.about("supervisor.max_agents") {
            return;
        }
        let largest = written.roles.values().filter_map(|role| role.min.as_ref()).max_by_key(|min| min.value);
        let line = written.supervisor.max_agents.as_ref().map(|at| at.line).or(largest.map(|min| min.line));
        let what = format!(
            "does not fit: the roles keep {} ready (the sum of their min), of {} at most",
            count(kept, "agent", "agents"),
            supervisor.max_agents
        );
        self.diagnostics.add(line.unwrap_or(1), "supervisor.max_agents", what);
    }
}
