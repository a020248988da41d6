//! The environment of an agent's program: what its role inherits of that of `orch start`
//! ([`Role::inherits`](crate::config::Role::inherits)), and what orch adds.

use std::{collections::BTreeMap, ffi::OsStr};

use crate::{
    config::{Config, DriverKind, Role, is_of_repository},
    home::{Home, OUTER_TMUX_TMPDIR},
    os,
};

/// The environment of `orch start`, without what is no text.
pub(super) fn of_process() -> BTreeMap<String, String> {
    os::started_with().collect()
}

/// Removes the secrets from this process's own environment, and closes the process to others of its user. Must come first:
/// the program may be executed again.
pub(super) fn protect(config: &Config) {
    let is_secret = |name: &OsStr, value: &OsStr| match (name.to_str(), value.to_str()) {
        // What orch itself reads again.
        (Some(name), _) if name.starts_with("ORCH_") => false,
        (Some(name), Some(value)) => config.is_secret(name, value),
        _ => false,
    };
    if let Err(e) = os::without_secrets(is_secret, true).and_then(|()| os::protect_this_process()) {
        tracing::warn!("other processes of this user can read the secrets of the supervisor: {e}");
    }
}

/// Where programs are looked for.
pub(super) fn search_path(env: &BTreeMap<String, String>) -> &str {
    env.get("PATH").map_or("/usr/local/bin:/usr/bin:/bin", String::as_str)
}

/// The values of all secrets in an environment, as the runners have to know them.
pub(super) fn secrets(config: &Config, env: &BTreeMap<String, String>) -> Vec<String> {
    config.secrets(env.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// The environment of a program that orch itself runs (`notify_command`): that of `orch start` without what is a secret to
/// any role.
pub(super) fn of_helper(config: &Config, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let passes = |(name, value): &(&String, &String)| {
        (name.as_str(), value.as_str()) != os::SMALL && !is_of_repository(name) && !config.is_secret(name, value)
    };
    own.iter().filter(passes).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The names of the variables of `orch start` that a role's programs do not get.
pub(super) fn withheld(role: &Role, driver: DriverKind, own: &BTreeMap<String, String>) -> Vec<String> {
    let all = own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (_, withheld) = role.environment(driver, all);
    withheld.into_iter().filter(|name| !role.env.contains_key(*name)).map(str::to_owned).collect()
}

/// The environment of an agent's program.
pub(super) fn of_agent(
    home: &Home,
    role: &Role,
    driver: DriverKind,
    agent: &str,
    own: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let tmux_tmpdir = own.get("TMUX_TMPDIR").cloned().unwrap_or_default();
    let mut env: BTreeMap<String, String> = own
        .into_iter()
        .filter(|(name, value)| (name.as_str(), value.as_str()) != os::SMALL && role.inherits(driver, name, value))
        .collect();
    env.extend(role.env.clone());
    let path = search_path(&env).to_owned();
    env.insert("PATH".into(), format!("{}:{path}", home.bin().display()));
    // A bare `tmux kill-server` typed by an agent must not end the server that all agents live in.
    env.insert("TMUX_TMPDIR".into(), home.agent_tmux().display().to_string());
    env.insert(OUTER_TMUX_TMPDIR.into(), tmux_tmpdir);
    // For information. orch identifies the program by its socket, which the runner adds.
    env.extend([("ORCH_AGENT".into(), agent.to_owned()), ("ORCH_ROLE".into(), role.name.clone())]);
    env
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Env, InheritEnv, Sandbox};

    fn names(env: &BTreeMap<String, String>) -> Vec<&str> {
        let added = ["ORCH_AGENT", "ORCH_OUTER_TMUX_TMPDIR", "ORCH_ROLE", "PATH", "TMUX_TMPDIR"];
        let missing: Vec<&&str> = added.iter().filter(|name| !env.contains_key(**name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        env.keys().map(String::as_str).filter(|name| !added.contains(name)).collect()
    }

    #[test]
    fn what_ties_git_to_a_repository_goes_only_where_it_is_named() {
        let env = Env { cwd: "/tmp".into(), state_home: Some("/tmp".into()), ..Env::default() };
        let config = Config::load_with(&env, None).unwrap();
        let own: BTreeMap<String, String> =
            ["GIT_DIR", "GIT_INDEX_FILE", "GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_AUTHOR_NAME", "GIT_SSH_COMMAND"]
                .map(|name| (name.to_owned(), "x".to_owned()))
                .into();
        for inherit_env in [InheritEnv::Safe, InheritEnv::All] {
            let role = Role { inherit_env, env_from: vec!["GIT_DIR".into()], ..config.roles["shell"].clone() };
            let env = of_agent(&Home::new("/h"), &role, DriverKind::Shell, "shell-1", own.clone());
            assert_eq!(names(&env), ["GIT_AUTHOR_NAME", "GIT_DIR", "GIT_SSH_COMMAND"]);
        }
        let helper = of_helper(&config, &own);
        assert_eq!(helper.keys().collect::<Vec<_>>(), ["GIT_AUTHOR_NAME", "GIT_SSH_COMMAND"]);
    }

    #[test]
    fn a_secret_goes_only_where_it_is_named() {
        let env = Env { cwd: "/tmp".into(), state_home: Some("/tmp".into()), ..Env::default() };
        let config = Config::load_with(&env, None).unwrap();
        let mut role = config.roles["shell"].clone();
        role.env_from = vec!["GITHUB_TOKEN".into()];
        role.env.insert("PATH".into(), "/p".into());
        let own: BTreeMap<String, String> = [
            ("GITHUB_TOKEN", "g"),
            ("NPM_TOKEN", "n"),
            ("my_secret_x", "s"),
            ("DATABASE_URL", "postgres://u:pw@db"),
            ("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "32000"),
            ("SSH_AUTH_SOCK", "/run/agent"),
            ("LANG", "C"),
            ("LC_TIME", "C"),
            ("HTTPS_PROXY", "http://u:pw@proxy"),
            ("NO_PROXY", "localhost"),
            ("TMUX", "t"),
            ("ORCH_TASK", "x"),
            os::SMALL,
        ]
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
        let with = |inherits| {
            let role = Role { inherit_env: inherits, ..role.clone() };
            of_agent(&Home::new("/h"), &role, DriverKind::Shell, "shell-1", own.clone())
        };
        assert_eq!(with(InheritEnv::Safe)["PATH"], "/h/bin:/p");
        assert_eq!(
            names(&with(InheritEnv::Safe)),
            ["CLAUDE_CODE_MAX_OUTPUT_TOKENS", "GITHUB_TOKEN", "LANG", "LC_TIME", "NO_PROXY", "SSH_AUTH_SOCK"]
        );
        assert_eq!(names(&with(InheritEnv::Minimal)), ["GITHUB_TOKEN", "LANG", "LC_TIME", "NO_PROXY"]);
        assert_eq!(names(&with(InheritEnv::All)).len(), own.len() - 3);
        role.sandbox = Sandbox::Bwrap;
        role.inherit_env = InheritEnv::Safe;
        let env = of_agent(&Home::new("/h"), &role, DriverKind::Shell, "shell-1", own);
        assert!(!env.contains_key("SSH_AUTH_SOCK") && env.contains_key("NO_PROXY"));
    }
}
