//! Tests of tickets and acks.

use super::*;

fn statuses(tracker: &AckTracker) -> Vec<(u64, AckStatus)> {
    let acks = tracker.take_acks(None, false).into_iter();
    acks.filter_map(|ack| match ack {
        Ack::Settled { event, status, .. } => Some((event.0, status)),
        Ack::Delivered { .. } | Ack::FailedInProtocol { .. } | Ack::PipelineDied(_) | Ack::SupervisorDied => {
            None
        }
    })
    .collect()
}

#[test]
fn a_ticket_dropped_in_a_panic_reports_its_event_as_lost() {
    let tracker = AckTracker::new(1, 0);
    let ticket = tracker.issue(Cause::Message);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _held = ticket;
        panic!("on purpose");
    }));
    assert!(result.is_err());
    assert_eq!(statuses(&tracker), [(0, AckStatus::Lost)]);
}

#[test]
fn every_ticket_reports_one_ack() {
    let tracker = AckTracker::new(1, 7);
    tracker.issue(Cause::Message).settle(AckStatus::Delivered);
    tracker.issue(Cause::Message).settle(AckStatus::failed(Failure::lost()));
    drop(tracker.issue(Cause::Message));
    assert_eq!(tracker.issue(Cause::Message).redeem(), EventNumber(3));
    let expected = [(0, AckStatus::Delivered), (1, AckStatus::failed(Failure::lost())), (2, AckStatus::Lost)];
    assert_eq!(statuses(&tracker), expected);
    assert_eq!(tracker.id(EventNumber(4)).to_string(), "1:7:4");
}

#[test]
fn delivered_events_in_a_row_share_an_ack() {
    let tracker = AckTracker::new(1, 0);
    let mut tickets: Vec<_> = [Cause::Message; 4].map(|cause| tracker.issue(cause)).into();
    let copy = tickets[3].split();
    tracker.take_acks(None, false);
    tickets.push(copy);
    tickets.push(tracker.issue(Cause::Push));
    tracker.issue(Cause::Message).settle(AckStatus::Dropped);
    tickets.push(tracker.issue(Cause::Message));
    tracker.delivered(&mut tickets);
    let acks = tracker.take_acks(None, false).into_iter();
    let runs: Vec<_> = acks
        .filter_map(|ack| match ack {
            Ack::Delivered { first, count } => Some((first.0, count)),
            _ => None,
        })
        .collect();
    assert_eq!(runs, [(0, 4), (3, 1), (6, 1)], "a copy and an event with another outcome end a run");
}

#[test]
fn tickets_in_a_row_are_settled_together_or_one_by_one() {
    let tracker = AckTracker::new(1, 0);
    let mut tickets = tracker.issue_many(3, Cause::Message);
    tickets.join(tracker.issue_many(2, Cause::Message)).expect("they follow");
    assert!(tickets.join(tracker.issue_many(1, Cause::Push)).is_err());
    assert!(tickets.join(AckTracker::new(2, 0).issue_many(1, Cause::Message)).is_err());
    tickets.deliver(0);
    tickets.deliver(2);
    tickets.next().expect("three are left").settle(AckStatus::Dropped);
    assert_eq!((tickets.first(), tickets.left()), (EventNumber(3), 2));
    drop(tickets);
    let acks: Vec<_> = tracker.take_acks(None, false).into_iter().collect();
    let settled = |event, cause, status| Ack::Settled { event: EventNumber(event), cause, status };
    let (message, push) = (Cause::Message, Cause::Push);
    let expected = [
        settled(5, push, AckStatus::Lost),
        Ack::Delivered { first: EventNumber(0), count: 2 },
        settled(2, message, AckStatus::Dropped),
        settled(3, message, AckStatus::Lost),
        settled(4, message, AckStatus::Lost),
    ];
    assert_eq!(format!("{acks:?}"), format!("{expected:?}"));
    assert_eq!(tracker.issue_many(2, Cause::Push).redeem(), 2);
    assert_eq!(tracker.take_acks(None, false).into_iter().count(), 0);
}

#[test]
fn a_copy_is_reported_before_its_outcome() {
    let tracker = AckTracker::new(1, 0);
    let ticket = tracker.issue(Cause::Message);
    let copy = ticket.split();
    copy.settle(AckStatus::Delivered);
    ticket.settle(AckStatus::Dropped);
    assert_eq!(
        statuses(&tracker),
        [(0, AckStatus::Copied), (0, AckStatus::Delivered), (0, AckStatus::Dropped)]
    );
}
