use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Waker},
};

use super::*;
use crate::{
    failure::{ConnectFailure, FailureKind},
    policy::{BreakerLimits, ProbeTimes},
    settings::{EndpointConfig, fixture},
};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn refused() -> Failure {
    Failure::connection(FailureKind::Connect(ConnectFailure::Refused), "")
}

/// An upstream with this number of endpoints, and the endpoints.
fn shared(count: usize, breaker: BreakerLimits) -> (Arc<Shared>, Vec<Arc<Endpoint>>) {
    let mut settings = fixture::upstream();
    let url = |number| UpstreamUrl::parse(&format!("ws://10.0.0.{number}:1")).unwrap();
    settings.endpoints = (1..=count).map(|number| EndpointConfig::new(url(number))).collect();
    settings.pool.breaker = breaker;
    let shared = Shared::new(&Arc::new(settings));
    shared.watch();
    let endpoints =
        shared.pool().endpoints(Instant::now()).map(|(endpoint, _)| Arc::clone(endpoint)).collect();
    (shared, endpoints)
}

type Wait<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The number of futures that are ready.
fn woken(waits: &mut [Wait<'_>]) -> usize {
    let mut task = Context::from_waker(Waker::noop());
    waits.iter_mut().filter_map(|wait| wait.as_mut().poll(&mut task).is_ready().then_some(())).count()
}

fn waits(shared: &Shared, count: usize) -> Vec<Wait<'static>> {
    (0..count).map(|_| Box::pin(shared.turn().ready()) as Wait<'static>).collect()
}

/// The first lets the trial begin, the second ends it.
#[test]
fn a_trial_wakes_as_many_sessions_as_may_dial_and_its_end_wakes_all() {
    let (shared, endpoints) = shared(1, BreakerLimits::default());
    shared.failed(&endpoints[0], &refused());
    let mut sessions = waits(&shared, 1000);
    assert_eq!(woken(&mut sessions), 0);
    shared.probed(&endpoints[0], Ok(()));
    assert_eq!(shared.ready.len(), 996);
    assert_eq!(endpoints[0].tried_by(4), 4, "for the number of sessions in the line `endpoint up`");
    let mut leases: Vec<_> = (0..4)
        .map(|_| match shared.pick(None, &[]) {
            Pick::Endpoint(lease) => lease,
            Pick::Wait(wait) => panic!("{wait:?}"),
        })
        .collect();
    assert!(matches!(shared.pick(None, &[]), Pick::Wait(super::Wait::Busy)));
    shared.established(&mut leases[0]);
    assert_eq!((shared.ready.len(), woken(&mut sessions)), (0, 1000));
    assert_eq!(endpoints[0].tried_by(0), 0, "the line has counted them");
}

/// The line of the endpoint that comes up first counts the sessions that were woken to try the other one.
#[test]
fn sessions_that_were_woken_count_once_whichever_endpoint_comes_up() {
    let (shared, endpoints) = shared(2, BreakerLimits::default());
    endpoints.iter().for_each(|endpoint| shared.failed(endpoint, &refused()));
    let mut sessions = waits(&shared, 3);
    assert_eq!(woken(&mut sessions), 0);
    shared.probed(&endpoints[0], Ok(()));
    shared.probed(&endpoints[1], Ok(()));
    let tries = || endpoints.iter().map(|endpoint| endpoint.tries()).collect::<Vec<_>>();
    assert_eq!((tries(), shared.ready.len()), (vec![3, 0], 0));
    shared.established(&mut endpoints[1].lease());
    assert_eq!(tries(), [0, 0], "its line has counted them");
    endpoints[1].tried_by(2);
    shared.failed(&endpoints[1], &refused());
    assert_eq!(tries(), [0, 0], "they wait again");
}

#[test]
fn a_session_that_waits_for_room_gets_the_place_that_another_one_leaves() {
    let (shared, endpoints) = shared(2, BreakerLimits { sessions: Some(1), ..BreakerLimits::default() });
    let leases = [endpoints[0].lease(), endpoints[1].lease()];
    let mut task = Context::from_waker(Waker::noop());
    let mut first = pin!(shared.available(|| shared.pick(None, &[])));
    let mut second = pin!(shared.available(|| shared.pick(None, &[])));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _context = runtime.enter();
    assert!(first.as_mut().poll(&mut task).is_pending() && second.as_mut().poll(&mut task).is_pending());
    assert_eq!(shared.room.len(), 2);
    drop(leases);
    assert!(first.as_mut().poll(&mut task).is_ready() && second.as_mut().poll(&mut task).is_ready());
}

/// The endpoint comes up between two looks at it, and no probe is due.
#[test]
fn a_client_gets_an_endpoint_that_comes_up_while_it_waits() {
    let (shared, endpoints) = shared(1, BreakerLimits::default());
    shared.failed(&endpoints[0], &refused());
    let mut task = Context::from_waker(Waker::noop());
    let mut client = pin!(shared.available(|| shared.pick(None, &[])));
    assert!(client.as_mut().poll(&mut task).is_pending());
    shared.established(&mut endpoints[0].lease());
    assert!(matches!(client.as_mut().poll(&mut task), std::task::Poll::Ready(Ok(_))));
}

#[test]
fn a_client_is_refused_when_each_endpoint_that_stays_was_probed() {
    let (shared, endpoints) = shared(2, BreakerLimits::default());
    let _session = endpoints[0].lease();
    endpoints.iter().for_each(|endpoint| shared.failed(endpoint, &refused()));
    let mut task = Context::from_waker(Waker::noop());
    let mut client = pin!(shared.available(|| shared.pick(None, &[])));
    assert!(client.as_mut().poll(&mut task).is_pending());
    let mut settings = (*shared.settings()).clone();
    settings.endpoints.remove(0);
    shared.configure(&Arc::new(settings));
    assert!(client.as_mut().poll(&mut task).is_pending());
    assert!(matches!(shared.probe_step(), ProbeStep::Probe(_)));
    shared.probed(&endpoints[1], Err(refused()));
    assert!(matches!(client.as_mut().poll(&mut task), std::task::Poll::Ready(Err(DialError::Down(_)))));
}

/// A thousand messages that fail wake the monitor once.
#[actix::test]
async fn many_messages_want_one_probe() {
    let (shared, endpoints) = shared(1, BreakerLimits::default());
    // Longer than the test takes on any machine, so that no probe falls due meanwhile.
    let mut settings = (*shared.settings()).clone();
    settings.pool.probe = ProbeTimes { min: HOUR / 2, max: HOUR };
    shared.configure(&Arc::new(settings));
    shared.failed(&endpoints[0], &refused());
    assert!(matches!(shared.probe_step(), ProbeStep::Probe(_)));
    shared.probed(&endpoints[0], Err(refused()));
    shared.news.notified().await;
    let held = shared.pool();
    (0..1000).for_each(|_| shared.want_probe());
    drop(held);
    shared.news.notified().await;
    assert!(timeout(Duration::ZERO, shared.news.notified()).await.is_err());
    let ProbeStep::At(soon) = shared.probe_step() else { panic!("a probe is due later") };
    assert!(soon.saturating_duration_since(Instant::now()) <= shared.settings().pool.probe.min);
}

#[test]
fn suppressed_lines_are_counted_by_the_next_line_or_by_the_monitor() {
    let (shared, _) = shared(1, BreakerLimits::default());
    let written = |level| (0..1500).filter(|_| shared.line(level).is_some()).count();
    assert_eq!([log::Level::Warn, log::Level::Info].map(written), [500, 500], "each level has its limit");
    assert!(matches!(shared.probe_step(), ProbeStep::At(_)), "the monitor writes lines about 1000");
}
