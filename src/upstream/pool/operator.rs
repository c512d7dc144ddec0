//! Endpoints as operators see them, and the drains that operators order.

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{EndpointState, Pool, member::Member};
use crate::{failure::Failure, reply, settings::ENDPOINTS_MAX, upstream::Endpoint};

/// Maximum number of outages that are kept of an endpoint.
const OUTAGES_MAX: usize = 32;

/// Maximum number of endpoints that are kept because an operator drains them, although they are no longer listed.
const DRAINS_MAX: usize = ENDPOINTS_MAX;

/// The latest outages of an endpoint, oldest first. A clone is cheap, and shows them as they were.
#[derive(Debug, Default, Clone)]
pub(super) struct Outages(Arc<VecDeque<Outage>>);

#[derive(Debug, Clone)]
struct Outage {
    began: Instant,
    ended: Option<Instant>,
    reason: Arc<Failure>,
}

/// The effect of a change of the listed endpoints (by settings, a file or names) on the drains of operators.
#[derive(Debug, Default)]
pub struct HeldDrains {
    /// The endpoints that are listed again, or with other credentials, and still drain.
    pub listed_again: Vec<Arc<Endpoint>>,
    /// The endpoints whose drains are forgotten, because too many drain that are no longer listed.
    pub forgotten: Vec<Arc<Endpoint>>,
    /// Whether all listed endpoints drain now, and did not before.
    pub is_last: bool,
}

/// The state of an endpoint after its drain has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undrained {
    /// It takes connections.
    InUse,
    /// It is not listed. It will take connections when it is listed again.
    Unlisted,
}

/// Why an endpoint drains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainReason {
    /// It is no longer in the settings, in the file of endpoints, or among the addresses of its name.
    Unlisted,
    /// `drain` in the settings.
    Settings,
    /// An operator has ordered it.
    Operator,
}

/// An endpoint at one moment.
#[derive(Debug)]
pub struct EndpointOverview {
    /// The endpoint, with its counts.
    pub endpoint: Arc<Endpoint>,
    /// Its state.
    pub state: EndpointState,
    /// Its share of the sessions of its tier.
    pub weight: u32,
    /// Its tier.
    pub priority: u32,
    /// Why it drains; `None` if it does not.
    pub draining: Option<DrainReason>,
    /// Whether it is listed: in the settings, in the file or among the addresses of a name.
    pub is_listed: bool,
    /// Whether an operator drains it, in addition to any other reason.
    pub is_drained_by_operator: bool,
    /// How long its present outage has lasted.
    pub outage: Option<Duration>,
    /// How long it has been up since its last outage.
    pub up: Option<Duration>,
    /// How long ago it failed last, and why.
    pub last_failure: Option<(Duration, Arc<Failure>)>,
    pub(super) outages: Outages,
    pub(super) at: Instant,
}

/// An outage of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutageOverview {
    /// How long ago it began.
    pub began: Duration,
    /// How long it lasted; `None` if it has not ended.
    pub lasted: Option<Duration>,
    /// Why it began.
    pub reason: String,
}

/// Why an order of an operator is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is no such endpoint.
    #[error("no endpoint {0}: takes its number or its URL, as in the list of upstreams")]
    Unknown(String),
    /// Several endpoints have this URL when its secrets are masked.
    #[error(
        "several endpoints are shown as {0}: give the number of the endpoint, as in the list of upstreams"
    )]
    Ambiguous(String),
    /// The settings drain the endpoint.
    #[error("the settings have this endpoint drain: remove `drain = true` there")]
    BySettings,
    /// The endpoint is no longer listed.
    #[error("the endpoint is no longer listed, and its sessions leave it")]
    Unlisted,
}

// === impl Outages ===

impl Outages {
    /// An outage begins.
    pub(super) fn begin(&mut self, now: Instant, reason: Failure) {
        let outages = Arc::make_mut(&mut self.0);
        if outages.len() >= OUTAGES_MAX {
            outages.pop_front();
        }
        outages.push_back(Outage { began: now, ended: None, reason: Arc::new(reason) });
    }

    /// The last outage ends.
    pub(super) fn end(&mut self, now: Instant) {
        if let Some(last) = Arc::make_mut(&mut self.0).back_mut() {
            last.ended.get_or_insert(now);
        }
    }

    pub(super) fn overview(&self, now: Instant) -> Vec<OutageOverview> {
        let overview = |Outage { began, ended, reason }: &Outage| OutageOverview {
            began: now.saturating_duration_since(*began),
            lasted: ended.map(|ended| ended.saturating_duration_since(*began)),
            reason: reply::reason(reason),
        };
        self.0.iter().map(overview).collect()
    }
}

// === impl EndpointOverview ===

impl EndpointOverview {
    /// Its latest outages, oldest first.
    pub fn outages(&self) -> Vec<OutageOverview> {
        self.outages.overview(self.at)
    }
}

// === impl Pool ===

impl Pool {
    /// All endpoints, as operators see them, also those that are no longer listed. Sessions that dial wait meanwhile,
    /// so texts are made later.
    pub fn overview(&self, now: Instant) -> Vec<EndpointOverview> {
        self.members.iter().map(|member| member.overview(now)).collect()
    }

    /// The number of endpoints that take connections now.
    pub fn usable(&self, now: Instant) -> usize {
        self.members.iter().filter(|member| member.is_usable(now)).count()
    }

    /// Whether all listed endpoints drain.
    pub fn drains(&self) -> bool {
        self.members.iter().all(|member| member.is_draining)
    }

    /// The endpoint with this number or URL. Of endpoints with the same URL, the one that is listed.
    ///
    /// # Errors
    /// When there is none, or when the URL is that of several.
    pub fn named(&self, which: &str) -> Result<Arc<Endpoint>, OrderError> {
        let is_it = |member: &&Member| {
            which == member.endpoint.number().to_string() || which == member.endpoint.url().label()
        };
        let found: Vec<_> = self.members.iter().filter(is_it).collect();
        let listed: Vec<_> = found.iter().copied().filter(|member| member.is_listed).collect();
        match (&listed[..], &found[..]) {
            ([member], _) | ([], [member]) => Ok(Arc::clone(&member.endpoint)),
            ([], []) => Err(OrderError::Unknown(which.to_owned())),
            _ => Err(OrderError::Ambiguous(which.to_owned())),
        }
    }

    /// Drains an endpoint until [`undrain`](Self::undrain). The drain persists while the endpoint is not listed, and
    /// when its credentials change.
    ///
    /// # Errors
    /// When the endpoint is forgotten.
    pub fn drain(&mut self, endpoint: &Arc<Endpoint>) -> Result<(), OrderError> {
        self.member(endpoint).map(|member| member.set_drained(true)).ok_or(OrderError::Unlisted)
    }

    /// Ends the drain of an endpoint. The drain of a name whose addresses were not known yet ends for all of its
    /// addresses; once one of them is used again, the name has no drain.
    ///
    /// # Errors
    /// When the settings drain the endpoint, or when it is unlisted and no operator drains it.
    pub fn undrain(&mut self, endpoint: &Arc<Endpoint>) -> Result<Undrained, OrderError> {
        let Some(member) = self.member(endpoint) else { return Err(OrderError::Unlisted) };
        // A refusal changes nothing.
        if member.drain_reason() == Some(DrainReason::Settings) {
            return Err(OrderError::BySettings);
        }
        let was_drained = member.is_drained_by_operator;
        member.set_drained(false);
        let (mut reason, server) = (member.drain_reason(), member.server.clone());
        for member in &mut self.members {
            if was_drained && server.is_name_of(&member.server) {
                member.set_drained(false);
                if member.is_listed {
                    reason = member.drain_reason();
                }
            } else if !member.is_listed && member.server.covers(&server) {
                // It would have the same endpoint drain when that is listed again, or has other credentials.
                member.set_drained(false);
            }
        }
        self.forget_unlisted();
        match reason {
            Some(DrainReason::Settings) => Err(OrderError::BySettings),
            Some(DrainReason::Unlisted) if was_drained => Ok(Undrained::Unlisted),
            Some(DrainReason::Unlisted) => Err(OrderError::Unlisted),
            Some(DrainReason::Operator) | None => Ok(Undrained::InUse),
        }
    }

    /// The endpoint and, if it is a name that drains, its addresses.
    pub fn drained_together(&self, endpoint: &Arc<Endpoint>) -> Vec<Arc<Endpoint>> {
        let of_it = |member: &&Member| Arc::ptr_eq(&member.endpoint, endpoint);
        let Some(named) = self.members.iter().find(of_it) else { return Vec::new() };
        let is_address =
            |member: &&Member| named.is_drained_by_operator && named.server.is_name_of(&member.server);
        let is_it = |member: &&Member| of_it(member) || is_address(member);
        self.members.iter().filter(is_it).map(|member| Arc::clone(&member.endpoint)).collect()
    }

    /// Whether an operator drains the endpoint.
    pub fn is_drained_by_operator(&self, endpoint: &Arc<Endpoint>) -> bool {
        let of_it = |member: &Member| Arc::ptr_eq(&member.endpoint, endpoint);
        self.members.iter().any(|member| of_it(member) && member.is_drained_by_operator)
    }

    /// Forgets the drains of the endpoints that left first, if too many are kept that are no longer listed.
    pub(super) fn limit_drains(&mut self) -> Vec<Arc<Endpoint>> {
        let unlisted = self.members.iter_mut().filter(|member| !member.is_listed);
        let mut kept: Vec<_> = unlisted.filter(|member| member.is_drained_by_operator).collect();
        kept.sort_by_key(|member| member.departure);
        let excess = kept.len().saturating_sub(DRAINS_MAX);
        let forgotten = kept.into_iter().take(excess);
        forgotten
            .map(|member| {
                member.set_drained(false);
                Arc::clone(&member.endpoint)
            })
            .collect()
    }
}

impl fmt::Display for DrainReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unlisted => "unlisted",
            Self::Settings => "settings",
            Self::Operator => "operator",
        })
    }
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::PoolPolicy,
        settings::{EndpointConfig, UpstreamUrl},
    };

    #[test]
    fn the_latest_outages_are_kept() {
        let (start, mut outages) = (Instant::now(), Outages::default());
        let at = |second| start + Duration::from_secs(second);
        for second in 0..40 {
            outages.begin(at(10 * second), Failure::not_connected());
            outages.end(at(10 * second + 3));
            outages.end(at(10 * second + 5));
        }
        outages.begin(at(400), Failure::not_connected());
        let seen = outages.overview(at(402));
        assert_eq!(seen.len(), OUTAGES_MAX);
        assert_eq!((seen[30].began.as_secs(), seen[30].lasted), (12, Some(Duration::from_secs(3))));
        assert_eq!((seen[31].began.as_secs(), seen[31].lasted), (2, None));
    }

    fn config(url: &str) -> EndpointConfig {
        EndpointConfig::new(UpstreamUrl::parse(url).unwrap())
    }

    fn pool(urls: &[&str]) -> Pool {
        Pool::new(PoolPolicy::default(), &configs(urls))
    }

    fn configs(urls: &[&str]) -> Vec<EndpointConfig> {
        urls.iter().copied().map(config).collect()
    }

    fn drain(pool: &mut Pool, which: &str) {
        let endpoint = pool.named(which).unwrap();
        pool.drain(&endpoint).unwrap();
    }

    fn undrain(pool: &mut Pool, which: &str) -> Result<Undrained, OrderError> {
        let endpoint = pool.named(which)?;
        pool.undrain(&endpoint)
    }

    /// The number and the URL of each endpoint, and whether an operator drains it.
    fn rows(pool: &Pool) -> Vec<(usize, String, bool)> {
        let row = |EndpointOverview { endpoint, is_drained_by_operator, .. }: EndpointOverview| {
            (endpoint.number(), endpoint.url().text.to_string(), is_drained_by_operator)
        };
        pool.overview(Instant::now()).into_iter().map(row).collect()
    }

    fn row(number: usize, url: &str, drains: bool) -> (usize, String, bool) {
        (number, url.to_owned(), drains)
    }

    #[test]
    fn an_operator_empties_endpoints_besides_the_settings() {
        let config = |drain| EndpointConfig { drain, ..config("ws://a:1") };
        let now = Instant::now();
        let mut pool = pool(&["ws://a:1"]);
        let endpoint = pool.named("1").unwrap();
        assert!(Arc::ptr_eq(&endpoint, &pool.named("ws://a:1").unwrap()));
        assert_eq!(pool.named("2").unwrap_err(), OrderError::Unknown("2".to_owned()));
        let reason = |pool: &Pool| pool.overview(now)[0].draining;
        assert_eq!(pool.drain(&endpoint), Ok(()));
        assert_eq!(
            (reason(&pool), pool.overview(now)[0].state),
            (Some(DrainReason::Operator), EndpointState::Draining)
        );
        pool.set_endpoints(&[config(false)]);
        assert_eq!(reason(&pool), Some(DrainReason::Operator), "other settings keep the order");
        pool.set_endpoints(&[config(true)]);
        assert_eq!(pool.undrain(&endpoint), Err(OrderError::BySettings));
        pool.set_endpoints(&[config(false)]);
        assert_eq!(reason(&pool), Some(DrainReason::Operator), "a refusal changes nothing");
        assert_eq!(pool.undrain(&endpoint), Ok(Undrained::InUse));
        assert_eq!(reason(&pool), None);
        assert_eq!(pool.undrain(&endpoint), Ok(Undrained::InUse), "it is used already");
        pool.set_endpoints(&[]);
        assert_eq!(pool.undrain(&endpoint), Err(OrderError::Unlisted));
    }

    /// A file or a name may lack an endpoint for a moment.
    #[test]
    fn a_drain_holds_while_the_endpoint_is_not_listed() {
        let mut pool = pool(&["ws://a", "ws://b"]);
        drain(&mut pool, "1");
        let drains = pool.set_endpoints(&configs(&["ws://b"]));
        assert!(drains.listed_again.is_empty() && drains.forgotten.is_empty() && !drains.is_last);
        assert_eq!(rows(&pool), [row(1, "ws://a", true), row(2, "ws://b", false)]);
        assert_eq!(pool.urls().count(), 1, "unlisted servers are not endpoints");
        let drains = pool.set_endpoints(&configs(&["ws://b", "ws://a"]));
        assert_eq!(drains.listed_again.len(), 1);
        assert_eq!(rows(&pool), [row(1, "ws://a", true), row(2, "ws://b", false)]);
        assert_eq!(pool.overview(Instant::now())[0].draining, Some(DrainReason::Operator));
        pool.set_endpoints(&configs(&["ws://b"]));
        assert_eq!(undrain(&mut pool, "1"), Ok(Undrained::Unlisted));
        assert_eq!(rows(&pool), [row(2, "ws://b", false)]);
        pool.set_endpoints(&configs(&["ws://b", "ws://a"]));
        assert_eq!(rows(&pool), [row(2, "ws://b", false), row(3, "ws://a", false)]);
    }

    #[test]
    fn a_drain_is_that_of_one_endpoint_of_a_server() {
        let mut pool = pool(&["ws://a:1@h", "ws://b:1@h", "ws://other"]);
        drain(&mut pool, "1");
        let drains = pool.set_endpoints(&configs(&["ws://a:1@h", "ws://b:2@h", "ws://other"]));
        assert!(drains.listed_again.is_empty(), "{drains:?}");
        assert_eq!(rows(&pool).last(), Some(&row(4, "ws://b:2@h", false)));
        let drains = pool.set_endpoints(&configs(&["ws://a:3@h", "ws://b:2@h", "ws://other"]));
        assert_eq!(drains.listed_again.len(), 1, "{drains:?}");
        assert_eq!(rows(&pool).last(), Some(&row(5, "ws://a:3@h", true)));
    }

    #[test]
    fn a_drain_holds_when_the_credentials_change() {
        let mut pool = pool(&["ws://me:old@a/?token=1", "ws://b"]);
        drain(&mut pool, "1");
        let session = pool.named("1").unwrap().lease();
        for (number, changed) in [(3, "ws://me:new@a/?token=1"), (4, "ws://me:new@a/?token=2")] {
            let drains = pool.set_endpoints(&configs(&["ws://b", changed]));
            assert_eq!(drains.listed_again.len(), 1, "{changed}");
            assert_eq!(rows(&pool).last(), Some(&row(number, changed, true)));
        }
        // The one that is listed, although the other one has the same name and sessions.
        assert_eq!(undrain(&mut pool, "ws://***@a/?***"), Ok(Undrained::InUse));
        pool.set_endpoints(&configs(&["ws://b", "ws://a"]));
        assert!(rows(&pool).iter().all(|(.., drains)| !drains), "{:?}", rows(&pool));
        drop(session);
        pool.forget_unlisted();
        assert_eq!(rows(&pool), [row(2, "ws://b", false), row(5, "ws://a", false)]);
    }

    /// The order for the name outlived the orders for its addresses, and the reverse.
    #[test]
    fn a_drain_of_a_name_ends_for_its_addresses() {
        let name = config("ws://h");
        let at =
            |last| EndpointConfig { url: name.url.with_address([10, 0, 0, last].into()), ..name.clone() };
        let drains = |pool: &Pool| -> Vec<_> {
            let listed = pool.members.iter().filter(|member| member.is_listed);
            listed.map(|member| member.is_drained_by_operator).collect()
        };
        let drained = || {
            let mut pool = pool(&["ws://h"]);
            drain(&mut pool, "ws://h");
            assert_eq!(pool.set_endpoints(&[at(1), at(2)]).listed_again.len(), 2);
            assert_eq!(drains(&pool), [true, true]);
            pool
        };
        for which in ["1", "ws://h"] {
            let mut pool = drained();
            let named = pool.named(which).unwrap();
            assert_eq!(pool.drained_together(&named).len(), 3);
            assert_eq!(undrain(&mut pool, which), Ok(Undrained::InUse), "its addresses are");
            assert_eq!(drains(&pool), [false, false]);
            assert_eq!(pool.named(which).unwrap_err(), OrderError::Unknown(which.to_owned()));
            pool.set_endpoints(&[at(1), at(2), at(3)]);
            assert_eq!(drains(&pool), [false; 3]);
        }
        let mut pool = drained();
        assert_eq!(undrain(&mut pool, "2"), Ok(Undrained::InUse));
        assert_eq!(drains(&pool), [false, true], "the other one has its own drain");
        pool.set_endpoints(&[at(2)]);
        pool.set_endpoints(&[at(1), at(2), at(3)]);
        assert_eq!(drains(&pool), [true, false, false], "the name has no drain");
    }

    /// An order for number 2 must not concern another endpoint after a reload.
    #[test]
    fn a_number_stays_that_of_its_endpoint() {
        let mut pool = pool(&["ws://a", "ws://b", "ws://c"]);
        pool.set_endpoints(&configs(&["ws://d", "ws://c"]));
        assert_eq!(pool.named("2").unwrap_err(), OrderError::Unknown("2".to_owned()));
        assert_eq!(&*pool.named("3").unwrap().url().text, "ws://c");
        pool.set_endpoints(&configs(&["ws://b", "ws://c", "ws://d"]));
        assert_eq!(&*pool.named("4").unwrap().url().text, "ws://d");
        assert_eq!(&*pool.named("5").unwrap().url().text, "ws://b");
    }

    #[test]
    fn the_drains_of_endpoints_that_are_not_listed_are_bounded() {
        let urls: Vec<_> = (0..=DRAINS_MAX).map(|at| format!("ws://old-{at}")).collect();
        let urls: Vec<_> = urls.iter().map(String::as_str).collect();
        let mut pool = pool(&urls[..1]);
        // The first one leaves first.
        for part in [&urls[..1], &urls[1..], &["ws://new"]] {
            let drains = pool.set_endpoints(&configs(part));
            let forgotten: Vec<_> = drains.forgotten.iter().map(|endpoint| &*endpoint.url().text).collect();
            assert_eq!(forgotten, if part == ["ws://new"] { vec![urls[0]] } else { vec![] });
            let listed = if part == ["ws://new"] { vec![] } else { part.to_vec() };
            listed.iter().for_each(|url| drain(&mut pool, url));
        }
        assert_eq!(pool.members.len(), DRAINS_MAX + 1);
    }

    #[test]
    fn the_last_endpoint_that_goes_is_reported_once() {
        let mut pool = pool(&["ws://a", "ws://b"]);
        assert_eq!(pool.usable(Instant::now()), 2);
        drain(&mut pool, "1");
        assert!(pool.set_endpoints(&configs(&["ws://a"])).is_last, "the other one has left");
        assert!(!pool.set_endpoints(&configs(&["ws://a"])).is_last, "it is known");
        assert_eq!(pool.usable(Instant::now()), 0);
        assert!(!pool.set_endpoints(&configs(&["ws://a", "ws://b"])).is_last);
    }
}
