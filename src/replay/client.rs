//! The clients of a replay: one connection for each session of the record.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_http::{
    Uri,
    header::{HeaderName, HeaderValue},
};
use awc::{BoxedSocket, Client, error::WsClientError};
use bytes::Bytes;
use tokio::{
    sync::Semaphore,
    task::JoinError,
    time::{Instant as TokioInstant, sleep_until, timeout, timeout_at},
};

use super::{
    compare::{Difference, DifferenceKind, compare},
    plan::{Exchanged, Plan, Role, SessionPlan, Step},
    report::{Report, SessionReport},
};
use crate::{
    net::{
        Connect, Network, TcpOptions,
        tls::{ClientFiles, Roots, TlsClient},
    },
    wire::{self, CloseFrame, Incoming, Limits, Link, LivenessConfig, Message},
};

/// Time limit of a connection with its handshakes.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Time limit of a closing handshake.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// Maximum size of a message, in bytes.
const MESSAGE_MAX: usize = 64 << 20;

/// Maximum size of the messages that a session receives, in bytes. They are kept to be compared.
const RECEIVED_MAX: usize = 64 << 20;

/// Maximum number of sessions at a time when the original pace does not matter.
const AT_ONCE_MAX: usize = 256;

/// A day that no test lasts.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// How fast messages are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// This many times as fast as in the record.
    Times(f64),
    /// Without waiting.
    Fast,
}

/// How to replay.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// Where to connect to.
    pub url: Uri,
    /// More headers of the handshakes.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How fast.
    pub speed: Speed,
    /// Whether each message waits until those before it are answered.
    pub wait_replies: bool,
    /// How long to wait for a message.
    pub patience: Duration,
}

/// The error that prevents a replay.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// No session could connect.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// TLS cannot be set up.
    #[error("cannot set TLS up: {0}")]
    Tls(String),
}

/// What the replay has done so far.
#[derive(Debug, Default)]
pub struct Progress {
    /// The number of messages that were sent.
    pub sent: Cell<usize>,
    /// The number of sessions that have ended.
    pub ended: Cell<usize>,
}

type PeerLink = Link<BoxedSocket, ()>;

/// The connection of one session.
struct Peer {
    link: PeerLink,
    received: Vec<Exchanged>,
    bytes: usize,
    /// Why the connection has ended.
    ended: Option<String>,
}

/// Replays a record on the current actix system.
///
/// # Errors
/// When no session can connect, or TLS cannot be set up.
pub async fn replay(
    plan: Plan,
    options: ReplayOptions,
    progress: Rc<Progress>,
) -> Result<Report, ReplayError> {
    let client = client(&options.url)?;
    let begin = Instant::now();
    let turns = Rc::new(Semaphore::new(AT_ONCE_MAX));
    let options = Rc::new(options);
    let count = plan.sessions.len();
    let sessions = plan.sessions.into_iter().map(|session| {
        let (client, options, turns) = (client.clone(), Rc::clone(&options), Rc::clone(&turns));
        let progress = Rc::clone(&progress);
        let id = session.session.clone();
        let running = actix_rt::spawn(async move {
            // At the original pace, all sessions must run when they ran in the record.
            let _turn = match options.speed {
                Speed::Fast => turns.acquire().await.ok(),
                Speed::Times(_) => None,
            };
            let done = run(&client, &session, &options, begin, &progress).await;
            progress.ended.set(progress.ended.get() + 1);
            done
        });
        (id, running)
    });
    let (mut report, mut refused) = (Report::default(), Vec::new());
    for (id, running) in sessions.collect::<Vec<_>>() {
        let (session, error) = running.await.unwrap_or_else(|error| (panicked(id, &error), None));
        report.add(session);
        refused.extend(error);
    }
    match refused.pop() {
        Some(error) if refused.len() + 1 == count => Err(ReplayError::Connect(error)),
        _ => Ok(report),
    }
}

/// The HTTP client for the handshakes.
fn client(url: &Uri) -> Result<Client, ReplayError> {
    let options = TcpOptions { keepalive: None, user_timeout: None };
    let mut connect = Connect::new(Network::system(), options);
    if url.scheme_str() == Some("wss") {
        let files = ClientFiles { roots: Some(Roots::System), ..ClientFiles::default() };
        let tls = TlsClient::load(files, |path| std::fs::read_to_string(path)).map_err(|problems| {
            let texts: Vec<_> = problems.into_iter().map(|(_, text)| text).collect();
            ReplayError::Tls(texts.join(", "))
        })?;
        connect = connect.secured(&tls, url.host().unwrap_or_default().to_owned());
    }
    let connector = awc::Connector::new().connector(connect).timeout(FOREVER).limit(0);
    let client = Client::builder().connector(connector).disable_timeout().disable_redirects();
    Ok(client.no_default_headers().finish())
}

/// Replays one session. The second result is the error of its connection, if it has none.
async fn run(
    client: &Client,
    plan: &SessionPlan,
    options: &ReplayOptions,
    begin: Instant,
    progress: &Progress,
) -> (SessionReport, Option<String>) {
    wait_until(options.speed, begin, plan.begin).await;
    let mut peer = match timeout(CONNECT_TIME, connect(client, options)).await {
        Ok(Ok(link)) => Peer { link, received: Vec::new(), bytes: 0, ended: None },
        failed => {
            let error = match failed {
                Ok(Err(error)) => error.to_string(),
                _ => "no connection within 10s".to_owned(),
            };
            let difference = connection(plan.session.clone(), error.clone());
            return (
                SessionReport { differences: vec![difference], ..SessionReport::default() },
                Some(error),
            );
        }
    };
    let mut sent = 0;
    let mut answered_at = 0;
    for step in &plan.steps {
        if options.wait_replies {
            peer.until(options.patience, |peer| peer.received.len() >= answered_at).await;
        }
        peer.wait_until(options.speed, begin, step.at).await;
        if peer.ended.is_some() {
            break;
        }
        peer.send(step);
        answered_at = step.answered_at;
        sent += 1;
        progress.sent.set(progress.sent.get() + 1);
    }
    peer.until(options.patience, |peer| peer.received.len() >= plan.received.len()).await;
    // What comes in addition comes soon.
    peer.until(CLOSE_TIME.min(options.patience) / 4, |_| false).await;
    let mut differences = compare(plan, &peer.received);
    let unsent = plan.steps.len() - sent;
    if let Some(reason) = peer.ended.take()
        && (unsent > 0 || !differences.is_empty())
    {
        let text = format!("{reason}, {unsent} messages not sent");
        differences.push(connection(plan.session.clone(), text));
    }
    let received = peer.received.len();
    peer.close().await;
    (SessionReport { sent, received, differences }, None)
}

/// The result of a session whose replay has panicked.
fn panicked(session: String, error: &JoinError) -> SessionReport {
    let difference = connection(session, format!("the replay of the session failed: {error}"));
    SessionReport { differences: vec![difference], ..SessionReport::default() }
}

fn connection(session: String, replayed: String) -> Difference {
    Difference {
        session,
        event: None,
        kind: DifferenceKind::Connection,
        recorded: "open".to_owned(),
        replayed,
    }
}

async fn connect(client: &Client, options: &ReplayOptions) -> Result<PeerLink, WsClientError> {
    // awc knows the schemes of HTTP and of WebSocket.
    let mut request = client.ws(options.url.clone());
    for (name, value) in &options.headers {
        request = request.header(name.clone(), value.clone());
    }
    let (_, framed) = request.connect().await?;
    let parts = framed.into_parts();
    let rest = Bytes::copy_from_slice(&parts.read_buf);
    let limits = Limits { max_message: MESSAGE_MAX, max_frame: MESSAGE_MAX, buffer: MESSAGE_MAX };
    Ok(Link::new(parts.io, wire::Role::Client, limits, &LivenessConfig::OFF, rest))
}

/// The moment in the replay for a time in the record; `None` without waiting.
fn moment(speed: Speed, begin: Instant, at: Duration) -> Option<TokioInstant> {
    match speed {
        Speed::Fast => None,
        Speed::Times(times) => {
            let at = Duration::try_from_secs_f64(at.as_secs_f64() / times).unwrap_or(FOREVER);
            Some((begin + at.min(FOREVER)).into())
        }
    }
}

async fn wait_until(speed: Speed, begin: Instant, at: Duration) {
    if let Some(moment) = moment(speed, begin, at) {
        sleep_until(moment).await;
    }
}

// === impl Peer ===

impl Peer {
    fn send(&mut self, step: &Step) {
        let bytes = Bytes::copy_from_slice(&step.message.payload);
        let message = match step.message.binary {
            true => Message::Binary(bytes),
            false => Message::Text(String::from_utf8_lossy(&bytes).into_owned().into()),
        };
        // After the server's close frame, nothing is sent.
        let _ = self.link.push(message, ());
    }

    /// Reads and writes until a moment of the record.
    async fn wait_until(&mut self, speed: Speed, begin: Instant, at: Duration) {
        if let Some(moment) = moment(speed, begin, at) {
            let _ = timeout_at(moment, self.driven(|_| false)).await;
            // The connection may have ended early.
            sleep_until(moment).await;
        }
    }

    /// Reads and writes until `is_done`, until the connection ends, or for `patience`.
    async fn until(&mut self, patience: Duration, is_done: impl Fn(&Self) -> bool) {
        let _ = timeout(patience, self.driven(is_done)).await;
    }

    fn driven(&mut self, is_done: impl Fn(&Self) -> bool) -> impl Future<Output = ()> {
        poll_fn(move |cx| {
            self.poll(cx);
            if self.ended.is_some() || is_done(self) { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        if self.ended.is_some() {
            return;
        }
        self.link.allow(MESSAGE_MAX);
        while let Poll::Ready(incoming) = self.link.poll_next(cx) {
            match incoming {
                Ok(Incoming::Message(message)) => self.keep(message),
                Ok(Incoming::Ping(payload)) => self.link.outbox().pong(payload),
                // The link allows no bursts.
                Ok(Incoming::Pong(_) | Incoming::Burst(_)) => {}
                Ok(Incoming::Close(frame)) => {
                    let code =
                        frame.map_or_else(|| "without code".to_owned(), |frame| frame.code.to_string());
                    self.ended = Some(format!("closed {code}"));
                }
                Err(error) => self.ended = Some(error.to_string()),
            }
            if self.ended.is_some() {
                break;
            }
        }
        self.link.end_turn();
        if let Poll::Ready(Err(error)) = self.link.poll_flush(cx, drop) {
            self.ended.get_or_insert(error.to_string());
        }
    }

    fn keep(&mut self, message: Message) {
        self.bytes += message.len();
        if self.bytes > RECEIVED_MAX {
            self.ended = Some(format!("more than {} MiB received", RECEIVED_MAX >> 20));
            return;
        }
        let (binary, payload) = (message.is_binary(), message.into_bytes().to_vec());
        self.received.push(Exchanged { event: None, role: Role::Reply, binary, payload, is_redacted: false });
    }

    async fn close(mut self) {
        self.link.close(Some(&CloseFrame::new(1000, String::new())));
        let closing = poll_fn(|cx| match self.link.poll_flush(cx, drop) {
            Poll::Ready(Ok(())) => self.link.poll_peer_close(cx),
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        });
        let _ = timeout(CLOSE_TIME, closing).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_difference() {
        let report = actix::System::new().block_on(async {
            let running = actix_rt::spawn(async { panic!("a bug") });
            let running: Result<(), _> = running.await;
            panicked("1:0".to_owned(), &running.unwrap_err())
        });
        let [difference] = &report.differences[..] else { panic!("{report:?}") };
        assert_eq!((difference.kind, difference.session.as_str()), (DifferenceKind::Connection, "1:0"));
        assert!(difference.replayed.contains("panic"), "{}", difference.replayed);
    }
}
