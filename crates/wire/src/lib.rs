//! RFC 6455 on an established connection: turns bytes into messages and back, with the same code for both
//! sides.
//!
//! ```text
//! socket ──bytes──► Decoder ──Incoming──► session or connector
//! socket ◄──bytes── Outbox  ◄──Message─── session or connector
//! ```
//!
//! [`Decoder`] and [`Outbox`] do no input or output; [`Link`] connects them to a socket. Sizes are checked as
//! soon as the header of a frame is read, before memory is allocated for its payload (guarantee C4).

mod arrival;
mod buffer;
mod burst;
mod close;
mod closing;
mod config;
mod decoder;
mod frame;
mod link;
mod liveness;
mod mask;
pub mod memory;
mod outbox;
mod quota;
mod room;
mod short_queue;
pub mod ticker;

pub use burst::{Burst, BurstLimits};
pub use close::{CloseFrame, REASON_MAX, is_sendable};
pub use closing::Closing;
pub use config::{Limits, LivenessConfig};
pub use decoder::{Decoder, WireError};
pub use link::{Link, LinkError};
pub use liveness::LivenessError;
pub use outbox::{Outbox, Sent};

use std::{future::Future, pin::pin, task::Context};

use bytes::Bytes;
use bytestring::ByteString;

/// The role of the proxy on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The proxy accepted the connection: its frames are unmasked, the peer's are masked.
    Server,
    /// The proxy opened the connection: its frames are masked, the peer's are unmasked.
    Client,
}

/// A whole message, reassembled from its frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message; always valid UTF-8.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
}

/// A message or control frame from the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A complete message.
    Message(Message),
    /// Messages in a row, if the owner allows bursts.
    Burst(Burst),
    /// A ping; answer it with a pong that has the same payload.
    Ping(Bytes),
    /// A pong, solicited or not.
    Pong(Bytes),
    /// A close frame, with its code and reason unless its payload is empty.
    Close(Option<CloseFrame>),
}

impl Message {
    /// Whether the message is binary.
    pub fn is_binary(&self) -> bool {
        matches!(self, Self::Binary(_))
    }

    /// The payload of the message.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Length of the payload in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Ends a turn that has more work left: wakes the task for another turn, after the thread's other tasks and
/// its ready sockets and timers.
///
/// Without this, a task that wakes itself runs up to 60 times before tokio polls any socket, and the other
/// tasks of the thread wait that long.
pub fn yield_turn(task: &mut Context<'_>) {
    let _pending = pin!(tokio::task::yield_now()).poll(task);
}

#[cfg(test)]
mod burst_tests;
#[cfg(test)]
mod flood_tests;
#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod tests;
