//! Combines the [`Ledger`] and the [`Sequencer`] of one session: which outcomes are missing, and in which order
//! messages are sent to the client.
//!
//! No actors, sockets or clocks are used here. `O` is an output for the client: a frame with its permit.
//! Methods pass the outputs that may be sent now to their argument `emit`.

use std::sync::Arc;

use super::{
    ledger::{Ledger, Outcome, Settled},
    sequencer::{Position, Sequencer},
};
use crate::{event::EventNumber, failure::Failure, figures::SessionFigures};

/// The outcomes that a session must still give, and the order of its messages to the client.
#[derive(Debug)]
pub struct Delivery<O> {
    /// Whether the client gets outcomes in the order of its messages, which is so when replies match by
    /// order. Otherwise it gets them in the order in which they become known.
    ordered: bool,
    ledger: Ledger,
    sequencer: Sequencer<O>,
    /// The position of the last reply. When `ordered`, later pushes follow it.
    last_reply: Option<Position>,
    /// Events that are not in the ledger, such as failed pushes, for which an error reply is expected. Each
    /// has the position of the error reply.
    unowned: Vec<(EventNumber, Option<Position>)>,
}

impl<O> Delivery<O> {
    /// Creates an instance without events, which counts in `figures`.
    pub fn new(ordered: bool, figures: Arc<SessionFigures>) -> Self {
        Self {
            ordered,
            ledger: Ledger::new(figures),
            sequencer: Sequencer::default(),
            last_reply: None,
            unowned: Vec::new(),
        }
    }

    /// Adds an event that was made of a client's message.
    pub fn accept(&mut self, event: EventNumber) {
        let position = self.ordered.then(|| self.sequencer.reserve());
        self.ledger.accept(event, position);
    }

    /// Adds `count` events in a row, from `first` on.
    pub fn accept_run(&mut self, first: EventNumber, count: u64) {
        match self.ordered {
            false => self.ledger.accept_run(first, count),
            true => (first.0..first.0 + count).for_each(|event| self.accept(EventNumber(event))),
        }
    }

    /// Records that a pipeline copied an event.
    pub fn copied(&mut self, event: EventNumber) {
        self.ledger.copied(event);
    }

    /// Sends the reply to an event or to one of its copies, and settles it. If the event has already been reported
    /// as failed, the reply counts as a push. Returns the event's outcome, if it has it now.
    pub fn reply(
        &mut self,
        event: EventNumber,
        outputs: impl IntoIterator<Item = O>,
        mut emit: impl FnMut(O),
    ) -> Option<Outcome> {
        match self.ledger.settle(event, Outcome::Answered) {
            Settled::Unknown => self.push(outputs, emit),
            Settled::Partly(position) => self.put(position, outputs, &mut emit),
            Settled::Done(position, outcome) => {
                self.put(position, outputs, &mut emit);
                self.close(position, emit);
                return Some(outcome);
            }
        }
        None
    }

    /// Sends a push. It does not overtake replies that the upstream sent before it.
    pub fn push(&mut self, outputs: impl IntoIterator<Item = O>, mut emit: impl FnMut(O)) {
        self.ledger.figures().count(|tally| tally.pushed.add(1));
        for output in outputs {
            match (self.ordered, self.last_reply) {
                (true, Some(position)) => self.sequencer.put(position, output, &mut emit),
                (true, None) => emit(output),
                (false, _) => self.sequencer.append(output, &mut emit),
            }
        }
    }

    /// Whether the outputs of pushes are sent at once, because none of them follows a message that is not sent yet. If so,
    /// counts `count` pushes, which the caller sends.
    pub fn passes_pushes(&self, count: u64) -> bool {
        let passes = if self.ordered { self.last_reply.is_none() } else { self.sequencer.is_empty() };
        if passes {
            self.ledger.figures().count(|tally| tally.pushed.add(count));
        }
        passes
    }

    /// Settles an event, or one of its copies, that needs no reply. Returns the event's outcome, if it has it now.
    pub fn settle(&mut self, event: EventNumber, outcome: Outcome, emit: impl FnMut(O)) -> Option<Outcome> {
        let Settled::Done(position, outcome) = self.ledger.settle(event, outcome) else { return None };
        self.close(position, emit);
        Some(outcome)
    }

    /// Settles `count` events in a row, from `first` on, with the outcome "delivered".
    pub fn delivered(&mut self, first: EventNumber, count: u64, mut emit: impl FnMut(O)) {
        let settled = self.ledger.delivered(first, count);
        for event in first.0 + settled..first.0 + count {
            self.settle(EventNumber(event), Outcome::Delivered, &mut emit);
        }
    }

    /// Records that an event failed. Returns true when it needs an error reply; false when it already has an
    /// outcome or has failed before.
    pub fn fail(&mut self, event: EventNumber) -> bool {
        if !self.ledger.fail(event) {
            return false;
        }
        if !self.ordered {
            let position = self.sequencer.reserve();
            self.ledger.set_position(event, position);
        }
        true
    }

    /// Records that an event failed, and that a reply reports that in the client's protocol. Returns false if the event has
    /// an outcome, which stays as it is: the message is a push then.
    pub fn fail_in_protocol(&mut self, event: EventNumber) -> bool {
        self.ledger.fail_in_protocol(event)
    }

    /// The failure to report for an event. The failure of an event with copies is not retryable, because one of the
    /// copies may have reached the upstream.
    pub fn failure_of(&mut self, event: EventNumber, failure: Failure) -> Failure {
        if self.ledger.is_copied(event) { failure.of_copies() } else { failure }
    }

    /// Records that `event` failed without being in the ledger: it is a failed push, or it reports a gap that
    /// a lost connection leaves. Its error reply gets the position that a push would have now.
    pub fn fail_unowned(&mut self, event: EventNumber) {
        let position = if self.ordered { self.last_reply } else { Some(self.sequencer.reserve()) };
        self.unowned.push((event, position));
    }

    /// Announces that the notice will be sent as the error reply of `event`. When `ordered`, the report does
    /// not wait for outputs that are held back.
    pub fn announce(&mut self, event: EventNumber) {
        let position = (!self.ordered).then(|| self.sequencer.reserve());
        self.unowned.push((event, position));
    }

    /// Sends the error reply of an event, and settles the event. An errors pipeline may make several error
    /// replies; those after the first count as pushes. Returns the event's outcome, if it has it now.
    pub fn error(
        &mut self,
        event: EventNumber,
        outputs: impl IntoIterator<Item = O>,
        mut emit: impl FnMut(O),
    ) -> Option<Outcome> {
        if !self.ledger.is_failing(event) {
            self.error_unowned(event, outputs, emit);
            return None;
        }
        let position = self.ledger.position(event);
        self.put(position, outputs, &mut emit);
        self.end_error(event, Outcome::Errored, emit)
    }

    fn error_unowned(
        &mut self,
        event: EventNumber,
        outputs: impl IntoIterator<Item = O>,
        mut emit: impl FnMut(O),
    ) {
        let Some(position) = self.take_unowned(event) else { return self.push(outputs, emit) };
        self.ledger.figures().count(|tally| tally.pushed.add(1));
        match position {
            Some(position) if self.ordered => {
                outputs.into_iter().for_each(|output| self.sequencer.put(position, output, &mut emit));
            }
            Some(position) => {
                self.put(Some(position), outputs, &mut emit);
                self.close(Some(position), emit);
            }
            None => outputs.into_iter().for_each(emit),
        }
    }

    /// Settles a failed event whose error reply was dropped by an errors pipeline. Returns the event's outcome, if it
    /// has it now.
    pub fn error_dropped(&mut self, event: EventNumber, emit: impl FnMut(O)) -> Option<Outcome> {
        self.end_without_message(event, Outcome::Dropped, emit)
    }

    /// Settles a failed event without a message to the client. Returns the event's outcome, if it has it now.
    pub fn error_unreported(&mut self, event: EventNumber, emit: impl FnMut(O)) -> Option<Outcome> {
        self.end_without_message(event, Outcome::Errored, emit)
    }

    /// Whether an event has failed and its error reply has not arrived yet.
    pub fn awaits_error(&mut self, event: EventNumber) -> bool {
        self.ledger.is_failing(event) || self.unowned.iter().any(|(unowned, _)| *unowned == event)
    }

    /// The unsettled events, oldest first.
    pub fn open(&self) -> Vec<EventNumber> {
        self.ledger.unsettled().collect()
    }

    /// The oldest unsettled event.
    pub fn oldest(&self) -> Option<EventNumber> {
        self.ledger.unsettled().next()
    }

    /// Number of unsettled events.
    pub fn unsettled(&self) -> usize {
        self.ledger.len()
    }

    /// Whether no outcome is missing and no output is held back.
    pub fn is_idle(&self) -> bool {
        self.ledger.is_empty() && self.sequencer.is_empty() && self.unowned.is_empty()
    }

    /// Where events, outcomes and pushes are counted.
    #[cfg(test)]
    pub fn figures(&self) -> &SessionFigures {
        self.ledger.figures()
    }

    fn end_error(&mut self, event: EventNumber, outcome: Outcome, emit: impl FnMut(O)) -> Option<Outcome> {
        let Settled::Done(position, outcome) = self.ledger.errored(event, outcome) else { return None };
        self.close(position, emit);
        Some(outcome)
    }

    fn end_without_message(
        &mut self,
        event: EventNumber,
        outcome: Outcome,
        emit: impl FnMut(O),
    ) -> Option<Outcome> {
        if self.ledger.is_failing(event) {
            return self.end_error(event, outcome, emit);
        }
        if let Some(position) = self.take_unowned(event)
            && !self.ordered
        {
            self.close(position, emit);
        }
        None
    }

    fn put(
        &mut self,
        position: Option<Position>,
        outputs: impl IntoIterator<Item = O>,
        mut emit: impl FnMut(O),
    ) {
        self.last_reply = self.last_reply.max(position);
        for output in outputs {
            match position {
                Some(position) => self.sequencer.put(position, output, &mut emit),
                None => self.sequencer.append(output, &mut emit),
            }
        }
    }

    fn close(&mut self, position: Option<Position>, emit: impl FnMut(O)) {
        if let Some(position) = position {
            self.sequencer.close(position, emit);
        }
    }

    fn take_unowned(&mut self, event: EventNumber) -> Option<Option<Position>> {
        let at = self.unowned.iter().position(|(unowned, _)| *unowned == event)?;
        Some(self.unowned.remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Client {
        delivery: Delivery<String>,
        got: Vec<String>,
    }

    impl Client {
        fn new(ordered: bool) -> Self {
            Self { delivery: Delivery::new(ordered, Arc::default()), got: Vec::new() }
        }

        fn reply(&mut self, event: u64) {
            self.delivery
                .reply(EventNumber(event), [format!("reply {event}")], |output| self.got.push(output));
        }

        fn push(&mut self, name: &str) {
            self.delivery.push([name.to_owned()], |output| self.got.push(output));
        }

        fn error(&mut self, event: u64) {
            self.delivery
                .error(EventNumber(event), [format!("error {event}")], |output| self.got.push(output));
        }

        fn settle(&mut self, event: u64, outcome: Outcome) {
            self.delivery.settle(EventNumber(event), outcome, |output| self.got.push(output));
        }
    }

    #[test]
    fn with_order_an_early_error_waits_for_the_reply_before_it() {
        let mut client = Client::new(true);
        client.delivery.accept(EventNumber(0));
        client.delivery.accept(EventNumber(1));
        assert!(client.delivery.fail(EventNumber(1)));
        client.error(1);
        assert!(client.got.is_empty());
        client.reply(0);
        assert_eq!(client.got, ["reply 0", "error 1"]);
        assert!(client.delivery.is_idle());
    }

    #[test]
    fn a_push_does_not_wait_for_missing_replies() {
        let mut client = Client::new(true);
        client.delivery.accept(EventNumber(0));
        client.push("news");
        client.reply(0);
        assert_eq!(client.got, ["news", "reply 0"]);
    }

    #[test]
    fn a_push_does_not_overtake_an_earlier_reply_of_the_upstream() {
        let mut client = Client::new(true);
        client.delivery.accept(EventNumber(0));
        client.delivery.accept(EventNumber(1));
        client.reply(1);
        client.push("news");
        client.settle(0, Outcome::Dropped);
        assert_eq!(client.got, ["reply 1", "news"]);
    }

    #[test]
    fn the_failure_of_an_event_with_copies_is_not_retryable() {
        let mut client = Client::new(true);
        let (copied, whole, not_sent) = (EventNumber(0), EventNumber(1), Failure::not_connected());
        client.delivery.accept(copied);
        client.delivery.accept(whole);
        client.delivery.copied(copied);
        client.settle(0, Outcome::Delivered);
        assert!(not_sent.retryable && client.delivery.failure_of(whole, not_sent.clone()).retryable);
        assert!(!client.delivery.failure_of(copied, not_sent).retryable, "one copy was delivered");
    }

    #[test]
    fn without_order_messages_after_an_error_do_not_overtake_it() {
        let mut client = Client::new(false);
        client.delivery.accept(EventNumber(0));
        client.delivery.accept(EventNumber(1));
        client.push("before");
        assert!(client.delivery.fail(EventNumber(0)));
        client.reply(1);
        client.push("after");
        assert_eq!(client.got, ["before"]);
        client.error(0);
        assert_eq!(client.got, ["before", "error 0", "reply 1", "after"]);
        assert!(client.delivery.is_idle());
    }

    #[test]
    fn a_gap_notice_is_sent_although_its_event_is_settled() {
        for ordered in [true, false] {
            let mut client = Client::new(ordered);
            client.delivery.accept(EventNumber(0));
            client.settle(0, Outcome::Delivered);
            client.delivery.fail_unowned(EventNumber(0));
            assert!(client.delivery.awaits_error(EventNumber(0)));
            client.error(0);
            assert_eq!(client.got, ["error 0"]);
            assert_eq!(client.delivery.figures().totals().pushed, 1, "it settles nothing");
            assert!(client.delivery.is_idle());
        }
    }

    #[test]
    fn the_error_of_a_push_does_not_overtake_an_earlier_reply() {
        let mut client = Client::new(true);
        client.delivery.accept(EventNumber(0));
        client.delivery.accept(EventNumber(1));
        client.reply(1);
        client.delivery.fail_unowned(EventNumber(2));
        client.delivery.announce(EventNumber(3));
        client.error(2);
        client.error(3);
        client.push("news");
        assert_eq!(client.got, ["error 3"], "a notice waits for nothing");
        client.reply(0);
        assert_eq!(client.got, ["error 3", "reply 0", "reply 1", "error 2", "news"]);
        assert!(client.delivery.is_idle());
    }

    #[test]
    fn a_reply_after_the_error_is_a_push() {
        let mut client = Client::new(true);
        client.delivery.accept(EventNumber(0));
        assert!(client.delivery.fail(EventNumber(0)));
        client.reply(0);
        client.error(0);
        assert_eq!(client.got, ["reply 0", "error 0"]);
        assert_eq!(client.delivery.figures().totals().pushed, 1);
        assert_eq!(client.delivery.figures().counts().errored, 1);
    }

    #[test]
    fn an_error_that_the_errors_pipeline_drops_releases_later_replies() {
        let mut client = Client::new(true);
        client.delivery.accept(EventNumber(0));
        client.delivery.accept(EventNumber(1));
        assert!(client.delivery.fail(EventNumber(0)));
        client.reply(1);
        client.delivery.error_dropped(EventNumber(0), |output| client.got.push(output));
        assert_eq!(client.got, ["reply 1"]);
        assert_eq!(client.delivery.figures().counts().dropped, 1);
    }

    /// How an event ends in the test.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum End {
        Reply,
        Error,
        Drop,
        /// The event fails, and its error reply arrives after everything else.
        LateError,
    }

    proptest! {
        /// Outcomes become known in any order. The client gets one message for each event that was not
        /// dropped, in the order of its messages when `ordered`.
        #[test]
        fn each_event_is_reported_once_and_in_order(
            ends in proptest::collection::vec(
                prop_oneof![Just(End::Reply), Just(End::Error), Just(End::Drop), Just(End::LateError)], 1..30),
            seed: u64,
            ordered: bool,
        ) {
            let mut client = Client::new(ordered);
            (0..ends.len() as u64).for_each(|event| client.delivery.accept(EventNumber(event)));
            let mut known: Vec<u64> = (0..ends.len() as u64).collect();
            known.sort_by_key(|event| event.wrapping_add(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut late_errors = Vec::new();
            for event in known {
                match ends[event as usize] {
                    End::Reply => client.reply(event),
                    End::Drop => client.settle(event, Outcome::Dropped),
                    End::Error => {
                        prop_assert!(client.delivery.fail(EventNumber(event)));
                        client.error(event);
                    }
                    End::LateError => {
                        prop_assert!(client.delivery.fail(EventNumber(event)));
                        prop_assert!(!client.delivery.fail(EventNumber(event)));
                        late_errors.push(event);
                    }
                }
            }
            late_errors.into_iter().for_each(|event| client.error(event));
            let reported: Vec<u64> = client.got.iter().map(|text| text[6..].parse().unwrap()).collect();
            let mut expected: Vec<u64> =
                (0..ends.len() as u64).filter(|event| ends[*event as usize] != End::Drop).collect();
            if ordered {
                prop_assert_eq!(&reported, &expected);
            }
            let mut sorted = reported;
            sorted.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(sorted, expected);
            prop_assert!(client.delivery.is_idle());
        }
    }
}
