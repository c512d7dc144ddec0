//! The socket of a connection to the admin server, which is read no faster than its requests are served.
//!
//! The HTTP server decodes all requests that it has read, and each takes kilobytes. A client that sends thousands and
//! reads no answers (pipelining) would take megabytes for each of its connections. So the server reads at most
//! [`AHEAD_MAX`] bytes while it serves a request, or while the client does not read an answer.

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Maximum number of bytes of requests that are read while the connection is busy. A head that is longer is read in several
/// turns of the thread.
const AHEAD_MAX: usize = 4 * 1024;

/// The socket of a connection.
pub(super) struct PacedStream {
    socket: TcpStream,
    pace: Rc<Pace>,
}

/// Whether the connection is read. The socket and the requests of the connection share it.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Number of bytes read since the connection was last found not to be busy.
    read: Cell<usize>,
    /// Whether the server has had a turn for the bytes that were read.
    has_yielded: Cell<bool>,
    /// Whether a request is served.
    is_serving: Cell<bool>,
    /// Whether the client does not read an answer.
    is_blocked: Cell<bool>,
    /// Whether the client has shown the token. It may send the body of an action while that is served.
    is_trusted: Cell<bool>,
    /// The waker of the connection while it may not read.
    waiting: RefCell<Option<Waker>>,
}

/// What reading does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Reads at most this number of bytes.
    Read(usize),
    /// Lets the server handle what has been read.
    Yield,
    /// Waits until the connection is not busy.
    Wait,
}

// === impl PacedStream ===

impl PacedStream {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, pace: Rc::default() }
    }

    /// The socket itself.
    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The pace of this connection.
    pub(super) fn pace(&self) -> Rc<Pace> {
        Rc::clone(&self.pace)
    }
}

impl AsyncRead for PacedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = match self.pace.next() {
            Next::Read(room) => room.min(buf.remaining()),
            Next::Yield => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Next::Wait => {
                self.pace.waiting.replace(Some(cx.waker().clone()));
                return Poll::Pending;
            }
        };
        let mut bytes = [0; AHEAD_MAX];
        let mut part = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut part))?;
        buf.put_slice(part.filled());
        self.pace.note_read(part.filled().len());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PacedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.pace.set(&self.pace.is_blocked, written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.pace.set(&self.pace.is_blocked, written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

// === impl Pace ===

impl Pace {
    /// Notes that a request is served from now on.
    pub(super) fn begin(&self) {
        self.is_serving.set(true);
    }

    /// Notes that the answer to the request begins.
    pub(super) fn end(&self) {
        self.set(&self.is_serving, false);
    }

    /// Notes that the client has shown the token.
    pub(super) fn trust(&self) {
        self.set(&self.is_trusted, true);
    }

    fn is_busy(&self) -> bool {
        self.is_blocked.get() || (self.is_serving.get() && !self.is_trusted.get())
    }

    /// Changes a flag, and wakes the connection if it may read again.
    fn set(&self, flag: &Cell<bool>, value: bool) {
        flag.set(value);
        if !self.is_busy()
            && let Some(waker) = self.waiting.take()
        {
            waker.wake();
        }
    }

    fn next(&self) -> Next {
        match AHEAD_MAX - self.read.get() {
            0 if self.is_busy() => return Next::Wait,
            // What has been read is not decoded yet, so it is not known whether the connection is busy with it.
            0 if !self.has_yielded.replace(true) => return Next::Yield,
            0 => {
                self.has_yielded.set(false);
                self.read.set(0);
            }
            _ => {}
        }
        Next::Read(AHEAD_MAX - self.read.get())
    }

    fn note_read(&self, count: usize) {
        self.read.set(self.read.get() + count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(pace: &Pace) {
        while let Next::Read(room) = pace.next() {
            pace.note_read(room.min(1000));
        }
    }

    #[test]
    fn a_connection_that_is_not_busy_is_read_in_pieces() {
        let pace = Pace::default();
        for _ in 0..3 {
            assert_eq!(pace.next(), Next::Read(AHEAD_MAX));
            pace.note_read(AHEAD_MAX);
            assert_eq!(pace.next(), Next::Yield, "the server decodes it first");
        }
    }

    #[test]
    fn a_busy_connection_is_read_up_to_the_limit() {
        let pace = Pace::default();
        for flag in [&pace.is_serving, &pace.is_blocked] {
            flag.set(true);
            read_all(&pace);
            assert_eq!(pace.next(), Next::Wait);
            pace.set(flag, false);
            assert!(matches!(pace.next(), Next::Yield | Next::Read(AHEAD_MAX)));
        }
    }

    #[test]
    fn an_operator_sends_the_body_of_an_action_that_is_served() {
        let pace = Pace::default();
        pace.begin();
        read_all(&pace);
        assert_eq!(pace.next(), Next::Wait);
        pace.trust();
        assert_ne!(pace.next(), Next::Wait);
    }
}
