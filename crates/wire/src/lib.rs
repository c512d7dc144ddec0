//! Frames to messages and back: RFC 6455 on a socket of ours, the same on both sides.
//!
//! ```text
//! socket ──bytes──► Decoder ──Incoming──► session or connector
//! socket ◄──bytes── Outbox  ◄──Message─── session or connector
//! ```
//!
//! [`Decoder`] and [`Outbox`] are pure; [`Link`] puts them on a socket. Sizes are checked when a frame's
//! header has been read, before any room is made for its payload (C4).

mod buffer;
mod close;
mod config;
mod decoder;
mod frame;
mod link;
mod liveness;
pub mod memory;
mod outbox;
mod quota;
pub mod ticker;

pub use close::{CloseFrame, REASON_MAX, is_sendable};
pub use config::{Limits, LivenessConfig};
pub use decoder::{Decoder, WireError};
pub use link::{Link, LinkError};
pub use liveness::LivenessError;
pub use outbox::Outbox;

use std::{future::Future, pin::pin, task::Context};

use bytes::Bytes;
use bytestring::ByteString;

/// Which end of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We took the connection: our frames are bare, the peer's are masked.
    Server,
    /// We made the connection: our frames are masked, the peer's are bare.
    Client,
}

/// A whole message, whatever frames it came in or will go out as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message, known to be UTF-8.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
}

/// What a peer sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A message, complete.
    Message(Message),
    /// A ping; answer it with a pong of the same payload.
    Ping(Bytes),
    /// A pong, asked for or not.
    Pong(Bytes),
    /// A close frame, with its code and reason if it had any.
    Close(Option<CloseFrame>),
}

impl Message {
    /// Whether it is a binary message.
    pub fn is_binary(&self) -> bool {
        matches!(self, Self::Binary(_))
    }

    /// Its payload.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Bytes of payload.
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

/// Ends a turn after which there is more to do: wakes the task for another one, behind the thread's other tasks
/// and whatever its sockets and timers have by then.
///
/// A task that wakes itself is run again up to 60 times before tokio looks at any socket, and its neighbours wait
/// for all of them. A task that yields is not.
pub fn yield_turn(task: &mut Context<'_>) {
    let _pending = pin!(tokio::task::yield_now()).poll(task);
}

#[cfg(test)]
mod flood_tests;
#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod tests;
