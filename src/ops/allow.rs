//! `orch approve TASK --allow TOOL`: a person allows a task, or its whole role, tools that its program was refused.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use toml_edit::{Array, DocumentMut, Item, Table};

use super::{Caller, Changed, Ops};
use crate::{
    config::{Config, Role},
    drivers::Key,
    error::{Error, Kind, Result},
    launchers::preflight,
    model::{
        id::TaskId,
        task::{Task, TaskState},
    },
    store::tasks::{Again, Retried},
};

impl Ops {
    /// Allows a task these tools besides those of its role, and retries it. A running task has them in its next attempt.
    ///
    /// # Errors
    /// NotFound: no such task. Usage: no tool, or none that a program takes. Failed: an agent calls; the program of the task's
    /// role takes no such list; the task awaits an approval. Conflict: the task has succeeded.
    pub async fn allow(&self, id: &TaskId, tools: &[String]) -> Result<Changed> {
        let Caller::Person(person) = &self.caller else {
            return Err(Error::failed("orch approve --allow is for a person: no agent gives rights to a task")
                .hint("a person runs it in a terminal outside of orch's agents"));
        };
        let (task, _) = self.allowable(id, tools).await?;
        if task.state == TaskState::Succeeded {
            return Err(Error::conflict(format!("task {id} has succeeded, so there is nothing left to allow it"))
                .hint(format!("allow it for all tasks of its role: orch approve {id} --allow ... --role")));
        }
        let mut all = task.allowed_tools.clone();
        all.extend(tools.iter().filter(|tool| !task.allowed_tools.contains(tool)).cloned());
        let reason = format!("{} allowed by {person}", tools.join(", "));
        let terms = Again { allowed_tools: all, ..Again::default() };
        let Retried { from, to, others } = self.ask(|s| s.retry_as(id, &reason, &terms)).await?;
        Ok(Changed { id: id.clone(), from, state: to, changed: from != to, others })
    }

    /// Adds tools to those of a task's role in sessions.toml; returns the role's name, and the file unless it has them already.
    /// Everything else in the file stays as it is.
    ///
    /// # Errors
    /// Those of [`Ops::allow`]. Configuration: there is no sessions.toml, it cannot be written, or it would be wrong.
    pub async fn allow_in_role(&self, id: &TaskId, tools: &[String]) -> Result<(String, Option<PathBuf>)> {
        let (_, role) = self.allowable(id, tools).await?;
        let Some(file) = &self.config.file else {
            return Err(Error::config("this project has no sessions.toml to which the tools could be added").hint(
                format!("orch init writes one; for this task alone, leave out --role: orch approve {id} --allow ..."),
            ));
        };
        let unreadable = |e: std::io::Error| Error::config(format!("cannot read {}: {e}", file.display()));
        let before = fs::read_to_string(file).map_err(unreadable)?;
        let after = with_tools(&before, &role.name, tools).map_err(|why| {
            Error::config(format!("cannot add to {}: {why}", file.display())).hint(by_hand(&role.name))
        })?;
        if after == before {
            return Ok((role.name.clone(), None));
        }
        replace(file, &after)?;
        Ok((role.name.clone(), Some(file.clone())))
    }

    /// Returns the task and its role, if its program takes a list of tools, and these can be in it.
    async fn allowable(&self, id: &TaskId, tools: &[String]) -> Result<(Task, &Role)> {
        if let Some(bad) = tools.iter().find(|tool| tool.trim().is_empty() || tool.starts_with('-')) {
            return Err(Error::usage(format!("'{bad}' is not a tool"))
                .hint("name it as its program does: --allow 'Bash(npm test:*)' or --allow Edit"));
        }
        let task = self.existing(std::slice::from_ref(id)).await?.remove(0);
        let role = self.config.role(&task.role)?;
        let path = std::env::var_os("PATH");
        let kind = preflight::resolve(role.driver, &self.config.agents.order, path.as_deref());
        if !kind.knows(Key::AllowedTools) {
            let hint = match kind.knows(Key::PermissionMode) {
                true => format!(
                    "set permission_mode under [roles.{}] in sessions.toml, then: orch reload; orch retry {id}",
                    role.name
                ),
                false => format!("see what {kind} itself takes, then: orch retry {id}"),
            };
            return Err(Error::failed(format!(
                "{kind}, the program of role {}, takes no list of allowed tools",
                role.name
            ))
            .hint(hint));
        }
        Ok((task, role))
    }
}

fn by_hand(role: &str) -> String {
    format!("add them by hand to allowed_tools under [roles.{role}], then: orch reload")
}

/// Returns the text of a sessions.toml with these tools added to a role's `allowed_tools`.
fn with_tools(text: &str, role: &str, tools: &[String]) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| e.message().to_owned())?;
    let table = |of: &mut Item, name: &str| -> Result<(), String> {
        let inner = of.as_table_like_mut().ok_or_else(|| "roles is no table".to_owned())?;
        if inner.get(name).is_none() {
            let mut new = Table::new();
            new.set_implicit(name == "roles");
            inner.insert(name, Item::Table(new));
        }
        Ok(())
    };
    table(document.as_item_mut(), "roles")?;
    let roles = &mut document["roles"];
    table(roles, role)?;
    let settings = roles[role].as_table_like_mut().ok_or_else(|| format!("roles.{role} is no table"))?;
    let list = settings.entry("allowed_tools").or_insert_with(|| toml_edit::value(Array::new()));
    let list = list.as_array_mut().ok_or_else(|| format!("roles.{role}.allowed_tools is no list"))?;
    for tool in tools {
        if !list.iter().any(|one| one.as_str() == Some(tool)) {
            list.push(tool);
        }
    }
    Ok(document.to_string())
}

/// Replaces the file by one with this text, if that is a sessions.toml without errors.
fn replace(file: &Path, text: &str) -> Result<()> {
    // The file itself where the name is a link to it.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let failed = |e: std::io::Error| Error::config(format!("cannot write {}: {e}", file.display()));
    let beside = file.with_file_name(format!(".sessions.toml.{}", std::process::id()));
    let write = || {
        let mut new = fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
        new.set_permissions(fs::Permissions::from_mode(fs::metadata(&file)?.permissions().mode()))?;
        new.write_all(text.as_bytes())?;
        new.sync_all()
    };
    let replaced = write().map_err(failed).and_then(|()| {
        Config::load(Some(&beside)).map_err(|e| Error { kind: Kind::Configuration, ..e })?;
        fs::rename(&beside, &file).map_err(failed)
    });
    replaced.inspect_err(|_| drop(fs::remove_file(&beside)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, tools: &[&str]) -> String {
        let tools: Vec<String> = tools.iter().map(|tool| (*tool).to_owned()).collect();
        with_tools(text, "sonnet", &tools).unwrap()
    }

    #[test]
    fn tools_are_added_to_a_role_and_nothing_else_changes() {
        let text = "# mine\n[roles.sonnet]   # here\nmax = 5\nallowed_tools = [\"Edit\"] # and there\n\n[roles.shell]\nmax = 1\n";
        let added = with(text, &["Bash(npm test:*)", "Edit"]);
        assert_eq!(added, text.replace("[\"Edit\"]", "[\"Edit\", \"Bash(npm test:*)\"]"));
        assert_eq!(with(&added, &["Edit"]), added, "it has it already");
        assert_eq!(with("[roles.sonnet]\nmax = 5\n", &["A"]), "[roles.sonnet]\nmax = 5\nallowed_tools = [\"A\"]\n");
        assert_eq!(with("", &["A(b \"c\")"]), "[roles.sonnet]\nallowed_tools = ['A(b \"c\")']\n");
        assert_eq!(
            with("roles.sonnet.max = 1\n", &["A"]),
            "roles.sonnet.max = 1\nroles.sonnet.allowed_tools = [\"A\"]\n"
        );
        let other = with("[roles.shell]\nmax = 1\n", &["A"]);
        assert!(
            other.contains("[roles.sonnet]\nallowed_tools = [\"A\"]") && other.contains("[roles.shell]\nmax = 1"),
            "{other}"
        );
        assert!(with_tools("[roles.sonnet]\nallowed_tools = 1", "sonnet", &["A".into()]).is_err());
    }

    #[test]
    fn a_file_that_would_be_wrong_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sessions.toml");
        fs::write(&file, "[roles.sonnet]\nmax = 1\n").unwrap();
        assert_eq!(replace(&file, "[roles.sonnet]\nmaxx = 1\n").unwrap_err().kind, Kind::Configuration);
        assert_eq!(fs::read_to_string(&file).unwrap(), "[roles.sonnet]\nmax = 1\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
