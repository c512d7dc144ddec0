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
    assert_eq!(read(&mut reader), "{\"skipped\":3}\n");
}

#[test]
fn conditions_take_a_bounded_time() {
    let fixture = Fixture::new();
    let mut reader = fixture.open("where=event%5B0%5D%20%3D%3D%201").unwrap();
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

#[test]
fn a_panic_in_a_tap_ends_the_tap_and_not_the_session() {
    let fixture = Fixture::new();
    let mut reader = fixture.open("").unwrap();
    fixture.send(0, Direction::FromClient, "1");
    fixture.taps.offer_outcome(
        &SessionLabels { source: 1, stream: 0, listener: String::new(), route: String::new() },
        &Matched::default(),
        || panic!("a tap panics"),
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
