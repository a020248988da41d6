//! What a role grants to the programs in its sandbox: hosts and folders; and what is said where that cannot be.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use super::sandbox::{BOXED, as_each_user, run};
use crate::common::World;

/// A server on the loopback device that answers every request with its name. Returns its port.
fn server(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut read = [0; 1024];
            let _ = client.read(&mut read);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", name.len());
            let _ = client.write_all(format!("{head}{name}").as_bytes());
        }
    });
    port
}

/// A script that sends one request to `place` (or to the proxy, with `%s` for it) and prints the answer.
fn ask(place: &str, request: &str) -> String {
    format!(
        "perl -MIO::Socket::INET -e '$p = {place}; $p =~ s|http://||; $s = IO::Socket::INET->new($p) or die \"no way: $!\\n\"; \
         print $s \"{request}\"; local $/; print <$s>'"
    )
}

#[test]
fn the_network_of_a_role_is_none_or_what_it_names() {
    let (permitted, other) = (server("permitted"), server("other"));
    let tables = format!(
        "[roles.none]\ndriver = \"shell\"\nsandbox = \"bwrap\"\nnetwork = \"none\"\n\
         [roles.some]\ndriver = \"shell\"\nsandbox = \"bwrap\"\nnetwork = [\"127.0.0.1:{permitted}\"]\n{BOXED}"
    );
    as_each_user(&tables, |world| {
        world.start();
        let direct = ask(&format!("\"127.0.0.1:{permitted}\""), "GET / HTTP/1.0\\r\\n\\r\\n");
        assert!(run(world, "boxed", &direct).1.ends_with("permitted"), "all");
        assert!(run(world, "some", &direct).1.ends_with("permitted"), "named, on this machine: the same port");
        let unnamed = ask(&format!("\"127.0.0.1:{other}\""), "GET / HTTP/1.0\\r\\n\\r\\n");
        for (role, request) in [("none", &direct), ("none", &unnamed), ("some", &unnamed)] {
            let (_, text) = run(world, role, request);
            assert!(text.contains("no way"), "{role}: {text}");
        }
        let own = "perl -MIO::Socket::INET -e '$l = IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1\"); $p = $l->sockport; \
                   if (fork) { print $l->accept->getline } else { IO::Socket::INET->new(\"127.0.0.1:$p\")->print(\"own\\n\") }'";
        for role in ["none", "some"] {
            assert!(run(world, role, own).1.ends_with("own\n"), "{role}: a server of its own is reached");
        }
        assert!(run(world, "some", "echo $NO_PROXY").1.contains("127.0.0.1"), "and needs no proxy");
        let through = |request: &str| run(world, "some", &ask("$ENV{HTTPS_PROXY}", request)).1;
        let tunnel = format!("CONNECT 127.0.0.1:{permitted} HTTP/1.1\\r\\n\\r\\nGET / HTTP/1.0\\r\\n\\r\\n");
        assert!(through(&tunnel).ends_with("permitted"), "by a tunnel: {}", through(&tunnel));
        let plain = format!("GET http://127.0.0.1:{permitted}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n");
        assert!(through(&plain).ends_with("permitted"), "as a plain request: {}", through(&plain));
        for place in [format!("127.0.0.1:{other}"), format!("localhost:{permitted}"), format!("127.0.0.2:{permitted}")]
        {
            let text = through(&format!("CONNECT {place} HTTP/1.1\\r\\n\\r\\n"));
            assert!(text.starts_with("HTTP/1.1 403"), "{place}: {text}");
        }
        let refused = world.events_of("agent.network_refused");
        assert!(refused[0]["reason"].as_str().unwrap().contains(&format!("127.0.0.1:{other}")), "{refused:#?}");
        world.orch(&["stop"]).ok();
    });
}

#[test]
fn a_role_whose_sandbox_cannot_be_made_is_not_started_and_says_why() {
    let world = World::builder()
        .tables(
            "[roles.boxed]\ndriver = \"shell\"\nsandbox = \"bwrap\"\ncwd = \"..\"\n[roles.open]\ndriver = \"shell\"",
        )
        .build();
    world.start();
    let id = world.delegate("boxed", "touch ~/ran");
    run(&world, "open", "true");
    assert_eq!(world.show(&id)["state"], "ready");
    let why = world.orch(&["why", &id]).stdout;
    assert!(why.contains("home folder") && why.contains("set cwd under [roles.boxed]"), "{why}");
    let doctor = world.orch(&["doctor"]);
    assert!(doctor.stdout.contains("a sandbox cannot have"), "{doctor:#?}");
    assert!(!world.path.join("ran").exists());
}

#[test]
fn a_role_sees_the_folders_that_it_names_and_cannot_change_them() {
    let tables =
        "[roles.boxed]\ndriver = \"shell\"\nsandbox = \"bwrap\"\nmax = 1\nsandbox_read = [\"~/.rustup\", \"~/later\"]";
    as_each_user(tables, |world| {
        fs::create_dir_all(world.path.join(".rustup/toolchains")).unwrap();
        fs::write(world.path.join(".rustup/toolchains/stable"), "1.88").unwrap();
        fs::write(world.path.join("beside"), "x").unwrap();
        world.give_to_user();
        world.start();
        let script = "cat ~/.rustup/toolchains/stable; echo; ls -A ~ | grep -v project; echo x > ~/.rustup/new || echo read-only";
        let (_, text) = run(world, "boxed", script);
        assert!(text.starts_with("1.88\n") && text.contains("read-only"), "{text}");
        assert!(!text.contains("beside") && !world.path.join(".rustup/new").exists(), "{text}");
        let doctor = world.orch(&["doctor"]).stdout;
        assert!(doctor.contains("sandbox_read names what does not exist") && doctor.contains("/later"), "{doctor}");

        // A link that leads to what no sandbox shows: the role is not started, and says why.
        fs::create_dir(world.path.join(".ssh")).unwrap();
        std::os::unix::fs::symlink(world.path.join(".ssh"), world.path.join("later")).unwrap();
        world.give_to_user();
        let doctor = world.orch(&["doctor"]).stdout;
        assert!(doctor.contains("its sandbox cannot show") && doctor.contains("keys or logins"), "{doctor}");
        let id = world.delegate("boxed", "ls ~/later && touch seen");
        world.wait_until("it says why", || {
            let why = world.orch(&["why", &id]).stdout;
            why.contains("cannot show") && why.contains("sandbox_read")
        });
        assert!(!world.project.join("seen").exists());
        world.orch(&["stop"]).ok();
    });
}

#[test]
fn doctor_names_the_folders_of_path_that_no_sandbox_shows() {
    let world = World::builder()
        .tables(&format!(
            "{BOXED}[roles.away]\ndriver = \"shell\"\nsandbox = \"bwrap\"\nenv = {{ PATH = \"/usr/bin:/bin\" }}"
        ))
        .build();
    let path = format!("{}:/usr/bin:/bin", world.path.display());
    let mut doctor = world.command(env!("CARGO_BIN_EXE_orch"));
    let output = doctor.env("PATH", path).arg("doctor").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = format!("its sandbox does not show {}, which is on PATH", world.path.display());
    assert_eq!(text.matches(&said).count(), 1, "of boxed and not of away: {text}");
}
