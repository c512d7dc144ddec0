//! A test upstream whose behaviour the test controls.

mod conn;
mod handshake;

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
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

/// Handles a message that the upstream receives.
type OnMessage = Arc<dyn Fn(&Conn, Message) + Send + Sync>;

/// A WebSocket server that the test controls. It can be stopped, and started again on the same port.
#[derive(Debug)]
pub struct Origin {
    port: Port,
    shared: Arc<OriginState>,
    acceptor: Mutex<Option<Acceptor>>,
}

struct OriginState {
    on_message: Mutex<OnMessage>,
    answer: Mutex<Answer>,
    /// The heads of all handshakes, refused ones included.
    heads: Mutex<Vec<Head>>,
    /// All connections since the start, ended ones included.
    conns: Mutex<Vec<Arc<Conn>>>,
    /// Sockets of handshakes without a complete answer, which stay open.
    kept_open: Mutex<Vec<TcpStream>>,
    /// Bytes of endless answers that peers have taken.
    endless: AtomicUsize,
    /// Whether close frames are ignored.
    ignores_closes: AtomicBool,
    /// Whether connections stay open for a while after the closing handshake.
    ends_late: AtomicBool,
}

impl OriginState {
    /// The answer to a handshake. Waits while it is [`Answer::Wait`].
    fn next_answer(&self, stopped: &AtomicBool) -> Answer {
        loop {
            let answer = self.answer.lock().unwrap().clone();
            if answer != Answer::Wait || stopped.load(Ordering::SeqCst) {
                return answer;
            }
            super::pause(super::POLL);
        }
    }
}

impl std::fmt::Debug for OriginState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OriginState").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Acceptor {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

// === impl Origin ===

impl Origin {
    /// Starts an upstream that calls `on_message` for each message.
    pub fn with(on_message: impl Fn(&Conn, Message) + Send + Sync + 'static) -> Self {
        let origin = Self::stopped(on_message);
        origin.start();
        origin
    }

    /// As [`Origin::with`], but it does not listen yet.
    pub fn stopped(on_message: impl Fn(&Conn, Message) + Send + Sync + 'static) -> Self {
        let shared = OriginState {
            on_message: Mutex::new(Arc::new(on_message)),
            answer: Mutex::new(Answer::Accept),
            heads: Mutex::default(),
            conns: Mutex::default(),
            kept_open: Mutex::default(),
            endless: AtomicUsize::new(0),
            ignores_closes: AtomicBool::new(false),
            ends_late: AtomicBool::new(false),
        };
        Self { port: Port::take(), shared: Arc::new(shared), acceptor: Mutex::new(None) }
    }

    /// An upstream that echoes each message.
    pub fn echo() -> Self {
        Self::with(|conn, message| conn.send(message))
    }

    /// An upstream that sends no replies. The test sends them with [`Conn::send`].
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

    /// From now on, records close frames without answering them or ending the connection.
    pub fn ignore_closes(&self) {
        self.shared.ignores_closes.store(true, Ordering::SeqCst);
    }

    /// From now on, keeps connections open for a while after the closing handshake; see [`Conn::peer_ended_first`].
    pub fn end_late(&self) {
        self.shared.ends_late.store(true, Ordering::SeqCst);
    }

    /// Bytes of endless answers that peers have taken.
    pub fn endless_taken(&self) -> usize {
        self.shared.endless.load(Ordering::SeqCst)
    }

    /// `ws://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        self.port.url()
    }

    /// `127.0.0.1:PORT`
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Starts to listen.
    pub fn start(&self) {
        let mut acceptor = self.acceptor.lock().unwrap();
        assert!(acceptor.is_none(), "the origin already listens");
        let listener = self.port.listen();
        let stopped = Arc::new(AtomicBool::new(false));
        let (shared, flag) = (Arc::clone(&self.shared), Arc::clone(&stopped));
        let thread = std::thread::spawn(move || accept_until(&listener, &shared, &flag));
        *acceptor = Some(Acceptor { stopped, thread });
    }

    /// Stops listening. Connections stay open.
    pub fn stop_listening(&self) {
        if let Some(acceptor) = self.acceptor.lock().unwrap().take() {
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

    /// Number of connections so far, ended ones included.
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

    /// Waits for handshake number `index`, counted from 0 and including refused ones, and returns its head.
    #[track_caller]
    pub fn head(&self, index: usize) -> Head {
        let what = format!("handshake {index} at the upstream");
        wait_for(&what, PATIENCE, || self.handshakes() > index);
        self.shared.heads.lock().unwrap()[index].clone()
    }

    /// Number of handshakes so far, refused ones included.
    pub fn handshakes(&self) -> usize {
        self.shared.heads.lock().unwrap().len()
    }

    /// Number of messages that all connections have received.
    pub fn received(&self) -> usize {
        self.shared.conns.lock().unwrap().iter().map(|conn| conn.messages().len()).sum()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop(Death::Reset);
    }
}

fn accept_until(listener: &TcpListener, shared: &Arc<OriginState>, stopped: &Arc<AtomicBool>) {
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
