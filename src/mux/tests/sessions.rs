//! Sessions: opened, listed, closed, watched, attached to.

use super::*;

#[tokio::test]
async fn sessions_are_opened_listed_and_closed() {
    let server = Server::new();
    let mux = server.mux();
    let spec = server.spec("sonnet-1");
    let opened = mux.open(&spec).await.unwrap();
    let sessions = mux.sessions().await.unwrap();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!(sessions[0].tags.as_ref(), Some(&spec.tags));
    assert_eq!((&sessions[0].pane_id, sessions[0].pane_pid), (&opened.pane_id, Some(opened.pane_pid)));
    assert_eq!(sessions[0].attached, 0);
    assert!(sessions[0].created > 1_600_000_000);
    assert!(mux.close("sonnet-1", &spec.tags).await.unwrap());
    assert_eq!(names(&mux).await, [""; 0]);
    assert!(!mux.close("sonnet-1", &spec.tags).await.unwrap());
}

#[tokio::test]
async fn what_is_not_ours_is_never_closed() {
    let server = Server::new();
    let mux = server.mux();
    let (first, tenth) = (server.spec("agent-1"), server.spec("agent-10"));
    server.says(&["new-session", "-d", "-s", "agent-1", "cat"]);
    mux.open(&tenth).await.unwrap();
    assert_eq!(mux.open(&first).await, Err(MuxError::NameTaken("agent-1".into())));

    // Foreign; a prefix of ours; another run of the same agent; another namespace.
    let later = Tags { incarnation: "host/boot/9-9".into(), ..tenth.tags.clone() };
    let elsewhere = Tags { namespace: "bank".into(), ..tenth.tags.clone() };
    for (name, tags) in [
        ("agent-1", &first.tags),
        ("agent-1", &tenth.tags),
        ("agent", &tenth.tags),
        ("agent-10", &later),
        ("agent-10", &elsewhere),
    ] {
        assert!(!mux.close(name, tags).await.unwrap(), "{name} {tags:?}");
        assert!(!mux.detach_clients(name, tags).await.unwrap(), "{name} {tags:?}");
    }
    let sessions = mux.sessions().await.unwrap();
    let brief: Vec<_> = sessions.iter().map(|s| (s.name.as_str(), s.tags.is_some())).collect();
    assert_eq!(brief, [("agent-1", false), ("agent-10", true)]);
    assert!(matches!(mux.close("=agent-1", &first.tags).await, Err(MuxError::Invalid(_))));
}

#[tokio::test]
async fn a_hundred_sessions_are_opened_and_listed() {
    let server = Server::new();
    let mux = server.mux();
    let mut wanted: Vec<String> = (1..=100).map(|n| format!("agent-{n}")).collect();
    for chunk in wanted.chunks(10) {
        let specs: Vec<_> = chunk.iter().map(|name| server.spec(name)).collect();
        let opened = futures_util::future::join_all(specs.iter().map(|spec| mux.open(spec))).await;
        assert!(opened.iter().all(Result::is_ok), "{opened:?}");
    }
    wanted.sort();
    assert_eq!(names(&mux).await, wanted);
    let closed = server.spec("agent-1");
    assert!(mux.close("agent-1", &closed.tags).await.unwrap());
    assert_eq!(mux.sessions().await.unwrap().len(), 99);
}

fn end(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(pid.try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn the_end_of_a_panes_process_is_told_and_seen_at_once() {
    let server = Server::new();
    let (opener, lister) = (server.mux(), server.mux());
    let mut opened_here = opener.changes();
    opener.open(&server.spec("a-1")).await.unwrap();
    let opened = opener.open(&server.spec("a-2")).await.unwrap();
    let mut listed_here = lister.changes();
    for _ in 0..3 {
        assert_eq!(lister.sessions().await.unwrap().len(), 2);
    }
    end(opened.pane_pid);
    for (mux, changes) in [(&opener, &mut opened_here), (&lister, &mut listed_here)] {
        tokio::time::timeout(Duration::from_secs(20), changes.changed()).await.unwrap().unwrap();
        assert_eq!(*changes.borrow_and_update(), 1, "one process, one change");
        // tmux may not have noticed yet; the woken reader sees the end all the same.
        let alive: Vec<_> = mux.sessions().await.unwrap().into_iter().filter(|s| s.pane_pid.is_some()).collect();
        assert_eq!(alive.len(), 1, "{alive:?}");
        assert_eq!(alive[0].name, "a-1");
    }
    until("a-2 is no longer listed", async || names(&lister).await == ["a-1"]).await;
    assert!(!listed_here.has_changed().unwrap());
}

#[tokio::test]
async fn a_pane_that_a_person_keeps_has_no_process_any_more() {
    let server = Server::new();
    let mux = server.mux();
    let opened = mux.open(&server.spec("a-1")).await.unwrap();
    server.says(&["set-option", "-w", "-t", "=a-1:", "remain-on-exit", "on"]);
    end(opened.pane_pid);
    until("tmux knows", async || server.says(&["list-panes", "-a", "-F", "#{pane_dead}"]) == "1").await;
    let sessions = mux.sessions().await.unwrap();
    assert_eq!((&sessions[0].pane_id, sessions[0].pane_pid), (&opened.pane_id, None));
    assert!(mux.close("a-1", &server.spec("a-1").tags).await.unwrap());
}

/// A control client that comes or goes at a bad moment ends the whole server: see `pane_watch`.
#[tokio::test]
async fn we_attach_nothing_and_add_no_session_of_our_own() {
    let server = Server::new();
    let mux = server.mux();
    let _listening = mux.changes();
    mux.open(&server.spec("a-1")).await.unwrap();
    mux.sessions().await.unwrap();
    assert_eq!(server.says(&["list-clients"]), "");
    assert_eq!(server.says(&["list-sessions", "-F", "#{session_name}"]), "a-1");
}

#[tokio::test]
async fn the_agents_own_pane_is_told_from_a_persons_split() {
    let server = Server::new();
    let mux = server.mux();
    let opened = mux.open(&server.spec("a-1")).await.unwrap();
    server.says(&["split-window", "-b", "-t", "=a-1:", "cat"]);
    let session = mux.sessions().await.unwrap().remove(0);
    assert_eq!((&session.pane_id, session.pane_pid), (&opened.pane_id, Some(opened.pane_pid)));
    server.says(&["kill-pane", "-t", &opened.pane_id]);
    let session = mux.sessions().await.unwrap().remove(0);
    assert_eq!((&session.pane_id, session.pane_pid), (&opened.pane_id, None));
}

#[tokio::test]
async fn a_person_attaches_and_is_detached() {
    let (server, desk) = (Server::new(), Server::new());
    let mux = server.mux();
    let spec = server.spec("a-1");
    mux.open(&spec).await.unwrap();
    // A terminal to attach from: a pane of another server, whose TMUX must not make tmux refuse to nest.
    let desk_socket = desk.path("s").to_str().unwrap().to_owned();
    let attach = mux.attach_command("a-1", Some(format!("{desk_socket},1,0").as_ref()));
    assert!(attach.get_envs().any(|(key, value)| key == "TMUX" && value.is_none()));
    let mut words = vec!["new-session", "-d", "-s", "desk", "--", "env", "-u", "TMUX"];
    words.push(attach.get_program().to_str().unwrap());
    words.extend(attach.get_args().map(|word| word.to_str().unwrap()));
    desk.says(&words);
    let attached = async || mux.sessions().await.unwrap()[0].attached;
    until("the client is attached", async || attached().await == 1).await;
    assert!(mux.detach_clients("a-1", &spec.tags).await.unwrap());
    until("the client is detached", async || attached().await == 0).await;

    let inside = format!("{},4711,0", server.path("s").display());
    let switch = mux.attach_command("a-1", Some(inside.as_ref()));
    assert!(switch.get_args().any(|word| word == "switch-client"));
    assert!(switch.get_envs().next().is_none());
    assert!(mux.attach_command("a-1", None).get_args().any(|word| word == "=a-1"));
}

#[tokio::test]
async fn a_persons_options_and_hooks_do_not_change_ours() {
    let server = Server::new();
    let config = "set -g remain-on-exit on\nset -g destroy-unattached on\nset -g exit-unattached off\nset -g base-index 5\n\
                  set -g detach-on-destroy off\nset-hook -g after-set-option 'display-message -p hooked'\n\
                  set-hook -g after-new-session 'display-message -p hooked'\n\
                  set-hook -g after-list-panes 'display-message -p hooked'\n\
                  set-hook -g after-if-shell 'display-message -p hooked'\n\
                  set -g default-command 'exit 1'\n";
    std::fs::write(server.path("tmux.conf"), config).unwrap();
    let mux = server.mux();
    let opened = mux.open(&server.spec("a-1")).await.unwrap();
    mux.open(&server.spec("a-2")).await.unwrap();
    assert_eq!(names(&mux).await, ["a-1", "a-2"]);
    end(opened.pane_pid);
    until("a-1 goes with its process", async || names(&mux).await == ["a-2"]).await;
    assert!(!mux.close("a-2", &server.spec("a-3").tags).await.unwrap());
    assert!(mux.close("a-2", &server.spec("a-2").tags).await.unwrap());
    assert_eq!(names(&mux).await, [""; 0]);
}

#[tokio::test]
async fn the_status_line_shows_a_text_as_it_is_and_then_the_users_own_again() {
    let server = Server::new();
    let mux = server.mux();
    let spec = server.spec("sonnet-1");
    mux.open(&spec).await.unwrap();
    server.says(&["new-session", "-d", "-s", "mine", "cat"]);
    let option =
        |session: &str, name: &str| server.says(&["show-options", "-v", "-q", "-t", &format!("={session}:"), name]);
    let marker = server.path("marker");
    let text = format!("it's #(touch {}) #[fg=red] 100%H \"$HOME\" \\ ; a\nb #{{pane_id}}", marker.display());
    assert!(mux.set_status_line("sonnet-1", &spec.tags, Some(&text)).await.unwrap());
    // A client draws `##` as `#`.
    assert_eq!(option("sonnet-1", "@orch-asks").replace("##", "#"), text.replace('\n', " "));
    let drawn = server.says(&["display-message", "-p", "-t", "=sonnet-1:", "#{T:status-format[0]}"]);
    assert_eq!(drawn.replace("##", "#"), format!("#[fill=yellow,fg=black,bg=yellow] {}", text.replace('\n', " ")));
    assert!(!marker.exists(), "it was run as a command");

    let other = Tags { incarnation: "another".into(), ..spec.tags.clone() };
    assert!(!mux.set_status_line("sonnet-1", &other, None).await.unwrap());
    assert!(!mux.set_status_line("mine", &spec.tags, Some("x")).await.unwrap());
    assert_eq!(option("mine", "@orch-asks"), "");
    assert_ne!(option("sonnet-1", "@orch-asks"), "");

    assert!(mux.set_status_line("sonnet-1", &spec.tags, None).await.unwrap());
    assert_eq!((option("sonnet-1", "@orch-asks"), option("sonnet-1", "status-format")), (String::new(), String::new()));
}
