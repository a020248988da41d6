//! The destinations that a role's programs may reach.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use super::suggest::printable;

/// The longest name in the DNS (RFC 1035).
const LONGEST_HOST: usize = 253;

/// The key `network` of a role.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Whatever the machine reaches.
    #[default]
    All,
    /// Nothing.
    None,
    /// These destinations.
    Only(Vec<Destination>),
}

impl Network {
    /// Returns whether everything that these reach is reached by `other` too.
    pub fn is_within(&self, other: &Network) -> bool {
        match (self, other) {
            (Network::None, _) | (_, Network::All) => true,
            (Network::All, _) | (_, Network::None) => false,
            (Network::Only(mine), Network::Only(theirs)) => {
                mine.iter().all(|mine| theirs.iter().any(|theirs| theirs.covers(mine)))
            }
        }
    }

    /// Returns whether a program may connect to this host and port.
    pub fn permits(&self, host: &str, port: u16) -> bool {
        match self {
            Network::All => true,
            Network::None => false,
            Network::Only(list) => list.iter().any(|destination| destination.matches(host, port)),
        }
    }

    /// Returns the destinations on the loopback device, by the addresses that every machine has there, as `host:port`.
    pub fn on_the_loopback_device(&self) -> Vec<String> {
        let Network::Only(list) = self else { return Vec::new() };
        let is_local = |d: &&Destination| !d.with_subdomains && ["localhost", "127.0.0.1", "::1"].contains(&&*d.host);
        list.iter().filter(is_local).map(Destination::to_string).collect()
    }

    /// Returns whether the list names this host itself, not only by a `*.domain`.
    pub fn names(&self, host: &str) -> bool {
        let host = bare(host);
        matches!(self, Network::Only(list) if list.iter().any(|d| !d.with_subdomains && d.host == host))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::All => f.write_str("all"),
            Network::None => f.write_str("none"),
            Network::Only(list) => {
                let list: Vec<String> = list.iter().map(Destination::to_string).collect();
                f.write_str(&list.join(", "))
            }
        }
    }
}

/// A host, or all hosts below a domain, and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Destination {
    /// A name in lower case, or an address without brackets.
    host: String,
    /// Whether the hosts below `host` are meant, and not `host` itself.
    with_subdomains: bool,
    port: u16,
}

impl Destination {
    fn matches(&self, host: &str, port: u16) -> bool {
        let host = bare(host);
        let is_host = match self.with_subdomains {
            true => host.strip_suffix(&self.host).is_some_and(|below| below.len() > 1 && below.ends_with('.')),
            false => host == self.host,
        };
        is_host && port == self.port
    }

    fn covers(&self, other: &Destination) -> bool {
        match other.with_subdomains {
            true => {
                self.with_subdomains && self.port == other.port && {
                    self.host == other.host
                        || other.host.strip_suffix(&self.host).is_some_and(|below| below.ends_with('.'))
                }
            }
            false => self.matches(&other.host, other.port),
        }
    }
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("'{}' {why}: write \"host:443\" or \"*.domain:443\"", printable(text));
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("names no port"))?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("has no port from 1 to 65535"))?;
        let (with_subdomains, host) = host.strip_prefix("*.").map_or((false, host), |domain| (true, domain));
        let host = bare(host);
        let is_name = !host.is_empty()
            && host.len() <= LONGEST_HOST
            && host.split('.').all(|label| {
                let is_part = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
                !label.is_empty() && label.len() <= 63 && label.bytes().all(is_part)
            });
        if !is_name && host.parse::<IpAddr>().is_err() || with_subdomains && host.parse::<IpAddr>().is_ok() {
            return Err(wrong("names no host"));
        }
        Ok(Destination { host, with_subdomains, port })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.with_subdomains { "*." } else { "" };
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{star}{}:{}", self.host, self.port),
        }
    }
}

/// A host as it is compared: in lower case, without the brackets of an address and the dot of the root.
fn bare(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(list: &[&str]) -> Network {
        Network::Only(list.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn a_list_permits_exactly_what_it_names() {
        let network = only(&["API.example.com:443", "*.example.org:8443", "127.0.0.1:80", "[::1]:80"]);
        for (host, port) in [
            ("api.example.com", 443),
            ("Api.Example.Com.", 443),
            ("a.example.org", 8443),
            ("a.b.example.org", 8443),
            ("127.0.0.1", 80),
            ("::1", 80),
            ("[::1]", 80),
        ] {
            assert!(network.permits(host, port), "{host}:{port}");
        }
        for (host, port) in [
            ("api.example.com", 80),
            ("xapi.example.com", 443),
            ("api.example.com.evil.org", 443),
            ("example.org", 8443),
            (".example.org", 8443),
            ("evilexample.org", 8443),
            ("127.0.0.2", 80),
            ("", 443),
        ] {
            assert!(!network.permits(host, port), "{host}:{port}");
        }
        assert!(Network::All.permits("x", 1) && !Network::None.permits("x", 1));
        assert!(network.names("127.0.0.1") && !network.names("a.example.org"));
    }

    #[test]
    fn a_destination_that_names_no_host_or_port_is_wrong() {
        for text in ["", "example.com", "example.com:0", "example.com:70000", ":443", "*:443", "a..b:1", "*.1.2.3.4:1"]
        {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
        for text in ["example.com:443", "*.example.com:443", "[::1]:8080", "10.0.0.1:5432"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn networks_are_ordered_by_what_they_reach() {
        let (narrow, wide) = (only(&["a.example.com:443"]), only(&["*.example.com:443", "b.org:80"]));
        assert!(Network::None.is_within(&narrow) && narrow.is_within(&wide) && wide.is_within(&Network::All));
        assert!(!wide.is_within(&narrow) && !Network::All.is_within(&wide) && !narrow.is_within(&Network::None));
        assert!(only(&["*.b.example.com:443"]).is_within(&wide));
        assert!(!only(&["example.com:443"]).is_within(&wide));
    }
}
