//! Bursts of events: small messages in a row that no program, tap or journal looks at.

use super::{Cause, DataMessage, Envelope, Kind, Permit, Tickets};
use crate::{
    event::{Data, Event, Meta, Value},
    wire::{self, Message},
};

/// Events in a row whose data is their messages, and which have no metadata besides `$binary`. They pass from actor to
/// actor as one, but each has its number and its outcome. An actor that handles events one by one takes the
/// [`envelopes`](EventBurst::into_envelopes).
#[derive(Debug)]
pub struct EventBurst {
    /// The messages.
    pub messages: wire::Burst,
    /// The obligations to settle the events.
    pub tickets: Tickets,
    /// The bytes of all events in the budget of the side that they came from.
    pub permit: Permit,
    /// When the events entered the proxy, in nanoseconds since the Unix epoch.
    pub ingest_ns: u64,
}

impl EventBurst {
    /// The purpose of the events: requests of the client, or pushes of the upstream.
    pub fn kind(&self) -> Kind {
        match self.tickets.cause() {
            Cause::Message => Kind::Request,
            Cause::Push | Cause::Error => Kind::Push,
        }
    }

    /// The events one by one.
    pub fn into_envelopes(self) -> Vec<Envelope> {
        let kind = self.kind();
        let Self { messages, tickets, mut permit, ingest_ns } = self;
        let envelopes = tickets.zip(messages.messages()).map(|(ticket, message)| {
            let (size, meta) = (message.len(), Meta::new(message.is_binary(), None));
            let data = Data::Value(match message {
                Message::Text(text) => Value::String(text),
                Message::Binary(bytes) => Value::Bytes(bytes),
            });
            let event = Event { id: ticket.id(), data, meta, origin: None, ingest_ns };
            Envelope { event, kind, ticket, permit: Some(permit.split(size)), class: None }
        });
        envelopes.collect()
    }
}

impl From<EventBurst> for DataMessage {
    fn from(burst: EventBurst) -> Self {
        Self::Burst(Box::new(burst))
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::{
        event::EventNumber,
        flow::{AckTracker, Budget, EVENT_COST, GlobalBudget},
        wire::{BurstLimits, Incoming, Limits, Link, LivenessConfig, Role},
    };

    async fn burst(payloads: [&str; 2]) -> wire::Burst {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        for payload in payloads {
            theirs.write_all(&[&[0x81, payload.len() as u8], payload.as_bytes()].concat()).await.unwrap();
        }
        let limits = Limits { max_message: 100, max_frame: 100, buffer: 100 };
        let mut link =
            Link::<_, ()>::new(ours, Role::Client, limits, &LivenessConfig::OFF, Default::default());
        link.set_bursts(BurstLimits { messages: 2, bytes: 100, overhead: 0 });
        match link.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(Incoming::Burst(burst))) => burst,
            other => panic!("{other:?}"),
        }
    }

    #[actix::test]
    async fn the_events_of_a_burst_have_their_own_tickets_and_bytes() {
        let messages = burst(["a", "bcd"]).await;
        let tracker = AckTracker::new(1, 7);
        let budget = Budget::new(usize::MAX, &GlobalBudget::new(usize::MAX));
        let permit = budget.take_many(messages.bytes(), messages.len());
        assert_eq!(budget.used(), 4 + 2 * EVENT_COST);
        let tickets = tracker.issue_many(2, Cause::Message);
        let burst = EventBurst { messages, tickets, permit, ingest_ns: 9 };
        assert_eq!(burst.kind(), Kind::Request);
        let mut envelopes = burst.into_envelopes();
        for (envelope, (number, text)) in envelopes.iter().zip([(0, "a"), (1, "bcd")]) {
            let event = &envelope.event;
            assert_eq!((event.id.event, event.ingest_ns), (EventNumber(number), 9));
            assert_eq!(event.data.to_value(), Value::string(text));
            assert!(!event.meta.binary && event.meta.is_plain());
        }
        assert_eq!(budget.used(), 4 + 2 * EVENT_COST);
        envelopes.pop();
        assert_eq!(budget.used(), 1 + EVENT_COST, "each event returns its bytes");
        assert_eq!(tracker.take_acks(None, false).into_iter().count(), 1, "each event has a ticket");
    }

    #[test]
    fn a_burst_takes_no_more_than_single_events_do() {
        let budget = |limit, global| Budget::new(limit, &GlobalBudget::new(global));
        let small = budget(1000, usize::MAX);
        let _permit = small.take(100);
        assert_eq!(small.room_of_burst(), 1000 - 100 - EVENT_COST);
        assert_eq!(budget(usize::MAX, usize::MAX).room_of_burst(), 16 * 1024);
        let global = GlobalBudget::new(1);
        let used_up = Budget::new(usize::MAX, &global);
        let _permit = used_up.take(1000);
        assert_eq!(used_up.room_of_burst(), 16 * 1024 - 1000 - EVENT_COST);
    }
}
