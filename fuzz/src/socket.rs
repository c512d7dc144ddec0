//! A socket in memory that moves few bytes at a time, and sometimes returns pending.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use towline::wire::{Incoming, Limits, Link, LinkError, LivenessConfig, Role, WireError};

/// Liveness settings without checks.
const UNWATCHED: LivenessConfig = LivenessConfig {
    ping_interval: None,
    ping_timeout: Duration::from_secs(10),
    idle_timeout: None,
    slow_consumer_timeout: None,
};

/// Pseudo-random sizes of pieces, from 1 to 4096 and mostly small, determined by a seed.
#[derive(Debug, Clone)]
pub struct Sizes(u32);

/// A socket with fixed input. It records its output.
#[derive(Debug)]
pub struct Socket {
    input: Vec<u8>,
    at: usize,
    output: Rc<RefCell<Vec<u8>>>,
    sizes: Sizes,
    was_ready: bool,
}

impl Sizes {
    /// Creates the sizes for a seed. With seed 0, all sizes are 1.
    pub fn new(seed: u8) -> Self {
        Self(seed.into())
    }
}

impl Iterator for Sizes {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.0 = self.0.wrapping_mul(0x0019_660d);
        let bits = (self.0 >> 8) as usize;
        Some(1 + (bits >> 4) % (1 << (bits % 13)))
    }
}

impl Socket {
    /// Creates a socket whose peer sends `input` and then closes.
    pub fn new(input: &[u8], seed: u8) -> Self {
        Self {
            input: input.to_vec(),
            at: 0,
            output: Rc::default(),
            sizes: Sizes::new(seed),
            was_ready: false,
        }
    }

    /// A handle to the written bytes.
    pub fn output(&self) -> Rc<RefCell<Vec<u8>>> {
        Rc::clone(&self.output)
    }

    /// The number of bytes to move. Every other call returns pending.
    fn poll_size(&mut self) -> Poll<usize> {
        self.was_ready = !self.was_ready;
        if self.was_ready { Poll::Ready(self.sizes.next().unwrap_or(1)) } else { Poll::Pending }
    }
}

/// A link without liveness checks.
pub fn link(socket: Socket, role: Role, limits: Limits) -> Link<Socket, usize> {
    Link::new(socket, role, limits, &UNWATCHED, Bytes::new())
}

/// Reads `bytes` through a link, with a new turn after each pending read. Returns the messages and control
/// frames, and the violation if there is one.
pub fn read(role: Role, limits: Limits, bytes: &[u8], seed: u8) -> (Vec<Incoming>, Option<WireError>) {
    let mut link = link(Socket::new(bytes, seed), role, limits);
    let mut cx = Context::from_waker(Waker::noop());
    let mut got = Vec::new();
    loop {
        match link.poll_next(&mut cx) {
            Poll::Ready(Ok(incoming)) => got.push(incoming),
            Poll::Ready(Err(LinkError::Eof)) => return (got, None),
            Poll::Ready(Err(LinkError::Wire(error))) => return (got, Some(error)),
            Poll::Ready(Err(LinkError::Io(error))) => unreachable!("the socket never fails: {error}"),
            Poll::Pending => link.end_turn(),
        }
        assert!(link.unfinished() <= limits.max_message.max(8), "{} bytes held", link.unfinished());
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Poll::Ready(size) = self.poll_size() else { return Poll::Pending };
        let count = size.min(buffer.remaining()).min(self.input.len() - self.at);
        buffer.put_slice(&self.input[self.at..self.at + count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Poll::Ready(size) = self.poll_size() else { return Poll::Pending };
        let count = size.min(bytes.len());
        self.output.borrow_mut().extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
