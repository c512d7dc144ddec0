//! The frames to the client: queued for the socket at once, or through the backlog where messages may be dropped.

use std::{
    io,
    task::{Context, Poll, ready},
};

use super::backlog::{self, Backlog, Keep};
use crate::{channel::Channel, flow::Permit, net::Stream, settings::SlowConsumer, wire::Message};

/// With a backlog, so much is with the socket at a time, and the rest can still be dropped. Enough for a
/// write or two.
const AHEAD: usize = 16 * 1024;

/// A frame for the client and the bytes it takes from a budget until it is written.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) message: Message,
    /// With the last frame of its event.
    pub(super) permit: Option<Permit>,
    pub(super) class: Class,
}

/// What a frame is to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The outcome of a message, or an error reply.
    Owed,
    /// The upstream sent it by itself.
    Push,
    /// Of the notice of a gap, which has to come before what waits.
    Notice,
}

/// The client's connection, and what waits before it.
pub(super) struct Downstream {
    pub(super) channel: Channel<Stream, Option<Permit>>,
    /// None where nothing may be dropped: then all of it is with the socket.
    backlog: Option<Box<Backlog<Frame>>>,
}

impl backlog::Frame for Frame {
    fn may_drop(&self) -> bool {
        self.class == Class::Push
    }

    fn has_room(&self) -> Option<bool> {
        self.permit.as_ref().map(Permit::has_room)
    }
}

impl Downstream {
    pub(super) fn new(channel: Channel<Stream, Option<Permit>>, policy: SlowConsumer) -> Self {
        let keep = match policy {
            SlowConsumer::Disconnect => None,
            SlowConsumer::DropOldest => Some(Keep::Newest),
            SlowConsumer::DropNewest => Some(Keep::Oldest),
        };
        Self { channel, backlog: keep.map(|keep| Box::new(Backlog::new(keep))) }
    }

    /// Queues a frame. After our close frame nothing may follow: then it is let go, and the client is told
    /// by the close.
    pub(super) fn emit(&mut self, frame: Frame) {
        match &mut self.backlog {
            Some(backlog) if frame.class == Class::Notice => {
                let is_last = frame.permit.is_some();
                backlog.notice(frame, is_last);
            }
            Some(backlog) if !backlog.is_empty() || self.channel.link().outbox().len() >= AHEAD => {
                backlog.push(frame)
            }
            _ => self.send(frame),
        }
    }

    fn send(&mut self, frame: Frame) {
        let _ = self.channel.link().push(frame.message, frame.permit);
    }

    /// Writes as much as the socket takes.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.channel.link().poll_flush(cx, drop))?;
            // The gap is told before what waits goes out.
            let has_gap = self.backlog.as_ref().is_some_and(|backlog| backlog.has_gap());
            if has_gap || !self.refill() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Hands the socket what waits, up to a bound; false when there is nothing to hand.
    fn refill(&mut self) -> bool {
        let before = self.channel.link().outbox().len();
        while self.channel.link().outbox().len() < AHEAD
            && let Some(frame) = self.backlog.as_mut().and_then(|backlog| backlog.pop())
        {
            self.send(frame);
        }
        self.channel.link().outbox().len() > before
    }

    /// The client has not read for too long. True when messages are dropped instead of it: that is the
    /// policy, and it lets the upstream be read.
    pub(super) fn start_dropping(&mut self) -> bool {
        let Some(backlog) = &mut self.backlog else { return false };
        let freed = backlog.start_dropping();
        self.channel.link().restart_write_timer();
        freed && self.channel.link().outbox().tokens().flatten().all(Permit::has_room)
    }

    /// How many messages were dropped, once the client reads again and has not been told.
    pub(super) fn take_gap(&mut self) -> Option<u64> {
        if self.channel.link().is_blocked() {
            return None;
        }
        self.backlog.as_mut()?.stop_dropping()
    }

    /// The error event of `event` tells of the gap.
    pub(super) fn expect_notice(&mut self, event: u64) {
        if let Some(backlog) = &mut self.backlog {
            backlog.expect(event);
        }
    }

    /// What the error reply of an event is.
    pub(super) fn class_of_error(&self, event: u64) -> Class {
        match &self.backlog {
            Some(backlog) if backlog.expects(event) => Class::Notice,
            _ => Class::Owed,
        }
    }

    /// The error event of `event` will never come.
    pub(super) fn forget_notice(&mut self, event: u64) {
        if let Some(backlog) = &mut self.backlog
            && backlog.expects(event)
        {
            backlog.forget_notice();
        }
    }

    /// Hands everything to the socket: the close frame comes next.
    pub(super) fn release(&mut self) {
        for frame in self.backlog.as_mut().map(|backlog| backlog.take()).unwrap_or_default() {
            self.send(frame);
        }
    }

    /// How many messages were dropped since the session began.
    pub(super) fn discarded(&self) -> u64 {
        self.backlog.as_ref().map_or(0, |backlog| backlog.total())
    }
}
