//! A WebSocket connection with bounded reading, and with a write queue that reports which messages are
//! written.

mod ending;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Burst, BurstLimits, CloseFrame, Decoder, Incoming, Limits, LivenessConfig, LivenessError, Message,
    Outbox, Role, Sent, WireError,
    arrival::Arrival,
    buffer::{self, READ_BYTES, ReadBuffer},
    liveness::{Check, Liveness},
    quota::Quota,
};
use crate::{
    ticker::{Alarm, Tick, Ticks, now},
    yield_turn,
};

/// A payload is read directly into its message, without a copy, if at least this many bytes are missing.
const DIRECT_FROM: usize = 16 * 1024;

/// Minimum number of bytes that are read at once, however little of them the owner has room for: less would cost a
/// system call for every few frames.
const LEAST: usize = 4 * 1024;

/// The time until the next attempt for a message that may not grow.
const RETRY: Ticks = Ticks(3);

/// Why a link ended without a close frame.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The peer broke the protocol or a limit.
    #[error("WebSocket protocol error: {0}")]
    Wire(#[from] WireError),
    /// The peer ended the connection without a closing handshake.
    #[error("WebSocket protocol error: Connection reset without closing handshake")]
    Eof,
    /// The socket failed.
    #[error("IO error: {0}")]
    Io(#[from] io::Error),
}

/// A WebSocket connection on a socket. It reads one message or control frame at a time, and writes the queued
/// frames.
///
/// Between two turns an idle link holds neither read nor write buffer. A turn ends with [`Link::end_turn`]. A
/// `Quota` bounds what a turn reads, decodes and writes. When the quota is used up, the owner is woken for
/// another turn.
#[derive(Debug)]
pub struct Link<S, T> {
    socket: S,
    decoder: Decoder,
    outbox: Outbox<T>,
    /// The thread's read buffer during a turn.
    scratch: Option<Box<ReadBuffer>>,
    /// Bytes that were read but not decoded when the last turn ended.
    rest: Option<Box<Bytes>>,
    /// Whether the socket may have something to read.
    arrival: Arrival,
    eof: bool,
    /// Whether the socket may hold bytes that it has taken and not passed on, as a buffered stream does.
    unflushed: bool,
    /// Maximum size in bytes of an incomplete message in the current turn.
    allowance: usize,
    /// Number of bytes for which the owner has room.
    room: usize,
    bursts: BurstLimits,
    /// The rest of the current turn's quota.
    quota: Quota,
    liveness: Liveness,
    alarm: Alarm,
}

impl<S, T> Link<S, T>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Creates a link on an upgraded socket. `rest` holds the bytes received after the handshake.
    pub fn new(socket: S, role: Role, limits: Limits, config: &LivenessConfig, rest: Bytes) -> Self {
        Self {
            socket,
            decoder: Decoder::new(role, limits),
            outbox: Outbox::new(role),
            scratch: None,
            rest: kept(rest),
            arrival: Arrival::default(),
            eof: false,
            unflushed: false,
            allowance: usize::MAX,
            room: usize::MAX,
            bursts: BurstLimits::NONE,
            quota: Quota::new(),
            liveness: Liveness::new(config, now()),
            alarm: Alarm::new(),
        }
    }

    /// Applies other limits and times, from the next frame on.
    pub fn configure(&mut self, limits: Limits, config: &LivenessConfig) {
        self.decoder.set_limits(limits);
        self.liveness.set_config(config);
    }

    /// The write queue.
    pub fn outbox(&mut self) -> &mut Outbox<T> {
        &mut self.outbox
    }

    /// Whether queued bytes wait for the socket.
    pub fn has_queued(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Queues a message; see [`Outbox::push`].
    ///
    /// # Errors
    /// The token, when a close frame has been queued already.
    pub fn push(&mut self, message: Message, token: T) -> Result<(), T> {
        self.liveness.messaged(now());
        self.outbox.push(message, token)
    }

    /// Queues the messages of a burst; see [`Outbox::push_burst`].
    pub fn push_burst(&mut self, burst: Burst, token: T) {
        self.liveness.messaged(now());
        self.outbox.push_burst(burst, token);
    }

    /// Queues a close frame; see [`Outbox::close`].
    pub fn close(&mut self, frame: Option<&CloseFrame>) {
        self.outbox.close(frame);
    }

    /// Sets the maximum size in bytes of an incomplete message in the current turn. At this size the link
    /// stops reading.
    pub fn allow(&mut self, bytes: usize) {
        self.allowance = bytes;
    }

    /// Sets how many bytes may be reserved for a message before they arrive; see [`Decoder::reserve_ahead`].
    pub fn reserve_ahead(&mut self, bytes: usize) {
        self.decoder.reserve_ahead(bytes);
    }

    /// Sets the number of bytes for which the owner has room. No more are read at once, so that few bytes are left undecoded
    /// when the owner stops reading. At least 4 KiB are read.
    pub fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// Sets the limits of the next burst. A new link allows none.
    pub fn set_bursts(&mut self, limits: BurstLimits) {
        self.bursts = limits;
    }

    /// Number of bytes held between two turns that are not a message yet: bytes read but not decoded (at most
    /// 64 KiB), or an incomplete message.
    pub fn unfinished(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| rest.len()) + self.decoder.unfinished()
    }

    /// Whether an incomplete message waits because it has reached the size set by [`Link::allow`].
    pub fn is_held_up(&self) -> bool {
        self.decoder.unfinished() >= self.allowance
    }

    /// Polls for the peer's next message or control frame. Call [`Link::end_turn`] at the end of a turn, and
    /// always when this returns pending, because the turn's quota may be used up.
    ///
    /// While a message may not grow ([`Link::is_held_up`]), this returns pending without a wake-up.
    ///
    /// # Errors
    /// See [`LinkError`]. After an error, nothing can be read from the link.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, LinkError>> {
        loop {
            if let Some(incoming) = self.decode()? {
                return Poll::Ready(Ok(self.noted(incoming)));
            }
            if self.is_turn_over(cx) {
                return Poll::Pending;
            }
            if self.eof {
                return Poll::Ready(Err(LinkError::Eof));
            }
            if self.is_held_up() {
                return Poll::Pending;
            }
            if let Some(incoming) = ready!(self.poll_fill(cx))? {
                return Poll::Ready(Ok(self.noted(incoming)));
            }
        }
    }

    /// Begins a turn that reads nothing, if there is nothing to read: [`Link::poll_next`] was pending because the socket
    /// had nothing, and the socket has not woken the owner since. Returns false if the owner must read, which it must
    /// also do in another task.
    pub fn skip_reading(&mut self) -> bool {
        let skips = self.arrival.is_awaited();
        if skips {
            self.quota = Quota::new();
        }
        skips
    }

    /// Whether the quota is used up. If so, the owner is woken for another turn.
    fn is_turn_over(&self, cx: &mut Context<'_>) -> bool {
        let over = self.quota.is_spent();
        if over {
            yield_turn(cx);
        }
        over
    }

    fn noted(&mut self, incoming: Incoming) -> Incoming {
        if matches!(incoming, Incoming::Message(_) | Incoming::Burst(_)) {
            self.liveness.messaged(now());
        }
        incoming
    }

    /// Runs the liveness checks that are due: sends a ping to a silent peer, and reports a peer that does not
    /// answer or does not read. `waker` is woken for the next check, whatever the socket does. `reading` is
    /// whether the proxy currently reads from the peer. Call this before [`Link::poll_flush`].
    pub fn check_liveness(&mut self, waker: &Waker, reading: bool) -> Option<LivenessError> {
        let (now, is_held_up) = (now(), self.is_held_up());
        self.liveness.held_up(now, is_held_up);
        // Usually no check is due, and the alarm is set already.
        if !is_held_up && self.alarm.covers(self.liveness.next(), now) {
            return None;
        }
        let mut check = Check::Ok;
        if now >= self.liveness.next() {
            check = self.liveness.check(now, reading);
        }
        match check {
            Check::Ok => {}
            Check::SendPing => self.outbox.ping(Bytes::new()),
            Check::Failed(error) => return Some(error),
        }
        self.set_alarm(waker);
        if !self.alarm.is_registered() {
            // With an alarm, even one that is never due, the thread's clock is read without a system call.
            self.alarm.set(Tick::NEVER, waker);
        }
        None
    }

    /// Sets the alarm for the next check. An alarm that is set for an earlier moment stays, and is set again
    /// when it fires. For a message that may not grow, the next attempt is soon.
    fn set_alarm(&mut self, waker: &Waker) {
        let retry = if self.is_held_up() { now() + RETRY } else { Tick::NEVER };
        let next = self.liveness.next().min(retry);
        let due = self.alarm.due();
        if next < due || (due <= now() && next != Tick::NEVER) {
            self.alarm.set(next, waker);
        }
    }

    /// Treats the peer as possibly dead: sends a ping at once, and [`Link::check_liveness`] reports the peer
    /// if nothing arrives from it soon.
    pub fn suspect(&mut self) {
        if self.liveness.suspect(now()) {
            self.outbox.ping(Bytes::new());
        }
    }

    /// Whether the socket currently accepts none of the queued bytes.
    pub fn is_blocked(&self) -> bool {
        self.liveness.is_blocked()
    }

    /// Restarts the timer that ends a connection whose peer does not read.
    pub fn restart_write_timer(&mut self) {
        self.liveness.restart_write_timer(now());
    }

    /// Returns the read buffer to the thread. Bytes that are not decoded are kept.
    pub fn end_turn(&mut self) {
        self.quota = Quota::new();
        self.decoder.end_turn();
        let Some(scratch) = self.scratch.take() else { return };
        if !scratch.rest().is_empty() {
            self.rest = kept(Bytes::copy_from_slice(scratch.rest()));
        }
        buffer::give_back_read(scratch);
    }

    /// Writes queued bytes until the socket is full. `done` receives the messages that are completely
    /// written. Ready when the outbox is empty and the socket has passed everything on; pending when
    /// the socket is full or the turn's quota of writes is used up.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        mut done: impl FnMut(Sent<T>),
    ) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            if !self.quota.write() {
                yield_turn(cx);
                return Poll::Pending;
            }
            let socket = Pin::new(&mut self.socket);
            let written = match self.outbox.front() {
                Some(bytes) => socket.poll_write(cx, bytes),
                None => {
                    let (slices, count) = self.outbox.slices();
                    socket.poll_write_vectored(cx, &slices[..count])
                }
            };
            match written? {
                Poll::Pending => {
                    self.outbox.blocked();
                    return self.blocked(cx);
                }
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(count) => {
                    self.unflushed = true;
                    self.liveness.took(now());
                    self.outbox.advance(count, &mut done);
                }
            }
        }
        if self.unflushed {
            if Pin::new(&mut self.socket).poll_flush(cx)?.is_pending() {
                return self.blocked(cx);
            }
            self.unflushed = false;
            self.liveness.took(now());
        }
        Poll::Ready(Ok(()))
    }

    fn blocked(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.liveness.blocked(now());
        self.set_alarm(cx.waker());
        Poll::Pending
    }

    /// The socket.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    #[cfg(test)]
    pub(super) fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    fn decode(&mut self) -> Result<Option<Incoming>, WireError> {
        if let Some(rest) = &mut self.rest {
            let mut input = &rest[..];
            let incoming = self.decoder.decode(&mut input, &mut self.quota.frames)?;
            let used = rest.len() - input.len();
            rest.advance(used);
            if rest.is_empty() {
                self.rest = None;
            }
            return Ok(incoming);
        }
        let Some(scratch) = &mut self.scratch else { return Ok(None) };
        let mut input = scratch.rest();
        if input.is_empty() {
            return Ok(None);
        }
        let frames = &mut self.quota.frames;
        let incoming = match self.decoder.decode_burst(&mut input, frames, &self.bursts) {
            Some(burst) => Some(Incoming::Burst(burst)),
            None => self.decoder.decode(&mut input, frames)?,
        };
        scratch.at = scratch.end - input.len();
        Ok(incoming)
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Incoming>, LinkError>> {
        if let Some((payload, room)) = self.decoder.direct(DIRECT_FROM) {
            // A few bytes of a message are not left for another turn.
            let room = if room <= self.quota.bytes() + READ_BYTES { room } else { self.quota.bytes() };
            let socket = &mut self.socket;
            let count =
                ready!(self.arrival.poll(cx, |cx| buffer::poll_read_into(socket, payload, room, cx)))?;
            self.read(count);
            return Poll::Ready(Ok(self.decoder.filled(count)?));
        }
        let scratch = self.scratch.get_or_insert_with(buffer::take_read);
        let room = self.room.saturating_sub(self.decoder.unfinished()).max(LEAST).min(scratch.bytes.len());
        let mut buffer = ReadBuf::new(&mut scratch.bytes[..room]);
        let socket = Pin::new(&mut self.socket);
        ready!(self.arrival.poll(cx, |cx| socket.poll_read(cx, &mut buffer)))?;
        let count = buffer.filled().len();
        (scratch.at, scratch.end) = (0, count);
        self.read(count);
        Poll::Ready(Ok(None))
    }

    fn read(&mut self, count: usize) {
        self.quota.read(count);
        self.eof = count == 0;
        if count > 0 {
            self.liveness.heard(now());
        }
    }
}

impl<S, T> Drop for Link<S, T> {
    fn drop(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            buffer::give_back_read(scratch);
        }
    }
}

/// Bytes that wait to be decoded. Most connections have none, so they are boxed.
fn kept(rest: Bytes) -> Option<Box<Bytes>> {
    (!rest.is_empty()).then(|| Box::new(rest))
}
