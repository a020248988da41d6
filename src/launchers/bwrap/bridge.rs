//! The inner end of the way out of a sandbox: the sockets on which its first process listens, and the variables that
//! direct programs to them.
//!
//! A program that does not support proxies still reaches the destinations of its role on this machine: the sandbox's
//! own loopback device has the same ports, and a connection to one of them is a tunnel of the proxy. So addresses of
//! the loopback device need no proxy, and a server that the program itself starts there (the tests of a project) is
//! reached directly.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixStream},
};

use super::proxy::read_head;

/// The addresses that programs reach without the proxy.
const LOCAL: &str = "localhost,127.0.0.1,::1";

/// What the first process of a sandbox serves.
pub(super) struct Bridge {
    /// Where programs find the proxy.
    proxy: SocketAddr,
    /// Whether all destinations on the loopback device can be reached without it.
    is_local_direct: bool,
}

impl Bridge {
    /// Listens on the loopback device of the sandbox, and connects each client to the proxy's socket. `local` are the
    /// destinations of the role on this machine, as `host:port`.
    ///
    /// # Errors
    /// No socket can be made.
    pub fn serve(socket: PathBuf, local: &[String]) -> io::Result<Bridge> {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let proxy = listener.local_addr()?;
        let mut ports = Vec::new();
        let mut is_local_direct = true;
        for place in local {
            // A port below 1024 can't be had. It is reached through the proxy.
            match listeners(place) {
                Ok(listeners) => ports.extend(listeners.into_iter().map(|listener| (listener, place.clone()))),
                Err(_) => is_local_direct = false,
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async move {
                for (listener, place) in ports {
                    tokio::spawn(connect_all(listener, socket.clone(), Some(place)));
                }
                connect_all(listener, socket, None).await;
            });
        });
        Ok(Bridge { proxy, is_local_direct })
    }

    /// Returns the variables by which programs find the proxy. Node's own client looks at them only with NODE_USE_ENV_PROXY.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let proxy = format!("http://{}", self.proxy);
        let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
            .map(|name| (name, proxy.clone()));
        let without = if self.is_local_direct { LOCAL } else { "" };
        let without = ["NO_PROXY", "no_proxy"].map(|name| (name, without.to_owned()));
        names.into_iter().chain(without).chain([("NODE_USE_ENV_PROXY", "1".to_owned())]).collect()
    }
}

/// Listens where a program looks for a destination on this machine.
fn listeners(place: &str) -> io::Result<Vec<std::net::TcpListener>> {
    let (host, port) = place.rsplit_once(':').ok_or(io::ErrorKind::InvalidInput)?;
    let port = port.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => Ok(vec![listen(SocketAddr::new(address, port))?]),
        Err(_) => {
            let first = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
            // A machine may have no IPv6.
            let second = listen(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
            Ok([Some(first), second.ok()].into_iter().flatten().collect())
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connects the clients of a listener to the proxy, or through it to this destination.
async fn connect_all(listener: std::net::TcpListener, socket: PathBuf, place: Option<String>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let (socket, place) = (Arc::new(socket), place.map(Arc::new));
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let (socket, place) = (socket.clone(), place.clone());
                tokio::spawn(async move {
                    let _ = connect(client, &socket, place.as_ref().map(|place| place.as_str())).await;
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connect(mut client: TcpStream, socket: &Path, place: Option<&str>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut proxy = UnixStream::connect(socket).await?;
    if let Some(place) = place {
        proxy.write_all(format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n").as_bytes()).await?;
        let Some((head, rest)) = read_head(&mut proxy).await? else { return Ok(()) };
        if !head.starts_with(b"HTTP/1.1 200") {
            return Ok(());
        }
        client.write_all(&rest).await?;
    }
    copy_bidirectional(&mut client, &mut proxy).await.map(drop)
}
