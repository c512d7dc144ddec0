//! The loss of a connection and the replay at the next one.

use std::time::Instant;

use super::{
    Engine, Filter, FilterState, Hello, Own, Pending, Phase,
    packet::{self, Packet},
};
use crate::{
    kind::Dialect,
    outcome::{Broken, Failure, Gap, GapEntry, Loss, Lost, Message, Missing, Output, Reason, Since},
    settings::InFlight,
};

/// The close code for a client that has ended its MQTT session.
const NORMAL: u16 = 1000;

impl Engine {
    pub(crate) fn lost(&mut self, loss: Loss<'_>) -> Lost {
        let is_replay = self.connections > 1 && !self.is_proved;
        let mut lost = Lost {
            pass_on: match loss.close {
                // The broker closes after DISCONNECT (3.14), with a close frame or without.
                _ if self.is_over => Some(NORMAL),
                close => close.filter(|code| is_replay && Dialect::PLAIN.refusals.contains(code)),
            },
            ..Lost::default()
        };
        self.last_event = loss.last_event.or(self.last_event);
        let since = Since { at: loss.now, last_event: self.last_event };
        self.lost.get_or_insert(since);
        self.phase = Phase::Down;
        self.accepts_client = false;
        self.from_upstream.clear();
        (self.early, self.early_bytes) = Default::default();
        self.own.clear();
        self.outputs.retain(Output::is_for_client);
        for filter in self.filters.values_mut().filter(|filter| filter.state != FilterState::Failed) {
            filter.state = FilterState::Reopening;
            filter.gap.get_or_insert(since);
        }
        self.lose_requests(&mut lost);
        let is_unwritten = |hello: &&Hello| {
            hello.connection == self.connections && loss.last_event.is_none_or(|last| hello.event > last)
        };
        lost.kept.extend(self.hello.as_ref().filter(is_unwritten).map(|hello| hello.event));
        lost.merge(super::concatenated);
        lost
    }

    fn lose_requests(&mut self, lost: &mut Lost) {
        let mut pending: Vec<_> = std::mem::take(&mut self.pending).into_iter().collect();
        pending.sort_by_key(|(id, pending)| (pending.event(), *id));
        for (id, pending) in pending {
            self.bytes -= pending.bytes();
            match pending {
                Pending::Subscribe { event, packet, .. } if self.settings.in_flight == InFlight::Retry => {
                    self.bytes += packet.len();
                    self.retried.push_back((event, packet));
                }
                Pending::Subscribe { event, subscribe, .. } => {
                    let reply = Some(self.subscribe_failed(&subscribe));
                    lost.failed.push(Failure { event, reason: Reason::Lost, reply });
                    let filters = subscribe.filters.iter().map(|(filter, _)| filter.clone());
                    self.disown(filters.collect());
                }
                Pending::Unsubscribe { event, filters, .. } if self.retries_any(&filters) => {
                    let packet = packet::unsubscribe(self.is_v5(), id, &filters).payload;
                    self.bytes += packet.len();
                    self.retried.push_back((event, packet));
                }
                Pending::Unsubscribe { event, filters, .. } => {
                    lost.done.push((event, Some(self.unsubscribed(id, filters.len()))));
                    self.disown(filters.into());
                }
                Pending::Publish { event, qos } => {
                    let reply = packet::publish_failed(self.is_v5(), qos, id);
                    lost.failed.push(Failure { event, reason: Reason::Lost, reply });
                }
                Pending::Release { event } => lost.done.push((event, Some(packet::pubcomp(id)))),
            }
        }
        lost.kept.extend(self.retried.iter().map(|(event, _)| *event));
    }

    /// Whether a subscription that goes again to the next connection has one of `filters`.
    fn retries_any(&self, filters: &[bytes::Bytes]) -> bool {
        self.retried.iter().any(|(_, retried)| match packet::read(retried, self.is_v5()) {
            Ok(Packet::Subscribe(subscribe)) => {
                subscribe.filters.iter().any(|(filter, _)| filters.contains(filter))
            }
            _ => false,
        })
    }

    /// Records filters that a kept session may still contain, although the client is not subscribed to them.
    fn disown(&mut self, filters: Vec<bytes::Bytes>) {
        let is_kept = self.hello.as_ref().is_some_and(|hello| !hello.connect.is_clean);
        let limit = self.settings.limits.max_entries;
        for filter in filters.into_iter().filter(|_| is_kept) {
            if !self.has(&filter) && self.orphans.len() < limit {
                self.orphans.insert(bytes::Bytes::copy_from_slice(&filter));
            }
        }
    }

    pub(crate) fn give_up(&mut self) -> Vec<Failure> {
        let retried = std::mem::take(&mut self.retried);
        let failures = retried.into_iter().map(|(event, packet)| {
            self.bytes -= packet.len();
            let reply = self.error_reply(&Message::binary(packet));
            Failure { event, reason: Reason::Lost, reply }
        });
        failures.collect()
    }

    pub(crate) fn connected(&mut self, generation: u64, now: Instant) {
        self.generation = generation;
        self.connections += 1;
        self.is_proved = false;
        let Some(hello) = self.hello.as_ref().filter(|_| !self.is_over) else {
            self.phase = Phase::Subscribing { deadline: now, next: u64::MAX };
            return;
        };
        self.phase = Phase::Connecting { deadline: now + self.settings.timeout };
        let packet = packet::resuming(&hello.packet, hello.connect);
        self.outputs.push_back(Output::Send(Message::binary(packet)));
    }

    /// The broker has accepted CONNECT.
    pub(super) fn reconnected(&mut self, session_present: bool, now: Instant) {
        let Phase::Connecting { deadline } = self.phase else { return };
        if session_present {
            self.unsubscribe_orphans();
            if self.is_session_whole {
                self.confirm_all(now);
            }
            self.phase = Phase::Subscribing { deadline, next: 0 };
            return;
        }
        self.is_session_whole = false;
        self.orphans.clear();
        // The client completes its part of what the broker has forgotten; it awaits PUBREL after PUBREC (4.3.3).
        let inbound = std::mem::take(&mut self.inbound);
        for (id, _) in inbound.into_iter().filter(|(_, is_received)| *is_received) {
            self.deliver(packet::pubrel(id));
        }
        self.phase = Phase::Subscribing { deadline, next: 0 };
    }

    fn unsubscribe_orphans(&mut self) {
        let mut orphans = std::mem::take(&mut self.orphans);
        orphans.retain(|orphan| !self.has(orphan));
        for orphan in &orphans {
            let Some(id) = self.free_id() else { break };
            self.own.insert(id, Own::Unsubscribe(orphan.clone()));
            let unsubscribe = packet::unsubscribe(self.is_v5(), id, std::slice::from_ref(orphan));
            self.outputs.push_back(Output::Send(unsubscribe));
        }
        self.orphans = orphans;
    }

    /// The broker has kept the subscriptions of the client.
    fn confirm_all(&mut self, now: Instant) {
        let generation = self.generation;
        for filter in self.filters.values_mut().filter(|filter| filter.state == FilterState::Reopening) {
            self.lost = None;
            filter.state = FilterState::Open;
            let gap = filter.end_gap(now, generation);
            self.outputs.extend(gap.map(Output::Notice));
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Connecting { deadline } | Phase::Subscribing { deadline, .. } => Some(deadline),
            Phase::Down | Phase::Ready => None,
        }
    }

    pub(crate) fn poll(&mut self, now: Instant) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                self.accepts_client |= output == Output::Ready;
                return Some(output);
            }
            if !self.step(now) {
                return None;
            }
        }
    }

    /// Takes one step of the replay. Returns false if there is nothing to do until a message arrives or the deadline
    /// passes.
    fn step(&mut self, now: Instant) -> bool {
        match self.phase {
            Phase::Connecting { deadline } if now >= deadline => {
                self.phase = Phase::Down;
                self.outputs.push_back(Output::Broken(Broken::TimedOut(self.settings.timeout)));
            }
            Phase::Subscribing { deadline, next } => match self.filters.range(next..).next() {
                Some((&number, _)) => {
                    self.phase = Phase::Subscribing { deadline, next: number + 1 };
                    self.subscribe(number);
                }
                None if !self.awaits_suback() => self.complete(now),
                None if now >= deadline => self.time_out(),
                None => return false,
            },
            Phase::Down | Phase::Connecting { .. } | Phase::Ready => return false,
        }
        true
    }

    fn subscribe(&mut self, number: u64) {
        let id = self.free_id();
        let Some(filter) = self.filters.get(&number).filter(|filter| filter.state == FilterState::Reopening)
        else {
            return;
        };
        let Some(id) = id else { return self.fail(number, Reason::Refused) };
        let message = packet::subscribe_one(id, &filter.properties, &filter.filter, filter.options);
        self.own.insert(id, Own::Subscribe(number));
        self.outputs.push_back(Output::Send(message));
    }

    /// A packet id that neither side uses, from the top: clients begin at 1.
    pub(super) fn free_id(&self) -> Option<u16> {
        let is_retried = |id: u16| self.retried.iter().any(|(_, packet)| packet::id_of(packet) == Some(id));
        (1..=u16::MAX)
            .rev()
            .find(|id| !self.own.contains_key(id) && !self.pending.contains_key(id) && !is_retried(*id))
    }

    fn awaits_suback(&self) -> bool {
        self.own.values().any(|own| matches!(own, Own::Subscribe(_)))
    }

    fn time_out(&mut self) {
        let mut late = Vec::new();
        for own in self.own.values_mut() {
            if let Own::Subscribe(number) = *own {
                late.push(number);
                *own = Own::Abandoned(number);
            }
        }
        late.sort_unstable();
        for number in late {
            self.fail(number, Reason::TimedOut);
        }
    }

    fn complete(&mut self, now: Instant) {
        self.phase = Phase::Ready;
        self.is_session_whole = true;
        // Where filters have notices, the session needs none.
        let gap = self.lost.take().map(|since| since.gap(None, now, self.generation, Missing::Unknown));
        self.outputs.extend(gap.map(Output::Notice));
        for packet in std::mem::take(&mut self.early) {
            self.deliver(Message::binary(packet));
        }
        self.early_bytes = 0;
        for (event, packet) in std::mem::take(&mut self.retried) {
            self.bytes -= packet.len();
            self.retry(event, &packet);
            self.outputs.push_back(Output::Send(Message::binary(packet)));
        }
        self.outputs.push_back(Output::Ready);
    }

    /// Waits for the answer to a packet that is sent again.
    fn retry(&mut self, event: u64, packet: &bytes::Bytes) {
        let order = self.number();
        match packet::read(packet, self.is_v5()) {
            Ok(Packet::Subscribe(subscribe)) => {
                let id = subscribe.id;
                self.put_pending(id, Pending::Subscribe { event, order, subscribe, packet: packet.clone() });
            }
            Ok(Packet::Unsubscribe { id, filters }) => {
                self.put_pending(id, Pending::Unsubscribe { event, order, filters });
            }
            _ => {}
        }
    }
}

impl Filter {
    pub(super) fn end_gap(&mut self, until: Instant, generation: u64) -> Option<Gap> {
        let since = self.gap.take()?;
        let entry = GapEntry { key: self.filter.clone(), id: self.filter.clone(), event: self.event };
        Some(since.gap(Some(entry), until, generation, Missing::Unknown))
    }
}

impl Pending {
    pub(super) fn event(&self) -> u64 {
        match self {
            Self::Subscribe { event, .. }
            | Self::Unsubscribe { event, .. }
            | Self::Publish { event, .. }
            | Self::Release { event } => *event,
        }
    }
}
