//! The identity of endpoints for the drains of operators.

use std::net::IpAddr;

use crate::{settings::UpstreamUrl, userinfo};

/// The server and the path of an endpoint. Its credentials, which are in user, password and query, are not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ServerId {
    /// Scheme, host and port.
    server: String,
    path: String,
    /// The address, if each address of the host is an endpoint.
    address: Option<IpAddr>,
}

impl ServerId {
    pub(super) fn of(url: &UpstreamUrl) -> Self {
        let server = userinfo::split(UpstreamUrl::server(&url.text)).0.into_owned();
        // An empty path and `/` are the same.
        let path = url.parts().path.unwrap_or_default().trim_start_matches('/').to_owned();
        Self { server, path, address: url.address() }
    }

    /// Whether the order for this endpoint concerns the other one too: a name without an address stands for all of its
    /// addresses.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let Self { server, path, address } = self;
        *server == other.server && *path == other.path && (address.is_none() || *address == other.address)
    }

    /// Whether this is a name, and the other one an address of it.
    pub(super) fn is_name_of(&self, other: &Self) -> bool {
        self.address.is_none() && other.address.is_some() && self.covers(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(url: &str) -> ServerId {
        ServerId::of(&UpstreamUrl::parse(url).unwrap())
    }

    #[test]
    fn an_endpoint_is_the_same_whatever_its_credentials_are() {
        for (one, other) in [
            ("ws://h:81", "ws://h:81/"),
            ("ws://h", "ws://h:80"),
            ("ws://me:old@h/chat", "ws://you:new@h/chat"),
            ("ws://h/?token=old", "ws://h?token=new"),
            ("unix:/run/c.sock:/ws?token=old", "unix:/run/c.sock:/ws"),
        ] {
            assert_eq!(id(one), id(other), "{one} {other}");
        }
        for (one, other) in [
            ("ws://h", "wss://h"),
            ("ws://h", "ws://g"),
            ("ws://h:81", "ws://h:82"),
            ("ws://h/a", "ws://h/b"),
            ("ws://h/a", "ws://h/a/"),
            ("unix:/run/c.sock:/ws", "unix:/run/c.sock/ws"),
        ] {
            assert_ne!(id(one), id(other), "{one} {other}");
        }
    }

    #[test]
    fn a_name_covers_its_addresses() {
        let url = UpstreamUrl::parse("ws://h").unwrap();
        let [one, other] = [1, 2].map(|last| ServerId::of(&url.with_address([10, 0, 0, last].into())));
        let name = ServerId::of(&url);
        assert!(name.covers(&one) && one.covers(&one));
        assert!(!one.covers(&name) && !one.covers(&other));
        assert!(name.is_name_of(&one) && !name.is_name_of(&name) && !one.is_name_of(&one));
    }
}
