//! Tests of sessions whose actors panic: their clients get error replies or a close frame, and other sessions
//! are unaffected.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use actix::Addr;
use actix_http::{Uri, header::HeaderMap};
use actix_rt::net::{TcpListener, TcpStream};
use bytes::Bytes;
use serde_json::json;

use super::{UpstreamStart, link_actors, start};
use crate::{
    codec::Codec,
    event::{Data, Event},
    flow::{AckTracker, Edge, GlobalBudget, mailbox_room},
    format_error::FormatError,
    net::{Network, Socket},
    pipeline::{LazyChain, Output, Pipeline, Stage},
    session::{self, Parts, Session, SessionGuard},
    settings::{self, Listener, Route, Settings, fixture},
    trickle::{Port, RuntimeError},
    upstream::{ClientPath, DialPlan, Dialed, Dialer, First, SessionKey, Upstream},
    wire::{CloseFrame, Incoming, Limits, Link, LinkError, LivenessConfig, Message, Role},
};

const LIMITS: Limits = Limits { max_message: 1 << 20, max_frame: 1 << 20, buffer: 64 << 10 };

/// Settings in which a pipeline echoes, so that no upstream is needed.
const ECHO: &str = r#"
[listener.ws]
bind = "127.0.0.1:9139"
[pipeline.echo]
source = "select event from in into reply;"
[[route]]
incoming = ["echo"]
"#;

/// Settings in request mode, with restarts that never happen within a test.
pub(super) const PROXY: &str = r#"
[listener.ws]
bind = "127.0.0.1:9139"
close_timeout = "200ms"
[upstream.echo]
url = "ws://127.0.0.1:1"
close_timeout = "200ms"
exchange = "request"
restart = { min = "1h", max = "1h" }
[pipeline.pass]
source = "select event from in into out;"
[[route]]
incoming = ["pass"]
upstream = "echo"
outgoing = ["pass"]
errors = ["pass"]
"#;

/// One end of a WebSocket connection in a test.
pub(super) struct Peer(Link<TcpStream, ()>);

impl Peer {
    fn new(socket: TcpStream, role: Role) -> Self {
        Self(Link::new(socket, role, LIMITS, &LivenessConfig::OFF, Bytes::new()))
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.0.push(Message::Text(text.into()), ()).unwrap();
        poll_fn(|cx| self.0.poll_flush(cx, drop)).await.unwrap();
    }

    async fn recv(&mut self) -> Result<Incoming, LinkError> {
        poll_fn(|cx| self.0.poll_next(cx)).await
    }

    pub(super) async fn text(&mut self) -> String {
        match self.recv().await {
            Ok(Incoming::Message(Message::Text(text))) => text.to_string(),
            other => panic!("no text: {other:?}"),
        }
    }

    async fn json(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    async fn close_code(&mut self) -> u16 {
        match self.recv().await {
            Ok(Incoming::Close(Some(CloseFrame { code, .. }))) => code,
            other => panic!("no close frame with a code: {other:?}"),
        }
    }
}

/// A session guard that counts the sessions.
struct Count(Arc<AtomicUsize>);

impl Count {
    fn enter(count: &Arc<AtomicUsize>) -> Box<Self> {
        count.fetch_add(1, SeqCst);
        Box::new(Self(Arc::clone(count)))
    }
}

impl SessionGuard for Count {}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Starts sessions for tests.
pub(super) struct TestBed {
    settings: Settings,
    count: Arc<AtomicUsize>,
    tracker: Weak<AckTracker>,
}

impl TestBed {
    pub(super) fn new(settings: &str) -> Self {
        let settings = fixture::load(settings, &[]).unwrap();
        Self { settings, count: Arc::default(), tracker: Weak::new() }
    }

    pub(super) fn route(&self) -> &Arc<Route> {
        &self.settings.routes[0]
    }

    fn with_listener(mut self, codec: &'static dyn Codec) -> Self {
        let mut listener = Listener::clone(&self.settings.listeners[0]);
        listener.format.codec = codec;
        self.settings.listeners[0] = Arc::new(listener);
        self
    }

    fn with_upstream(mut self, codec: &'static dyn Codec) -> Self {
        let mut upstream = settings::Upstream::clone(&self.settings.upstreams["echo"]);
        upstream.format.codec = codec;
        let route = Route { upstream: Some(Arc::new(upstream)), ..Route::clone(self.route()) };
        self.settings.routes[0] = Arc::new(route);
        self
    }

    /// Creates the parts of a new session, and the client's end of its socket.
    pub(super) async fn parts(&mut self) -> (Parts, Peer) {
        let (client, socket) = pair().await;
        let tracker = AckTracker::new(1, 0);
        self.tracker = Arc::downgrade(&tracker);
        let parts = Parts {
            tap: None,
            trace: None,
            tracker,
            figures: Arc::default(),
            listener: Arc::clone(&self.settings.listeners[0]),
            upstream: self.route().upstream.clone(),
            socket: socket.into(),
            rest: Bytes::new(),
            origin: None,
            meta: None,
            known: None,
            renewal: None,
            global_budget: GlobalBudget::new(usize::MAX),
            rates: Vec::new(),
            lifetime: None,
            access: None,
            guard: Count::enter(&self.count),
        };
        (parts, Peer::new(client, Role::Client))
    }

    /// A connection to an upstream, and its far end.
    pub(super) async fn upstream(&self) -> (UpstreamStart, Peer) {
        let (upstream, socket) = pair().await;
        let shared = Upstream::new(self.route().upstream.clone().unwrap(), Network::system());
        let path = ClientPath::new(self.route(), shared.settings(), &Uri::from_static("/")).unwrap();
        let destination = shared.destination(&path).unwrap();
        let plan = DialPlan {
            dialers: None,
            dialer: Dialer::new(&shared),
            path,
            destination: destination.clone(),
            key: SessionKey::known(None),
            headers: Vec::new().into(),
            protocols: [].into(),
        };
        let mut lease = destination.endpoint.lease();
        shared.report_up(&mut lease);
        let first = First::Up(Box::new(Dialed {
            socket: Socket::Tcp(socket),
            rest: Bytes::new(),
            protocol: None,
            headers: HeaderMap::new(),
            destination,
            lease,
        }));
        (UpstreamStart { plan, first }, Peer::new(upstream, Role::Server))
    }

    /// Starts a session with a connection to an upstream. The test holds the far ends of both connections.
    async fn proxy(&mut self) -> (Peer, Peer) {
        let (parts, client) = self.parts().await;
        let (upstream, peer) = self.upstream().await;
        start(parts, self.route(), Some(upstream));
        (client, peer)
    }

    /// Waits until the session and all its actors are gone.
    pub(super) async fn gone(&self) {
        while self.count.load(SeqCst) > 0 || self.tracker.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Runs a test on one thread, as a worker does, within a deadline.
pub(super) fn on_worker(test: impl Future<Output = ()>) {
    actix::System::new().block_on(async {
        tokio::time::timeout(Duration::from_secs(10), test).await.expect("the test ends in time");
    });
}

/// Starts another session on the same thread, which must continue.
async fn bystander() -> Peer {
    let mut bed = TestBed::new(ECHO);
    let (parts, mut client) = bed.parts().await;
    start(parts, bed.route(), None);
    client.send("before").await;
    assert_eq!(client.text().await, "before");
    client
}

async fn assert_echoes(mut bystander: Peer) {
    bystander.send("after").await;
    assert_eq!(bystander.text().await, "after");
}

#[derive(Debug)]
struct Panics;

impl Stage for Panics {
    fn run(&mut self, _: Event, _: u64, _: &mut Vec<(Port, Event)>) -> Result<(), RuntimeError> {
        panic!("a pipeline, on purpose")
    }
}

impl Codec for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn decode(&self, _: Bytes) -> Result<Data, FormatError> {
        panic!("a codec, on purpose")
    }

    fn encode(&self, data: Data) -> Result<Bytes, FormatError> {
        crate::codec::lookup("string").unwrap().encode(data)
    }
}

#[test]
fn a_pipeline_that_panics_closes_its_session_with_1011_after_the_error_replies() {
    on_worker(async {
        let bystander = bystander().await;
        let mut bed = TestBed::new(ECHO);
        let (parts, mut client) = bed.parts().await;
        let (route, tracker) = (Arc::clone(bed.route()), Arc::clone(&parts.tracker));
        let room = mailbox_room(LIMITS.buffer);
        Session::start(parts, |session: &Addr<Session>| {
            let stage: Box<dyn Stage> = Box::new(Panics);
            let to_session = Edge::rare(session);
            let errors = LazyChain::new(&route, &to_session, room);
            let pipeline = Pipeline::double(&route.incoming[0], stage, to_session, tracker, room);
            session::SessionLinks {
                incoming: Output::Next(Edge::to(&pipeline)),
                last_incoming: None,
                announced: None,
                errors,
                supervisor: None,
                upstream_budget: None,
                replies_errors: true,
                first_data: None,
            }
        });
        client.send("one").await;
        let reply = json!({"error": "Error processing event: internal error", "event_id": "1:0:0"});
        assert_eq!(client.json().await, reply);
        assert_eq!(client.close_code().await, 1011);
        drop(client);
        bed.gone().await;
        assert_echoes(bystander).await;
    });
}

#[test]
fn a_connector_that_panics_fails_its_events_and_its_session_continues() {
    on_worker(async {
        let bystander = bystander().await;
        let mut bed = TestBed::new(PROXY).with_upstream(&Panics);
        let (mut client, mut upstream) = bed.proxy().await;
        client.send("one").await;
        assert_eq!(upstream.text().await, "one");
        upstream.send("a reply that the codec panics on").await;
        let lost = "Error receiving reply from server ws://127.0.0.1:1: internal error";
        assert_eq!(client.json().await, json!({"error": lost, "event_id": "1:0:0"}));
        client.send("two").await;
        let down = "Error sending event to server ws://127.0.0.1:1: Trying to work with closed connection";
        assert_eq!(client.json().await, json!({"error": down, "event_id": "1:0:1"}));
        drop(client);
        bed.gone().await;
        assert_echoes(bystander).await;
    });
}

/// A codec that panics on one text.
#[derive(Debug)]
struct PanicsOnce;

const FATAL: &str = "a message that the codec panics on";

impl Codec for PanicsOnce {
    fn name(&self) -> &'static str {
        "panics-once"
    }

    fn decode(&self, bytes: Bytes) -> Result<Data, FormatError> {
        assert_ne!(bytes, FATAL.as_bytes(), "a codec, on purpose");
        crate::codec::lookup("string").unwrap().decode(bytes)
    }

    fn encode(&self, data: Data) -> Result<Bytes, FormatError> {
        let bytes = Panics.encode(data)?;
        assert_ne!(bytes, FATAL.as_bytes(), "a codec, on purpose");
        Ok(bytes)
    }
}

#[test]
fn the_journal_of_a_session_outlives_a_connector_that_panics() {
    on_worker(async {
        let settings = PROXY.replace("exchange = \"request\"", "recovery.preset = \"json-rpc\"");
        let mut bed = TestBed::new(&settings).with_upstream(&PanicsOnce);
        let (mut client, mut upstream) = bed.proxy().await;
        let request = r#"{"id":1,"method":"eth_chainId"}"#;
        client.send(request).await;
        assert_eq!(upstream.text().await, request);
        upstream.send(FATAL).await;
        // The journal has kept the request, and the supervisor has the journal.
        for text in ["Error receiving reply from", "Error sending event to"] {
            let error = client.json().await;
            assert_eq!(error["id"], 1, "{error}");
            let message = error["error"]["message"].as_str().unwrap();
            assert!(message.starts_with(text), "{message}");
            client.send(request).await;
        }
        drop(client);
        bed.gone().await;
    });
}

/// The supervisor converts the client's messages while there is no connection.
#[test]
fn a_supervisor_that_panics_closes_its_session_with_1011_after_the_error_reply() {
    on_worker(async {
        let bystander = bystander().await;
        let settings = PROXY.replace("exchange = \"request\"", "recovery.preset = \"json-rpc\"");
        let settings = settings.replace("[[route]]", "[[route]]\nerror_replies = true");
        let mut bed = TestBed::new(&settings).with_upstream(&PanicsOnce);
        let (mut client, upstream) = bed.proxy().await;
        drop(upstream);
        client.send(r#"{"id":1,"method":"eth_chainId"}"#).await;
        assert_eq!(client.json().await["id"], 1, "the journal's error");
        client.send(FATAL).await;
        let reply = json!({"error": "Error processing event: internal error", "event_id": "1:0:1"});
        assert_eq!(client.json().await, reply);
        assert_eq!(client.close_code().await, 1011);
        drop(client);
        bed.gone().await;
        assert_echoes(bystander).await;
    });
}

#[test]
fn events_after_a_connector_panicked_are_held_and_fail_in_time() {
    on_worker(async {
        let hold = PROXY.replace("restart =", "recovery = { hold = \"300ms\" }\nrestart =");
        let mut bed = TestBed::new(&hold).with_upstream(&Panics);
        let (mut client, mut upstream) = bed.proxy().await;
        client.send("one").await;
        assert_eq!(upstream.text().await, "one");
        upstream.send("a reply that the codec panics on").await;
        let lost = "Error receiving reply from server ws://127.0.0.1:1: internal error";
        assert_eq!(client.json().await, json!({"error": lost, "event_id": "1:0:0"}));
        let start = std::time::Instant::now();
        client.send("two").await;
        client.send("three").await;
        let down = "Error sending event to server ws://127.0.0.1:1: Trying to work with closed connection";
        for event in ["1:0:1", "1:0:2"] {
            assert_eq!(client.json().await, json!({"error": down, "event_id": event}));
        }
        assert!(start.elapsed() >= Duration::from_millis(250), "they waited");
        client.send("four").await;
        drop(client);
        bed.gone().await;
    });
}

#[test]
fn a_session_that_panics_ends_only_its_own_connection() {
    on_worker(async {
        let bystander = bystander().await;
        let mut bed = TestBed::new(PROXY).with_listener(&Panics);
        let (mut client, mut upstream) = bed.proxy().await;
        client.0.push(Message::Binary(Bytes::from_static(b"one")), ()).unwrap();
        poll_fn(|cx| client.0.poll_flush(cx, drop)).await.unwrap();
        assert!(client.recv().await.is_err(), "the client's connection ends");
        assert_eq!(upstream.close_code().await, 1001);
        drop(upstream);
        bed.gone().await;
        assert_echoes(bystander).await;
    });
}

/// The supervisor lives until it gets `SessionOver`, which the session has not sent.
#[test]
fn a_session_that_panics_while_it_starts_leaves_no_supervisor() {
    on_worker(async {
        let mut bed = TestBed::new(PROXY);
        let (parts, _client) = bed.parts().await;
        let (begun, mut upstream) = bed.upstream().await;
        let (tracker, figures, budget) =
            (Arc::clone(&parts.tracker), Arc::clone(&parts.figures), Arc::clone(&parts.global_budget));
        let started = catch_unwind(AssertUnwindSafe(|| {
            Session::start(parts, |session| {
                let ids = (&tracker, &figures, None);
                let _links = link_actors(session, ids, &budget, LIMITS.buffer, bed.route(), Some(begun));
                panic!("a session, on purpose")
            })
        }));
        assert!(started.is_err());
        drop(tracker);
        assert_eq!(upstream.close_code().await, 1001);
        drop(upstream);
        bed.gone().await;
    });
}

#[test]
fn no_actor_remains_after_a_session() {
    on_worker(async {
        let mut bed = TestBed::new(PROXY);
        for way in 0..3 {
            let (mut client, mut upstream) = bed.proxy().await;
            client.send("one").await;
            assert_eq!(upstream.text().await, "one");
            upstream.send("two").await;
            assert_eq!(client.text().await, "two");
            match way {
                0 => drop(client),
                1 => {
                    drop(upstream);
                    drop(client);
                }
                _ => {
                    client.0.close(Some(&CloseFrame::new(1000, "bye")));
                    poll_fn(|cx| client.0.poll_flush(cx, drop)).await.unwrap();
                    assert_eq!(client.close_code().await, 1000);
                    assert_eq!(upstream.close_code().await, 1000);
                }
            }
            bed.gone().await;
        }
    });
}
