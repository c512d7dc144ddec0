//! Packets from the client.

use bytes::Bytes;

use super::{
    Ack, Engine, Hello, Pending,
    packet::{self, Connect, FAILURE, Malformed, Packet},
};
use crate::{
    kind::Unit,
    outcome::{ClientStep, Failure, Message, Reason},
};

impl Engine {
    pub(crate) fn client(&mut self, event: u64, message: Message) -> ClientStep {
        if !self.is_ready() {
            return ClientStep::Wait(message);
        }
        self.client_packets(event, &message.payload).unwrap_or_else(|malformed| {
            ClientStep::Refuse(Failure { event, reason: Reason::Malformed(malformed), reply: None })
        })
    }

    fn client_packets(&mut self, event: u64, payload: &Bytes) -> Result<ClientStep, Malformed> {
        let packets = self.from_client.push(payload, self.settings.limits.max_packet)?;
        let mut left = Vec::with_capacity(packets.len());
        let mut refused: Option<Failure> = None;
        for packet in packets {
            let kind = packet::read(&packet, self.is_v5())?;
            match self.client_packet(event, &packet, kind) {
                Ok(Unit::Keep) => left.push(packet),
                Ok(Unit::Replace(packet)) => left.push(packet),
                Ok(Unit::Drop) => {}
                Err((reason, reply)) => {
                    let replies: Vec<_> =
                        refused.and_then(|failure| failure.reply).into_iter().chain(reply).collect();
                    let reply = (!replies.is_empty()).then(|| super::concatenated(&replies));
                    refused = Some(Failure { event, reason, reply });
                }
            }
        }
        Ok(match (super::joined(&left), refused) {
            (Some(message), refused) => {
                // The packets that pass are the event; a refused one among them has its own reply.
                if let Some(reply) = refused.and_then(|failure| failure.reply) {
                    self.deliver(reply);
                }
                ClientStep::Send(message)
            }
            (None, Some(failure)) => ClientStep::Refuse(failure),
            (None, None) => ClientStep::Hide,
        })
    }

    fn client_packet(
        &mut self,
        event: u64,
        packet: &Bytes,
        kind: Packet,
    ) -> Result<Unit, (Reason, Option<Message>)> {
        match kind {
            Packet::Connect(connect) => self.connect(event, packet, connect),
            Packet::Subscribe(subscribe) => {
                let id = subscribe.id;
                let room = self.check_room(subscribe.filters.len(), packet.len());
                room.map_err(|reason| (reason, Some(self.subscribe_failed(&subscribe))))?;
                // A slice would keep the whole read buffer in memory.
                let packet = Bytes::copy_from_slice(packet);
                if let Ok(Packet::Subscribe(subscribe)) = packet::read(&packet, self.is_v5()) {
                    let order = self.number();
                    self.request(id, Pending::Subscribe { event, order, subscribe, packet });
                }
                Ok(Unit::Keep)
            }
            Packet::Unsubscribe { id, filters } => {
                let room = self.check_room(0, packet.len());
                room.map_err(|reason| (reason, self.unsubscribe_failed(id, filters.len())))?;
                let filters: Box<[_]> = filters.iter().map(|filter| Bytes::copy_from_slice(filter)).collect();
                filters.iter().for_each(|filter| self.remove_filter(filter));
                let order = self.number();
                self.request(id, Pending::Unsubscribe { event, order, filters });
                Ok(Unit::Keep)
            }
            Packet::Publish { qos: qos @ 1.., id } => {
                let reply = packet::publish_failed(self.is_v5(), qos, id);
                self.check_room(0, 0).map_err(|reason| (reason, reply))?;
                self.request(id, Pending::Publish { event, qos });
                Ok(Unit::Keep)
            }
            Packet::Ack { kind, id, code } => Ok(self.client_ack(event, kind, id, code)),
            Packet::Disconnect { .. } => {
                self.is_over = true;
                Ok(Unit::Keep)
            }
            _ => Ok(Unit::Keep),
        }
    }

    fn connect(
        &mut self,
        event: u64,
        packet: &Bytes,
        connect: Connect,
    ) -> Result<Unit, (Reason, Option<Message>)> {
        let freed = self.hello.as_ref().map_or(0, |hello| hello.packet.len());
        let limit = self.settings.limits.max_bytes;
        if self.bytes - freed + packet.len() > limit {
            return Err((Reason::TooManyBytes(limit), None));
        }
        self.bytes = self.bytes - freed + packet.len();
        let packet = Bytes::copy_from_slice(packet);
        self.hello = Some(Hello { event, connection: self.connections, packet, connect, is_answered: false });
        Ok(Unit::Keep)
    }

    /// Awaits the answer to a client's packet. The answer to a packet that the journal sent with the same id is no
    /// longer awaited.
    fn request(&mut self, id: u16, pending: Pending) {
        self.own.remove(&id);
        self.put_pending(id, pending);
    }

    fn check_room(&self, filters: usize, bytes: usize) -> Result<(), Reason> {
        let limits = self.settings.limits;
        let opening: usize = self.pending.values().map(Pending::filters).sum();
        if self.filters.len() + opening + filters > limits.max_entries {
            return Err(Reason::TooManyEntries(limits.max_entries));
        }
        if self.pending.len() >= limits.max_requests {
            return Err(Reason::TooManyRequests(limits.max_requests));
        }
        if self.bytes + bytes > limits.max_bytes {
            return Err(Reason::TooManyBytes(limits.max_bytes));
        }
        Ok(())
    }

    /// Passes an acknowledgement that belongs to the broker's current session. Completes the exchange of an earlier
    /// session here.
    fn client_ack(&mut self, event: u64, kind: Ack, id: u16, code: u8) -> Unit {
        if kind == Ack::Pubrel {
            return self.client_pubrel(event, id);
        }
        let Some(is_received) = self.inbound.get_mut(&id) else {
            if kind == Ack::Pubrec && code < FAILURE {
                self.deliver(packet::pubrel(id));
            }
            return Unit::Drop;
        };
        if kind == Ack::Pubrec && code < FAILURE {
            *is_received = true;
        } else {
            self.inbound.remove(&id);
        }
        Unit::Keep
    }

    fn client_pubrel(&mut self, event: u64, id: u16) -> Unit {
        match self.pending.get_mut(&id) {
            Some(pending @ Pending::Publish { qos: 2, .. }) => {
                *pending = Pending::Release { event };
                Unit::Keep
            }
            Some(_) => Unit::Keep,
            // The session with this message is gone: the exchange ends here.
            None => {
                self.deliver(packet::pubcomp(id));
                Unit::Drop
            }
        }
    }
}
