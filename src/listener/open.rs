//! An open listener: it accepts connections and passes them to the worker threads in turn.
//!
//! ```text
//! socket ─► accept ─┬─► queue ─► ListenerWorker on thread 1
//! socket ─► accept ─┴─► queue ─► ListenerWorker on thread 2
//! ```

use std::{
    io::{self, ErrorKind},
    net::{TcpListener, TcpStream},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix_rt::task::JoinHandle;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::sleep,
};

use super::{
    accept::accept,
    state::{ListenerState, ServerState},
    worker::ListenerWorker,
};
use crate::{net::Stream, server::Workers, settings::Listener};

/// Connections of a listener that wait for one worker thread. When all queues are full, connections wait in the
/// kernel.
const ACCEPT_QUEUE_MAX: usize = 256;

/// The pause after an error that is not about one connection, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// A listener that accepts connections. It can be closed without the others.
pub struct OpenListener {
    /// The accepting tasks, one for each socket.
    accepting: Vec<JoinHandle<()>>,
}

/// The queues of accepted connections, one for each worker thread.
struct Queues {
    workers: Vec<mpsc::Sender<TcpStream>>,
    /// The position of the worker for the next connection.
    next: usize,
}

// === impl OpenListener ===

impl OpenListener {
    /// Opens the listener on all worker threads. `sockets` listen already; see [`bind`](super::bind).
    ///
    /// # Errors
    /// When a socket cannot be registered with the event loop.
    pub fn open(
        listener: &Arc<Listener>,
        sockets: Vec<TcpListener>,
        server: &Arc<ServerState>,
        workers: &Workers,
    ) -> io::Result<Self> {
        let state = ListenerState::new(listener, server);
        let (queues, queued): (Vec<_>, Vec<_>) =
            (0..workers.count()).map(|_| mpsc::channel(ACCEPT_QUEUE_MAX)).unzip();
        let mut accepting = Vec::new();
        for socket in sockets {
            socket.set_nonblocking(true)?;
            let socket = tokio::net::TcpListener::from_std(socket)?;
            let queues = Queues { workers: queues.clone(), next: 0 };
            accepting.push(actix_rt::spawn(accept_all(listener.name.clone(), socket, queues)));
        }
        workers.run_each(queued.into_iter().map(|queue| {
            let (listener, state, server) = (Arc::clone(listener), Arc::clone(&state), Arc::clone(server));
            move || {
                let worker = ListenerWorker::open(&listener, state, server);
                actix_rt::spawn(serve(worker, queue));
            }
        }));
        Ok(Self { accepting })
    }

    /// Closes the sockets. Connections that have been accepted continue.
    pub async fn close(self) {
        for task in self.accepting {
            task.abort();
            // The socket is closed when the task has ended; that it was aborted is no news.
            let _ = task.await;
        }
    }
}

// === impl Queues ===

impl Queues {
    /// Passes a connection to the next worker with room in its queue. Waits when there is none.
    async fn push(&mut self, mut connection: TcpStream) {
        for _ in 0..self.workers.len() {
            match self.take_next().try_send(connection) {
                Ok(()) => return,
                Err(TrySendError::Full(back) | TrySendError::Closed(back)) => connection = back,
            }
        }
        // An error means that the thread has stopped, at the end of the process.
        let _ = self.take_next().send(connection).await;
    }

    fn take_next(&mut self) -> &mpsc::Sender<TcpStream> {
        let worker = self.next;
        self.next = (worker + 1) % self.workers.len();
        &self.workers[worker]
    }
}

/// Accepts the connections of one socket, until the task is aborted.
async fn accept_all(listener: String, socket: tokio::net::TcpListener, mut queues: Queues) {
    loop {
        // Taken off this thread's event loop, because the connection is for another one.
        match socket.accept().await.and_then(|(connection, _)| connection.into_std()) {
            Ok(connection) => queues.push(connection).await,
            Err(error) if is_of_connection(error.kind()) => {}
            Err(error) => {
                log::error!("cannot accept connections listener={listener}: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether an error of accept(2) is about the connection, which has failed before it was accepted.
fn is_of_connection(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

/// Serves the connections that one worker thread receives.
async fn serve(worker: Rc<ListenerWorker>, mut queue: mpsc::Receiver<TcpStream>) {
    while let Some(connection) = queue.recv().await {
        match actix_rt::net::TcpStream::from_std(connection) {
            Ok(connection) => _ = actix_rt::spawn(accept(Rc::clone(&worker), Stream::from(connection))),
            Err(error) => {
                log::error!("cannot serve a connection listener={}: {error}", worker.state.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tungstenite::{Message, WebSocket, client};

    use super::*;
    use crate::{
        listener::bind,
        server::Registry,
        settings::{Settings, fixture::load},
    };

    /// Two listeners that echo without an upstream.
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

    /// The listeners of [`TWO`], open, with their addresses.
    fn open(settings: &Settings, workers: &Workers) -> Vec<(OpenListener, SocketAddr)> {
        let server = ServerState::new(settings, 9, Registry::new(Arc::default()));
        let open = |listener: &Arc<Listener>| {
            let sockets = bind(listener).unwrap().sockets;
            let address = sockets[0].local_addr().unwrap();
            (OpenListener::open(listener, sockets, &server, workers).unwrap(), address)
        };
        settings.listeners.iter().map(open).collect()
    }

    /// Runs the blocking part of a test, while the listeners accept on the test's own thread.
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

    #[actix::test]
    async fn connections_go_to_the_workers_in_turn_and_past_those_that_are_full() {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = || TcpStream::connect(listening.local_addr().unwrap()).unwrap();
        let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel(2)).unzip();
        let mut queues = Queues { workers: senders, next: 0 };
        for _ in 0..2 {
            queues.push(connection()).await;
        }
        assert_eq!(receivers.iter().map(mpsc::Receiver::len).collect::<Vec<_>>(), [1, 1]);
        receivers[1].recv().await.unwrap();
        for _ in 0..3 {
            queues.push(connection()).await;
        }
        assert_eq!(receivers.iter().map(mpsc::Receiver::len).collect::<Vec<_>>(), [2, 2]);
    }
}
