//! Fuzzes decoding of a peer's bytes to messages and control frames.
//!
//! The first byte of an input chooses the proxy's role and the limits ([`chosen`]), the second how the rest
//! is cut into pieces. The rest is what the peer sends.

use std::task::{Context, Waker};

use towline::wire::{BurstLimits, Decoder, Incoming, Limits, Role, WireError};

use super::{
    plain,
    socket::{self, Sizes, Socket},
};

/// Limits for the decoder: tiny ones, equal ones, and those of the default settings.
const LIMITS: [Limits; 4] = [
    Limits { max_message: 1 << 20, max_frame: 1 << 20, buffer: 0 },
    Limits { max_message: 300, max_frame: 130, buffer: 0 },
    Limits { max_message: 70_000, max_frame: 70_000, buffer: 0 },
    Limits { max_message: 10_000, max_frame: 1, buffer: 0 },
];

/// The result does not depend on how the input is cut, agrees with the reference decoder, and stays within
/// the memory limits. Decoded messages can be sent and decoded again.
pub fn run(data: &[u8]) {
    let Some(([options, cuts], bytes)) = data.split_first_chunk() else { return };
    let (role, limits) = chosen(*options);
    let expected = plain::read(role, limits, bytes);
    let bursts = BurstLimits { messages: usize::from(*cuts), bytes: 1 << 14, overhead: 256 };
    for bursts in [BurstLimits::NONE, bursts] {
        assert_eq!(decode(role, limits, &bursts, [bytes].into_iter()), expected, "in one piece, {bursts:?}");
        assert_eq!(decode(role, limits, &bursts, pieces(bytes, *cuts)), expected, "in pieces, {bursts:?}");
    }
    assert_eq!(socket::read(role, limits, bytes, *cuts), expected, "by a link");
    send_again(role, expected.0, *cuts);
}

/// The role and limits for the first byte of an input: bit 0 is 0 for a server, and the next two bits choose
/// the limits.
fn chosen(options: u8) -> (Role, Limits) {
    let role = if options & 1 == 0 { Role::Server } else { Role::Client };
    (role, LIMITS[usize::from(options >> 1) % LIMITS.len()])
}

/// The bytes, cut into pieces as determined by the seed.
fn pieces(mut bytes: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut sizes = Sizes::new(seed);
    std::iter::from_fn(move || {
        let size = sizes.next()?.min(bytes.len());
        let (piece, rest) = bytes.split_at(size);
        bytes = rest;
        (size > 0).then_some(piece)
    })
}

fn decode<'a>(
    role: Role,
    limits: Limits,
    bursts: &BurstLimits,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Incoming>, Option<WireError>) {
    let mut decoder = Decoder::new(role, limits);
    let mut got = Vec::new();
    for mut piece in pieces {
        loop {
            if let Some(burst) = decoder.decode_burst(&mut piece, &mut { usize::MAX }, bursts) {
                got.extend(burst.messages().map(Incoming::Message));
                continue;
            }
            let decoded = decoder.decode(&mut piece, &mut { usize::MAX });
            assert!(decoder.unfinished() <= limits.max_message.max(8), "{} bytes held", decoder.unfinished());
            match decoded {
                Ok(Some(incoming)) => got.push(incoming),
                Ok(None) => break,
                Err(error) => return (got, Some(error)),
            }
        }
        assert!(piece.is_empty(), "the decoder consumes all input");
        decoder.end_turn();
    }
    (got, None)
}

/// Sends decoded messages through a link in the peer's role, and decodes the result.
fn send_again(role: Role, mut sent: Vec<Incoming>, seed: u8) {
    if let Some(at) = sent.iter().position(|incoming| matches!(incoming, Incoming::Close(_))) {
        sent.truncate(at + 1);
    }
    let peer = if role == Role::Server { Role::Client } else { Role::Server };
    let bytes = write(peer, &sent, seed);
    let limits = Limits { max_message: 1 << 24, max_frame: 1 << 24, buffer: 0 };
    let again = decode(role, limits, &BurstLimits::NONE, [&bytes[..]].into_iter());
    assert_eq!(again, (sent, None), "sent again");
}

fn write(role: Role, sent: &[Incoming], seed: u8) -> Vec<u8> {
    let socket = Socket::new(&[], seed);
    let output = socket.output();
    let mut link = socket::link(socket, role, LIMITS[0]);
    let mut cx = Context::from_waker(Waker::noop());
    let mut done = Vec::new();
    let mut pushed = Vec::new();
    for (token, incoming) in sent.iter().enumerate() {
        match incoming.clone() {
            Incoming::Message(message) => {
                link.push(message, token).expect("the close frame comes last");
                pushed.push(token);
            }
            Incoming::Ping(payload) => link.outbox().ping(payload),
            Incoming::Pong(payload) => {
                // The outbox keeps only some of many pongs.
                while link.poll_flush(&mut cx, |sent| done.extend(sent.into_token())).is_pending() {
                    link.end_turn();
                }
                link.outbox().pong(payload);
            }
            Incoming::Close(frame) => link.close(frame.as_ref()),
            Incoming::Burst(_) => unreachable!("`decode` returns the messages of bursts"),
        }
    }
    while link.poll_flush(&mut cx, |sent| done.extend(sent.into_token())).is_pending() {
        link.end_turn();
    }
    assert_eq!(done, pushed, "each token is returned, in order");
    assert!(!link.has_queued(), "all is written");
    output.take()
}
