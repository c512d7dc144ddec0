//! Bursts: small messages that have arrived together, decoded and encoded in one pass.

use bytes::Bytes;

use super::{
    Message,
    frame::{Header, Opcode, apply_mask},
};

/// Small unfragmented messages in their order, in one allocation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Burst {
    /// The frames of the messages without masks, one after another. They are what a server sends.
    frames: Vec<u8>,
    /// Number of messages.
    count: usize,
    /// Number of bytes of all payloads.
    bytes: usize,
}

/// Limits of the next burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BurstLimits {
    /// Maximum number of messages. If it is 0, there are no bursts.
    pub messages: usize,
    /// Number of bytes at which a burst ends. The last message may exceed it.
    pub bytes: usize,
    /// Number of bytes that a message counts in addition to its payload.
    pub overhead: usize,
}

/// A frame of a burst: its header without mask, and its payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct BurstFrame<'a> {
    pub(super) header: &'a [u8],
    pub(super) payload: &'a [u8],
}

// === impl BurstLimits ===

impl BurstLimits {
    /// Limits that allow no burst.
    pub const NONE: Self = Self { messages: 0, bytes: 0, overhead: 0 };
}

// === impl Burst ===

impl Burst {
    /// The messages of these frames, which have no masks.
    pub(super) fn of_frames(frames: &[u8], count: usize, bytes: usize) -> Self {
        Self { frames: frames.to_vec(), count, bytes }
    }

    /// Adds a message, which is at most 64 KiB long. The first one allocates memory for `room` bytes. Returns false, and
    /// adds nothing, if it is a text message that is not UTF-8.
    #[inline]
    pub(super) fn push(&mut self, header: &Header, payload: &[u8], room: usize) -> bool {
        if self.frames.capacity() == 0 {
            self.frames = Vec::with_capacity(room);
        }
        let begin = self.frames.len();
        Header { mask: None, ..*header }.encode(&mut self.frames);
        let at = self.frames.len();
        self.frames.extend_from_slice(payload);
        let added = &mut self.frames[at..];
        if let Some(mask) = header.mask {
            apply_mask(added, mask, 0);
        }
        if !is_valid(header.opcode, added) {
            self.frames.truncate(begin);
            return false;
        }
        self.count += 1;
        self.bytes += payload.len();
        true
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no messages.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Number of bytes of all payloads.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// All frames, without masks.
    pub(super) fn as_frames(&self) -> &[u8] {
        &self.frames
    }

    /// The frames, in order.
    #[inline]
    pub(super) fn frames(&self) -> impl Iterator<Item = BurstFrame<'_>> {
        let mut rest = &self.frames[..];
        std::iter::from_fn(move || {
            let (size, len) = match *rest {
                [_, 126, high, low, ..] => (4, u16::from_be_bytes([high, low]).into()),
                [_, len, ..] => (2, usize::from(len)),
                _ => return None,
            };
            let (frame, behind) = rest.split_at_checked(size + len)?;
            rest = behind;
            let (header, payload) = frame.split_at(size);
            Some(BurstFrame { header, payload })
        })
    }

    /// The messages, in order. Each gets its own allocation, so that none keeps the memory of the others.
    pub fn messages(&self) -> impl Iterator<Item = Message> {
        self.frames().map(|BurstFrame { header, payload }| match std::str::from_utf8(payload) {
            Ok(text) if header[0] & 0x0f == Opcode::Text as u8 => Message::Text(text.into()),
            _ => Message::Binary(Bytes::copy_from_slice(payload)),
        })
    }
}

/// Whether a message may have this payload: a text has to be UTF-8.
#[inline]
pub(super) fn is_valid(opcode: Opcode, payload: &[u8]) -> bool {
    opcode != Opcode::Text || payload.is_ascii() || std::str::from_utf8(payload).is_ok()
}

/// The unfragmented message at the front of `input`, if it has arrived whole, and is masked and as short as asked: its
/// header, its payload, and the bytes behind it.
#[inline]
pub(super) fn whole_message(input: &[u8], is_masked: bool, len_max: u64) -> Option<(Header, &[u8], &[u8])> {
    let (header, size) = Header::of_short_message(input)?;
    if header.mask.is_some() != is_masked || header.len > len_max {
        return None;
    }
    let (payload, behind) = input[size..].split_at_checked(header.len as usize)?;
    Some((header, payload, behind))
}
