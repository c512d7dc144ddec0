//! Listening sockets.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::inherited;

/// Maximum number of connections that wait in the kernel to be accepted, passed to listen(2). The kernel may
/// use less.
const BACKLOG: i32 = 4096;

/// Maximum number of ports that are tried for a name with port 0. An attempt fails if the chosen port is in
/// use on one of the name's addresses.
const PORT_ATTEMPTS: usize = 16;

/// The error number for an address family that the kernel does not support (EAFNOSUPPORT).
const NO_FAMILY: i32 = if cfg!(target_os = "linux") { 97 } else { 47 };

/// An address to listen on, or a name that stands for all its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The entry as written: `127.0.0.1:9139`, `localhost:9139`.
    pub text: String,
    /// The address, or all addresses of the name, with the same port.
    pub addresses: Vec<SocketAddr>,
}

/// The open sockets of a list of [`Bind`]s.
#[derive(Debug, Default)]
pub struct Listening {
    /// The sockets of each address, in the order of the list.
    pub sockets: Vec<TcpListener>,
    /// Addresses of names that this machine does not have, each with its error.
    pub skipped: Vec<(SocketAddr, io::Error)>,
}

/// Opens the sockets of a list of addresses.
///
/// A name counts as open when at least one of its addresses is open. Addresses that this machine does not
/// have, such as `::1` with IPv6 disabled, are skipped. With port 0 all addresses of a name get the same free
/// port.
///
/// # Errors
/// When an address is in use, or the machine has none of a name's addresses. The error names the address.
pub fn listen(binds: &[Bind]) -> io::Result<Listening> {
    let mut listening = Listening::default();
    for bind in binds {
        let opened = listen_to(bind, binds)?;
        listening.sockets.extend(opened.sockets);
        listening.skipped.extend(opened.skipped);
    }
    Ok(listening)
}

/// Opens the sockets of one entry of the list `binds`, as [`listen`] does.
///
/// # Errors
/// The same errors as [`listen`].
pub fn listen_to(bind: &Bind, binds: &[Bind]) -> io::Result<Listening> {
    let port = bind.addresses.first().map_or(0, SocketAddr::port);
    open_all(bind, has_v4(binds, port))
}

/// Whether IPv4 clients reach this address of the list `binds` too: it is `[::]`, and no IPv4 address with the same port
/// is in the list.
pub fn includes_v4(address: &SocketAddr, binds: &[Bind]) -> bool {
    address.is_ipv6() && address.ip().is_unspecified() && !has_v4(binds, address.port())
}

/// The address at which a socket needs another one beside it, so that IPv4 clients reach `[::]` with its port; `None` if
/// they do already. A socket keeps the families with which it was opened: before a reload, or by another process.
pub fn v4_beside(socket: &TcpListener) -> io::Result<Option<SocketAddr>> {
    let address = socket.local_addr()?;
    let lacks_v4 = address.is_ipv6() && SockRef::from(socket).only_v6()?;
    Ok(lacks_v4.then(|| (Ipv4Addr::UNSPECIFIED, address.port()).into()))
}

fn has_v4(binds: &[Bind], port: u16) -> bool {
    binds.iter().flat_map(|bind| &bind.addresses).any(|it| it.is_ipv4() && it.port() == port)
}

/// Opens all addresses of one entry.
fn open_all(bind: &Bind, only_v6: bool) -> io::Result<Listening> {
    let mut attempt = 1;
    loop {
        match try_all(bind, only_v6) {
            Ok(opened) => return Ok(opened),
            Err((address, error)) => {
                let chosen = bind.addresses.len() > 1 && bind.addresses.iter().all(|it| it.port() == 0);
                if error.kind() != io::ErrorKind::AddrInUse || !chosen || attempt == PORT_ATTEMPTS {
                    return Err(io::Error::new(error.kind(), format!("{address}: {error}")));
                }
                attempt += 1;
            }
        }
    }
}

fn try_all(bind: &Bind, only_v6: bool) -> Result<Listening, (SocketAddr, io::Error)> {
    let mut opened = Listening::default();
    let mut port = 0;
    for address in &bind.addresses {
        let mut address = *address;
        if address.port() == 0 {
            address.set_port(port);
        }
        match open(address, only_v6) {
            Ok(socket) => {
                port = socket.local_addr().map_err(|error| (address, error))?.port();
                let beside = match address.ip().is_unspecified() && !only_v6 {
                    true => v4_beside(&socket).map_err(|error| (address, error))?,
                    false => None,
                };
                opened.sockets.push(socket);
                if let Some(beside) = beside {
                    opened.sockets.push(open(beside, only_v6).map_err(|error| (beside, error))?);
                }
            }
            Err(error) if bind.addresses.len() > 1 && is_absent(&error) => {
                opened.skipped.push((address, error));
            }
            Err(error) => return Err((address, error)),
        }
    }
    match opened.skipped.pop() {
        Some(skipped) if opened.sockets.is_empty() => Err(skipped),
        skipped => {
            opened.skipped.extend(skipped);
            Ok(opened)
        }
    }
}

/// Whether the error means that this machine lacks the address or its whole family.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(NO_FAMILY)
}

fn open(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    if let Some(socket) = inherited::take(address) {
        return Ok(socket);
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl fmt::Display for Bind {
    /// Writes the entry as it was written in the settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(addresses: &[&str]) -> Bind {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Bind { text: "test".to_owned(), addresses }
    }

    fn addresses(listening: &Listening) -> Vec<SocketAddr> {
        listening.sockets.iter().map(|socket| socket.local_addr().unwrap()).collect()
    }

    #[test]
    fn a_name_has_the_same_port_on_all_its_addresses() {
        let listening = listen(&[bind(&["127.0.0.1:0", "127.0.0.2:0"])]).unwrap();
        let open = addresses(&listening);
        assert_eq!(open.len(), 2);
        assert_ne!(open[0].port(), 0);
        assert_eq!(open[0].port(), open[1].port());
    }

    #[test]
    fn a_name_gets_another_port_when_one_is_not_free_on_all_its_addresses() {
        // The first port is taken on 127.0.0.2 in nearly every attempt.
        let taken: Vec<_> = (0..500).map(|_| TcpListener::bind("127.0.0.2:0").unwrap()).collect();
        for _ in 0..200 {
            let open = addresses(&listen(&[bind(&["127.0.0.1:0", "127.0.0.2:0"])]).unwrap());
            assert_eq!(open[0].port(), open[1].port());
        }
        drop(taken);
    }

    #[test]
    fn an_address_of_a_name_that_the_machine_does_not_have_is_skipped() {
        // 203.0.113.0/24 is reserved for documentation (RFC 5737).
        for names in [["203.0.113.77:0", "127.0.0.1:0"], ["127.0.0.1:0", "203.0.113.77:0"]] {
            let listening = listen(&[bind(&names)]).unwrap();
            assert_eq!(addresses(&listening).len(), 1);
            assert_eq!(listening.skipped[0].0.ip().to_string(), "203.0.113.77");
        }
        for alone in [&["203.0.113.77:0"][..], &["203.0.113.77:0", "203.0.113.78:0"]] {
            let error = listen(&[bind(alone)]).unwrap_err().to_string();
            assert!(error.starts_with("203.0.113."), "{error}");
        }
    }

    #[test]
    fn a_taken_address_is_an_error_for_a_name_too() {
        // Another program may have the same port at the first address. Then the test takes another port.
        let mut taken = Vec::new();
        let is_second = (0..100).any(|_| {
            let socket = TcpListener::bind("127.0.0.2:0").unwrap();
            let port = socket.local_addr().unwrap().port();
            taken.push(socket);
            let names = [format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}")];
            let error = listen(&[bind(&[&names[0], &names[1]])]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            let at = names.iter().position(|name| error.to_string().starts_with(name));
            at.unwrap_or_else(|| panic!("the error names no address: {error}")) == 1
        });
        assert!(is_second, "each error names the first address, which is free");
    }
}
