//! A client's connection at the level of bytes, below the WebSocket frames.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    mem::MaybeUninit,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    TcpOptions, canonical,
    options::{AcceptedOptions, has_inherited},
    tls::{NotSecured, TlsError, TlsServer, TlsStream},
    tune,
};
use crate::{certificate::TlsFacts, wire::Closing};

/// Size in bytes of the buffer on the stack that [`read_through`] reads into.
const CHUNK: usize = 4096;

/// A client's connection. The rest of the proxy reads and writes through this type, with and without TLS.
#[derive(Debug)]
pub enum Stream {
    /// A plain TCP connection.
    Tcp(TcpStream),
    /// A TLS connection. It is boxed, because it is many times as large as a socket.
    Tls(Box<TlsStream>),
}

/// A connection that did not become a TLS connection.
#[derive(Debug)]
pub enum Insecure {
    /// The client speaks plain HTTP on this connection. Nothing has been read from it.
    PlainHttp(Stream),
    /// The handshake has failed. The client may read the reason from this connection, as an alert.
    Failed(TlsError, Stream),
    /// The client has disconnected.
    Gone,
}

/// Calls the same method of whichever stream it is.
macro_rules! either {
    ($of:expr, $stream:ident => $call:expr) => {
        match $of {
            Stream::Tcp($stream) => $call,
            Stream::Tls($stream) => $call,
        }
    };
}

impl Stream {
    /// The address of the peer. An IPv4 peer on an IPv6 socket has its IPv4 address; see [`canonical`].
    ///
    /// # Errors
    /// When the peer has disconnected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr().map(canonical)
    }

    /// The address that the peer connected to.
    ///
    /// # Errors
    /// When the socket has failed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp().local_addr()
    }

    /// Sets the options of an accepted connection that has not inherited them.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn tune(&self, options: &TcpOptions, known: AcceptedOptions) -> io::Result<()> {
        if has_inherited(self.tcp(), known) { Ok(()) } else { tune(self.tcp(), options) }
    }

    /// Waits for bytes, and copies them without taking them from the socket. Returns their number, which is 0 when the
    /// peer sends nothing more. With TLS they are the encrypted ones.
    ///
    /// # Errors
    /// When the connection has failed.
    pub async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.tcp().peek(bytes).await
    }

    /// Whether the connection has TLS.
    pub fn is_secure(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Writes what the socket of a plain connection accepts at once, without waiting. Returns the number of bytes
    /// written.
    ///
    /// # Errors
    /// `WouldBlock` when the socket accepts nothing at the moment, `Unsupported` with TLS, another kind when the socket
    /// has failed.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_write(bytes),
            Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Waits for the TLS handshake of a client that has sent nothing yet. The caller bounds the time.
    ///
    /// # Errors
    /// When there is no TLS connection; see [`Insecure`].
    pub async fn secure(self, server: &TlsServer) -> Result<(Self, TlsFacts), Insecure> {
        // TLS inside of TLS is not accepted.
        let Self::Tcp(socket) = self else { return Err(Insecure::Gone) };
        let stream = match server.accept(socket).await {
            Ok(stream) => Self::Tls(Box::new(stream)),
            Err(NotSecured::PlainHttp(socket)) => return Err(Insecure::PlainHttp(Self::Tcp(socket))),
            Err(NotSecured::Failed(error, socket)) => return Err(Insecure::Failed(error, Self::Tcp(socket))),
            Err(NotSecured::Gone) => return Err(Insecure::Gone),
        };
        match stream.facts() {
            Ok(Some(facts)) => Ok((stream, facts)),
            Ok(None) => Err(Insecure::Gone),
            Err(error) => Err(Insecure::Failed(error, stream)),
        }
    }

    /// The properties of a TLS connection; `None` for a plain one.
    fn facts(&self) -> Result<Option<TlsFacts>, TlsError> {
        match self {
            Self::Tcp(_) => Ok(None),
            Self::Tls(stream) => stream.facts(),
        }
    }

    /// The TCP socket of the connection.
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(socket) => socket,
            Self::Tls(stream) => stream.socket(),
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self::Tcp(socket)
    }
}

impl Closing for Stream {
    fn announces_end(&self) -> bool {
        self.is_secure()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
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

/// Waits for bytes, reads at most `max` of them, and passes them to `take`. Returns their number. Zero means
/// that the peer sends nothing more, or that `max` is 0.
///
/// The bytes pass through a buffer on the stack, so that a connection that waits for its peer holds no
/// memory. Dropping the future loses no bytes, because it is pending only while nothing has been read.
///
/// # Errors
/// When the connection has failed.
pub async fn read_through(
    stream: &mut (impl AsyncRead + Unpin),
    max: usize,
    mut take: impl FnMut(&[u8]),
) -> io::Result<usize> {
    poll_fn(|context| {
        let mut chunk = [const { MaybeUninit::uninit() }; CHUNK];
        let mut buffer = ReadBuf::uninit(&mut chunk[..max.min(CHUNK)]);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        take(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use tokio::{
        io::{AsyncWriteExt, duplex},
        net::TcpListener,
    };

    use super::*;

    #[actix::test]
    async fn reading_stops_at_the_maximum_and_loses_nothing() {
        let (mut near, mut far) = duplex(64);
        let mut bytes = Vec::new();
        {
            let mut idle = Box::pin(read_through(&mut near, 4, |part| bytes.extend_from_slice(part)));
            let context = &mut Context::from_waker(std::task::Waker::noop());
            assert!(idle.as_mut().poll(context).is_pending());
        }
        far.write_all(b"abcdef").await.unwrap();
        drop(far);
        for expected in [4, 2, 0] {
            let count = read_through(&mut near, 4, |part| bytes.extend_from_slice(part)).await.unwrap();
            assert_eq!(count, expected);
        }
        assert_eq!(bytes, b"abcdef");
    }

    #[actix::test]
    async fn a_tcp_stream_has_addresses_and_vectored_writes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut near, mut far) = (Stream::from(near.unwrap()), Stream::from(far.unwrap().0));
        assert_eq!((near.peer_addr().unwrap(), far.local_addr().unwrap()), (address, address));
        assert_eq!(far.peer_addr().unwrap(), near.local_addr().unwrap());
        assert!(near.is_write_vectored());
        let slices = [IoSlice::new(b"ab"), IoSlice::new(b"c")];
        let written = poll_fn(|cx| Pin::new(&mut near).poll_write_vectored(cx, &slices)).await;
        assert_eq!(written.unwrap(), 3);
        near.shutdown().await.unwrap();
        let mut bytes = Vec::new();
        while read_through(&mut far, CHUNK, |part| bytes.extend_from_slice(part)).await.unwrap() > 0 {}
        assert_eq!(bytes, b"abc");
    }
}
