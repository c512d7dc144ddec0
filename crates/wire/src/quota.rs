//! Limits on the work of a link in one turn (guarantee C3).
//!
//! A limit on messages alone would not bound a turn, because fragments, empty frames and control frames
//! complete no message. tokio's own budget (128 reads and writes of a task) ends such a turn late, and then
//! delays everything else in the task, writes and timers included.

/// Maximum number of frames decoded in one turn, including empty frames. At 30 ns per frame they take less
/// time than the messages of one turn.
pub(super) const TURN_FRAMES: usize = 4096;

/// Maximum number of reads from the socket in one turn. The number is far below tokio's budget, so that
/// writes, timers and the reads of a TLS layer fit in the rest of that budget.
pub(super) const TURN_READS: usize = 16;

/// Maximum number of bytes read in one turn. The last read may exceed it by one read buffer.
pub(super) const TURN_BYTES: usize = 256 * 1024;

/// Maximum number of writes to the socket in one turn.
pub(super) const TURN_WRITES: usize = 32;

/// The rest of a turn's quota.
#[derive(Debug)]
pub(super) struct Quota {
    pub(super) frames: usize,
    bytes: u32,
    reads: u16,
    writes: u16,
}

impl Quota {
    /// The quota of a whole turn.
    pub(super) const fn new() -> Self {
        Self {
            frames: TURN_FRAMES,
            bytes: TURN_BYTES as u32,
            reads: TURN_READS as u16,
            writes: TURN_WRITES as u16,
        }
    }

    /// Whether the quota for reading and decoding is used up.
    pub(super) fn is_spent(&self) -> bool {
        self.frames == 0 || self.reads == 0 || self.bytes == 0
    }

    /// Number of bytes that may still be read.
    pub(super) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Subtracts a read of `count` bytes.
    pub(super) fn read(&mut self, count: usize) {
        self.reads = self.reads.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Subtracts a write. Returns false when the quota of writes is used up.
    pub(super) fn write(&mut self) -> bool {
        let may = self.writes > 0;
        self.writes = self.writes.saturating_sub(1);
        may
    }
}
