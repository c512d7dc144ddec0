mod moving_tests;

use proptest::prelude::*;

use super::*;
use crate::{
    failure::{ConnectFailure, FailureKind},
    policy::{Balance, BreakerLimits, Ejection, HealthChecks},
    settings::UpstreamUrl,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const CHANCE: Chance = [0.0, 0.5, 0.0];

fn config(number: usize, priority: u32) -> EndpointConfig {
    let url = UpstreamUrl::parse(&format!("ws://10.0.0.{number}:8139")).unwrap();
    EndpointConfig { url, weight: 1, priority, drain: false }
}

/// A pool with one endpoint for each of these priorities.
fn pool(policy: PoolPolicy, priorities: &[u32]) -> Pool {
    let configs: Vec<_> = (1..).zip(priorities).map(|(number, priority)| config(number, *priority)).collect();
    Pool::new(policy, &configs)
}

fn endpoint(pool: &Pool, at: usize) -> Arc<Endpoint> {
    Arc::clone(&pool.members[at].endpoint)
}

fn states(pool: &Pool, now: Instant) -> Vec<EndpointState> {
    pool.endpoints(now).map(|(_, state)| state).collect()
}

fn connect(cause: ConnectFailure) -> Failure {
    Failure::connection(FailureKind::Connect(cause), "")
}

fn refused() -> Failure {
    connect(ConnectFailure::Refused)
}

fn lost() -> Failure {
    Failure::connection(FailureKind::Socket, "reset")
}

/// The lease that the pool picks.
fn lease(pool: &mut Pool, now: Instant) -> Lease {
    match pool.pick(now, None, &[], CHANCE) {
        Pick::Endpoint(lease) => lease,
        Pick::Wait(wait) => panic!("{wait:?}"),
    }
}

fn wait(pool: &mut Pool, now: Instant) -> Wait {
    match pool.pick(now, None, &[], CHANCE) {
        Pick::Endpoint(lease) => panic!("{lease:?}"),
        Pick::Wait(wait) => wait,
    }
}

/// What the check of the trials changes.
fn trials(pool: &mut Pool, now: Instant) -> Vec<Change> {
    pool.check_trials(now).into_iter().map(|(_, change)| change).collect()
}

#[test]
fn an_outage_goes_from_a_refused_dial_over_probes_to_a_handshake() {
    let (mut pool, start) = (pool(PoolPolicy::default(), &[0]), Instant::now());
    let only = endpoint(&pool, 0);
    assert_eq!(pool.failed(&only, &refused(), start), Change::Down);
    assert_eq!(pool.failed(&only, &refused(), start), Change::Nothing, "the outage is known");
    assert_eq!(wait(&mut pool, start), Wait::Down(refused()));
    assert!(matches!(pool.probe_step(start), ProbeStep::Probe(_)));
    assert!(matches!(pool.probe_step(start), ProbeStep::Never), "one probe at a time");
    assert_eq!(pool.probed(&only, Err(refused()), start), Change::Nothing);
    assert!(matches!(pool.probe_step(start), ProbeStep::At(next) if next == start + 50 * MS));
    let back = start + SECOND;
    assert!(matches!(pool.probe_step(back), ProbeStep::Probe(_)));
    assert_eq!(pool.probed(&only, Ok(()), back), Change::Trial);
    let trials: Vec<_> = (0..4).map(|_| lease(&mut pool, back)).collect();
    assert_eq!(wait(&mut pool, back), Wait::Busy, "a few dials try it first");
    assert_eq!(pool.established(&only, back), Change::Up(SECOND));
    assert_eq!(trials.len(), 4);
    drop(lease(&mut pool, back));
    assert_eq!(pool.established(&only, back), Change::Nothing);
}

#[test]
fn a_trial_that_fails_continues_the_outage() {
    let (mut pool, start) = (pool(PoolPolicy::default(), &[0]), Instant::now());
    let only = endpoint(&pool, 0);
    pool.failed(&only, &refused(), start);
    pool.probed(&only, Ok(()), start);
    assert_eq!(states(&pool, start), [EndpointState::Trial]);
    assert_eq!(pool.failed(&only, &connect(ConnectFailure::Reset), start + MS), Change::Nothing);
    assert_eq!(states(&pool, start), [EndpointState::Down]);
    pool.probed(&only, Ok(()), start + 2 * MS);
    let refusal = connect(ConnectFailure::Status(401));
    assert_eq!(
        pool.failed(&only, &refusal, start + 3 * MS),
        Change::Up(3 * MS),
        "an answer is a sign of life"
    );
}

#[test]
fn a_server_error_does_not_end_an_outage() {
    let (mut pool, start) = (pool(PoolPolicy::default(), &[0]), Instant::now());
    let only = endpoint(&pool, 0);
    let starting = connect(ConnectFailure::Status(503));
    assert_eq!(pool.failed(&only, &starting, start), Change::Nothing);
    assert_eq!(states(&pool, start), [EndpointState::Up], "outside an outage it concerns one client");
    pool.failed(&only, &refused(), start);
    pool.probed(&only, Ok(()), start);
    assert_eq!(pool.failed(&only, &starting, start + MS), Change::Nothing);
    assert_eq!(states(&pool, start), [EndpointState::Down]);
    assert_eq!(wait(&mut pool, start), Wait::Down(starting.clone()));
    assert_eq!(pool.failed(&only, &starting, start + MS), Change::Nothing, "another dial of the trial");
    pool.probed(&only, Ok(()), start + SECOND);
    assert_eq!(pool.established(&only, start + 2 * SECOND), Change::Up(2 * SECOND));
}

#[test]
fn a_trial_in_which_no_session_dials_ends_the_outage_with_the_probe() {
    let (mut pool, start) = (pool(PoolPolicy::default(), &[0]), Instant::now());
    let only = endpoint(&pool, 0);
    pool.failed(&only, &refused(), start);
    let back = start + 5 * SECOND;
    pool.probed(&only, Ok(()), back);
    assert!(matches!(pool.probe_step(back), ProbeStep::At(check) if check == back + SECOND));
    assert_eq!(trials(&mut pool, back), []);
    let lease = only.lease();
    assert_eq!(trials(&mut pool, back + SECOND), [Change::Open], "its dial hangs");
    drop(lease);
    let over = trials(&mut pool, back + 60 * SECOND);
    assert_eq!(over, [Change::Up(5 * SECOND)], "without the time in which nobody came");
    assert_eq!(states(&pool, back), [EndpointState::Up]);
}

#[test]
fn reserved_places_come_before_other_reconnects_and_behind_new_clients() {
    let breaker = BreakerLimits { dials: Some(2), ..BreakerLimits::default() };
    let (mut pool, now) = (pool(PoolPolicy { breaker, ..PoolPolicy::default() }, &[0]), Instant::now());
    let reserve = |pool: &mut Pool| pool.reserve(now, None, &[], CHANCE);
    let Pick::Endpoint(mut one) = reserve(&mut pool) else { panic!("there is room") };
    let Pick::Endpoint(mut two) = reserve(&mut pool) else { panic!("there is room") };
    assert!(matches!(reserve(&mut pool), Pick::Wait(Wait::Busy)));
    let only = endpoint(&pool, 0);
    assert_eq!((only.sessions(), only.dials(), only.live()), (2, 0, 0));
    let client = lease(&mut pool, now);
    assert_eq!(pool.begin(&mut one, now), Begin::Now);
    assert_eq!(pool.begin(&mut two, now), Begin::Wait, "two dials are in progress");
    drop(client);
    assert_eq!(pool.begin(&mut two, now), Begin::Now);
    assert_eq!((only.sessions(), only.dials()), (2, 2));
    drop(one);
    let Pick::Endpoint(mut three) = reserve(&mut pool) else { panic!("there is room") };
    pool.failed(&only, &refused(), now);
    assert_eq!(pool.begin(&mut three, now), Begin::Gone);
}

#[test]
fn an_endpoint_is_dialed_at_its_rate() {
    let breaker = BreakerLimits { rate: Some(10), ..BreakerLimits::default() };
    let (mut pool, start) = (pool(PoolPolicy { breaker, ..PoolPolicy::default() }, &[0]), Instant::now());
    let mut dials = Vec::new();
    for ms in 0..3000 {
        let now = start + MS * ms;
        while let Pick::Endpoint(lease) = pool.pick(now, None, &[], CHANCE) {
            dials.push(ms);
            drop(lease);
        }
        if let Some((at, room)) = pool.rate_room(now) {
            assert!(at > now && room == 0, "{ms}");
        }
    }
    assert_eq!(dials[..4], [0, 0, 100, 200]);
    assert_eq!(dials.len(), 31);
    // A reservation counts when its dial begins.
    let later = start + 60 * SECOND;
    let places: Vec<_> = (0..5).map(|_| pool.reserve(later, None, &[], CHANCE)).collect();
    let mut begun = places.into_iter().map(|place| match place {
        Pick::Endpoint(mut lease) => pool.begin(&mut lease, later),
        Pick::Wait(wait) => panic!("{wait:?}"),
    });
    assert_eq!([begun.next(), begun.next(), begun.next()], [Begin::Now, Begin::Now, Begin::Wait].map(Some));
}

#[test]
fn an_endpoint_that_is_down_and_draining_is_not_waited_for() {
    let (mut pool, now) = (pool(PoolPolicy::default(), &[0, 0]), Instant::now());
    let both = [0, 1].map(|at| endpoint(&pool, at));
    let _session = both[0].lease();
    both.iter().for_each(|endpoint| _ = pool.failed(endpoint, &refused(), now));
    pool.set_endpoints(&[config(2, 0)]);
    assert!(!pool.is_probed_since(now));
    assert!(matches!(pool.probe_step(now), ProbeStep::Probe(probed) if Arc::ptr_eq(&probed, &both[1])));
    pool.probed(&both[1], Err(refused()), now);
    assert!(pool.is_probed_since(now));
    assert!(!pool.is_probed_since(now + MS), "that probe began before");
}

#[test]
fn one_loss_is_not_probed_and_two_are() {
    let (mut pool, now) = (pool(PoolPolicy::default(), &[0]), Instant::now());
    let only = endpoint(&pool, 0);
    pool.failed(&only, &lost(), now);
    assert_eq!(states(&pool, now), [EndpointState::Suspect]);
    assert!(matches!(pool.probe_step(now), ProbeStep::Never));
    drop(lease(&mut pool, now));
    pool.failed(&only, &lost(), now);
    assert!(matches!(pool.probe_step(now), ProbeStep::Probe(_)));
    assert_eq!(pool.probed(&only, Ok(()), now), Change::Nothing);
    assert_eq!(states(&pool, now), [EndpointState::Up]);
    pool.failed(&only, &lost(), now);
    assert!(matches!(pool.probe_step(now), ProbeStep::Never), "counting starts over");
}

#[test]
fn an_endpoint_that_lost_one_connection_still_gets_its_share() {
    let (mut pool, now) = (pool(PoolPolicy::default(), &[0, 0]), Instant::now());
    let first = endpoint(&pool, 0);
    pool.failed(&first, &lost(), now);
    let leases: Vec<_> = (0..10).map(|_| lease(&mut pool, now)).collect();
    assert_eq!(leases.iter().filter(|lease| Arc::ptr_eq(lease.endpoint(), &first)).count(), 5);
}

#[test]
fn an_endpoint_that_is_down_is_not_ejected_too() {
    let ejection = Ejection { failures: 3, time: SECOND, max_share: 100 };
    let (mut pool, now) = (pool(PoolPolicy { ejection, ..PoolPolicy::default() }, &[0, 0]), Instant::now());
    let first = endpoint(&pool, 0);
    (0..9).for_each(|_| _ = pool.failed(&first, &refused(), now));
    assert_eq!(pool.probed(&first, Ok(()), now), Change::Trial);
    assert_eq!(states(&pool, now)[0], EndpointState::Trial);
}

#[test]
fn a_suspect_is_used_only_where_its_tier_has_no_better_endpoint() {
    let (mut pool, now) = (pool(PoolPolicy::default(), &[0, 0, 1]), Instant::now());
    let all = [0, 1, 2].map(|at| endpoint(&pool, at));
    (0..2).for_each(|_| _ = pool.failed(&all[0], &lost(), now));
    for _ in 0..9 {
        assert!(Arc::ptr_eq(lease(&mut pool, now).endpoint(), &all[1]));
    }
    pool.failed(&all[1], &refused(), now);
    assert!(Arc::ptr_eq(lease(&mut pool, now).endpoint(), &all[0]), "before the next tier");
    pool.failed(&all[0], &refused(), now);
    assert!(Arc::ptr_eq(lease(&mut pool, now).endpoint(), &all[2]));
    assert_eq!(pool.down(), None);
    pool.failed(&all[2], &connect(ConnectFailure::Lookup), now);
    assert_eq!(pool.down(), Some(&connect(ConnectFailure::Lookup)), "the latest reason");
}

#[test]
fn each_endpoint_is_tried_once() {
    let (mut pool, now) = (pool(PoolPolicy::default(), &[0, 0, 1]), Instant::now());
    let mut tried = Vec::new();
    while let Pick::Endpoint(lease) = pool.pick(now, None, &tried, CHANCE) {
        tried.push(Arc::clone(lease.endpoint()));
    }
    assert_eq!(tried.len(), 3);
    let rest = pool.pick(now, None, &tried, CHANCE);
    assert!(matches!(rest, Pick::Wait(Wait::Exhausted)), "{rest:?}");
}

#[test]
fn checks_take_an_endpoint_out_of_use_and_bring_it_back() {
    let health = HealthChecks { interval: Some(SECOND), unhealthy: 2, healthy: 2 };
    let (mut pool, start) = (pool(PoolPolicy { health, ..PoolPolicy::default() }, &[0]), Instant::now());
    let only = endpoint(&pool, 0);
    let check = |pool: &mut Pool, ms: u32, result| {
        let now = start + MS * ms;
        assert!(matches!(pool.probe_step(now), ProbeStep::Probe(_)), "at {ms} ms");
        pool.probed(&only, result, now)
    };
    assert_eq!(check(&mut pool, 0, Err(refused())), Change::Nothing);
    assert_eq!(check(&mut pool, 1000, Ok(())), Change::Nothing);
    assert_eq!(check(&mut pool, 2000, Err(refused())), Change::Nothing);
    assert_eq!(check(&mut pool, 3000, Err(refused())), Change::Down);
    assert_eq!(check(&mut pool, 3050, Ok(())), Change::Nothing);
    assert_eq!(check(&mut pool, 3100, Ok(())), Change::Trial);
}

#[test]
fn an_endpoint_whose_handshakes_keep_failing_is_ejected_but_never_all() {
    let ejection = Ejection { failures: 3, time: SECOND, max_share: 100 };
    let (mut pool, now) = (pool(PoolPolicy { ejection, ..PoolPolicy::default() }, &[0, 0]), Instant::now());
    let (one, two) = (endpoint(&pool, 0), endpoint(&pool, 1));
    let broken = connect(ConnectFailure::Status(503));
    let fail = |pool: &mut Pool, which| [(); 3].map(|()| pool.failed(which, &broken, now));
    assert_eq!(fail(&mut pool, &one), [Change::Nothing, Change::Nothing, Change::Ejected(SECOND)]);
    for _ in 0..9 {
        assert!(Arc::ptr_eq(lease(&mut pool, now).endpoint(), &two));
    }
    assert_eq!(fail(&mut pool, &two), [Change::Nothing, Change::Nothing, Change::Nothing]);
    pool.failed(&two, &refused(), now);
    assert!(Arc::ptr_eq(lease(&mut pool, now).endpoint(), &one), "ejected is better than down");
    assert_eq!(states(&pool, now + SECOND), [EndpointState::Up, EndpointState::Down]);
}

#[test]
fn lost_connections_eject_no_endpoint() {
    let (mut pool, now) = (pool(PoolPolicy::default(), &[0, 0]), Instant::now());
    let one = endpoint(&pool, 0);
    (0..99).for_each(|_| assert_eq!(pool.failed(&one, &lost(), now), Change::Nothing));
    assert_eq!(states(&pool, now), [EndpointState::Suspect, EndpointState::Up]);
}

#[test]
fn counts_and_states_survive_a_change_of_the_endpoints() {
    let (mut pool, now) = (pool(PoolPolicy::default(), &[0, 0]), Instant::now());
    let (one, two) = (endpoint(&pool, 0), endpoint(&pool, 1));
    let leases = [one.lease(), one.lease(), two.lease()];
    pool.failed(&two, &refused(), now);
    pool.set_endpoints(&[config(2, 7), config(3, 0)]);
    assert_eq!(states(&pool, now), [EndpointState::Draining, EndpointState::Down, EndpointState::Up]);
    assert_eq!([one.sessions(), two.sessions()], [2, 1]);
    for _ in 0..9 {
        assert_eq!(lease(&mut pool, now).endpoint().url(), &config(3, 0).url);
    }
    pool.set_endpoints(&[config(1, 0)]);
    assert!(Arc::ptr_eq(&endpoint(&pool, 0), &one), "it comes back with its sessions");
    drop(leases);
    pool.set_endpoints(&[config(3, 0)]);
    assert_eq!(pool.members.len(), 1, "endpoints without sessions are forgotten");
}

#[test]
fn an_endpoint_that_came_back_starts_slowly() {
    let policy =
        PoolPolicy { slow_start: 10 * SECOND, balance: Balance::RoundRobin, ..PoolPolicy::default() };
    let (mut pool, start) = (pool(policy, &[0, 0]), Instant::now());
    let one = endpoint(&pool, 0);
    pool.failed(&one, &refused(), start);
    pool.probed(&one, Ok(()), start);
    pool.established(&one, start);
    let mut share = |now| {
        let picks = (0..1000).filter(|_| Arc::ptr_eq(lease(&mut pool, now).endpoint(), &one));
        picks.count()
    };
    assert!((81..101).contains(&share(start)), "a tenth of the other's");
    assert!((320..347).contains(&share(start + 5 * SECOND)), "half of the other's");
    assert!((490..511).contains(&share(start + 10 * SECOND)));
}

#[test]
fn an_endpoint_takes_as_many_sessions_as_its_breaker_allows_and_the_next_tier_the_rest() {
    let breaker = BreakerLimits { sessions: Some(2), ..BreakerLimits::default() };
    let (mut pool, now) = (pool(PoolPolicy { breaker, ..PoolPolicy::default() }, &[0, 1]), Instant::now());
    let leases: Vec<_> = (0..4).map(|_| lease(&mut pool, now)).collect();
    assert_eq!([0, 1].map(|at| endpoint(&pool, at).sessions()), [2, 2]);
    assert_eq!(wait(&mut pool, now), Wait::Busy);
    drop(leases);
    drop(lease(&mut pool, now));
}

/// Something that happens to an endpoint.
#[derive(Debug, Clone, Copy)]
enum Event {
    Refused,
    Lost,
    Broken,
    Denied,
    Established,
    ProbeOk,
    ProbeFailed,
    Pick,
    Release,
}

fn event() -> impl Strategy<Value = Event> {
    use Event::{Broken, Denied, Established, Lost, Pick, ProbeFailed, ProbeOk, Refused, Release};
    prop::sample::select(vec![
        Refused,
        Lost,
        Broken,
        Denied,
        Established,
        ProbeOk,
        ProbeFailed,
        Pick,
        Pick,
        Pick,
        Release,
    ])
}

proptest! {
    /// For any events: a pick is never down while a better endpoint is up, an endpoint is picked whenever one is up,
    /// sessions are counted exactly, and at least one endpoint is never ejected.
    #[test]
    fn picks_are_right_whatever_happens(
        balance in prop::sample::select(vec![
            Balance::LeastSessions, Balance::RoundRobin, Balance::Random, Balance::Hash,
        ]),
        priorities in prop::collection::vec(0..3_u32, 1..6),
        events in prop::collection::vec((event(), 0..6_usize, 0..2000_u32, 0.0..1.0_f64), 1..150),
    ) {
        let ejection = Ejection { failures: 2, time: SECOND, max_share: 100 };
        let mut pool = pool(PoolPolicy { balance, ejection, ..PoolPolicy::default() }, &priorities);
        let (mut leases, mut now) = (Vec::new(), Instant::now());
        for (event, which, pause, chance) in events {
            now += MS * pause;
            let which = endpoint(&pool, which % priorities.len());
            match event {
                Event::Refused => _ = pool.failed(&which, &refused(), now),
                Event::Lost => _ = pool.failed(&which, &lost(), now),
                Event::Broken => _ = pool.failed(&which, &connect(ConnectFailure::Status(503)), now),
                Event::Denied => _ = pool.failed(&which, &connect(ConnectFailure::Status(403)), now),
                Event::Established => _ = pool.established(&which, now),
                Event::ProbeOk => _ = pool.probed(&which, Ok(()), now),
                Event::ProbeFailed => _ = pool.probed(&which, Err(refused()), now),
                Event::Release => _ = leases.pop(),
                Event::Pick => {
                    let before = states(&pool, now);
                    let is_up = |at: usize| before[at] == EndpointState::Up;
                    let best = (0..before.len()).filter(|at| is_up(*at)).map(|at| priorities[at]).min();
                    let key = Some(u64::from(pause));
                    match pool.pick(now, key, &[], [chance, 1.0 - chance, chance]) {
                        Pick::Endpoint(lease) => {
                            let at = pool.members.iter().position(|it| Arc::ptr_eq(&it.endpoint, lease.endpoint()));
                            let at = at.unwrap();
                            prop_assert_ne!(before[at], EndpointState::Down);
                            if let Some(best) = best {
                                prop_assert!(priorities[at] <= best, "{:?} {:?}", before, priorities);
                                prop_assert_ne!(before[at], EndpointState::Ejected);
                            }
                            leases.push(lease);
                        }
                        Pick::Wait(wait) => {
                            prop_assert_eq!(best, None, "{:?} in {:?}", wait, before);
                        }
                    }
                }
            }
            let sessions: usize = pool.members.iter().map(|member| member.endpoint.sessions()).sum();
            prop_assert_eq!(sessions, leases.len());
            prop_assert!(pool.members.iter().any(|member| !member.outlier.is_ejected(now)));
        }
    }
}
