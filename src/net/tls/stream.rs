//! The bytes of a TLS connection after its handshake.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use actix_rt::net::{ActixStream, Ready, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::TlsError;

/// Maximum number of encrypted bytes that a connection keeps while the socket is full, without the overhead of the
/// records. It is also the maximum of one write, so that a turn of a session stays short.
pub(super) const BUFFER: usize = 32 * 1024;

/// A TLS connection over TCP, as a client or as a server.
///
/// What the socket does not take is kept, up to 32 KiB; [`poll_flush`](AsyncWrite::poll_flush) passes it on. Received
/// bytes are decrypted when they are read, one record of at most 16 KiB at a time.
///
/// An end of the connection without `close_notify` reads as an end of the stream. WebSocket has its own closing
/// handshake, without which a connection counts as reset, so that a cut connection is never taken for a complete one.
#[derive(Debug)]
pub struct TlsStream(tokio_rustls::TlsStream<TcpStream>);

impl TlsStream {
    pub(super) fn new(mut stream: tokio_rustls::TlsStream<TcpStream>) -> Self {
        match &mut stream {
            tokio_rustls::TlsStream::Client(stream) => stream.get_mut().1.set_buffer_limit(Some(BUFFER)),
            tokio_rustls::TlsStream::Server(stream) => stream.get_mut().1.set_buffer_limit(Some(BUFFER)),
        }
        Self(stream)
    }

    /// The TCP socket of the connection.
    pub fn socket(&self) -> &TcpStream {
        self.0.get_ref().0
    }
}

/// The error in words, without the texts of the library.
fn worded(error: io::Error) -> io::Error {
    TlsError::of(&error).map_or(error, io::Error::from)
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer).map(|result| match result {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(()),
            result => result.map_err(worded),
        })
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = &bytes[..bytes.len().min(BUFFER)];
        Pin::new(&mut self.0).poll_write(context, bytes).map_err(worded)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices).map_err(worded)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context).map_err(worded)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context).map_err(worded)
    }
}

impl ActixStream for TlsStream {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.socket(), context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.socket(), context)
    }
}
