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
mod moving;
mod operator;
mod server_id;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use self::member::{Blame, Fitness, LOSSES_MAX, Member, Reachability, Use};
pub use self::operator::{DrainReason, EndpointOverview, HeldDrains, OrderError, OutageOverview, Undrained};
use super::{
    Endpoint, Lease,
    balance::{self, Candidate, Chance},
    health::may_eject,
    queue::Queue,
};
use crate::{
    failure::{Failure, FailureKind},
    policy::PoolPolicy,
    settings::{EndpointConfig, UpstreamUrl},
};

/// The endpoints of an upstream.
#[derive(Debug)]
pub struct Pool {
    policy: PoolPolicy,
    /// The endpoints, ordered by number.
    members: Vec<Member>,
    /// The last number that an endpoint has got.
    last_number: usize,
    /// How many endpoints have left the settings.
    departures: u64,
    /// The sessions that wait for room at any endpoint.
    room: Arc<Queue>,
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

impl EndpointState {
    /// The name of the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
            Self::Trial => "trial",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
        }
    }
}

/// Where a connection goes.
#[derive(Debug)]
pub enum Pick {
    /// To the endpoint of this lease.
    Endpoint(Lease),
    /// No endpoint takes a connection now.
    Wait(Wait),
}

/// Whether the dial begins for which a place was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// It begins: the lease counts as a dial in progress.
    Now,
    /// The limits of the endpoint are reached by other dials.
    Wait,
    /// The endpoint no longer takes connections.
    Gone,
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

/// The change that a report has caused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// The endpoint has become unreachable: an outage has begun.
    Down,
    /// The endpoint answers probes again: a few dials may try it.
    Trial,
    /// The dials that try the endpoint hang: any number of others may try it too.
    Open,
    /// The endpoint is up again, after an outage of this length.
    Up(Duration),
    /// The endpoint is left out for this long.
    Ejected(Duration),
}

/// The next step of the monitor.
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
        let mut pool =
            Self { policy, members: Vec::new(), last_number: 0, departures: 0, room: Arc::default() };
        pool.set_endpoints(endpoints);
        pool
    }

    // --- Configuration

    /// Changes the policy; states and counts stay. Returns whether it is another one.
    pub fn set_policy(&mut self, policy: PoolPolicy) -> bool {
        let is_new = self.policy != policy;
        self.policy = policy;
        is_new
    }

    /// Changes the endpoints. Those with a known URL keep their state and their counts. Those that are missing take no
    /// new connections, their sessions move, and they are forgotten when they have none, unless an operator has them
    /// emptied. Returns what becomes of such orders.
    pub fn set_endpoints(&mut self, endpoints: &[EndpointConfig]) -> HeldDrains {
        let (mut drains, had_none) = (HeldDrains::default(), self.drains());
        let mut new: HashMap<_, _> = endpoints.iter().map(|config| (&config.url, config)).collect();
        for member in &mut self.members {
            let was_listed = member.is_listed;
            member.configure(new.remove(member.endpoint.url()), &mut self.departures);
            if member.is_listed && !was_listed && member.is_drained_by_operator {
                drains.listed_again.push(Arc::clone(&member.endpoint));
            }
        }
        for config in endpoints.iter().filter(|config| new.remove(&config.url).is_some()) {
            self.last_number += 1;
            let mut member = Member::new(config, self.last_number, &self.room);
            // It may be one that has left with other credentials. One that is still listed keeps its order for itself.
            let mut left = self.members.iter().filter(|known| !known.is_listed);
            if left.any(|known| known.is_drained_by_operator && known.server.covers(&member.server)) {
                member.set_drained(true);
                drains.listed_again.push(Arc::clone(&member.endpoint));
            }
            self.members.push(member);
        }
        self.forget_unlisted();
        drains.forgotten = self.limit_drains();
        self.forget_unlisted();
        drains.is_last = self.drains() && !had_none;
        drains
    }

    // --- Questions

    /// The sessions that wait for room at any endpoint.
    pub fn room(&self) -> &Arc<Queue> {
        &self.room
    }

    /// All endpoints that are listed or have sessions, and their states.
    pub fn endpoints(&self, now: Instant) -> impl Iterator<Item = (&Arc<Endpoint>, EndpointState)> {
        let present = self.members.iter().filter(|member| member.is_present());
        present.map(move |member| (&member.endpoint, member.state(now)))
    }

    /// The URLs of these endpoints.
    pub fn urls(&self) -> impl Iterator<Item = &UpstreamUrl> {
        self.members.iter().filter(|member| member.is_present()).map(|member| member.endpoint.url())
    }

    /// Why no endpoint can be dialed; `None` if one is not down.
    pub fn down(&self) -> Option<&Failure> {
        let mut latest: Option<(Option<Instant>, &Failure)> = None;
        for member in self.members.iter().filter(|member| !member.is_draining) {
            let Reachability::Down(reason) = &member.state else { return None };
            if latest.is_none_or(|(since, _)| since <= member.outage) {
                latest = Some((member.outage, reason));
            }
        }
        latest.map(|(_, reason)| reason)
    }

    // --- Dials

    /// Chooses an endpoint other than those in `tried` for a dial that begins now. `key` is the value of the upstream's
    /// `hash`; `chance` has random numbers in [0, 1).
    pub fn pick(&mut self, now: Instant, key: Option<u64>, tried: &[Arc<Endpoint>], chance: Chance) -> Pick {
        self.pick_for(Use::Now, now, key, tried, chance)
    }

    /// Chooses an endpoint other than those in `tried` for a dial that begins later, and reserves a place there; see
    /// [`begin`](Self::begin).
    pub fn reserve(
        &mut self,
        now: Instant,
        key: Option<u64>,
        tried: &[Arc<Endpoint>],
        chance: Chance,
    ) -> Pick {
        self.pick_for(Use::Later, now, key, tried, chance)
    }

    fn pick_for(
        &mut self,
        purpose: Use,
        now: Instant,
        key: Option<u64>,
        tried: &[Arc<Endpoint>],
        chance: Chance,
    ) -> Pick {
        let mut candidates = self.candidates(purpose, now, tried);
        let Some(at) = balance::pick(self.policy.balance, &mut candidates, key, chance) else {
            return Pick::Wait(self.wait(now, tried));
        };
        for candidate in candidates {
            self.members[candidate.index].credit = candidate.credit;
        }
        Pick::Endpoint(self.members[at].lease(&self.policy, purpose, now))
    }

    /// Begins a dial for which a place was reserved.
    pub fn begin(&mut self, lease: &mut Lease, now: Instant) -> Begin {
        let Self { policy, members, .. } = self;
        let member = members.iter_mut().find(|member| Arc::ptr_eq(&member.endpoint, lease.endpoint()));
        member.map_or(Begin::Gone, |member| member.begin(lease, policy, now))
    }

    /// Whether the state of another endpoint than those in `tried` permits a dial.
    pub fn has_another(&self, tried: &[Arc<Endpoint>], now: Instant) -> bool {
        self.members.iter().any(|member| !member.is_in(tried) && member.is_usable(now))
    }

    /// The time at which the rates of the endpoints admit another dial, and the number of dials that they admit now;
    /// `None` without a rate.
    pub fn rate_room(&self, now: Instant) -> Option<(Instant, usize)> {
        let rooms = self.members.iter().filter_map(|member| member.rate_room(&self.policy, now));
        rooms.reduce(|(at, room), (other, more)| (at.min(other), room + more))
    }

    /// Chooses an endpoint even if all are down, for an upstream that nobody probes.
    pub fn pick_any(&mut self, now: Instant, tried: &[Arc<Endpoint>]) -> Pick {
        let mut untried =
            self.members.iter_mut().filter(|member| !member.is_draining && !member.is_in(tried));
        let (policy, purpose) = (&self.policy, Use::Now);
        untried
            .next()
            .map_or(Pick::Wait(Wait::Exhausted), |member| Pick::Endpoint(member.lease(policy, purpose, now)))
    }

    /// The candidates of the best tier that has any: endpoints that are up before suspects, and suspects before
    /// those that are ejected.
    fn candidates(&self, purpose: Use, now: Instant, tried: &[Arc<Endpoint>]) -> Vec<Candidate> {
        let mut best: Option<(bool, u32, Fitness)> = None;
        let mut candidates = Vec::new();
        for (index, member) in self.members.iter().enumerate() {
            let Some(fitness) = member.fitness(&self.policy, purpose, now).filter(|_| !member.is_in(tried))
            else {
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
        let is_down = matches!(member.state, Reachability::Down(_));
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

    /// The number of sessions that were woken to try endpoints, and whose dials have not ended. They count once.
    pub fn take_tries(&self) -> usize {
        self.members.iter().map(|member| member.endpoint.tried_by(0)).sum()
    }

    // --- Probes

    /// Which endpoint to probe now, or when to ask again. An endpoint that it returns counts as being probed.
    pub fn probe_step(&mut self, now: Instant) -> ProbeStep {
        let policy = &self.policy;
        let trials = self.members.iter().filter_map(Member::trial_check).min();
        let due = |member: &Member| member.probe_due(policy, now);
        let next = self.members.iter_mut().filter_map(|member| Some((due(member)?, member)));
        match next.min_by_key(|(due, _)| *due) {
            Some((due, member)) if due <= now => {
                member.probes.begin(now);
                ProbeStep::Probe(Arc::clone(&member.endpoint))
            }
            next => {
                let next = next.map(|(due, _)| due);
                next.into_iter().chain(trials).min().map_or(ProbeStep::Never, ProbeStep::At)
            }
        }
    }

    /// Ends the trials in which no session dials. Returns what has changed at which endpoint.
    pub fn check_trials(&mut self, now: Instant) -> Vec<(Arc<Endpoint>, Change)> {
        let checked = self.members.iter_mut().map(|member| (member.check_trial(now), member));
        let changed = checked.filter(|(change, _)| *change != Change::Nothing);
        changed.map(|(change, member)| (Arc::clone(&member.endpoint), change)).collect()
    }

    /// Has the endpoints that are down probed as soon as the pace of probes allows.
    pub fn want_probe(&mut self) {
        for member in self.members.iter_mut().filter(|member| member.is_probed_while_down()) {
            member.probes.want();
        }
    }

    /// Whether each endpoint that is down has been probed since then.
    pub fn is_probed_since(&self, then: Instant) -> bool {
        let mut down = self.members.iter().filter(|member| member.is_probed_while_down());
        down.all(|member| member.probes.has_ended_since(then))
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
