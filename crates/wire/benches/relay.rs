//! The least relays with the tasks, sockets and actors of the proxy, and what they execute for a message there and back.
//! docs/performance.md has the numbers.
//!
//! ```console
//! $ cargo bench -p towline-wire --bench relay
//! ```
//!
//! The program has `benches/callgrind.py` run it in place of the proxy, once for each step, so both counts are of the
//! same rounds. Further arguments are those of the script, such as `--functions`. Without valgrind it measures nothing.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark has no public interface, prints its result, stops at an error, and sends without edges"
)]

use std::{
    cell::RefCell,
    env, future, io,
    pin::Pin,
    process::Command,
    task::{Context as Task, Poll, ready},
};

use actix::{Actor, ActorContext, ActorFuture, Addr, AsyncContext, Context, Handler, Message, Recipient};
use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
};
use towline_wire::{Burst, BurstLimits, CloseFrame, Incoming, Limits, Link, LivenessConfig, Role};

/// The environment variable that selects the relay, as an index of [`STEPS`].
const STEP: &str = "RELAY_STEP";

/// The relays. Each includes what those above it do.
const STEPS: [&str; 3] = [
    "sockets: a task for each session copies in both directions",
    "actors: one for each socket, and a message from one to the other",
    "frames: they are decoded and encoded",
];

const ROOM: usize = 64 * 1024;
const LIMITS: Limits = Limits { max_message: 1 << 20, max_frame: 1 << 20, buffer: 1 << 20 };
const BURSTS: BurstLimits = BurstLimits { messages: 128, bytes: 16 * 1024, overhead: 256 };

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; ROOM].into_boxed_slice());
}

/// A socket, and what it carries.
trait Connection: Unpin + 'static {
    type Piece: Unpin + Send + 'static;
    fn new(socket: TcpStream, role: Role) -> Self;
    fn skips_reading(&mut self) -> bool {
        false
    }
    fn poll_receive(&mut self, task: &mut Task<'_>) -> Poll<Option<Self::Piece>>;
    fn end_turn(&mut self, task: &mut Task<'_>);
    fn queue(&mut self, piece: Self::Piece);
    fn flush(&mut self, task: &mut Task<'_>);
}

/// A connection whose bytes are passed on as they are.
struct Plain {
    socket: TcpStream,
    queued: Vec<u8>,
}

/// What a connection with frames carries.
enum Piece {
    Burst(Burst),
    Close(Option<CloseFrame>),
}

/// The actor of a connection.
struct Peer<C: Connection> {
    connection: C,
    other: Option<Recipient<Data<C::Piece>>>,
    /// Whether the other connection has ended.
    is_over: bool,
}

/// What the actor of the other connection sends; `None` at the end of its connection.
#[derive(Message)]
#[rtype(result = "()")]
struct Data<P: Send + 'static>(Option<P>);

/// The address of the actor of the other connection.
#[derive(Message)]
#[rtype(result = "()")]
struct Join<P: Send + 'static>(Recipient<Data<P>>);

struct Drive;

// === impl Connection ===

/// Calls `read` with what the socket has, which is nothing at its end.
fn poll_read<T>(
    socket: &mut TcpStream,
    task: &mut Task<'_>,
    read: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    READ.with_borrow_mut(|bytes| {
        let mut buffer = ReadBuf::new(bytes);
        ready!(Pin::new(socket).poll_read(task, &mut buffer))?;
        Poll::Ready(Ok(read(buffer.filled())))
    })
}

impl Connection for Plain {
    type Piece = Vec<u8>;

    fn new(socket: TcpStream, _: Role) -> Self {
        Self { socket, queued: Vec::new() }
    }

    fn poll_receive(&mut self, task: &mut Task<'_>) -> Poll<Option<Vec<u8>>> {
        let read = ready!(poll_read(&mut self.socket, task, <[u8]>::to_vec));
        Poll::Ready(read.ok().filter(|bytes| !bytes.is_empty()))
    }

    fn end_turn(&mut self, _: &mut Task<'_>) {}

    fn queue(&mut self, piece: Vec<u8>) {
        self.queued = piece;
    }

    fn flush(&mut self, task: &mut Task<'_>) {
        if !self.queued.is_empty() && Pin::new(&mut self.socket).poll_write(task, &self.queued).is_ready() {
            self.queued = Vec::new();
        }
    }
}

impl Connection for Link<TcpStream, ()> {
    type Piece = Piece;

    fn new(socket: TcpStream, role: Role) -> Self {
        let mut link = Link::new(socket, role, LIMITS, &LivenessConfig::OFF, Bytes::new());
        link.set_bursts(BURSTS);
        link
    }

    fn skips_reading(&mut self) -> bool {
        self.skip_reading()
    }

    fn poll_receive(&mut self, task: &mut Task<'_>) -> Poll<Option<Piece>> {
        Poll::Ready(match ready!(self.poll_next(task)) {
            Ok(Incoming::Burst(burst)) => Some(Piece::Burst(burst)),
            Ok(Incoming::Close(frame)) => Some(Piece::Close(frame)),
            _ => None,
        })
    }

    fn end_turn(&mut self, task: &mut Task<'_>) {
        self.end_turn();
        self.check_liveness(task.waker(), true);
    }

    fn queue(&mut self, piece: Piece) {
        match piece {
            Piece::Burst(burst) => self.push_burst(burst, ()),
            Piece::Close(frame) => self.close(frame.as_ref()),
        }
    }

    fn flush(&mut self, task: &mut Task<'_>) {
        let _ = self.poll_flush(task, |_| ());
    }
}

// === impl Peer ===

impl<C: Connection> Actor for Peer<C> {
    type Context = Context<Self>;
}

impl<C: Connection> Handler<Data<C::Piece>> for Peer<C> {
    type Result = ();

    fn handle(&mut self, Data(piece): Data<C::Piece>, _: &mut Context<Self>) {
        match piece {
            Some(piece) => self.connection.queue(piece),
            None => self.is_over = true,
        }
    }
}

impl<C: Connection> Handler<Join<C::Piece>> for Peer<C> {
    type Result = ();

    fn handle(&mut self, Join(other): Join<C::Piece>, _: &mut Context<Self>) {
        self.other = Some(other);
    }
}

impl<C: Connection> ActorFuture<Peer<C>> for Drive {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        peer: &mut Peer<C>,
        ctx: &mut Context<Peer<C>>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        let Some(other) = &peer.other else { return Poll::Pending };
        if !peer.connection.skips_reading() {
            while !peer.is_over
                && let Poll::Ready(piece) = peer.connection.poll_receive(task)
            {
                peer.is_over = piece.is_none();
                let _ = other.try_send(Data(piece));
            }
        }
        peer.connection.end_turn(task);
        peer.connection.flush(task);
        if peer.is_over {
            ctx.stop();
        }
        Poll::Pending
    }
}

impl<C: Connection> Peer<C> {
    fn start(connection: C) -> Addr<Self> {
        Self::create(|ctx: &mut Context<Self>| {
            ctx.spawn(Drive);
            Self { connection, other: None, is_over: false }
        })
    }

    /// Starts the actors of a session.
    fn join(client: TcpStream, upstream: TcpStream) {
        let session = Self::start(C::new(client, Role::Server));
        let connector = Self::start(C::new(upstream, Role::Client));
        session.do_send(Join(connector.clone().recipient()));
        connector.do_send(Join(session.recipient()));
    }
}

// === The relay

/// Copies in both directions until one of them ends. What is read is written at once: the messages are small.
async fn copy(mut client: TcpStream, mut upstream: TcpStream) {
    let pass = |from: &mut TcpStream, to: &mut TcpStream, task: &mut Task<'_>| {
        let is_open = poll_read(from, task, |bytes| !bytes.is_empty() && to.try_write(bytes).is_ok());
        is_open.map(|is_open| is_open.unwrap_or(false))
    };
    future::poll_fn(|task| {
        loop {
            match (pass(&mut client, &mut upstream, task), pass(&mut upstream, &mut client, task)) {
                (Poll::Pending, Poll::Pending) => return Poll::Pending,
                (Poll::Ready(false), _) | (_, Poll::Ready(false)) => return Poll::Ready(()),
                _ => {}
            }
        }
    })
    .await;
}

/// Passes on the head of the handshake.
async fn pass_head(from: &mut TcpStream, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await?);
    }
    to.write_all(&head).await
}

async fn session(mut client: TcpStream, upstream: String, step: usize) -> io::Result<()> {
    let mut upstream = TcpStream::connect(upstream).await?;
    for socket in [&client, &upstream] {
        socket.set_nodelay(true)?;
    }
    pass_head(&mut client, &mut upstream).await?;
    pass_head(&mut upstream, &mut client).await?;
    match step {
        0 => copy(client, upstream).await,
        1 => Peer::<Plain>::join(client, upstream),
        _ => Peer::<Link<TcpStream, ()>>::join(client, upstream),
    }
    Ok(())
}

fn serve(step: usize) {
    let address = env::var("TOWLINE__LISTENER__WS__BIND").unwrap();
    let upstream = env::var("TOWLINE__UPSTREAM__ECHO__URL").unwrap().replace("ws://", "");
    actix_rt::System::new().block_on(async {
        let listener = TcpListener::bind(address).await.unwrap();
        while let Ok((client, _)) = listener.accept().await {
            let upstream = upstream.clone();
            actix_rt::spawn(async move { session(client, upstream, step).await.unwrap() });
        }
    });
}

fn main() {
    if let Ok(step) = env::var(STEP) {
        return serve(step.parse().unwrap());
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/callgrind.py");
    let arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    let arguments: Vec<_> = arguments.collect();
    for (step, name) in STEPS.iter().enumerate() {
        println!("{name}");
        let mut command = Command::new(script);
        command.arg(env::current_exe().unwrap()).arg("b").args(&arguments).env(STEP, step.to_string());
        assert!(command.status().unwrap().success());
    }
}
