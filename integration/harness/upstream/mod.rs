//! A WebSocket server whose behaviour the test controls, as the upstream of the proxy.

mod conn;
mod handshake;

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use tungstenite::Message;

pub use self::{
    conn::{Conn, Death, End},
    handshake::Answer,
};
use super::{Head, PATIENCE, Port, wait_for};

/// A function that handles a message received by the upstream.
type OnMessage = Arc<dyn Fn(&Conn, Message) + Send + Sync>;

/// A WebSocket server that the test controls. It can be stopped, and started again on the same port.
#[derive(Debug)]
pub struct TestUpstream {
    port: Port,
    shared: Arc<UpstreamState>,
    acceptor: Mutex<Option<Acceptor>>,
}

struct UpstreamState {
    on_message: Mutex<OnMessage>,
    answer: Mutex<Answer>,
    /// A path, and the answer to requests for it.
    answer_at: Mutex<Option<(String, Answer)>>,
    /// The heads of all handshakes, including refused ones.
    heads: Mutex<Vec<Head>>,
    /// All connections since the start, including ended ones.
    conns: Mutex<Vec<Arc<Conn>>>,
    /// Sockets of handshakes without a complete response, which stay open.
    kept_open: Mutex<Vec<TcpStream>>,
    /// Number of bytes of endless responses that peers have read.
    endless: AtomicUsize,
    /// Whether the upstream ignores close frames.
    ignores_closes: AtomicBool,
    /// Whether connections stay open for a while after the closing handshake.
    ends_late: AtomicBool,
    /// Whether pings are not answered.
    ignores_pings: AtomicBool,
}

impl UpstreamState {
    /// The answer to this handshake. Waits while it is [`Answer::Wait`].
    fn answer_to(&self, head: &Head, stopped: &AtomicBool) -> Answer {
        let path = head.line.split(' ').nth(1).unwrap_or_default();
        if let Some((_, answer)) = self.answer_at.lock().unwrap().as_ref().filter(|(at, _)| at == path) {
            return answer.clone();
        }
        loop {
            let answer = self.answer.lock().unwrap().clone();
            if answer != Answer::Wait || stopped.load(Ordering::SeqCst) {
                return answer;
            }
            super::pause(super::POLL);
        }
    }
}

impl std::fmt::Debug for UpstreamState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamState").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Acceptor {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

// === impl TestUpstream ===

impl TestUpstream {
    /// Starts an upstream that calls `on_message` for each message.
    pub fn with(on_message: impl Fn(&Conn, Message) + Send + Sync + 'static) -> Self {
        let upstream = Self::stopped(on_message);
        upstream.start();
        upstream
    }

    /// Creates an upstream that calls `on_message` for each message, and does not listen yet.
    pub fn stopped(on_message: impl Fn(&Conn, Message) + Send + Sync + 'static) -> Self {
        let shared = UpstreamState {
            on_message: Mutex::new(Arc::new(on_message)),
            answer: Mutex::new(Answer::Accept),
            answer_at: Mutex::default(),
            heads: Mutex::default(),
            conns: Mutex::default(),
            kept_open: Mutex::default(),
            endless: AtomicUsize::new(0),
            ignores_closes: AtomicBool::new(false),
            ends_late: AtomicBool::new(false),
            ignores_pings: AtomicBool::new(false),
        };
        Self { port: Port::take(), shared: Arc::new(shared), acceptor: Mutex::new(None) }
    }

    /// Starts an upstream that echoes each message.
    pub fn echo() -> Self {
        Self::with(|conn, message| conn.send(message))
    }

    /// Starts an upstream that sends no replies. The test sends them with [`Conn::send`].
    pub fn silent() -> Self {
        Self::with(|_, _| ())
    }

    /// Replaces the handler of messages.
    pub fn set(&self, on_message: impl Fn(&Conn, Message) + Send + Sync + 'static) {
        *self.shared.on_message.lock().unwrap() = Arc::new(on_message);
    }

    /// Sets the answer to later handshakes.
    pub fn set_answer(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    /// Sets the answer to later requests for this path and query.
    pub fn set_answer_at(&self, path: &str, answer: Answer) {
        *self.shared.answer_at.lock().unwrap() = Some((path.to_owned(), answer));
    }

    /// The heads of the requests so far for this path and query.
    pub fn heads_at(&self, path: &str) -> Vec<Head> {
        let of = |head: &&Head| head.line.split(' ').nth(1) == Some(path);
        self.shared.heads.lock().unwrap().iter().filter(of).cloned().collect()
    }

    /// The connections so far whose request had this path and query.
    pub fn conns_at(&self, path: &str) -> Vec<Arc<Conn>> {
        let of = |conn: &&Arc<Conn>| conn.head().line.split(' ').nth(1) == Some(path);
        self.shared.conns.lock().unwrap().iter().filter(of).cloned().collect()
    }

    /// Makes the upstream leave pings unanswered.
    pub fn ignore_pings(&self) {
        self.shared.ignores_pings.store(true, Ordering::SeqCst);
    }

    /// Makes the upstream record later close frames, without answering them or ending the connection.
    pub fn ignore_closes(&self) {
        self.shared.ignores_closes.store(true, Ordering::SeqCst);
    }

    /// Makes the upstream keep connections open for a while after the closing handshake; see
    /// [`Conn::peer_ended_first`].
    pub fn end_late(&self) {
        self.shared.ends_late.store(true, Ordering::SeqCst);
    }

    /// Number of bytes of endless responses that peers have read.
    pub fn endless_taken(&self) -> usize {
        self.shared.endless.load(Ordering::SeqCst)
    }

    /// The URL `ws://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.port.url()
    }

    /// The address `127.0.0.1:PORT`.
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Starts to listen.
    pub fn start(&self) {
        let mut acceptor = self.acceptor.lock().unwrap();
        assert!(acceptor.is_none(), "the test upstream already listens");
        let listener = self.port.listen();
        let stopped = Arc::new(AtomicBool::new(false));
        let (shared, flag) = (Arc::clone(&self.shared), Arc::clone(&stopped));
        let thread = std::thread::spawn(move || accept_until(&listener, &shared, &flag));
        *acceptor = Some(Acceptor { stopped, thread });
    }

    /// Stops listening. Connections stay open.
    pub fn stop_listening(&self) {
        // A test that fails while it starts the upstream drops it as well.
        let acceptor = self.acceptor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(acceptor) = acceptor {
            acceptor.stopped.store(true, Ordering::SeqCst);
            // Wakes the acceptor, which then sees the flag.
            let _ = TcpStream::connect(self.addr());
            acceptor.thread.join().unwrap();
        }
    }

    /// Stops listening and ends all connections.
    pub fn stop(&self, death: Death) {
        self.stop_listening();
        self.shared.kept_open.lock().unwrap().clear();
        self.kill_all(death);
    }

    /// Ends all connections and keeps listening.
    pub fn kill_all(&self, death: Death) {
        let conns = self.shared.conns.lock().unwrap().clone();
        conns.iter().filter(|conn| conn.end().is_none()).for_each(|conn| conn.die(death));
    }

    /// Number of connections so far, including ended ones.
    pub fn connections(&self) -> usize {
        self.shared.conns.lock().unwrap().len()
    }

    /// Number of open connections.
    pub fn live(&self) -> usize {
        self.shared.conns.lock().unwrap().iter().filter(|conn| conn.end().is_none()).count()
    }

    /// Waits for connection number `index`, counted from 0.
    #[track_caller]
    pub fn conn(&self, index: usize) -> Arc<Conn> {
        let what = format!("connection {index} at the upstream");
        wait_for(&what, PATIENCE, || self.connections() > index);
        Arc::clone(&self.shared.conns.lock().unwrap()[index])
    }

    /// Waits for handshake number `index`, counted from 0 and including refused ones, and returns the head of
    /// its request.
    #[track_caller]
    pub fn head(&self, index: usize) -> Head {
        let what = format!("handshake {index} at the upstream");
        wait_for(&what, PATIENCE, || self.handshakes() > index);
        self.shared.heads.lock().unwrap()[index].clone()
    }

    /// Number of handshakes so far, including refused ones.
    pub fn handshakes(&self) -> usize {
        self.shared.heads.lock().unwrap().len()
    }

    /// Number of messages that all connections have received.
    pub fn received(&self) -> usize {
        self.shared.conns.lock().unwrap().iter().map(|conn| conn.messages().len()).sum()
    }
}

impl Drop for TestUpstream {
    fn drop(&mut self) {
        self.stop(Death::Reset);
    }
}

fn accept_until(listener: &TcpListener, shared: &Arc<UpstreamState>, stopped: &Arc<AtomicBool>) {
    for stream in listener.incoming() {
        if stopped.load(Ordering::SeqCst) {
            return;
        }
        // An error means that the connection ended before it was accepted.
        let Ok(stream) = stream else { continue };
        let (shared, stopped) = (Arc::clone(shared), Arc::clone(stopped));
        std::thread::spawn(move || {
            // The peer may disconnect at any point of the handshake.
            let _ = handshake::serve(stream, &shared, &stopped);
        });
    }
}
