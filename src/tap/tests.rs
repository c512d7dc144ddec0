//! Taps as sessions and readers see them together.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::*;
use crate::event::{Data, EventNumber, Value};

struct Fixture {
    taps: Arc<Taps>,
    session: Arc<SessionTap>,
}

impl Fixture {
    fn new() -> Self {
        let taps = Arc::<Taps>::default();
        let labels =
            SessionLabels { source: 1, stream: 0, listener: "ws".to_owned(), route: "main".to_owned() };
        let session = SessionTap::new(&taps, labels);
        Self { taps, session }
    }

    fn open(&self, query: &str) -> Result<TapReader, TooManyTaps> {
        self.taps.open(TapRequest::parse(query).unwrap(), Arc::new(Redaction::built_in()))
    }

    fn send(&self, number: u64, direction: Direction, json: &str) -> Arrival {
        self.send_data(number, direction, &Data::json(json.into()).unwrap())
    }

    fn send_data(&self, number: u64, direction: Direction, data: &Data) -> Arrival {
        self.session.offer(&Offer {
            event: Some(EventNumber(number)),
            direction,
            role: MessageRole::Request,
            stage: Stage::Event,
            binary: false,
            meta: None,
            data: SubjectData::Data(data),
            content: Content::Data(data),
        })
    }

    fn settle(&self, number: u64, arrival: Arrival) {
        let mut pending = PendingEvents::default();
        pending.arrived(EventNumber(number), arrival);
        self.session.offer_outcome(EventNumber(number), "answered", pending.settled(EventNumber(number)));
    }
}

fn read(reader: &mut TapReader) -> String {
    let mut text = String::new();
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(chunk)) = reader.poll_chunk(&mut cx) {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    text
}

fn lines(reader: &mut TapReader) -> Vec<Value> {
    let text = read(reader);
    text.lines().map(|line| Data::json(line.into()).unwrap().into_value()).collect()
}

#[test]
fn without_a_tap_nothing_is_offered() {
    let fixture = Fixture::new();
    assert!(!fixture.session.is_open());
    let reader = fixture.open("").unwrap();
    assert!(fixture.session.is_open());
    drop(reader);
    assert!(!fixture.session.is_open());
}

#[test]
fn each_tap_gets_what_its_filter_wants() {
    let fixture = Fixture::new();
    let mut all = fixture.open("").unwrap();
    let mut sent = fixture.open("direction=to_client").unwrap();
    let mut other = fixture.open("session=1:1").unwrap();
    let matched = fixture.send(0, Direction::FromClient, "1");
    fixture.send(0, Direction::ToClient, "2");
    fixture.settle(0, matched);
    let directions = |lines: Vec<Value>| -> Vec<String> {
        lines.iter().map(|line| line.get("direction").unwrap().to_json()).collect()
    };
    assert_eq!(directions(lines(&mut all)), ["\"from_client\"", "\"to_client\"", "\"outcome\""]);
    assert_eq!(directions(lines(&mut sent)), ["\"to_client\""]);
    assert!(lines(&mut other).is_empty());
}

#[test]
fn an_outcome_follows_the_message_that_satisfies_the_condition() {
    let fixture = Fixture::new();
    let mut reader = fixture.open("where=event.x%20%3E%201&direction=outcome").unwrap();
    for (number, json) in [(0, r#"{"x":1}"#), (1, r#"{"x":2}"#)] {
        let matched = fixture.send(number, Direction::FromClient, json);
        fixture.settle(number, matched);
    }
    fixture.settle(2, Arrival { now_ns: 0, matched: Matched::default() });
    let lines = lines(&mut reader);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].get("event").unwrap().to_json(), "\"1:0:1\"");
}

#[test]
fn a_condition_that_fails_is_counted() {
    let fixture = Fixture::new();
    let mut reader = fixture.open("where=event.y%20%3E%201").unwrap();
    (0..3).for_each(|number| _ = fixture.send(number, Direction::FromClient, r#"{"x":1}"#));
    // A message and its outcome are missing for each.
    assert_eq!(read(&mut reader), "{\"skipped\":6}\n");
    let mut outcomes = fixture.open("where=event.y%20%3E%201&direction=outcome").unwrap();
    let mut messages = fixture.open("where=event.y%20%3E%201&direction=from_client,to_client").unwrap();
    fixture.send(3, Direction::FromClient, r#"{"x":1}"#);
    fixture.send(3, Direction::ToClient, r#"{"x":1}"#);
    assert_eq!(read(&mut outcomes), "{\"skipped\":1}\n");
    assert_eq!(read(&mut messages), "{\"skipped\":2}\n");
    assert_eq!(fixture.taps.missed(), MissedLines { lost: 0, skipped: 6 + 3 + 1 + 2 });
}

/// An outcome belongs to an event, so none is missing behind a message of several events.
#[test]
fn a_message_of_several_events_has_no_outcome() {
    let fixture = Fixture::new();
    let mut reader = fixture.open("where=event.y%20%3E%201").unwrap();
    let message = crate::wire::Message::Text("{}".into());
    fixture.session.offer(&Offer {
        event: None,
        direction: Direction::FromClient,
        role: MessageRole::Request,
        stage: Stage::Message,
        binary: false,
        meta: None,
        data: SubjectData::Message(&message),
        content: Content::Message(&message),
    });
    assert_eq!(read(&mut reader), "{\"skipped\":1}\n");
}

/// A condition with state shows that it is not compiled again.
#[test]
fn a_condition_is_compiled_once_for_each_thread() {
    let fixture = Fixture::new();
    let condition = "let%20state%20%3D%20%5Bstate%5D%3B%20state%5B0%5D%20%21%3D%20null";
    let mut reader = fixture.open(&format!("where={condition}&direction=to_client")).unwrap();
    fixture.send(0, Direction::ToClient, "1");
    assert!(lines(&mut reader).is_empty());
    let other = fixture.open("").unwrap();
    fixture.send(1, Direction::ToClient, "1");
    assert_eq!(lines(&mut reader).len(), 1, "the state of the first message is kept");
    drop(other);
    fixture.send(2, Direction::ToClient, "1");
    assert_eq!(lines(&mut reader).len(), 1);
}

/// A tap whose reader does not read holds its queue, and the largest chunk that the socket does not take.
#[test]
fn a_tap_holds_at_most_four_mebibytes() {
    let fixture = Fixture::new();
    let mut reader = fixture.open("payload=true&max_payload=1048576").unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    // JSON takes six bytes for each of these.
    let text = "\u{1}".repeat(1 << 20);
    (0..6).for_each(|number| {
        _ = fixture.send_data(number, Direction::FromClient, &Value::string(text.clone()).into());
    });
    let mut shown = 0;
    while let Poll::Ready(Some(chunk)) = reader.poll_chunk(&mut cx) {
        let memory = chunk.len().max(chunk.try_into_mut().unwrap().capacity());
        assert!(memory + queue::QUEUE_BYTES_MAX + (64 << 10) < 4 << 20, "{memory}");
        shown += 1;
    }
    assert!(shown > 0);
}

#[test]
fn lines_without_room_are_counted() {
    let fixture = Fixture::new();
    let mut reader = fixture.open("payload=true&max_payload=1048576").unwrap();
    let data = Value::string("x".repeat(1 << 20)).into();
    (0..5).for_each(|number| _ = fixture.send_data(number, Direction::FromClient, &data));
    let lost = fixture.taps.missed().lost;
    assert!(lost > 0);
    assert!(read(&mut reader).ends_with(&format!("{{\"lost\":{lost}}}\n")));
}

#[test]
fn conditions_take_a_bounded_time() {
    let fixture = Fixture::new();
    let mut reader = fixture.open("where=event%5B0%5D%20%3D%3D%201&direction=from_client").unwrap();
    // Each evaluation parses a document of a quarter of a megabyte.
    let data = Data::json(format!("[{}1]", "1,".repeat(125_000)).into()).unwrap();
    (0..200).for_each(|number| _ = fixture.send_data(number, Direction::FromClient, &data));
    let read = read(&mut reader);
    let shown = read.lines().filter(|line| line.starts_with("{\"time")).count();
    let skipped: usize = read
        .lines()
        .filter_map(|line| line.strip_prefix("{\"skipped\":")?.strip_suffix('}')?.parse::<usize>().ok())
        .sum();
    assert!(skipped > 0 && shown > 0);
    assert_eq!(shown + skipped, 200);
}

#[test]
fn payloads_are_shown_only_on_request_and_masked() {
    let fixture = Fixture::new();
    let mut plain = fixture.open("").unwrap();
    let mut full = fixture.open("payload=true").unwrap();
    fixture.send(0, Direction::FromClient, r#"{"password":"hunter2","x":"visible"}"#);
    let shown = read(&mut plain);
    assert!(!shown.contains("hunter2") && !shown.contains("visible"), "{shown}");
    let shown = read(&mut full);
    assert!(!shown.contains("hunter2") && shown.contains("visible"), "{shown}");
}

#[test]
fn there_are_at_most_eight_taps() {
    let fixture = Fixture::new();
    let mut open: Vec<_> = (0..TAPS_MAX).map(|_| fixture.open("").unwrap()).collect();
    assert_eq!(fixture.open("").unwrap_err(), TooManyTaps);
    open.pop();
    open.push(fixture.open("").unwrap());
    assert_eq!(fixture.send(0, Direction::FromClient, "1").matched, {
        let mut all = Matched::default();
        [0, 1, 2, 3, 4, 5, 6, 8].into_iter().for_each(|id| all.add(pending::TapId(id)));
        all
    });
}

/// A line that cannot be made.
struct Panics;

impl queue::OfferedLine for Panics {
    fn cost(&self, _: &TapRequest) -> usize {
        panic!("a tap panics")
    }

    fn line(&self, _: &TapRequest) -> line::TapLine {
        panic!("a tap panics")
    }
}

#[test]
fn a_panic_in_a_tap_ends_the_tap_and_not_the_session() {
    let fixture = Fixture::new();
    let mut reader = fixture.open("").unwrap();
    fixture.send(0, Direction::FromClient, "1");
    fixture.taps.offer_outcome(
        &SessionLabels { source: 1, stream: 0, listener: String::new(), route: String::new() },
        &Matched::default(),
        &Panics,
    );
    assert!(!fixture.session.is_open());
    fixture.send(1, Direction::FromClient, "1");
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(reader.poll_chunk(&mut cx), Poll::Ready(Some(_))), "what came before is shown");
    assert!(matches!(reader.poll_chunk(&mut cx), Poll::Ready(None)));
    let mut again = fixture.open("").unwrap();
    fixture.send(2, Direction::FromClient, "1");
    assert_eq!(lines(&mut again).len(), 1);
}
