//! How the program is linked, which commit it was built from, and what each Lua transition needs of the prelude.

#[path = "build/lua.rs"]
mod lua;

use std::{path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    // At a fixed address. A position-independent program has its 20,000 pointers adjusted each time it starts, which takes
    // 0.2 ms of the 1.5 that the shortest command takes, and 0.4 MB of memory that each runner has to itself. Stack, heap
    // and libraries are placed at random all the same.
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
    println!("cargo::rustc-env=ORCH_BUILD={}", build_id());
    lua::write_scripts();
}

/// Only a release build asks for the commit: else each commit would compile everything again while one develops.
/// `ORCH_BUILD_ID` sets it where there is no repository, for instance in a package's sources.
fn build_id() -> String {
    println!("cargo::rerun-if-env-changed=ORCH_BUILD_ID");
    if let Some(id) = std::env::var("ORCH_BUILD_ID").ok().filter(|id| !id.is_empty()) {
        return id;
    }
    if std::env::var("PROFILE").as_deref() != Ok("release") {
        return "debug".to_owned();
    }
    // The log of HEAD grows with each commit and each checkout, also in a worktree.
    for file in ["HEAD", "logs/HEAD"] {
        match git(&["rev-parse", "--git-path", file]) {
            Some(path) if Path::new(&path).exists() => println!("cargo::rerun-if-changed={path}"),
            _ => {}
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned())
}

/// What git answers about the repository of these sources, if they are in one of their own.
fn git(args: &[&str]) -> Option<String> {
    let root = std::env::var("CARGO_MANIFEST_DIR").ok()?;
    // A source archive unpacked within another repository is not of that repository.
    if !Path::new(&root).join(".git").exists() {
        return None;
    }
    let output = Command::new("git").arg("-C").arg(&root).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
