//! What waits for a client that does not read, where the settings say that messages may be dropped then.
//!
//! Pure. Only what the upstream sent by itself is ever dropped: replies and error replies are outcomes, and
//! each of them is owed (C1). What was dropped is told in one notice, at the place of the gap (C2).

use std::collections::VecDeque;

/// Which messages are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The oldest go: the client wants to know what holds now.
    Newest,
    /// The newest go: the client wants to know what came first.
    Oldest,
}

/// A frame that waits.
pub trait Frame {
    /// Whether it is, or is part of, a message that may be dropped.
    fn may_drop(&self) -> bool;

    /// For the last frame of a message: whether the side that it came from is read on.
    fn has_room(&self) -> Option<bool>;
}

/// Frames that wait, and the gap among them.
#[derive(Debug)]
pub struct Backlog<F> {
    keep: Keep,
    waiting: VecDeque<F>,
    /// Whether the client has not read for so long that messages are dropped.
    dropping: bool,
    /// Messages dropped that no notice tells of yet.
    dropped: u64,
    /// The event whose notice has to come before what waits, and how many frames of it are here.
    notice: Option<(u64, usize)>,
    /// Messages dropped since the beginning.
    total: u64,
}

impl<F: Frame> Backlog<F> {
    /// Nothing waits.
    pub fn new(keep: Keep) -> Self {
        Self { keep, waiting: VecDeque::new(), dropping: false, dropped: 0, notice: None, total: 0 }
    }

    /// Adds a frame at the end, or drops it: where the newest go, all go that come behind the first of them,
    /// so that there is one gap and not many.
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

    /// Drops messages from now on, as far as it takes for the upstream to be read. False when that is not
    /// enough, because too much of what waits is owed.
    pub fn start_dropping(&mut self) -> bool {
        self.dropping = true;
        self.make_room();
        self.waiting.iter().all(|frame| frame.has_room() != Some(false))
    }

    /// The client reads again. Tells how many messages no notice has told of, if there are any.
    pub fn stop_dropping(&mut self) -> Option<u64> {
        self.dropping = false;
        let told = std::mem::take(&mut self.dropped);
        (told > 0).then_some(told)
    }

    /// The notice of the gap is on its way, as the error event of `event`. Where the gap is before what
    /// waits, that stays until the notice is there.
    pub fn expect(&mut self, event: u64) {
        self.notice = (self.keep == Keep::Newest).then_some((event, 0));
    }

    /// Whether the notice that is expected is this event's.
    pub fn expects(&self, event: u64) -> bool {
        self.notice.is_some_and(|(expected, _)| expected == event)
    }

    /// A frame of the notice is here; with the last one, what waits may go out.
    pub fn notice(&mut self, frame: F, is_last: bool) {
        let place = self.notice.map_or(0, |(_, count)| count);
        self.waiting.insert(place.min(self.waiting.len()), frame);
        self.notice = match self.notice {
            Some((event, count)) if !is_last => Some((event, count + 1)),
            _ => None,
        };
    }

    /// The notice will never come.
    pub fn forget_notice(&mut self) {
        self.notice = None;
    }

    /// The next frame that may go out.
    pub fn pop(&mut self) -> Option<F> {
        if self.notice.is_some() {
            return None;
        }
        let frame = self.waiting.pop_front();
        crate::wire::memory::shrink_if_idle(&mut self.waiting);
        frame
    }

    /// Takes all frames, at the end.
    pub fn take(&mut self) -> VecDeque<F> {
        self.notice = None;
        std::mem::take(&mut self.waiting)
    }

    /// Whether nothing waits, so that a frame may go straight to the socket.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.notice.is_none()
    }

    /// Whether messages were dropped of which no notice tells yet.
    pub fn has_gap(&self) -> bool {
        self.dropped > 0
    }

    /// How many messages were dropped since the beginning.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Drops whole messages until the upstream has room, or nothing is left that may be dropped.
    fn make_room(&mut self) {
        while self.last_word() == Some(false) && self.drop_one() {}
    }

    /// Whether the upstream has room, by the last message that waits; none when nothing waits that came
    /// from there.
    fn last_word(&self) -> Option<bool> {
        self.waiting.iter().rev().filter(|frame| frame.may_drop()).find_map(Frame::has_room)
    }

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

    /// A frame of one message `number`, of a budget of so many messages.
    #[derive(Debug)]
    struct Sheet {
        number: u32,
        push: bool,
        last: bool,
        used: Rc<Cell<usize>>,
        limit: usize,
    }

    impl Sheet {
        fn new(number: u32, push: bool, last: bool, used: &Rc<Cell<usize>>, limit: usize) -> Self {
            used.set(used.get() + usize::from(push && last));
            Self { number, push, last, used: Rc::clone(used), limit }
        }
    }

    impl Drop for Sheet {
        fn drop(&mut self) {
            self.used.set(self.used.get() - usize::from(self.push && self.last));
        }
    }

    impl Frame for Sheet {
        fn may_drop(&self) -> bool {
            self.push
        }

        fn has_room(&self) -> Option<bool> {
            self.last.then(|| self.used.get() < self.limit)
        }
    }

    fn numbers(backlog: &mut Backlog<Sheet>) -> Vec<u32> {
        std::iter::from_fn(|| backlog.pop()).map(|sheet| sheet.number).collect()
    }

    fn filled(keep: Keep) -> (Backlog<Sheet>, Rc<Cell<usize>>) {
        let used = Rc::default();
        let mut backlog = Backlog::new(keep);
        (0..4).for_each(|number| backlog.push(Sheet::new(number, number != 1, true, &used, 3)));
        assert!(backlog.start_dropping());
        (4..7).for_each(|number| backlog.push(Sheet::new(number, true, true, &used, 3)));
        (backlog, used)
    }

    #[test]
    fn the_newest_are_kept_and_what_is_owed() {
        let (mut backlog, _) = filled(Keep::Newest);
        assert_eq!(backlog.stop_dropping(), Some(4));
        assert_eq!(numbers(&mut backlog), [1, 5, 6]);
    }

    #[test]
    fn the_oldest_are_kept_and_what_is_owed() {
        let (mut backlog, used) = filled(Keep::Oldest);
        assert_eq!(backlog.pop().map(|sheet| sheet.number), Some(0));
        backlog.push(Sheet::new(7, true, true, &used, 3));
        assert_eq!(backlog.stop_dropping(), Some(5), "behind the gap nothing comes in, room or not");
        assert_eq!(numbers(&mut backlog), [1, 2]);
        assert_eq!(backlog.stop_dropping(), None);
        assert_eq!(backlog.total(), 5);
    }

    #[test]
    fn the_notice_stands_where_the_gap_is() {
        let (mut backlog, used) = filled(Keep::Newest);
        backlog.expect(9);
        assert!(backlog.expects(9) && !backlog.expects(8));
        assert!(backlog.pop().is_none());
        backlog.notice(Sheet::new(90, false, false, &used, 3), false);
        assert!(backlog.pop().is_none());
        backlog.notice(Sheet::new(91, false, true, &used, 3), true);
        assert_eq!(numbers(&mut backlog), [90, 91, 1, 5, 6]);
    }

    #[test]
    fn what_is_owed_cannot_make_room() {
        let used = Rc::new(Cell::new(3));
        let mut backlog = Backlog::new(Keep::Newest);
        backlog.push(Sheet::new(0, false, true, &used, 3));
        backlog.push(Sheet::new(1, true, true, &used, 3));
        assert!(!backlog.start_dropping());
        assert_eq!(numbers(&mut backlog), [0]);
        used.set(0);
    }

    proptest! {
        #[test]
        fn messages_are_dropped_whole_and_the_rest_keeps_its_order(
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
                    backlog.push(Sheet::new(number as u32, *push, frame == *frames, &used, 2));
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
            prop_assert!(begin >= messages.len() || whole <= 2, "no more is kept than there is room for");
        }
    }
}
