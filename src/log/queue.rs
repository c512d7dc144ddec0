//! Log lines that wait to be written, up to a fixed number of bytes.

/// Maximum size of the lines in the queue, in bytes: about five thousand lines. That is more than a busy
/// proxy logs during a short pause of its log reader, and small compared with the buffers of its sessions.
/// The writer holds up to the same amount while it writes.
pub(super) const QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// The lines in order, and the number of lines that did not fit.
///
/// After the first line that does not fit, all lines are dropped until the writer has taken the queue. The
/// dropped lines therefore form one gap, and their count belongs right after the lines that the writer has
/// taken.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lines: Vec<u8>,
    dropped: u64,
}

// === impl Queue ===

impl Queue {
    /// Appends text of whole lines, or counts them as dropped. A text longer than [`QUEUE_BYTES_MAX`] is
    /// accepted if the queue is empty, because its memory is in use anyway. Returns how many lines were dropped.
    pub(super) fn push(&mut self, text: &[u8]) -> u64 {
        let is_full = !self.lines.is_empty() && self.lines.len() + text.len() > QUEUE_BYTES_MAX;
        if self.dropped > 0 || is_full {
            let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.dropped += lines;
            lines
        } else {
            self.lines.extend_from_slice(text);
            0
        }
    }

    /// Moves all lines into `batch`, which is empty, and returns how many lines were dropped after them.
    pub(super) fn take(&mut self, batch: &mut Vec<u8>) -> u64 {
        std::mem::swap(&mut self.lines, batch);
        std::mem::take(&mut self.dropped)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_bound_are_counted_and_form_one_gap() {
        let mut queue = Queue::default();
        let line = vec![b'x'; QUEUE_BYTES_MAX / 4 - 1];
        let line = [line.as_slice(), b"\n"].concat();
        for _ in 0..4 {
            queue.push(&line);
        }
        let mut batch = Vec::new();
        assert_eq!(queue.take(&mut batch), 0);
        assert_eq!(batch.len(), QUEUE_BYTES_MAX, "what fits exactly is kept");

        for _ in 0..6 {
            queue.push(&line);
        }
        queue.push(b"short\n");
        batch.clear();
        assert_eq!(queue.take(&mut batch), 3, "a short line after a dropped one is dropped too");
        assert_eq!(batch.len(), QUEUE_BYTES_MAX);

        queue.push(b"short\n");
        batch.clear();
        assert_eq!((queue.take(&mut batch), batch.as_slice()), (0, &b"short\n"[..]));
        assert!(queue.is_empty());
    }

    #[test]
    fn each_line_of_a_dropped_text_is_counted() {
        let mut queue = Queue::default();
        let long = vec![b'\n'; QUEUE_BYTES_MAX + 1];
        for _ in 0..3 {
            queue.push(&long);
        }
        let mut batch = Vec::new();
        assert_eq!(queue.take(&mut batch), 2 * long.len() as u64);
        assert_eq!(batch.len(), long.len(), "an empty queue takes any text");
    }
}
