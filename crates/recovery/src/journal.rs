//! The journal of one session, whatever its protocol.

use std::{fmt, sync::Arc, time::Instant};

use crate::{
    class::{ClientClass, UpstreamClass},
    engine::Engine,
    json::PatternError,
    mqtt,
    outcome::{ClientStep, Failure, Heartbeat, Loss, Lost, Message, Offline, Output, UpstreamStep},
    preset::{Grammar, Protocol},
    settings::Settings,
};

/// A protocol with its settings, compiled once and shared by all sessions.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// `None`: MQTT.
    grammar: Option<Arc<Grammar>>,
    settings: Settings,
}

impl Recovery {
    /// Compiles `protocol`.
    ///
    /// # Errors
    /// When patterns of the settings are incomplete, or have too many different paths.
    pub fn new(protocol: &Protocol, settings: Settings) -> Result<Self, PatternError> {
        let grammar = Grammar::new(protocol)?.map(Arc::new);
        Ok(Self { grammar, settings })
    }

    /// The journal of a new session.
    pub fn journal(&self) -> Journal {
        let core = match &self.grammar {
            Some(grammar) => Core::Messages(Box::new(Engine::new(grammar.clone(), self.settings))),
            None => Core::Packets(Box::new(mqtt::Engine::new(self.settings))),
        };
        Journal { core }
    }
}

/// The messages that a new upstream connection needs before a session can continue.
///
/// The caller passes each message of the session through [`Journal::client`] or [`Journal::upstream`], and drains
/// [`Journal::poll`] after each call and at [`Journal::deadline`]. No method waits, and none reads a clock.
pub struct Journal {
    core: Core,
}

/// Shows sizes only: messages may contain secrets.
impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Journal");
        shown.field("entries", &self.entries()).field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Core {
    /// Whole messages.
    Messages(Box<Engine>),
    /// MQTT's packets, which may span and share messages.
    Packets(Box<mqtt::Engine>),
}

/// Calls a method of whichever engine the journal has.
macro_rules! engine {
    ($journal:ident, $engine:ident => $call:expr) => {
        match &$journal.core {
            Core::Messages($engine) => $call,
            Core::Packets($engine) => $call,
        }
    };
    (mut $journal:ident, $engine:ident => $call:expr) => {
        match &mut $journal.core {
            Core::Messages($engine) => $call,
            Core::Packets($engine) => $call,
        }
    };
}

impl Journal {
    /// Takes the client's next message, right before it is written to the upstream. `event` increases from message to
    /// message.
    pub fn client(&mut self, event: u64, message: Message) -> ClientStep {
        engine!(mut self, engine => engine.client(event, message))
    }

    /// Takes a message of the upstream connection `generation`. Those of older connections are hidden.
    pub fn upstream(&mut self, generation: u64, message: Message, now: Instant) -> UpstreamStep {
        engine!(mut self, engine => engine.upstream(generation, message, now))
    }

    /// Like [`Journal::client`], for a message that a program has classified. MQTT needs no such help: there the
    /// class has no effect.
    pub fn client_as(&mut self, event: u64, message: Message, class: &ClientClass) -> ClientStep {
        match &mut self.core {
            Core::Messages(engine) => engine.client_as(event, message, class),
            Core::Packets(engine) => engine.client(event, message),
        }
    }

    /// Like [`Journal::upstream`], for a message that a program has classified.
    pub fn upstream_as(
        &mut self,
        generation: u64,
        message: Message,
        class: &UpstreamClass,
        now: Instant,
    ) -> UpstreamStep {
        match &mut self.core {
            Core::Messages(engine) => engine.upstream_as(generation, message, class, now),
            Core::Packets(engine) => engine.upstream(generation, message, now),
        }
    }

    /// The connection is lost, or an attempt to replay on it is broken.
    pub fn lost(&mut self, loss: Loss<'_>) -> Lost {
        engine!(mut self, engine => engine.lost(loss))
    }

    /// A connection is open: begins the replay. The first connection of a session has nothing to replay and is ready
    /// at once.
    pub fn connected(&mut self, generation: u64, now: Instant) {
        engine!(mut self, engine => engine.connected(generation, now));
    }

    /// The next thing to do; `None` until a message arrives or [`Journal::deadline`] passes.
    pub fn poll(&mut self, now: Instant) -> Option<Output> {
        engine!(mut self, engine => engine.poll(now))
    }

    /// When [`Journal::poll`] has something to do without a message.
    pub fn deadline(&self) -> Option<Instant> {
        engine!(self, engine => engine.deadline())
    }

    /// Whether client messages may pass.
    pub fn is_ready(&self) -> bool {
        engine!(self, engine => engine.is_ready())
    }

    /// Whether the session can change to another connection without failing a client's message: every message that is
    /// certain to be answered has its answer. The caller may still wait while [`Journal::has_optional_calls`].
    pub fn is_quiet(&self) -> bool {
        engine!(self, engine => engine.is_quiet())
    }

    /// Whether messages have no answer yet in a protocol where not every message gets one.
    pub fn has_optional_calls(&self) -> bool {
        match &self.core {
            Core::Messages(engine) => engine.has_optional_calls(),
            Core::Packets(_) => false,
        }
    }

    /// Treats the messages of [`Journal::has_optional_calls`] as answered, so that none of them fails with the
    /// connection.
    pub fn forget_optional_calls(&mut self) {
        match &mut self.core {
            Core::Messages(engine) => engine.forget_optional_calls(),
            Core::Packets(_) => {}
        }
    }

    /// The session ends without another connection: the opens that [`Lost::kept`] announced have failed. Hellos among
    /// them have no error message.
    pub fn give_up(&mut self, text: &str) -> Vec<Failure> {
        match &mut self.core {
            Core::Messages(engine) => engine.give_up(text),
            Core::Packets(engine) => engine.give_up(),
        }
    }

    /// The message that reports `text` as the failure of the client's `message`, in the client's protocol; `None`
    /// where the protocol has none.
    pub fn error_reply(&self, message: &Message, text: &str) -> Option<Message> {
        match &self.core {
            Core::Messages(engine) => engine.error_reply(message, text),
            Core::Packets(engine) => engine.error_reply(message),
        }
    }

    /// Takes a client's message that cannot be sent, because no upstream is connected. `text` is the failure in words.
    pub fn offline(&mut self, message: &Message, text: &str) -> Offline {
        match &mut self.core {
            Core::Messages(engine) => engine.offline(message, text),
            Core::Packets(engine) => engine.offline(message),
        }
    }

    /// Like [`Journal::offline`], for a message that a program has classified.
    pub fn offline_as(&mut self, message: &Message, class: &ClientClass) -> Offline {
        match &mut self.core {
            Core::Messages(engine) => engine.offline_as(message, class),
            Core::Packets(engine) => engine.offline(message),
        }
    }

    /// Whether each message is complete. Otherwise a packet may span several messages.
    pub fn has_whole_messages(&self) -> bool {
        match &self.core {
            Core::Messages(engine) => engine.has_whole_messages(),
            Core::Packets(_) => false,
        }
    }

    /// Bytes of incomplete packets: from the client, and from the upstream.
    pub fn unfinished(&self) -> [usize; 2] {
        engine!(self, engine => engine.unfinished())
    }

    /// The answer to a client's `message` that only checks whether the peer is alive. While no upstream is connected, the
    /// caller may answer such a message at once instead of holding it.
    pub fn keepalive(&self, message: &Message) -> Option<Message> {
        match &self.core {
            Core::Messages(engine) => engine.keepalive(message),
            Core::Packets(engine) => engine.keepalive(message),
        }
    }

    /// Whether a client's `message` can stay unsent without loss: it only shows that the client is alive, or
    /// acknowledges what the upstream sends again. The caller may settle such a message as delivered.
    pub fn is_dispensable(&self, message: &Message) -> bool {
        match &self.core {
            Core::Messages(engine) => engine.is_dispensable(message),
            Core::Packets(engine) => engine.is_dispensable(message),
        }
    }

    /// The heartbeat to send to the client while no upstream is connected; `None` where the protocol has none.
    pub fn heartbeat(&self) -> Option<&Heartbeat> {
        match &self.core {
            Core::Messages(engine) => engine.heartbeat(),
            Core::Packets(_) => None,
        }
    }

    /// Subscriptions in the journal.
    pub fn entries(&self) -> usize {
        engine!(self, engine => engine.entries())
    }

    /// Bytes of messages and ids in the journal.
    pub fn bytes(&self) -> usize {
        engine!(self, engine => engine.bytes())
    }
}
