//! An open listener: it accepts connections and passes them to the worker threads in turn.
//!
//! ```text
//! socket ─► accept ─┬─► queue ─► ListenerWorker on thread 1
//! socket ─► accept ─┴─► queue ─► ListenerWorker on thread 2
//! ```

use std::{
    future::{Future, poll_fn, ready},
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener, TcpStream},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use actix_rt::task::JoinHandle;
use tokio::{
    io::unix::AsyncFd,
    sync::{
        mpsc::{self, error::TrySendError},
        watch,
    },
    time::sleep,
};

use super::{
    accept::accept,
    certificates::follow_certificates,
    state::{ListenerState, ServerState, SocketTask},
    worker::ListenerWorker,
};
use crate::{
    net::{Stream, canonical},
    restart::restarted,
    server::{Pending, Status, Workers},
    settings::Listener,
};

/// Maximum number of connections of a listener that wait for one worker thread. When all queues are full,
/// connections wait in the kernel. The number is small, because queued sockets take file descriptors without a
/// slot; see `capacity`.
const ACCEPT_QUEUE_MAX: usize = 32;

/// The pause after an error that does not concern one connection, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// A listener that accepts connections. It can be closed independently of the others. Dropping it closes its
/// sockets and drops the connection that waits for a queue, if any.
pub struct OpenListener {
    /// The listener's name.
    name: String,
    /// The accepting tasks, one for each socket.
    accepting: Vec<JoinHandle<()>>,
    /// Reads certificates again when their files change.
    following: JoinHandle<()>,
    /// Whether the tasks are to accept connections.
    is_open: watch::Sender<bool>,
}

/// The queues of accepted connections, one for each worker thread.
struct Queues {
    workers: Vec<mpsc::Sender<Accepted>>,
    /// The position of the worker for the next connection.
    next: usize,
}

/// A connection that has been accepted.
struct Accepted {
    /// The socket, in no event loop yet. The worker thread registers it with its event loop.
    socket: TcpStream,
    /// The client's address.
    peer: SocketAddr,
    pending: Pending,
}

/// The error when all worker threads have stopped.
#[derive(Debug, PartialEq, Eq)]
struct NoWorker;

// === impl OpenListener ===

impl OpenListener {
    /// Opens the listener on all worker threads. `sockets` are already listening; see [`bind`](super::bind).
    ///
    /// # Errors
    /// When a socket cannot be registered with the event loop. Nothing is running then.
    pub fn open(
        listener: &Arc<Listener>,
        sockets: Vec<TcpListener>,
        server: &Arc<ServerState>,
        workers: &Workers,
    ) -> io::Result<Self> {
        let sockets = sockets.into_iter().map(register).collect::<io::Result<Vec<_>>>()?;
        let state = ListenerState::new(listener, server);
        let (queues, queued): (Vec<_>, Vec<_>) =
            (0..workers.count()).map(|_| mpsc::channel(ACCEPT_QUEUE_MAX)).unzip();
        workers.run_each(queued.into_iter().map(|queue| {
            let (listener, state, server) = (Arc::clone(listener), Arc::clone(&state), Arc::clone(server));
            move || {
                let worker = ListenerWorker::open(&listener, state, server);
                actix_rt::spawn(serve(queue, move |connection| start(Rc::clone(&worker), connection)));
            }
        }));
        let is_open = watch::Sender::new(true);
        let status = server.registry.status();
        let accepting = sockets.into_iter().map(|socket| {
            let queues = Queues { workers: queues.clone(), next: 0 };
            let (state, status) = (Arc::clone(&state), Arc::clone(status));
            actix_rt::spawn(accept_all(state, socket, queues, status, is_open.subscribe()))
        });
        let (name, state_of_all) = (listener.name.clone(), Arc::clone(server));
        let following = actix_rt::spawn(async move {
            restarted("listener certificates", || {
                follow_certificates(name.clone(), Arc::clone(&state_of_all))
            })
            .await;
        });
        Ok(Self { name: listener.name.clone(), accepting: accepting.collect(), following, is_open })
    }

    /// Passes on the connections that the kernel has accepted, and closes the sockets. Connections that have been
    /// accepted continue. Waits while the queues of all workers are full.
    pub async fn close(mut self) {
        self.is_open.send_replace(false);
        for task in &mut self.accepting {
            // A task that has panicked has closed its socket too.
            let _ = task.await;
        }
        self.accepting.clear();
    }

    /// Waits until one of these listeners stops accepting, which is an error in the program. Returns the name of the
    /// listener.
    pub async fn failed(listeners: &mut [Self]) -> String {
        poll_fn(|context| {
            for listener in &mut *listeners {
                let ended = |task: &mut JoinHandle<()>| Pin::new(task).poll(context).is_ready();
                if let Some(position) = listener.accepting.iter_mut().position(ended) {
                    listener.accepting.swap_remove(position);
                    return Poll::Ready(listener.name.clone());
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl Drop for OpenListener {
    fn drop(&mut self) {
        for task in self.accepting.iter().chain([&self.following]) {
            task.abort();
        }
    }
}

// === impl Queues ===

impl Queues {
    /// Passes a connection to the next worker whose queue is not full. While all queues are full, waits for the
    /// first that is not.
    async fn push(&mut self, mut connection: Accepted, listener: &str) -> Result<(), NoWorker> {
        for _ in 0..self.workers.len() {
            let worker = self.next % self.workers.len();
            self.next = worker + 1;
            match self.workers[worker].try_send(connection) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) => connection = back,
                Err(TrySendError::Closed(back)) => {
                    connection = back;
                    self.workers.swap_remove(worker);
                    log::error!("a worker thread takes no more connections listener={listener}");
                }
            }
        }
        first_with_room(&self.workers).await.map(|permit| permit.send(connection)).ok_or(NoWorker)
    }
}

/// Waits until a queue is not full. Returns `None` when all queues are closed.
async fn first_with_room(queues: &[mpsc::Sender<Accepted>]) -> Option<mpsc::Permit<'_, Accepted>> {
    let mut waits: Vec<_> = queues.iter().map(|queue| Box::pin(queue.reserve())).collect();
    poll_fn(|context| {
        let mut room = None;
        waits.retain_mut(|wait| {
            if room.is_some() {
                return true;
            }
            let reserved = wait.as_mut().poll(context);
            let waits_on = reserved.is_pending();
            if let Poll::Ready(Ok(permit)) = reserved {
                room = Some(permit);
            }
            waits_on
        });
        if room.is_none() && !waits.is_empty() { Poll::Pending } else { Poll::Ready(room) }
    })
    .await
}

/// Registers a listening socket with this thread's event loop.
#[expect(
    deprecated,
    reason = "the other constructors are unsafe; this value owns its socket and never replaces it"
)]
fn register(socket: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    socket.set_nonblocking(true)?;
    AsyncFd::new(socket)
}

/// Accepts the connections of one socket, until the listener is closed and the kernel has no more of them.
async fn accept_all(
    state: Arc<ListenerState>,
    socket: AsyncFd<TcpListener>,
    mut queues: Queues,
    status: Arc<Status>,
    mut is_open: watch::Receiver<bool>,
) {
    let mut is_closing = false;
    loop {
        let accepted = if is_closing {
            // Asks the kernel, because the event loop may not have reported the latest connections yet.
            socket.get_ref().accept()
        } else {
            tokio::select! {
                biased;
                accepted = accept_one(&socket) => accepted,
                // An error means that the listener has been dropped.
                _closed = is_open.wait_for(|is_open| !is_open) => {
                    is_closing = true;
                    continue;
                }
            }
        };
        match accepted {
            Ok((socket, peer)) => {
                let accepted = Accepted { socket, peer: canonical(peer), pending: status.accept() };
                if queues.push(accepted, &state.name).await == Err(NoWorker) {
                    log::error!("no worker thread takes connections listener={}", state.name);
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                state.log_socket_error(SocketTask::Accept, &error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Accepts a connection without registering it with this thread's event loop, because another thread serves it.
async fn accept_one(socket: &AsyncFd<TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        if let Ok(accepted) = socket.readable().await?.try_io(|socket| socket.get_ref().accept()) {
            return accepted;
        }
    }
}

/// Whether an error of accept(2) concerns a connection that failed before it was accepted. The kernel has removed
/// such a connection, so accepting continues at once.
fn is_of_connection(error: &io::Error) -> bool {
    /// EPROTO, ENOPROTOOPT, EOPNOTSUPP, EHOSTDOWN, ENONET, which accept(2) of Linux passes on from the connection.
    const LINUX: [i32; 5] = [71, 92, 95, 112, 64];
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::Interrupted
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::PermissionDenied
            | ErrorKind::TimedOut
    ) || cfg!(target_os = "linux") && error.raw_os_error().is_some_and(|code| LINUX.contains(&code))
}

/// Serves the connections that one worker thread receives, each in a separate task, so that a panic ends one
/// connection only.
async fn serve<F: Future<Output = ()> + 'static>(
    mut queue: mpsc::Receiver<Accepted>,
    start: impl Fn(Accepted) -> F + Clone + 'static,
) {
    while let Some(connection) = queue.recv().await {
        let start = start.clone();
        actix_rt::spawn(async move { start(connection).await });
    }
}

/// Registers a connection with the event loop of the worker's thread, and starts its handshake.
fn start(
    worker: Rc<ListenerWorker>,
    Accepted { socket, peer, pending }: Accepted,
) -> Pin<Box<dyn Future<Output = ()>>> {
    let registered = socket.set_nonblocking(true).and_then(|()| actix_rt::net::TcpStream::from_std(socket));
    match registered {
        Ok(socket) => accept(worker, Stream::from(socket), peer, pending),
        Err(error) => {
            worker.state.log_socket_error(SocketTask::Serve, &error);
            Box::pin(ready(()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::timeout;
    use tungstenite::{Message, WebSocket, client};

    use super::*;
    use crate::{
        listener::bind,
        server::Registry,
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

    /// Opens the listeners of [`TWO`]. Returns them with their addresses.
    fn open(settings: &Settings, workers: &Workers) -> Vec<(OpenListener, SocketAddr)> {
        let server = ServerState::new(settings, 9, Registry::new(Arc::default()));
        let open = |listener: &Arc<Listener>| {
            let sockets = bind(listener).unwrap().sockets;
            let address = sockets[0].local_addr().unwrap();
            (OpenListener::open(listener, sockets, &server, workers).unwrap(), address)
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
        one.close().await;
        assert_eq!(TcpStream::connect(at_one).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        blocking(move || {
            ask(&mut session, "the session continues");
            ask(&mut connect(at_two), "the other listener accepts");
        })
        .await;
        two.close().await;
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
            let (workers, receivers) = (0..2).map(|_| mpsc::channel(2)).unzip();
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
        Accepted {
            socket: TcpStream::connect(peer).unwrap(),
            peer,
            pending: Arc::<Status>::default().accept(),
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
            ready(())
        }));
        for _ in 0..2 {
            assert!(queue.send(connection(&listening)).await.is_ok());
            assert!(timeout(PATIENCE, starts.recv()).await.unwrap().is_some());
        }
    }

    #[actix::test]
    async fn a_listener_whose_workers_have_ended_is_reported() {
        let settings = load(TWO, &[]).unwrap();
        let workers = Workers::start(1).unwrap();
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
    async fn a_dropped_listener_closes_its_sockets() {
        let settings = load(TWO, &[]).unwrap();
        let workers = Workers::start(1).unwrap();
        let (listeners, addresses): (Vec<_>, Vec<_>) = open(&settings, &workers).into_iter().unzip();
        drop(listeners);
        let closed = blocking(move || while TcpStream::connect(addresses[0]).is_ok() {});
        timeout(PATIENCE, closed).await.expect("the socket closes");
    }
}
