//! Tests of the steps, the budget and the incomplete input of a channel.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::{
    codec,
    event::Value,
    flow::{EVENT_COST, GlobalBudget},
    processor::Spec,
};

const LIMITS: Limits = Limits { max_message: 1 << 20, max_frame: 1 << 20, buffer: 1 << 20 };

/// A client's channel with a budget of `budget` bytes, and the server's end of the socket. Each line is an event.
fn channel(budget: usize) -> (Channel<DuplexStream, bool>, DuplexStream) {
    channel_with(vec![Spec::Lines { buffered: true }], budget)
}

fn channel_with(preprocessors: Vec<Spec>, budget: usize) -> (Channel<DuplexStream, bool>, DuplexStream) {
    let (ours, theirs) = duplex(1 << 20);
    let codec = codec::lookup("string").unwrap();
    let format = Format { codec, preprocessors, postprocessors: Vec::new() };
    let budget = Budget::new(budget, &GlobalBudget::new(usize::MAX));
    let limits = (LIMITS, &LivenessConfig::OFF);
    (Channel::new(ours, Role::Client, limits, &format, &budget, Bytes::new()), theirs)
}

/// The events of one turn, each with a permit, and the number of steps.
fn turn(channel: &mut Channel<DuplexStream, bool>) -> (Vec<(Value, Permit)>, usize) {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut events, mut steps) = (Vec::new(), 0);
    channel.begin_turn();
    while let Poll::Ready(received) = channel.poll_event(&mut cx) {
        steps += 1;
        match received.unwrap() {
            Received::Event(data) => {
                let data = data.unwrap();
                let permit = channel.permit(&data);
                events.push((data.into_value(), permit));
            }
            Received::Message(message) => channel.feed(message),
            Received::Burst(_) | Received::Control | Received::Close(_) => {}
        }
    }
    channel.end_turn();
    (events, steps)
}

/// An unmasked text frame with at most 125 bytes of payload.
fn text(payload: &str) -> Vec<u8> {
    [&[0x81, payload.len() as u8], payload.as_bytes()].concat()
}

#[actix::test]
async fn a_turn_ends_after_its_steps_and_the_next_one_continues() {
    let (mut channel, mut server) = channel(usize::MAX);
    server.write_all(&text("a\n").repeat(TURN_STEPS as usize)).await.unwrap();
    // A message is one step, and its event another.
    for _ in 0..2 {
        let (events, steps) = turn(&mut channel);
        assert_eq!((events.len(), steps), (TURN_STEPS as usize / 2, TURN_STEPS as usize));
        assert!(channel.is_reading);
    }
    assert_eq!(turn(&mut channel).1, 0);
}

#[actix::test]
async fn without_room_nothing_is_read_until_a_permit_is_dropped() {
    let (mut channel, mut server) = channel(2 * EVENT_COST);
    server.write_all(&text("a\nb\nc\nd\n")).await.unwrap();
    let (events, _) = turn(&mut channel);
    assert_eq!(events.len(), 2);
    assert!(!channel.is_reading, "a peer that is not read does not count as silent");
    assert!(turn(&mut channel).0.is_empty());
    drop(events);
    let (events, _) = turn(&mut channel);
    assert_eq!(events[0].0, Value::string("c"));
}

#[actix::test]
async fn no_more_is_read_at_once_than_the_budget_has_room_for() {
    let room = 8 * 1024;
    let (mut channel, mut server) = channel(room);
    let line = format!("{}\n", "a".repeat(100));
    server.write_all(&text(&line).repeat(600)).await.unwrap();
    let (events, _) = turn(&mut channel);
    assert!(!channel.is_reading);
    assert!(channel.link().unfinished() <= room, "{}", channel.link().unfinished());
    drop(events);
    assert!(!turn(&mut channel).0.is_empty());
}

#[actix::test]
async fn incomplete_input_becomes_the_last_event_or_is_dropped() {
    let (mut channel, mut server) = channel(usize::MAX);
    server.write_all(&text("a\nb")).await.unwrap();
    assert_eq!(turn(&mut channel).0.len(), 1);
    assert_eq!(channel.take_unfinished().unwrap().unwrap().into_value(), Value::string("b"));
    assert!(channel.take_unfinished().is_none());
    assert!(channel.abandon().is_none());
}

#[actix::test]
async fn a_ping_is_answered() {
    let (mut channel, mut server) = channel(usize::MAX);
    server.write_all(&[0x89, 0]).await.unwrap();
    assert_eq!(turn(&mut channel).1, 1);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(channel.link().poll_flush(&mut cx, drop).is_ready());
    let mut pong = [0; 6];
    server.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong[0], 0x8a);
}

#[actix::test]
async fn only_the_last_message_of_an_event_has_its_permit() {
    let (mut channel, _server) = channel(usize::MAX);
    let data = Data::from(Value::string("a"));
    let count = channel.push_event(data, &Meta::new(false, None), None, |is_last, _, _| is_last);
    assert_eq!(count, Ok(1));
    assert_eq!(channel.link().outbox().tokens().collect::<Vec<_>>(), [&true]);
    let mut messages = vec![Message::Text("a".into()), Message::Text("b".into())];
    let permit = channel.budget().take(1);
    let parts: Vec<_> = parts(&mut messages, Some(permit)).collect();
    assert!(!parts[0].is_last && parts[0].permit.is_none());
    assert!(parts[1].is_last && parts[1].permit.is_some());
}

#[actix::test]
async fn a_turn_is_skipped_only_while_there_is_nothing_to_read() {
    let (mut channel, mut server) = channel_with(Vec::new(), usize::MAX);
    assert!(!channel.skip_turn(), "the socket was not polled yet");
    assert!(turn(&mut channel).0.is_empty());
    assert!(channel.skip_turn());
    channel.begin_turn();
    channel.hold_back();
    channel.end_turn();
    assert!(channel.skip_turn() && channel.is_reading(), "a turn that does not hold back counts as reading");
    server.write_all(b"\x01\x01a").await.unwrap();
    assert!(!channel.skip_turn(), "something has arrived");
    assert!(turn(&mut channel).0.is_empty());
    assert!(!channel.skip_turn(), "the message is incomplete");
    server.write_all(b"\x80\x01b").await.unwrap();
    assert_eq!(turn(&mut channel).0[0].0, Value::string("ab"));
    assert!(channel.skip_turn());
}
