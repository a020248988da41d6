//! Panes: looked at, and typed into.

use super::*;

/// A program that keeps all that is typed, byte by byte, in the file `typed-NAME`, and asks for bracketed pastes.
fn keeper(server: &Server, name: &str) -> SessionSpec {
    let script = format!("printf '\\033[?2004hready'; stty raw -echo; exec cat >typed-{name}");
    SessionSpec { argv: ["sh", "-c", &script].map(Into::into).to_vec(), ..server.spec(name) }
}

fn typed(server: &Server, name: &str) -> String {
    String::from_utf8(std::fs::read(server.path(&format!("typed-{name}"))).unwrap_or_default()).unwrap()
}

/// Its pane, once it reads.
async fn reading(server: &Server, mux: &TmuxMux, spec: &SessionSpec) -> String {
    let pane = mux.open(spec).await.unwrap().pane_id;
    let file = server.path(&format!("typed-{}", spec.name));
    until("it reads", async || file.exists() && mux.screen(&pane).await.unwrap().text == "ready").await;
    pane
}

#[tokio::test]
async fn a_line_arrives_as_it_is_and_enter_apart_from_it() {
    let server = Server::new();
    let mux = server.mux();
    let spec = keeper(&server, "a-1");
    let pane = reading(&server, &mux, &spec).await;
    let mut expected = String::new();
    for text in ["hello", "a;", ";", "#(touch x) #{pid} %H", "ä 漢 🦀", "-t '\"$HOME\" ~ {}", &"x".repeat(1000)] {
        assert!(mux.paste(&pane, &spec.tags, text).await.unwrap(), "{text}");
        assert!(mux.press_enter(&pane, &spec.tags).await.unwrap(), "{text}");
        expected += &format!("\u{1b}[200~{text}\u{1b}[201~\r");
        until("it has arrived", async || typed(&server, "a-1").len() >= expected.len()).await;
        assert_eq!(typed(&server, "a-1"), expected);
    }
    assert_eq!(server.says(&["list-buffers"]), "");
    assert!(!server.path("x").exists());
}

#[tokio::test]
async fn nothing_is_typed_where_we_are_not_at_home() {
    let server = Server::new();
    let mux = server.mux();
    let (ours, other) = (keeper(&server, "a-1"), keeper(&server, "a-10"));
    let (pane, others) = (reading(&server, &mux, &ours).await, reading(&server, &mux, &other).await);
    server.says(&["new-session", "-d", "-s", "person", "cat"]);
    let foreign = server.says(&["display-message", "-p", "-t", "=person:", "#{pane_id}"]);
    let split = server.says(&["split-window", "-P", "-F", "#{pane_id}", "-t", "=a-1:", "cat"]);
    let later = Tags { incarnation: "host/boot/9-9".into(), ..ours.tags.clone() };
    for (pane, tags) in [
        (&foreign, &ours.tags),
        (&split, &ours.tags),
        (&others, &ours.tags),
        (&pane, &later),
        (&"%99".to_owned(), &ours.tags),
    ] {
        assert_eq!(mux.paste(pane, tags, "hello").await, Ok(false), "{pane} {tags:?}");
        assert_eq!(mux.press_enter(pane, tags).await, Ok(false), "{pane} {tags:?}");
    }
    // What comes later has come after all that.
    assert_eq!(mux.paste(&pane, &ours.tags, "mine").await, Ok(true));
    until("it has arrived", async || typed(&server, "a-1").contains("mine")).await;
    assert_eq!(typed(&server, "a-1"), "\u{1b}[200~mine\u{1b}[201~");
    assert_eq!(typed(&server, "a-10"), "");
    for untouched in [&foreign, &split] {
        assert_eq!(mux.screen(untouched).await.unwrap().text, "");
    }
    assert_eq!(server.says(&["list-buffers"]), "", "refused, and nothing left");
}

#[tokio::test]
async fn what_can_mean_more_than_a_line_is_refused() {
    let server = Server::new();
    let mux = server.mux();
    let spec = keeper(&server, "a-1");
    let pane = reading(&server, &mux, &spec).await;
    for text in ["", "!ls", "/exit", "a\nb", "\u{1b}[201~", &"x".repeat(1001)] {
        assert!(matches!(mux.paste(&pane, &spec.tags, text).await, Err(MuxError::Invalid(_))), "{text:?}");
    }
    for pane in ["a-1", "=a-1:", "%0;", ""] {
        assert!(matches!(mux.paste(pane, &spec.tags, "hello").await, Err(MuxError::Invalid(_))), "{pane}");
        assert!(matches!(mux.screen(pane).await, Err(MuxError::Invalid(_))), "{pane}");
    }
    assert_eq!(typed(&server, "a-1"), "");
}

/// tmux 3.3a crashes on pasting into a pane whose process has ended, and every session goes with it.
#[tokio::test]
async fn a_dead_pane_is_left_alone() {
    let server = Server::new();
    let mux = server.mux();
    let spec = keeper(&server, "a-1");
    let pane = reading(&server, &mux, &spec).await;
    server.says(&["set-option", "-w", "-t", "=a-1:", "remain-on-exit", "on"]);
    server.says(&["respawn-pane", "-k", "-t", &pane, "true"]);
    until("it is dead", async || server.says(&["list-panes", "-a", "-F", "#{pane_dead}"]) == "1").await;
    assert_eq!(mux.paste(&pane, &spec.tags, "hello").await, Ok(false));
    assert_eq!(mux.press_enter(&pane, &spec.tags).await, Ok(false));
    assert_eq!((names(&mux).await, server.says(&["list-buffers"])), (vec!["a-1".into()], String::new()));
}

#[tokio::test]
async fn enter_reaches_the_program_and_nobody_else() {
    let server = Server::new();
    let mux = server.mux();
    let spec = keeper(&server, "a-1");
    let pane = reading(&server, &mux, &spec).await;
    let beside = server.says(&["split-window", "-P", "-F", "#{pane_id}", "-t", "=a-1:", "stty raw -echo; cat -v"]);
    server.says(&["set-option", "-w", "-t", "=a-1:", "synchronize-panes", "on"]);
    server.says(&["copy-mode", "-t", &pane]);
    assert!(mux.press_enter(&pane, &spec.tags).await.unwrap());
    until("it has arrived", async || typed(&server, "a-1") == "\r").await;
    let mode = server.says(&["display-message", "-p", "-t", &pane, "#{pane_in_mode}"]);
    assert_eq!(mode, "1", "a person goes on reading");
    assert_eq!(mux.screen(&beside).await.unwrap().text, "");
}

#[tokio::test]
async fn a_pane_shows_its_title_and_its_visible_lines() {
    let server = Server::new();
    let mux = server.mux();
    assert_eq!(mux.screen("%0").await, Err(MuxError::Gone));
    let script = "printf '\\033]2;%%H #(touch x) \\342\\227\\220;\\007'; seq 1 200; printf '\\033[31morch:screen ä\\n'; read line";
    let argv = ["sh", "-c", script].map(Into::into).to_vec();
    let pane = mux.open(&SessionSpec { argv, ..server.spec("a-1") }).await.unwrap().pane_id;
    let shown = async || mux.screen(&pane).await.unwrap();
    until("it shows its last line", async || shown().await.text.ends_with("orch:screen ä")).await;
    let screen = shown().await;
    assert_eq!(screen.title, "%H #(touch x) ◐;");
    let lines: Vec<&str> = screen.text.lines().collect();
    // The spec's 24 rows, of which the last one is the cursor's.
    assert_eq!((lines.len(), lines[0]), (23, "179"), "{lines:?}");
    assert_eq!((screen.last_typed, screen.last_attached), (None, None), "nobody is attached");
    assert_eq!(mux.screen("%99").await, Err(MuxError::NoPane("%99".into())));
    assert!(!server.path("x").exists());
}

#[tokio::test]
async fn a_person_who_types_is_noticed_and_a_program_that_prints_is_none() {
    let (server, desk) = (Server::new(), Server::new());
    let mux = server.mux();
    let argv = ["sh", "-c", "while sleep 0.1; do echo x; done"].map(Into::into).to_vec();
    let pane = mux.open(&SessionSpec { argv, ..server.spec("a-1") }).await.unwrap().pane_id;
    // Somebody else's keyboard.
    mux.open(&server.spec("a-2")).await.unwrap();
    let attach = mux.attach_command("a-1", None);
    let mut words = vec!["new-session", "-d", "-s", "desk", "--", "env", "-u", "TMUX"];
    words.push(attach.get_program().to_str().unwrap());
    words.extend(attach.get_args().map(|word| word.to_str().unwrap()));
    desk.says(&words);
    let screen = async || mux.screen(&pane).await.unwrap();
    let quiet = Duration::from_secs(2);
    until("they have attached a while ago", async || screen().await.last_attached.is_some_and(|ago| ago > quiet)).await;
    assert_eq!(screen().await.last_typed, None, "who attaches only looks on");
    desk.says(&["send-keys", "-t", "=desk:", "x"]);
    until("they have typed", async || screen().await.last_typed.is_some_and(|ago| ago < quiet)).await;
}
