//! The buffers of a thread: one to read to and one to write from, lent to the link whose turn it is.
//!
//! A link keeps neither between two turns unless its socket is blocked, so that idle connections hold no
//! memory and busy ones need not allocate.

use std::cell::Cell;

/// Bytes read from a socket at once.
const READ_BYTES: usize = 64 * 1024;

/// A write buffer above this size is not kept.
const WRITE_BYTES_MAX: usize = 128 * 1024;

/// Bytes from a socket, and which of them have not been decoded.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    pub(super) bytes: Box<[u8]>,
    pub(super) at: usize,
    pub(super) end: usize,
}

impl ReadBuffer {
    /// What has not been decoded.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..self.end]
    }
}

thread_local! {
    static READ: Cell<Option<Box<ReadBuffer>>> = const { Cell::new(None) };
    static WRITE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The thread's read buffer, empty, or a new one when another link has it.
pub(super) fn take_read() -> Box<ReadBuffer> {
    READ.take().unwrap_or_else(|| {
        Box::new(ReadBuffer { bytes: vec![0; READ_BYTES].into_boxed_slice(), at: 0, end: 0 })
    })
}

/// Gives the read buffer back.
pub(super) fn give_back_read(mut buffer: Box<ReadBuffer>) {
    (buffer.at, buffer.end) = (0, 0);
    READ.set(Some(buffer));
}

/// The thread's write buffer, empty; without room when another link has it.
pub(super) fn take() -> Vec<u8> {
    WRITE.take()
}

/// Gives the write buffer back, or frees it when the thread has one.
pub(super) fn give_back(mut buffer: Vec<u8>) {
    buffer.clear();
    let kept = WRITE.take();
    let fits = buffer.capacity() <= WRITE_BYTES_MAX && buffer.capacity() > kept.capacity();
    WRITE.set(if fits { buffer } else { kept });
}
