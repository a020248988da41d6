//! What an agent's program finds in its environment: that of `orch start`, without what looks like a secret. The
//! secrets it may have are named by `env_from`, and by its driver for its own login.

use std::collections::BTreeMap;

use crate::{
    config::{Config, DriverKind, Role},
    home::{Home, OUTER_TMUX_TMPDIR},
    os,
};

/// Words in a variable's name that say it holds a secret.
const SECRET_WORDS: [&str; 7] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "CREDENTIAL", "PRIVATE_KEY"];

/// This process's environment, without what is no text.
pub(super) fn of_process() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
}

/// Where programs are looked for.
pub(super) fn search_path(env: &BTreeMap<String, String>) -> &str {
    env.get("PATH").map_or("/usr/local/bin:/usr/bin:/bin", String::as_str)
}

/// The environment of an agent's program, and which of its variables are secrets.
pub(super) fn of_agent(
    config: &Config,
    home: &Home,
    role: &Role,
    driver: DriverKind,
    agent: &str,
    own: BTreeMap<String, String>,
) -> (BTreeMap<String, String>, Vec<String>) {
    let login = driver.manifest().map_or(&[] as &[&str], |manifest| manifest.secrets);
    let granted = |name: &str| role.env_from.iter().any(|n| n == name) || login.contains(&name);
    let tmux_tmpdir = own.get("TMUX_TMPDIR").cloned().unwrap_or_default();
    let is_for_us = |name: &str, value: &str| is_ours(name) || (name, value) == os::SMALL;
    let mut env: BTreeMap<String, String> = own
        .into_iter()
        .filter(|(name, value)| granted(name) || !(is_for_us(name, value) || looks_secret(name)))
        .collect();
    let secrets = env.keys().filter(|name| granted(name)).cloned().collect();
    env.extend(role.env.clone());
    let path = search_path(&env).to_owned();
    env.insert("PATH".into(), format!("{}:{path}", home.bin().display()));
    // A bare `tmux kill-server` typed by an agent must not end the server that all agents live in.
    env.insert("TMUX_TMPDIR".into(), home.agent_tmux().display().to_string());
    env.insert(OUTER_TMUX_TMPDIR.into(), tmux_tmpdir);
    for (name, value) in [
        ("ORCH_AGENT", agent.to_owned()),
        ("ORCH_ROLE", role.name.clone()),
        ("ORCH_HOME", config.home.display().to_string()),
        ("ORCH_CONFIG", config.location().display().to_string()),
    ] {
        env.insert(name.into(), value);
    }
    (env, secrets)
}

/// Variables of the terminal and of orch: those of the caller of `orch start` are not an agent's.
fn is_ours(name: &str) -> bool {
    name.starts_with("ORCH_")
        || name.starts_with("TMUX")
        || ["TERM", "COLUMNS", "LINES", "_", "OLDPWD", "PWD"].contains(&name)
}

fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Env;

    #[test]
    fn a_secret_goes_only_where_it_is_named() {
        let env = Env { cwd: "/tmp".into(), state_home: Some("/tmp".into()), ..Env::default() };
        let config = Config::load_with(&env, None).unwrap();
        let mut role = config.roles["shell"].clone();
        role.env_from = vec!["GITHUB_TOKEN".into()];
        role.env.insert("PATH".into(), "/p".into());
        let own = [
            ("GITHUB_TOKEN", "g"),
            ("NPM_TOKEN", "n"),
            ("my_secret_x", "s"),
            ("LANG", "C"),
            ("TMUX", "t"),
            ("ORCH_TASK", "x"),
            os::SMALL,
        ];
        let own = own.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let (env, secrets) = of_agent(&config, &Home::new("/h"), &role, DriverKind::Shell, "shell-1", own);
        let names: Vec<&str> = env.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "GITHUB_TOKEN",
                "LANG",
                "ORCH_AGENT",
                "ORCH_CONFIG",
                "ORCH_HOME",
                "ORCH_OUTER_TMUX_TMPDIR",
                "ORCH_ROLE",
                "PATH",
                "TMUX_TMPDIR"
            ]
        );
        assert_eq!(secrets, ["GITHUB_TOKEN"]);
        assert_eq!(env["PATH"], "/h/bin:/p");
    }
}
