//! The client's connection. Frames for the client are queued for the socket. If the `slow_consumer` policy
//! drops messages, most frames wait in a backlog before that.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::{
    backlog::{Backlog, Keep, QueuedFrame},
    barrier::Barrier,
};
use crate::{
    channel::Channel,
    event::EventNumber,
    figures::{SessionFigures, TrafficTotals},
    flow::Permit,
    net::Stream,
    settings::SlowConsumer,
    turn::now_ns,
    wire::{
        Burst, Message, Sent,
        ticker::{self, Tick},
    },
};

/// Maximum number of bytes that are queued for the socket at a time if there is a backlog: enough for one or
/// two writes. All other frames stay in the backlog, where they can still be dropped.
const AHEAD: usize = 16 * 1024;

/// A message for the client. It has its event's permit until it is written to the socket.
#[derive(Debug)]
pub(super) struct ClientFrame {
    pub(super) message: Message,
    /// The event's permit; `None` except in the last message of the event.
    pub(super) permit: Option<Permit>,
    pub(super) class: Class,
}

/// A message or burst that is queued for the socket.
pub(super) struct Sending {
    /// The permit of the event or events; `None` except in the last message of an event.
    permit: Option<Permit>,
    /// The length of the payload, or of all payloads.
    bytes: usize,
}

type ClientChannel = Channel<Stream, Sending>;

/// Whether a frame may be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A reply or an error reply: never dropped.
    Owed,
    /// A push: may be dropped.
    Push,
    /// Part of the notice: never dropped, and sent before the backlog.
    Notice,
    /// Part of the notice that the upstream connection was replaced, the error reply of this event: never dropped, and
    /// sent before the messages of the new connection.
    Replaced(EventNumber),
}

/// The client's connection, and the backlog of frames for it.
pub(super) struct Downstream {
    pub(super) channel: ClientChannel,
    /// What follows a notice that the upstream connection was replaced.
    barrier: Option<Box<Barrier<ClientFrame>>>,
    /// The backlog; `None` when messages are never dropped, so that all frames are queued for the socket.
    backlog: Option<Box<Backlog<ClientFrame>>>,
    /// Whether messages may be dropped. A backlog that has been created stays.
    drops: bool,
    /// Where messages that were written or dropped are counted.
    figures: Arc<SessionFigures>,
    /// The tick in which the figures last learned that messages were written.
    active: Tick,
}

/// The messages that a policy keeps; `None` if it drops none.
fn keep(policy: SlowConsumer) -> Option<Keep> {
    match policy {
        SlowConsumer::Disconnect => None,
        SlowConsumer::DropOldest => Some(Keep::Newest),
        SlowConsumer::DropNewest => Some(Keep::Oldest),
    }
}

impl QueuedFrame for ClientFrame {
    fn may_drop(&self) -> bool {
        self.class == Class::Push
    }

    fn has_room(&self) -> Option<bool> {
        self.permit.as_ref().map(Permit::has_room)
    }
}

impl Downstream {
    pub(super) fn new(channel: ClientChannel, policy: SlowConsumer, figures: Arc<SessionFigures>) -> Self {
        let backlog = keep(policy).map(|keep| Box::new(Backlog::new(keep)));
        let drops = backlog.is_some();
        Self { channel, barrier: None, backlog, drops, figures, active: Tick::NEVER }
    }

    /// Applies another policy, from the next message on. Messages that are being dropped are dropped as before.
    pub(super) fn set_policy(&mut self, policy: SlowConsumer) {
        let keep = keep(policy);
        self.drops = keep.is_some();
        match (&mut self.backlog, keep) {
            (Some(backlog), Some(keep)) => backlog.set_keep(keep),
            (None, Some(keep)) => self.backlog = Some(Box::new(Backlog::new(keep))),
            (_, None) => {}
        }
    }

    /// Queues a frame, once the notices before it have been queued. After the proxy's close frame it is dropped,
    /// because nothing may follow a close frame, which already says that the session is over.
    pub(super) fn emit(&mut self, frame: ClientFrame) {
        let Self { channel, barrier, backlog, .. } = self;
        let mut queue = |frame| queue(channel, backlog, frame);
        match (frame.class, barrier) {
            (Class::Replaced(event), Some(barrier)) => {
                let is_last = frame.permit.is_some();
                barrier.notice(event, frame, is_last, queue);
            }
            (Class::Owed | Class::Push, Some(barrier)) => barrier.pass(frame, queue),
            (Class::Notice, _) | (_, None) => queue(frame),
        }
        self.drop_barrier();
        self.count_discarded();
    }

    /// Whether the messages of bursts are queued for the socket at once.
    pub(super) fn writes_bursts(&self) -> bool {
        self.barrier.is_none() && self.backlog.is_none() && self.channel.writes_bursts()
    }

    /// Queues the messages of a burst; see [`Downstream::writes_bursts`]. The permit is returned when the last one is
    /// written.
    pub(super) fn emit_burst(&mut self, burst: Burst, permit: Permit) {
        let bytes = burst.bytes();
        self.channel.link().push_burst(burst, Sending { permit: Some(permit), bytes });
    }

    fn send(&mut self, frame: ClientFrame) {
        send(&mut self.channel, frame);
    }

    /// Writes until the socket is full. Ready when everything that may be sent now is written.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.flush_queued(cx))?;
            // The notice of a gap must be sent before the rest of the backlog.
            let has_gap = self.backlog.as_ref().is_some_and(|backlog| backlog.has_gap());
            if has_gap || !self.refill() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Writes what is queued for the socket, and counts the messages that are written.
    fn flush_queued(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut written = TrafficTotals::default();
        let flushed = self.channel.link().poll_flush(cx, |sent| match sent {
            Sent::Message(sending) => written.message(sending.bytes),
            Sent::Burst { messages, bytes, .. } => written.add(TrafficTotals { messages, bytes }),
        });
        if written.messages > 0 {
            self.figures.count(|tally| tally.sent.add(written));
            self.record_activity();
        }
        flushed
    }

    /// Records that messages were written. The time of day is read once for each tick, not for each write.
    fn record_activity(&mut self) {
        let tick = ticker::now();
        if tick != self.active {
            self.active = tick;
            self.figures.active(now_ns());
        }
    }

    /// Moves frames from the backlog to the socket's queue, up to [`AHEAD`] bytes. Returns false when there
    /// are none.
    fn refill(&mut self) -> bool {
        let before = self.channel.link().outbox().len();
        while self.channel.link().outbox().len() < AHEAD
            && let Some(frame) = self.backlog.as_mut().and_then(|backlog| backlog.pop())
        {
            self.send(frame);
        }
        self.channel.link().outbox().len() > before
    }

    /// Handles a client that has not read for too long. Returns true when messages are dropped and the
    /// session continues, and false when the client must be closed, because the policy requires that or
    /// dropping does not free enough of the budget.
    pub(super) fn start_dropping(&mut self) -> bool {
        let Some(backlog) = self.backlog.as_mut().filter(|_| self.drops) else { return false };
        let freed = backlog.start_dropping();
        self.channel.link().restart_write_timer();
        self.count_discarded();
        let queued = self.channel.link().outbox();
        freed && queued.tokens().filter_map(|sending| sending.permit.as_ref()).all(Permit::has_room)
    }

    /// Drops the barrier when nothing waits behind it.
    fn drop_barrier(&mut self) {
        if self.barrier.as_ref().is_some_and(|barrier| barrier.is_empty()) {
            self.barrier = None;
        }
    }

    /// Number of dropped messages to report, once the client reads again; `None` when there are none.
    pub(super) fn take_gap(&mut self) -> Option<u64> {
        if self.channel.link().is_blocked() {
            return None;
        }
        self.backlog.as_mut()?.stop_dropping()
    }

    /// Announces that the error reply of `event` is a notice that the upstream connection was replaced. Later frames
    /// follow it.
    pub(super) fn expect_replaced(&mut self, event: EventNumber) {
        self.barrier.get_or_insert_default().expect(event);
    }

    /// Announces that the error reply of `event` is the notice.
    pub(super) fn expect_notice(&mut self, event: EventNumber) {
        if let Some(backlog) = &mut self.backlog {
            backlog.expect(event);
        }
    }

    /// The class of an event's error reply.
    pub(super) fn class_of_error(&self, event: EventNumber) -> Class {
        match &self.backlog {
            Some(backlog) if backlog.expects(event) => Class::Notice,
            _ if self.barrier.as_ref().is_some_and(|barrier| barrier.expects(event)) => {
                Class::Replaced(event)
            }
            _ => Class::Owed,
        }
    }

    /// Stops waiting for the error reply of `event`, which an errors pipeline has dropped or which has no frame.
    pub(super) fn forget_notice(&mut self, event: EventNumber) {
        let Self { channel, barrier, backlog, .. } = self;
        if let Some(barrier) = barrier {
            barrier.forget(event, |frame| queue(channel, backlog, frame));
        }
        self.drop_barrier();
        if let Some(backlog) = &mut self.backlog
            && backlog.expects(event)
        {
            backlog.forget_notice();
        }
    }

    /// Moves everything that waits to the socket's queue, because the close frame comes next.
    pub(super) fn release(&mut self) {
        let Self { channel, barrier, backlog, .. } = self;
        if let Some(mut barrier) = barrier.take() {
            barrier.forget_all(|frame| queue(channel, backlog, frame));
        }
        for frame in self.backlog.as_mut().map(|backlog| backlog.take()).unwrap_or_default() {
            self.send(frame);
        }
    }

    /// Number of messages dropped since the session began.
    pub(super) fn discarded(&self) -> u64 {
        self.figures.totals().discarded
    }

    fn count_discarded(&self) {
        if let Some(backlog) = &self.backlog {
            self.figures.discarded(backlog.total());
        }
    }
}

/// Queues a frame for the socket, or adds it to the backlog.
fn queue(channel: &mut ClientChannel, backlog: &mut Option<Box<Backlog<ClientFrame>>>, frame: ClientFrame) {
    match backlog {
        Some(backlog) if frame.class == Class::Notice => {
            let is_last = frame.permit.is_some();
            backlog.notice(frame, is_last);
        }
        Some(backlog) if !backlog.is_empty() || channel.link().outbox().len() >= AHEAD => backlog.push(frame),
        _ => send(channel, frame),
    }
}

fn send(channel: &mut ClientChannel, frame: ClientFrame) {
    let ClientFrame { message, permit, .. } = frame;
    let bytes = message.len();
    let _ = channel.link().push(message, Sending { permit, bytes });
}
