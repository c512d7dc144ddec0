//! Frames in WebSocket messages: a message may have several, and a frame may span several messages.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use super::Frame;

const COMMANDS: [&[u8]; 15] = [
    b"CONNECT",
    b"STOMP",
    b"CONNECTED",
    b"SEND",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"ACK",
    b"NACK",
    b"BEGIN",
    b"COMMIT",
    b"ABORT",
    b"DISCONNECT",
    b"MESSAGE",
    b"RECEIPT",
    b"ERROR",
];

/// The unfinished frame of one direction.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    unfinished: BytesMut,
    /// The length of the unfinished frame, where its `content-length` shows it.
    needed: usize,
}

impl Assembler {
    /// The frames that `payload` completes, as they follow each other. Bytes that begin no frame pass.
    ///
    /// # Errors
    /// When a frame that spans messages is longer than `limit`.
    pub(crate) fn push(&mut self, payload: &Bytes, limit: usize) -> Result<Option<Bytes>, &'static str> {
        let mut bytes = payload.clone();
        if !self.unfinished.is_empty() {
            self.unfinished.extend_from_slice(payload);
            // Each frame ends with a NUL, so that no byte is searched twice for it.
            if memchr(0, payload).is_none() || self.unfinished.len() < self.needed {
                return if self.unfinished.len() > limit { Err(TOO_LONG) } else { Ok(None) };
            }
            bytes = std::mem::take(&mut self.unfinished).freeze();
        }
        let (frames, needed) = complete(&bytes);
        let end = frames.last().map_or(0, |frame| frame.end);
        let rest = bytes.split_off(end);
        if !is_beginning(&rest) {
            let all = if rest.is_empty() { bytes } else { [&bytes[..], &rest].concat().into() };
            return Ok(Some(all));
        }
        if rest.len().max(needed) > limit {
            return Err(TOO_LONG);
        }
        (self.unfinished, self.needed) = (BytesMut::from(&rest[..]), needed);
        Ok((end > 0).then_some(bytes))
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn bytes(&self) -> usize {
        self.unfinished.len()
    }
}

const TOO_LONG: &str = "a STOMP frame exceeds the limit of a message";

/// The frames of `text`; what follows the last complete one counts as one more.
pub(crate) fn split(text: &[u8]) -> Vec<Range<usize>> {
    let (mut frames, _) = complete(text);
    let end = frames.last().map_or(0, |frame| frame.end);
    if end < text.len() || text.is_empty() {
        frames.push(end..text.len());
    }
    frames
}

/// The complete frames at the beginning of `text`, and the length of the one that follows, as far as it is known. The
/// line ends of a heart-beat belong to the frame before them, or to the first one.
fn complete(text: &[u8]) -> (Vec<Range<usize>>, usize) {
    let mut frames: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    loop {
        let length = match length(&text[at..]) {
            Ok(length) => length,
            Err(needed) => return (frames, needed),
        };
        let mut end = at + length;
        while text.get(end).is_some_and(|byte| b"\r\n".contains(byte)) {
            end += 1;
        }
        frames.push(at..end);
        at = end;
    }
}

/// The length of the first frame, with its NUL.
///
/// # Errors
/// When the frame is incomplete: its length as far as it is known.
fn length(text: &[u8]) -> Result<usize, usize> {
    let nul = memchr(0, text).ok_or(0_usize)?;
    // A NUL before the body ends a malformed frame.
    let Some(frame) = Frame::new(text).filter(|frame| frame.headers.end < nul) else { return Ok(nul + 1) };
    let body = frame.headers.end + memchr(b'\n', &text[frame.headers.end..]).map_or(0, |at| at + 1);
    let length = frame.header("content-length");
    let length = length.and_then(|header| std::str::from_utf8(&header.id).ok()?.trim().parse::<usize>().ok());
    let end = length.and_then(|length| body.checked_add(length));
    match end.map(|end| (end, text.get(end))) {
        Some((end, Some(0))) => Ok(end + 1),
        Some((end, None)) => Err(end.saturating_add(1)),
        // Without a length, or with a wrong one, the first NUL ends the frame.
        Some((_, Some(_))) | None => Ok(nul + 1),
    }
}

/// Whether `text` may be the beginning of a frame.
fn is_beginning(text: &[u8]) -> bool {
    let Some(start) = text.iter().position(|byte| !b"\r\n".contains(byte)) else { return false };
    let text = &text[start..];
    match memchr(b'\n', text) {
        Some(end) => COMMANDS.contains(&text[..end].trim_ascii_end()),
        None => COMMANDS.iter().any(|command| command.starts_with(text.trim_ascii_end())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn the_length_of_a_body_counts() {
        let text = b"SEND\ncontent-length:3\n\na\0b\0\n\nACK\nid:1\n\n\0";
        assert_eq!(split(text), [0..29, 29..40]);
        assert_eq!(split(b"SEND\n\na\0b\0").len(), 2);
        assert_eq!(split(b"\n").len(), 1);
    }

    #[test]
    fn bytes_that_begin_no_frame_pass() {
        for text in [&b"o"[..], b"a[\"x\"]", b"\n", b"", b"HELLO\n\n"] {
            let payload = Bytes::from_static(text);
            assert_eq!(Assembler::default().push(&payload, 10), Ok(Some(payload)));
        }
    }

    proptest! {
        /// Wherever messages end, the frames are the same.
        #[test]
        fn frames_do_not_depend_on_messages(bodies in vec(vec(any::<u8>(), 0..40), 1..6), cuts in vec(1..30_usize, 1..20)) {
            let frame = |body: &Vec<u8>| {
                let head = format!("SEND\ncontent-length:{}\n\n", body.len());
                [head.as_bytes(), body, b"\0"].concat()
            };
            let frames: Vec<_> = bodies.iter().map(frame).collect();
            let mut stream = Bytes::from(frames.concat());
            let (mut assembler, mut found) = (Assembler::default(), Vec::new());
            for cut in cuts.into_iter().cycle() {
                if stream.is_empty() {
                    break;
                }
                let complete = assembler.push(&stream.split_to(cut.min(stream.len())), 1000).unwrap();
                let complete = complete.unwrap_or_default();
                let spans = split(&complete).into_iter().filter(|span| !span.is_empty());
                found.extend(spans.map(|span| complete[span].to_vec()));
            }
            prop_assert_eq!(found, frames);
            prop_assert_eq!(assembler.bytes(), 0);
        }
    }
}
