//! Tests of open listeners.

use std::{cell::Cell, net::TcpStream};

use tokio::time::timeout;
use tungstenite::{Message, WebSocket, client};

use super::{queues::Queue, *};
use crate::{
    net::{TcpOptions, listen_to, tune_listening},
    server::{Registry, WorkerLoad},
    settings::{Settings, fixture::load},
};

/// Settings of two listeners that echo without an upstream.
const TWO: &str = r#"
[listener.one]
bind = "127.0.0.1:0"
[listener.two]
bind = "127.0.0.1:0"
[pipeline.echo]
source = "select event from in into reply;"
[[route]]
incoming = ["echo"]
"#;

fn ready(listener: &Listener) -> Vec<ReadySocket> {
    let bind = &listener.bind[0];
    let sockets = listen_to(bind, &listener.bind).unwrap().sockets;
    sockets.into_iter().map(|socket| ReadySocket::new(socket, &bind.text).unwrap()).collect()
}

/// Opens the listeners of [`TWO`]. Returns them with their addresses.
fn open(settings: &Settings, workers: &Workers) -> Vec<(OpenListener, SocketAddr)> {
    open_for(settings, workers, &ServerState::new(settings, 9, Registry::new(Arc::default())))
}

fn open_for(
    settings: &Settings,
    workers: &Workers,
    server: &Arc<ServerState>,
) -> Vec<(OpenListener, SocketAddr)> {
    let open = |listener: &Arc<Listener>| {
        let sockets = ready(listener);
        let address = sockets[0].address();
        (OpenListener::open(listener, sockets, server, workers), address)
    };
    settings.listeners.iter().map(open).collect()
}

/// Runs the blocking part of a test on another thread, while the listeners accept on the test's thread.
async fn blocking<T: Send + 'static>(part: impl FnOnce() -> T + Send + 'static) -> T {
    actix_rt::task::spawn_blocking(part).await.unwrap()
}

fn connect(address: SocketAddr) -> WebSocket<TcpStream> {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client(format!("ws://{address}/"), socket).unwrap().0
}

fn ask(client: &mut WebSocket<TcpStream>, text: &str) {
    client.send(Message::text(text)).unwrap();
    assert_eq!(client.read().unwrap(), Message::text(text));
}

#[actix::test]
async fn closing_a_listener_touches_neither_its_sessions_nor_other_listeners() {
    let settings = load(TWO, &[]).unwrap();
    let workers = Workers::start(2).unwrap();
    let mut listeners = open(&settings, &workers);
    let (two, at_two) = listeners.pop().unwrap();
    let (one, at_one) = listeners.pop().unwrap();
    let mut session = blocking(move || connect(at_one)).await;
    one.close(|_| Backlog::Accept).await;
    assert_eq!(TcpStream::connect(at_one).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    blocking(move || {
        ask(&mut session, "the session continues");
        ask(&mut connect(at_two), "the other listener accepts");
    })
    .await;
    two.close(|_| Backlog::Accept).await;
    workers.stop();
}

#[actix::test]
async fn a_listener_continues_at_another_address() {
    let settings = load(TWO, &[]).unwrap();
    let workers = Workers::start(1).unwrap();
    let mut listeners = open(&settings, &workers);
    let (mut two, at_two) = listeners.pop().unwrap();
    let (one, at_one) = listeners.pop().unwrap();
    let mut session = blocking(move || connect(at_two)).await;
    let more = ready(&settings.listeners[1]);
    let next = more[0].address();
    two.configure(&settings.listeners[1], |_| false, |_| Backlog::Accept, more);
    blocking(move || {
        while TcpStream::connect(at_two).is_ok() {}
        ask(&mut session, "the session continues");
        ask(&mut connect(next), "the new address accepts");
    })
    .await;
    // Another listener gets the address of one that is closed, without a moment in which nobody listens.
    let shared = one.sockets()[0].share().unwrap();
    one.close(|_| Backlog::Leave).await;
    two.configure(&settings.listeners[1], |_| true, |_| Backlog::Accept, vec![shared]);
    blocking(move || [at_one, next].map(|at| ask(&mut connect(at), "both accept"))).await;
    two.close(|_| Backlog::Accept).await;
    workers.stop();
}

/// [`TWO`] without the listener `one`, and with a route for the other one only.
fn without_one() -> Settings {
    let text = TWO.replace("[listener.one]\nbind = \"127.0.0.1:0\"\n", "");
    load(&text.replace("[[route]]", "[[route]]\nlistener = \"two\""), &[]).unwrap()
}

/// With two workers the thread of the test accepts, so that the connections wait in the kernel.
#[actix::test]
async fn connections_that_wait_at_an_address_are_served_when_its_listener_is_removed() {
    let settings = load(TWO, &[]).unwrap();
    let server = ServerState::new(&settings, 9, Registry::new(Arc::default()));
    let workers = Workers::start(2).unwrap();
    let (one, at_one) = open_for(&settings, &workers, &server).swap_remove(0);
    let waiting = TcpStream::connect(at_one).unwrap();
    server.configure(&without_one(), 9);
    one.close(|_| Backlog::Accept).await;
    blocking(move || {
        waiting.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = client(format!("ws://{at_one}/"), waiting).expect("the client is accepted").0;
        ask(&mut client, "the listener is served as before");
    })
    .await;
    workers.stop();
}

#[actix::test]
async fn connections_that_wait_at_an_address_are_served_by_the_listener_that_gets_it() {
    let settings = load(TWO, &[]).unwrap();
    let server = ServerState::new(&settings, 9, Registry::new(Arc::default()));
    let workers = Workers::start(2).unwrap();
    let mut listeners = open_for(&settings, &workers, &server);
    let (mut two, _) = listeners.pop().unwrap();
    let (one, at_one) = listeners.pop().unwrap();
    let waiting: Vec<_> = (0..3).map(|_| TcpStream::connect(at_one).unwrap()).collect();
    let shared = one.sockets()[0].share().unwrap();
    let next = without_one();
    server.configure(&next, 9);
    two.configure(&next.listeners[0], |_| true, |_| Backlog::Accept, vec![shared]);
    one.close(|_| Backlog::Leave).await;
    let sources = blocking(move || {
        for socket in waiting {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut client = client(format!("ws://{at_one}/"), socket).expect("the client is accepted").0;
            ask(&mut client, "a route of the other listener");
        }
    });
    sources.await;
    let sessions = server.registry.sessions(9);
    assert!(sessions.iter().all(|(info, _)| info.listener.name == "two"));
    workers.stop();
}

/// A time limit longer than any step of these tests takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections to a socket of this process, and the queues of two workers.
struct Fixture {
    listening: TcpListener,
    queues: Queues,
    receivers: Vec<mpsc::Receiver<Accepted>>,
}

impl Fixture {
    fn new() -> Self {
        let queue = |_| {
            let (sender, receiver) = mpsc::channel(2);
            (Queue { sender, load: WorkerLoad::default() }, receiver)
        };
        let (workers, receivers) = (0..2).map(queue).unzip();
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { listening, queues: Queues { workers, next: 0 }, receivers }
    }

    async fn push(&mut self, count: usize) {
        for _ in 0..count {
            self.queues.push(connection(&self.listening), "ws").await.unwrap();
        }
    }

    fn queued(&self) -> Vec<usize> {
        self.receivers.iter().map(mpsc::Receiver::len).collect()
    }
}

fn connection(to: &TcpListener) -> Accepted {
    let peer = to.local_addr().unwrap();
    let pending = Arc::<Status>::default().accept();
    let server = ServerState::new(&load(TWO, &[]).unwrap(), 9, Registry::new(Arc::default()));
    let configuration = server.configurations.current();
    let socket = TcpStream::connect(peer).unwrap();
    Accepted { socket, options: AcceptedOptions::Uncertain, peer, pending, configuration }
}

/// Here the listening socket has no options. Some systems pass them on to no connection.
#[actix::test]
async fn connections_without_the_options_of_their_socket_are_asked_for_them() {
    let inherited =
        if cfg!(target_os = "linux") { AcceptedOptions::Inherited } else { AcceptedOptions::Uncertain };
    for (has_options, expected) in [(false, AcceptedOptions::Uncertain), (true, inherited)] {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        listening.set_nonblocking(true).unwrap();
        if has_options {
            tune_listening(&listening, &TcpOptions::OFF).unwrap();
        }
        let address = listening.local_addr().unwrap();
        let (socket, mut options) = (register(listening).unwrap(), AcceptedOptions::Uncertain);
        // Before the second one, the queue is known to be empty.
        for _ in 0..2 {
            let connecting = blocking(move || TcpStream::connect(address).unwrap());
            let (accepted, _client) = tokio::join!(accept_one(&socket, &mut options), connecting);
            accepted.unwrap();
        }
        assert_eq!(options, expected);
    }
}

#[actix::test]
async fn connections_go_to_the_workers_in_turn_and_past_those_that_are_full() {
    let mut fixture = Fixture::new();
    fixture.push(2).await;
    assert_eq!(fixture.queued(), [1, 1]);
    fixture.receivers[1].recv().await.unwrap();
    fixture.push(3).await;
    assert_eq!(fixture.queued(), [2, 2]);
}

#[actix::test]
async fn a_connection_goes_to_the_worker_with_the_fewest() {
    let mut fixture = Fixture::new();
    let mut kept = Vec::new();
    for _ in 0..5 {
        fixture.push(2).await;
        kept.push(fixture.receivers[0].try_recv().or_else(|_| fixture.receivers[1].try_recv()).unwrap());
        // The other connection of the two ends.
        fixture.receivers.iter_mut().for_each(|receiver| drop(receiver.try_recv()));
    }
    let loads: Vec<_> = fixture.queues.workers.iter().map(|queue| queue.load.count()).collect();
    assert!(loads.iter().sum::<usize>() == 5 && loads[0].abs_diff(loads[1]) <= 1, "{loads:?}");
    kept.clear();
    assert!(fixture.queues.workers.iter().all(|queue| queue.load.count() == 0));
}

#[actix::test]
async fn the_first_worker_with_room_takes_a_connection_when_all_queues_are_full() {
    for freed in [0, 1] {
        let mut fixture = Fixture::new();
        fixture.push(4).await;
        let Fixture { listening, queues, receivers } = &mut fixture;
        let (pushed, _received) = tokio::join!(
            timeout(PATIENCE, queues.push(connection(listening), "ws")),
            receivers[freed].recv()
        );
        assert_eq!(pushed.expect("the other worker does not delay it"), Ok(()));
        assert_eq!(fixture.queued(), [2, 2]);
    }
}

#[actix::test]
async fn a_worker_that_has_ended_is_left_out() {
    let mut fixture = Fixture::new();
    drop(fixture.receivers.remove(0));
    fixture.push(2).await;
    assert_eq!((fixture.queued(), fixture.queues.workers.len()), (vec![2], 1));
    fixture.receivers.clear();
    let last = connection(&fixture.listening);
    assert_eq!(fixture.queues.push(last, "ws").await, Err(NoWorker));
}

#[actix::test]
async fn a_panic_costs_one_connection() {
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let (queue, queued) = mpsc::channel(2);
    let (started, mut starts) = mpsc::unbounded_channel();
    thread_local! { static FIRST: Cell<bool> = const { Cell::new(true) }; }
    actix_rt::spawn(serve(queued, move |connection: Accepted| {
        started.send(connection.peer).unwrap();
        assert!(!FIRST.take(), "the first connection panics");
        std::future::ready(())
    }));
    for _ in 0..2 {
        assert!(queue.send(connection(&listening)).await.is_ok());
        assert!(timeout(PATIENCE, starts.recv()).await.unwrap().is_some());
    }
}

#[actix::test]
async fn a_listener_whose_workers_have_ended_is_reported() {
    let settings = load(TWO, &[]).unwrap();
    let workers = Workers::start(2).unwrap();
    let (mut listeners, addresses): (Vec<_>, Vec<_>) = open(&settings, &workers).into_iter().unzip();
    workers.stop();
    let address = addresses[1];
    let connecting = blocking(move || {
        // The queue is closed when the thread has stopped.
        while TcpStream::connect(address).is_ok() {}
    });
    let (name, ()) =
        timeout(PATIENCE, async { tokio::join!(OpenListener::failed(&mut listeners), connecting) })
            .await
            .expect("the listener ends");
    assert_eq!(name, "two");
}

#[actix::test]
async fn a_single_worker_accepts_while_the_main_thread_is_busy() {
    let workers = Workers::start(1).unwrap();
    let listeners = open(&load(TWO, &[]).unwrap(), &workers);
    // Blocks the thread of the test.
    ask(&mut connect(listeners[0].1), "accepted");
    workers.stop();
}

#[actix::test]
async fn the_end_of_a_single_worker_is_reported() {
    let workers = Workers::start(1).unwrap();
    let (mut listeners, _): (Vec<_>, Vec<_>) = open(&load(TWO, &[]).unwrap(), &workers).into_iter().unzip();
    workers.stop();
    let ended = timeout(PATIENCE, OpenListener::failed(&mut listeners)).await;
    assert!(ended.is_ok(), "no listener ends");
}

#[actix::test]
async fn a_dropped_listener_closes_its_sockets() {
    let settings = load(TWO, &[]).unwrap();
    let workers = Workers::start(1).unwrap();
    let (listeners, addresses): (Vec<_>, Vec<_>) = open(&settings, &workers).into_iter().unzip();
    drop(listeners);
    let closed = blocking(move || while TcpStream::connect(addresses[0]).is_ok() {});
    timeout(PATIENCE, closed).await.expect("the socket closes");
}
