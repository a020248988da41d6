//! Which file counts, which project it is, and where its state is kept.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
};

use super::{Config, Project};
use crate::error::Kind;

#[test]
fn the_nearest_file_named_first_counts() {
    let project = Project::with("name = \"above\"");
    project.write("sub/sessions.toml", "name = \"here\"");
    project.write("other.toml", "name = \"flag\"");
    project.write("env/sessions.toml", "name = \"env\"");
    project.write("sub/deep/x", "");
    let mut env = project.env.clone();
    let name = |env: &_, explicit: Option<&str>| Config::load_with(env, explicit.map(Path::new)).unwrap().namespace;

    assert_eq!(name(&env, None), "above");
    env.cwd = project.root.join("sub/deep");
    assert_eq!(name(&env, None), "here");
    env.config = Some(project.root.join("env/sessions.toml"));
    assert_eq!(name(&env, None), "env");
    assert_eq!(name(&env, Some("../../other.toml")), "flag");
}

#[test]
fn a_folder_is_no_file_but_a_file_named_and_missing_is_an_error() {
    let project = Project::with("name = \"above\"");
    fs::create_dir_all(project.root.join("sub/sessions.toml")).unwrap();
    let mut env = project.env.clone();
    env.cwd = project.root.join("sub");
    assert_eq!(Config::load_with(&env, None).unwrap().namespace, "above");

    let flag = Config::load_with(&env, Some(Path::new("no.toml"))).unwrap_err();
    assert_eq!((flag.kind, flag.message.as_str()), (Kind::Configuration, "no.toml does not exist"));
    assert!(flag.hint.unwrap().starts_with("--config names it"));
    env.config = Some("/dev/null".into());
    let variable = Config::load_with(&env, None).unwrap_err();
    assert_eq!(variable.message, "/dev/null is not a regular file");
    assert!(variable.hint.unwrap().starts_with("ORCH_CONFIG names it"));
}

#[test]
fn a_file_that_is_not_text_is_named() {
    assert_eq!(super::error(b"name = \"a\"\n# \xff").message, "sessions.toml:2: not UTF-8 text");
    assert_eq!(super::error(vec![b'#'; (1 << 20) + 1]).message, "sessions.toml is larger than 1 MiB");
    let project = Project::empty();
    symlink("sessions.toml", project.root.join("sessions.toml")).unwrap();
    let error = project.load().unwrap_err();
    assert!(error.message.starts_with("sessions.toml can't be read: "), "{error}");
}

#[test]
fn a_file_above_is_named_by_its_whole_path() {
    let project = Project::with("nmae = 1");
    project.write("sub/x", "");
    let mut env = project.env.clone();
    env.cwd = project.root.join("sub");
    let message = Config::load_with(&env, None).unwrap_err().message;
    assert!(message.starts_with(&format!("{}/sessions.toml:1: nmae ", project.root.display())), "{message}");
}

#[test]
fn a_namespace_is_the_folders_and_stays_the_same() {
    let project = Project::empty();
    let namespace = project.load().unwrap().namespace;
    assert!(namespace.starts_with("shop-") && namespace.len() == "shop-".len() + 6, "{namespace}");
    project.write("sessions.toml", "[tmux]\nsocket = \"x\"");
    assert_eq!(project.load().unwrap().namespace, namespace);

    // By whatever way the folder is reached.
    let link = project.root.join("link");
    symlink(&project.root, &link).unwrap();
    let mut env = project.env.clone();
    env.cwd = link;
    let linked = Config::load_with(&env, None).unwrap();
    assert_eq!((linked.namespace, linked.root), (namespace.clone(), project.root.clone()));

    // Another folder of the same name is another project.
    assert_ne!(Project::empty().load().unwrap().namespace, namespace);
}

#[test]
fn the_hash_of_a_path_is_for_ever() {
    let namespace = |path: &str| super::super::discovery::default_namespace(Path::new(path));
    // State folders and Redis keys of existing projects carry these: they must never change.
    assert_eq!(namespace("/home/me/shop"), "shop-8a735f");
    assert_eq!(namespace("/"), "root-310f40");
    assert!(namespace("/tmp/Ünï  Çode!").starts_with("n-ode-"));
    assert!(namespace(&format!("/{}", "x".repeat(200))).len() == 64);
}

#[test]
fn the_location_leads_back_to_the_project() {
    for project in [Project::empty(), Project::with("name = \"a\"")] {
        let config = project.load().unwrap();
        let mut elsewhere = project.env.clone();
        elsewhere.cwd = "/".into();
        elsewhere.config = Some(config.location().to_owned());
        assert_eq!(Config::load_with(&elsewhere, None).unwrap(), config);
    }
}

#[test]
fn state_is_where_the_environment_says() {
    let project = Project::with("name = \"a\"");
    let mut env = project.env.clone();
    let home = |env: &_| Config::load_with(env, None).map(|config| config.home);

    assert_eq!(home(&env).unwrap(), project.root.join("home/.local/state/orch/a"));
    env.state_home = Some("relative".into());
    assert_eq!(home(&env).unwrap(), project.root.join("home/.local/state/orch/a"));
    env.state_home = Some("/state".into());
    assert_eq!(home(&env).unwrap(), Path::new("/state/orch/a"));
    env.orch_home = Some("mine".into());
    assert_eq!(home(&env).unwrap(), project.root.join("mine"));

    env = super::super::Env { cwd: project.root.clone(), ..Default::default() };
    let error = home(&env).unwrap_err();
    assert_eq!(error.kind, Kind::Configuration);
    assert!(error.message.contains("HOME is not set") && error.hint.unwrap().contains("ORCH_HOME"));
}

#[test]
fn the_process_has_an_environment() {
    let env = super::super::Env::of_process().unwrap();
    assert!(env.cwd.is_absolute());
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_that_every_user_may_change_is_refused_with_the_fix() {
    let project = Project::with("name = \"shop\"");
    let file = project.root.join("sessions.toml");
    for path in [&file, &project.root] {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        set_mode(path, 0o777);
        let error = project.load().unwrap_err();
        assert_eq!(error.kind, Kind::Configuration);
        assert!(error.message.contains("sessions.toml can be changed by every user (mode 0777)"), "{error}");
        let hint = error.hint.unwrap();
        assert!(hint.ends_with(&format!("chmod go-w '{}'", path.display())), "{hint}");
        set_mode(path, mode);
    }
    assert_eq!(project.load().unwrap().namespace, "shop");
}

#[test]
fn a_file_of_another_user_is_refused_also_through_a_link_and_from_below() {
    let project = Project::with("name = \"shop\"");
    let file = project.root.join("sessions.toml");
    if chown(&file, Some(12_345), None).is_err() {
        return eprintln!("skipped: giving a file away takes root");
    }
    project.write("sub/x", "");
    symlink(&file, project.root.join("sub/link.toml")).unwrap();
    let mut env = project.env.clone();
    env.cwd = project.root.join("sub");
    for explicit in [None, Some(Path::new("link.toml")), Some(Path::new("../sessions.toml"))] {
        let error = Config::load_with(&env, explicit).unwrap_err();
        assert!(error.message.contains("belongs to uid 12345, and you are root (uid 0)"), "{error}");
        assert!(error.hint.as_ref().unwrap().contains("sudo chown"), "{error:?}");
    }
    chown(&file, Some(0), None).unwrap();
    chown(&project.root, Some(12_345), None).unwrap();
    let error = project.load().unwrap_err();
    assert!(error.message.starts_with("the folder of sessions.toml belongs to uid 12345"), "{error}");
}

#[test]
fn a_project_without_a_name_that_is_moved_keeps_its_namespace_and_its_state_folder() {
    let project = Project::empty();
    let place = |n: u32| project.root.join(format!("place-{n}"));
    let load = |n: u32| {
        let mut env = project.env.clone();
        (env.cwd, env.state_home, env.orch_home) = (place(n), Some(project.root.join("state")), None);
        Config::load_with(&env, None).unwrap()
    };
    fs::create_dir(place(0)).unwrap();
    let first = load(0);
    assert_eq!(first.follow_move().unwrap(), None);
    let home = crate::home::Home::new(&first.home);
    home.create().unwrap();
    home.claim(&first).unwrap();
    assert_eq!(load(0), first);
    for n in 1..3 {
        fs::rename(place(n - 1), place(n)).unwrap();
        let moved = load(n);
        assert_ne!(moved.namespace, first.namespace);
        assert_eq!(moved.follow_move().unwrap(), Some(place(n - 1)));
        let followed = load(n);
        assert_eq!((&followed.namespace, &followed.home), (&first.namespace, &first.home));
        assert_eq!(followed.follow_move().unwrap(), None);
        home.claim(&followed).unwrap();
    }
    // Where it was, another project gets a state folder of its own.
    fs::create_dir(place(1)).unwrap();
    let other = load(1);
    assert_eq!(other.follow_move().unwrap(), None);
    assert!(other.home != first.home && other.namespace != first.namespace);
}
