//! Addresses to listen on.

use std::net::SocketAddr;

use config::Value;

use super::{
    host::Host,
    read::{Section, text},
};

/// `127.0.0.1:9139`, `[::1]:0`, or a name that resolves: `localhost:9139`.
pub(super) fn parse(value: &Value, host: &dyn Host) -> Result<SocketAddr, String> {
    let text = text(value)?;
    let shape = "takes host:port, such as \"127.0.0.1:9139\"";
    let (name, port) = text.rsplit_once(':').ok_or(shape)?;
    if name.is_empty() || port.parse::<u16>().is_err() {
        return Err(format!("{shape}, with a port from 0 to 65535"));
    }
    let unresolved = |reason: String| format!("takes host:port, and the host cannot be found: {reason}");
    let addresses = host.resolve(text).map_err(|error| unresolved(error.to_string()))?;
    // `localhost` is both 127.0.0.1 and ::1, and clients are told the former.
    let chosen = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    chosen.copied().ok_or_else(|| unresolved("no address".to_owned()))
}

/// Notes an address that cannot be listened on because another section does.
pub(super) fn take(taken: &mut Vec<(String, SocketAddr)>, section: &Section<'_>, bind: SocketAddr) {
    if let Some((other, _)) = taken.iter().find(|(_, other)| clash(*other, bind)) {
        section.problem("bind", format!("{other} listens there already; give them different addresses"));
    }
    taken.push((section.path.clone(), bind));
}

/// Port 0 is another port each time; an unspecified address is all addresses.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let all = |address: SocketAddr| address.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (one.ip() == other.ip() || all(one) || all(other))
}
