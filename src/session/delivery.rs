//! Outcomes and their order: the [`Ledger`] and the [`Sequencer`] of one session, put together.
//!
//! Pure. `O` is what the client is handed: a frame with its permit.

use super::{
    ledger::{Counts, Ledger, Outcome, Settled},
    sequencer::{Sequencer, Slot},
};

/// What a session owes its client, and in which order it hands it over.
#[derive(Debug)]
pub struct Delivery<O> {
    /// Whether outcomes come in the order of the client's messages: where replies are matched in order.
    /// Elsewhere they come in the order in which they are known.
    ordered: bool,
    ledger: Ledger,
    sequencer: Sequencer<O>,
    /// The place of the last reply: what the upstream sends by itself after it stays behind it.
    last_reply: Option<Slot>,
    /// Error events on their way that no open event owns, and their places.
    loose: Vec<(u64, Option<Slot>)>,
    pushed: u64,
}

impl<O> Delivery<O> {
    /// Nothing owed.
    pub fn new(ordered: bool) -> Self {
        Self {
            ordered,
            ledger: Ledger::default(),
            sequencer: Sequencer::default(),
            last_reply: None,
            loose: Vec::new(),
            pushed: 0,
        }
    }

    /// A message of the client became an event.
    pub fn accept(&mut self, event: u64) {
        let slot = self.ordered.then(|| self.sequencer.reserve());
        self.ledger.accept(event, slot);
    }

    /// A pipeline made a copy of an event.
    pub fn copied(&mut self, event: u64) {
        self.ledger.copied(event);
    }

    /// The reply to an event, or to one of its copies, is here. If the event has been reported as failed
    /// it is handed over as what it is now: a push.
    pub fn reply(&mut self, event: u64, outputs: impl IntoIterator<Item = O>, mut emit: impl FnMut(O)) {
        match self.ledger.settle(event, Outcome::Answered) {
            Settled::Unknown => self.push(outputs, emit),
            Settled::Partly(slot) => self.put(slot, outputs, &mut emit),
            Settled::Done(slot) => {
                self.put(slot, outputs, &mut emit);
                self.close(slot, emit);
            }
        }
    }

    /// The upstream sent something by itself.
    pub fn push(&mut self, outputs: impl IntoIterator<Item = O>, mut emit: impl FnMut(O)) {
        self.pushed += 1;
        for output in outputs {
            match (self.ordered, self.last_reply) {
                (true, Some(slot)) => self.sequencer.put(slot, output, &mut emit),
                (true, None) => emit(output),
                (false, _) => self.sequencer.append(output, &mut emit),
            }
        }
    }

    /// An event, or a copy of it, ended well without a reply.
    pub fn settle(&mut self, event: u64, outcome: Outcome, emit: impl FnMut(O)) {
        if let Settled::Done(slot) = self.ledger.settle(event, outcome) {
            self.close(slot, emit);
        }
    }

    /// A message's event failed. True when an error reply is due: the first time, and never after the
    /// outcome.
    pub fn fail(&mut self, event: u64) -> bool {
        if !self.ledger.fail(event) {
            return false;
        }
        if !self.ordered {
            let slot = self.sequencer.reserve();
            self.ledger.set_slot(event, slot);
        }
        true
    }

    /// Something went wrong that is no message's outcome: a push failed, or the client is told where a gap
    /// begins. An error reply is due, at the place of a push that came now.
    pub fn fail_loose(&mut self, event: u64) {
        let slot = if self.ordered { self.last_reply } else { Some(self.sequencer.reserve()) };
        self.loose.push((event, slot));
    }

    /// The client is to be told something that waits for nothing that is held back.
    pub fn announce(&mut self, event: u64) {
        let slot = (!self.ordered).then(|| self.sequencer.reserve());
        self.loose.push((event, slot));
    }

    /// The error reply of an event is here. An errors pipeline may make several of one: what comes after the
    /// first is a push.
    pub fn error(&mut self, event: u64, outputs: impl IntoIterator<Item = O>, mut emit: impl FnMut(O)) {
        if !self.ledger.is_failing(event) {
            return self.error_loose(event, outputs, emit);
        }
        let slot = self.ledger.slot(event);
        self.put(slot, outputs, &mut emit);
        self.end_error(event, Outcome::Errored, emit);
    }

    fn error_loose(&mut self, event: u64, outputs: impl IntoIterator<Item = O>, mut emit: impl FnMut(O)) {
        let Some(slot) = self.take_loose(event) else { return self.push(outputs, emit) };
        self.pushed += 1;
        match slot {
            Some(slot) if self.ordered => {
                outputs.into_iter().for_each(|output| self.sequencer.put(slot, output, &mut emit));
            }
            Some(slot) => {
                self.put(Some(slot), outputs, &mut emit);
                self.close(Some(slot), emit);
            }
            None => outputs.into_iter().for_each(emit),
        }
    }

    /// The errors pipelines let the error reply of an event end.
    pub fn error_dropped(&mut self, event: u64, emit: impl FnMut(O)) {
        if self.ledger.is_failing(event) {
            self.end_error(event, Outcome::Dropped, emit);
        } else if let Some(slot) = self.take_loose(event)
            && !self.ordered
        {
            self.close(slot, emit);
        }
    }

    /// An event failed, and the client gets no message about it.
    pub fn error_unreported(&mut self, event: u64, emit: impl FnMut(O)) {
        if self.ledger.is_failing(event) {
            self.end_error(event, Outcome::Errored, emit);
        } else if let Some(slot) = self.take_loose(event)
            && !self.ordered
        {
            self.close(slot, emit);
        }
    }

    /// Whether an error reply is due that has not come.
    pub fn awaits_error(&mut self, event: u64) -> bool {
        self.ledger.is_failing(event) || self.loose.iter().any(|(loose, _)| *loose == event)
    }

    /// The events that have no outcome, oldest first.
    pub fn open(&self) -> Vec<u64> {
        self.ledger.unsettled().collect()
    }

    /// How many events have no outcome.
    pub fn unsettled(&self) -> usize {
        self.ledger.len()
    }

    /// Whether nothing is owed and nothing held back.
    pub fn is_idle(&self) -> bool {
        self.ledger.is_empty() && self.sequencer.is_empty() && self.loose.is_empty()
    }

    /// How many events ended how.
    pub fn counts(&self) -> Counts {
        self.ledger.counts()
    }

    /// How many messages were handed over that settle nothing.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    fn end_error(&mut self, event: u64, outcome: Outcome, emit: impl FnMut(O)) {
        if let Settled::Done(slot) = self.ledger.errored(event, outcome) {
            self.close(slot, emit);
        }
    }

    fn put(&mut self, slot: Option<Slot>, outputs: impl IntoIterator<Item = O>, mut emit: impl FnMut(O)) {
        self.last_reply = self.last_reply.max(slot);
        for output in outputs {
            match slot {
                Some(slot) => self.sequencer.put(slot, output, &mut emit),
                None => self.sequencer.append(output, &mut emit),
            }
        }
    }

    fn close(&mut self, slot: Option<Slot>, emit: impl FnMut(O)) {
        if let Some(slot) = slot {
            self.sequencer.close(slot, emit);
        }
    }

    fn take_loose(&mut self, event: u64) -> Option<Option<Slot>> {
        let at = self.loose.iter().position(|(loose, _)| *loose == event)?;
        Some(self.loose.remove(at).1)
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
            Self { delivery: Delivery::new(ordered), got: Vec::new() }
        }

        fn reply(&mut self, event: u64) {
            self.delivery.reply(event, [format!("reply {event}")], |output| self.got.push(output));
        }

        fn push(&mut self, name: &str) {
            self.delivery.push([name.to_owned()], |output| self.got.push(output));
        }

        fn error(&mut self, event: u64) {
            self.delivery.error(event, [format!("error {event}")], |output| self.got.push(output));
        }

        fn settle(&mut self, event: u64, outcome: Outcome) {
            self.delivery.settle(event, outcome, |output| self.got.push(output));
        }
    }

    #[test]
    fn in_order_an_early_error_waits_for_the_reply_before_it() {
        let mut client = Client::new(true);
        client.delivery.accept(0);
        client.delivery.accept(1);
        assert!(client.delivery.fail(1));
        client.error(1);
        assert!(client.got.is_empty());
        client.reply(0);
        assert_eq!(client.got, ["reply 0", "error 1"]);
        assert!(client.delivery.is_idle());
    }

    #[test]
    fn a_push_does_not_wait_for_replies_still_to_come() {
        let mut client = Client::new(true);
        client.delivery.accept(0);
        client.push("news");
        client.reply(0);
        assert_eq!(client.got, ["news", "reply 0"]);
    }

    #[test]
    fn a_push_stays_behind_the_reply_that_the_upstream_sent_before_it() {
        let mut client = Client::new(true);
        client.delivery.accept(0);
        client.delivery.accept(1);
        client.reply(1);
        client.push("news");
        client.settle(0, Outcome::Dropped);
        assert_eq!(client.got, ["reply 1", "news"]);
    }

    #[test]
    fn out_of_order_what_comes_after_an_error_stays_after_it() {
        let mut client = Client::new(false);
        client.delivery.accept(0);
        client.delivery.accept(1);
        client.push("before");
        assert!(client.delivery.fail(0));
        client.reply(1);
        client.push("after");
        assert_eq!(client.got, ["before"]);
        client.error(0);
        assert_eq!(client.got, ["before", "error 0", "reply 1", "after"]);
        assert!(client.delivery.is_idle());
    }

    #[test]
    fn a_gap_notice_is_told_though_its_event_is_settled() {
        for ordered in [true, false] {
            let mut client = Client::new(ordered);
            client.delivery.accept(0);
            client.settle(0, Outcome::Delivered);
            client.delivery.fail_loose(0);
            assert!(client.delivery.awaits_error(0));
            client.error(0);
            assert_eq!(client.got, ["error 0"]);
            assert_eq!(client.delivery.pushed(), 1, "it settles nothing");
            assert!(client.delivery.is_idle());
        }
    }

    #[test]
    fn the_error_of_a_push_stays_behind_the_reply_that_came_before_it() {
        let mut client = Client::new(true);
        client.delivery.accept(0);
        client.delivery.accept(1);
        client.reply(1);
        client.delivery.fail_loose(2);
        client.delivery.announce(3);
        client.error(2);
        client.error(3);
        client.push("news");
        assert_eq!(client.got, ["error 3"], "what is announced waits for nothing");
        client.reply(0);
        assert_eq!(client.got, ["error 3", "reply 0", "reply 1", "error 2", "news"]);
        assert!(client.delivery.is_idle());
    }

    #[test]
    fn a_reply_after_the_error_is_a_push() {
        let mut client = Client::new(true);
        client.delivery.accept(0);
        assert!(client.delivery.fail(0));
        client.reply(0);
        client.error(0);
        assert_eq!(client.got, ["reply 0", "error 0"]);
        assert_eq!(client.delivery.pushed(), 1);
        assert_eq!(client.delivery.counts().errored, 1);
    }

    #[test]
    fn an_error_that_the_errors_pipeline_drops_holds_nobody_up() {
        let mut client = Client::new(true);
        client.delivery.accept(0);
        client.delivery.accept(1);
        assert!(client.delivery.fail(0));
        client.reply(1);
        client.delivery.error_dropped(0, |output| client.got.push(output));
        assert_eq!(client.got, ["reply 1"]);
        assert_eq!(client.delivery.counts().dropped, 1);
    }

    /// What happens to an event in the end.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Fate {
        Reply,
        Error,
        Drop,
        Lose,
    }

    proptest! {
        /// Whatever becomes known in whatever order: one outcome for each event, in order where promised.
        #[test]
        fn each_event_is_told_once_and_in_order(
            fates in proptest::collection::vec(
                prop_oneof![Just(Fate::Reply), Just(Fate::Error), Just(Fate::Drop), Just(Fate::Lose)], 1..30),
            seed: u64,
            ordered: bool,
        ) {
            let mut client = Client::new(ordered);
            (0..fates.len() as u64).for_each(|event| client.delivery.accept(event));
            let mut known: Vec<u64> = (0..fates.len() as u64).collect();
            known.sort_by_key(|event| event.wrapping_add(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut late_errors = Vec::new();
            for event in known {
                match fates[event as usize] {
                    Fate::Reply => client.reply(event),
                    Fate::Drop => client.settle(event, Outcome::Dropped),
                    Fate::Error => {
                        prop_assert!(client.delivery.fail(event));
                        client.error(event);
                    }
                    Fate::Lose => {
                        prop_assert!(client.delivery.fail(event));
                        prop_assert!(!client.delivery.fail(event));
                        late_errors.push(event);
                    }
                }
            }
            late_errors.into_iter().for_each(|event| client.error(event));
            let told: Vec<u64> = client.got.iter().map(|text| text[6..].parse().unwrap()).collect();
            let mut expected: Vec<u64> =
                (0..fates.len() as u64).filter(|event| fates[*event as usize] != Fate::Drop).collect();
            if ordered {
                prop_assert_eq!(&told, &expected);
            }
            let mut sorted = told;
            sorted.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(sorted, expected);
            prop_assert!(client.delivery.is_idle());
        }
    }
}
