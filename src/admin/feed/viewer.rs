//! A viewer: a WebSocket connection that gets the frames of the feed.
//!
//! A viewer confirms each frame. Up to [`UNCONFIRMED_MAX`] frames are sent ahead; a viewer that confirms none of them
//! within [`STALL_TIME`] is closed. One that missed frames meanwhile starts again with a full frame.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext, AsyncContext, StreamHandler};
use actix_web::{error::PayloadError, web};
use actix_web_actors::ws::{self, CloseCode, CloseReason, WebsocketContext};
use bytes::Bytes;
use futures_core::Stream;

use super::{Feed, Seat};

/// Number of frames that are sent before the first of them is confirmed.
const UNCONFIRMED_MAX: u32 = 4;

/// How long a viewer may confirm nothing while frames wait.
const STALL_TIME: Duration = Duration::from_secs(10);

/// How often a viewer looks for new frames.
const POLL_TIME: Duration = Duration::from_millis(200);

/// Maximum size of a message from a viewer, in bytes.
pub(super) const MESSAGE_MAX: usize = 128;

/// Number of bytes that a viewer may send without a complete message.
const UNPARSED_MAX: usize = 1024;

/// Number of pings that are answered between two confirmations.
const PONGS_MAX: u32 = 8;

/// A connection of the page.
pub(super) struct Viewer {
    feed: Arc<Feed>,
    _seat: Seat,
    /// The number of the next frame.
    next: u64,
    unconfirmed: u32,
    pongs: u32,
    /// When the viewer last confirmed a frame, or had nothing to confirm.
    confirmed: Instant,
    unparsed: Rc<Cell<usize>>,
}

/// The bytes that a viewer sends. actix-web-actors keeps the bytes of a message until it is complete, and checks its
/// size then. So the bytes without a complete message are limited here.
pub(super) struct Limited {
    payload: web::Payload,
    unparsed: Rc<Cell<usize>>,
}

// === impl Viewer ===

impl Viewer {
    /// Creates the viewer of a connection, and the limited stream of its bytes.
    pub fn new(feed: Arc<Feed>, seat: Seat, payload: web::Payload) -> (Self, Limited) {
        let unparsed = Rc::<Cell<usize>>::default();
        let limited = Limited { payload, unparsed: Rc::clone(&unparsed) };
        let confirmed = Instant::now();
        (Self { feed, _seat: seat, next: 0, unconfirmed: 0, pongs: 0, confirmed, unparsed }, limited)
    }

    /// Sends the frames that are due.
    fn turn(&mut self, ctx: &mut WebsocketContext<Self>) {
        if self.unconfirmed == 0 {
            self.confirmed = Instant::now();
        } else if self.unconfirmed == UNCONFIRMED_MAX && self.confirmed.elapsed() > STALL_TIME {
            return end(ctx, CloseCode::Again, "the page does not confirm frames");
        }
        while self.unconfirmed < UNCONFIRMED_MAX {
            let Some(frame) = self.frame() else { return };
            ctx.text(frame);
            self.unconfirmed += 1;
        }
    }

    /// The next frame, which is a full one if the viewer missed some. `None` if it is still to come.
    fn frame(&mut self) -> Option<String> {
        let state = self.feed.state();
        if let Ok(frame) = state.frames().get(self.next) {
            let frame = frame?.to_string();
            self.next += 1;
            return Some(frame);
        }
        let (frame, next) = state.full();
        self.next = next;
        Some(frame)
    }

    fn start(&mut self, ctx: &mut WebsocketContext<Self>) {
        let (frame, next) = self.feed.state().full();
        ctx.text(frame);
        (self.next, self.unconfirmed) = (next, 1);
    }
}

impl Actor for Viewer {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.start(ctx);
        ctx.run_interval(POLL_TIME, Self::turn);
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Viewer {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, ctx: &mut WebsocketContext<Self>) {
        self.unparsed.set(0);
        match message {
            Ok(ws::Message::Text(_)) => {
                self.unconfirmed = self.unconfirmed.saturating_sub(1);
                self.pongs = 0;
                self.confirmed = Instant::now();
                self.turn(ctx);
            }
            Ok(ws::Message::Ping(payload)) if self.pongs < PONGS_MAX => {
                self.pongs += 1;
                ctx.pong(&payload);
            }
            Ok(ws::Message::Ping(_)) => end(ctx, CloseCode::Policy, "too many pings"),
            Ok(ws::Message::Pong(_) | ws::Message::Nop) => {}
            Ok(ws::Message::Close(reason)) => {
                ctx.close(reason);
                ctx.stop();
            }
            Ok(ws::Message::Binary(_) | ws::Message::Continuation(_)) => {
                end(ctx, CloseCode::Unsupported, "unexpected message");
            }
            Err(error) => {
                log::debug!("viewer failed error={error}");
                end(ctx, CloseCode::Protocol, "protocol error");
            }
        }
    }
}

fn end(ctx: &mut WebsocketContext<Viewer>, code: CloseCode, reason: &str) {
    ctx.close(Some(CloseReason { code, description: Some(reason.to_owned()) }));
    ctx.stop();
}

// === impl Limited ===

impl Stream for Limited {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut self.payload).poll_next(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            let unparsed = self.unparsed.get() + bytes.len();
            if unparsed > UNPARSED_MAX {
                return Poll::Ready(Some(Err(PayloadError::Overflow)));
            }
            self.unparsed.set(unparsed);
        }
        polled
    }
}
