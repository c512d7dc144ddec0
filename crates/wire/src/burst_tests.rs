//! Tests of bursts: they are read and written as the messages one by one are.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{
    frame::{Header, Opcode, apply_mask},
    *,
};

const LIMITS: Limits = Limits { max_message: 300, max_frame: 200, buffer: 64 * 1024 };
const LONG: Limits = Limits { max_message: 2000, max_frame: 2000, buffer: 64 * 1024 };
const ALL: BurstLimits = BurstLimits { messages: usize::MAX, bytes: usize::MAX, overhead: 0 };
const KEY: [u8; 4] = [1, 2, 3, 4];

fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let header = Header { fin: true, opcode: Opcode::Text, mask, len: payload.len() as u64 };
    let mut frame = Vec::new();
    header.encode(&mut frame);
    frame[0] = first;
    let at = frame.len();
    frame.extend_from_slice(payload);
    apply_mask(&mut frame[at..], mask.unwrap_or_default(), 0);
    frame
}

fn received(role: Role, input: &[u8], limits: &BurstLimits) -> (Vec<Incoming>, Option<WireError>) {
    decoded(&mut Decoder::new(role, LIMITS), input, limits)
}

/// Everything that arrives, each message for itself, and the first error. Bursts are read if the limits allow them.
fn decoded(
    decoder: &mut Decoder,
    mut input: &[u8],
    limits: &BurstLimits,
) -> (Vec<Incoming>, Option<WireError>) {
    let (mut got, mut frames) = (Vec::new(), usize::MAX);
    loop {
        let before = (input.len(), frames);
        if let Some(burst) = decoder.decode_burst(&mut input, &mut frames, limits) {
            assert_eq!(before.1 - frames, burst.len(), "each message is a frame");
            assert!(burst.len() <= limits.messages);
            let bytes = |messages: &[Message]| {
                messages.iter().map(|message| message.len() + limits.overhead).sum::<usize>()
            };
            let messages: Vec<_> = burst.messages().collect();
            assert!(
                bytes(&messages[..messages.len() - 1]) < limits.bytes,
                "only the last message exceeds the limit"
            );
            got.extend(messages.into_iter().map(Incoming::Message));
            continue;
        }
        assert_eq!(before, (input.len(), frames), "without a burst nothing is read");
        match decoder.decode(&mut input, &mut frames) {
            Ok(Some(incoming)) => got.push(incoming),
            Ok(None) => return (got, None),
            Err(error) => return (got, Some(error)),
        }
    }
}

/// The key of a message in a burst from a client.
fn key(number: u8) -> [u8; 4] {
    [number, 7, 0x80, number ^ 0xff]
}

/// A burst of binary messages, as it arrives from a client or from a server.
fn burst(payloads: &[Vec<u8>], is_masked: bool) -> Burst {
    let role = if is_masked { Role::Server } else { Role::Client };
    let frames = payloads
        .iter()
        .enumerate()
        .flat_map(|(number, payload)| frame(0x82, is_masked.then_some(key(number as u8)), payload));
    let frames: Vec<u8> = frames.collect();
    let mut input = &frames[..];
    let burst = Decoder::new(role, LONG).decode_burst(&mut input, &mut { usize::MAX }, &ALL).unwrap();
    assert_eq!((burst.len(), input.len()), (payloads.len(), 0));
    burst
}

#[test]
fn a_burst_contains_the_small_messages_that_have_arrived_whole() {
    let mut decoder = Decoder::new(Role::Server, LIMITS);
    let message = frame(0x81, Some(KEY), "grüß".as_bytes());
    assert_eq!(decoder.decode_burst(&mut &message[..message.len() - 1], &mut 9, &ALL), None);
    let two = [message, frame(0x82, Some(KEY), b"\xff")].concat();
    let bytes = [&two[..], &two[..3]].concat();
    let mut input = &bytes[..];
    assert_eq!(decoder.decode_burst(&mut input, &mut 9, &BurstLimits::NONE), None);
    let burst = decoder.decode_burst(&mut input, &mut 9, &ALL).unwrap();
    let messages = [Message::Text("grüß".into()), Message::Binary(b"\xff"[..].into())];
    assert_eq!(burst.messages().collect::<Vec<_>>(), messages);
    assert_eq!((burst.len(), burst.bytes(), burst.is_empty(), input.len()), (2, 7, false, 3));
}

/// Queues bursts, each with its number as its token, and single messages between them. The bits of `singles` say behind which
/// ones. Returns all payloads, and all tokens.
fn queue(
    outbox: &mut Outbox<usize>,
    bursts: &[Vec<Vec<u8>>],
    is_masked: bool,
    singles: u8,
) -> (Vec<Vec<u8>>, Vec<usize>) {
    let (mut queued, mut tokens) = (Vec::new(), Vec::new());
    for (token, payloads) in bursts.iter().enumerate() {
        outbox.push_burst(burst(payloads, is_masked), token);
        tokens.push(token);
        queued.extend(payloads.iter().cloned());
        if singles & 1 << token != 0 {
            outbox.push(Message::Binary(b"single"[..].into()), 10 + token).unwrap();
            tokens.push(10 + token);
            queued.push(b"single".to_vec());
        }
    }
    (queued, tokens)
}

/// RFC 6455 section 5.3 demands a fresh key for each frame. Random keys are rarely equal.
#[test]
fn each_frame_of_a_burst_is_masked_with_a_new_key() {
    let keys = |frames: &[u8]| -> HashSet<_> {
        let keys = frames.chunks(2 + KEY.len() + 1).map(|frame| frame[2..][..KEY.len()].to_vec());
        keys.collect()
    };
    let payloads = vec![b"x".to_vec(); 200];
    let once = keys(&burst(&payloads, true).into_frames(Role::Client));
    let again = keys(&burst(&payloads, true).into_frames(Role::Client));
    let unmasked = keys(&burst(&payloads, false).into_frames(Role::Client));
    for keys in [&once, &again, &unmasked] {
        assert!(keys.len() >= 198, "{}", keys.len());
        let sent = (0..200_u8).filter(|number| keys.contains(&key(*number).to_vec())).count();
        assert!(sent <= 1, "{sent} keys of the client");
    }
    assert!(once.intersection(&again).count() <= 1);
}

proptest! {
    #[test]
    fn bursts_contain_what_arrives_without_them(
        frames in proptest::collection::vec(
            (
                prop_oneof![8 => Just(0x81), 4 => Just(0x82), 1 => Just(0x01), 1 => Just(0x80), 1 => Just(0x89), 1 => any::<u8>()],
                prop_oneof![20 => Just(true), 1 => Just(false)],
                prop_oneof![
                    10 => proptest::collection::vec(b'a'..=b'z', 0..30),
                    2 => proptest::collection::vec(b'a'..=b'z', 120..210),
                    1 => Just("grüß".as_bytes().to_vec()),
                    1 => Just(b"\xff".to_vec()),
                ],
            ),
            0..30,
        ),
        is_server: bool,
        cut in 0..10_usize,
        messages in prop_oneof![0..9_usize, Just(usize::MAX)],
        bytes in prop_oneof![1..200_usize, Just(usize::MAX)],
        overhead in 0..20_usize,
    ) {
        let role = if is_server { Role::Server } else { Role::Client };
        let input: Vec<u8> = frames
            .iter()
            .flat_map(|(first, is_right, payload)| frame(*first, (is_server == *is_right).then_some(KEY), payload))
            .collect();
        let input = &input[..input.len().saturating_sub(cut)];
        let expected = received(role, input, &BurstLimits::NONE);
        prop_assert_eq!(received(role, input, &BurstLimits { messages, bytes, overhead }), expected);
    }

    /// Bursts between other messages, in steps of any size.
    #[test]
    fn a_burst_is_written_like_its_messages(
        bursts in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..40),
                // Enough bytes to be queued without a copy.
                proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..1500), 6..16),
            ],
            1..5,
        ),
        is_client: bool,
        is_masked: bool,
        singles in 0..16_u8,
        step in prop_oneof![1..500_usize, 1..40_000_usize],
        is_blocked: bool,
    ) {
        let (role, peer) = if is_client { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) };
        let mut outbox = Outbox::new(role);
        let (expected, tokens) = queue(&mut outbox, &bursts, is_masked, singles);
        prop_assert_eq!(outbox.tokens().copied().collect::<Vec<_>>(), tokens.clone());
        let (mut decoder, mut got) = (Decoder::new(peer, LONG), Vec::new());
        let (mut returned, mut sent) = (Vec::new(), 0);
        while !outbox.is_empty() {
            let (slices, count) = outbox.slices();
            let queued = slices[..count].iter().flat_map(|slice| &slice[..]).copied().collect::<Vec<_>>();
            prop_assert!(outbox.front().is_none_or(|front| front == queued));
            let count = step.min(queued.len());
            outbox.advance(count, |messages| {
                let before = sent;
                match &messages {
                    Sent::Message(_) => sent += 1,
                    Sent::Burst { messages, bytes, .. } => {
                        sent += *messages as usize;
                        assert_eq!(*bytes as usize, expected[before..sent].iter().map(Vec::len).sum::<usize>());
                    }
                }
                returned.extend(messages.into_token());
            });
            if is_blocked && !outbox.is_empty() {
                outbox.blocked();
            }
            let (complete, error) = decoded(&mut decoder, &queued[..count], &BurstLimits::NONE);
            prop_assert_eq!(error, None);
            got.extend(complete);
            prop_assert_eq!(sent, got.len(), "each message is counted with its last byte");
        }
        prop_assert_eq!(returned, tokens, "each token is returned once, in order");
        let message = |payload: Vec<u8>| Incoming::Message(Message::Binary(payload.into()));
        prop_assert_eq!(got, expected.into_iter().map(message).collect::<Vec<_>>());
        outbox.close(None);
        let before = outbox.len();
        outbox.push_burst(burst(&bursts[0], is_masked), 0);
        prop_assert_eq!(outbox.len(), before, "nothing follows a close frame");
    }
}
