//! Bursts: small messages that have arrived together, decoded and encoded in one pass.

use bytes::BytesMut;
use bytestring::ByteString;

use super::{
    Message, Role,
    frame::{Header, MASK_SIZE, Opcode, ShortHeader, apply_mask, is_masked_ascii},
    mask,
};

/// Small unfragmented messages in their order, in one allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burst {
    /// The frames of the messages as they arrived, one after another.
    frames: Vec<u8>,
    /// The role of the peer that sent them: a client has masked them.
    peer: Role,
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

// === impl BurstLimits ===

impl BurstLimits {
    /// Limits that allow no burst.
    pub const NONE: Self = Self { messages: 0, bytes: 0, overhead: 0 };
}

// === impl Burst ===

impl Burst {
    /// The messages at the front of `input`, as many as have arrived whole and the limits allow, but no longer than `len_max`
    /// each. `peer` has sent them. `None` if there are none. Takes no more memory than the frames need.
    pub(super) fn read(input: &mut &[u8], peer: Role, limits: &BurstLimits, len_max: usize) -> Option<Self> {
        let (mut rest, mut scratch) = (*input, Vec::new());
        let (mut count, mut bytes) = (0, 0);
        while count < limits.messages
            && bytes + count * limits.overhead < limits.bytes
            && let Some((header, payload, behind)) = whole_message(rest, peer)
            && header.len <= len_max
            && is_valid(&header, peer, payload, &mut scratch)
        {
            (count, bytes, rest) = (count + 1, bytes + header.len, behind);
        }
        if count == 0 {
            return None;
        }
        let frames = input[..input.len() - rest.len()].to_vec();
        *input = rest;
        Some(Self { frames, peer, count, bytes })
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

    /// The messages, in order. Each gets its own allocation, so that none keeps the memory of the others.
    pub fn messages(&self) -> impl Iterator<Item = Message> {
        self.frames().map(|(header, payload)| {
            let mut payload = BytesMut::from(payload);
            if self.peer == Role::Client {
                apply_mask(&mut payload, header.mask, 0);
            }
            let payload = payload.freeze();
            let text = (header.opcode == Opcode::Text).then(|| ByteString::try_from(payload.clone()));
            match text {
                Some(Ok(text)) => Message::Text(text),
                _ => Message::Binary(payload),
            }
        })
    }

    /// The frames as `role` sends them. A client masks each with a new key (RFC 6455 section 5.3).
    pub(super) fn into_frames(self, role: Role) -> Vec<u8> {
        let mut frames = if self.peer == role { self.frames } else { self.encoded(role) };
        if role == Role::Client {
            mask_again(&mut frames);
        }
        frames
    }

    /// The frames as `role` sends them, with masks of zeros if it is a client.
    fn encoded(&self, role: Role) -> Vec<u8> {
        let mask = (role == Role::Client).then_some([0; MASK_SIZE]);
        let mut out = Vec::with_capacity(self.frames.len() + self.count * MASK_SIZE);
        for (ShortHeader { opcode, mask: key, len, .. }, payload) in self.frames() {
            Header { fin: true, opcode, mask, len: len as u64 }.encode(&mut out);
            let at = out.len();
            out.extend_from_slice(payload);
            apply_mask(&mut out[at..], key, 0);
        }
        out
    }

    /// The header and the payload of each frame.
    fn frames(&self) -> impl Iterator<Item = (ShortHeader, &[u8])> {
        let mut rest = &self.frames[..];
        std::iter::from_fn(move || {
            let (header, payload, behind) = whole_message(rest, self.peer)?;
            rest = behind;
            Some((header, payload))
        })
    }
}

/// Replaces the masking keys of these frames, and masks the payloads with the new ones.
fn mask_again(frames: &mut [u8]) {
    mask::with_keys(|keys| {
        let mut rest = frames;
        while let Some(ShortHeader { mask: old, len, size, .. }) = ShortHeader::parse(rest, Role::Client)
            && let Some((frame, behind)) = rest.split_at_mut_checked(size + len)
        {
            let new = keys.next();
            let (header, payload) = frame.split_at_mut(size);
            header[size - MASK_SIZE..].copy_from_slice(&new);
            apply_mask(payload, std::array::from_fn(|at| old[at] ^ new[at]), 0);
            rest = behind;
        }
    });
}

/// Whether a message may have this payload, as `peer` sent it: a text has to be UTF-8. `scratch` is for texts that are masked
/// and not ASCII.
#[inline]
fn is_valid(header: &ShortHeader, peer: Role, payload: &[u8], scratch: &mut Vec<u8>) -> bool {
    match (header.opcode, peer) {
        (Opcode::Text, Role::Server) => payload.is_ascii() || std::str::from_utf8(payload).is_ok(),
        (Opcode::Text, Role::Client) => {
            is_masked_ascii(payload, header.mask) || is_masked_utf8(payload, header.mask, scratch)
        }
        _ => true,
    }
}

fn is_masked_utf8(payload: &[u8], mask: [u8; MASK_SIZE], scratch: &mut Vec<u8>) -> bool {
    scratch.clear();
    scratch.extend_from_slice(payload);
    apply_mask(scratch, mask, 0);
    std::str::from_utf8(scratch).is_ok()
}

/// The unfragmented message of at most 64 KiB at the front of `input`, if it has arrived whole: its header, its payload, and
/// the bytes behind it.
#[inline]
fn whole_message(input: &[u8], peer: Role) -> Option<(ShortHeader, &[u8], &[u8])> {
    let header = ShortHeader::parse(input, peer)?;
    let (payload, behind) = input[header.size..].split_at_checked(header.len)?;
    Some((header, payload, behind))
}
