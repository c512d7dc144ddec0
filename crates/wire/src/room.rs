//! The memory of payloads that arrive in pieces.

use std::mem;

use bytes::{Bytes, BytesMut};

/// Number of bytes that are allocated at first for a payload that has not arrived. The memory grows as bytes
/// arrive, so that a header alone reserves no more than this, whatever length it declares.
const FIRST_ROOM: usize = 4 * 1024;

/// Number of bytes of a message that must have arrived before memory is reserved for many more. With fewer, growth copies
/// little.
const AHEAD_FROM: usize = 32 * 1024;

/// The reservation for many more bytes is at most this many times what has arrived, rounded up to a power of two. A message
/// of 1 MiB then grows once instead of five times.
const AHEAD_FACTOR: usize = 32;

/// What has not arrived of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest {
    /// Number of bytes of the payload.
    pub(super) missing: usize,
    /// Whether no frame of the message follows.
    pub(super) is_last: bool,
}

/// Limits on the memory of an incomplete message.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoomLimits {
    /// Maximum capacity in bytes.
    pub(super) max: usize,
    /// Maximum size in bytes of a reservation for many more bytes than have arrived.
    pub(super) ahead: usize,
}

/// Reserves memory for the payload of a frame, of which `available` more bytes have arrived: for as many bytes as have
/// arrived so far, rounded up to a power of two, or for all missing ones of the last frame if they are at most twice as
/// many. From 32 KiB on, it reserves up to 32 times as many as have arrived, if the limits allow it. The total capacity is
/// at most `limits.max` bytes.
///
/// The reserved memory is not touched before the bytes arrive, so the system does not provide its pages before.
pub(super) fn make_room(payload: &mut BytesMut, rest: Rest, available: usize, limits: RoomLimits) {
    let Rest { missing, is_last } = rest;
    if payload.capacity() - payload.len() >= available.min(missing) && payload.capacity() > 0 {
        return;
    }
    let arrived = available.max(payload.len());
    // The allocator wastes nothing of powers of two.
    let step = arrived.max(FIRST_ROOM).next_power_of_two();
    let far = missing.min(step * AHEAD_FACTOR);
    let more = if arrived >= AHEAD_FROM && far <= limits.ahead { far } else { missing.min(step) };
    match is_last && (missing <= 2 * arrived || missing == more) {
        // The message grows no more.
        true if payload.capacity() == 0 => *payload = BytesMut::with_capacity(missing),
        true => reserve_exact(payload, missing),
        false => grow(payload, more, limits.max),
    }
}

/// Reserves memory for `more` bytes, and at least doubles the capacity, so that growth costs little, but to at most
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
