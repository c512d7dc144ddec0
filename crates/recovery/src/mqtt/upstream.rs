//! Packets from the upstream.

use std::time::Instant;

use bytes::Bytes;

use super::{
    Ack, Engine, FilterState, Own, Pending, Phase,
    packet::{self, FAILURE, Malformed, Packet},
};
use crate::{
    kind::Unit,
    outcome::{Broken, Failure, Message, Output, Reason, UpstreamStep},
};

/// Codes of CONNACK and DISCONNECT after which another connection may succeed.
mod code {
    /// Server unavailable (3.1.1, section 3.2.2.3).
    pub(super) const UNAVAILABLE_3: u8 = 3;
    /// Server unavailable, server busy, server shutting down, use another server, server moved (5.0, section 2.4).
    pub(super) const TRANSIENT: [u8; 5] = [0x88, 0x89, 0x8b, 0x9c, 0x9d];
}

impl Engine {
    pub(crate) fn upstream(&mut self, generation: u64, message: Message, now: Instant) -> UpstreamStep {
        if generation != self.generation || self.phase == Phase::Down {
            return UpstreamStep::Hide;
        }
        self.upstream_packets(&message.payload, now).unwrap_or_else(|malformed| {
            (self.phase, self.accepts_client) = (Phase::Down, false);
            self.outputs.push_back(Output::Broken(Broken::Malformed(malformed)));
            UpstreamStep::Hide
        })
    }

    fn upstream_packets(&mut self, payload: &Bytes, now: Instant) -> Result<UpstreamStep, Malformed> {
        let packets = self.from_upstream.push(payload, self.settings.limits.max_packet)?;
        let (mut left, mut answers) = (Vec::with_capacity(packets.len()), Vec::new());
        let is_next = self.outputs.is_empty();
        for packet in packets {
            let kind = packet::read(&packet, self.is_v5())?;
            match self.upstream_packet(&packet, kind, now, &mut answers) {
                Unit::Keep => left.push(packet),
                Unit::Replace(packet) => left.push(packet),
                Unit::Drop => {}
            }
        }
        let Some(message) = super::joined(&left) else { return Ok(UpstreamStep::Hide) };
        if is_next {
            return Ok(UpstreamStep::Deliver { message, answers });
        }
        self.outputs.push_back(Output::Deliver { message, answers });
        Ok(UpstreamStep::Hide)
    }

    fn upstream_packet(
        &mut self,
        packet: &Bytes,
        kind: Packet,
        now: Instant,
        answers: &mut Vec<u64>,
    ) -> Unit {
        match kind {
            Packet::Connack { session_present, code } => self.connack(packet, session_present, code, now),
            Packet::Publish { qos, id } => self.publish(packet, qos, id),
            Packet::Suback { id, codes } => self.suback(id, &codes, now, answers),
            Packet::Unsuback { id } => self.unsuback(id, answers),
            Packet::Ack { kind, id, code } => self.upstream_ack(kind, id, code, answers),
            Packet::Disconnect { code } if code::TRANSIENT.contains(&code) => Unit::Drop,
            // The client would have to answer a challenge that it does not expect (5.0, section 4.12).
            Packet::Auth if self.is_replay() => {
                self.refuse();
                Unit::Drop
            }
            _ => Unit::Keep,
        }
    }

    fn is_replay(&self) -> bool {
        matches!(self.phase, Phase::Connecting { .. } | Phase::Subscribing { .. })
    }

    fn refuse(&mut self) {
        self.phase = Phase::Down;
        self.outputs.push_back(Output::Broken(Broken::Refused));
    }

    fn connack(&mut self, packet: &Bytes, session_present: bool, code: u8, now: Instant) -> Unit {
        if code != 0 {
            if self.is_replay() && (code == code::UNAVAILABLE_3 || code::TRANSIENT.contains(&code)) {
                self.phase = Phase::Down;
                self.outputs.push_back(Output::Broken(Broken::Unavailable));
                return Unit::Drop;
            }
            if self.is_replay() {
                self.refuse();
            }
            return Unit::Keep;
        }
        self.reconnected(session_present, now);
        let Some(hello) = &mut self.hello else { return Unit::Keep };
        if std::mem::replace(&mut hello.is_answered, true) {
            return Unit::Drop;
        }
        let patched = hello.connect.is_v5.then(|| packet::without_aliases(packet)).flatten();
        patched.map_or(Unit::Keep, Unit::Replace)
    }

    fn publish(&mut self, packet: &Bytes, qos: u8, id: u16) -> Unit {
        self.is_proved = true;
        if self.is_replay() {
            // Dropped beyond the limit: the notice says that messages may be missing, and the broker keeps those with
            // QoS 1 and 2 until they are acknowledged.
            if self.early_bytes + packet.len() <= self.settings.limits.max_bytes {
                self.early_bytes += packet.len();
                self.early.push_back(Bytes::copy_from_slice(packet));
                self.expect_ack(qos, id);
            }
            return Unit::Drop;
        }
        self.expect_ack(qos, id);
        Unit::Keep
    }

    fn expect_ack(&mut self, qos: u8, id: u16) {
        if qos > 0 {
            self.inbound.insert(id, false);
        }
    }

    fn suback(&mut self, id: u16, codes: &[u8], now: Instant, answers: &mut Vec<u64>) -> Unit {
        if let Some(own) = self.own.remove(&id) {
            let code = codes.first().copied().unwrap_or(FAILURE);
            match own {
                Own::Subscribe(number) => self.resubscribed(number, code, now),
                Own::Abandoned(number) if code < FAILURE => self.unsubscribe_late(number),
                _ => {}
            }
            return Unit::Drop;
        }
        let Some(Pending::Subscribe { event, order, subscribe, .. }) = self.take_pending(id) else {
            return Unit::Keep;
        };
        self.is_proved = true;
        answers.push(event);
        for (index, code) in codes.iter().take(subscribe.filters.len()).enumerate() {
            if *code < FAILURE && !self.is_closed_after(order, &subscribe.filters[index].0) {
                self.put_filter(event, &subscribe, index);
            }
        }
        Unit::Keep
    }

    fn unsuback(&mut self, id: u16, answers: &mut Vec<u64>) -> Unit {
        match self.own.remove(&id) {
            Some(Own::Unsubscribe(filter)) => {
                self.orphans.remove(&filter);
                Unit::Drop
            }
            Some(_) => Unit::Drop,
            None => self.answer(id, answers),
        }
    }

    /// Whether the client has unsubscribed `filter` after its subscription number `order`.
    fn is_closed_after(&self, order: super::Number, filter: &Bytes) -> bool {
        self.pending.values().any(|pending| match pending {
            Pending::Unsubscribe { order: other, filters, .. } => *other > order && filters.contains(filter),
            _ => false,
        })
    }

    /// The answer to the replay of one filter.
    fn resubscribed(&mut self, number: super::Number, code: u8, now: Instant) {
        if code >= FAILURE {
            return self.fail(number, Reason::Refused);
        }
        let generation = self.generation;
        let Some(filter) = self.filters.get_mut(&number) else { return };
        self.lost = None;
        filter.state = FilterState::Open;
        let gap = filter.end_gap(now, generation);
        self.outputs.extend(gap.map(Output::Notice));
    }

    /// The broker has restored a filter that has failed: the client does not expect its messages.
    fn unsubscribe_late(&mut self, number: super::Number) {
        let filter = self.filters.get(&number).map(|filter| filter.filter.clone());
        let filter = filter.filter(|filter| !self.pending.values().any(|pending| pending.subscribes(filter)));
        if let (Some(filter), Some(id)) = (filter, self.free_id()) {
            let unsubscribe = packet::unsubscribe(self.is_v5(), id, std::slice::from_ref(&filter));
            self.own.insert(id, Own::Unsubscribe(filter));
            self.outputs.push_back(Output::Send(unsubscribe));
        }
    }

    pub(super) fn fail(&mut self, number: super::Number, reason: Reason) {
        let Some(filter) = self.filters.get_mut(&number) else { return };
        filter.state = FilterState::Failed;
        filter.gap = None;
        // A kept session has it, if the broker only was late.
        self.orphans.insert(filter.filter.clone());
        self.outputs.push_back(Output::Failed(Failure { event: filter.event, reason, reply: None }));
    }

    fn answer(&mut self, id: u16, answers: &mut Vec<u64>) -> Unit {
        if let Some(pending) = self.take_pending(id) {
            self.is_proved = true;
            answers.push(pending.event());
        }
        Unit::Keep
    }

    fn upstream_ack(&mut self, kind: Ack, id: u16, code: u8, answers: &mut Vec<u64>) -> Unit {
        match kind {
            Ack::Puback | Ack::Pubcomp => self.answer(id, answers),
            Ack::Pubrec if code >= FAILURE => self.answer(id, answers),
            Ack::Pubrec => Unit::Keep,
            Ack::Pubrel => {
                self.inbound.insert(id, true);
                Unit::Keep
            }
        }
    }
}
