//! The servers that events name by `$url`: the sessions and dials of all sessions to each, and its limits.
//!
//! They are in no pool: nothing probes them, and none replaces another. A server is known while it has sessions,
//! or while recent dials count against its rate. No clocks are used here: the time is passed in.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{
    Endpoint, Lease,
    breaker::{Breaker, Load},
    queue::Waiter,
};
use crate::{policy::BreakerLimits, settings::UpstreamUrl};

/// Unused servers are forgotten when there are this many, or twice as many as were in use the last time.
const SWEEP_MIN: usize = 64;

/// The servers that events name, each with its scheme, user, host and port.
#[derive(Debug)]
pub(super) struct NamedServers {
    servers: HashMap<Box<str>, Named>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Named {
    endpoint: Arc<Endpoint>,
    breaker: Breaker,
}

/// Whether a server takes another session.
#[derive(Debug)]
pub(super) enum Room {
    /// A place is reserved.
    Reserved(Lease),
    /// Its limits are reached. This resolves when a session or a dial ends.
    Full(Waiter),
}

// === impl NamedServers ===

impl Default for NamedServers {
    fn default() -> Self {
        Self { servers: HashMap::new(), sweep_at: SWEEP_MIN }
    }
}

impl NamedServers {
    /// Reserves a place at the server of this URL.
    pub(super) fn reserve(&mut self, url: &UpstreamUrl, limits: &BreakerLimits, now: Instant) -> Room {
        let endpoint = &self.server(url, now).endpoint;
        // Before the look at the load, so that no end of a session is missed.
        let waiter = endpoint.room().wait();
        let limits = BreakerLimits { rate: None, ..*limits };
        match Breaker::default().admits(&limits, Load::for_later(endpoint), now) {
            true => Room::Reserved(endpoint.reserve()),
            false => Room::Full(waiter),
        }
    }

    /// The time, `now` or later, at which the rate of the server admits a dial that is due `now`; `None` if that is not
    /// before `end`. Each call that returns a time counts as a dial.
    pub(super) fn slot(
        &mut self,
        url: &UpstreamUrl,
        limits: &BreakerLimits,
        now: Instant,
        end: Instant,
    ) -> Option<Instant> {
        let breaker = &mut self.server(url, now).breaker;
        let slot = breaker.rate_admits(limits).map_or(now, |since| since.max(now));
        if slot >= end {
            return None;
        }
        breaker.dialed(limits, now);
        Some(slot)
    }

    fn server(&mut self, url: &UpstreamUrl, now: Instant) -> &mut Named {
        let key = UpstreamUrl::server(&url.text);
        if self.servers.len() >= self.sweep_at && !self.servers.contains_key(key) {
            self.servers.retain(|_, server| server.is_needed(now));
            self.sweep_at = SWEEP_MIN.max(2 * self.servers.len());
        }
        self.servers.entry(key.into()).or_insert_with(|| {
            // The part of a URL up to the path is a URL too.
            let url = UpstreamUrl::parse(key).unwrap_or_else(|_| url.clone());
            Named { endpoint: Endpoint::new(url), breaker: Breaker::default() }
        })
    }
}

// === impl Named ===

impl Named {
    fn is_needed(&self, now: Instant) -> bool {
        let is_used = self.endpoint.sessions() > 0 || !self.endpoint.room().is_empty();
        is_used || self.breaker.owes(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn url(text: &str) -> UpstreamUrl {
        UpstreamUrl::parse(text).unwrap()
    }

    fn limits(sessions: usize, dials: usize, rate: u32) -> BreakerLimits {
        BreakerLimits { sessions: Some(sessions), dials: Some(dials), rate: Some(rate) }
    }

    fn lease(servers: &mut NamedServers, text: &str, limits: &BreakerLimits) -> Option<Lease> {
        reserve(servers, text, limits, Instant::now())
    }

    fn reserve(
        servers: &mut NamedServers,
        text: &str,
        limits: &BreakerLimits,
        now: Instant,
    ) -> Option<Lease> {
        match servers.reserve(&url(text), limits, now) {
            Room::Reserved(lease) => Some(lease),
            Room::Full(_) => None,
        }
    }

    #[test]
    fn all_paths_of_a_server_share_its_limits() {
        let (mut servers, limits) = (NamedServers::default(), limits(2, 1, 1));
        let mut first = lease(&mut servers, "ws://me:secret@a:1/x?y", &limits).unwrap();
        assert_eq!(&*first.endpoint().url().text, "ws://me:secret@a:1");
        assert!(lease(&mut servers, "ws://me:secret@a:1/z", &limits).is_none(), "a dial is in progress");
        assert!(lease(&mut servers, "wss://me:secret@a:1/x", &limits).is_some(), "another server");
        first.established();
        let second = lease(&mut servers, "ws://me:secret@a:1/z", &limits);
        assert!(second.is_some());
        assert!(lease(&mut servers, "ws://me:secret@a:1", &limits).is_none(), "two sessions");
        drop(first);
        assert!(lease(&mut servers, "ws://me:secret@a:1", &limits).is_none(), "a dial is in progress");
        drop(second);
        assert!(lease(&mut servers, "ws://me:secret@a:1", &limits).is_some());
    }

    #[test]
    fn the_dials_of_a_server_have_its_rate() {
        let (mut servers, limits, now) = (NamedServers::default(), limits(9, 9, 10), Instant::now());
        let end = now + Duration::from_millis(350);
        let mut slot =
            |name: &str| servers.slot(&url(name), &limits, now, end).map(|at| (at - now).as_millis());
        let slots = [(); 6].map(|()| slot("ws://a/x"));
        assert_eq!(slots, [Some(0), Some(0), Some(100), Some(200), Some(300), None]);
        assert_eq!(slot("ws://b"), Some(0), "another server");
    }

    #[test]
    fn servers_that_nobody_uses_are_forgotten() {
        let (mut servers, limits, now) = (NamedServers::default(), limits(9, 9, 10), Instant::now());
        let held: Vec<_> = (0..10)
            .map(|port| reserve(&mut servers, &format!("ws://a:{}", port + 1), &limits, now))
            .collect();
        servers.slot(&url("ws://owes"), &limits, now, now + Duration::from_secs(1));
        for number in 0..10_000 {
            reserve(&mut servers, &format!("ws://b{number}"), &limits, now);
            assert!(servers.servers.len() <= SWEEP_MIN);
        }
        assert!(
            held.iter().flatten().all(|lease| servers.servers.contains_key(&*lease.endpoint().url().text))
        );
        assert!(servers.servers.contains_key("ws://owes"), "its rate has not paid for the dial");
        let later = now + Duration::from_secs(1);
        servers.sweep_at = 0;
        servers.reserve(&url("ws://c"), &limits, later);
        assert_eq!(servers.servers.len(), 11);
    }
}
