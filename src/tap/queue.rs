//! The lines of one tap, on their way from the worker threads to the reader.
//!
//! # Correctness
//! A writer never waits. A line that does not fit is lost and counted, and the count stands where the lines are missing:
//! lines that were read, and lines that were lost, are together those that were offered.

use std::{
    collections::VecDeque,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use super::line::TapLine;

/// Maximum memory of the lines of one tap, in bytes. With what the reader has taken and the socket has not, a tap holds
/// less than 4 MiB.
pub const QUEUE_BYTES_MAX: usize = 3 << 20;

/// What a reader gets.
#[derive(Debug)]
pub enum TapItem {
    /// A line.
    Line(TapLine),
    /// This many lines are missing here, because the reader was too slow.
    Lost(u64),
    /// This many lines are missing here, because the condition could not be evaluated.
    Skipped(u64),
}

/// The queue of one tap.
#[derive(Debug, Default)]
pub struct TapQueue {
    inner: Mutex<QueuedItems>,
}

#[derive(Debug, Default)]
struct QueuedItems {
    items: VecDeque<TapItem>,
    bytes: usize,
    /// Lines lost since the last item.
    lost: u64,
    /// Lines whose condition could not be evaluated since the last item.
    skipped: u64,
    is_closed: bool,
    waker: Option<Waker>,
}

// === impl TapQueue ===

impl TapQueue {
    /// Adds a line. If there is no room, it is lost and counted.
    pub fn push(&self, line: TapLine) {
        let waker = {
            let mut inner = self.inner();
            if inner.is_closed {
                return;
            }
            let cost = line.cost();
            if inner.bytes + cost > QUEUE_BYTES_MAX {
                inner.lost += 1;
                return;
            }
            inner.flush_counts();
            inner.bytes += cost;
            inner.items.push_back(TapItem::Line(line));
            inner.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Counts a line whose condition could not be evaluated.
    pub fn skip(&self) {
        let mut inner = self.inner();
        inner.skipped += 1;
        let waker = inner.waker.take();
        drop(inner);
        waker.into_iter().for_each(Waker::wake);
    }

    /// The oldest item. `None` if there is none; then `waker` is woken for the next one.
    pub fn pop(&self, waker: &Waker) -> Option<TapItem> {
        let mut inner = self.inner();
        if inner.items.is_empty() {
            inner.flush_counts();
        }
        match inner.items.pop_front() {
            Some(TapItem::Line(line)) => {
                inner.bytes -= line.cost();
                if inner.items.is_empty() {
                    inner.items = VecDeque::new();
                }
                Some(TapItem::Line(line))
            }
            Some(count) => {
                inner.bytes -= COUNT_COST;
                Some(count)
            }
            None => {
                inner.waker = Some(waker.clone());
                None
            }
        }
    }

    /// Whether the queue is closed. What was queued before can still be taken.
    pub fn is_closed(&self) -> bool {
        self.inner().is_closed
    }

    /// Closes the queue, and wakes the reader.
    pub fn close(&self) {
        let waker = {
            let mut inner = self.inner();
            inner.is_closed = true;
            inner.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Drops everything, because the reader is gone.
    pub fn abandon(&self) {
        let dropped = {
            let mut inner = self.inner();
            inner.is_closed = true;
            inner.bytes = 0;
            mem::take(&mut inner.items)
        };
        drop(dropped);
    }

    fn inner(&self) -> MutexGuard<'_, QueuedItems> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory of a count in bytes.
const COUNT_COST: usize = 2 * size_of::<TapItem>();

impl QueuedItems {
    /// Adds the counts of missing lines as items. There is at most one of each kind before a line, so they need no
    /// other limit.
    fn flush_counts(&mut self) {
        let counts =
            [(&mut self.lost, TapItem::Lost as fn(u64) -> TapItem), (&mut self.skipped, TapItem::Skipped)];
        for (count, item) in counts {
            let count = mem::take(count);
            if count > 0 {
                self.bytes += COUNT_COST;
                self.items.push_back(item(count));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        event::EventNumber,
        tap::line::{Direction, LineBody, MessageLine, MessageRole, Payload, SessionLabels, Stage},
    };

    fn line(number: u64, payload: usize) -> TapLine {
        let labels = SessionLabels { source: 1, stream: 0, listener: String::new(), route: String::new() };
        let body = LineBody::Message(MessageLine {
            direction: Direction::FromClient,
            stage: Stage::Event,
            role: MessageRole::Request,
            binary: false,
            bytes: payload,
            payload: Some(Payload::Bytes(vec![0; payload].into())),
        });
        TapLine { time_ns: 0, session: Arc::new(labels), event: Some(EventNumber(number)), body }
    }

    fn drained(queue: &TapQueue) -> Vec<TapItem> {
        std::iter::from_fn(|| queue.pop(Waker::noop())).collect()
    }

    #[test]
    fn what_does_not_fit_is_counted_where_it_is_missing() {
        let queue = TapQueue::default();
        let payload = QUEUE_BYTES_MAX / 2 - 1024;
        (0..5).for_each(|number| queue.push(line(number, payload)));
        let Some(TapItem::Line(_)) = queue.pop(Waker::noop()) else { panic!("no line") };
        (5..7).for_each(|number| queue.push(line(number, payload)));
        let items = drained(&queue);
        let shown: Vec<_> = items
            .iter()
            .map(|item| match item {
                TapItem::Line(line) => format!("{}", line.event.unwrap().0),
                TapItem::Lost(count) => format!("lost {count}"),
                TapItem::Skipped(count) => format!("skipped {count}"),
            })
            .collect();
        assert_eq!(shown, ["1", "lost 3", "5", "lost 1"]);
        assert_eq!(queue.inner().bytes, 0);
    }

    #[test]
    fn memory_stays_below_the_limit_and_the_sum_is_exact() {
        let queue = TapQueue::default();
        let (mut read, mut lost) = (0, 0);
        let mut count = |item: &TapItem| match item {
            TapItem::Line(_) => read += 1,
            TapItem::Lost(count) => lost += count,
            TapItem::Skipped(_) => {}
        };
        for number in 0..200_000 {
            queue.push(line(number, (number % 700) as usize));
            assert!(queue.inner().bytes <= QUEUE_BYTES_MAX + COUNT_COST);
            if number % 40 == 0 {
                queue.pop(Waker::noop()).iter().for_each(&mut count);
            }
        }
        let held = queue.inner();
        assert!(held.items.capacity() * size_of::<TapItem>() < 2 << 20);
        drop(held);
        drained(&queue).iter().for_each(&mut count);
        assert_eq!(read + lost, 200_000);
        assert!(lost > 0);
    }

    #[test]
    fn counts_reach_a_reader_that_waits() {
        let queue = TapQueue::default();
        queue.skip();
        queue.skip();
        assert!(matches!(queue.pop(Waker::noop()), Some(TapItem::Skipped(2))));
        assert!(queue.pop(Waker::noop()).is_none());
    }

    #[test]
    fn an_abandoned_queue_holds_nothing() {
        let queue = TapQueue::default();
        queue.push(line(0, 5));
        queue.abandon();
        queue.push(line(1, 5));
        assert!(queue.is_closed() && drained(&queue).is_empty());
    }
}
