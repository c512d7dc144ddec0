//! A stream that writes the header names of its first request as the RFCs spell them.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_rt::net::{ActixStream, Ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::spelling;

/// A stream that changes the case of header names in the head of the first request, because awc writes them
/// in lower case. Everything else passes unchanged and is not copied.
#[derive(Debug)]
pub struct Spelled<S> {
    stream: S,
    head: Head,
}

#[derive(Debug)]
enum Head {
    /// Nothing has been written yet.
    Awaited,
    /// The respelled head, and the number of its bytes that are written.
    Writing(Vec<u8>, usize),
    /// The head is written.
    Written,
}

impl<S> Spelled<S> {
    /// Creates a stream to which nothing has been written.
    pub fn new(stream: S) -> Self {
        Self { stream, head: Head::Awaited }
    }
}

impl<S: AsyncWrite + Unpin> Spelled<S> {
    /// Writes from the respelled head instead of `bytes`, which start with the rest of the head that is not
    /// written.
    ///
    /// # Correctness
    /// awc passes the whole rest of the head to each write until all of it is written. Respelling keeps the
    /// length, so the number of respelled bytes written equals the number of head bytes written.
    fn write_head(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Head::Awaited = self.head {
            let mut head = bytes.to_vec();
            spelling::spell_head(&mut head);
            self.head = Head::Writing(head, 0);
        }
        let Head::Writing(head, at) = &mut self.head else { return Poll::Ready(Ok(0)) };
        let left = &head[*at..];
        let left = &left[..left.len().min(bytes.len())];
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, left))?;
        *at += written;
        if *at == head.len() {
            self.head = Head::Written;
        }
        Poll::Ready(Ok(written))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Spelled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Spelled<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.head {
            Head::Written => Pin::new(&mut self.stream).poll_write(context, bytes),
            _ if bytes.is_empty() => Poll::Ready(Ok(0)),
            _ => self.write_head(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.head {
            Head::Written => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
            _ => match slices.iter().find(|slice| !slice.is_empty()) {
                Some(first) => self.write_head(context, first),
                None => Poll::Ready(Ok(0)),
            },
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: ActixStream> ActixStream for Spelled<S> {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.stream.poll_read_ready(context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.stream.poll_write_ready(context)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// A stream that accepts at most `room` bytes per write, and counts the slices passed to it.
    struct Narrow {
        room: usize,
        taken: Vec<u8>,
        slices: usize,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.room);
            self.taken.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.slices = slices.len();
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            self.poll_write(context, &bytes)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn only_the_head_is_spelled_however_little_is_taken_at_a_time() {
        let head = b"GET /a HTTP/1.1\r\nhost: h\r\nsec-websocket-key: k\r\n\r\n";
        let context = &mut Context::from_waker(Waker::noop());
        for room in 1..=head.len() {
            let mut stream = Spelled::new(Narrow { room, taken: Vec::new(), slices: 0 });
            let mut rest = &head[..];
            while !rest.is_empty() {
                let Poll::Ready(Ok(count)) = Pin::new(&mut stream).poll_write(context, rest) else {
                    panic!()
                };
                rest = &rest[count..];
            }
            let mut expected = b"GET /a HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\n\r\n".to_vec();
            assert_eq!(stream.stream.taken, expected, "{room} bytes at a time");

            stream.stream.room = 100;
            let slices = [IoSlice::new(b"x\r\nhost: "), IoSlice::new(b"h\r\n")];
            assert!(stream.is_write_vectored());
            let written = Pin::new(&mut stream).poll_write_vectored(context, &slices);
            assert!(matches!(written, Poll::Ready(Ok(12))), "{written:?}");
            assert_eq!(stream.stream.slices, 2, "frames are not copied together");
            expected.extend_from_slice(b"x\r\nhost: h\r\n");
            assert_eq!(stream.stream.taken, expected);
        }
    }
}
