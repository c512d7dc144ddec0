//! The read and write buffers of a thread, lent to the link that runs.
//!
//! A link holds no buffer between two turns unless its socket is blocked. Idle connections therefore use no
//! memory for buffers, and busy ones do not allocate.

use std::{
    cell::Cell,
    future::Future,
    io,
    pin::pin,
    task::{Context, Poll},
};

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Number of bytes read from a socket at once.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// Maximum capacity of a write buffer that is kept, in bytes. A larger buffer is freed, because few
/// connections need it.
const WRITE_BYTES_MAX: usize = 128 * 1024;

/// Bytes read from a socket, and the position up to which they are decoded.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    pub(super) bytes: Box<[u8]>,
    pub(super) at: usize,
    pub(super) end: usize,
}

impl ReadBuffer {
    /// The bytes that are not decoded yet.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..self.end]
    }
}

thread_local! {
    static READ: Cell<Option<Box<ReadBuffer>>> = const { Cell::new(None) };
    static WRITE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the thread's read buffer, empty; a new buffer while another link has it.
pub(super) fn take_read() -> Box<ReadBuffer> {
    READ.take().unwrap_or_else(|| {
        Box::new(ReadBuffer { bytes: vec![0; READ_BYTES].into_boxed_slice(), at: 0, end: 0 })
    })
}

/// Returns the read buffer to the thread.
pub(super) fn give_back_read(mut buffer: Box<ReadBuffer>) {
    (buffer.at, buffer.end) = (0, 0);
    READ.set(Some(buffer));
}

/// Lends the thread's write buffer, empty; a buffer without capacity while another link has it.
pub(super) fn take() -> Vec<u8> {
    WRITE.take()
}

/// Returns the write buffer to the thread, or frees it if the thread already has one.
pub(super) fn give_back(mut buffer: Vec<u8>) {
    buffer.clear();
    let kept = WRITE.take();
    let fits = buffer.capacity() <= WRITE_BYTES_MAX && buffer.capacity() > kept.capacity();
    WRITE.set(if fits { buffer } else { kept });
}

/// Reads at most `room` bytes from the socket into `payload`, behind those that it has.
pub(super) fn poll_read_into<S: AsyncRead + Unpin>(
    socket: &mut S,
    payload: &mut BytesMut,
    room: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut limited = payload.limit(room);
    // A pending read keeps no data: reading into a buffer is cancel safe.
    pin!(socket.read_buf(&mut limited)).poll(cx)
}
