//! Checks the rules of the backlog after each of a series of random operations (guarantees C1, C2).

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use proptest::prelude::*;

use super::backlog::{Backlog, Keep, QueuedFrame};
use crate::event::EventNumber;

/// A frame of the message or notice `number`.
#[derive(Debug)]
struct TestFrame {
    number: usize,
    kind: FrameKind,
    is_last: bool,
    counters: Rc<Counters>,
}

/// Counts the frames that exist.
#[derive(Debug, Default)]
struct Counters {
    /// Number of pushes that wait.
    used: Cell<usize>,
    /// The numbers of the frames that were sent or dropped.
    gone: RefCell<Vec<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FrameKind {
    Push,
    Owed,
    Notice,
}

/// Maximum number of pushes that wait before the budget is used up.
const ROOM: usize = 3;

impl TestFrame {
    fn new(number: usize, kind: FrameKind, is_last: bool, counters: &Rc<Counters>) -> Self {
        counters.used.set(counters.used.get() + usize::from(kind == FrameKind::Push && is_last));
        Self { number, kind, is_last, counters: Rc::clone(counters) }
    }
}

impl Drop for TestFrame {
    fn drop(&mut self) {
        self.counters
            .used
            .set(self.counters.used.get() - usize::from(self.kind == FrameKind::Push && self.is_last));
        self.counters.gone.borrow_mut().push(self.number);
    }
}

impl QueuedFrame for TestFrame {
    fn may_drop(&self) -> bool {
        self.kind == FrameKind::Push
    }

    fn has_room(&self) -> Option<bool> {
        self.is_last.then(|| self.counters.used.get() < ROOM)
    }
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    /// A message arrives: the fields are whether it is a push, and its number of frames.
    Arrive(bool, usize),
    /// The socket accepts a message.
    Send,
    /// The client has not read for too long.
    Start,
    /// The client reads again.
    Stop,
    /// The notice arrives, with this number of frames.
    Notice(usize),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        8 => (any::<bool>(), 1..4_usize).prop_map(|(push, frames)| Operation::Arrive(push, frames)),
        3 => Just(Operation::Send),
        2 => Just(Operation::Start),
        1 => Just(Operation::Stop),
        1 => (1..3_usize).prop_map(Operation::Notice),
    ];
    prop::collection::vec(operation, 0..100)
}

/// A backlog and its expected state.
struct Checked {
    keep: Keep,
    backlog: Backlog<TestFrame>,
    counters: Rc<Counters>,
    /// For each message: its kind, its number of frames, and how many of them were sent.
    messages: Vec<(FrameKind, usize, usize)>,
    /// The messages in the order in which their frames were sent.
    out: Vec<usize>,
    dropping: bool,
    reported: u64,
    /// Gap reports that were announced and have not arrived.
    notices: Vec<EventNumber>,
    /// Number of frames that were gone before the current operation.
    gone_before: usize,
}

impl Checked {
    fn apply(&mut self, operation: Operation) {
        self.gone_before = self.counters.gone.borrow().len();
        match operation {
            Operation::Arrive(push, frames) => {
                let kind = if push { FrameKind::Push } else { FrameKind::Owed };
                self.arrive(kind, frames, |backlog, frame, _| backlog.push(frame));
            }
            Operation::Send => self.send(),
            Operation::Start => {
                self.backlog.start_dropping();
                self.dropping = true;
            }
            Operation::Stop => {
                self.dropping = false;
                if let Some(reported) = self.backlog.stop_dropping() {
                    self.reported += reported;
                    self.expect();
                }
            }
            Operation::Notice(frames) if !self.notices.is_empty() => {
                let event = self.notices.remove(0);
                // A notice is an ordinary error when the gap is at the end, or when another gap was announced since.
                match self.backlog.expects(event) {
                    true => self.arrive(FrameKind::Notice, frames, Backlog::notice),
                    false => self.arrive(FrameKind::Owed, frames, |backlog, frame, _| backlog.push(frame)),
                }
                assert!(!self.backlog.expects(event));
            }
            Operation::Notice(_) => {}
        }
    }

    fn arrive(
        &mut self,
        kind: FrameKind,
        frames: usize,
        take: impl Fn(&mut Backlog<TestFrame>, TestFrame, bool),
    ) {
        let number = self.messages.len();
        self.messages.push((kind, frames, 0));
        for frame in 1..=frames {
            take(
                &mut self.backlog,
                TestFrame::new(number, kind, frame == frames, &self.counters),
                frame == frames,
            );
        }
    }

    fn expect(&mut self) {
        let event = EventNumber(self.messages.len() as u64);
        self.backlog.expect(event);
        self.notices.push(event);
    }

    fn send(&mut self) {
        while let Some(frame) = self.backlog.pop() {
            assert!(self.notices.is_empty() || self.keep == Keep::Oldest, "the notice comes first");
            self.out.push(frame.number);
            self.messages[frame.number].2 += 1;
            if frame.is_last {
                break;
            }
        }
    }

    /// Checks that dropping freed enough of the budget or dropped all pushes, and that it dropped the oldest
    /// or newest ones.
    fn check(&self) {
        let pushes = || {
            self.messages
                .iter()
                .enumerate()
                .filter(|(_, (kind, _, out))| *kind == FrameKind::Push && *out == 0)
        };
        let is_full = self.counters.used.get() >= ROOM;
        assert!(
            !self.dropping || !is_full || pushes().count() as u64 == self.backlog.total(),
            "dropping made room"
        );
        let gone = self.counters.gone.borrow();
        let dropped = self.just_dropped(&gone);
        for (number, _) in pushes().filter(|(number, _)| !gone.contains(number)) {
            match self.keep {
                Keep::Newest => assert!(dropped.clone().all(|gone| gone < number), "the oldest are dropped"),
                Keep::Oldest => assert!(dropped.clone().all(|gone| gone > number), "the newest are dropped"),
            }
        }
    }

    /// The messages that the current operation dropped.
    fn just_dropped<'a>(&'a self, gone: &'a [usize]) -> impl Iterator<Item = usize> + Clone + 'a {
        gone[self.gone_before..].iter().copied().filter(|number| !self.out.contains(number))
    }

    fn check_end(mut self) {
        self.apply(Operation::Stop);
        while !self.notices.is_empty() {
            self.apply(Operation::Notice(1));
        }
        while !self.backlog.is_empty() {
            self.send();
        }
        let dropped = self.messages.iter().filter(|(_, _, out)| *out == 0).count();
        for (kind, frames, out) in &self.messages {
            assert!(
                out == frames || (*kind == FrameKind::Push && *out == 0),
                "a message is sent whole or not at all"
            );
        }
        assert_eq!(
            (self.backlog.total(), self.reported),
            (dropped as u64, dropped as u64),
            "each dropped message is reported once"
        );
        let messages = self.out.iter().filter(|number| self.messages[**number].0 != FrameKind::Notice);
        assert!(messages.is_sorted(), "messages stay in order");
        assert_eq!(self.counters.used.get(), 0, "the budget is free at the end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Messages are sent whole and in order, or they are counted and reported as dropped. Only pushes are
    /// dropped, and dropping frees bytes of the budget.
    #[test]
    fn the_backlog_drops_only_pushes_and_reports_them(operations in operations(), newest: bool) {
        let keep = if newest { Keep::Newest } else { Keep::Oldest };
        let mut checked = Checked {
            keep,
            backlog: Backlog::new(keep),
            counters: Rc::default(),
            messages: Vec::new(),
            out: Vec::new(),
            dropping: false,
            reported: 0,
            notices: Vec::new(),
            gone_before: 0,
        };
        for operation in operations {
            checked.apply(operation);
            checked.check();
        }
        checked.check_end();
    }
}
