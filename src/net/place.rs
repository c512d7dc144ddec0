//! Where a connection goes, and the socket of the connection.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use actix_rt::net::{ActixStream, Ready, TcpStream, UnixStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{TcpOptions, tls::TlsStream, tune};
use crate::wire::Closing;

/// Where a connection goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// A host, which is a name or an address, and a port.
    Host(String, u16),
    /// One address, such as one of those that a name has.
    Address(SocketAddr),
    /// A unix socket.
    Path(PathBuf),
}

/// The socket of a connection.
#[derive(Debug)]
pub enum Socket {
    /// A TCP socket.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// A TLS connection. It is boxed, because it is many times as large as a socket.
    Tls(Box<TlsStream>),
}

/// Calls the same method of whichever stream it is.
macro_rules! either {
    ($socket:expr, $stream:ident => $call:expr) => {
        match $socket {
            Socket::Tcp($stream) => $call,
            Socket::Unix($stream) => $call,
            Socket::Tls($stream) => $call,
        }
    };
}

impl Socket {
    /// From now on, a TLS connection that ends without `close_notify` reads as an error; see
    /// [`TlsStream::report_cut`].
    pub fn report_cut(&mut self) {
        if let Self::Tls(stream) = self {
            stream.report_cut();
        }
    }
}

impl Socket {
    /// Sets the options of a TCP socket.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn tune(&self, options: &TcpOptions) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => tune(socket, options),
            Self::Tls(stream) => tune(stream.socket(), options),
            Self::Unix(_) => Ok(()),
        }
    }
}

impl Closing for Socket {
    fn announces_end(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(context))
    }
}

impl ActixStream for Socket {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        either!(self, stream => ActixStream::poll_read_ready(stream, context))
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        either!(self, stream => ActixStream::poll_write_ready(stream, context))
    }
}
