//! The test harness: the real program, test upstreams, and clients.
//!
//! Tests wait for conditions with a deadline, never for a fixed time.

mod client;
mod echo;
mod frame;
mod http;
mod operator;
mod program;
mod proxy;
mod scrape;
mod settings;
mod tls;
mod upstream;
mod websocat;

use std::{
    io::{ErrorKind, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Condvar, Mutex},
    time::{Duration, Instant},
};

pub use client::{Client, Opening, Refusal};
pub use echo::EchoProcess;
pub use frame::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT};
pub use http::{Head, Raw, get, request};
pub use operator::{Operator, TOKEN, token_file, write_token};
pub use program::{Finished, Program};
pub use proxy::{Account, Proxy, is_trouble};
pub use rand::{RngExt, SeedableRng, rngs::StdRng};
pub use scrape::{Labels, Scraped};
pub use serde_json::{Value, json};
pub use settings::Settings;
pub use tls::{ANY_TLS, Authority, Door, Issued, Leaf, Secure, careless, secure, secure_after, unnamed};
pub use tungstenite::Message;
pub use upstream::{Answer, Conn, Death, End, TestUpstream};
pub use websocat::Websocat;

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files in a folder and its subfolders.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Maximum time for a condition before the test fails. It is long enough for two busy cores that are ten times slower
/// than usual; a test that passes waits much less. It is shorter than the defaults that a test must not take for what it
/// waits for, such as the 30 s of `reply_timeout` and of the resolver in [`Proxy::start_with_names`].
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The pause between two checks of a condition.
const POLL: Duration = Duration::from_millis(3);

/// Waits until `condition` is true.
///
/// # Panics
/// When the condition is not true within `deadline`.
#[track_caller]
pub fn wait_for(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !condition() {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        pause(POLL);
    }
}

/// Asserts that dials are never ahead of `rate` per second by more than `burst`. `seen` has numbers of dials, and the time
/// since the first one was allowed, taken after the number. A busy machine delays dials, and only that. So they are counted
/// from the beginning: the dials of one second may include those of a second before it.
#[track_caller]
pub fn assert_paced(seen: &[(usize, Duration)], rate: usize, burst: usize) {
    for (dials, time) in seen {
        let most = rate as f64 * time.as_secs_f64() + burst as f64;
        assert!(*dials as f64 <= most, "{dials} dials after {time:?}");
    }
}

/// Measures how much `value` grows within `window`. Use it for rates, such as processor time, and for values
/// that must not change. To wait for a condition, use [`wait_for`].
pub fn measure_for<T: Copy + std::ops::Sub>(window: Duration, value: impl Fn() -> T) -> T::Output {
    let before = value();
    pause(window);
    value() - before
}

/// Lets time pass between two checks, two messages or two measurements.
#[expect(clippy::disallowed_methods, reason = "the one place where tests let time pass")]
pub fn pause(length: Duration) {
    let end = Instant::now() + length;
    // Parking may end early.
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// Writes a frame repeatedly until the peer accepts nothing for half a second, or `limit` bytes are sent.
/// Returns the number of bytes that the peer accepted.
fn flood(stream: &mut TcpStream, frame: &Frame, limit: usize) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let bytes = frame.bytes();
    let mut written = 0;
    while written < limit && stream.write_all(&bytes).is_ok() {
        written += bytes.len();
    }
    written
}

/// Blocks threads until it is opened.
#[derive(Debug, Default)]
pub struct Latch {
    open: Mutex<bool>,
    bell: Condvar,
}

// === impl Latch ===

impl Latch {
    /// Waits until the latch is open.
    pub fn wait(&self) {
        let guard = self.open.lock().unwrap();
        drop(self.bell.wait_while(guard, |open| !*open).unwrap());
    }

    /// Opens the gate for all threads that wait, now and later.
    pub fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.bell.notify_all();
    }
}

/// A random number generator for a test, with a fresh seed or the one in `TOWLINE_TEST_SEED`. Prints the
/// seed, which the test runner shows when the test fails.
pub fn seeded() -> StdRng {
    let seed = match std::env::var("TOWLINE_TEST_SEED") {
        Ok(text) => text.parse().expect("TOWLINE_TEST_SEED is a number"),
        Err(_) => rand::random(),
    };
    println!("TOWLINE_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// A reserved port on loopback. It is bound, so that no other process gets it, but does not listen, so that
/// connections are refused. A server can still listen on the port with `SO_REUSEADDR`, which
/// `TcpListener::bind` sets.
#[derive(Debug)]
pub struct Port {
    addr: SocketAddr,
    _held: socket2::Socket,
}

impl Port {
    /// Reserves a free port.
    pub fn take() -> Self {
        Self::take_at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Reserves a port that is free on all addresses, of IPv6 and of IPv4.
    pub fn take_on_all() -> Self {
        Self::take_at((std::net::Ipv6Addr::UNSPECIFIED, 0).into())
    }

    fn take_at(addr: SocketAddr) -> Self {
        let socket =
            socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&addr.into()).unwrap();
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        Self { addr, _held: socket }
    }

    /// The address `127.0.0.1:PORT`.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL `ws://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("ws://{}", self.addr)
    }

    /// Listens on the port. A listener that was closed just before may still exist: a process that another test starts
    /// has the descriptors of this one until its program is loaded.
    pub fn listen(&self) -> TcpListener {
        let mut listener = None;
        wait_for("the port to be free", PATIENCE, || {
            listener = match TcpListener::bind(self.addr) {
                Err(error) if error.kind() == ErrorKind::AddrInUse => None,
                bound => Some(bound.unwrap()),
            };
            listener.is_some()
        });
        listener.unwrap()
    }
}

/// Whether `line` contains the parts of `pattern` between its `*`s, in order.
pub fn matches(line: &str, pattern: &str) -> bool {
    let mut rest = line;
    pattern.split('*').all(|piece| match rest.find(piece) {
        Some(at) => {
            rest = &rest[at + piece.len()..];
            true
        }
        None => false,
    })
}

/// Creates a binary message.
pub fn binary(bytes: impl AsRef<[u8]>) -> Message {
    Message::binary(bytes.as_ref().to_vec())
}

/// The `error` text and the `event_id` of an error reply.
///
/// # Panics
/// When the message is not an error reply.
#[track_caller]
pub fn error_reply(message: &Message) -> (String, String) {
    let text = message.to_text().expect("an error reply is text");
    let value: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("not an error reply: {text}"));
    let part = |key| match value.get(key) {
        Some(Value::String(part)) => part.clone(),
        _ => panic!("no {key} in {text}"),
    };
    (part("error"), part("event_id"))
}
