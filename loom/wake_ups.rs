//! Models that check that no wake-up is lost: a reader that waits for free bytes or for an ack is woken, for
//! any interleaving of the threads. A model whose reader waits forever fails, because loom detects that no
//! thread can continue.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use loom::{future::block_on, thread};
use towline_loom::{
    Failure,
    budget::{Budget, GlobalBudget, Permit},
    ticket::{Ack, AckStatus, AckTracker, Cause},
};

/// A budget that one permit of [`LARGE`] bytes exhausts.
const LIMIT: usize = 1000;
const LARGE: usize = 800;

/// A model that explores the interleavings of three threads with at most two preemptions. Without this bound
/// it would take many minutes, and few bugs need more preemptions.
fn few_switches() -> loom::model::Builder {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder
}

/// Waits like a session: checks for free bytes, and checks again when woken.
fn wait_for_room(budget: &Budget) {
    block_on(poll_fn(|cx: &mut Context<'_>| match budget.room_or_wake(cx.waker()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    }));
}

/// A budget without free bytes, and the permits that exhaust it.
fn exhausted(
    global_budget: &Arc<GlobalBudget>,
    limit: usize,
    payloads: &[usize],
) -> (Arc<Budget>, Vec<Permit>) {
    let budget = Budget::new(limit, global_budget);
    let permits = payloads.iter().map(|payload| budget.take(*payload)).collect();
    assert!(!budget.has_room());
    (budget, permits)
}

/// Waits for acks like a session, until all `events` have one. Returns the acks in order of arrival. `eager`
/// is whether successful outcomes wake the session at once.
fn wait_for_acks(tracker: &AckTracker, events: usize, eager: bool) -> Vec<(u64, AckStatus)> {
    let mut found = Vec::new();
    block_on(poll_fn(|cx: &mut Context<'_>| {
        for ack in tracker.take_acks(Some(cx.waker()), eager) {
            match ack {
                Ack::Settled { event, status, .. } => found.push((event.0, status)),
                Ack::Delivered { first, count } => {
                    found.extend((first.0..first.0 + count).map(|event| (event, AckStatus::Delivered)));
                }
                Ack::FailedInProtocol { .. } | Ack::PipelineDied(_) | Ack::SupervisorDied => {}
            }
        }
        if found.len() < events { Poll::Pending } else { Poll::Ready(()) }
    }));
    found
}

#[test]
fn a_reader_gets_room_returned_by_another_thread() {
    loom::model(|| {
        let global_budget = GlobalBudget::new(usize::MAX);
        let (budget, permits) = exhausted(&global_budget, LIMIT, &[LARGE]);
        let other = thread::spawn(move || drop(permits));
        wait_for_room(&budget);
        other.join().unwrap();
        assert_eq!(budget.used(), 0);
        drop(budget);
        assert_eq!(global_budget.used(), 0);
    });
}

#[test]
fn a_reader_gets_room_when_two_threads_return_permits_at_once() {
    few_switches().check(|| {
        let global_budget = GlobalBudget::new(usize::MAX);
        let (budget, mut permits) = exhausted(&global_budget, LIMIT, &[0, LARGE]);
        let (large, small) = (permits.pop(), permits.pop());
        let others = [thread::spawn(move || drop(large)), thread::spawn(move || drop(small))];
        wait_for_room(&budget);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(budget.used(), 0);
        drop(budget);
        assert_eq!(global_budget.used(), 0);
    });
}

#[test]
fn a_permit_that_shrinks_wakes_the_reader() {
    loom::model(|| {
        let global_budget = GlobalBudget::new(usize::MAX);
        let (budget, mut permits) = exhausted(&global_budget, LIMIT, &[LARGE]);
        let permit = permits.pop().unwrap();
        let other = thread::spawn(move || permit.resized(1));
        wait_for_room(&budget);
        assert!(budget.has_room());
        drop(other.join().unwrap());
    });
}

#[test]
fn both_readers_of_a_budget_get_room() {
    loom::model(|| {
        let (budget, permits) = exhausted(&GlobalBudget::new(usize::MAX), LIMIT, &[LARGE]);
        let second = Arc::clone(&budget);
        let other = thread::spawn(move || wait_for_room(&second));
        drop(permits);
        wait_for_room(&budget);
        other.join().unwrap();
    });
}

/// Each session is on a separate thread. Both use one global budget that is too small for them.
#[test]
fn sessions_that_exhaust_the_global_budget_both_continue() {
    const POOL: usize = 64 * 1024;
    const MOST: usize = 40 * 1024;
    loom::model(|| {
        let global_budget = GlobalBudget::new(POOL);
        let session = |global_budget: Arc<GlobalBudget>| {
            let budget = Budget::new(1 << 20, &global_budget);
            let permit = budget.take(MOST);
            drop(permit);
            wait_for_room(&budget);
            assert!(budget.has_room());
        };
        let pool = Arc::clone(&global_budget);
        let other = thread::spawn(move || session(pool));
        session(Arc::clone(&global_budget));
        other.join().unwrap();
        assert_eq!(global_budget.used(), 0);
    });
}

/// The reader waits only because the global budget is exhausted, and its own permit is dropped on another
/// thread.
#[test]
fn a_reader_that_waits_for_the_global_budget_is_woken_by_its_own_permit() {
    const POOL: usize = 16 * 1024;
    loom::model(|| {
        let global_budget = GlobalBudget::new(POOL);
        let (budget, permits) = exhausted(&global_budget, 1 << 20, &[POOL]);
        let other = thread::spawn(move || drop(permits));
        wait_for_room(&budget);
        other.join().unwrap();
    });
}

#[test]
fn an_eager_session_gets_the_acks_of_two_threads() {
    loom::model(|| {
        let tracker = AckTracker::new(1, 0);
        let (first, second) = (tracker.issue(Cause::Message), tracker.issue(Cause::Message));
        let other = thread::spawn(move || first.settle(AckStatus::Delivered));
        let third = thread::spawn(move || drop(second));
        let mut acks = wait_for_acks(&tracker, 2, true);
        acks.sort_by_key(|(event, _)| *event);
        assert_eq!(acks, [(0, AckStatus::Delivered), (1, AckStatus::Lost)]);
        other.join().unwrap();
        third.join().unwrap();
    });
}

/// A session that is not eager leaves successful outcomes for its next turn. A failure wakes it, and it then
/// gets the successful outcomes too.
#[test]
fn a_failure_wakes_a_session_that_does_not_wait_for_successes() {
    loom::model(|| {
        let tracker = AckTracker::new(1, 0);
        let (first, second) = (tracker.issue(Cause::Message), tracker.issue(Cause::Message));
        let other = thread::spawn(move || {
            first.settle(AckStatus::Delivered);
            second.settle(AckStatus::failed(Failure));
        });
        let acks = wait_for_acks(&tracker, 2, false);
        assert_eq!(acks, [(0, AckStatus::Delivered), (1, AckStatus::failed(Failure))]);
        other.join().unwrap();
    });
}

#[test]
fn a_batch_of_deliveries_wakes_an_eager_session() {
    loom::model(|| {
        let tracker = AckTracker::new(1, 0);
        let mut tickets = vec![tracker.issue(Cause::Message), tracker.issue(Cause::Message)];
        let second = Arc::clone(&tracker);
        let other = thread::spawn(move || second.delivered(&mut tickets));
        let acks = wait_for_acks(&tracker, 2, true);
        assert_eq!(acks, [(0, AckStatus::Delivered), (1, AckStatus::Delivered)]);
        other.join().unwrap();
    });
}

#[test]
fn the_death_of_a_pipeline_wakes_the_session() {
    loom::model(|| {
        let tracker = AckTracker::new(1, 0);
        let second = Arc::clone(&tracker);
        let other = thread::spawn(move || second.pipeline_died("in"));
        block_on(poll_fn(|cx: &mut Context<'_>| {
            match tracker.take_acks(Some(cx.waker()), false).into_iter().collect::<Vec<_>>().as_slice() {
                [Ack::PipelineDied(name)] if name == "in" => Poll::Ready(()),
                _ => Poll::Pending,
            }
        }));
        other.join().unwrap();
    });
}
