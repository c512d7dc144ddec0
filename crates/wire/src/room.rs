//! The memory of payloads that arrive in pieces.

use std::mem;

use bytes::{Bytes, BytesMut};

/// Number of bytes that are allocated at first for a payload that has not arrived. The memory grows as bytes
/// arrive, so that a header alone takes no more memory than this, whatever length it declares.
const FIRST_ROOM: usize = 4 * 1024;

/// What has not arrived of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest {
    /// Number of bytes of the payload.
    pub(super) missing: usize,
    /// Whether no frame of the message follows.
    pub(super) is_last: bool,
}

/// Reserves memory for the payload of a frame, of which `available` more bytes have arrived: for as many bytes as have
/// arrived so far, rounded up to a power of two, or for all missing ones of the last frame if they are at most twice as
/// many. The total capacity is at most `max` bytes.
pub(super) fn make_room(payload: &mut BytesMut, rest: Rest, available: usize, max: usize) {
    let Rest { missing, is_last } = rest;
    if payload.capacity() - payload.len() >= available.min(missing) && payload.capacity() > 0 {
        return;
    }
    let arrived = available.max(payload.len());
    match is_last && missing <= 2 * arrived {
        // The message grows no more.
        true if payload.capacity() == 0 => *payload = BytesMut::with_capacity(missing),
        true => reserve_exact(payload, missing),
        // The allocator wastes nothing of powers of two.
        false => grow(payload, missing.min(arrived.max(FIRST_ROOM).next_power_of_two()), max),
    }
}

/// Reserves memory for `more` bytes by doubling the capacity, so that growth costs little, but to at most
/// `max` bytes (guarantee C4).
fn grow(payload: &mut BytesMut, more: usize, max: usize) {
    if payload.capacity() * 2 <= max {
        return payload.reserve(more);
    }
    let total = max.max(payload.len() + more);
    reserve_exact(payload, total - payload.len());
}

fn reserve_exact(payload: &mut BytesMut, more: usize) {
    let mut exact = Vec::from(mem::take(payload));
    exact.reserve_exact(more);
    *payload = Bytes::from(exact).into();
}
