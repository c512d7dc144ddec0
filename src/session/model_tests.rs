//! Sequencer, ledger, delivery and backlog against models that are simple enough to be seen right: random
//! operations, and after each of them the same answer (C1, C2).

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use proptest::prelude::*;

use super::{
    backlog::{Backlog, Frame, Keep},
    delivery::Delivery,
    ledger::{Counts, Ledger, Outcome, Settled},
    sequencer::{Sequencer, Slot},
};

// --- the order ---

/// Places in a row, none of which is ever taken away.
#[derive(Debug, Default)]
struct Row {
    lanes: Vec<Lane>,
    out: Vec<u32>,
}

#[derive(Debug, Default)]
struct Lane {
    closed: bool,
    waiting: Vec<u32>,
}

impl Row {
    fn reserve(&mut self) -> usize {
        self.lanes.push(Lane::default());
        self.lanes.len() - 1
    }

    fn put(&mut self, lane: usize, output: u32) {
        self.lanes[lane].waiting.push(output);
        self.drain();
    }

    fn append(&mut self, output: u32) {
        self.lanes.push(Lane { closed: true, waiting: vec![output] });
        self.drain();
    }

    fn close(&mut self, lane: usize) {
        self.lanes[lane].closed = true;
        self.drain();
    }

    /// Everything up to the first open lane is out, its own outputs included.
    fn drain(&mut self) {
        for lane in &mut self.lanes {
            self.out.append(&mut lane.waiting);
            if !lane.closed {
                break;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.lanes.iter().all(|lane| lane.closed)
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Reserve,
    Put(prop::sample::Index),
    Append,
    Close(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        3 => Just(Step::Reserve),
        4 => index().prop_map(Step::Put),
        2 => Just(Step::Append),
        3 => index().prop_map(Step::Close),
    ];
    prop::collection::vec(step, 0..80)
}

// --- the outcomes ---

/// What is known of an event without outcome.
#[derive(Debug, Clone, Copy)]
struct Open {
    copies: u32,
    gravest: Outcome,
    failing: bool,
    lane: Option<usize>,
}

/// What a session owes, by event.
#[derive(Debug, Default)]
struct Book {
    open: BTreeMap<u64, Open>,
    counts: Counts,
}

impl Book {
    fn accept(&mut self, event: u64, lane: Option<usize>) {
        self.counts.accepted += 1;
        self.open.insert(event, Open { copies: 1, gravest: Outcome::Dropped, failing: false, lane });
    }

    /// The entry of an event that may still end well.
    fn hopeful(&mut self, event: u64) -> Option<&mut Open> {
        self.open.get_mut(&event).filter(|open| !open.failing)
    }

    /// Whether all copies have ended; none when there is nothing to settle.
    fn settle(&mut self, event: u64, outcome: Outcome) -> Option<bool> {
        let open = self.hopeful(event)?;
        open.copies -= 1;
        open.gravest = open.gravest.max(outcome);
        let (ended, gravest) = (open.copies == 0, open.gravest);
        if ended {
            self.end(event, gravest);
        }
        Some(ended)
    }

    fn end(&mut self, event: u64, outcome: Outcome) {
        self.open.remove(&event);
        *match outcome {
            Outcome::Dropped => &mut self.counts.dropped,
            Outcome::Delivered => &mut self.counts.delivered,
            Outcome::Answered => &mut self.counts.answered,
            Outcome::Errored => &mut self.counts.errored,
        } += 1;
    }

    fn is_failing(&self, event: u64) -> bool {
        self.open.get(&event).is_some_and(|open| open.failing)
    }
}

/// What can happen to an event. Numbers beyond those accepted are unknown ones.
#[derive(Debug, Clone, Copy)]
enum Act {
    Accept,
    Copied(u64),
    Reply(u64, usize),
    Settle(u64, Outcome),
    Fail(u64),
    FailLoose(u64),
    Announce(u64),
    Error(u64, usize),
    ErrorDropped(u64),
    ErrorUnreported(u64),
    Push(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let event = || 0..16_u64;
    let count = || 0..4_usize;
    let good = prop_oneof![Just(Outcome::Dropped), Just(Outcome::Delivered)];
    let act = prop_oneof![
        6 => Just(Act::Accept),
        2 => event().prop_map(Act::Copied),
        5 => (event(), count()).prop_map(|(event, count)| Act::Reply(event, count)),
        3 => (event(), good).prop_map(|(event, outcome)| Act::Settle(event, outcome)),
        3 => event().prop_map(Act::Fail),
        1 => event().prop_map(Act::FailLoose),
        1 => event().prop_map(Act::Announce),
        3 => (event(), count()).prop_map(|(event, count)| Act::Error(event, count)),
        1 => event().prop_map(Act::ErrorDropped),
        2 => event().prop_map(Act::ErrorUnreported),
        2 => count().prop_map(Act::Push),
    ];
    prop::collection::vec(act, 0..120)
}

/// What a client has to be told.
#[derive(Debug, Default)]
struct Model {
    ordered: bool,
    book: Book,
    row: Row,
    /// Errors that are no event's outcome, and their lanes.
    loose: Vec<(u64, Option<usize>)>,
    /// The lane of the last reply there was.
    last: Option<usize>,
    pushed: u64,
}

impl Model {
    fn accept(&mut self, event: u64) {
        let lane = self.ordered.then(|| self.row.reserve());
        self.book.accept(event, lane);
    }

    fn reply(&mut self, event: u64, outputs: &[u32]) {
        let lane = self.book.open.get(&event).and_then(|open| open.lane);
        match self.book.settle(event, Outcome::Answered) {
            None => self.push(outputs),
            Some(ended) => {
                self.put(lane, outputs);
                self.close(lane.filter(|_| ended));
            }
        }
    }

    fn settle(&mut self, event: u64, outcome: Outcome) {
        let lane = self.book.open.get(&event).and_then(|open| open.lane);
        let ended = self.book.settle(event, outcome) == Some(true);
        self.close(lane.filter(|_| ended));
    }

    fn fail(&mut self, event: u64) -> bool {
        let Some(open) = self.book.hopeful(event) else { return false };
        open.failing = true;
        if !self.ordered {
            open.lane = Some(self.row.reserve());
        }
        true
    }

    fn fail_loose(&mut self, event: u64) {
        let lane = if self.ordered { self.last } else { Some(self.row.reserve()) };
        self.loose.push((event, lane));
    }

    fn announce(&mut self, event: u64) {
        let lane = (!self.ordered).then(|| self.row.reserve());
        self.loose.push((event, lane));
    }

    /// An error reply; without outputs and with `dropped`, one that an errors pipeline let end.
    fn error(&mut self, event: u64, outputs: &[u32], dropped: bool) {
        if self.book.is_failing(event) {
            let lane = self.book.open[&event].lane;
            if !dropped {
                self.put(lane, outputs);
            }
            self.book.end(event, if dropped { Outcome::Dropped } else { Outcome::Errored });
            self.close(lane);
        } else if let Some(at) = self.loose.iter().position(|(loose, _)| *loose == event) {
            match self.loose.remove(at).1 {
                Some(_) if self.ordered && dropped => {}
                Some(lane) if self.ordered => {
                    self.pushed += 1;
                    outputs.iter().for_each(|output| self.row.put(lane, *output));
                }
                Some(lane) => {
                    self.pushed += u64::from(!dropped);
                    self.put(Some(lane), outputs);
                    self.close(Some(lane));
                }
                None if dropped => {}
                None => {
                    self.pushed += 1;
                    self.row.out.extend(outputs);
                }
            }
        } else if !dropped {
            self.push(outputs);
        }
    }

    /// An event that failed without a message to the client.
    fn unreported(&mut self, event: u64) {
        if self.book.is_failing(event) {
            let lane = self.book.open[&event].lane;
            self.book.end(event, Outcome::Errored);
            self.close(lane);
        } else {
            self.error(event, &[], true);
        }
    }

    fn push(&mut self, outputs: &[u32]) {
        self.pushed += 1;
        match (self.ordered, self.last) {
            (true, Some(lane)) => outputs.iter().for_each(|output| self.row.put(lane, *output)),
            (true, None) => self.row.out.extend(outputs),
            (false, _) => outputs.iter().for_each(|output| self.row.append(*output)),
        }
    }

    fn put(&mut self, lane: Option<usize>, outputs: &[u32]) {
        self.last = self.last.max(lane);
        for output in outputs {
            match lane {
                Some(lane) => self.row.put(lane, *output),
                None => self.row.append(*output),
            }
        }
    }

    fn close(&mut self, lane: Option<usize>) {
        if let Some(lane) = lane {
            self.row.close(lane);
        }
    }

    fn awaits_error(&self, event: u64) -> bool {
        self.book.is_failing(event) || self.loose.iter().any(|(loose, _)| *loose == event)
    }

    fn is_idle(&self) -> bool {
        self.book.open.is_empty() && self.loose.is_empty() && self.row.is_over()
    }
}

/// A delivery and its model, told the same.
struct Pair {
    delivery: Delivery<u32>,
    model: Model,
    got: Vec<u32>,
    /// Outputs that were made.
    made: u32,
    accepted: u64,
}

impl Pair {
    fn new(ordered: bool) -> Self {
        let model = Model { ordered, ..Model::default() };
        Self { delivery: Delivery::new(ordered), model, got: Vec::new(), made: 0, accepted: 0 }
    }

    fn outputs(&mut self, count: usize) -> Vec<u32> {
        let first = self.made;
        self.made += count as u32;
        (first..self.made).collect()
    }

    fn act(&mut self, act: Act) {
        let event = self.accepted;
        let outputs = match act {
            Act::Reply(_, count) | Act::Error(_, count) | Act::Push(count) => self.outputs(count),
            _ => Vec::new(),
        };
        let (delivery, model) = (&mut self.delivery, &mut self.model);
        let emit = |output| self.got.push(output);
        match act {
            Act::Accept => {
                self.accepted += 1;
                delivery.accept(event);
                model.accept(event);
            }
            Act::Copied(event) => {
                delivery.copied(event);
                if let Some(open) = model.book.open.get_mut(&event) {
                    open.copies += 1;
                }
            }
            Act::Reply(event, _) => {
                delivery.reply(event, outputs.clone(), emit);
                model.reply(event, &outputs);
            }
            Act::Settle(event, outcome) => {
                delivery.settle(event, outcome, emit);
                model.settle(event, outcome);
            }
            Act::Fail(event) => assert_eq!(delivery.fail(event), model.fail(event)),
            Act::FailLoose(event) => {
                delivery.fail_loose(event);
                model.fail_loose(event);
            }
            Act::Announce(event) => {
                delivery.announce(event);
                model.announce(event);
            }
            Act::Error(event, _) => {
                delivery.error(event, outputs.clone(), emit);
                model.error(event, &outputs, false);
            }
            Act::ErrorDropped(event) => {
                delivery.error_dropped(event, emit);
                model.error(event, &[], true);
            }
            Act::ErrorUnreported(event) => {
                delivery.error_unreported(event, emit);
                model.unreported(event);
            }
            Act::Push(_) => {
                delivery.push(outputs.clone(), emit);
                model.push(&outputs);
            }
        }
    }

    fn check(&mut self) {
        assert_eq!(self.got, self.model.row.out, "what the client was told");
        assert_eq!(self.delivery.counts(), self.model.book.counts);
        assert_eq!(self.delivery.pushed(), self.model.pushed);
        assert_eq!(self.delivery.open(), self.model.book.open.keys().copied().collect::<Vec<_>>());
        assert_eq!(self.delivery.unsettled(), self.model.book.open.len());
        assert_eq!(self.delivery.is_idle(), self.model.is_idle());
        for event in 0..16 {
            assert_eq!(self.delivery.awaits_error(event), self.model.awaits_error(event), "{event}");
        }
    }

    /// Settles what is open, as the end of a session does.
    fn end(&mut self) {
        for event in self.delivery.open() {
            self.act(Act::Fail(event));
            self.act(Act::Error(event, 1));
        }
        for (event, _) in self.model.loose.clone() {
            self.act(Act::Error(event, 1));
        }
    }
}

// --- what waits for a client ---

/// A frame of the message or notice `number`.
#[derive(Debug)]
struct Sheet {
    number: usize,
    kind: Kind,
    is_last: bool,
    desk: Rc<ListenerWorker>,
}

/// What is known of all sheets.
#[derive(Debug, Default)]
struct ListenerWorker {
    /// Messages of the upstream that wait.
    used: Cell<usize>,
    /// The numbers of the sheets that are gone.
    gone: RefCell<Vec<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Push,
    Owed,
    Notice,
}

/// Messages of the upstream that may wait before it is not read any more.
const ROOM: usize = 3;

impl Sheet {
    fn new(number: usize, kind: Kind, is_last: bool, desk: &Rc<ListenerWorker>) -> Self {
        desk.used.set(desk.used.get() + usize::from(kind == Kind::Push && is_last));
        Self { number, kind, is_last, desk: Rc::clone(desk) }
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        self.desk.used.set(self.desk.used.get() - usize::from(self.kind == Kind::Push && self.is_last));
        self.desk.gone.borrow_mut().push(self.number);
    }
}

impl Frame for Sheet {
    fn may_drop(&self) -> bool {
        self.kind == Kind::Push
    }

    fn has_room(&self) -> Option<bool> {
        self.is_last.then(|| self.desk.used.get() < ROOM)
    }
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    /// A message of so many frames comes.
    Come(bool, usize),
    /// A message goes to the socket.
    Go,
    /// The client has not read for too long.
    Start,
    /// It reads again.
    Stop,
    /// The notice of a gap comes, in so many frames.
    Notice(usize),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        8 => (any::<bool>(), 1..4_usize).prop_map(|(push, frames)| Turn::Come(push, frames)),
        3 => Just(Turn::Go),
        2 => Just(Turn::Start),
        1 => Just(Turn::Stop),
        1 => (1..3_usize).prop_map(Turn::Notice),
    ];
    prop::collection::vec(turn, 0..100)
}

/// A backlog, and what it was told and told us.
struct Reader {
    keep: Keep,
    backlog: Backlog<Sheet>,
    desk: Rc<ListenerWorker>,
    /// Of each message: what it is, and its frames that came out.
    messages: Vec<(Kind, usize, usize)>,
    /// Numbers in the order in which they came out.
    out: Vec<usize>,
    dropping: bool,
    told: u64,
    /// Notices that are on their way.
    notices: Vec<u64>,
    /// Sheets that were gone before this turn.
    gone_before: usize,
}

impl Reader {
    fn turn(&mut self, turn: Turn) {
        self.gone_before = self.desk.gone.borrow().len();
        match turn {
            Turn::Come(push, frames) => {
                let kind = if push { Kind::Push } else { Kind::Owed };
                self.come(kind, frames, |backlog, sheet, _| backlog.push(sheet));
            }
            Turn::Go => self.go(),
            Turn::Start => {
                self.backlog.start_dropping();
                self.dropping = true;
            }
            Turn::Stop => {
                self.dropping = false;
                if let Some(told) = self.backlog.stop_dropping() {
                    self.told += told;
                    self.expect();
                }
            }
            Turn::Notice(frames) if !self.notices.is_empty() => {
                let event = self.notices.remove(0);
                // Where another gap was told of since, and where the gap is at the end, it waits as any error.
                match self.backlog.expects(event) {
                    true => self.come(Kind::Notice, frames, Backlog::notice),
                    false => self.come(Kind::Owed, frames, |backlog, sheet, _| backlog.push(sheet)),
                }
                assert!(!self.backlog.expects(event));
            }
            Turn::Notice(_) => {}
        }
    }

    fn come(&mut self, kind: Kind, frames: usize, take: impl Fn(&mut Backlog<Sheet>, Sheet, bool)) {
        let number = self.messages.len();
        self.messages.push((kind, frames, 0));
        for frame in 1..=frames {
            take(&mut self.backlog, Sheet::new(number, kind, frame == frames, &self.desk), frame == frames);
        }
    }

    fn expect(&mut self) {
        let event = self.messages.len() as u64;
        self.backlog.expect(event);
        self.notices.push(event);
    }

    fn go(&mut self) {
        while let Some(sheet) = self.backlog.pop() {
            assert!(self.notices.is_empty() || self.keep == Keep::Oldest, "the notice comes first");
            self.out.push(sheet.number);
            self.messages[sheet.number].2 += 1;
            if sheet.is_last {
                break;
            }
        }
    }

    /// While messages are dropped there is room, or nothing more to drop; and it is the right ones that go.
    fn check(&self) {
        let pushes = || {
            self.messages.iter().enumerate().filter(|(_, (kind, _, out))| *kind == Kind::Push && *out == 0)
        };
        let is_full = self.desk.used.get() >= ROOM;
        assert!(
            !self.dropping || !is_full || pushes().count() as u64 == self.backlog.total(),
            "there is room"
        );
        let gone = self.desk.gone.borrow();
        let dropped = self.turn_gone(&gone);
        for (number, _) in pushes().filter(|(number, _)| !gone.contains(number)) {
            match self.keep {
                Keep::Newest => assert!(dropped.clone().all(|gone| gone < number), "the oldest go"),
                Keep::Oldest => assert!(dropped.clone().all(|gone| gone > number), "the newest go"),
            }
        }
    }

    /// Messages that were dropped in this turn.
    fn turn_gone<'a>(&'a self, gone: &'a [usize]) -> impl Iterator<Item = usize> + Clone + 'a {
        gone[self.gone_before..].iter().copied().filter(|number| !self.out.contains(number))
    }

    fn check_end(mut self) {
        self.turn(Turn::Stop);
        while !self.notices.is_empty() {
            self.turn(Turn::Notice(1));
        }
        while !self.backlog.is_empty() {
            self.go();
        }
        let dropped = self.messages.iter().filter(|(_, _, out)| *out == 0).count();
        for (kind, frames, out) in &self.messages {
            assert!(out == frames || (*kind == Kind::Push && *out == 0), "whole or not at all");
        }
        assert_eq!((self.backlog.total(), self.told), (dropped as u64, dropped as u64), "each is told once");
        let messages = self.out.iter().filter(|number| self.messages[**number].0 != Kind::Notice);
        assert!(messages.is_sorted(), "what is kept keeps its order");
        assert_eq!(self.desk.used.get(), 0, "nothing is held");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// `appended` tells which of the two ways in which a session uses it: with places of errors only, or with a
    /// place for each message.
    #[test]
    fn the_sequencer_does_as_a_row_of_lanes(steps in steps(), appended: bool) {
        let (mut sequencer, mut row) = (Sequencer::default(), Row::default());
        let mut places: Vec<(Slot, usize)> = Vec::new();
        let mut out = Vec::new();
        for (step, output) in steps.into_iter().zip(0..) {
            let emit = |output| out.push(output);
            match step {
                Step::Reserve => places.push((sequencer.reserve(), row.reserve())),
                Step::Put(at) if !places.is_empty() => {
                    let (slot, lane) = *at.get(&places);
                    if !(appended && row.lanes[lane].closed) {
                        sequencer.put(slot, output, emit);
                        row.put(lane, output);
                    }
                }
                Step::Append if appended => {
                    sequencer.append(output, emit);
                    row.append(output);
                }
                Step::Close(at) if !places.is_empty() => {
                    let (slot, lane) = *at.get(&places);
                    sequencer.close(slot, emit);
                    row.close(lane);
                }
                _ => {}
            }
            prop_assert_eq!(&out, &row.out);
            prop_assert_eq!(sequencer.is_empty(), row.is_over());
        }
    }

    #[test]
    fn the_ledger_does_as_a_book(acts in acts()) {
        let (mut ledger, mut book) = (Ledger::default(), Book::default());
        for act in acts {
            match act {
                Act::Accept => {
                    let event = book.counts.accepted;
                    ledger.accept(event, None);
                    book.accept(event, None);
                }
                Act::Copied(event) => {
                    ledger.copied(event);
                    if let Some(open) = book.open.get_mut(&event) {
                        open.copies += 1;
                    }
                }
                Act::Reply(event, _) | Act::Settle(event, _) => {
                    let outcome = if let Act::Settle(_, outcome) = act { outcome } else { Outcome::Answered };
                    let expected = match book.settle(event, outcome) {
                        None => Settled::Unknown,
                        Some(true) => Settled::Done(None),
                        Some(false) => Settled::Partly(None),
                    };
                    prop_assert_eq!(ledger.settle(event, outcome), expected);
                }
                Act::Fail(event) => {
                    let due = book.hopeful(event).map(|open| open.failing = true).is_some();
                    prop_assert_eq!(ledger.fail(event), due);
                }
                Act::Error(event, _) if book.is_failing(event) => {
                    book.end(event, Outcome::Errored);
                    prop_assert_eq!(ledger.errored(event, Outcome::Errored), Settled::Done(None));
                }
                _ => {}
            }
            prop_assert_eq!(ledger.counts(), book.counts);
            prop_assert!(ledger.unsettled().eq(book.open.keys().copied()));
            for event in 0..16 {
                prop_assert_eq!(ledger.is_failing(event), book.is_failing(event));
            }
        }
    }

    /// Copies, pushes, late replies, gap notices, errors that a pipeline drops or multiplies: one outcome for
    /// each event, each output once, and where it belongs.
    #[test]
    fn the_delivery_does_as_its_model(acts in acts(), ordered: bool) {
        let mut pair = Pair::new(ordered);
        for act in acts {
            pair.act(act);
            pair.check();
        }
        pair.end();
        pair.check();
        prop_assert!(pair.delivery.is_idle());
        let Counts { accepted, answered, delivered, errored, dropped } = pair.delivery.counts();
        prop_assert_eq!(accepted, answered + delivered + errored + dropped, "each event has one outcome");
        pair.got.sort_unstable();
        prop_assert_eq!(pair.got, (0..pair.made).collect::<Vec<_>>(), "nothing is lost or told twice");
    }

    /// Messages go out whole and in order or are counted and told, only those that may be dropped are, and
    /// while they are dropped there is room.
    #[test]
    fn the_backlog_drops_what_it_may_and_tells_it(turns in turns(), newest: bool) {
        let keep = if newest { Keep::Newest } else { Keep::Oldest };
        let mut reader = Reader {
            keep,
            backlog: Backlog::new(keep),
            desk: Rc::default(),
            messages: Vec::new(),
            out: Vec::new(),
            dropping: false,
            told: 0,
            notices: Vec::new(),
            gone_before: 0,
        };
        for turn in turns {
            reader.turn(turn);
            reader.check();
        }
        reader.check_end();
    }
}
