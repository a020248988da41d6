//! `direct`: the program is a child of the runner and has all rights of the user.

use std::{
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{Invocation, Launcher, preflight, settings};
use crate::{
    home,
    os::{self, EndReport},
};

/// Runs programs as children of this process, which must be a subreaper ([`os::become_subreaper`]): daemons would escape
/// [`Launcher::end`] otherwise.
pub struct Direct;

impl Launcher for Direct {
    fn prepare(&self, files: &[(PathBuf, Vec<u8>)]) -> io::Result<()> {
        files.iter().try_for_each(|(path, bytes)| home::write_new(path, bytes))
    }

    fn command(&self, invocation: &Invocation) -> io::Result<Command> {
        let Invocation { start, cwd, env, .. } = invocation;
        // A vfork is what makes a no-op task cheap. The standard library uses one only where there is no `pre_exec`, and where
        // it need not search the PATH of another environment than ours for the program. So the search happens here.
        let name = start.program.to_str().filter(|name| !name.contains('/'));
        let found = name.and_then(|name| preflight::find(name, invocation.variable("PATH")));
        let mut command = Command::new(found.as_deref().map_or(&*start.program, Path::as_os_str));
        command.arg0(&start.program).args(&start.args).current_dir(cwd).env_clear().envs(env.iter().copied());
        if let Some(ours) = &start.settings
            && let Some(home) = invocation.variable(ours.home).or_else(|| invocation.variable("HOME"))
        {
            settings::home_with(ours, Path::new(home), invocation.kept)?;
            command.env(ours.home, invocation.kept);
        }
        Ok(command)
    }

    fn is_alive(&self) -> bool {
        os::has_children()
    }

    fn end(&self, keep: &[u32], grace: Duration, limit: Duration) -> io::Result<EndReport> {
        os::end_children(keep, grace, limit)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::{
        config::{Config, Env},
        drivers::Start,
    };

    fn run(program: &str, args: &[&str], env: &[(&str, &str)], cwd: &Path) -> String {
        let args = args.iter().map(Into::into).collect();
        let start = Start { program: program.into(), args, ..Start::default() };
        let env = env.iter().map(|(name, value)| (OsStr::new(*name), OsStr::new(*value))).collect();
        let of = Env { cwd: "/tmp".into(), state_home: Some("/tmp".into()), ..Env::default() };
        let role = Config::load_with(&of, None).unwrap().roles.remove("shell").unwrap();
        let output = Direct.command(&Invocation::plain(&start, cwd, env, &role)).unwrap().output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_program_gets_its_folder_and_exactly_the_environment_that_was_given() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let path = std::env::var("PATH").unwrap();
        assert_eq!(run("pwd", &["-P"], &[("PATH", &path)], &dir), format!("{}\n", dir.display()));
        let seen = run("env", &[], &[("PATH", "/nowhere"), ("A", "1"), ("PATH", &path), ("A", "2")], &dir);
        let mut seen: Vec<&str> = seen.lines().collect();
        seen.sort_unstable();
        assert_eq!(seen, ["A=2", &format!("PATH={path}")], "the last value counts, and nothing is inherited");
    }

    #[test]
    fn a_program_is_called_by_the_name_that_its_driver_gave() {
        let path = std::env::var("PATH").unwrap();
        let said =
            run("sh", &["-c", "tr '\\0' '\\n' < /proc/$$/cmdline | head -n 1"], &[("PATH", &path)], Path::new("/"));
        assert_eq!(said, "sh\n");
    }

    #[test]
    fn files_are_the_users_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("settings.json");
        Direct.prepare(&[(file.clone(), b"{}".to_vec())]).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"{}");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Direct.prepare(&[(dir.path().join("no/such"), Vec::new())]).is_err());
    }
}
