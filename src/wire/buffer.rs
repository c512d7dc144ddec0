//! The buffers of a thread: one to read to and one to write from, lent to the link whose turn it is.
//!
//! A link keeps neither between two turns unless its socket is blocked, so that idle connections hold no
//! memory and busy ones need not allocate.

use std::cell::Cell;

/// Bytes read from a socket at once.
const READ_BYTES: usize = 64 * 1024;

/// A write buffer above this size is not kept.
const WRITE_BYTES_MAX: usize = 128 * 1024;

thread_local! {
    static READ: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    static WRITE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The thread's read buffer, or a new one when another link has it.
pub(super) fn take_read() -> Box<[u8]> {
    READ.take().unwrap_or_else(|| vec![0; READ_BYTES].into_boxed_slice())
}

/// Gives the read buffer back.
pub(super) fn give_back_read(buffer: Box<[u8]>) {
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
