//! What a session remembers of its events between arrival and outcome, while a tap is open.

use std::{collections::BTreeMap, time::Duration};

use super::{hub::TAPS_MAX, line::Reason};
use crate::event::EventNumber;

/// Identifies a tap in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapId(pub u64);

/// The taps whose condition an event satisfies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Matched([Option<TapId>; TAPS_MAX]);

/// When an event was offered to the taps, and to which it belongs.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The time, in nanoseconds since the Unix epoch.
    pub now_ns: u64,
    /// The taps whose condition the event satisfies.
    pub matched: Matched,
}

/// The unsettled events that arrived while a tap was open. The ledger bounds their number.
#[derive(Debug, Default)]
pub struct PendingEvents {
    events: BTreeMap<EventNumber, PendingEvent>,
}

/// An unsettled event.
#[derive(Debug, Default)]
pub struct PendingEvent {
    /// When it arrived, in nanoseconds since the Unix epoch; `None` if no tap was open then.
    arrived_ns: Option<u64>,
    /// The taps whose condition it satisfies.
    pub matched: Matched,
    /// Why it has failed, if it has.
    pub reason: Option<Reason>,
}

// === impl Matched ===

impl Matched {
    pub(super) fn add(&mut self, tap: TapId) {
        if let Some(free) = self.0.iter_mut().find(|place| place.is_none()) {
            *free = Some(tap);
        }
    }

    pub(super) fn has(&self, tap: TapId) -> bool {
        self.0.contains(&Some(tap))
    }
}

// === impl PendingEvents ===

impl PendingEvents {
    /// Notes the arrival of an event.
    pub fn arrived(&mut self, event: EventNumber, Arrival { now_ns, matched }: Arrival) {
        self.events.insert(event, PendingEvent { arrived_ns: Some(now_ns), matched, reason: None });
    }

    /// Forgets everything, because no tap is open.
    pub fn forget(&mut self) {
        if !self.events.is_empty() {
            self.events = BTreeMap::new();
        }
    }

    /// Records why an event has failed.
    pub fn failed(&mut self, event: EventNumber, reason: Reason) {
        self.events.entry(event).or_default().reason = Some(reason);
    }

    /// Forgets an event that has its outcome.
    pub fn settled(&mut self, event: EventNumber) -> PendingEvent {
        self.events.remove(&event).unwrap_or_default()
    }
}

impl PendingEvent {
    /// The time from the arrival to `now_ns`.
    pub fn duration(&self, now_ns: u64) -> Option<Duration> {
        self.arrived_ns.map(|arrived| Duration::from_nanos(now_ns.saturating_sub(arrived)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_remembered_until_its_outcome() {
        let mut pending = PendingEvents::default();
        let mut matched = Matched::default();
        matched.add(TapId(4));
        pending.arrived(EventNumber(1), Arrival { now_ns: 1_000, matched });
        let reason = Reason { stage: "upstream", kind: "socket", text: String::new() };
        pending.failed(EventNumber(1), reason.clone());
        let settled = pending.settled(EventNumber(1));
        assert!(settled.matched.has(TapId(4)) && !settled.matched.has(TapId(0)));
        assert_eq!(
            (settled.duration(3_000), settled.reason),
            (Some(Duration::from_nanos(2_000)), Some(reason))
        );
        let unknown = pending.settled(EventNumber(1));
        assert_eq!((unknown.duration(3_000), unknown.reason), (None, None));
    }
}
