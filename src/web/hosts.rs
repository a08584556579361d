//! Names under which the page is served: a page of another name that resolves to this machine (DNS
//! rebinding) is refused.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::uri::Authority;

/// The names that the host listed.
#[derive(Debug, Clone)]
pub(crate) struct Hosts(Arc<[Host]>);

#[derive(Debug, PartialEq, Eq)]
struct Host {
    name: String,
    /// `None` is any port.
    port: Option<u16>,
}

impl Hosts {
    /// A name may carry a port, and the scheme of a URL.
    pub(crate) fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let hosts = names.into_iter().filter_map(|name| {
            let name = name.into();
            let name = name
                .split_once("://")
                .map_or(name.as_str(), |(_, name)| name);
            Host::parse(name.trim_end_matches('/'))
        });
        Self(hosts.collect())
    }

    /// Returns whether the `Host` of a request is one of these.
    pub(crate) fn allow(&self, host: &str) -> bool {
        let host = Host::parse(host);
        host.is_some_and(|host| self.0.iter().any(|allowed| allowed.covers(&host)))
    }
}

impl Host {
    fn parse(host: &str) -> Option<Self> {
        let authority: Authority = host.parse().ok()?;
        let plain = !authority.as_str().contains('@');
        plain.then(|| Self {
            name: authority.host().trim_end_matches('.').to_ascii_lowercase(),
            port: authority.port_u16(),
        })
    }

    fn covers(&self, host: &Self) -> bool {
        self.name == host.name && (self.port.is_none() || self.port == host.port)
    }
}

/// Returns whether a `Host` is a name of this machine for itself: `localhost` or an address such as
/// `127.0.0.1` or `[::1]`.
pub(crate) fn is_loopback(host: &str) -> bool {
    let Some(Host { name, .. }) = Host::parse(host) else {
        return false;
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let is_address = address
        .parse()
        .is_ok_and(|address: IpAddr| address.is_loopback());
    name == "localhost" || name.ends_with(".localhost") || is_address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_name_is_allowed_with_its_port_or_any() {
        let hosts = Hosts::new([
            "Admin.example",
            "https://a.example:8443/",
            "[::1]:80",
            "a b",
        ]);
        let table = [
            ("admin.example", true),
            ("ADMIN.example.", true),
            ("admin.example:9", true),
            ("a.example:8443", true),
            ("a.example", false),
            ("a.example:80", false),
            ("[::1]:80", true),
            ("x.admin.example", false),
            ("admin.example.evil.example", false),
            ("evil.example@admin.example", false),
            ("", false),
            ("a b", false),
        ];

        for (host, allowed) in table {
            assert_eq!(hosts.allow(host), allowed, "{host}");
        }
    }

    #[test]
    fn names_of_this_machine_are_loopback() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "x.localhost",
            "127.0.0.1:3",
            "127.9.9.9",
            "[::1]:80",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "192.168.0.1",
            "127.0.0.1.evil.example",
            "?",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
