//! The journal of a session, which its supervisor lends to the connector of the route's own upstream.

use std::sync::Arc;

use actix::Message;
use bytestring::ByteString;

use super::messages::{Fact, Generation, Report};
use crate::{
    event::{Event, EventNumber},
    failure::Failure,
    flow::{Budget, Edge, PartialBytes, Ticket},
    pipeline::upstream_class,
    recovery::{self, Journal, UpstreamClass},
    settings,
    trickle::Instance,
    wire,
};

/// A session's [`Journal`], with the obligations for the events that it keeps.
#[derive(Debug)]
pub struct SessionJournal {
    /// The messages.
    pub journal: Journal,
    /// The obligations for events that the journal sends at the next connection.
    kept: Vec<Ticket>,
    /// Says what the upstream's messages are; `None` if the protocol shows it.
    pub classifier: Option<Classifier>,
    /// The bytes of incomplete packets, in the budgets of client and upstream.
    unfinished: [Option<PartialBytes>; 2],
}

/// A program that says what the upstream's messages are. Its state is that of the session.
#[derive(Debug)]
pub struct Classifier {
    pipeline: Arc<settings::Pipeline>,
    program: Instance,
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
    pub fn new(recovery: &recovery::Recovery, classifier: Option<Classifier>) -> Self {
        Self { journal: recovery.journal(), kept: Vec::new(), classifier, unfinished: [None, None] }
    }

    /// Counts the bytes of packets of which a part has arrived in the budgets of client and upstream, as those of an
    /// incomplete message. Returns whether there is no memory for the rest of one.
    pub fn count_unfinished(&mut self, budgets: [Option<&Arc<Budget>>; 2]) -> bool {
        let mut is_over = false;
        let bytes = self.journal.unfinished();
        for ((counted, budget), bytes) in self.unfinished.iter_mut().zip(budgets).zip(bytes) {
            if bytes > 0 && counted.is_none() {
                *counted = budget.map(PartialBytes::new);
            }
            if let Some(counted) = counted {
                counted.set(bytes);
                is_over |= counted.is_over();
            }
        }
        is_over
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

// === impl Classifier ===

impl Classifier {
    /// The program of this pipeline, for one session.
    pub fn new(pipeline: &Arc<settings::Pipeline>) -> Self {
        let program = pipeline.program.instance();
        Self { pipeline: Arc::clone(pipeline), program }
    }

    /// What the upstream's event is; `None` if the program does not say it. The outputs for other ports are those of the
    /// pipeline, which runs the program too.
    ///
    /// # Errors
    /// When the program fails, or says something that is wrong.
    pub fn class(&mut self, event: Event) -> Result<Option<UpstreamClass>, Failure> {
        let (now_ns, mut outputs) = (event.ingest_ns, Vec::new());
        let result = self.program.run(event, now_ns, &mut outputs).map_err(|error| error.to_string());
        let class = result.and_then(|()| upstream_class(&mut outputs).map_err(|error| error.to_string()));
        class.map_err(|error| {
            log::debug!("program failed pipeline={} port=journal error={error}", self.pipeline.name);
            Failure::program(error, false)
        })
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

#[cfg(test)]
mod tests {
    use actix::{Actor, Context, Handler};
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    use super::*;
    use crate::{
        flow::{AckTracker, Cause, GlobalBudget},
        recovery::{Protocol, Recovery, Settings},
    };

    /// The supervisor in a test, which passes on the generation of each report about a journal.
    struct Home(UnboundedSender<Generation>);

    impl Actor for Home {
        type Context = Context<Self>;
    }

    impl Handler<Report> for Home {
        type Result = ();

        fn handle(&mut self, report: Report, _: &mut Context<Self>) {
            assert!(matches!(report.fact, Fact::Journal(_)), "{report:?}");
            self.0.send(report.generation).unwrap();
        }
    }

    fn journal() -> Box<SessionJournal> {
        let recovery = Recovery::new(&Protocol::Mqtt, Settings::default()).unwrap();
        Box::new(SessionJournal::new(&recovery, None))
    }

    #[actix::test]
    async fn a_journal_on_loan_returns_unless_the_loan_has_ended() {
        let (sender, mut returned) = unbounded_channel();
        let home = Edge::to(&Home(sender).start());
        drop(Loan::new(journal(), Generation(7), home.clone()));
        assert_eq!(returned.recv().await, Some(Generation(7)));
        let mut loan = Loan::new(journal(), Generation(8), home);
        assert!(loan.journal().is_some() && !loan.is_ready());
        assert!(loan.end().is_some() && loan.journal().is_none());
        drop(loan);
        assert_eq!(returned.recv().await, None, "the supervisor is gone, and got nothing more");
    }

    /// A client that begins a packet and does not go on holds memory of the process.
    #[test]
    fn the_parts_of_an_incomplete_packet_count_in_the_budgets() {
        let global = GlobalBudget::new(64 << 10);
        let budgets = [Budget::new(1 << 20, &global), Budget::new(1 << 20, &global)];
        let budgets = [Some(&budgets[0]), Some(&budgets[1])];
        let mut held = journal();
        held.journal.connected(1, std::time::Instant::now());
        while held.journal.poll(std::time::Instant::now()).is_some() {}
        // The header of a PUBLISH of 100,000 bytes, and a part of it.
        let part = |bytes: usize| recovery::Message::binary(vec![0; bytes]);
        held.journal.client(0, recovery::Message::binary(vec![0x30, 0xa0, 0x8d, 0x06, 0, 1, b't']));
        assert!(!held.count_unfinished(budgets));
        assert_eq!(global.used(), 16 << 10, "one piece");
        held.journal.client(1, part(40_000));
        assert!(!held.count_unfinished(budgets));
        assert_eq!(global.used(), 48 << 10);
        held.journal.client(2, part(40_000));
        assert!(held.count_unfinished(budgets), "the memory of the process is used up");
        held.journal.client(3, part(19_997));
        assert!(!held.count_unfinished(budgets));
        assert_eq!(global.used(), 0, "the packet is complete");
        held.journal.client(4, recovery::Message::binary(vec![0x30, 0xa0]));
        held.count_unfinished(budgets);
        assert_eq!(global.used(), 16 << 10);
        drop(held);
        assert_eq!(global.used(), 0);
    }

    #[test]
    fn a_kept_obligation_is_taken_once() {
        let (tracker, mut held) = (AckTracker::new(1, 0), journal());
        for _ in 0..3 {
            held.keep(tracker.issue(Cause::Message));
        }
        assert_eq!(held.take_kept(EventNumber(1)).map(Ticket::redeem), Some(EventNumber(1)));
        assert!(held.take_kept(EventNumber(1)).is_none());
        let rest: Vec<_> = held.take_all_kept().into_iter().map(Ticket::redeem).collect();
        assert_eq!(rest, [EventNumber(0), EventNumber(2)]);
    }

    #[test]
    fn messages_keep_their_kind_and_their_bytes() {
        for message in [wire::Message::Text("ä".into()), wire::Message::Binary(vec![0xff].into())] {
            assert_eq!(sendable(recorded(message.clone())), message);
        }
        let invalid = recovery::Message { payload: vec![0xff].into(), binary: false };
        assert!(sendable(invalid).is_binary(), "a text frame would be refused");
    }
}
