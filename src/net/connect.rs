//! The TCP connector under awc's handshake.

use std::{future::Future, pin::Pin};

use actix_rt::net::TcpStream;
use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, ConnectorService};
use awc::http::Uri;

use super::{TcpOptions, spelled::Spelled, tune};

/// Connects to the host of a URL and sets the options of the socket.
#[derive(Clone)]
pub struct Connect {
    connector: ConnectorService,
    options: TcpOptions,
}

impl Connect {
    /// A connector whose sockets have these options.
    pub fn new(options: TcpOptions) -> Self {
        Self { connector: ConnectorService::default(), options }
    }
}

impl Service<ConnectInfo<Uri>> for Connect {
    type Response = Connection<Uri, Spelled<TcpStream>>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>>>>;

    actix_service::always_ready!();

    fn call(&self, request: ConnectInfo<Uri>) -> Self::Future {
        let (connecting, options) = (self.connector.call(request), self.options);
        Box::pin(async move {
            let connection = connecting.await?;
            tune(connection.io_ref(), &options).map_err(ConnectError::Io)?;
            let (socket, request) = connection.into_parts();
            Ok(Connection::new(request, Spelled::new(socket)))
        })
    }
}
