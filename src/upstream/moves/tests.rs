use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::settings::UpstreamUrl;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// An endpoint with that many sessions, which are counted until the returned leases are dropped.
fn endpoint(number: usize, sessions: usize) -> (Arc<Endpoint>, Vec<crate::upstream::Lease>) {
    let endpoint = Endpoint::new(UpstreamUrl::parse(&format!("ws://10.0.0.{number}:1")).unwrap());
    let leases = (0..sessions).map(|_| endpoint.lease()).collect();
    (endpoint, leases)
}

/// All moves that begin at `now`.
fn begin(
    moves: &mut Moves<u64>,
    now: Instant,
    rate: u32,
    is_quiet: impl Fn(&u64) -> bool,
) -> Vec<(Begun, u64)> {
    let mut begun = Vec::new();
    while let Next::Move(one, session) = moves.next(now, rate, &is_quiet) {
        begun.push((one, session));
    }
    begun
}

#[test]
fn the_sessions_of_an_endpoint_that_drains_move_at_the_pace_until_it_is_empty() {
    let (mut moves, start) = (Moves::new(), Instant::now());
    let (draining, mut leases) = endpoint(1, 30);
    let (other, _others) = endpoint(2, 10);
    let ids: Vec<_> = (0..30).map(|session| moves.add(&draining, session, None, start)).collect();
    (30..40).for_each(|session| _ = moves.add(&other, session, None, start));
    assert!(matches!(moves.next(start, 10, |_| true), Next::Never));
    let reports = moves.set_sources([&draining].into_iter(), start);
    assert!(
        matches!(&reports[..], [DrainReport::Draining(endpoint, 30)] if Arc::ptr_eq(endpoint, &draining))
    );
    assert!(moves.set_sources([&draining].into_iter(), start).is_empty(), "it is known");
    let mut now = start;
    let mut moved = Vec::new();
    while moved.len() < 30 {
        match moves.next(now, 10, |_| true) {
            Next::Move(begun, session) => {
                moves.remove(ids[session as usize]);
                leases.pop();
                if leases.is_empty() {
                    assert!(moves.set_sources([].into_iter(), now).is_empty(), "its last move has not ended");
                }
                moves.ended(&begun, MoveOutcome::Moved, now);
                assert_eq!(begun.cause, Cause::Drain);
                moved.push(session);
            }
            Next::At(next) => now = next,
            Next::Never => panic!("after {moved:?}"),
        }
    }
    assert_eq!(now - start, 2900 * MS);
    moved.sort_unstable();
    assert_eq!(moved, (0..30).collect::<Vec<_>>());
    let reports = moves.set_sources([].into_iter(), now);
    let [DrainReport::Drained(source)] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((source.moved, source.stayed, source.since), (30, 0, start));
    assert!(!moves.has_sources());
}

#[test]
fn quiet_sessions_go_first_and_busy_ones_after_a_few_turns() {
    let (mut moves, start) = (Moves::new(), Instant::now());
    let (draining, _leases) = endpoint(1, 10);
    (0..10).for_each(|session| _ = moves.add(&draining, session, None, start));
    moves.set_sources([&draining].into_iter(), start);
    let is_quiet = |session: &u64| session % 2 == 1;
    let (mut order, mut now) = (Vec::new(), start);
    while order.len() < 10 {
        match moves.next(now, 1000, is_quiet) {
            Next::Move(_, session) => order.push(session),
            Next::At(next) => now = next,
            Next::Never => panic!("after {order:?}"),
        }
    }
    assert!(order[..5].iter().all(|session| session % 2 == 1), "{order:?}");
    assert!(now - start >= 3 * PASS);
}

#[test]
fn at_most_as_many_moves_are_in_progress_as_may_begin_in_a_second() {
    let (mut moves, start) = (Moves::new(), Instant::now());
    let (draining, _leases) = endpoint(1, 5);
    (0..5).for_each(|session| _ = moves.add(&draining, session, None, start));
    moves.set_sources([&draining].into_iter(), start);
    let mut begun = begin(&mut moves, start, 2, |_| true);
    begun.append(&mut begin(&mut moves, start + SECOND, 2, |_| true));
    assert_eq!(begun.len(), 2);
    assert!(matches!(moves.next(start + 9 * SECOND, 2, |_| true), Next::Never), "two are in progress");
    moves.ended(&begun[0].0, MoveOutcome::Moved, start + 9 * SECOND);
    assert!(matches!(moves.next(start + 9 * SECOND, 2, |_| true), Next::Move(..)));
}

#[test]
fn a_session_that_stayed_is_tried_again_after_growing_pauses() {
    let (mut moves, mut now) = (Moves::new(), Instant::now());
    let (draining, _leases) = endpoint(1, 1);
    moves.add(&draining, 0, None, now);
    moves.set_sources([&draining].into_iter(), now);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let (begun, _) = begin(&mut moves, now, 10, |_| true).pop().expect("a move is due");
        moves.ended(&begun, MoveOutcome::Stayed, now);
        let Next::At(next) = moves.next(now, 10, |_| true) else { panic!("it is tried again") };
        pauses.push((next - now).as_secs());
        now = next;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn an_endpoint_that_is_used_again_keeps_the_sessions_that_have_not_moved() {
    let (mut moves, start) = (Moves::new(), Instant::now());
    let (draining, _leases) = endpoint(1, 10);
    let old_at = start + 100 * SECOND;
    (0..10).for_each(|session| _ = moves.add(&draining, session, Some(old_at), start));
    moves.set_sources([&draining].into_iter(), start);
    let (begun, _) = begin(&mut moves, start, 10, |_| true).pop().unwrap();
    let reports = moves.set_sources([].into_iter(), start + SECOND);
    let [DrainReport::Resumed(source)] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((source.moved, source.stayed), (0, 0));
    moves.ended(&begun, MoveOutcome::Stayed, start + SECOND);
    assert!(matches!(moves.next(start + 2 * SECOND, 10, |_| true), Next::At(next) if next == old_at));
}

#[test]
fn an_old_connection_is_replaced_and_a_new_one_counts_from_its_own_start() {
    let (mut moves, start) = (Moves::new(), Instant::now());
    let (only, _leases) = endpoint(1, 2);
    let first = moves.add(&only, 1, Some(start + 4 * SECOND), start);
    moves.add(&only, 2, Some(start + 5 * SECOND), start);
    assert!(matches!(moves.next(start, 10, |_| true), Next::At(next) if next == start + 4 * SECOND));
    let later = start + 4 * SECOND;
    let (begun, session) = begin(&mut moves, later, 10, |_| true).pop().unwrap();
    assert_eq!((begun.cause, session), (Cause::Age, 1));
    moves.remove(first);
    moves.add(&only, 1, Some(later + 4 * SECOND), later);
    moves.ended(&begun, MoveOutcome::Moved, later);
    assert!(matches!(moves.next(later, 10, |_| true), Next::At(next) if next == start + 5 * SECOND));
}

#[test]
fn an_overloaded_endpoint_gives_away_as_many_as_asked_and_no_session_twice() {
    let (mut moves, start) = (Moves::new(), Instant::now());
    let (full, _leases) = endpoint(1, 10);
    let ids: Vec<_> = (0..10).map(|session| moves.add(&full, session, None, start)).collect();
    moves.rebalance(&full, 3, start);
    let mut now = start;
    for _ in 0..3 {
        assert!(!moves.can_rebalance(now));
        now += SECOND;
        let (begun, session) = begin(&mut moves, now, 10, |_| true).pop().unwrap();
        assert_eq!(begun.cause, Cause::Rebalance);
        let outcome = if session == 3 { MoveOutcome::Stayed } else { MoveOutcome::Moved };
        moves.ended(&begun, outcome, now);
    }
    assert!(begin(&mut moves, now + SECOND, 10, |_| true).is_empty(), "no second attempt");
    now += REBALANCE_PAUSE;
    assert!(moves.can_rebalance(now));
    moves.rebalance(&full, 2, now);
    assert!(!moves.can_rebalance(now));
    ids.into_iter().for_each(|id| _ = moves.remove(id));
    assert!(moves.can_rebalance(now));
}

#[derive(Debug, Clone)]
enum Step {
    Add(usize, Option<u64>),
    Remove(usize),
    Sources(bool, bool),
    Rebalance(usize),
    Announce(usize),
    Order(usize, usize, Option<u32>),
    Abort(usize),
    DrainRate(usize, Option<u32>),
    Begin,
    End(usize, bool),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..2_usize, proptest::option::of(0..5000_u64)).prop_map(|(at, age)| Step::Add(at, age)),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => any::<(bool, bool)>().prop_map(|(one, two)| Step::Sources(one, two)),
        1 => (0..4_usize).prop_map(Step::Rebalance),
        1 => any::<usize>().prop_map(Step::Announce),
        1 => (0..2_usize, 0..4_usize, ordered_rate()).prop_map(|(at, count, rate)| Step::Order(at, count, rate)),
        1 => (0..2_usize).prop_map(Step::Abort),
        1 => (0..2_usize, ordered_rate()).prop_map(|(at, rate)| Step::DrainRate(at, rate)),
        6 => Just(Step::Begin),
        3 => any::<(usize, bool)>().prop_map(|(at, moved)| Step::End(at, moved)),
        3 => (0..800_u64).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 0..200)
}

fn ordered_rate() -> impl Strategy<Value = Option<u32>> {
    proptest::option::of(1..5_u32)
}

/// Announces the end of a session's connection. Returns the session.
fn announce(moves: &mut Moves<u64>, id: u64, now: Instant) -> u64 {
    moves.announce(id, now);
    id
}

/// No session moves twice at a time, and no more move at the pace of the settings than it allows.
fn check_running(running: &[Begun], rate: u32) -> Result<(), TestCaseError> {
    let distinct: HashSet<_> = running.iter().map(|begun| begun.id).collect();
    prop_assert_eq!(distinct.len(), running.len());
    let of_settings = running.iter().filter(|begun| begun.lane == LaneId::Settings);
    prop_assert!(of_settings.count() <= rate as usize);
    Ok(())
}

/// Ends all moves and removes all sessions.
fn end_all(moves: &mut Moves<u64>, running: &[Begun], ids: impl Iterator<Item = u64>, now: Instant) {
    running.iter().for_each(|begun| moves.ended(begun, MoveOutcome::Moved, now));
    moves.set_sources([].into_iter(), now);
    ids.for_each(|id| _ = moves.remove(id));
}

/// The largest number of these times within one second.
fn most_within_a_second(times: &[Instant]) -> usize {
    let within = |(at, first): (usize, &Instant)| {
        times[at..].iter().take_while(|time| **time < *first + SECOND).count()
    };
    times.iter().enumerate().map(within).max().unwrap_or_default()
}

proptest! {
    /// Whatever happens: no more moves begin than the rate allows, each for a reason that holds, and none of a session
    /// that moves already.
    #[test]
    fn moves_keep_to_their_limits(steps in steps(), rate in 1..20_u32, busy in 1..5_u64) {
        let (mut moves, mut now) = (Moves::new(), Instant::now());
        let (endpoints, _leases): (Vec<_>, Vec<_>) = (0..2).map(|number| endpoint(number, 1)).unzip();
        let mut draining = [false; 2];
        let (mut ids, mut running, mut begins) = (Vec::new(), Vec::new(), Vec::new());
        let (mut wanted, mut announced, mut ordered) = (0, HashSet::new(), [false; 2]);
        for step in steps {
            match step {
                Step::Add(at, age) => {
                    let old_at = age.map(|age| now + MS * age as u32);
                    let id = moves.add(&endpoints[at], ids.len() as u64, old_at, now);
                    ids.push((id, at, old_at));
                }
                Step::Remove(at) if !ids.is_empty() => _ = moves.remove(ids[at % ids.len()].0),
                Step::Sources(one, two) => {
                    draining = [one, two];
                    let sources = endpoints.iter().zip(draining).filter(|(_, drains)| *drains);
                    moves.set_sources(sources.map(|(endpoint, _)| endpoint), now);
                }
                Step::Rebalance(count) if moves.can_rebalance(now) => {
                    wanted += count;
                    moves.rebalance(&endpoints[0], count, now);
                }
                Step::Announce(at) if !ids.is_empty() => {
                    announced.insert(announce(&mut moves, ids[at % ids.len()].0, now));
                }
                Step::Order(at, count, rate) => ordered[at] |= moves.order(&endpoints[at], count, rate, now) > 0,
                Step::Abort(at) => _ = moves.abort(&endpoints[at], &[Cause::Operator], now),
                Step::DrainRate(at, rate) if draining[at] => moves.set_drain_rate(&endpoints[at], rate),
                Step::Begin => {
                    for (begun, session) in begin(&mut moves, now, rate, |session| session % busy == 0) {
                        let (id, at, old_at) = ids[session as usize];
                        prop_assert!(id == begun.id && moves.is_moving(id));
                        match begun.cause {
                            Cause::Age => prop_assert!(old_at.is_some_and(|old_at| old_at <= now)),
                            Cause::Drain => prop_assert!(draining[at]),
                            Cause::Announced => prop_assert!(announced.contains(&id)),
                            Cause::Operator => prop_assert!(ordered[at]),
                            Cause::Rebalance => {
                                prop_assert!(at == 0 && wanted > 0);
                                wanted -= 1;
                            }
                        }
                        begins.extend((begun.lane == LaneId::Settings).then_some(now));
                        running.push(begun);
                    }
                    check_running(&running, rate)?;
                }
                Step::End(at, moved) if !running.is_empty() => {
                    let begun = running.swap_remove(at % running.len());
                    moves.ended(&begun, if moved { MoveOutcome::Moved } else { MoveOutcome::Stayed }, now);
                }
                Step::Pass(ms) => now += MS * ms as u32,
                _ => {}
            }
        }
        prop_assert!(most_within_a_second(&begins) <= rate as usize + 1);
        end_all(&mut moves, &running, ids.iter().map(|(id, ..)| *id), now);
        prop_assert!(moves.rebalancing == 0 && moves.lanes.is_empty() && moves.drains.is_empty());
    }
}

#[test]
fn a_session_whose_end_is_announced_moves_once_and_is_tried_again() {
    let (mut moves, start) = (Moves::new(), Instant::now());
    let (of_it, _leases) = endpoint(1, 2);
    let (leaving, staying) =
        (moves.add(&of_it, 1, Some(start + 60 * SECOND), start), moves.add(&of_it, 2, None, start));
    assert!(matches!(moves.announce(leaving, start), Some(endpoint) if Arc::ptr_eq(&endpoint, &of_it)));
    assert!(moves.announce(leaving, start).is_none(), "it is known");
    let begun = begin(&mut moves, start, 10, |_| true);
    let [(one, 1)] = &begun[..] else { panic!("{begun:?}") };
    assert_eq!(one.cause, Cause::Announced);
    moves.ended(one, MoveOutcome::Stayed, start);
    let later = begin(&mut moves, start + 2 * SECOND, 10, |_| true);
    let [(one, 1)] = &later[..] else { panic!("{later:?}") };
    assert_eq!(one.cause, Cause::Announced, "the upstream ends the connection, whatever its age");
    moves.remove(leaving);
    moves.ended(one, MoveOutcome::Moved, start + 2 * SECOND);
    assert!(moves.announce(leaving, start).is_none(), "the connection has ended");
    assert!(matches!(moves.next(start + 99 * SECOND, 10, |_| true), Next::Never), "the other one stays");
    moves.remove(staying);
}

/// An announcement during a move counts if the session stays.
#[test]
fn an_end_that_is_announced_during_a_move_is_not_forgotten() {
    let (mut moves, start) = (Moves::new(), Instant::now());
    let (of_it, _leases) = endpoint(1, 1);
    let id = moves.add(&of_it, 1, Some(start), start);
    let begun = begin(&mut moves, start, 10, |_| true);
    assert_eq!(begun[0].0.cause, Cause::Age);
    assert!(moves.announce(id, start).is_some());
    moves.ended(&begun[0].0, MoveOutcome::Stayed, start);
    let begun = begin(&mut moves, start + 2 * SECOND, 10, |_| true);
    assert_eq!(begun[0].0.cause, Cause::Announced);
}

/// How many sessions of the endpoint can move, and how many will or do.
fn progress(moves: &Moves<u64>, endpoint: &Endpoint) -> (usize, usize) {
    let progress = moves.progress().get(&endpoint.id()).copied().unwrap_or_default();
    (progress.movable, progress.due)
}

#[test]
fn an_operator_moves_some_sessions_at_a_pace_and_calls_off_the_rest() {
    let (mut moves, start) = (Moves::new(), Instant::now());
    let (of_it, _leases) = endpoint(1, 5);
    let (other, _lease) = endpoint(2, 1);
    let old_at = start + 60 * SECOND;
    for session in 0..5 {
        moves.add(&of_it, session, Some(old_at), start);
    }
    moves.add(&other, 5, None, start);
    assert_eq!(moves.order(&of_it, 4, Some(1), start), 4);
    assert_eq!(progress(&moves, &of_it), (5, 4));
    assert_eq!(moves.ordered(start), [(of_it.id(), 4)].into());
    assert!(matches!(moves.next(start, 100, |_| false), Next::At(_)), "all are busy");
    assert_eq!(moves.ordered(start), [(of_it.id(), 4)].into());
    let begun = begin(&mut moves, start + PASS, 100, |_| true);
    assert!(matches!(&begun[..], [(begun, _)] if begun.cause == Cause::Operator), "one a second: {begun:?}");
    assert_eq!(moves.ordered(start), [(of_it.id(), 3)].into(), "what an abort calls off");
    assert_eq!(moves.abort(&of_it, &[Cause::Operator], start), 3);
    assert!(moves.ordered(start).is_empty());
    assert_eq!(progress(&moves, &of_it), (5, 1), "the one that moves");
    moves.ended(&begun[0].0, MoveOutcome::Stayed, start);
    assert_eq!(progress(&moves, &of_it), (5, 0));
    assert_eq!(moves.order(&other, 9, None, start), 1);
    // The age of a connection counts again.
    assert!(!begin(&mut moves, old_at, 100, |_| true).is_empty());
}

/// The number of moves for this reason that begin in a second, at 100 a second by the settings. Each of them ends at once.
fn in_a_second(moves: &mut Moves<u64>, start: Instant, cause: Cause) -> usize {
    let mut count = 0;
    for ms in 0..1000 {
        for (begun, _) in begin(moves, start + MS * ms, 100, |_| true) {
            count += usize::from(begun.cause == cause);
            moves.ended(&begun, MoveOutcome::Moved, start + MS * ms);
        }
    }
    count
}

/// The rate of an earlier order slowed down or sped up all later moves of the upstream.
#[test]
fn the_rate_of_an_order_is_that_of_its_moves_only() {
    let (mut moves, start) = (Moves::new(), Instant::now());
    let (of_it, _leases) = endpoint(1, 1000);
    let (old, _others) = endpoint(2, 200);
    (0..1000).for_each(|session| _ = moves.add(&of_it, session, None, start));
    (0..200).for_each(|session| _ = moves.add(&old, session, Some(start), start));
    assert_eq!(moves.order(&of_it, 4, Some(2), start), 4);
    assert_eq!(in_a_second(&mut moves, start, Cause::Age), 100, "at the pace of the settings");
    let later = start + SECOND;
    assert_eq!(moves.ordered(later), [(of_it.id(), 2)].into(), "at its own pace");
    assert_eq!(in_a_second(&mut moves, later, Cause::Operator), 2);
    let third = later + SECOND;
    assert_eq!(moves.order(&of_it, 300, None, third), 300);
    assert_eq!(in_a_second(&mut moves, third, Cause::Operator), 100, "that order is over");
    assert_eq!(moves.order(&of_it, 300, Some(200), third), 300);
    assert_eq!(in_a_second(&mut moves, third + SECOND, Cause::Operator), 300, "both orders");
}

#[test]
fn the_rate_of_a_drain_is_that_of_its_moves_until_it_ends() {
    let (mut moves, start) = (Moves::new(), Instant::now());
    let (of_it, _leases) = endpoint(1, 1000);
    (0..1000).for_each(|session| _ = moves.add(&of_it, session, None, start));
    moves.set_drain_rate(&of_it, Some(5));
    moves.set_sources([&of_it].into_iter(), start);
    assert_eq!(in_a_second(&mut moves, start, Cause::Drain), 5);
    moves.set_drain_rate(&of_it, Some(20));
    assert_eq!(in_a_second(&mut moves, start + SECOND, Cause::Drain), 20, "another order for the same drain");
    moves.set_drain_rate(&of_it, None);
    assert_eq!(in_a_second(&mut moves, start + 2 * SECOND, Cause::Drain), 100);
    moves.set_drain_rate(&of_it, Some(7));
    let stay = moves.abort(&of_it, &[Cause::Drain, Cause::Operator], start + 3 * SECOND);
    assert_eq!(stay, 875);
    moves.set_sources([].into_iter(), start + 3 * SECOND);
    moves.set_sources([&of_it].into_iter(), start + 3 * SECOND);
    assert_eq!(in_a_second(&mut moves, start + 3 * SECOND, Cause::Drain), 100, "a drain of the settings");
}

/// The rate is named before any session is known to leave.
#[test]
fn the_rate_of_a_drain_without_sessions_is_forgotten() {
    let (mut moves, now) = (Moves::<u64>::new(), Instant::now());
    let (empty, _) = endpoint(1, 0);
    moves.set_drain_rate(&empty, Some(5));
    moves.set_sources([].into_iter(), now);
    assert!(moves.drains.is_empty() && moves.lanes.is_empty());
}
