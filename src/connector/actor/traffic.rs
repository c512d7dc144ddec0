//! Writes the messages that are queued for the socket, and counts what the connection carries.

use std::{
    cell::Cell,
    task::{self, Poll},
    time::Instant,
};

use super::{Connector, ConnectorState, Part};
use crate::{
    figures::{NAMED, TrafficTotals},
    flow::{Ticket, Tickets},
    upstream::Destination,
    wire::{LinkError, Sent},
};

/// Maximum capacity of the list of tickets that a thread keeps. A larger one is freed: its events share the cost of the
/// allocation.
const KEPT: usize = 64;

thread_local! {
    /// The list that [`Connector::flush`] fills and empties. It is empty between two calls, and all connectors of the
    /// thread share its memory.
    static DELIVERED: Cell<Vec<Ticket>> = const { Cell::new(Vec::new()) };
}

impl Connector {
    /// Counts a connection that is up. From now on its messages are counted.
    pub(super) fn count_connection(&mut self, destination: &Destination) {
        let label = if self.counts_endpoint { destination.endpoint.url().label() } else { NAMED.to_owned() };
        let traffic = self.figures.endpoint(&self.upstream.name, &label);
        traffic.connections.add(1);
        self.traffic = Some(traffic);
    }

    /// Counts the time until the reply that was matched last.
    pub(super) fn count_reply(&mut self) {
        if let Some(since) = self.exchange.take_answered_since() {
            self.figures.replied(since.elapsed());
        }
    }

    /// Writes until the socket is full.
    pub(super) fn flush(&mut self, task: &mut task::Context<'_>) {
        let ConnectorState::Up(channel) = &mut self.state else { return };
        let exchange = &mut self.exchange;
        let mut written_at = None;
        let mut now = || *written_at.get_or_insert_with(Instant::now);
        // Tickets of written events that await no reply.
        let (mut delivered, unwritten) = (Vec::new(), &mut self.unwritten);
        let mut sent = TrafficTotals::default();
        let flushed = channel.link().poll_flush(task, |written| match written {
            Sent::Message(sending) => {
                sent.message(sending.bytes);
                match sending.part {
                    Part::Last => {
                        if let Some(ticket) = exchange.written(&mut now) {
                            if delivered.capacity() == 0 {
                                delivered = DELIVERED.take();
                            }
                            delivered.push(ticket);
                        }
                        if let Some(unwritten) = unwritten {
                            unwritten.written();
                        }
                    }
                    Part::Inner => exchange.partly_written(),
                    Part::None => {}
                }
            }
            Sent::Burst { messages, bytes, .. } => {
                sent.add(TrafficTotals { messages, bytes });
                exchange.written_row(messages, &mut delivered, &mut now);
            }
        });
        if let Some(traffic) = &self.traffic {
            traffic.sent.add(sent);
        }
        self.tracker.delivered(&mut delivered);
        if (1..=KEPT).contains(&delivered.capacity()) {
            DELIVERED.set(delivered);
        }
        self.exchange.settle_row(Tickets::deliver);
        if let Poll::Ready(Err(error)) = flushed {
            self.end((&LinkError::Io(error)).into());
        }
    }
}
