//! Tests of events on their way while the output of the incoming pipelines is switched. The output is a double, which
//! switches when the test says so.

use std::{rc::Rc, sync::Arc};

use actix::{Actor, ActorContext, Addr, Context, Handler};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    UpstreamStart,
    tests::{PROXY, Peer, TestBed, on_worker},
};
use crate::{
    connector::{Ended, Fact, Generation, Release, Report},
    event::{Event, Meta, Value},
    failure::Failure,
    flow::{AckStatus, AckTracker, Budget, Cause, DataMessage, Edge, Envelope, GlobalBudget, Kind, Mark},
    pipeline::{Attach, Output, UpstreamEdge},
    supervisor::{StopUpstream, Supervisor, SupervisorLinks},
    turn::now_ns,
};

/// An actor that passes its messages to the test.
struct Double<M>(UnboundedSender<M>);

impl<M: actix::Message<Result = ()> + Unpin + 'static> Double<M> {
    fn begin() -> (Addr<Self>, UnboundedReceiver<M>) {
        let (sender, messages) = unbounded_channel();
        (Self(sender).start(), messages)
    }
}

impl<M: Unpin + 'static> Actor for Double<M> {
    type Context = Context<Self>;
}

impl<M: actix::Message<Result = ()> + Unpin + 'static> Handler<M> for Double<M> {
    type Result = ();

    /// Stops when the test has dropped its receiver.
    fn handle(&mut self, message: M, ctx: &mut Context<Self>) {
        if self.0.send(message).is_err() {
            ctx.stop();
        }
    }
}

/// A supervisor between two doubles, and the far end of its first connection.
struct Rig {
    supervisor: Edge<DataMessage>,
    /// The connector to which the output sends from the start.
    attached: Option<Edge<DataMessage>>,
    reports: Edge<Report>,
    stop: Edge<StopUpstream>,
    attaches: UnboundedReceiver<Attach>,
    back: UnboundedReceiver<DataMessage>,
    tracker: Arc<AckTracker>,
    /// `None` once the test has dropped it.
    upstream: Option<Peer>,
}

impl Rig {
    /// The output is a pipeline.
    async fn new(settings: &str) -> Self {
        Self::with(settings, true).await
    }

    async fn with(settings: &str, has_incoming: bool) -> Self {
        let bed = TestBed::new(settings);
        let (UpstreamStart { plan, first }, upstream) = bed.upstream().await;
        let tracker = AckTracker::new(1, 0);
        let ((output, attaches), (session, back)) = (Double::begin(), Double::begin());
        let links = SupervisorLinks {
            tap: None,
            output: Edge::to(&output),
            has_incoming,
            back: Edge::to(&session),
            has_outgoing: false,
            tracker: Arc::clone(&tracker),
            figures: Arc::default(),
            budget: Budget::new(64 << 10, &GlobalBudget::new(usize::MAX)),
            room: 64 << 10,
            keeps_client: true,
            replies_errors: true,
            reads_origin: false,
            classifier: None,
            announced: None,
        };
        let (supervisor, attached) = Supervisor::start(plan, first, |_| links, 64 << 10);
        Self {
            supervisor: Edge::to(&supervisor),
            attached,
            reports: Edge::to(&supervisor),
            stop: Edge::to(&supervisor),
            attaches,
            back,
            tracker,
            upstream: Some(upstream),
        }
    }

    /// A message with one event, whose number is that of the calls before.
    fn event(&self, text: &str) -> DataMessage {
        DataMessage::Events(vec![self.envelope(text)])
    }

    fn envelope(&self, text: &str) -> Envelope {
        let ticket = self.tracker.issue(Cause::Message);
        let (data, meta) = (Value::string(text).into(), Meta::new(false, None));
        let event = Event { id: ticket.id(), data, meta, origin: None, ingest_ns: now_ns() };
        Envelope { event, kind: Kind::Request, ticket, permit: None, class: None }
    }

    /// Reports as the first connector.
    fn report(&self, fact: Fact) {
        self.reports.notify(Report { generation: Generation(1), fact });
    }

    async fn attach(&mut self) -> Attach {
        self.attaches.recv().await.unwrap()
    }

    /// The number of the next event that fails.
    async fn failed(&mut self) -> u64 {
        let message = self.back.recv().await.unwrap();
        let DataMessage::Failed(failed) = message else { panic!("no failure: {message:?}") };
        assert_eq!(failed.len(), 1, "{failed:?}");
        failed[0].event.0
    }

    /// The texts of the next messages for the client.
    async fn answers(&mut self, count: usize) -> Vec<String> {
        let (mut answers, mut waiting) = (Vec::new(), Vec::new());
        while answers.len() < count {
            let Some(message) = waiting.pop() else {
                waiting.push(self.back.recv().await.unwrap());
                continue;
            };
            match message {
                DataMessage::Several(messages) => waiting.extend(messages.into_iter().rev()),
                DataMessage::Events(envelopes) => answers.extend(envelopes.into_iter().map(|answer| {
                    let Value::String(text) = answer.event.data.to_value() else { panic!("{answer:?}") };
                    answer.ticket.settle(AckStatus::Delivered);
                    text.to_string()
                })),
                other => panic!("not in the client's protocol: {other:?}"),
            }
        }
        answers
    }
}

/// The end of a connection that leaves these events, at a connector that did not get the journal.
fn ended(failure: Failure, waiting: Vec<Envelope>) -> Fact {
    Fact::Ended(Ended {
        failure,
        is_yielded: false,
        unsettled: Vec::new(),
        unwritten: Vec::new(),
        waiting,
        last_written: None,
        journal: None,
        verdict: None,
    })
}

fn request(id: u64) -> String {
    format!(r#"{{"id":{id},"method":"eth_chainId"}}"#)
}

/// The error for that request in JSON-RPC.
fn refused(id: u64, text: &str) -> String {
    let text = format!("Error sending event to server ws://127.0.0.1:1: {text}");
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32000,"message":"{text}"}}}}"#)
}

/// Settings with a journal, and with these for `recovery` besides.
fn journal(recovery: &str) -> String {
    PROXY.replace("exchange = \"request\"", &format!("recovery.preset = \"json-rpc\"\n{recovery}"))
}

/// The connection is up, and the output has not been switched yet.
#[test]
fn an_event_before_the_switch_goes_to_the_connection_before_later_ones() {
    on_worker(async {
        for settings in [PROXY, &journal("")] {
            let mut rig = Rig::new(settings).await;
            let Attach { connector, mark } = rig.attach().await;
            rig.supervisor.notify(rig.event(&request(1)));
            connector.unwrap().notify(rig.event(&request(2)));
            rig.supervisor.notify(rig.event(&request(3)));
            rig.supervisor.notify(DataMessage::Mark(mark));
            for id in [1, 3, 2] {
                assert_eq!(rig.upstream.as_mut().unwrap().text().await, request(id));
            }
            assert!(rig.back.try_recv().is_err(), "no event has failed");
        }
    });
}

/// Without pipelines, a session sends to the first connection from the start.
#[test]
fn the_first_connection_is_attached_at_once() {
    on_worker(async {
        let mut rig = Rig::with(PROXY, false).await;
        let connector = rig.attached.take().unwrap();
        connector.notify(rig.event(&request(1)));
        assert_eq!(rig.upstream.as_mut().unwrap().text().await, request(1));
        assert!(rig.attaches.try_recv().is_err(), "the output is not switched");
        rig.upstream = None;
        assert_eq!(rig.failed().await, 0);
        let Attach { connector: none, mark } = rig.attach().await;
        assert!(none.is_none(), "the loss");
        // The connector has ended. It returns the events that the output sends before it is switched, and then the mark.
        connector.notify(rig.event("before"));
        connector.notify(DataMessage::Mark(mark));
        rig.supervisor.notify(rig.event("after"));
        let mut failed = [rig.failed().await, rig.failed().await];
        failed.sort_unstable();
        assert_eq!(failed, [1, 2]);
    });
}

/// With a journal or `hold`, the first connection waits for its release.
#[test]
fn a_connection_that_needs_more_than_events_is_attached_later() {
    on_worker(async {
        for settings in
            [&journal(""), &PROXY.replace("[upstream.echo]", "[upstream.echo]\nrecovery.hold = \"1m\"")]
        {
            let mut rig = Rig::with(settings, false).await;
            assert!(rig.attached.is_none());
            assert!(rig.attach().await.connector.is_some());
        }
    });
}

/// Without `hold`, events that wait for the switch fail with the connection, before those that come after it.
#[test]
fn an_event_before_the_switch_fails_with_the_connection() {
    on_worker(async {
        let mut rig = Rig::new(PROXY).await;
        rig.attach().await;
        rig.supervisor.notify(rig.event("before"));
        // The connector reads nothing before the switch. It has ended because it panicked.
        rig.report(ended(Failure::lost(), Vec::new()));
        assert!(rig.attach().await.connector.is_none(), "the loss");
        rig.supervisor.notify(rig.event("after"));
        assert_eq!([rig.failed().await, rig.failed().await], [0, 1]);
    });
}

/// The connection ends while the journal is on its way to the connector. The events fail before it is back, and their
/// errors are in the client's protocol all the same.
#[test]
fn events_that_fail_while_the_journal_is_on_its_way_wait_for_it() {
    on_worker(async {
        let mut rig = Rig::new(&journal("")).await;
        let Attach { mark, .. } = rig.attach().await;
        let [waiting, returned, late] = [0, 1, 2].map(|id| rig.envelope(&request(id)));
        // The supervisor lends the journal, and then learns that the connection has ended.
        rig.supervisor.notify(DataMessage::Mark(mark));
        rig.report(ended(Failure::not_connected(), vec![waiting]));
        rig.report(Fact::Returned(Release { events: vec![returned], replaces: None }));
        rig.report(Fact::Unsent(vec![late]));
        rig.supervisor.notify(rig.event(&request(3)));
        // The journal is back once the real connector has ended.
        rig.upstream = None;
        let answers = rig.answers(4).await;
        let expected = [0, 1, 2, 3].map(|id| refused(id, "Trying to work with closed connection"));
        assert_eq!(answers, expected);
    });
}

/// The same for events that are kept for another connection, when the session ends.
#[test]
fn kept_events_that_fail_while_the_journal_is_on_its_way_wait_for_it() {
    on_worker(async {
        let mut rig = Rig::new(&journal("recovery.hold = \"10m\"")).await;
        let Attach { mark, .. } = rig.attach().await;
        let waiting = rig.envelope(&request(0));
        rig.supervisor.notify(DataMessage::Mark(mark));
        rig.report(ended(Failure::not_connected(), vec![waiting]));
        rig.stop.notify(StopUpstream(None));
        rig.upstream = None;
        assert_eq!(rig.answers(1).await, [refused(0, "Connection is closing")]);
    });
}

/// A connector has stopped, because it panicked. The supervisor gets back the events that the connector had not taken,
/// and after them the mark.
#[test]
fn a_mark_that_falls_back_follows_the_events_before_it() {
    on_worker(async {
        let rig = Rig::new(PROXY).await;
        let (connector, taken) = Double::<DataMessage>::begin();
        let (supervisor, mut fallen) = Double::begin();
        let mut output = Output::Upstream(UpstreamEdge::new(Rc::new(|_| false), Edge::to(&supervisor)));
        output.attach(Attach { connector: Some(Edge::to(&connector)), mark: Mark(1) });
        drop(taken);
        output.push(DataMessage::Mark(Mark(0)));
        while connector.connected() {
            tokio::task::yield_now().await;
        }
        output.push(rig.event("not taken"));
        output.attach(Attach { connector: None, mark: Mark(2) });
        output.push(rig.event("later"));
        let mut next = async || match fallen.recv().await.unwrap() {
            DataMessage::Mark(mark) => mark.0,
            DataMessage::Events(envelopes) => 10 + envelopes[0].ticket.event().0,
            other => panic!("{other:?}"),
        };
        assert_eq!([next().await, next().await, next().await, next().await], [1, 10, 2, 11]);
    });
}
