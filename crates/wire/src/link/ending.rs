//! The end of a connection: waiting for the peer's close frame or for the end of the stream.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Link, LinkError, buffer};
use crate::{Closing, Incoming};

impl<S, T> Link<S, T>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Waits until the peer has sent its close frame or ended the connection, and discards everything else.
    pub fn poll_peer_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_close_by(cx, Self::poll_next)
    }

    /// Waits until a peer that violated the protocol has ended the connection. Discards its bytes without decoding
    /// them, and shuts down the proxy's direction of the connection after the queued bytes.
    pub fn poll_rejected(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_close_by(cx, Self::poll_discard)
    }

    fn poll_close_by(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl Fn(&mut Self, &mut Context<'_>) -> Poll<Result<Incoming, LinkError>>,
    ) -> Poll<()> {
        let done = loop {
            match poll(self, cx) {
                Poll::Pending => break Poll::Pending,
                Poll::Ready(Ok(Incoming::Close(_)) | Err(_)) => break Poll::Ready(()),
                Poll::Ready(Ok(_)) => {}
            }
        };
        self.end_turn();
        done
    }

    /// Frees the memory for reading. After this call only the end of the connection matters; see
    /// [`Link::poll_end`].
    pub fn stop_reading(&mut self) {
        self.end_turn();
        self.rest = None;
        self.decoder.forget();
    }

    /// Waits until the peer has ended the connection, or the connection has failed. Writes the queued frames,
    /// and discards what the peer sends. The proxy's direction stays open, so that the peer can end the
    /// connection first.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()>
    where
        S: Closing,
    {
        let ended = match self.poll_flush(cx, drop) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            // The socket is closed next, in any case.
            _ => self.poll_forget(cx).map(|_| _ = self.poll_announce_end(cx)),
        };
        self.end_turn();
        ended
    }

    /// Reads and discards until the peer ends the connection. Shuts down the proxy's direction after the
    /// queued bytes.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, LinkError>> {
        if self.outbox.is_empty() {
            // The peer's close frame cannot be recognised after a violation. So we shut down at once, as a
            // client expects by RFC 6455 section 7.1.1, and keep reading: unread bytes would cause a reset,
            // which could overtake our close frame. If the shutdown fails, reading fails too.
            let _ = self.poll_shutdown(cx);
        }
        self.poll_forget(cx)
    }

    fn poll_forget(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, LinkError>> {
        self.arrival.forget();
        while !self.is_turn_over(cx) {
            let sink = self.scratch.get_or_insert_with(buffer::take_read);
            let mut buffer = ReadBuf::new(&mut sink.bytes);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer))?;
            let count = buffer.filled().len();
            if count == 0 {
                return Poll::Ready(Err(LinkError::Eof));
            }
            self.quota.read(count);
        }
        Poll::Pending
    }

    /// Shuts down the proxy's direction of the connection.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    /// Announces the end of a connection that is closed next, if its socket needs that.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn poll_announce_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: Closing,
    {
        if self.socket.announces_end() { self.poll_shutdown(cx) } else { Poll::Ready(Ok(())) }
    }
}
