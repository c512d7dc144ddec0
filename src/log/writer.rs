//! The thread that writes lines to a stream, so that no other thread waits for the stream's reader.
//!
//! ```text
//! workers ── print ──► Queue ── take ──► writer thread ── write(2) ──► standard error
//! ```
//! A pipe without a reader blocks the writer thread only. After an error, such as a full disk, the thread
//! pauses and tries again. Meanwhile lines wait in the queue. Lines beyond its limit are dropped and counted,
//! and the count is written as one line as soon as the stream accepts text again.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::Thread,
    time::{Duration, Instant},
};

use super::{
    lost::{count_access_dropped, count_dropped},
    queue::Queue,
};

/// The pause after a failed write: short enough to notice soon when a full disk has space again, long enough
/// to cost nothing.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// The pause when a non-blocking stream accepts nothing at the moment.
const BUSY_PAUSE: Duration = Duration::from_millis(10);
/// Maximum capacity that an empty batch keeps for reuse, in bytes.
const KEPT_BYTES: usize = 64 * 1024;

/// A stream to which printing never blocks.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<LineExchange>,
    thread: Thread,
    /// Counts lines that were dropped, for metrics.
    count: fn(u64),
}

#[derive(Debug, Default)]
struct LineExchange {
    state: Mutex<WriterState>,
    /// Notified when a line is queued.
    queued: Condvar,
    /// Notified when everything is written, and when a write fails.
    settled: Condvar,
}

#[derive(Debug, Default)]
struct WriterState {
    queue: Queue,
    /// Whether the thread has taken lines that it has not written yet.
    is_writing: bool,
    /// Number of failed writes so far.
    failures: u64,
}

// === impl Writer ===

impl Writer {
    /// Creates a writer to standard error. `notice` appends the line that reports how many lines were
    /// dropped.
    pub(crate) fn stderr(notice: fn(u64, &mut Vec<u8>)) -> io::Result<Self> {
        Self::duplicate(&io::stderr(), notice, count_dropped)
    }

    /// Creates a writer to standard output. `notice` appends the line that reports how many lines were
    /// dropped.
    pub(crate) fn stdout(notice: fn(u64, &mut Vec<u8>)) -> io::Result<Self> {
        Self::duplicate(&io::stdout(), notice, count_access_dropped)
    }

    /// Creates a writer to a duplicate of the descriptor of `stream`, because the standard library's streams
    /// have locks, which a blocked write would hold.
    fn duplicate(stream: &impl AsFd, notice: fn(u64, &mut Vec<u8>), count: fn(u64)) -> io::Result<Self> {
        Self::start(File::from(stream.as_fd().try_clone_to_owned()?), notice, count)
    }

    fn start(
        out: impl Write + Send + 'static,
        notice: fn(u64, &mut Vec<u8>),
        count: fn(u64),
    ) -> io::Result<Self> {
        let shared = Arc::new(LineExchange::default());
        let writing = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("log writer".to_owned());
        let thread = thread.spawn(move || writing.run(out, notice))?;
        Ok(Self { shared, thread: thread.thread().clone(), count })
    }

    /// Queues whole lines. Lines that do not fit are dropped and counted.
    pub(crate) fn print(&self, text: &[u8]) {
        let dropped = self.shared.state().queue.push(text);
        self.shared.queued.notify_one();
        if dropped > 0 {
            (self.count)(dropped);
        }
    }

    /// Waits until everything is written, a write fails, or `limit` has passed.
    pub(crate) fn flush(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut state = self.shared.state();
        let failures = state.failures;
        // Ends the pause after a failure, since this is the last chance to write.
        self.thread.unpark();
        while !state.is_settled() && state.failures == failures {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.settled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

// === impl WriterState ===

impl WriterState {
    fn is_settled(&self) -> bool {
        self.queue.is_empty() && !self.is_writing
    }
}

// === impl LineExchange ===

impl LineExchange {
    fn state(&self) -> MutexGuard<'_, WriterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines until the process ends.
    fn run(&self, mut out: impl Write, notice: fn(u64, &mut Vec<u8>)) {
        let mut batch = Vec::new();
        loop {
            let dropped = self.next(&mut batch);
            if dropped > 0 {
                notice(dropped, &mut batch);
            }
            self.write(&mut out, &batch);
            batch.clear();
            batch.shrink_to(KEPT_BYTES);
        }
    }

    /// Marks the last batch as written, then waits for lines and takes them. Returns how many lines were
    /// dropped after them.
    fn next(&self, batch: &mut Vec<u8>) -> u64 {
        let mut state = self.state();
        state.is_writing = false;
        if state.queue.is_empty() {
            self.settled.notify_all();
        }
        let waited = self.queued.wait_while(state, |state| state.queue.is_empty());
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_writing = true;
        state.queue.take(batch)
    }

    /// Writes all of `text`, however long that takes.
    fn write(&self, out: &mut impl Write, mut text: &[u8]) {
        while !text.is_empty() {
            let pause = match out.write(text) {
                Ok(0) => RETRY_PAUSE,
                Ok(count) => {
                    text = &text[count..];
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => BUSY_PAUSE,
                Err(_) => RETRY_PAUSE,
            };
            if pause == RETRY_PAUSE {
                self.state().failures += 1;
                self.settled.notify_all();
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "the stream reports no readiness; retry after a pause"
            )]
            std::thread::park_timeout(pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::log::queue::QUEUE_BYTES_MAX;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn notice(count: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("dropped {count}\n").as_bytes());
    }

    /// A stream for which the test determines the outcome of each write. It reports what was written.
    struct Scripted {
        outcomes: Receiver<io::Result<usize>>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Scripted {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let count = self.outcomes.recv().map_err(|_| ErrorKind::BrokenPipe)??.min(text.len());
            self.written.send(text[..count].to_vec()).unwrap();
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn scripted() -> (Writer, Sender<io::Result<usize>>, Receiver<Vec<u8>>) {
        let (outcomes_in, outcomes) = channel();
        let (written, written_out) = channel();
        (
            Writer::start(Scripted { outcomes, written }, notice, count_dropped).unwrap(),
            outcomes_in,
            written_out,
        )
    }

    fn text(written: &Receiver<Vec<u8>>) -> String {
        String::from_utf8(written.recv_timeout(PATIENCE).unwrap()).unwrap()
    }

    #[test]
    fn a_blocked_stream_blocks_no_caller_and_dropped_lines_are_counted_after_the_queued_ones() {
        let (writer, outcomes, written) = scripted();
        writer.print(b"first\n");
        // Waits until the thread has taken the line, so that the following lines are in another batch.
        let started = Instant::now();
        while !writer.shared.state().is_writing {
            assert!(started.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
        let line = [vec![b'x'; 1023].as_slice(), b"\n"].concat();
        for _ in 0..2 * QUEUE_BYTES_MAX / line.len() {
            writer.print(&line);
        }
        writer.flush(Duration::from_millis(1));
        for _ in 0..2 {
            outcomes.send(Ok(usize::MAX)).unwrap();
        }
        assert_eq!(text(&written), "first\n");
        let rest = text(&written);
        assert_eq!(rest.matches("xxx\n").count(), 1024);
        assert!(rest.ends_with("\ndropped 1024\n"));
        writer.flush(PATIENCE);
        assert!(writer.shared.state().is_settled());
    }

    #[test]
    fn after_an_error_the_rest_is_written_once() {
        let (writer, outcomes, written) = scripted();
        writer.print(b"0123456789\n");
        for outcome in [Ok(4), Err(ErrorKind::StorageFull.into()), Ok(0), Err(ErrorKind::Interrupted.into())]
        {
            outcomes.send(outcome).unwrap();
        }
        outcomes.send(Ok(usize::MAX)).unwrap();
        let all: String = (0..3).map(|_| text(&written)).collect();
        assert_eq!(all, "0123456789\n");
    }

    #[test]
    fn a_flush_ends_when_the_stream_fails() {
        let (writer, outcomes, _written) = scripted();
        writer.print(b"lost\n");
        drop(outcomes);
        let start = Instant::now();
        writer.flush(Duration::from_secs(60));
        assert!(start.elapsed() < PATIENCE);
        assert!(!writer.shared.state().is_settled());
    }
}
