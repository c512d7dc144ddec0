//! The endpoints of one upstream: which of them can be dialed, and which one is.
//!
//! No clocks are used here: time and random numbers are passed in.
//!
//! ```text
//!          loss, dial reset or timed out        probe failed
//!    Up ─────────────────────────────► Suspect ─────────────┐
//!   ▲ ▲ ◄───────────────────────────── probe succeeded      ▼
//!   │ └───── handshake ── Trial ◄──────── probe succeeded ─ Down ◄─ dial refused
//!   │                       └───────────── dial failed ─────►
//!   └─ (also left out while Up or Suspect: Ejected, Draining)
//! ```

mod member;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use self::member::{Blame, Fitness, Member, State};
use super::{
    Endpoint, Lease,
    balance::{self, Candidate},
    health::may_eject,
};
use crate::{
    failure::{Failure, FailureKind},
    policy::PoolPolicy,
    settings::EndpointConfig,
};

/// The endpoints of an upstream.
#[derive(Debug)]
pub struct Pool {
    policy: PoolPolicy,
    members: Vec<Member>,
}

/// The state of an endpoint as logs and pages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// It takes connections.
    Up,
    /// Connections to it were lost. It takes connections where no other endpoint of its tier does.
    Suspect,
    /// It cannot be reached, and is probed.
    Down,
    /// It answers probes again, and a few dials try it.
    Trial,
    /// Its connections kept failing, and it is left out for a while.
    Ejected,
    /// It takes no new connections.
    Draining,
}

/// Where a connection goes.
#[derive(Debug)]
pub enum Pick {
    /// To the endpoint of this lease.
    Endpoint(Lease),
    /// Nowhere now.
    Wait(Wait),
}

/// Why no endpoint can be dialed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// All are down; the reason of the latest one.
    Down(Failure),
    /// Some are up, and their limits are reached.
    Busy,
    /// All have been tried, or there is none.
    Exhausted,
}

/// What a report has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// The endpoint has become unreachable: an outage has begun.
    Down,
    /// The endpoint answers probes again: a few dials may try it.
    Trial,
    /// The endpoint is up again, after an outage of this length.
    Up(Duration),
    /// The endpoint is left out for so long.
    Ejected(Duration),
}

/// What the monitor does next.
#[derive(Debug)]
pub enum ProbeStep {
    /// Probe this endpoint now, then ask again.
    Probe(Arc<Endpoint>),
    /// Ask again at this time.
    At(Instant),
    /// Ask again after a change.
    Never,
}

// === impl Pool ===

impl Pool {
    /// A pool of these endpoints, all of which count as up.
    pub fn new(policy: PoolPolicy, endpoints: &[EndpointConfig]) -> Self {
        let mut pool = Self { policy, members: Vec::new() };
        pool.set_endpoints(endpoints);
        pool
    }

    // --- Configuration

    /// Changes the policy; states and counts stay.
    pub fn set_policy(&mut self, policy: PoolPolicy) {
        self.policy = policy;
    }

    /// Changes the endpoints. Those with a known URL keep their state and their counts. Those that are missing take no
    /// new connections, and are forgotten when they have no sessions.
    pub fn set_endpoints(&mut self, endpoints: &[EndpointConfig]) {
        for member in &mut self.members {
            member.is_draining = true;
        }
        for config in endpoints {
            match self.members.iter_mut().find(|member| *member.endpoint.url() == config.url) {
                Some(known) => {
                    (known.weight, known.priority, known.is_draining) =
                        (config.weight, config.priority, false);
                }
                None => self.members.push(Member::new(config)),
            }
        }
        self.members.retain(|member| !member.is_draining || member.endpoint.sessions() > 0);
    }

    // --- Questions

    /// All endpoints and their states.
    pub fn endpoints(&self, now: Instant) -> impl Iterator<Item = (&Arc<Endpoint>, EndpointState)> {
        self.members.iter().map(move |member| (&member.endpoint, member.state(now)))
    }

    /// Why no endpoint can be dialed; `None` if one is not down.
    pub fn down(&self) -> Option<&Failure> {
        let mut latest: Option<(Option<Instant>, &Failure)> = None;
        for member in self.members.iter().filter(|member| !member.is_draining) {
            let State::Down(reason) = &member.state else { return None };
            if latest.is_none_or(|(since, _)| since <= member.outage) {
                latest = Some((member.outage, reason));
            }
        }
        latest.map(|(_, reason)| reason)
    }

    // --- Dials

    /// Chooses an endpoint other than those in `tried`. `key` is the value of the upstream's `hash`; `chance` has two
    /// random numbers in [0, 1).
    pub fn pick(
        &mut self,
        now: Instant,
        key: Option<u64>,
        tried: &[Arc<Endpoint>],
        chance: [f64; 2],
    ) -> Pick {
        let mut candidates = self.candidates(now, tried);
        let Some(at) = balance::pick(self.policy.balance, &mut candidates, key, chance) else {
            return Pick::Wait(self.wait(now, tried));
        };
        for candidate in candidates {
            self.members[candidate.index].credit = candidate.credit;
        }
        Pick::Endpoint(self.members[at].dial(now))
    }

    /// Chooses an endpoint even if all are down, for an upstream that nobody probes.
    pub fn pick_any(&mut self, now: Instant, tried: &[Arc<Endpoint>]) -> Pick {
        let mut untried =
            self.members.iter_mut().filter(|member| !member.is_draining && !member.is_in(tried));
        untried.next().map_or(Pick::Wait(Wait::Exhausted), |member| Pick::Endpoint(member.dial(now)))
    }

    /// The candidates of the best tier that has any: endpoints that are up before suspects, and suspects before
    /// those that are ejected.
    fn candidates(&self, now: Instant, tried: &[Arc<Endpoint>]) -> Vec<Candidate> {
        let mut best: Option<(bool, u32, Fitness)> = None;
        let mut candidates = Vec::new();
        for (index, member) in self.members.iter().enumerate() {
            let Some(fitness) = member.fitness(&self.policy, now).filter(|_| !member.is_in(tried)) else {
                continue;
            };
            let rank = (fitness == Fitness::Ejected, member.priority, fitness);
            if best.is_none_or(|best| rank < best) {
                best = Some(rank);
                candidates.clear();
            }
            if best == Some(rank) {
                candidates.push(member.candidate(index, &self.policy, now));
            }
        }
        candidates
    }

    fn wait(&self, now: Instant, tried: &[Arc<Endpoint>]) -> Wait {
        let mut others =
            self.members.iter().filter(|member| !member.is_draining && !member.is_in(tried)).peekable();
        if others.peek().is_none() {
            return Wait::Exhausted;
        }
        match self.down() {
            Some(reason) => Wait::Down(reason.clone()),
            None if others.any(|member| member.state(now) != EndpointState::Down) => Wait::Busy,
            None => Wait::Exhausted,
        }
    }

    // --- Reports

    /// A handshake with the endpoint was completed.
    pub fn established(&mut self, endpoint: &Arc<Endpoint>, now: Instant) -> Change {
        self.member(endpoint).map_or(Change::Nothing, |member| {
            member.outlier.succeeded(now);
            member.works(now)
        })
    }

    /// A dial of the endpoint failed, or a connection to it ended.
    pub fn failed(&mut self, endpoint: &Arc<Endpoint>, failure: &Failure, now: Instant) -> Change {
        let policy = self.policy.ejection;
        let blame = Blame::of(failure);
        let Some(member) = self.member(endpoint) else { return Change::Nothing };
        let change = member.blamed(blame, failure, now);
        // A server that restarts loses all of its connections at once, which is no reason to leave it out.
        let is_dial = matches!(failure.kind, FailureKind::Connect(_));
        // An endpoint that is down comes back with a probe, not after a time.
        let is_down = matches!(member.state, State::Down(_));
        let counts = is_dial && !is_down && matches!(blame, Blame::Unreachable | Blame::Lost | Blame::Unfit);
        if change != Change::Nothing || !counts || !member.outlier.failed(now, policy) {
            return change;
        }
        self.eject(endpoint, now)
    }

    fn eject(&mut self, endpoint: &Arc<Endpoint>, now: Instant) -> Change {
        let used = || self.members.iter().filter(|member| !member.is_draining);
        // Endpoints that are down are left out as well.
        let left_out = used().filter(|member| member.is_left_out(now)).count();
        if !may_eject(left_out, used().count(), self.policy.ejection) {
            return Change::Nothing;
        }
        let ejection = self.policy.ejection;
        self.member(endpoint)
            .map_or(Change::Nothing, |member| Change::Ejected(member.outlier.eject(now, ejection)))
    }

    // --- Probes

    /// Which endpoint to probe now, or when to ask again. An endpoint that it returns counts as being probed.
    pub fn probe_step(&mut self, now: Instant) -> ProbeStep {
        let policy = &self.policy;
        let due = |member: &Member| member.probe_due(policy, now);
        let next = self.members.iter_mut().filter_map(|member| Some((due(member)?, member)));
        match next.min_by_key(|(due, _)| *due) {
            Some((due, member)) if due <= now => {
                member.probes.begin(now);
                ProbeStep::Probe(Arc::clone(&member.endpoint))
            }
            Some((due, _)) => ProbeStep::At(due),
            None => ProbeStep::Never,
        }
    }

    /// Has the endpoints that are down probed as soon as the pace of probes allows. Returns how many probes end until
    /// each of them has been probed, and whether this is news.
    pub fn want_probe(&mut self) -> (usize, bool) {
        let (mut ends, mut is_news) = (0, false);
        for member in self.members.iter_mut().filter(|member| matches!(member.state, State::Down(_))) {
            is_news |= !member.probes.is_wanted();
            ends += 1 + usize::from(member.probes.runs());
            member.probes.want();
        }
        (ends, is_news)
    }

    /// The probes in progress will not end, because the monitor died.
    pub fn abandon_probes(&mut self) {
        self.members.iter_mut().for_each(|member| member.probes.end());
    }

    /// A probe of the endpoint has ended.
    pub fn probed(&mut self, endpoint: &Arc<Endpoint>, result: Result<(), Failure>, now: Instant) -> Change {
        let checks = self.policy.health;
        self.member(endpoint).map_or(Change::Nothing, |member| member.probed(result, checks, now))
    }

    fn member(&mut self, endpoint: &Arc<Endpoint>) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| Arc::ptr_eq(&member.endpoint, endpoint))
    }
}

#[cfg(test)]
mod tests;
