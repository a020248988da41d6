//! Who may do what on the private server, and with which password.

use super::*;

/// Nothing that ends the server, empties it, configures it or reads other namespaces.
#[tokio::test]
async fn a_runner_and_a_person_are_refused_every_dangerous_command() {
    let home = Home::new();
    let (server, _) = home.start().await;
    let dangerous: &[&[&str]] = &[
        &["FLUSHALL"],
        &["FLUSHDB"],
        &["CONFIG", "SET", "appendonly", "no"],
        &["CONFIG", "GET", "*"],
        &["CONFIG", "REWRITE"],
        &["DEBUG", "SLEEP", "0"],
        &["SHUTDOWN", "NOSAVE"],
        &["KEYS", "*"],
        &["SAVE"],
        &["BGSAVE"],
        &["BGREWRITEAOF"],
        &["SLAVEOF", "NO", "ONE"],
        &["REPLICAOF", "127.0.0.1", "1"],
        &["MODULE", "LOAD", "/tmp/x.so"],
        &["ACL", "LIST"],
        &["ACL", "SETUSER", "default", "on", "nopass", "+@all"],
        &["SCRIPT", "FLUSH"],
        &["CLIENT", "KILL", "TYPE", "normal"],
        &["CLIENT", "PAUSE", "1"],
        &["MONITOR"],
        &["SWAPDB", "0", "1"],
        &["SELECT", "1"],
        &["MIGRATE", "127.0.0.1", "1", "k", "0", "1"],
        &["FUNCTION", "FLUSH"],
        &["GET", "orch:{other}:task:1"],
        &["SET", "anything", "x"],
        &["SUBSCRIBE", "orch:{other}:ended:1"],
        &["EVAL", "return redis.call('FLUSHALL')", "0"],
        &["EVAL", "return redis.call('CONFIG', 'SET', 'appendonly', 'no')", "0"],
        &["EVAL", "return redis.call('GET', 'orch:{other}:task:1')", "0"],
    ];
    for user in [User::Runner, User::Person] {
        for command in dangerous {
            let refused = home.call(user, command).await.expect_err(&format!("{user:?}: {command:?}"));
            let said = refused.to_string().to_lowercase();
            assert!(
                ["permission", "noperm", "not allowed", "can't run this command", "can't access"]
                    .iter()
                    .any(|word| said.contains(word)),
                "{user:?}: {command:?}: {refused}"
            );
        }
        home.call(user, &["SET", "orch:{test}:probe", "x"]).await.unwrap();
    }
    assert!(server.is_alive());
}

#[tokio::test]
async fn without_a_password_nothing_is_answered_and_no_password_is_in_argv_environment_or_log() {
    let home = Home::new();
    let (server, _) = home.start().await;
    let plain = format!("redis+unix://{}", home.spec.socket.display());
    let mut connection = redis::Client::open(plain).unwrap().get_multiplexed_async_connection().await.unwrap();
    for command in ["PING", "INFO", "DBSIZE"] {
        let refused = redis::cmd(command).query_async::<redis::Value>(&mut connection).await.unwrap_err();
        assert_eq!(refused.code(), Some("NOAUTH"), "{command}");
    }
    let wrong = format!("redis+unix://{}?user=person&pass=guess", home.spec.socket.display());
    assert!(redis::Client::open(wrong).unwrap().get_multiplexed_async_connection().await.is_err());

    let mut seen = home.run(&["INFO"]).await;
    for file in ["cmdline", "environ"] {
        seen += &String::from_utf8_lossy(&fs::read(format!("/proc/{}/{file}", server.pid)).unwrap());
    }
    for file in ["redis.log", "users.acl"] {
        seen += &fs::read_to_string(home.spec.dir.join(file)).unwrap();
        assert_eq!(fs::metadata(home.spec.dir.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    for user in User::ALL {
        assert!(!seen.contains(&server.access().login(user).password), "{user:?}");
    }
}

#[tokio::test]
async fn the_passwords_outlive_a_crash_and_a_server_with_lost_ones_is_started_again() {
    let home = Home::new();
    let (first, _) = home.start().await;
    home.run(&["SET", "task", "kept"]).await;
    // A transaction in the append-only file, as each transition is.
    let script = "redis.call('SET', KEYS[1] .. 'a', 1) redis.call('SET', KEYS[1] .. 'b', 2)";
    home.call(User::Runner, &["EVAL", script, "1", "orch:{test}:"]).await.unwrap();
    kill_9(&first).await;
    let (second, _) = home.start().await;
    assert_eq!(
        (home.run(&["GET", "orch:{test}:a"]).await, home.run(&["GET", "orch:{test}:b"]).await),
        ("1".into(), "2".into())
    );
    assert_eq!(second.access(), first.access(), "runners use their password again");

    fs::remove_file(home.spec.dir.join("passwords.json")).unwrap();
    let (third, origin) = home.start().await;
    assert_eq!(origin, Origin::Started);
    assert!(!second.is_alive() && third.access() != second.access());
    assert_eq!(home.run(&["GET", "task"]).await, "kept");
}
