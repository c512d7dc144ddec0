//! Connects to servers. It is also the connector of awc, for the proxy's own requests.

use std::{
    future::Future,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use actix_rt::net::{TcpStream, UnixStream};
use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::http::Uri;
use tokio::{io::Interest, sync::Semaphore, time::sleep};

use super::{
    Addresses, LookupError, Place, Socket, TcpOptions,
    eyeballs::{self, EXTRA_MAX},
    names::DIALED_MAX,
    resolve::Resolver,
    spelled::Spelled,
    tls::TlsClient,
    tune,
};

/// The time between two attempts to connect to a unix socket whose server has a full queue. The system refuses such an
/// attempt at once, where a TCP socket waits.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// The state that all dials of the process share.
pub struct Network {
    resolver: Arc<Resolver>,
    /// Permits for the sockets of dials in addition to the first socket of each dial.
    extra: Semaphore,
}

impl Network {
    /// Creates the network of this machine.
    pub fn system() -> Arc<Self> {
        Arc::new(Self { resolver: Resolver::system(), extra: Semaphore::new(EXTRA_MAX) })
    }

    /// Looks a name up now, even if its addresses are known. It ends when the system's look-up does.
    ///
    /// # Errors
    /// When the look-up fails, and no older addresses are known.
    pub async fn look_up(&self, name: &str) -> Result<Addresses, LookupError> {
        self.resolver.refresh(name).await
    }

    /// Connects to a place. The caller bounds the time.
    ///
    /// # Errors
    /// When a name has no address, or nothing can be connected to.
    pub async fn connect(&self, place: &Place, options: &TcpOptions) -> Result<Socket, ConnectError> {
        match place {
            Place::Host(host, port) => self.host(host, *port, options).await.map(Socket::Tcp),
            Place::Address(address) => one(*address, options).await.map(Socket::Tcp),
            Place::Path(path) => unix(path).await.map(Socket::Unix).map_err(ConnectError::Io),
        }
    }

    async fn host(&self, host: &str, port: u16, options: &TcpOptions) -> Result<TcpStream, ConnectError> {
        if let Some(ip) = literal(host) {
            return one(SocketAddr::new(ip, port), options).await;
        }
        let found = self.resolver.resolve(host).await;
        let addresses = found.map_err(|error| ConnectError::Resolver(Box::new(error)))?;
        let addresses = addresses.iter().take(DIALED_MAX);
        self.first(addresses.map(|address| with_port(*address, port)), options).await
    }

    async fn first(
        &self,
        addresses: impl IntoIterator<Item = SocketAddr>,
        options: &TcpOptions,
    ) -> Result<TcpStream, ConnectError> {
        let socket = eyeballs::first(addresses, &self.extra, connect).await.map_err(ConnectError::Io)?;
        tune(&socket, options).map_err(ConnectError::Io)?;
        Ok(socket)
    }
}

/// Connects to the only address.
async fn one(address: SocketAddr, options: &TcpOptions) -> Result<TcpStream, ConnectError> {
    let socket = connect(address).await.map_err(ConnectError::Io)?;
    tune(&socket, options).map_err(ConnectError::Io)?;
    Ok(socket)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    attempt(address).await.map_err(|error| explained(error, || has_route(address)))
}

async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::from_std(mio::net::TcpStream::connect(address)?.into())?;
    // A failed attempt has closed both directions. Only then is there an error to ask the kernel for.
    if socket.ready(Interest::WRITABLE).await?.is_write_closed()
        && let Some(error) = socket.take_error()?
    {
        return Err(error);
    }
    Ok(socket)
}

async fn unix(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(QUEUE_PAUSE).await,
            result => return result,
        }
    }
}

/// The kernel reports "address not available" both when no local port is free, and when this machine has no address of
/// the destination's family, such as none of IPv6. The second one is an unreachable network.
fn explained(error: io::Error, has_route: impl FnOnce() -> bool) -> io::Error {
    match error.kind() {
        ErrorKind::AddrNotAvailable if !has_route() => io::Error::new(ErrorKind::NetworkUnreachable, error),
        _ => error,
    }
}

/// Whether the kernel has a local address for packets to `address`. It sends none.
fn has_route(address: SocketAddr) -> bool {
    let any = match address {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address)).is_ok()
}

/// The address in a URL's host; `None` when the host is a name.
fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

/// A connector that connects and sets the socket's options.
#[derive(Clone)]
pub struct Connect {
    network: Arc<Network>,
    options: TcpOptions,
    /// Where to connect to, whatever the URL of the request is.
    fixed: Option<Place>,
    /// TLS, and the name or address of the server in its URL; `None` for a plain connection.
    tls: Option<(TlsClient, String)>,
}

impl Connect {
    /// Creates a connector to the address of a request or, without one, to the host of its URL.
    pub fn new(network: Arc<Network>, options: TcpOptions) -> Self {
        Self { network, options, fixed: None, tls: None }
    }

    /// The same connector, which connects to this place instead.
    pub fn to(self, place: Place) -> Self {
        Self { fixed: Some(place), ..self }
    }

    /// The same connector, which completes a TLS handshake with the server `host`, a name or an address. Connections to
    /// unix sockets stay plain.
    pub fn secured(self, tls: &TlsClient, host: String) -> Self {
        Self { tls: Some((tls.clone(), host)), ..self }
    }

    /// The same connector, which sets these options instead.
    pub fn with_options(self, options: TcpOptions) -> Self {
        Self { options, ..self }
    }

    /// Connects to a place. The caller bounds the time.
    ///
    /// # Errors
    /// When a name has no address, nothing can be connected to, or the TLS handshake fails.
    pub async fn open(&self, place: &Place) -> Result<Socket, ConnectError> {
        let socket = self.network.connect(place, &self.options).await?;
        match (socket, &self.tls) {
            (Socket::Tcp(socket), Some((tls, host))) => {
                let stream = tls.handshake(host, socket).await.map_err(ConnectError::Io)?;
                Ok(Socket::Tls(Box::new(stream)))
            }
            (socket, _) => Ok(socket),
        }
    }

    fn place(&self, request: &ConnectInfo<Uri>) -> Place {
        match (&self.fixed, request.addrs().next()) {
            (Some(place), _) => place.clone(),
            (None, Some(address)) => Place::Address(address),
            (None, None) => Place::Host(request.hostname().to_owned(), request.port()),
        }
    }
}

impl Service<ConnectInfo<Uri>> for Connect {
    type Response = Connection<Uri, Spelled<Socket>>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>>>>;

    actix_service::always_ready!();

    fn call(&self, request: ConnectInfo<Uri>) -> Self::Future {
        let place = self.place(&request);
        let connect = self.clone();
        Box::pin(async move {
            let socket = connect.open(&place).await?;
            Ok(Connection::new(request.request().clone(), Spelled::new(socket)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_route_is_unreachable_and_a_lack_of_ports_is_not() {
        let kind = |kind: ErrorKind, has_route: bool| explained(kind.into(), || has_route).kind();
        assert_eq!(kind(ErrorKind::AddrNotAvailable, false), ErrorKind::NetworkUnreachable);
        assert_eq!(kind(ErrorKind::AddrNotAvailable, true), ErrorKind::AddrNotAvailable);
        assert_eq!(kind(ErrorKind::ConnectionRefused, false), ErrorKind::ConnectionRefused);
        assert!(has_route(SocketAddr::from((Ipv4Addr::LOCALHOST, 9))));
    }

    /// With IPv6 the connection is refused, and without it the network is unreachable.
    #[actix::test]
    async fn a_machine_without_ipv6_cannot_reach_its_addresses() {
        let place = Place::Host("[::1]".to_owned(), 1);
        let options = TcpOptions { keepalive: None, user_timeout: None };
        let Err(error) = Network::system().connect(&place, &options).await else {
            panic!("nothing listens on port 1");
        };
        let ConnectError::Io(error) = error else { panic!("{error}") };
        let kinds = [ErrorKind::ConnectionRefused, ErrorKind::NetworkUnreachable];
        assert!(kinds.contains(&error.kind()), "{error:?}");
    }

    #[test]
    fn addresses_are_not_names() {
        for (host, ip) in [("127.0.0.1", Some("127.0.0.1")), ("[::1]", Some("::1")), ("localhost", None)] {
            assert_eq!(literal(host), ip.map(|ip| ip.parse().unwrap()), "{host}");
        }
    }
}
