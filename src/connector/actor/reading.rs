//! Reads what the upstream sends, and matches it with the client's events.

use std::task::{self, Poll};

use super::{Connector, ConnectorState, lookup};
use crate::{
    channel::Received,
    connector::{Fact, exchange::ReplyMatch},
    event::Data,
    failure::{Failure, FailureLocation},
    flow::Kind,
    format_error::FormatError,
};

impl Connector {
    /// Reads from the upstream until it has sent nothing more, the turn's steps are used up, or the budget is
    /// used up.
    pub(super) fn read(&mut self, task: &mut task::Context<'_>) {
        let is_awaiting = self.recovering.as_ref().is_some_and(|recovering| recovering.is_awaited());
        if is_awaiting || self.waiting.is_gated() {
            return self.hold_back(task);
        }
        self.read_channel(task);
        if let ConnectorState::Up(channel) = &mut self.state
            && let Some(error) = channel.check_liveness(task.waker())
        {
            self.on_liveness_error(error);
        }
    }

    fn read_channel(&mut self, task: &mut task::Context<'_>) {
        let ConnectorState::Up(channel) = &mut self.state else { return };
        if self.yielding.is_none() && self.recovering.is_none() && channel.skip_turn() {
            return;
        }
        channel.begin_turn();
        if !self.reads_each()
            && let ConnectorState::Up(channel) = &mut self.state
        {
            channel.allow_bursts(usize::MAX);
        }
        let mut has_read = false;
        while let ConnectorState::Up(channel) = &mut self.state
            && let Poll::Ready(received) = channel.poll_event(task)
        {
            has_read = true;
            match received {
                Ok(received) => self.received(received),
                Err(error) => self.link_failed(&error),
            }
        }
        let ConnectorState::Up(channel) = &mut self.state else { return };
        channel.end_turn();
        if let Some(yielding) = &mut self.yielding {
            yielding.on_read(has_read, channel.is_reading(), self.upstream.close_timeout);
        }
    }

    pub(super) fn received(&mut self, received: Received) {
        match received {
            Received::Event(decoded) => self.decoded(decoded),
            Received::Message(message) => {
                if let Some(traffic) = &self.traffic {
                    traffic.received.message(message.len());
                }
                self.prove();
                if self.recovering.is_some() {
                    self.record(message);
                } else if let ConnectorState::Up(channel) = &mut self.state
                    && let Some(decoded) = channel.decode(message)
                {
                    self.decoded(decoded);
                }
            }
            Received::Burst(burst) => self.push_burst(burst),
            Received::Control => self.prove(),
            Received::Close(frame) => {
                self.finish_input();
                self.send_close_frame(frame.as_ref());
                self.close_received(frame);
            }
        }
    }

    /// Handles the data of a message. If the message cannot be decoded, the event that it answers fails; if
    /// it answers none, it counts as a failed push.
    pub(super) fn decoded(&mut self, decoded: Result<Data, FormatError>) {
        match decoded {
            Ok(data) => self.data(data),
            Err(error) => self.fail_reply(Failure::decode(FailureLocation::Upstream, error)),
        }
    }

    pub(super) fn prove(&mut self) {
        // A connection at which each replay fails does not prove good.
        if !self.proved && self.recovering.as_ref().is_none_or(|recovering| recovering.is_ready()) {
            self.proved = true;
            self.report(Fact::Proved);
        }
    }

    /// Adds the data to the batch, as a reply or as a push.
    pub(super) fn data(&mut self, data: Data) {
        if let Some(delivers) = self.announcement(&data) {
            return self.announced(data, delivers);
        }
        let correlated = self.upstream.correlation.as_ref();
        let key = correlated.and_then(|path| lookup(&data, path));
        match self.exchange.reply(key.as_ref()) {
            ReplyMatch::Reply(ticket, correlation) => {
                self.count_reply();
                self.answer(data, Kind::Reply, correlation, (ticket, None));
            }
            ReplyMatch::Push => self.push(data),
        }
    }

    /// Handles incomplete input, such as a last line without newline, as the upstream's last messages. It is
    /// called when the upstream has closed.
    pub(super) fn finish_input(&mut self) {
        while let ConnectorState::Up(channel) = &mut self.state
            && let Some(decoded) = channel.take_unfinished()
        {
            self.decoded(decoded);
        }
    }
}
