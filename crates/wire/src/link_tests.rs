//! Properties of a link on a socket that moves any number of bytes at a time, is pending at any time, and
//! fails at any time.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Limits, LivenessConfig};
use super::{
    frame::{HEADER_MAX, Header, Opcode, apply_mask},
    *,
};

const LIMITS: Limits = Limits { max_message: 60_000, max_frame: 40_000, buffer: 0 };

/// Pongs that an outbox may hold: 16 in the queue, and the latest.
const PONGS: usize = 17;

/// What a socket does at one call.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// It is pending.
    Pending,
    /// It moves at most this many bytes.
    Bytes(usize),
}

/// A socket in memory; the test keeps a handle to its state.
struct Socket {
    steps: VecDeque<Step>,
    shared: Rc<RefCell<Shared>>,
}

#[derive(Default)]
struct Shared {
    input: Vec<u8>,
    output: Vec<u8>,
    /// The socket fails after it has moved this many bytes.
    fails_after: Option<usize>,
    moved: usize,
    /// How often it was read from.
    reads: usize,
    is_shut: bool,
}

type Tested = Link<Socket, usize>;

impl Socket {
    /// How many of `len` bytes may move now.
    fn poll(&mut self, wanted: usize) -> Poll<io::Result<usize>> {
        self.steps.rotate_left(1);
        let mut shared = self.shared.borrow_mut();
        let left = shared.fails_after.map_or(usize::MAX, |at| at - shared.moved);
        if left == 0 {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        match self.steps[0] {
            Step::Pending => Poll::Pending,
            Step::Bytes(count) => {
                let count = count.min(wanted).min(left);
                shared.moved += count;
                Poll::Ready(Ok(count))
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wanted = buffer.remaining().min(self.shared.borrow().input.len());
        self.shared.borrow_mut().reads += 1;
        self.poll(wanted).map_ok(|count| {
            buffer.put_slice(&self.shared.borrow_mut().input.drain(..count).collect::<Vec<_>>());
        })
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        assert!(!self.shared.borrow().is_shut, "nothing is written behind the end");
        let bytes = slices.iter().map(|slice| &slice[..]).collect::<Vec<_>>().concat();
        assert!(!bytes.is_empty(), "nothing is written when there is nothing");
        self.poll(bytes.len()).map_ok(|count| {
            self.shared.borrow_mut().output.extend_from_slice(&bytes[..count]);
            count
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.borrow_mut().is_shut = true;
        Poll::Ready(Ok(()))
    }
}

fn link(role: Role, steps: &[Step], shared: Shared) -> (Tested, Rc<RefCell<Shared>>) {
    let shared = Rc::new(RefCell::new(shared));
    let socket = Socket { steps: steps.iter().copied().collect(), shared: Rc::clone(&shared) };
    (Link::new(socket, role, LIMITS, &LivenessConfig::OFF, Bytes::new()), shared)
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn peer_of(role: Role) -> Role {
    if role == Role::Server { Role::Client } else { Role::Server }
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

/// Sometimes one byte, sometimes all, and always some progress.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes =
        prop_oneof![1..4_usize, 1..200_usize, 1..30_000_usize, Just(usize::MAX)].prop_map(Step::Bytes);
    let step = prop_oneof![1 => Just(Step::Pending), 3 => bytes.clone()];
    (proptest::collection::vec(step, 0..12), bytes).prop_map(|(mut steps, last)| {
        steps.push(last);
        steps
    })
}

fn message() -> impl Strategy<Value = Message> {
    let size = prop_oneof![8 => 0..300_usize, 1 => 15_900..17_000_usize, 1 => prop_oneof![Just(125_usize), Just(126)]];
    (size, any::<bool>(), 1..0x80_u8).prop_map(|(size, binary, byte)| match binary {
        true => Message::Binary(vec![byte | 0x80; size].into()),
        false => Message::Text(char::from(byte).to_string().repeat(size).into()),
    })
}

// --- writing ---

/// An operation of the owner on a link's write side.
#[derive(Debug, Clone)]
enum Act {
    Push(Message),
    Ping(u8),
    Pong(u8),
    Flush,
    Close,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        40 => message().prop_map(Act::Push),
        5 => any::<u8>().prop_map(Act::Ping),
        60 => any::<u8>().prop_map(Act::Pong),
        20 => Just(Act::Flush),
        1 => Just(Act::Close),
    ];
    proptest::collection::vec(act, 1..120)
}

/// The link's write side, its peer, and the expected state.
struct Writer {
    link: Tested,
    shared: Rc<RefCell<Shared>>,
    peer: Decoder,
    /// How much of the output the peer has decoded.
    seen: usize,
    got: Vec<Incoming>,
    pushed: Vec<Message>,
    /// Tokens that came back.
    done: usize,
    pings: usize,
    pongs: Vec<Bytes>,
    closed: bool,
}

impl Writer {
    fn new(role: Role, steps: &[Step], fails_after: Option<usize>) -> Self {
        let (link, shared) = link(role, steps, Shared { fails_after, ..Shared::default() });
        Self {
            link,
            shared,
            peer: Decoder::new(peer_of(role), LIMITS),
            seen: 0,
            got: Vec::new(),
            pushed: Vec::new(),
            done: 0,
            pings: 0,
            pongs: Vec::new(),
            closed: false,
        }
    }

    /// Whether the socket still works.
    fn act(&mut self, act: Act) -> bool {
        match act {
            Act::Push(message) => {
                let token = self.pushed.len();
                match self.link.push(message.clone(), token) {
                    Ok(()) => self.pushed.push(message),
                    Err(back) => assert_eq!((back, self.closed), (token, true)),
                }
            }
            Act::Ping(byte) => {
                self.link.outbox().ping(vec![byte].into());
                self.pings += usize::from(!self.closed);
            }
            Act::Pong(byte) => {
                let payload = Bytes::from(vec![byte; byte.into()]).slice(..usize::from(byte).min(125));
                self.link.outbox().pong(payload.clone());
                if !self.closed {
                    self.pongs.push(payload);
                }
            }
            Act::Flush => return !matches!(self.flush(), Poll::Ready(Err(_))),
            Act::Close => {
                self.link.close(Some(&CloseFrame::new(1000, "bye")));
                self.closed = true;
            }
        }
        self.check_held();
        true
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        let Self { link, shared, peer, seen, got, done, .. } = self;
        let flushed = link.poll_flush(&mut cx(), |token| {
            see(&shared.borrow().output, peer, seen, got);
            assert_eq!(token, *done, "tokens come back once and in order");
            assert!(messages(got).count() > token, "and not before the socket has the message's last byte");
            *done += 1;
        });
        link.end_turn();
        see(&shared.borrow().output, peer, seen, got);
        assert_eq!(messages(got).count(), self.done, "nor later");
        self.check_held();
        flushed
    }

    /// Each token is either back or in the outbox, the outbox holds only what was queued, and few pongs.
    fn check_held(&mut self) {
        let waiting: Vec<_> = self.link.outbox().tokens().copied().collect();
        assert_eq!(waiting, (self.done..self.pushed.len()).collect::<Vec<_>>());
        let messages: usize = self.pushed[self.done..].iter().map(|message| HEADER_MAX + message.len()).sum();
        let controls = (PONGS + self.pings + usize::from(self.closed)) * (HEADER_MAX + 125);
        assert!(self.link.outbox().len() <= messages + controls, "{} bytes", self.link.outbox().len());
    }

    /// The peer has decoded what was pushed, in order, and nothing after a close frame.
    fn check_end(mut self, is_whole: bool) {
        let got = messages(&self.got).cloned().collect::<Vec<_>>();
        assert_eq!(got, self.pushed[..self.done]);
        let close = self.got.iter().position(|incoming| matches!(incoming, Incoming::Close(_)));
        assert!(
            close.is_none_or(|at| self.closed && at + 1 == self.got.len()),
            "nothing follows a close frame"
        );
        let pongs: Vec<_> = self.got.iter().filter_map(pong).collect();
        let mut sent = self.pongs.iter();
        assert!(pongs.iter().all(|pong| sent.any(|sent| sent == *pong)), "pongs keep their order");
        if is_whole {
            assert_eq!(self.done, self.pushed.len());
            assert_eq!(close.is_some(), self.closed);
            assert!(self.closed || pongs.last().copied() == self.pongs.last(), "the latest ping is answered");
            assert_eq!(self.link.outbox().len(), 0);
        }
    }
}

/// Lets a peer decode what was written since the last call.
fn see(output: &[u8], peer: &mut Decoder, seen: &mut usize, got: &mut Vec<Incoming>) {
    let mut bytes = &output[*seen..];
    while let Some(incoming) = peer.decode(&mut bytes, &mut { usize::MAX }).expect("what we write is allowed")
    {
        got.push(incoming);
    }
    *seen = output.len();
}

fn messages(got: &[Incoming]) -> impl Iterator<Item = &Message> {
    got.iter().filter_map(|incoming| match incoming {
        Incoming::Message(message) => Some(message),
        _ => None,
    })
}

fn pong(incoming: &Incoming) -> Option<&Bytes> {
    match incoming {
        Incoming::Pong(payload) => Some(payload),
        _ => None,
    }
}

// --- reading ---

/// What a peer sends: a message in any number of frames, with control frames anywhere.
#[derive(Debug, Clone)]
struct Sent {
    message: Message,
    /// Where it is cut into frames, each modulo the bytes left.
    cuts: Vec<usize>,
    /// The frame before which a ping is sent.
    ping_at: usize,
}

fn sent() -> impl Strategy<Value = Sent> {
    let cuts = proptest::collection::vec(any::<usize>(), 0..4);
    let large = (30_000..60_000_usize).prop_map(|size| Message::Binary(vec![7; size].into()));
    let message = prop_oneof![9 => message(), 1 => large];
    (message, cuts, 0..6_usize).prop_map(|(message, mut cuts, ping_at)| {
        if message.len() > LIMITS.max_frame {
            // Two frames are enough for a short payload.
            cuts = vec![30_000];
        }
        Sent { message, cuts, ping_at }
    })
}

/// The peer's frames, and what must be read from them, each with the position where it ends.
fn stream(peer: Role, all: &[Sent]) -> (Vec<u8>, Vec<(usize, Incoming)>) {
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for (number, Sent { message, cuts, ping_at }) in all.iter().enumerate() {
        let mut opcode = if message.is_binary() { Opcode::Binary } else { Opcode::Text };
        let payload = message.clone().into_bytes();
        let mut rest = &payload[..];
        for at in 0..=cuts.len() {
            if at == *ping_at {
                let ping = Bytes::from(vec![number as u8; number % 126]);
                frame(peer, &mut bytes, true, Opcode::Ping, &ping);
                expected.push((bytes.len(), Incoming::Ping(ping)));
            }
            let size = cuts.get(at).map_or(rest.len(), |cut| cut % (rest.len() + 1));
            let (piece, behind) = rest.split_at(size);
            frame(peer, &mut bytes, at == cuts.len(), opcode, piece);
            (rest, opcode) = (behind, Opcode::Continuation);
        }
        expected.push((bytes.len(), Incoming::Message(message.clone())));
    }
    (bytes, expected)
}

fn frame(peer: Role, bytes: &mut Vec<u8>, fin: bool, opcode: Opcode, payload: &[u8]) {
    let mask = (peer == Role::Client).then_some([1, 2, 3, 0xff]);
    let (header, size) = Header { fin, opcode, mask, len: payload.len() as u64 }.encode();
    bytes.extend_from_slice(&header[..size]);
    let at = bytes.len();
    bytes.extend_from_slice(payload);
    apply_mask(&mut bytes[at..], mask.unwrap_or_default(), 0);
}

/// Reads until an error, with turns ended and growth refused now and then.
fn read(
    link: &mut Tested,
    shared: &RefCell<Shared>,
    turns: usize,
    allowances: &[usize],
) -> (Vec<Incoming>, LinkError) {
    let mut got = Vec::new();
    for step in 1.. {
        link.allow(allowances[step % allowances.len()]);
        if link.is_held_up() {
            let reads = shared.borrow().reads;
            match link.poll_next(&mut cx()) {
                Poll::Pending => assert_eq!(shared.borrow().reads, reads, "no more of it is read"),
                Poll::Ready(Ok(incoming)) => got.push(incoming),
                Poll::Ready(Err(error)) => return (got, error),
            }
        } else {
            match link.poll_next(&mut cx()) {
                Poll::Pending => {}
                Poll::Ready(Ok(incoming)) => got.push(incoming),
                Poll::Ready(Err(error)) => return (got, error),
            }
        }
        // an incomplete message, and the bytes that one read brought after it
        assert!(link.unfinished() <= LIMITS.max_message + (64 << 10), "{} bytes held", link.unfinished());
        if step % turns == 0 {
            link.end_turn();
        }
    }
    unreachable!("it ends with an error")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// In any order of operations and for any socket: messages arrive whole and in order, each token comes
    /// back once, after its message is written, pongs stay few, and nothing follows a close frame.
    #[test]
    fn what_is_queued_is_written_once(role in role(), acts in acts(), steps in steps()) {
        let mut writer = Writer::new(role, &steps, None);
        for act in acts {
            prop_assert!(writer.act(act));
        }
        loop {
            match writer.flush() {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => break,
                Poll::Ready(Err(error)) => panic!("{error}"),
            }
        }
        writer.check_end(true);
    }

    /// When a socket fails, the tokens that came back belong to written messages, and all others are still
    /// owed.
    #[test]
    fn a_socket_that_fails_leaves_what_is_not_through(
        role in role(),
        acts in acts(),
        steps in steps(),
        fails_after in prop_oneof![0..300_usize, 0..20_000_usize],
    ) {
        let mut writer = Writer::new(role, &steps, Some(fails_after));
        let works = acts.into_iter().all(|act| writer.act(act));
        let fails = !works || loop {
            match writer.flush() {
                Poll::Pending => {}
                Poll::Ready(end) => break end.is_err(),
            }
        };
        if fails {
            prop_assert_eq!(writer.shared.borrow().output.len(), fails_after);
        }
        writer.check_end(!fails);
    }

    /// However the socket splits bytes, turns end and growth is refused: everything is read once and in
    /// order, then the end.
    #[test]
    fn what_comes_is_read_once(
        role in role(),
        all in proptest::collection::vec(sent(), 0..8),
        steps in steps(),
        turns in 1..5_usize,
        allowances in proptest::collection::vec(prop_oneof![0..60_000_usize, Just(usize::MAX)], 0..3),
        fails_after in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let (input, expected) = stream(peer_of(role), &all);
        let fails_after = fails_after.map(|at| at.index(input.len() + 1));
        let end = fails_after.unwrap_or(input.len());
        let (mut link, shared) = link(role, &steps, Shared { input, fails_after, ..Shared::default() });
        let (got, error) = read(&mut link, &shared, turns, &[&allowances[..], &[usize::MAX]].concat());
        let expected = expected.into_iter().take_while(|(at, _)| *at <= end).map(|(_, incoming)| incoming);
        prop_assert_eq!(got, expected.collect::<Vec<_>>());
        match error {
            LinkError::Io(_) => prop_assert!(fails_after.is_some()),
            LinkError::Eof => prop_assert!(fails_after.is_none()),
            LinkError::Wire(error) => panic!("{error}"),
        }
    }

    /// `poll_close` reads up to the peer's close frame and discards what comes before it.
    #[test]
    fn a_close_frame_is_found_behind_anything(
        role in role(),
        all in proptest::collection::vec(sent(), 0..6),
        steps in steps(),
        is_sent: bool,
    ) {
        let (mut input, _) = stream(peer_of(role), &all);
        if is_sent {
            frame(peer_of(role), &mut input, true, Opcode::Close, b"\x03\xe8bye");
        }
        let all = input.len();
        input.extend([0xff; 10]);
        input.truncate(if is_sent { all + 10 } else { all });
        let (mut link, shared) = link(role, &steps, Shared { input, ..Shared::default() });
        while link.poll_peer_close(&mut cx(), true).is_pending() {}
        prop_assert!(shared.borrow().moved >= all, "not before");
    }

    /// A peer that violated the protocol is read until it ends the connection, and sees our end after our
    /// close frame.
    #[test]
    fn the_close_frame_goes_out_before_the_end(
        role in role(),
        input in proptest::collection::vec(any::<u8>(), 0..20_000),
        steps in steps(),
        late in 0..4_usize,
    ) {
        let (mut link, shared) = link(role, &steps, Shared { input, ..Shared::default() });
        link.push(Message::Text("last words".into()), 0).unwrap();
        link.close(Some(&CloseFrame::new(1002, "")));
        let mut flushed = false;
        for turn in 0.. {
            if turn >= late && !flushed {
                flushed = link.poll_flush(&mut cx(), drop).is_ready();
            }
            prop_assert_eq!(shared.borrow().is_shut && !flushed, false, "the end waits for what is queued");
            if link.poll_peer_close(&mut cx(), false).is_ready() {
                break;
            }
        }
        prop_assert!(shared.borrow().input.is_empty(), "all was read");
    }
}

#[test]
fn a_socket_that_takes_nothing_has_failed() {
    let (mut link, _) = link(Role::Server, &[Step::Bytes(0)], Shared::default());
    link.push(Message::Text("a".into()), 7).unwrap();
    let Poll::Ready(Err(error)) = link.poll_flush(&mut cx(), |_| unreachable!("it is not through")) else {
        panic!("it waits for ever")
    };
    assert_eq!(error.kind(), ErrorKind::WriteZero);
    assert_eq!(link.outbox().tokens().collect::<Vec<_>>(), [&7]);
}
