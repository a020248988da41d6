//! The way out of a sandbox whose role may reach a list of destinations.
//!
//! ```text
//!   program ── 127.0.0.1:PORT ── first process of the sandbox ── unix socket ── proxy in the runner ── destination
//! ```
//!
//! The sandbox has a network of its own with nothing but a loopback device. Its first process listens there
//! ([`super::bridge`]), and the usual variables tell programs that this is an HTTP proxy. The proxy itself ([`Proxy`])
//! is outside, and no program can bypass it. It permits exactly what the list names, and reports what it refused.
//!
//! A name in the list that resolves to the machine itself is refused: an address of the loopback device or a
//! link-local one (where clouds serve the credentials of a machine) must be listed as such.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinHandle,
    time::timeout,
};

use crate::model::{network::Network, suggest::printable};

/// The longest head of a request or response.
const LONGEST_HEAD: usize = 64 * 1024;
/// A client has this long to send it, and a destination to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at the same time; further ones wait.
const CONNECTIONS: usize = 256;
/// Refused destinations that are reported. A program that tries more is looking for a way out.
const REPORTED: usize = 20;

/// The proxy of one attempt. It ends when this is dropped, and with it all of its connections.
#[derive(Debug)]
pub struct Proxy {
    socket: PathBuf,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Serves a proxy on a socket of this path, to which no other user can connect. `refused` is called with each destination
    /// that was refused, once.
    ///
    /// # Errors
    /// The socket can't be made.
    pub fn serve(socket: &Path, network: Network, refused: impl Fn(&str) + Send + Sync + 'static) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket)?;
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
        let rules = Arc::new(Rules { network, reported: Mutex::default(), refused: Box::new(refused) });
        let task = tokio::spawn(async move {
            let slots = Arc::new(Semaphore::new(CONNECTIONS));
            // Dropped with this task, and then all are ended.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok(slot) = slots.clone().acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((client, _)) => {
                        let rules = rules.clone();
                        connections.spawn(async move {
                            let _slot = slot;
                            let _ = serve(client, &rules).await;
                        });
                    }
                    // No descriptors are left.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Proxy { socket: socket.to_owned(), task })
    }

    /// Returns the path of its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.socket);
    }
}

struct Rules {
    network: Network,
    reported: Mutex<BTreeSet<String>>,
    refused: Box<dyn Fn(&str) + Send + Sync>,
}

impl Rules {
    fn report(&self, host: &str, port: u16, why: &str) {
        let what = printable(&format!("{host}:{port}{why}"));
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.len() < REPORTED && reported.insert(what.clone()) {
            (self.refused)(&what);
        }
    }
}

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    host: String,
    port: u16,
    /// What the destination gets first; `None` for a tunnel.
    head: Option<Vec<u8>>,
}

async fn serve(mut client: UnixStream, rules: &Rules) -> io::Result<()> {
    let (head, rest) = match timeout(PATIENCE, read_head(&mut client)).await {
        Ok(Ok(Some(read))) => read,
        _ => return Ok(()),
    };
    let Some(request) = parse(&head) else {
        return answer(&mut client, "400 Bad Request", "this proxy takes CONNECT host:port and http:// only").await;
    };
    let Request { host, port, head } = request;
    if !rules.network.permits(&host, port) {
        rules.report(&host, port, "");
        let why = format!("{host}:{port} is not in the network of this role");
        return answer(&mut client, "403 Forbidden", &why).await;
    }
    let found = match timeout(PATIENCE, addresses(&host, port)).await {
        Ok(Ok(found)) => found,
        _ => return answer(&mut client, "502 Bad Gateway", &format!("{host} cannot be resolved")).await,
    };
    let named = names_itself(&host) && rules.network.names(&host);
    let permitted: Vec<SocketAddr> = found.into_iter().filter(|at| named || !is_own(at.ip())).collect();
    if permitted.is_empty() {
        rules.report(&host, port, " (an address of this machine)");
        return answer(&mut client, "403 Forbidden", &format!("{host} is an address of this machine")).await;
    }
    let mut server = match timeout(PATIENCE, TcpStream::connect(permitted.as_slice())).await {
        Ok(Ok(server)) => server,
        _ => return answer(&mut client, "502 Bad Gateway", &format!("{host}:{port} cannot be reached")).await,
    };
    server.set_nodelay(true)?;
    let Some(head) = head else {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        server.write_all(&rest).await?;
        return copy_bidirectional(&mut client, &mut server).await.map(drop);
    };
    server.write_all(&head).await?;
    server.write_all(&rest).await?;
    exchange(client, server).await
}

/// Passes on the rest of one request, and the response.
async fn exchange(mut client: UnixStream, mut server: TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let request = async {
        // A server may answer before it has read everything.
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
        std::future::pending::<io::Result<()>>().await
    };
    let response = async {
        let mut read = Vec::new();
        loop {
            let Some((head, rest)) = read_on(&mut from_server, read).await? else { return Ok(()) };
            if !head.starts_with(b"HTTP/1.1 1") {
                to_client.write_all(&closing(head)).await?;
                to_client.write_all(&rest).await?;
                tokio::io::copy(&mut from_server, &mut to_client).await?;
                return to_client.shutdown().await;
            }
            to_client.write_all(&head).await?;
            read = rest;
        }
    };
    tokio::select! { ended = request => ended, ended = response => ended }
}

/// Returns the head of a response with the word that the connection ends with it, whatever the server says: a client's next
/// request could be for another host.
fn closing(head: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&head) else { return head };
    let fields = text.split("\r\n").filter(|field| {
        let name = field.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !field.is_empty() && !["connection", "keep-alive", "proxy-connection"].contains(&name.as_str())
    });
    let kept: String = fields.map(|field| format!("{field}\r\n")).collect();
    format!("{kept}Connection: close\r\n\r\n").into_bytes()
}

/// Reads up to the empty line; what comes after it is returned too. `None`: the other side left, or sent too much.
pub(super) async fn read_head(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    read_on(from, Vec::with_capacity(1024)).await
}

/// Reads a head whose beginning was read already.
async fn read_on(from: &mut (impl AsyncRead + Unpin), mut read: Vec<u8>) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Ok(Some((read, rest)));
        }
        if read.len() >= LONGEST_HEAD || from.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    }
}

async fn answer(client: &mut (impl AsyncWrite + Unpin), status: &str, why: &str) -> io::Result<()> {
    let why = format!("orch: {}\n", printable(why));
    let length = why.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n");
    client.write_all(format!("{head}Connection: close\r\n\r\n{why}").as_bytes()).await?;
    client.shutdown().await
}

/// Reads the head of a request: a tunnel, or a request for an address with `http://`.
fn parse(head: &[u8]) -> Option<Request> {
    let head = std::str::from_utf8(head).ok()?;
    let (line, fields) = head.split_once("\r\n")?;
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !version.starts_with("HTTP/1.") || line.contains(char::is_control) {
        return None;
    }
    if method == "CONNECT" {
        let (host, port) = authority(target, None)?;
        return Some(Request { host, port, head: None });
    }
    let rest = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")).map(|_| &target[7..])?;
    let (place, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = authority(place, Some(80))?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    // One request for each connection: a further one could be for another host.
    let is_kept = |field: &&str| {
        let name = field.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !field.is_empty() && !["proxy-connection", "proxy-authorization", "connection"].contains(&name.as_str())
    };
    let fields: String = fields.split("\r\n").filter(is_kept).map(|field| format!("{field}\r\n")).collect();
    let head = format!("{method} {slash}{path} {version}\r\n{fields}Connection: close\r\n\r\n");
    Some(Request { host, port, head: Some(head.into_bytes()) })
}

/// Reads a host and a port. A user's name in it is refused: what is before an `@` is no host.
fn authority(text: &str, default: Option<u16>) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
    is_host.then(|| host.to_owned()).zip(port.or(default))
}

async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

/// Reports whether a host is written as an address, or as the name that always is one of this machine.
fn names_itself(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok() || host.trim_end_matches('.').eq_ignore_ascii_case("localhost")
}

/// Reports whether an address leads to this machine or stays on its link.
fn is_own(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()
        }
        IpAddr::V6(v6) => match inner(v6) {
            Some(v4) => is_own(v4),
            None => v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local(),
        },
    }
}

/// Returns the address of version 4 that one of version 6 stands for: mapped (`::ffff:`), or of a NAT64 (`64:ff9b::`).
fn inner(v6: Ipv6Addr) -> Option<IpAddr> {
    let mapped = v6.to_ipv4_mapped();
    let [a, b, 0, 0, 0, 0, ..] = v6.segments() else { return mapped.map(IpAddr::V4) };
    let [.., w, x, y, z] = v6.octets();
    let translated = ((a, b) == (0x64, 0xff9b)).then(|| std::net::Ipv4Addr::new(w, x, y, z));
    mapped.or(translated).map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that keeps its connections open and answers every request with what it was asked.
    async fn server() -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while let Ok(Some((head, _))) = read_head(&mut client).await {
                        let line = String::from_utf8(head).unwrap().lines().next().unwrap().to_owned();
                        let answer = format!(
                            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: \
                             {}\r\n\r\n{line}",
                            line.len()
                        );
                        client.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn a_plain_request_has_its_connection_to_itself() {
        let address = server().await;
        let network = Network::Only(vec![address.to_string().parse().unwrap()]);
        let rules = Rules { network, reported: Mutex::default(), refused: Box::new(|_| {}) };
        let (mut client, proxied) = UnixStream::pair().unwrap();
        let serving = tokio::spawn(async move { serve(proxied, &rules).await });
        client.write_all(format!("GET http://{address}/a HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
        let (interim, rest) = read_head(&mut client).await.unwrap().unwrap();
        assert_eq!(interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        let (head, mut body) = read_on(&mut client, rest).await.unwrap().unwrap();
        assert_eq!(
            String::from_utf8(head).unwrap(),
            "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n"
        );
        while body.len() < 15 {
            client.read_buf(&mut body).await.unwrap();
        }
        assert_eq!(body, b"GET /a HTTP/1.1");
        drop(client);
        serving.await.unwrap().unwrap();
    }
}
