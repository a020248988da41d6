//! Words arrive exactly as they were given, and none is ever run by anybody but us.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::*;

/// The words of a process, once it runs the program it was made for.
async fn words_of(pid: u32, program: &str) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    until("the pane's process has exec'ed", async || {
        let text = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        words = text.split(|&byte| byte == 0).map(|word| OsStr::from_bytes(word).to_owned()).collect();
        words.pop();
        words.first().is_some_and(|first| first == program)
    })
    .await;
    words
}

/// What is special to tmux's parser, its formats or a shell, and arbitrary bytes but NUL, which no argument can hold.
fn word() -> impl Strategy<Value = OsString> {
    let special = prop::sample::select(vec![
        ";",
        r"\;",
        "\\",
        "'",
        "\"",
        "$HOME",
        "~",
        "#(touch x)",
        "#{pid}",
        "#[",
        "##",
        "%if",
        "{",
        "}",
        " ",
        "\t",
        "\r",
        "\n",
        "*",
        "ä",
        "--",
        "-d",
        "=",
    ])
    .prop_map(|text| text.as_bytes().to_vec());
    let part = prop_oneof![3 => special, 1 => vec(1..=255_u8, 0..12)];
    vec(part, 0..5).prop_map(|parts| OsString::from_vec(parts.concat()))
}

#[test]
fn any_words_reach_the_panes_process_as_they_are() {
    let server = Server::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mux = server.mux();
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    runner
        .run(&vec(word(), 0..5), |given| {
            let mut spec = server.spec("words");
            spec.argv.push("sh".into());
            spec.argv.extend(given);
            let arrived = runtime.block_on(async {
                let opened = mux.open(&spec).await.unwrap();
                let arrived = words_of(opened.pane_pid, "sh").await;
                assert!(mux.close("words", &spec.tags).await.unwrap());
                arrived
            });
            prop_assert_eq!(arrived, spec.argv);
            Ok(())
        })
        .unwrap();
    assert!(!server.path("x").exists());
}

#[tokio::test]
async fn a_lone_word_is_no_shell_string() {
    let server = Server::new();
    let mux = server.mux();
    let opened = mux.open(&SessionSpec { argv: vec!["cat".into()], ..server.spec("a-1") }).await.unwrap();
    assert_eq!(words_of(opened.pane_pid, "cat").await, ["cat"]);
    // A shell would touch the file; as a word it is a program that isn't there, so that the session ends at once.
    let _ = mux.open(&SessionSpec { argv: vec!["touch x".into()], ..server.spec("a-2") }).await;
    until("a-2 has ended", async || names(&mux).await == ["a-1"]).await;
    assert!(!server.path("x").exists());
}

#[tokio::test]
async fn any_folder_is_started_in_and_none_is_run() {
    let server = Server::new();
    let mux = server.mux();
    for name in
        ["#(touch x)", "#{pid}", "a#[b", "##[c", "###(touch x)", "#", "%H #S", "a;", "it's \"$HOME\"", "ä,b}", "a\nb"]
    {
        let mut spec = server.spec("a-1");
        spec.cwd = server.path(name);
        std::fs::create_dir_all(&spec.cwd).unwrap();
        let opened = mux.open(&spec).await.unwrap();
        words_of(opened.pane_pid, "sh").await;
        assert_eq!(
            std::fs::read_link(format!("/proc/{}/cwd", opened.pane_pid)).unwrap(),
            spec.cwd.canonicalize().unwrap()
        );
        assert!(mux.close("a-1", &spec.tags).await.unwrap());
    }
    let shell_code_ran = |folder: PathBuf| folder.join("x").exists();
    assert!(!shell_code_ran(server.dir.path().to_owned()) && !shell_code_ran(server.path("#(touch x)")));
    assert!(!shell_code_ran("/".into()) && !shell_code_ran(std::env::current_dir().unwrap()));

    let missing = SessionSpec { cwd: server.path("nowhere"), ..server.spec("a-1") };
    assert!(matches!(server.mux().open(&missing).await, Err(MuxError::Invalid(_))));
}

#[tokio::test]
async fn panes_get_what_the_spec_lists_and_nothing_of_our_environment() {
    let server = Server::new();
    let mux = server.mux();
    let env = vec![("ORCH_AGENT".to_owned(), "a-1;".to_owned()), ("OTHER".to_owned(), "#(touch x) $HOME".to_owned())];
    let opened = mux.open(&SessionSpec { env, ..server.spec("a-1") }).await.unwrap();
    words_of(opened.pane_pid, "sh").await;
    let environment = std::fs::read(format!("/proc/{}/environ", opened.pane_pid)).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    let has = |variable: &str| environment.split('\0').any(|have| have == variable);
    assert!(has("ORCH_AGENT=a-1;") && has("OTHER=#(touch x) $HOME"), "{environment}");
    // Whatever else is in our environment stands for a secret in a supervisor's: cargo alone sets a dozen. tmux and the
    // shell set the excepted ones themselves.
    let global = server.says(&["show-environment", "-g"]);
    let kept = |key: &str| process::is_passed_on(key.as_ref()) || ["PWD", "OLDPWD", "SHLVL", "_"].contains(&key);
    let others: Vec<String> =
        std::env::vars().filter(|(key, _)| !kept(key)).map(|(key, value)| format!("{key}={value}")).collect();
    assert!(!others.is_empty());
    for other in others {
        assert!(!has(&other) && !global.lines().any(|line| line == other), "{other}");
    }
}
