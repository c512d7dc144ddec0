//! The queue of frames for a client that reads too slowly, on listeners whose `slow_consumer` policy drops messages.
//!
//! No actors, sockets or clocks are used here. Only pushes are dropped. Replies and error replies are *owed*:
//! they are outcomes of the client's messages (guarantee C1). One error reply, the *notice*, gives the number
//! of dropped messages. The client gets it at the position of the gap (guarantee C2).

use std::collections::VecDeque;

use crate::event::EventNumber;

/// The messages that are kept when there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Drop the oldest messages, for clients that need the current state.
    Newest,
    /// Drop the newest messages, for clients that need the first messages.
    Oldest,
}

/// A frame that can wait in a [`Backlog`].
pub trait QueuedFrame {
    /// Whether the frame belongs to a message that may be dropped: a push.
    fn may_drop(&self) -> bool;

    /// For the last frame of a message: whether the message's budget has bytes left, so that the proxy reads
    /// from the side of the message. `None` for other frames.
    fn has_room(&self) -> Option<bool>;
}

/// The frames that wait for the client, and the gap where messages were dropped.
#[derive(Debug)]
pub struct Backlog<F> {
    keep: Keep,
    /// What is kept from the next gap on.
    next_keep: Keep,
    waiting: VecDeque<F>,
    /// Whether messages are being dropped, because the client has not read for too long.
    dropping: bool,
    /// Number of dropped messages that no notice has reported yet.
    dropped: u64,
    /// The event of a notice that must be sent before the waiting frames, and the number of its frames that
    /// have arrived.
    notice: Option<(EventNumber, usize)>,
    /// Number of messages dropped since the session began.
    total: u64,
}

impl<F: QueuedFrame> Backlog<F> {
    /// Creates an empty backlog.
    pub fn new(keep: Keep) -> Self {
        Self {
            keep,
            next_keep: keep,
            waiting: VecDeque::new(),
            dropping: false,
            dropped: 0,
            notice: None,
            total: 0,
        }
    }

    /// Keeps other messages, from the next gap on.
    pub fn set_keep(&mut self, keep: Keep) {
        self.next_keep = keep;
    }

    /// Adds a frame at the end, or drops it. With [`Keep::Oldest`], all pushes after the first dropped one
    /// are dropped as well, so that there is a single gap.
    pub fn push(&mut self, frame: F) {
        if self.dropping && self.keep == Keep::Oldest && self.dropped > 0 && frame.may_drop() {
            self.count_dropped(frame.has_room().is_some());
            return;
        }
        self.waiting.push_back(frame);
        if self.dropping {
            self.make_room();
        }
    }

    /// Starts to drop messages: as many as the upstream's budget needs to have bytes left. Returns false if
    /// that is impossible, because the frames that must be kept fill the budget.
    pub fn start_dropping(&mut self) -> bool {
        if !self.dropping && self.dropped == 0 && self.notice.is_none() {
            self.keep = self.next_keep;
        }
        self.dropping = true;
        self.make_room();
        self.waiting.iter().all(|frame| frame.has_room() != Some(false))
    }

    /// Stops dropping, because the client reads again. Returns the number of dropped messages to report;
    /// `None` if there are none.
    pub fn stop_dropping(&mut self) -> Option<u64> {
        self.dropping = false;
        let reported = std::mem::take(&mut self.dropped);
        (reported > 0).then_some(reported)
    }

    /// Announces the notice, which will arrive as the error reply of `event`. If the oldest messages were dropped
    /// ([`Keep::Newest`]), the gap precedes the waiting frames, so they wait for the notice. If the newest were
    /// dropped ([`Keep::Oldest`]), the gap follows them.
    pub fn expect(&mut self, event: EventNumber) {
        self.notice = (self.keep == Keep::Newest).then_some((event, 0));
    }

    /// Whether the error reply of `event` is the notice that the waiting frames wait for.
    pub fn expects(&self, event: EventNumber) -> bool {
        self.notice.is_some_and(|(expected, _)| expected == event)
    }

    /// Inserts a frame of the notice before the waiting frames. After the notice's last frame they may be
    /// sent.
    pub fn notice(&mut self, frame: F, is_last: bool) {
        let at = self.notice.map_or(0, |(_, count)| count);
        self.waiting.insert(at.min(self.waiting.len()), frame);
        self.notice = match self.notice {
            Some((event, count)) if !is_last => Some((event, count + 1)),
            _ => None,
        };
    }

    /// Stops waiting for the notice, because an errors pipeline has dropped it.
    pub fn forget_notice(&mut self) {
        self.notice = None;
    }

    /// Removes the next frame that may be sent; `None` if there is none.
    pub fn pop(&mut self) -> Option<F> {
        if self.notice.is_some() {
            return None;
        }
        let frame = self.waiting.pop_front();
        crate::wire::memory::shrink_if_idle(&mut self.waiting);
        frame
    }

    /// Removes all frames, because the session ends.
    pub fn take(&mut self) -> VecDeque<F> {
        self.notice = None;
        std::mem::take(&mut self.waiting)
    }

    /// Whether no frame and no notice waits, so that a new frame may be sent at once.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.notice.is_none()
    }

    /// Whether there are dropped messages that no notice has reported.
    pub fn has_gap(&self) -> bool {
        self.dropped > 0
    }

    /// Number of messages dropped since the session began.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Drops whole messages until the upstream's budget has bytes left, or no message may be dropped.
    fn make_room(&mut self) {
        while self.upstream_has_room() == Some(false) && self.drop_one() {}
    }

    /// Whether the upstream's budget has bytes left, according to a waiting push; `None` when no push waits.
    fn upstream_has_room(&self) -> Option<bool> {
        self.waiting.iter().rev().filter(|frame| frame.may_drop()).find_map(QueuedFrame::has_room)
    }

    /// Drops one message with all its frames. Returns false when no message may be dropped.
    fn drop_one(&mut self) -> bool {
        let ends = |frame: &F| frame.may_drop() && frame.has_room().is_some();
        let end = match self.keep {
            Keep::Newest => self.waiting.iter().position(ends),
            Keep::Oldest => self.waiting.iter().rposition(ends),
        };
        let Some(end) = end else { return false };
        let begins = self.waiting.iter().take(end).rposition(|frame| !frame.may_drop() || ends(frame));
        self.waiting.drain(begins.map_or(0, |before| before + 1)..=end);
        self.count_dropped(true);
        true
    }

    /// Counts a message whose last frame is dropped, if `is_whole`: none of its frames was sent. A message that
    /// was sent in part does not count.
    fn count_dropped(&mut self, is_whole: bool) {
        self.dropped += u64::from(is_whole);
        self.total += u64::from(is_whole);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use proptest::prelude::*;

    use super::*;

    /// A frame of message `number`. Pushes use a budget of `limit` messages, of which `used` are in use.
    #[derive(Debug)]
    struct TestFrame {
        number: u32,
        push: bool,
        last: bool,
        used: Rc<Cell<usize>>,
        limit: usize,
    }

    impl TestFrame {
        fn new(number: u32, push: bool, last: bool, used: &Rc<Cell<usize>>, limit: usize) -> Self {
            used.set(used.get() + usize::from(push && last));
            Self { number, push, last, used: Rc::clone(used), limit }
        }
    }

    impl Drop for TestFrame {
        fn drop(&mut self) {
            self.used.set(self.used.get() - usize::from(self.push && self.last));
        }
    }

    impl QueuedFrame for TestFrame {
        fn may_drop(&self) -> bool {
            self.push
        }

        fn has_room(&self) -> Option<bool> {
            self.last.then(|| self.used.get() < self.limit)
        }
    }

    fn numbers(backlog: &mut Backlog<TestFrame>) -> Vec<u32> {
        std::iter::from_fn(|| backlog.pop()).map(|frame| frame.number).collect()
    }

    fn filled(keep: Keep) -> (Backlog<TestFrame>, Rc<Cell<usize>>) {
        let used = Rc::default();
        let mut backlog = Backlog::new(keep);
        (0..4).for_each(|number| backlog.push(TestFrame::new(number, number != 1, true, &used, 3)));
        assert!(backlog.start_dropping());
        (4..7).for_each(|number| backlog.push(TestFrame::new(number, true, true, &used, 3)));
        (backlog, used)
    }

    #[test]
    fn keep_newest_drops_the_oldest_pushes_and_no_reply() {
        let (mut backlog, _) = filled(Keep::Newest);
        assert_eq!(backlog.stop_dropping(), Some(4));
        assert_eq!(numbers(&mut backlog), [1, 5, 6]);
    }

    #[test]
    fn keep_oldest_drops_the_newest_pushes_and_no_reply() {
        let (mut backlog, used) = filled(Keep::Oldest);
        assert_eq!(backlog.pop().map(|frame| frame.number), Some(0));
        backlog.push(TestFrame::new(7, true, true, &used, 3));
        assert_eq!(backlog.stop_dropping(), Some(5), "after the gap every push is dropped, even with room");
        assert_eq!(numbers(&mut backlog), [1, 2]);
        assert_eq!(backlog.stop_dropping(), None);
        assert_eq!(backlog.total(), 5);
    }

    #[test]
    fn the_notice_precedes_the_frames_after_the_gap() {
        let (mut backlog, used) = filled(Keep::Newest);
        backlog.expect(EventNumber(9));
        assert!(backlog.expects(EventNumber(9)) && !backlog.expects(EventNumber(8)));
        assert!(backlog.pop().is_none());
        backlog.notice(TestFrame::new(90, false, false, &used, 3), false);
        assert!(backlog.pop().is_none());
        backlog.notice(TestFrame::new(91, false, true, &used, 3), true);
        assert_eq!(numbers(&mut backlog), [90, 91, 1, 5, 6]);
    }

    #[test]
    fn replies_are_kept_even_when_they_fill_the_budget() {
        let used = Rc::new(Cell::new(3));
        let mut backlog = Backlog::new(Keep::Newest);
        backlog.push(TestFrame::new(0, false, true, &used, 3));
        backlog.push(TestFrame::new(1, true, true, &used, 3));
        assert!(!backlog.start_dropping());
        assert_eq!(numbers(&mut backlog), [0]);
        used.set(0);
    }

    proptest! {
        #[test]
        fn messages_are_dropped_whole_and_the_others_stay_in_order(
            messages in proptest::collection::vec((any::<bool>(), 1_usize..4), 1..40),
            begin in 0_usize..40,
            newest: bool,
        ) {
            let used = Rc::default();
            let mut backlog = Backlog::new(if newest { Keep::Newest } else { Keep::Oldest });
            let pushes = messages.iter().filter(|(push, _)| *push).count();
            for (number, (push, frames)) in messages.iter().enumerate() {
                if number == begin {
                    backlog.start_dropping();
                }
                for frame in 1..=*frames {
                    backlog.push(TestFrame::new(number as u32, *push, frame == *frames, &used, 2));
                }
            }
            let dropped = backlog.stop_dropping().unwrap_or(0) as usize;
            let got = numbers(&mut backlog);
            prop_assert!(got.is_sorted());
            let mut whole = 0;
            for (number, (push, frames)) in messages.iter().enumerate() {
                let count = got.iter().filter(|got| **got == number as u32).count();
                prop_assert!(count == *frames || (*push && count == 0));
                whole += usize::from(*push && count > 0);
            }
            prop_assert_eq!(whole + dropped, pushes);
            prop_assert!(begin >= messages.len() || whole <= 2, "at most as many pushes as the budget has room for");
        }
    }
}
