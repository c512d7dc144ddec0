//! The journal of one session, whatever its protocol.

use std::{sync::Arc, time::Instant};

use crate::{
    engine::Engine,
    json::TooManyPaths,
    outcome::{ClientStep, Failure, Heartbeat, Loss, Lost, Message, Output, UpstreamStep},
    preset::{self, Grammar, Protocol},
    settings::Settings,
};

/// A protocol with its settings, compiled once and shared by all sessions.
#[derive(Debug, Clone)]
pub struct Recovery {
    grammar: Arc<Grammar>,
    settings: Settings,
    heartbeat: Option<Heartbeat>,
}

impl Recovery {
    /// Compiles `protocol`.
    ///
    /// # Errors
    /// When patterns of the settings have too many different paths.
    pub fn new(protocol: &Protocol, settings: Settings) -> Result<Self, TooManyPaths> {
        let grammar = Arc::new(Grammar::new(protocol)?);
        Ok(Self { grammar, settings, heartbeat: preset::heartbeat(protocol) })
    }

    /// The journal of a new session.
    pub fn journal(&self) -> Journal {
        Journal { engine: Engine::new(self.grammar.clone(), self.settings) }
    }

    /// What keeps the library of a client content while there is no upstream.
    pub fn heartbeat(&self) -> Option<&Heartbeat> {
        self.heartbeat.as_ref()
    }
}

/// What a new upstream connection has to hear before a session can go on.
///
/// The caller passes each message of the session through [`Journal::client`] or [`Journal::upstream`], and drains
/// [`Journal::poll`] after each call and at [`Journal::deadline`]. No method waits, and none reads a clock.
#[derive(Debug)]
pub struct Journal {
    engine: Engine,
}

impl Journal {
    /// Takes the client's next message, right before it is written to the upstream. `event` rises from message to
    /// message.
    pub fn client(&mut self, event: u64, message: Message) -> ClientStep {
        self.engine.client(event, message)
    }

    /// Takes a message of the upstream connection `generation`. Those of older connections are hidden.
    pub fn upstream(&mut self, generation: u64, message: Message, now: Instant) -> UpstreamStep {
        self.engine.upstream(generation, message, now)
    }

    /// The connection is lost, or an attempt to replay on it is broken.
    pub fn lost(&mut self, loss: Loss<'_>) -> Lost {
        self.engine.lost(loss)
    }

    /// A connection is open: begins the replay. The first connection of a session has nothing to replay and is ready
    /// at once.
    pub fn connected(&mut self, generation: u64, now: Instant) {
        self.engine.connected(generation, now);
    }

    /// The next thing to do; `None` until a message arrives or [`Journal::deadline`] passes.
    pub fn poll(&mut self, now: Instant) -> Option<Output> {
        self.engine.poll(now)
    }

    /// When [`Journal::poll`] has something to do without a message.
    pub fn deadline(&self) -> Option<Instant> {
        self.engine.deadline()
    }

    /// Whether client messages may pass.
    pub fn is_ready(&self) -> bool {
        self.engine.is_ready()
    }

    /// The session ends without another connection: the opens that [`Lost::kept`] announced have failed. Hellos among
    /// them have no message of their own.
    pub fn give_up(&mut self, text: &str) -> Vec<Failure> {
        self.engine.give_up(text)
    }

    /// The message that reports `text` as the failure of the client's `message`, in the client's protocol; `None`
    /// where the protocol has none.
    pub fn error_reply(&self, message: &Message, text: &str) -> Option<Message> {
        self.engine.error_reply(message, text)
    }

    /// The answer to a client's `message` that only asks whether the peer is alive. While there is no upstream, the
    /// caller may answer such a message at once instead of holding it.
    pub fn keepalive(&self, message: &Message) -> Option<Message> {
        self.engine.keepalive(message)
    }

    /// Subscriptions in the journal.
    pub fn entries(&self) -> usize {
        self.engine.entries()
    }

    /// Bytes of messages and ids in the journal.
    pub fn bytes(&self) -> usize {
        self.engine.bytes()
    }
}
