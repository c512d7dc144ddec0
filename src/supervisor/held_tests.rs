//! Tests of the order of held events.

use std::time::{Duration, Instant};

use super::held::{Held, Released};
use crate::connector::Generation;

#[test]
fn a_connector_waits_for_what_is_on_its_way_from_the_one_before() {
    let (mut held, now) = (Held::default(), Instant::now());
    let (first, second) = (Generation(1), Generation(2));
    let direct = held.switch(Some(first));
    held.marked(direct);
    held.up(first);
    assert_eq!(held.release(), Some(Released { generation: first, events: vec![] }));
    assert_eq!(held.release(), None, "once is enough");
    held.ended(first);
    let old = held.switch(None);
    held.take("direct", now).unwrap();
    let direct = held.switch(Some(second));
    held.up(second);
    held.marked(direct);
    assert_eq!(held.release(), None, "an event of the first connector may still come back");
    held.back(first, "late", now).unwrap();
    held.marked(old);
    assert_eq!(held.release(), Some(Released { generation: second, events: vec!["late", "direct"] }));
    assert_eq!((held.is_empty(), held.spans()), (true, 1));
}

#[test]
fn an_event_without_a_place_is_returned() {
    let (mut held, now) = (Held::default(), Instant::now());
    let mark = held.switch(Some(Generation(1)));
    held.marked(mark);
    assert_eq!(held.take("direct", now), Err("direct"));
    assert_eq!(held.back(Generation(2), "unsent", now), Err("unsent"));
    assert_eq!(held.returned(Generation(2), vec![("returned", now)]), Err(vec!["returned"]));
}

#[test]
fn events_expire_each_at_its_deadline() {
    let (mut held, now) = (Held::default(), Instant::now());
    let second = Duration::from_secs(1);
    held.take("first", now + second).unwrap();
    held.take("second", now + 2 * second).unwrap();
    held.take("third", now).unwrap();
    assert_eq!(held.deadline(), Some(now + second));
    assert!(held.expire(now).is_empty(), "the third does not expire before the second");
    assert_eq!(held.expire(now + second), ["first"]);
    assert_eq!(held.deadline(), Some(now + 2 * second));
    assert_eq!(held.take_all(), ["second", "third"]);
    assert_eq!((held.is_empty(), held.deadline()), (true, None));
}

/// A session that moves away from its connector `first`, and has held one event since.
fn moving(first: Generation, now: Instant) -> Held<&'static str> {
    let mut held = Held::default();
    let direct = held.switch(Some(first));
    held.marked(direct);
    held.up(first);
    assert!(held.release().is_some());
    let old = held.switch(None);
    held.marked(old);
    held.take("held", now).unwrap();
    held
}

/// A session moves: its connector gets the mark while it serves, and has not written everything before it.
#[test]
fn a_connector_may_return_unwritten_events_after_its_mark() {
    for stays in [false, true] {
        let (now, first, second) = (Instant::now(), Generation(1), Generation(2));
        let mut held = moving(first, now);
        let (next, expected) = if stays {
            held.settled(first);
            (first, vec!["held"])
        } else {
            held.ended(first);
            held.unwritten(first, "unwritten", now).expect("it precedes the others");
            held.settled(first);
            (second, vec!["unwritten", "held"])
        };
        let direct = held.switch(Some(next));
        held.up(next);
        held.marked(direct);
        assert_eq!(held.release(), Some(Released { generation: next, events: expected }));
        assert_eq!((held.is_empty(), held.spans()), (true, 1));
    }
}

/// A connector did not become quiet in a move, and is lost before it gets its next release, or before it has sent that.
#[test]
fn unwritten_events_of_a_connector_that_stayed_precede_the_events_held_meanwhile() {
    for is_released in [false, true] {
        let (now, first, second) = (Instant::now(), Generation(1), Generation(2));
        let mut held = moving(first, now);
        held.settled(first);
        let direct = held.switch(Some(first));
        held.up(first);
        if is_released {
            held.marked(direct);
            assert_eq!(held.release(), Some(Released { generation: first, events: vec!["held"] }));
        }
        held.ended(first);
        held.unwritten(first, "unwritten", now).unwrap();
        held.back(first, "waiting", now).unwrap();
        held.settled(first);
        let last = held.switch(None);
        if is_released {
            held.returned(first, vec![("held", now)]).unwrap();
        } else {
            held.marked(direct);
        }
        held.back(first, "late", now).unwrap();
        held.marked(last);
        let direct = held.switch(Some(second));
        held.up(second);
        held.marked(direct);
        let events = vec!["unwritten", "held", "waiting", "late"];
        assert_eq!(held.release(), Some(Released { generation: second, events }), "{is_released}");
        assert_eq!((held.is_empty(), held.spans()), (true, 1));
    }
}
