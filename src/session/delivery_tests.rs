//! Compares ledger and delivery with simple models after each of a series of random operations (guarantees
//! C1, C2).

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::{
    delivery::Delivery,
    ledger::{Ledger, Outcome, Settled},
    sequencer_tests::ModelSequencer,
};
use crate::{event::EventNumber, figures::Counts};

/// An unsettled event.
#[derive(Debug, Clone, Copy)]
struct UnsettledEvent {
    copies: u32,
    gravest: Outcome,
    failing: bool,
    position: Option<usize>,
}

/// A model of the ledger: the unsettled events, and the number of events for each outcome.
#[derive(Debug, Default)]
struct ModelLedger {
    open: BTreeMap<EventNumber, UnsettledEvent>,
    counts: Counts,
}

impl ModelLedger {
    fn accept(&mut self, event: EventNumber, position: Option<usize>) {
        self.counts.accepted += 1;
        self.open
            .insert(event, UnsettledEvent { copies: 1, gravest: Outcome::Dropped, failing: false, position });
    }

    /// The unsettled event with this number, unless it has failed.
    fn not_failed(&mut self, event: EventNumber) -> Option<&mut UnsettledEvent> {
        self.open.get_mut(&event).filter(|open| !open.failing)
    }

    /// Settles an event or one of its copies. Returns the outcome if all copies have ended; `None` if there is
    /// nothing to settle.
    fn settle(&mut self, event: EventNumber, outcome: Outcome) -> Option<Option<Outcome>> {
        let open = self.not_failed(event)?;
        open.copies -= 1;
        open.gravest = open.gravest.max(outcome);
        let (ended, gravest) = (open.copies == 0, open.gravest);
        if ended {
            self.end(event, gravest);
        }
        Some(ended.then_some(gravest))
    }

    fn end(&mut self, event: EventNumber, outcome: Outcome) {
        self.open.remove(&event);
        *match outcome {
            Outcome::Dropped => &mut self.counts.dropped,
            Outcome::Delivered => &mut self.counts.delivered,
            Outcome::Answered => &mut self.counts.answered,
            Outcome::Errored => &mut self.counts.errored,
        } += 1;
    }

    fn is_failing(&self, event: EventNumber) -> bool {
        self.open.get(&event).is_some_and(|open| open.failing)
    }
}

/// An operation on the delivery. Event numbers may exceed those accepted so far.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Accept,
    Copied(EventNumber),
    Reply(EventNumber, usize),
    Settle(EventNumber, Outcome),
    Delivered(EventNumber, u64),
    Fail(EventNumber),
    FailUnowned(EventNumber),
    Announce(EventNumber),
    Error(EventNumber, usize),
    ErrorDropped(EventNumber),
    ErrorUnreported(EventNumber),
    Push(usize),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let event = || (0..16_u64).prop_map(EventNumber);
    let count = || 0..4_usize;
    let good = prop_oneof![Just(Outcome::Dropped), Just(Outcome::Delivered)];
    let operation = prop_oneof![
        6 => Just(Operation::Accept),
        2 => event().prop_map(Operation::Copied),
        5 => (event(), count()).prop_map(|(event, count)| Operation::Reply(event, count)),
        3 => (event(), good).prop_map(|(event, outcome)| Operation::Settle(event, outcome)),
        2 => (event(), 0..6_u64).prop_map(|(first, count)| Operation::Delivered(first, count)),
        3 => event().prop_map(Operation::Fail),
        1 => event().prop_map(Operation::FailUnowned),
        1 => event().prop_map(Operation::Announce),
        3 => (event(), count()).prop_map(|(event, count)| Operation::Error(event, count)),
        1 => event().prop_map(Operation::ErrorDropped),
        2 => event().prop_map(Operation::ErrorUnreported),
        2 => count().prop_map(Operation::Push),
    ];
    prop::collection::vec(operation, 0..120)
}

/// A model of the delivery, made of the models of ledger and sequencer.
#[derive(Debug, Default)]
struct ModelDelivery {
    ordered: bool,
    ledger: ModelLedger,
    sequencer: ModelSequencer,
    /// Failures that are not the outcome of an event, and the positions of their error replies.
    unowned: Vec<(EventNumber, Option<usize>)>,
    /// The position of the last reply.
    last: Option<usize>,
    pushed: u64,
}

impl ModelDelivery {
    fn accept(&mut self, event: EventNumber) {
        let position = self.ordered.then(|| self.sequencer.reserve());
        self.ledger.accept(event, position);
    }

    fn reply(&mut self, event: EventNumber, outputs: &[u32]) {
        let position = self.ledger.open.get(&event).and_then(|open| open.position);
        match self.ledger.settle(event, Outcome::Answered) {
            None => self.push(outputs),
            Some(ended) => {
                self.put(position, outputs);
                self.close(position.filter(|_| ended.is_some()));
            }
        }
    }

    fn settle(&mut self, event: EventNumber, outcome: Outcome) {
        let position = self.ledger.open.get(&event).and_then(|open| open.position);
        let ended = self.ledger.settle(event, outcome).flatten().is_some();
        self.close(position.filter(|_| ended));
    }

    fn copied(&mut self, event: EventNumber) {
        if let Some(open) = self.ledger.open.get_mut(&event) {
            open.copies += 1;
        }
    }

    fn delivered(&mut self, first: EventNumber, count: u64) {
        for event in first.0..first.0 + count {
            self.settle(EventNumber(event), Outcome::Delivered);
        }
    }

    fn fail(&mut self, event: EventNumber) -> bool {
        let Some(open) = self.ledger.not_failed(event) else { return false };
        open.failing = true;
        if !self.ordered {
            open.position = Some(self.sequencer.reserve());
        }
        true
    }

    fn fail_unowned(&mut self, event: EventNumber) {
        let position = if self.ordered { self.last } else { Some(self.sequencer.reserve()) };
        self.unowned.push((event, position));
    }

    fn announce(&mut self, event: EventNumber) {
        let position = (!self.ordered).then(|| self.sequencer.reserve());
        self.unowned.push((event, position));
    }

    /// Sends the error reply of an event. If `dropped` is true, there are no outputs, because an errors
    /// pipeline dropped them.
    fn error(&mut self, event: EventNumber, outputs: &[u32], dropped: bool) {
        if self.ledger.is_failing(event) {
            let position = self.ledger.open[&event].position;
            if !dropped {
                self.put(position, outputs);
            }
            self.ledger.end(event, if dropped { Outcome::Dropped } else { Outcome::Errored });
            self.close(position);
        } else if let Some(at) = self.unowned.iter().position(|(unowned, _)| *unowned == event) {
            match self.unowned.remove(at).1 {
                Some(_) if self.ordered && dropped => {}
                Some(position) if self.ordered => {
                    self.pushed += 1;
                    outputs.iter().for_each(|output| self.sequencer.put(position, *output));
                }
                Some(position) => {
                    self.pushed += u64::from(!dropped);
                    self.put(Some(position), outputs);
                    self.close(Some(position));
                }
                None if dropped => {}
                None => {
                    self.pushed += 1;
                    self.sequencer.out.extend(outputs);
                }
            }
        } else if !dropped {
            self.push(outputs);
        }
    }

    /// Settles an event that failed without a message to the client.
    fn unreported(&mut self, event: EventNumber) {
        if self.ledger.is_failing(event) {
            let position = self.ledger.open[&event].position;
            self.ledger.end(event, Outcome::Errored);
            self.close(position);
        } else {
            self.error(event, &[], true);
        }
    }

    fn push(&mut self, outputs: &[u32]) {
        self.pushed += 1;
        match (self.ordered, self.last) {
            (true, Some(position)) => outputs.iter().for_each(|output| self.sequencer.put(position, *output)),
            (true, None) => self.sequencer.out.extend(outputs),
            (false, _) => outputs.iter().for_each(|output| self.sequencer.append(*output)),
        }
    }

    fn put(&mut self, position: Option<usize>, outputs: &[u32]) {
        self.last = self.last.max(position);
        for output in outputs {
            match position {
                Some(position) => self.sequencer.put(position, *output),
                None => self.sequencer.append(*output),
            }
        }
    }

    fn close(&mut self, position: Option<usize>) {
        if let Some(position) = position {
            self.sequencer.close(position);
        }
    }

    fn awaits_error(&self, event: EventNumber) -> bool {
        self.ledger.is_failing(event) || self.unowned.iter().any(|(unowned, _)| *unowned == event)
    }

    fn is_idle(&self) -> bool {
        self.ledger.open.is_empty() && self.unowned.is_empty() && self.sequencer.is_empty()
    }
}

/// A delivery and its model, which execute the same operations.
struct Compared {
    delivery: Delivery<u32>,
    model: ModelDelivery,
    got: Vec<u32>,
    /// Number of outputs made so far. Each output is a number.
    made: u32,
    accepted: u64,
}

impl Compared {
    fn new(ordered: bool) -> Self {
        let model = ModelDelivery { ordered, ..ModelDelivery::default() };
        Self {
            delivery: Delivery::new(ordered, Arc::default()),
            model,
            got: Vec::new(),
            made: 0,
            accepted: 0,
        }
    }

    fn outputs(&mut self, count: usize) -> Vec<u32> {
        let first = self.made;
        self.made += count as u32;
        (first..self.made).collect()
    }

    fn apply(&mut self, operation: Operation) {
        let event = EventNumber(self.accepted);
        let outputs = match operation {
            Operation::Reply(_, count) | Operation::Error(_, count) | Operation::Push(count) => {
                self.outputs(count)
            }
            _ => Vec::new(),
        };
        let (delivery, model) = (&mut self.delivery, &mut self.model);
        let emit = |output| self.got.push(output);
        match operation {
            Operation::Accept => {
                self.accepted += 1;
                delivery.accept(event);
                model.accept(event);
            }
            Operation::Copied(event) => {
                delivery.copied(event);
                model.copied(event);
            }
            Operation::Reply(event, _) => {
                delivery.reply(event, outputs.clone(), emit);
                model.reply(event, &outputs);
            }
            Operation::Settle(event, outcome) => {
                delivery.settle(event, outcome, emit);
                model.settle(event, outcome);
            }
            Operation::Delivered(first, count) => {
                delivery.delivered(first, count, emit);
                model.delivered(first, count);
            }
            Operation::Fail(event) => assert_eq!(delivery.fail(event), model.fail(event)),
            Operation::FailUnowned(event) => {
                delivery.fail_unowned(event);
                model.fail_unowned(event);
            }
            Operation::Announce(event) => {
                delivery.announce(event);
                model.announce(event);
            }
            Operation::Error(event, _) => {
                delivery.error(event, outputs.clone(), emit);
                model.error(event, &outputs, false);
            }
            Operation::ErrorDropped(event) => {
                delivery.error_dropped(event, emit);
                model.error(event, &[], true);
            }
            Operation::ErrorUnreported(event) => {
                delivery.error_unreported(event, emit);
                model.unreported(event);
            }
            Operation::Push(_) => {
                delivery.push(outputs.clone(), emit);
                model.push(&outputs);
            }
        }
    }

    fn check(&mut self) {
        assert_eq!(self.got, self.model.sequencer.out, "messages to the client");
        assert_eq!(self.delivery.figures().counts(), self.model.ledger.counts);
        assert_eq!(self.delivery.figures().totals().pushed, self.model.pushed);
        assert_eq!(self.delivery.open(), self.model.ledger.open.keys().copied().collect::<Vec<_>>());
        assert_eq!(self.delivery.unsettled(), self.model.ledger.open.len());
        assert_eq!(self.delivery.is_idle(), self.model.is_idle());
        for event in (0..16).map(EventNumber) {
            assert_eq!(self.delivery.awaits_error(event), self.model.awaits_error(event), "{event:?}");
        }
    }

    /// Settles all events, as the end of a session does.
    fn end(&mut self) {
        for event in self.delivery.open() {
            self.apply(Operation::Fail(event));
            self.apply(Operation::Error(event, 1));
        }
        for (event, _) in self.model.unowned.clone() {
            self.apply(Operation::Error(event, 1));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_ledger_counts_what_its_model_counts(operations in operations()) {
        let (mut ledger, mut model) = (Ledger::default(), ModelLedger::default());
        for operation in operations {
            match operation {
                Operation::Accept => {
                    let event = EventNumber(model.counts.accepted);
                    ledger.accept(event, None);
                    model.accept(event, None);
                }
                Operation::Copied(event) => {
                    ledger.copied(event);
                    if let Some(open) = model.open.get_mut(&event) {
                        open.copies += 1;
                    }
                }
                Operation::Reply(event, _) | Operation::Settle(event, _) => {
                    let outcome = if let Operation::Settle(_, outcome) = operation { outcome } else { Outcome::Answered };
                    let expected = match model.settle(event, outcome) {
                        None => Settled::Unknown,
                        Some(Some(gravest)) => Settled::Done(None, gravest),
                        Some(None) => Settled::Partly(None),
                    };
                    prop_assert_eq!(ledger.settle(event, outcome), expected);
                }
                Operation::Fail(event) => {
                    let due = model.not_failed(event).map(|open| open.failing = true).is_some();
                    prop_assert_eq!(ledger.fail(event), due);
                }
                Operation::Error(event, _) if model.is_failing(event) => {
                    model.end(event, Outcome::Errored);
                    prop_assert_eq!(ledger.errored(event, Outcome::Errored), Settled::Done(None, Outcome::Errored));
                }
                _ => {}
            }
            prop_assert_eq!(ledger.counts(), model.counts);
            prop_assert!(ledger.unsettled().eq(model.open.keys().copied()));
            for event in (0..16).map(EventNumber) {
                prop_assert_eq!(ledger.is_failing(event), model.is_failing(event));
            }
        }
    }

    /// With copies, pushes, late replies, notices, and errors that a pipeline drops or multiplies, each event
    /// has one outcome, and each output is sent once at its position.
    #[test]
    fn the_delivery_sends_what_its_model_sends(operations in operations(), ordered: bool) {
        let mut compared = Compared::new(ordered);
        for operation in operations {
            compared.apply(operation);
            compared.check();
        }
        compared.end();
        compared.check();
        prop_assert!(compared.delivery.is_idle());
        let Counts { accepted, answered, delivered, errored, dropped } = compared.delivery.figures().counts();
        prop_assert_eq!(accepted, answered + delivered + errored + dropped, "each event has one outcome");
        compared.got.sort_unstable();
        prop_assert_eq!(compared.got, (0..compared.made).collect::<Vec<_>>(), "each output is sent once");
    }
}
