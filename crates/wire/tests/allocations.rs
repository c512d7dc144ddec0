//! A burst of small messages costs a few allocations, however many messages it has.

use allocation_counter::measure;
use bytes::Bytes;
use towline_wire::{Decoder, Incoming, Limits, Message, Outbox, Role};

const LIMITS: Limits = Limits { max_message: 1 << 20, max_frame: 1 << 20, buffer: 1 << 20 };

/// The frames of a burst: text messages of 64 bytes from a client.
fn burst(messages: usize) -> Vec<u8> {
    let key = [1, 2, 3, 4];
    let mut frame = vec![0x81, 0x80 | 64];
    frame.extend(key);
    frame.extend(key.iter().cycle().take(64).map(|key| b'a' ^ key));
    frame.repeat(messages)
}

/// The number of allocations for decoding a burst, whose messages are kept.
fn decoding(messages: usize) -> u64 {
    let (bytes, mut decoder) = (burst(messages), Decoder::new(Role::Server, LIMITS));
    let mut decoded = Vec::with_capacity(messages);
    let allocations = measure(|| {
        let (mut input, mut frames) = (&bytes[..], usize::MAX);
        while let Ok(Some(Incoming::Message(message))) = decoder.decode(&mut input, &mut frames) {
            decoded.push(message);
        }
        decoder.end_turn();
    });
    assert_eq!(decoded, vec![Message::Text("a".repeat(64).into()); messages]);
    allocations.count_total
}

/// Two for the memory that the messages share, and two for that of the last message, which shares none.
#[test]
fn a_burst_is_decoded_with_four_allocations() {
    for messages in [2, 8, 32] {
        let allocations = decoding(messages);
        assert!(allocations <= 4, "{allocations} for {messages} messages");
    }
}

/// The queue and the write buffer are kept from one burst to the next.
#[test]
fn a_burst_is_encoded_without_allocations() {
    let payload = Bytes::from_static(&[b'a'; 64]);
    for role in [Role::Server, Role::Client] {
        let mut outbox = Outbox::new(role);
        let mut written = 0;
        let mut send = || {
            for token in 0..32 {
                let message = Message::Binary(payload.clone());
                assert!(outbox.push(message, token).is_ok());
            }
            outbox.advance(outbox.len(), |_| written += 1);
        };
        send();
        let allocations = measure(send).count_total;
        assert_eq!((allocations, written), (0, 64), "{role:?}");
    }
}
