//! Tests that received messages are read once, in order, up to the end of the connection.

use std::future::poll_fn;

use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use super::*;

/// A message that a peer sends in any number of frames, with control frames in between.
#[derive(Debug, Clone)]
struct Sent {
    message: Message,
    /// The positions where the message is cut into frames, each modulo the bytes left.
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

/// The peer's frames, and the messages in them, each with the position of its end.
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
    Header { fin, opcode, mask, len: payload.len() as u64 }.encode(bytes);
    let at = bytes.len();
    bytes.extend_from_slice(payload);
    apply_mask(&mut bytes[at..], mask.unwrap_or_default(), 0);
}

/// Reads until an error. Sometimes ends the turn, and sometimes refuses growth.
fn read(
    link: &mut Tested,
    shared: &RefCell<SocketState>,
    turns: usize,
    allowances: &[usize],
) -> (Vec<Incoming>, LinkError) {
    let mut got = Vec::new();
    for step in 1.. {
        let allowance = allowances[step % allowances.len()];
        link.allow(allowance);
        link.reserve_ahead(allowance);
        if link.is_held_up() {
            let reads = shared.borrow().reads;
            match link.poll_next(&mut cx()) {
                Poll::Pending => {
                    assert_eq!(shared.borrow().reads, reads, "nothing is read while the message may not grow")
                }
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
        // An incomplete message, and the bytes that the same read returned after it.
        assert!(link.unfinished() <= LIMITS.max_message + (64 << 10), "{} bytes held", link.unfinished());
        if step % turns == 0 {
            link.end_turn();
        }
    }
    unreachable!("reading ends with an error")
}

/// The reads of a message that has arrived whole, or whose first read returns its header only.
#[test]
fn a_large_message_takes_few_reads() {
    const SIZE: usize = 1 << 20;
    let mut input = Vec::new();
    frame(Role::Client, &mut input, true, Opcode::Binary, &vec![7; SIZE]);
    let header = input.len() - SIZE;
    for (first, reads) in [(usize::MAX, 5), (header, 6)] {
        // The first step is the last one to be used.
        let steps: Vec<_> =
            [usize::MAX, first].into_iter().chain([usize::MAX; 20]).map(Step::Bytes).collect();
        let shared = SocketState { input: input.clone(), ..SocketState::default() };
        let (mut link, shared) = link(Role::Server, &steps, shared);
        link.configure(Limits { max_message: SIZE, max_frame: SIZE, buffer: 0 }, &LivenessConfig::OFF);
        link.set_room(48 << 10);
        link.reserve_ahead(SIZE);
        let message = loop {
            match link.poll_next(&mut cx()) {
                Poll::Ready(incoming) => break incoming.expect("a message"),
                Poll::Pending => link.end_turn(),
            }
        };
        assert_eq!(message, Incoming::Message(Message::Binary(vec![7; SIZE].into())));
        assert_eq!(shared.borrow().reads, reads);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// However the socket splits bytes, and whenever turns end or growth is refused: everything is read once
    /// and in order, and then the end.
    #[test]
    fn received_messages_are_read_once(
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
        let (mut link, shared) = link(role, &steps, SocketState { input, fails_after, ..SocketState::default() });
        let (got, error) = read(&mut link, &shared, turns, &[&allowances[..], &[usize::MAX]].concat());
        let expected = expected.into_iter().take_while(|(at, _)| *at <= end).map(|(_, incoming)| incoming);
        prop_assert_eq!(got, expected.collect::<Vec<_>>());
        match error {
            LinkError::Io(_) => prop_assert!(fails_after.is_some()),
            LinkError::Eof => prop_assert!(fails_after.is_none()),
            LinkError::Wire(error) => panic!("{error}"),
        }
    }

    /// `poll_peer_close` reads up to the peer's close frame and discards what comes before it.
    #[test]
    fn a_close_frame_is_found_after_any_messages(
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
        let (mut link, shared) = link(role, &steps, SocketState { input, ..SocketState::default() });
        while link.poll_peer_close(&mut cx()).is_pending() {}
        prop_assert!(shared.borrow().moved >= all, "it is not ready before the close frame is read");
    }

    /// The proxy reads from a peer that violated the protocol until the peer ends the connection. The peer
    /// sees the proxy's end after the close frame.
    #[test]
    fn the_close_frame_is_sent_before_the_shutdown(
        role in role(),
        input in proptest::collection::vec(any::<u8>(), 0..20_000),
        steps in steps(),
        late in 0..4_usize,
    ) {
        let (mut link, shared) = link(role, &steps, SocketState { input, ..SocketState::default() });
        link.push(Message::Text("last words".into()), 0).unwrap();
        link.close(Some(&CloseFrame::new(1002, "")));
        let mut flushed = false;
        for turn in 0.. {
            if turn >= late && !flushed {
                flushed = link.poll_flush(&mut cx(), drop).is_ready();
            }
            prop_assert_eq!(shared.borrow().is_shut && !flushed, false, "the shutdown waits for the queued bytes");
            if link.poll_rejected(&mut cx()).is_ready() {
                break;
            }
        }
        prop_assert!(shared.borrow().input.is_empty(), "all input is read");
    }
}

/// A link on a socket that wakes its owner, and the other end.
fn waking_link() -> (Link<DuplexStream, usize>, DuplexStream) {
    let (ours, theirs) = duplex(1 << 16);
    (Link::new(ours, Role::Client, LIMITS, &LivenessConfig::OFF, Bytes::new()), theirs)
}

#[actix::test]
async fn reading_is_skipped_until_the_socket_wakes_the_owner() {
    let (mut link, mut theirs) = waking_link();
    poll_fn(|cx| {
        assert!(!link.skip_reading(), "the socket was not polled yet");
        assert!(link.poll_next(cx).is_pending());
        link.end_turn();
        assert!(link.skip_reading());
        Poll::Ready(())
    })
    .await;
    theirs.write_all(b"\x81\x01a").await.unwrap();
    poll_fn(|cx| {
        assert!(!link.skip_reading(), "something has arrived");
        assert!(matches!(link.poll_next(cx), Poll::Ready(Ok(Incoming::Message(_)))));
        link.end_turn();
        assert!(!link.skip_reading(), "more may have arrived");
        assert!(link.poll_next(cx).is_pending());
        link.end_turn();
        assert!(link.skip_reading());
        Poll::Ready(())
    })
    .await;
}

#[actix::test]
async fn a_turn_without_reading_has_a_whole_quota() {
    let (mut link, _theirs) = waking_link();
    poll_fn(|cx| {
        assert!(link.poll_next(cx).is_pending());
        link.end_turn();
        for turn in 0..100 {
            assert!(link.skip_reading());
            link.push(Message::Text("a".into()), turn).unwrap();
            assert!(link.poll_flush(cx, drop).is_ready(), "turn {turn}");
        }
        Poll::Ready(())
    })
    .await;
}
