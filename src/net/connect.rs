//! The TCP connector that awc's handshake uses.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use actix_rt::net::TcpStream;
use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::http::Uri;
use tokio::sync::Semaphore;

use super::{
    TcpOptions,
    eyeballs::{self, EXTRA_MAX},
    resolve::Resolver,
    spelled::Spelled,
    tune,
};

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

    /// Connects to `host`, a name or an address. The caller bounds the time.
    ///
    /// # Errors
    /// When the name has no address, or no address can be connected to.
    pub async fn connect(
        &self,
        host: &str,
        port: u16,
        options: &TcpOptions,
    ) -> Result<TcpStream, ConnectError> {
        let addresses = match literal(host) {
            Some(ip) => Arc::new([SocketAddr::new(ip, 0)]),
            None => {
                self.resolver.resolve(host).await.map_err(|error| ConnectError::Resolver(Box::new(error)))?
            }
        };
        let addresses = addresses.iter().map(|address| with_port(*address, port));
        let connecting = eyeballs::first(addresses, &self.extra, TcpStream::connect);
        let socket = connecting.await.map_err(ConnectError::Io)?;
        tune(&socket, options).map_err(ConnectError::Io)?;
        Ok(socket)
    }
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

/// A connector that connects to the host of a URL and sets the socket's options.
#[derive(Clone)]
pub struct Connect {
    network: Arc<Network>,
    options: TcpOptions,
}

impl Connect {
    /// Creates a connector whose sockets get these options.
    pub fn new(network: Arc<Network>, options: TcpOptions) -> Self {
        Self { network, options }
    }
}

impl Service<ConnectInfo<Uri>> for Connect {
    type Response = Connection<Uri, Spelled<TcpStream>>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>>>>;

    actix_service::always_ready!();

    fn call(&self, request: ConnectInfo<Uri>) -> Self::Future {
        let Self { network, options } = self.clone();
        Box::pin(async move {
            let socket = network.connect(request.hostname(), request.port(), &options).await?;
            Ok(Connection::new(request.request().clone(), Spelled::new(socket)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_not_names() {
        for (host, ip) in [("127.0.0.1", Some("127.0.0.1")), ("[::1]", Some("::1")), ("localhost", None)] {
            assert_eq!(literal(host), ip.map(|ip| ip.parse().unwrap()), "{host}");
        }
    }
}
