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

use super::{
    filter::TapRequest,
    line::{SHORTEST_COST, TapLine},
};

/// Maximum memory of the lines of one tap, in bytes. The largest line has room. With what the reader has taken and the socket
/// has not, which is one line of the largest size, and with the pieces of the allocator, a tap holds less than 4 MiB.
pub const QUEUE_BYTES_MAX: usize = 7 << 18;

/// A line that is offered to taps, and made only where it fits.
pub trait OfferedLine {
    /// The memory of the line for this tap, in bytes.
    fn cost(&self, request: &TapRequest) -> usize;

    /// Makes the line for this tap.
    fn line(&self, request: &TapRequest) -> TapLine;
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// The reader gets it.
    Queued,
    /// There was no room.
    Lost,
    /// The tap has ended.
    Closed,
}

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
    /// Each with the memory that it counts for.
    items: VecDeque<(TapItem, usize)>,
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
    /// Adds a line. If there is no room, it is lost and counted. The content is measured only if the shortest line fits, and
    /// copied only if this line fits.
    pub fn push(&self, line: &impl OfferedLine, request: &TapRequest) -> Pushed {
        match self.reserve(SHORTEST_COST, 0) {
            Pushed::Queued => {}
            refused => return refused,
        }
        let cost = line.cost(request).max(SHORTEST_COST);
        if cost > SHORTEST_COST {
            match self.reserve(cost, SHORTEST_COST) {
                Pushed::Queued => {}
                refused => return refused,
            }
        }
        let line = line.line(request);
        let waker = {
            let mut inner = self.inner();
            if inner.is_closed {
                return Pushed::Closed;
            }
            inner.flush_counts();
            inner.items.push_back((TapItem::Line(line), cost));
            inner.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
        Pushed::Queued
    }

    /// Takes room for a line, in place of the room that it has.
    fn reserve(&self, cost: usize, has: usize) -> Pushed {
        let mut inner = self.inner();
        if inner.is_closed {
            return Pushed::Closed;
        }
        inner.bytes -= has;
        if inner.bytes + cost > QUEUE_BYTES_MAX {
            inner.lost += 1;
            return Pushed::Lost;
        }
        inner.bytes += cost;
        Pushed::Queued
    }

    /// Counts lines whose condition could not be evaluated.
    pub fn skip(&self, count: u64) {
        let mut inner = self.inner();
        inner.skipped += count;
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
            Some((item, cost)) => {
                inner.bytes -= cost;
                if inner.items.is_empty() {
                    inner.items = VecDeque::new();
                }
                Some(item)
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
const COUNT_COST: usize = 2 * size_of::<(TapItem, usize)>();

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
                self.items.push_back((item(count), COUNT_COST));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, sync::Arc};

    use super::*;
    use crate::{
        event::EventNumber,
        tap::line::{Direction, LineBody, MessageLine, MessageRole, Payload, SessionLabels, Stage},
    };

    /// A line with a payload of this size. Counts how often it is measured and made.
    struct Offered {
        number: u64,
        payload: usize,
        measured: Cell<u32>,
        made: Cell<u32>,
    }

    impl OfferedLine for Offered {
        fn cost(&self, _: &TapRequest) -> usize {
            self.measured.set(self.measured.get() + 1);
            SHORTEST_COST + self.payload
        }

        fn line(&self, _: &TapRequest) -> TapLine {
            self.made.set(self.made.get() + 1);
            let labels =
                SessionLabels { source: 1, stream: 0, listener: String::new(), route: String::new() };
            let body = LineBody::Message(MessageLine {
                direction: Direction::FromClient,
                stage: Stage::Event,
                role: MessageRole::Request,
                binary: false,
                bytes: self.payload,
                payload: Some(Payload::Bytes(vec![0; self.payload].into())),
            });
            TapLine { time_ns: 0, session: Arc::new(labels), event: Some(EventNumber(self.number)), body }
        }
    }

    fn offered(number: u64, payload: usize) -> Offered {
        Offered { number, payload, measured: Cell::new(0), made: Cell::new(0) }
    }

    fn push(queue: &TapQueue, number: u64, payload: usize) -> Pushed {
        queue.push(&offered(number, payload), &TapRequest::parse("").unwrap())
    }

    fn drained(queue: &TapQueue) -> Vec<TapItem> {
        std::iter::from_fn(|| queue.pop(Waker::noop())).collect()
    }

    #[test]
    fn what_does_not_fit_is_counted_where_it_is_missing() {
        let queue = TapQueue::default();
        let payload = QUEUE_BYTES_MAX / 2 - 1024;
        (0..5).for_each(|number| _ = push(&queue, number, payload));
        let Some(TapItem::Line(_)) = queue.pop(Waker::noop()) else { panic!("no line") };
        (5..7).for_each(|number| _ = push(&queue, number, payload));
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
            push(&queue, number, (number % 700) as usize);
            assert!(queue.inner().bytes <= QUEUE_BYTES_MAX + COUNT_COST);
            if number % 40 == 0 {
                queue.pop(Waker::noop()).iter().for_each(&mut count);
            }
        }
        let held = queue.inner();
        assert!(held.items.capacity() * size_of::<(TapItem, usize)>() < QUEUE_BYTES_MAX);
        drop(held);
        drained(&queue).iter().for_each(&mut count);
        assert_eq!(read + lost, 200_000);
        assert!(lost > 0);
    }

    #[test]
    fn counts_reach_a_reader_that_waits() {
        let queue = TapQueue::default();
        queue.skip(1);
        queue.skip(1);
        assert!(matches!(queue.pop(Waker::noop()), Some(TapItem::Skipped(2))));
        assert!(queue.pop(Waker::noop()).is_none());
    }

    #[test]
    fn an_abandoned_queue_holds_nothing() {
        let queue = TapQueue::default();
        push(&queue, 0, 5);
        queue.abandon();
        assert_eq!(push(&queue, 1, 5), Pushed::Closed);
        assert!(queue.is_closed() && drained(&queue).is_empty());
    }

    #[test]
    fn a_line_without_room_is_neither_copied_nor_measured() {
        let queue = TapQueue::default();
        let request = TapRequest::parse("").unwrap();
        let large = offered(0, QUEUE_BYTES_MAX);
        assert_eq!(queue.push(&large, &request), Pushed::Lost);
        assert_eq!((large.measured.get(), large.made.get(), queue.inner().bytes), (1, 0, 0));
        assert_eq!(push(&queue, 1, QUEUE_BYTES_MAX - SHORTEST_COST), Pushed::Queued);
        let late = offered(2, 0);
        assert_eq!(queue.push(&late, &request), Pushed::Lost);
        assert_eq!((late.measured.get(), late.made.get()), (0, 0));
    }
}
