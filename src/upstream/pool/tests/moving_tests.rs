use super::*;
use crate::policy::Rebalance;

#[test]
fn an_endpoint_that_drains_gets_no_dials_and_gives_its_sessions_away_until_it_is_empty() {
    let (mut pool, now) = (pool(PoolPolicy::default(), &[0, 0]), Instant::now());
    let leases: Vec<_> = (0..4).map(|_| lease(&mut pool, now)).collect();
    let mut configs = [config(1, 0), config(2, 0)];
    configs[0].drain = true;
    pool.set_endpoints(&configs);
    assert_eq!(states(&pool, now), [EndpointState::Draining, EndpointState::Up]);
    let [first, second] = [0, 1].map(|at| endpoint(&pool, at));
    assert!(pool.sources().all(|source| Arc::ptr_eq(source, &first)) && pool.sources().count() == 1);
    assert!(Arc::ptr_eq(lease(&mut pool, now).endpoint(), &second));
    pool.set_endpoints(&configs[1..]);
    assert_eq!(pool.sources().count(), 1, "it is no longer in the settings, and has sessions");
    drop(leases);
    assert_eq!(pool.sources().count(), 0);
    pool.forget_unlisted();
    assert_eq!(states(&pool, now), [EndpointState::Up]);
    configs[0].drain = false;
    pool.set_endpoints(&configs);
    assert_eq!(states(&pool, now), [EndpointState::Up; 2]);
}

#[test]
fn an_endpoint_that_drains_stays_in_the_pool_without_sessions_while_it_is_listed() {
    let (mut pool, now) = (pool(PoolPolicy::default(), &[0, 0]), Instant::now());
    let mut configs = [config(1, 0), config(2, 0)];
    configs[0].drain = true;
    pool.set_endpoints(&configs);
    assert_eq!(states(&pool, now), [EndpointState::Draining, EndpointState::Up]);
}

#[test]
fn others_are_preferred_to_an_endpoint_that_closed_a_connection_to_restart() {
    let (mut pool, now) = (pool(PoolPolicy::default(), &[0, 0]), Instant::now());
    let [first, second] = [0, 1].map(|at| endpoint(&pool, at));
    pool.leaving(&first);
    for _ in 0..3 {
        assert!(Arc::ptr_eq(lease(&mut pool, now).endpoint(), &second));
    }
    assert!(matches!(pool.probe_step(now), ProbeStep::Probe(probed) if Arc::ptr_eq(&probed, &first)));
    pool.probed(&first, Ok(()), now);
    assert_eq!(states(&pool, now), [EndpointState::Up; 2]);
}

/// A pool with that many sessions at each endpoint of one tier.
fn loaded(sessions: &[usize]) -> (Pool, Vec<Lease>) {
    let pool = pool(PoolPolicy::default(), &vec![0; sessions.len()]);
    let of =
        |(at, count): (usize, &usize)| (0..*count).map(|_| endpoint(&pool, at).lease()).collect::<Vec<_>>();
    let leases = sessions.iter().enumerate().flat_map(of).collect();
    (pool, leases)
}

#[test]
fn an_endpoint_above_both_thresholds_gives_its_excess_to_those_below_their_share() {
    let now = Instant::now();
    let excess = |sessions: &[usize], min_sessions, max_share| {
        let (pool, _leases) = loaded(sessions);
        let found = pool.overloaded(Rebalance { min_sessions, max_share }, now);
        found.map(|(from, count)| {
            (pool.members.iter().position(|it| Arc::ptr_eq(&it.endpoint, &from)).unwrap(), count)
        })
    };
    assert_eq!(excess(&[100, 100, 0], 1, 120), Some((1, 33)), "the share of each is 67");
    assert_eq!(excess(&[10, 200, 30], 1, 120), Some((1, 120)));
    assert_eq!(excess(&[100, 100, 0], 100, 120), None, "the absolute threshold");
    assert_eq!(excess(&[100, 100, 0], 90, 120), Some((1, 10)));
    assert_eq!(excess(&[100, 90, 80], 1, 120), None, "the relative threshold");
    assert_eq!(excess(&[2, 1], 1, 101), None, "nobody is below its share");
    let (mut pool, mut leases) = loaded(&[10, 3, 2]);
    let [from, _, light] = [0, 1, 2].map(|at| endpoint(&pool, at));
    match pool.pick_below_share(&from, now) {
        Pick::Endpoint(lease) => {
            assert!(Arc::ptr_eq(lease.endpoint(), &light));
            leases.push(lease);
        }
        Pick::Wait(wait) => panic!("{wait:?}"),
    }
}

proptest! {
    /// A rebalance ends: each move brings the endpoints closer to their shares.
    #[test]
    fn a_rebalance_comes_to_an_end(sessions in proptest::collection::vec(0..60_usize, 1..6), max_share in 101..200_u32) {
        let (now, rebalance) = (Instant::now(), Rebalance { min_sessions: 1, max_share });
        let (mut pool, mut leases) = loaded(&sessions);
        let mut moves = 0;
        while let Some((from, count)) = pool.overloaded(rebalance, now) {
            for _ in 0..count {
                let Pick::Endpoint(lease) = pool.pick_below_share(&from, now) else { break };
                let at = leases.iter().position(|lease| Arc::ptr_eq(lease.endpoint(), &from)).unwrap();
                drop(leases.swap_remove(at));
                leases.push(lease);
                moves += 1;
            }
            prop_assert!(moves <= sessions.iter().sum::<usize>(), "{:?}", sessions);
        }
        let counts: Vec<_> = pool.members.iter().map(|member| member.endpoint.sessions()).collect();
        prop_assert_eq!(counts.iter().sum::<usize>(), sessions.iter().sum::<usize>());
    }
}
