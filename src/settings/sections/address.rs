//! Addresses to listen on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use config::{Value, ValueKind};

use crate::{
    net::Bind,
    settings::{
        host::Host,
        read::{Section, all, commas, list, quoted, text},
    },
};

/// Parses an address such as `127.0.0.1:9139` or `[::1]:0`, or a name that stands for all its addresses, such
/// as `localhost:9139`.
pub(crate) fn parse(value: &Value, host: &dyn Host) -> Result<Bind, String> {
    bind(text(value)?, host)
}

/// Parses one address, a list of addresses, or comma-separated addresses from the environment.
pub(crate) fn parse_all(value: &Value, host: &dyn Host) -> Result<Vec<Bind>, String> {
    let entries = match &value.kind {
        ValueKind::String(text) if value.origin().is_some() => commas(text),
        ValueKind::String(text) => vec![text.clone()],
        ValueKind::Array(_) => list(value)?,
        _ => return Err("takes an address in quotes, or a list of addresses".to_owned()),
    };
    if entries.is_empty() {
        return Err(format!("{SHAPE}; at least one address is required"));
    }
    let parsed = all(entries.iter().map(|entry| {
        bind(entry, host).map_err(|error| match entries.len() {
            1 => error,
            _ => format!("{}: {error}", quoted(entry)),
        })
    }))?;
    let mut binds: Vec<Bind> = Vec::new();
    for bind in parsed {
        if let Some((one, other)) = clashing(&binds, &bind, false) {
            return Err(match one == other {
                true => format!("lists {one} twice"),
                false => format!("lists {one} and {other}: one of them includes the other"),
            });
        }
        binds.push(bind);
    }
    Ok(binds)
}

const SHAPE: &str = "takes host:port, such as \"127.0.0.1:9139\"";

fn bind(text: &str, host: &dyn Host) -> Result<Bind, String> {
    let (name, port) = text.rsplit_once(':').ok_or(SHAPE)?;
    let port = match port.parse::<u16>() {
        Ok(port) if !name.is_empty() => port,
        _ => return Err(format!("{SHAPE}, with a port from 0 to 65535")),
    };
    let unresolved = |reason: String| format!("takes host:port, and the host cannot be found: {reason}");
    let mut addresses = match name.to_ascii_lowercase().as_str() {
        // Both loopback addresses (RFC 6761 section 6.3), whatever the hosts file lists.
        "localhost" | "localhost." => {
            let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
            loopback.map(|ip| SocketAddr::new(ip, port)).to_vec()
        }
        _ => host.resolve(text).map_err(|error| unresolved(error.to_string()))?,
    };
    let mut seen = Vec::new();
    addresses.retain(|address| {
        let fresh = !seen.contains(address);
        seen.push(*address);
        fresh
    });
    match addresses.is_empty() {
        true => Err(unresolved("no address".to_owned())),
        false => Ok(Bind { text: text.to_owned(), addresses }),
    }
}

/// Reports addresses of a section that another section uses already, and adds the others to `taken`.
pub(crate) fn take(taken: &mut Vec<(String, Bind)>, section: &Section<'_>, binds: &[Bind]) {
    for bind in binds {
        for (other, known) in &*taken {
            if let Some((_, address)) = clashing(std::slice::from_ref(known), bind, true) {
                let what = if binds.len() > 1 { address.to_string() } else { "this address".to_owned() };
                let text = format!("[{other}] already uses {what}; give them different addresses");
                section.problem("bind", text);
            }
        }
    }
    taken.extend(binds.iter().map(|bind| (section.path.clone(), bind.clone())));
}

/// The first two addresses that the proxy cannot both listen on; `None` if there are none. `dual_stack` is
/// whether `[::]` accepts IPv4 clients too, which it does unless the same list has an IPv4 address with its
/// port.
fn clashing(binds: &[Bind], bind: &Bind, dual_stack: bool) -> Option<(SocketAddr, SocketAddr)> {
    let known = binds.iter().flat_map(|bind| &bind.addresses);
    let mut pairs = known.flat_map(|one| bind.addresses.iter().map(move |other| (*one, *other)));
    pairs.find(|(one, other)| clash(*one, *other, dual_stack))
}

/// Whether the proxy cannot listen on both addresses. Port 0 is a different port each time; an unspecified
/// address covers all addresses of its family.
fn clash(one: SocketAddr, other: SocketAddr, dual_stack: bool) -> bool {
    let all = |address: SocketAddr| address.ip().is_unspecified();
    let includes = |one: SocketAddr, other: SocketAddr| match one.is_ipv4() == other.is_ipv4() {
        true => one.ip() == other.ip() || all(one),
        false => dual_stack && one.is_ipv6() && all(one),
    };
    one.port() != 0 && one.port() == other.port() && (includes(one, other) || includes(other, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_port_of_one_address_is_listened_on_once() {
        let table = [
            ("127.0.0.1:80", "127.0.0.1:80", true, true),
            ("127.0.0.1:80", "127.0.0.1:81", false, false),
            ("127.0.0.1:0", "127.0.0.1:0", false, false),
            ("127.0.0.1:80", "127.0.0.2:80", false, false),
            ("0.0.0.0:80", "127.0.0.1:80", true, true),
            ("0.0.0.0:80", "[::1]:80", false, false),
            ("0.0.0.0:80", "[::]:80", true, false),
            ("[::]:80", "127.0.0.1:80", true, false),
            ("[::]:80", "[::1]:80", true, true),
        ];
        for (one, other, sections, list) in table {
            let (first, second) = (one.parse().unwrap(), other.parse().unwrap());
            for (first, second) in [(first, second), (second, first)] {
                assert_eq!(clash(first, second, true), sections, "two sections: {one} {other}");
                assert_eq!(clash(first, second, false), list, "one list: {one} {other}");
            }
        }
    }
}
