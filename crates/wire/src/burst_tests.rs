//! Tests of bursts: they are read and written as the messages one by one are.

use proptest::prelude::*;

use super::{
    frame::{Header, Opcode, apply_mask},
    *,
};

const LIMITS: Limits = Limits { max_message: 300, max_frame: 200, buffer: 64 * 1024 };
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

/// Everything that arrives, each message for itself, and the first error. Bursts are read if the limits allow them.
fn received(role: Role, mut input: &[u8], limits: &BurstLimits) -> (Vec<Incoming>, Option<WireError>) {
    let mut decoder = Decoder::new(role, LIMITS);
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

    #[test]
    fn a_burst_is_written_like_its_messages(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 2..40),
        is_client: bool,
        step in 1..500_usize,
    ) {
        let (role, peer) = if is_client { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) };
        let mut burst = Burst::default();
        for payload in &payloads {
            let header = Header { fin: true, opcode: Opcode::Binary, mask: None, len: payload.len() as u64 };
            assert!(burst.push(&header, payload, 0));
        }
        let mut outbox = Outbox::new(role);
        let mut next = 0;
        outbox.push_burst(&burst, |bytes| {
            next += 1;
            (next - 1, bytes)
        });
        let expected: Vec<_> = payloads.iter().map(Vec::len).enumerate().collect();
        let (mut written, mut tokens) = (Vec::new(), Vec::new());
        while !outbox.is_empty() {
            let front = outbox.front().unwrap();
            let count = step.min(front.len());
            written.extend_from_slice(&front[..count]);
            outbox.advance(count, |token| tokens.push(token));
            let complete = received(peer, &written, &BurstLimits::NONE).0.len();
            prop_assert_eq!(tokens.len(), complete, "the token of each message is returned with its last byte");
        }
        prop_assert_eq!(tokens, expected);
        let messages = burst.messages().map(Incoming::Message).collect();
        prop_assert_eq!(received(peer, &written, &BurstLimits::NONE), (messages, None));
        outbox.close(None);
        outbox.push_burst(&burst, |_| unreachable!("nothing follows a close frame"));
    }
}
