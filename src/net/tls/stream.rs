//! The bytes of a TLS connection after its handshake.

use std::{
    io::{self, ErrorKind, IoSlice, Write},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_rt::net::{ActixStream, Ready, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{TlsError, server};
use crate::certificate::TlsFacts;

/// Maximum number of encrypted bytes that a connection keeps while the socket is full, without the overhead of the
/// records. It is also the maximum of one write, so that a turn of a session stays short.
pub(super) const BUFFER: usize = 32 * 1024;

/// A TLS connection over TCP, as a client or as a server.
///
/// A write is complete when the socket has taken all of its encrypted bytes. Until then it is pending, and must be
/// repeated with the same bytes, as the queue of a connection does. So what the socket does not take stays in that
/// queue, where it counts, and a message counts as written when it has left. Encrypted bytes, up to 32 KiB, exist
/// beside it only while the socket is full.
///
/// Received bytes are decrypted when they are read, one record of at most 16 KiB at a time.
///
/// An end of the connection without `close_notify` reads as an end of the stream, unless
/// [`TlsStream::report_cut`] asks for an error. WebSocket has its own closing
/// handshake, without which a connection counts as reset, so that a cut connection is never taken for a complete one.
#[derive(Debug)]
pub struct TlsStream {
    stream: tokio_rustls::TlsStream<TcpStream>,
    /// Number of bytes of the pending write that are encrypted. The socket has not taken all of them.
    pub(super) encrypted: usize,
    /// Whether an end without `close_notify` is an error.
    reports_cut: bool,
}

impl TlsStream {
    pub(super) fn new(mut stream: tokio_rustls::TlsStream<TcpStream>) -> Self {
        match &mut stream {
            tokio_rustls::TlsStream::Client(stream) => stream.get_mut().1.set_buffer_limit(Some(BUFFER)),
            tokio_rustls::TlsStream::Server(stream) => stream.get_mut().1.set_buffer_limit(Some(BUFFER)),
        }
        Self { stream, encrypted: 0, reports_cut: false }
    }

    /// From now on, an end of the connection without `close_notify` reads as the error `ConnectionAborted`, for
    /// protocols in which the end of the connection is the end of a message (RFC 8446 section 6.1).
    pub fn report_cut(&mut self) {
        self.reports_cut = true;
    }

    /// The TCP socket of the connection.
    pub fn socket(&self) -> &TcpStream {
        self.stream.get_ref().0
    }

    /// The properties of a client's connection; `None` for a connection to a server.
    ///
    /// # Errors
    /// When the client's certificate is malformed or too large.
    pub fn facts(&self) -> Result<Option<TlsFacts>, TlsError> {
        match &self.stream {
            tokio_rustls::TlsStream::Client(_) => Ok(None),
            tokio_rustls::TlsStream::Server(stream) => server::facts(stream.get_ref().1).map(Some),
        }
    }

    /// Encrypts bytes that `write` passes on, unless a write is pending, and writes them to the socket.
    fn poll_encrypted(
        &mut self,
        context: &mut Context<'_>,
        write: impl Fn(&mut dyn Write) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.encrypted == 0 {
            // What is left here is no data: an alert or a ticket.
            ready!(self.poll_encrypted_out(context))?;
            self.encrypted = match &mut self.stream {
                tokio_rustls::TlsStream::Client(stream) => write(&mut stream.get_mut().1.writer()),
                tokio_rustls::TlsStream::Server(stream) => write(&mut stream.get_mut().1.writer()),
            }?;
        }
        ready!(self.poll_encrypted_out(context))?;
        Poll::Ready(Ok(mem::take(&mut self.encrypted)))
    }

    /// Writes the encrypted bytes to the socket.
    fn poll_encrypted_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context).map_err(worded)
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
        let reports_cut = self.reports_cut;
        Pin::new(&mut self.stream).poll_read(context, buffer).map(|result| match result {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => match reports_cut {
                true => Err(ErrorKind::ConnectionAborted.into()),
                false => Ok(()),
            },
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
        self.poll_encrypted(context, |writer| writer.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_encrypted(context, |writer| writer.write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_encrypted_out(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context).map_err(worded)
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
