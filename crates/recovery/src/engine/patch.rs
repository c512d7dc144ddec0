//! Changes of a message's bytes in place.

use std::{borrow::Cow, ops::Range};

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    json::search,
    kind::{Unit, Units},
    outcome::Message,
    preset::stomp::frames,
};

/// `text` with each of `changes` (from left to right) applied.
pub(super) fn patched(text: &[u8], changes: &mut [(Range<usize>, &[u8])]) -> Bytes {
    changes.sort_by_key(|(span, _)| span.start);
    let grown: usize = changes.iter().map(|(_, new)| new.len()).sum();
    let mut patched = BytesMut::with_capacity(text.len() + grown);
    let mut at = 0;
    for (span, new) in changes {
        patched.put_slice(&text[at..span.start]);
        patched.put_slice(new);
        at = span.end;
    }
    patched.put_slice(&text[at..]);
    patched.freeze()
}

/// Passes each unit of `message` to `each`, and joins the results; `None` if nothing is left.
pub(super) fn rewrite(message: Message, kind: Units, mut each: impl FnMut(Bytes) -> Unit) -> Option<Message> {
    let payload = &message.payload;
    let elements = match kind {
        Units::One => None,
        Units::Batch if payload.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') => None,
        Units::Batch => search::elements(payload),
        Units::Frames => Some(frames::split(payload)),
    };
    let Some(elements) = elements else {
        return match each(payload.clone()) {
            Unit::Keep => Some(message),
            Unit::Replace(payload) => Some(Message { payload, ..message }),
            Unit::Drop => None,
        };
    };
    let units: Vec<_> = elements.iter().map(|span| each(payload.slice(span.clone()))).collect();
    if units.iter().all(|unit| *unit == Unit::Keep) {
        return Some(message);
    }
    let left = elements.into_iter().zip(units).filter_map(|(span, unit)| match unit {
        Unit::Keep => Some(payload.slice(span)),
        Unit::Replace(unit) => Some(unit),
        Unit::Drop => None,
    });
    let left = if kind == Units::Frames { concatenated(left) } else { joined(left) };
    left.map(|payload| Message { payload, ..message })
}

/// Messages as one batch. The first may be a batch already.
pub(super) fn batch(messages: &[Message]) -> Message {
    let units = messages.iter().flat_map(|message| match search::elements(&message.payload) {
        Some(elements) => elements.into_iter().map(|span| message.payload.slice(span)).collect(),
        None => vec![message.payload.clone()],
    });
    Message::text(joined(units).unwrap_or_default())
}

/// Messages one after the other.
pub(super) fn sequence(messages: &[Message]) -> Message {
    let units = messages.iter().map(|message| message.payload.clone());
    Message::text(concatenated(units).unwrap_or_default())
}

fn concatenated(units: impl Iterator<Item = Bytes>) -> Option<Bytes> {
    let units: Vec<_> = units.collect();
    (!units.is_empty()).then(|| units.concat().into())
}

fn joined(units: impl Iterator<Item = Bytes>) -> Option<Bytes> {
    let mut batch = BytesMut::new();
    for unit in units {
        batch.put_u8(if batch.is_empty() { b'[' } else { b',' });
        batch.put_slice(&unit);
    }
    if batch.is_empty() {
        return None;
    }
    batch.put_u8(b']');
    Some(batch.freeze())
}

/// An id that no subscription of the session has, of the same JSON type as `id`.
pub(super) fn other_id(id: &[u8], is_taken: impl Fn(&[u8]) -> bool) -> Bytes {
    // The largest integer that a JavaScript client represents exactly.
    const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
    for number in 0_u64.. {
        let other = match id.first() {
            // Ethereum: hexadecimal with an even number of digits, which some libraries check.
            Some(b'"') => format!("\"0x746f776c{number:024x}\""),
            _ => (MAX_SAFE_INTEGER - number).to_string(),
        };
        if !is_taken(other.as_bytes()) {
            return other.into();
        }
    }
    Bytes::copy_from_slice(id)
}

/// `mark` and a hyphen before an id, to tell connections apart.
pub(super) fn marked(generation: u64, id: &[u8]) -> Vec<u8> {
    [format!("{generation}-").as_bytes(), id].concat()
}

/// The id without its mark; `None` when it belongs to another generation.
pub(super) fn unmarked(generation: u64, id: &[u8]) -> Option<&[u8]> {
    id.strip_prefix(format!("{generation}-").as_bytes())
}

/// `id`, owned without the buffer that it came in.
pub(super) fn owned(id: Cow<'_, [u8]>) -> Bytes {
    match id {
        Cow::Borrowed(id) => Bytes::copy_from_slice(id),
        Cow::Owned(id) => id.into(),
    }
}
