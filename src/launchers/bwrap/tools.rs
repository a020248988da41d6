//! Programs that are installed in a home folder, which the sandbox hides: the folders of PATH, the agent program with what
//! belongs to it, its interpreter, and the links that lead to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    env::split_paths,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::Read,
    path::{Component, Path, PathBuf},
};

use crate::launchers::programs;

/// A chain of links is followed this far, as the kernel does.
const LINKS: usize = 40;
/// Interpreters of interpreters are followed this far, as the kernel does.
const INTERPRETERS: usize = 4;

/// What has to be shown.
pub(super) struct Tools<'a> {
    /// Folders that the sandbox hides: homes, state folders, temporary folders.
    hidden: &'a BTreeSet<PathBuf>,
    /// Files and folders that are shown read-only.
    shown: BTreeSet<PathBuf>,
    /// Links, by their path.
    links: BTreeMap<PathBuf, PathBuf>,
}

impl<'a> Tools<'a> {
    pub fn new(hidden: &'a BTreeSet<PathBuf>) -> Self {
        Tools { hidden, shown: BTreeSet::new(), links: BTreeMap::new() }
    }

    fn is_hidden(&self, path: &Path) -> bool {
        self.hidden.iter().any(|folder| path.starts_with(folder))
    }

    /// Whether a folder is hidden itself, or has a hidden one in it: it is never shown, whatever is installed there. A home
    /// folder with a `bin` and a `lib` is no installation.
    fn is_private(&self, path: &Path) -> bool {
        self.hidden.iter().any(|folder| folder.starts_with(path))
    }

    /// The folders of PATH, except `own`. With a folder `bin` comes the installation that it is a part of.
    pub fn search_path(&mut self, path: Option<&OsStr>, own: &Path) {
        for folder in path.into_iter().flat_map(split_paths).filter(|folder| folder.is_absolute() && folder != own) {
            let Ok(real) = folder.canonicalize() else { continue };
            if real.is_dir() {
                let installation = installation(&real).filter(|whole| !self.is_private(whole));
                self.show(&folder, installation.unwrap_or(real));
            }
        }
    }

    /// A program, and what belongs to it.
    pub fn program(&mut self, program: &Path, path: Option<&OsStr>) {
        let mut next = Some(program.to_owned());
        for _ in 0..INTERPRETERS {
            let Some(program) = next.take() else { return };
            let Ok(real) = program.canonicalize() else { return };
            let root = root_of(&real).filter(|root| !self.is_private(root)).unwrap_or_else(|| real.clone());
            self.show(&program, root);
            next = interpreter(&real, path);
        }
    }

    /// A file or folder, at its own path.
    pub fn file(&mut self, file: &Path) {
        if let Ok(real) = file.canonicalize() {
            self.show(file, real);
        }
    }

    /// Shows `real`, to which `path` leads.
    fn show(&mut self, path: &Path, real: PathBuf) {
        if self.is_hidden(&real) && !self.is_private(&real) {
            self.shown.insert(real);
        }
        for (link, target) in links(path) {
            if self.is_hidden(&link) {
                self.links.insert(link, target);
            }
        }
    }

    /// Returns the options of bwrap.
    pub fn into_args(self) -> Vec<OsString> {
        let is_within = |path: &Path| path.ancestors().skip(1).any(|above| self.shown.contains(above));
        let mut args = Vec::new();
        for path in self.shown.iter().filter(|path| !is_within(path)) {
            args.extend(["--ro-bind".into(), path.into(), path.into()]);
        }
        for (link, target) in self.links.iter().filter(|(link, _)| !is_within(link) && !self.shown.contains(*link)) {
            args.extend(["--symlink".into(), target.into(), link.into()]);
        }
        args
    }
}

/// Returns the installation that a folder of programs is a part of: the folder above it, where that has libraries too.
/// `~/.local/bin` and `~/.cargo/bin` are none: beside them are files of the user.
fn installation(folder: &Path) -> Option<PathBuf> {
    let above = folder.parent().filter(|_| folder.file_name().is_some_and(|name| name == "bin" || name == "shims"))?;
    let name = above.file_name()?.to_str()?;
    let is_known = [".asdf", ".bun", ".deno", ".pyenv", ".volta"].contains(&name);
    let has_libraries = above.join("lib").is_dir() && name != ".local" && above.parent()?.parent().is_some();
    (is_known || has_libraries).then(|| above.to_owned())
}

/// Returns the folder that a program's file needs: the packages it is one of, its installation, or its own folder.
fn root_of(real: &Path) -> Option<PathBuf> {
    let packages = real.ancestors().filter(|above| above.file_name().is_some_and(|name| name == "node_modules"));
    if let Some(outermost) = packages.last() {
        return Some(outermost.to_owned());
    }
    let folder = real.parent()?;
    if let Some(installation) = installation(folder) {
        return Some(installation);
    }
    // A folder of nothing but versions of one program; not one with other programs and files beside it.
    let is_of_versions = folder.file_name().is_some_and(|name| name == "versions");
    is_of_versions.then(|| folder.to_owned())
}

/// Returns the interpreter that the first line of a script names.
fn interpreter(file: &Path, path: Option<&OsStr>) -> Option<PathBuf> {
    let mut start = [0; 256];
    let length = File::open(file).ok()?.read(&mut start).ok()?;
    let line = start[..length].strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_whitespace();
    let program = words.next()?;
    if !program.ends_with("/env") {
        return Some(program.into());
    }
    let name = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
    programs::find(name, path)
}

/// Returns every link on the way from the root to what `path` means, with its target.
fn links(path: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut found = Vec::new();
    let mut at = PathBuf::from("/");
    let mut rest: Vec<OsString> = parts(path);
    while let Some(part) = rest.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        let Ok(target) = fs::read_link(&next) else {
            at = next;
            continue;
        };
        if found.len() == LINKS {
            break;
        }
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        rest.extend(parts(&target));
        found.push((next, target));
    }
    found
}

/// Returns the parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let part = |component: Component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().rev().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn shown(home: &Path, program: &str, path: &[&str]) -> Vec<String> {
        let path = std::env::join_paths(path.iter().map(|folder| home.join(folder))).unwrap();
        let hidden = BTreeSet::from([home.to_owned(), home.join(".local/state")]);
        let mut tools = Tools::new(&hidden);
        tools.search_path(Some(&path), Path::new("/none"));
        tools.program(&home.join(program), Some(&path));
        let args = tools.into_args();
        args.chunks(3)
            .map(|option| {
                let [kind, from, to] = option else { panic!() };
                let below = |path: &OsString| {
                    Path::new(path).strip_prefix(home).unwrap_or(Path::new(path)).display().to_string()
                };
                let kind = kind.to_str().unwrap();
                if from == to {
                    format!("{kind} {}", below(to))
                } else {
                    format!("{kind} {} {}", below(from), below(to))
                }
            })
            .collect()
    }

    #[test]
    fn a_program_in_a_home_folder_is_shown_with_what_it_needs_and_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap();
        // As an installer does it: a link among others, to one of several versions.
        write(&home.join(".local/share/agent/versions/1.2"), "");
        fs::create_dir_all(home.join(".local/bin")).unwrap();
        symlink(home.join(".local/share/agent/versions/1.2"), home.join(".local/bin/agent")).unwrap();
        assert_eq!(
            shown(&home, ".local/bin/agent", &[".local/bin"]),
            ["--ro-bind .local/bin", "--ro-bind .local/share/agent/versions"]
        );
        // As a version manager of node does it: the packages, and the interpreter.
        write(&home.join(".nvm/v22/lib/node_modules/@a/agent/cli.js"), "#!/usr/bin/env node\n");
        write(&home.join(".nvm/v22/bin/node"), "");
        symlink("../lib/node_modules/@a/agent/cli.js", home.join(".nvm/v22/bin/agent")).unwrap();
        assert_eq!(shown(&home, ".nvm/v22/bin/agent", &[".nvm/v22/bin"]), ["--ro-bind .nvm/v22"]);
        // Neither a home folder nor what a state folder is in becomes an installation.
        for folder in ["bin", "lib", ".local/lib", ".local/state"] {
            fs::create_dir_all(home.join(folder)).unwrap();
        }
        write(&home.join("bin/own"), "");
        assert_eq!(shown(&home, "bin/own", &["bin", "."]), ["--ro-bind bin"]);
        assert_eq!(shown(&home, "bin/own", &[".local"]), ["--ro-bind bin/own"]);
        // A tool by a link to a link, outside of PATH.
        write(&home.join("tools/one/agent"), "");
        symlink("one", home.join("tools/current")).unwrap();
        assert_eq!(
            shown(&home, "tools/current/agent", &[]),
            ["--ro-bind tools/one/agent", "--symlink one tools/current"]
        );
    }
}
