//! A Redis of the user's own that speaks TLS.

use std::{
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use orch::{
    redis_server::find_program,
    store::{Store, Tls},
};

use super::fixture::*;

/// A redis-server with a certificate that an authority of this test has signed.
struct Secure {
    dir: tempfile::TempDir,
    child: Child,
    port: u16,
}

impl Secure {
    fn start() -> Secure {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        let key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = authority.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(authority, key);
        let own_key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let own = own.signed_by(&own_key, &issuer).unwrap();
        for (name, text) in
            [("ca.pem", certificate.pem()), ("own.pem", own.pem()), ("key.pem", own_key.serialize_pem())]
        {
            std::fs::write(file(name), text).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = find_program().unwrap();
        let mut command = Command::new(&program.path);
        command.arg0(program.argv0).args(["--port", "0", "--bind", "127.0.0.1", "--tls-port", &port.to_string()]);
        command.args(["--tls-cert-file", "own.pem", "--tls-key-file", "key.pem", "--tls-ca-cert-file", "ca.pem"]);
        command.args(["--tls-auth-clients", "no", "--save", "", "--requirepass", "open-sesame"]);
        command.current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "the server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Secure { dir, child, port }
    }

    fn store(&self, trusts: bool) -> Store {
        let tls = Tls { ca_file: trusts.then(|| self.dir.path().join("ca.pem")) };
        let url = format!("rediss://:open-sesame@localhost:{}", self.port);
        Store::at_url(&url, tls, "n", Duration::ZERO).unwrap()
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_server_with_tls_is_used_and_verified() {
    let server = Secure::start();
    let store = server.store(true);
    let accepted = store.delegate(&task("x")).await.unwrap();
    assert!(store.task(&accepted.id).await.unwrap().is_some());
    // Subscriptions have a connection of their own.
    store.watch_work(&[accepted.id], &[]).await.unwrap();
    let error = server.store(false).info().await.unwrap_err().to_string();
    assert!(error.contains("certificate") && !error.contains("sesame"), "{error}");
}
