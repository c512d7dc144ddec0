//! What operators see of endpoints, and what they change.

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{EndpointState, Pool};
use crate::{failure::Failure, reply, upstream::Endpoint};

/// Maximum number of outages that are kept of an endpoint.
const OUTAGES_MAX: usize = 32;

/// The latest outages of an endpoint, oldest first.
#[derive(Debug, Default)]
pub(super) struct Outages(VecDeque<Outage>);

#[derive(Debug)]
struct Outage {
    began: Instant,
    ended: Option<Instant>,
    reason: Failure,
}

/// Why an endpoint is being emptied.
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
    /// Its number in the pool, from 1.
    pub number: usize,
    /// The endpoint, with its counts.
    pub endpoint: Arc<Endpoint>,
    /// Its state.
    pub state: EndpointState,
    /// Its share of the sessions of its tier.
    pub weight: u32,
    /// Its tier.
    pub priority: u32,
    /// Why it is being emptied; `None` if it is not.
    pub draining: Option<DrainReason>,
    /// How long its outage lasts.
    pub outage: Option<Duration>,
    /// How long it has been up since its last outage.
    pub up: Option<Duration>,
    /// How long ago it failed last, and why.
    pub last_failure: Option<(Duration, String)>,
    /// Its latest outages, oldest first.
    pub outages: Vec<OutageOverview>,
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
    /// The settings have the endpoint emptied.
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
        if self.0.len() >= OUTAGES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Outage { began: now, ended: None, reason });
    }

    /// The last outage ends.
    pub(super) fn end(&mut self, now: Instant) {
        if let Some(last) = self.0.back_mut() {
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

// === impl Pool ===

impl Pool {
    /// All endpoints, as operators see them.
    pub fn overview(&self, now: Instant) -> Vec<EndpointOverview> {
        (1..).zip(&self.members).map(|(number, member)| member.overview(number, now)).collect()
    }

    /// The endpoint with this number or URL.
    ///
    /// # Errors
    /// When there is none, or when the URL is that of several.
    pub fn named(&self, which: &str) -> Result<Arc<Endpoint>, OrderError> {
        let is_it = |number: usize, endpoint: &Endpoint| {
            which == number.to_string() || which == endpoint.url().label()
        };
        let mut found = (1..).zip(&self.members).filter(|(number, member)| is_it(*number, &member.endpoint));
        match (found.next(), found.next()) {
            (Some((_, member)), None) => Ok(Arc::clone(&member.endpoint)),
            (Some(_), Some(_)) => Err(OrderError::Ambiguous(which.to_owned())),
            (None, _) => Err(OrderError::Unknown(which.to_owned())),
        }
    }

    /// Has an endpoint emptied, or used again.
    ///
    /// # Errors
    /// When the endpoint cannot be used again, because the settings have it emptied.
    pub fn set_drained(&mut self, endpoint: &Arc<Endpoint>, is_drained: bool) -> Result<(), OrderError> {
        let Some(member) = self.member(endpoint) else { return Err(OrderError::Unlisted) };
        member.set_drained(is_drained);
        match member.drain_reason().filter(|_| !is_drained) {
            Some(DrainReason::Settings) => Err(OrderError::BySettings),
            Some(DrainReason::Unlisted) => Err(OrderError::Unlisted),
            Some(DrainReason::Operator) | None => Ok(()),
        }
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

    #[test]
    fn an_operator_empties_endpoints_besides_the_settings() {
        let config = |drain| {
            let url = UpstreamUrl::parse("ws://a:1").unwrap();
            EndpointConfig { drain, ..EndpointConfig::new(url) }
        };
        let now = Instant::now();
        let mut pool = Pool::new(PoolPolicy::default(), &[config(false)]);
        let endpoint = pool.named("1").unwrap();
        assert!(Arc::ptr_eq(&endpoint, &pool.named("ws://a:1").unwrap()));
        assert_eq!(pool.named("2").unwrap_err(), OrderError::Unknown("2".to_owned()));
        let reason = |pool: &Pool| pool.overview(now)[0].draining;
        assert_eq!(pool.set_drained(&endpoint, true), Ok(()));
        assert_eq!(
            (reason(&pool), pool.overview(now)[0].state),
            (Some(DrainReason::Operator), EndpointState::Draining)
        );
        pool.set_endpoints(&[config(false)]);
        assert_eq!(reason(&pool), Some(DrainReason::Operator), "other settings keep the order");
        pool.set_endpoints(&[config(true)]);
        assert_eq!(pool.set_drained(&endpoint, false), Err(OrderError::BySettings));
        pool.set_endpoints(&[config(false)]);
        assert_eq!(reason(&pool), None);
        pool.set_endpoints(&[]);
        assert_eq!(pool.set_drained(&endpoint, false), Err(OrderError::Unlisted));
    }
}
