//! The reader of a tap: turns its lines into chunks of JSON lines.

use std::{
    io::Write,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{
    hub::{Tap, Taps},
    line::LineFormat,
    queue::TapItem,
    redact::Redaction,
};

/// The size from which a chunk is passed on.
const CHUNK: usize = 16 * 1024;

/// The reader of a tap. Dropping it ends the tap.
#[derive(Debug)]
pub struct TapReader {
    taps: Arc<Taps>,
    tap: Arc<Tap>,
    format: LineFormat,
}

impl TapReader {
    pub(super) fn new(taps: Arc<Taps>, tap: Arc<Tap>, redaction: Arc<Redaction>) -> Self {
        let max_payload = tap.request().payload.unwrap_or_default();
        Self { taps, tap, format: LineFormat { redaction, max_payload } }
    }

    /// Masks by these rules from the next line on.
    pub fn set_redaction(&mut self, redaction: Arc<Redaction>) {
        self.format.redaction = redaction;
    }

    /// The next chunk of whole lines; `None` at the end of the tap. Masking takes place here, on the reader's thread.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK {
            let is_closed = self.tap.queue().is_closed();
            match self.tap.queue().pop(cx.waker()) {
                Some(item) => self.write(&item, &mut chunk),
                None if is_closed && chunk.is_empty() => return Poll::Ready(None),
                None => break,
            }
        }
        match chunk.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(Some(chunk.into())),
        }
    }

    fn write(&self, item: &TapItem, chunk: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _ = match item {
            TapItem::Line(line) => {
                line.write(&self.format, chunk);
                Ok(())
            }
            TapItem::Lost(count) => writeln!(chunk, "{{\"lost\":{count}}}"),
            TapItem::Skipped(count) => writeln!(chunk, "{{\"skipped\":{count}}}"),
        };
    }
}

impl Drop for TapReader {
    fn drop(&mut self) {
        self.taps.close(&self.tap);
    }
}
