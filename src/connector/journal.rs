//! The journal of a session, which its supervisor lends to the connector of the route's own upstream.

use actix::Message;
use bytestring::ByteString;

use super::messages::{Fact, Generation, Report};
use crate::{
    event::EventNumber,
    flow::{Edge, Ticket},
    recovery::{self, Journal},
    wire,
};

/// What a new connection has to hear so that a session goes on.
#[derive(Debug)]
pub struct SessionJournal {
    /// The messages.
    pub journal: Journal,
    /// The obligations for events that the journal sends at the next connection.
    kept: Vec<Ticket>,
}

/// A journal on loan. When the borrower dies, the journal returns to the supervisor.
#[derive(Debug)]
pub struct Loan {
    journal: Option<Box<SessionJournal>>,
    generation: Generation,
    supervisor: Edge<Report>,
}

/// Supervisor → connector of the route's own upstream, control plane: the session's journal, with which the connector
/// begins to read and to send.
///
/// The journal comes back with [`Ended`](super::Ended), or with [`Fact::Journal`] if the connector has ended before. A
/// connector gets at most one `Lend`, so it always fits in the `CONTROL_ROOM` of the mailbox.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Lend(pub Loan);

// === impl SessionJournal ===

impl SessionJournal {
    /// The journal of a new session.
    pub fn new(recovery: &recovery::Recovery) -> Self {
        Self { journal: recovery.journal(), kept: Vec::new() }
    }

    /// Keeps the obligation for an event that the journal sends at the next connection.
    pub fn keep(&mut self, ticket: Ticket) {
        self.kept.push(ticket);
    }

    /// Takes the obligation for an event, if it is kept.
    pub fn take_kept(&mut self, event: EventNumber) -> Option<Ticket> {
        let at = self.kept.iter().position(|ticket| ticket.event() == event)?;
        Some(self.kept.remove(at))
    }

    /// Takes all kept obligations.
    pub fn take_all_kept(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.kept)
    }
}

// === impl Loan ===

impl Loan {
    /// Lends a journal to the connector of this generation.
    pub fn new(journal: Box<SessionJournal>, generation: Generation, supervisor: Edge<Report>) -> Self {
        Self { journal: Some(journal), generation, supervisor }
    }

    /// The journal; `None` after [`Loan::end`].
    pub fn journal(&mut self) -> Option<&mut SessionJournal> {
        self.journal.as_deref_mut()
    }

    /// Whether the client's events may pass.
    pub fn is_ready(&self) -> bool {
        self.journal.as_ref().is_some_and(|held| held.journal.is_ready())
    }

    /// Ends the loan. The caller returns the journal.
    pub fn end(&mut self) -> Option<Box<SessionJournal>> {
        self.journal.take()
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(journal) = self.journal.take() {
            let fact = Fact::Journal(journal);
            self.supervisor.notify(Report { generation: self.generation, fact });
        }
    }
}

// === Messages ===

/// A message as a journal takes it.
pub fn recorded(message: wire::Message) -> recovery::Message {
    let binary = message.is_binary();
    recovery::Message { payload: message.into_bytes(), binary }
}

/// A message as a connection takes it.
pub fn sendable(recovery::Message { payload, binary }: recovery::Message) -> wire::Message {
    if binary {
        return wire::Message::Binary(payload);
    }
    // A journal changes whole ids in a text, so that it stays UTF-8.
    match ByteString::try_from(payload.clone()) {
        Ok(text) => wire::Message::Text(text),
        Err(_) => wire::Message::Binary(payload),
    }
}
