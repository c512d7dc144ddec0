//! One endpoint of a pool: its state, and what reports and probes change about it.

use std::{sync::Arc, time::Instant};

use super::{
    Begin, Change, EndpointState,
    operator::{DrainReason, EndpointOverview, Outages},
    server_id::ServerId,
};
use crate::{
    failure::{ConnectFailure, Failure, FailureKind, FailureLocation},
    policy::{HealthChecks, PoolPolicy},
    settings::{EndpointConfig, UpstreamUrl},
    upstream::{
        Endpoint, Lease,
        balance::{self, Candidate},
        breaker::{Breaker, Load, TrialCheck},
        health::{Outlier, Streak},
        probe::Probes,
        queue::Queue,
    },
};

/// One loss may concern one connection only. After this many without a success, the endpoint is probed, and others are
/// preferred until the probe has succeeded.
pub(super) const LOSSES_MAX: u32 = 2;

/// An endpoint with its state in the pool.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) weight: u32,
    pub(super) priority: u32,
    identity: u64,
    pub(super) server: ServerId,
    pub(super) state: Reachability,
    /// When the outage began that no handshake has ended yet.
    pub(super) outage: Option<Instant>,
    /// When it last came up after an outage.
    up_since: Option<Instant>,
    /// Losses since a connection was established or a probe succeeded.
    pub(super) losses: u32,
    /// Whether it is in the settings.
    pub(super) is_listed: bool,
    /// The number of endpoints that had left the settings when it did; 0 if it never did.
    pub(super) departure: u64,
    /// Whether it is no longer in the settings, or drains.
    pub(super) is_draining: bool,
    /// Whether the settings drain it.
    is_drained_by_settings: bool,
    /// Whether an operator drains it.
    pub(super) is_drained_by_operator: bool,
    /// The latest outages, for operators.
    outages: Outages,
    /// The latest failure, for operators.
    last_failure: Option<(Instant, Arc<Failure>)>,
    streak: Streak,
    pub(super) outlier: Outlier,
    breaker: Breaker,
    pub(super) probes: Probes,
    pub(super) credit: f64,
}

#[derive(Debug)]
pub(super) enum Reachability {
    Up,
    /// Connections were lost for an unknown reason.
    Suspect,
    /// It cannot be reached, for this reason.
    Down(Failure),
}

/// The suitability of an endpoint for a connection, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fitness {
    Up,
    Suspect,
    Ejected,
}

/// When the dial begins for which an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Now.
    Now,
    /// Later: the place is reserved.
    Later,
}

/// The meaning of a failure for the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// Nothing.
    None,
    /// It answered, and refused this client.
    Answered,
    /// It answered with a server error.
    Unfit,
    /// The connection was lost, or the handshake had no answer. Other connections may work.
    Lost,
    /// It cannot be reached by anyone.
    Unreachable,
}

impl Blame {
    pub(super) fn of(failure: &Failure) -> Self {
        match failure.kind {
            _ if failure.location != FailureLocation::Upstream => Self::None,
            FailureKind::Closed(_) => Self::None,
            FailureKind::Connect(cause) => match cause {
                ConnectFailure::Refused
                | ConnectFailure::Lookup
                | ConnectFailure::Socket
                | ConnectFailure::Tls => Self::Unreachable,
                ConnectFailure::Reset | ConnectFailure::Timeout => Self::Lost,
                ConnectFailure::Status(500..) | ConnectFailure::Handshake => Self::Unfit,
                ConnectFailure::Status(_) => Self::Answered,
                ConnectFailure::Local => Self::None,
            },
            _ => Self::Lost,
        }
    }
}

/// A number for an endpoint that is the same in every process.
fn identity(url: &UpstreamUrl) -> u64 {
    match url.address() {
        Some(address) => balance::hash(format!("{} {address}", url.text).as_bytes()),
        None => balance::hash(url.text.as_bytes()),
    }
}

// === impl Member ===

impl Member {
    pub(super) fn new(config: &EndpointConfig, number: usize, room: &Arc<Queue>) -> Self {
        let EndpointConfig { url, weight, priority, drain } = config;
        Self {
            identity: identity(url),
            server: ServerId::of(url),
            endpoint: Endpoint::in_pool(url.clone(), number, Arc::clone(room)),
            weight: *weight,
            priority: *priority,
            state: Reachability::Up,
            outage: None,
            up_since: None,
            losses: 0,
            is_listed: true,
            departure: 0,
            is_draining: *drain,
            is_drained_by_settings: *drain,
            is_drained_by_operator: false,
            outages: Outages::default(),
            last_failure: None,
            streak: Streak::default(),
            outlier: Outlier::default(),
            breaker: Breaker::default(),
            probes: Probes::default(),
            credit: 0.0,
        }
    }

    /// Takes over what the settings say about it; `None` if they no longer list it. `departures` counts the endpoints
    /// that have left the settings.
    pub(super) fn configure(&mut self, config: Option<&EndpointConfig>, departures: &mut u64) {
        if self.is_listed && config.is_none() {
            *departures += 1;
            self.departure = *departures;
        }
        self.is_listed = config.is_some();
        if let Some(config) = config {
            (self.weight, self.priority) = (config.weight, config.priority);
            self.is_drained_by_settings = config.drain;
        }
        self.update_draining();
    }

    /// An operator drains it, or ends its drain.
    pub(super) fn set_drained(&mut self, is_drained: bool) {
        self.is_drained_by_operator = is_drained;
        self.update_draining();
    }

    fn update_draining(&mut self) {
        self.is_draining = !self.is_listed || self.is_drained_by_settings || self.is_drained_by_operator;
    }

    /// Why it is being emptied; `None` if it is not.
    pub(super) fn drain_reason(&self) -> Option<DrainReason> {
        match self {
            Self { is_listed: false, .. } => Some(DrainReason::Unlisted),
            Self { is_drained_by_settings: true, .. } => Some(DrainReason::Settings),
            Self { is_drained_by_operator: true, .. } => Some(DrainReason::Operator),
            _ => None,
        }
    }

    /// The endpoint as operators see it.
    pub(super) fn overview(&self, now: Instant) -> EndpointOverview {
        EndpointOverview {
            endpoint: Arc::clone(&self.endpoint),
            state: self.state(now),
            weight: self.weight,
            priority: self.priority,
            draining: self.drain_reason(),
            is_listed: self.is_listed,
            is_drained_by_operator: self.is_drained_by_operator,
            outage: self.outage.map(|since| now.saturating_duration_since(since)),
            up: self
                .up_since
                .filter(|_| self.outage.is_none())
                .map(|since| now.saturating_duration_since(since)),
            last_failure: self
                .last_failure
                .as_ref()
                .map(|(at, failure)| (now.saturating_duration_since(*at), Arc::clone(failure))),
            outages: self.outages.clone(),
            at: now,
        }
    }

    /// Whether it is in the settings, or has sessions. Another one is kept because an operator drains it.
    pub(super) fn is_present(&self) -> bool {
        self.is_listed || self.endpoint.sessions() > 0
    }

    pub(super) fn is_in(&self, endpoints: &[Arc<Endpoint>]) -> bool {
        endpoints.iter().any(|endpoint| Arc::ptr_eq(endpoint, &self.endpoint))
    }

    pub(super) fn state(&self, now: Instant) -> EndpointState {
        match self.state {
            _ if self.is_draining => EndpointState::Draining,
            Reachability::Down(_) => EndpointState::Down,
            _ if self.outlier.is_ejected(now) => EndpointState::Ejected,
            Reachability::Suspect => EndpointState::Suspect,
            Reachability::Up if self.breaker.is_half_open() => EndpointState::Trial,
            Reachability::Up => EndpointState::Up,
        }
    }

    pub(super) fn is_left_out(&self, now: Instant) -> bool {
        matches!(self.state(now), EndpointState::Down | EndpointState::Ejected)
    }

    /// Its suitability; `None` if it takes no connection now.
    pub(super) fn fitness(&self, policy: &PoolPolicy, purpose: Use, now: Instant) -> Option<Fitness> {
        let fitness = match self.state(now) {
            EndpointState::Up | EndpointState::Trial => Fitness::Up,
            EndpointState::Suspect if self.losses < LOSSES_MAX => Fitness::Up,
            EndpointState::Suspect => Fitness::Suspect,
            EndpointState::Ejected => Fitness::Ejected,
            EndpointState::Down | EndpointState::Draining => return None,
        };
        let load = match purpose {
            Use::Now => Load::for_dial(&self.endpoint),
            Use::Later => Load::for_later(&self.endpoint),
        };
        self.breaker.admits(&policy.breaker, load, now).then_some(fitness)
    }

    /// Whether its state permits connections.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        !matches!(self.state(now), EndpointState::Down | EndpointState::Draining)
    }

    pub(super) fn candidate(&self, index: usize, policy: &PoolPolicy, now: Instant) -> Candidate {
        let start = policy.slow_start.as_secs_f64();
        let up_for = self.up_since.map(|since| now.saturating_duration_since(since).as_secs_f64());
        let share = up_for.map_or(1.0, |up_for| balance::share(up_for, start));
        Candidate {
            index,
            identity: self.identity,
            weight: f64::from(self.weight) * share,
            is_slow: share < 1.0,
            sessions: self.endpoint.sessions(),
            credit: self.credit,
        }
    }

    /// A place for a dial that begins now or later.
    pub(super) fn lease(&mut self, policy: &PoolPolicy, purpose: Use, now: Instant) -> Lease {
        match purpose {
            Use::Now => {
                self.breaker.dialed(&policy.breaker, now);
                self.endpoint.lease()
            }
            Use::Later => self.endpoint.reserve(),
        }
    }

    /// The dial for which this place was reserved begins now, if the endpoint still takes it.
    pub(super) fn begin(&mut self, lease: &mut Lease, policy: &PoolPolicy, now: Instant) -> Begin {
        if !self.is_usable(now) {
            return Begin::Gone;
        }
        // The session is counted already.
        let Load { sessions, dials } = Load::for_dial(&self.endpoint);
        let load = Load { sessions: sessions.saturating_sub(1), dials };
        if !self.breaker.admits(&policy.breaker, load, now) {
            return Begin::Wait;
        }
        self.breaker.dialed(&policy.breaker, now);
        lease.begin();
        Begin::Now
    }

    /// The time at which its rate admits another dial, and the number of dials that it admits now; `None` without a
    /// rate.
    pub(super) fn rate_room(&self, policy: &PoolPolicy, now: Instant) -> Option<(Instant, usize)> {
        let room = self.breaker.rate_room(&policy.breaker, now).filter(|_| self.is_usable(now))?;
        Some((self.breaker.rate_admits(&policy.breaker).unwrap_or(now), room))
    }

    /// When its trial is checked; `None` outside a trial.
    pub(super) fn trial_check(&self) -> Option<Instant> {
        self.breaker.trial_check()
    }

    /// Checks its trial.
    pub(super) fn check_trial(&mut self, now: Instant) -> Change {
        match self.breaker.check_trial(self.endpoint.dials(), now) {
            TrialCheck::Nothing => Change::Nothing,
            TrialCheck::Open => Change::Open,
            TrialCheck::Over(answers) => {
                self.up_since = Some(now);
                self.outages.end(answers);
                self.outage
                    .take()
                    .map_or(Change::Nothing, |since| Change::Up(answers.saturating_duration_since(since)))
            }
        }
    }

    /// A handshake has shown that it works.
    pub(super) fn works(&mut self, now: Instant) -> Change {
        self.state = Reachability::Up;
        self.losses = 0;
        self.breaker.close();
        let Some(since) = self.outage.take() else { return Change::Nothing };
        self.up_since = Some(now);
        self.outages.end(now);
        Change::Up(now.saturating_duration_since(since))
    }

    pub(super) fn blamed(&mut self, blame: Blame, failure: &Failure, now: Instant) -> Change {
        if !matches!(blame, Blame::None | Blame::Answered) {
            self.last_failure = Some((now, Arc::new(failure.clone())));
        }
        match blame {
            Blame::None => Change::Nothing,
            Blame::Answered => {
                self.outlier.succeeded(now);
                self.works(now)
            }
            Blame::Unreachable => self.down(failure.clone(), now),
            // A server that starts may answer with 503. It is not up before it accepts or refuses a client.
            Blame::Unfit | Blame::Lost if self.breaker.is_half_open() => self.down(failure.clone(), now),
            // The answer to a dial that began before the endpoint went down does not end the outage.
            Blame::Unfit if matches!(self.state, Reachability::Down(_)) => Change::Nothing,
            Blame::Unfit => self.works(now),
            Blame::Lost => {
                self.losses = self.losses.saturating_add(1);
                if matches!(self.state, Reachability::Up) {
                    self.state = Reachability::Suspect;
                }
                Change::Nothing
            }
        }
    }

    fn down(&mut self, reason: Failure, now: Instant) -> Change {
        if !matches!(self.state, Reachability::Down(_)) {
            self.streak.clear();
        }
        // The end of a trial continues the outage.
        let is_new = self.outage.is_none();
        if is_new {
            self.outages.begin(now, reason.clone());
        }
        // The sessions that tried it wait again.
        self.endpoint.tried_by(0);
        self.state = Reachability::Down(reason);
        self.breaker.close();
        if !is_new {
            return Change::Nothing;
        }
        self.outage = Some(now);
        Change::Down
    }

    /// Whether it is down and probed.
    pub(super) fn is_probed_while_down(&self) -> bool {
        !self.is_draining && matches!(self.state, Reachability::Down(_))
    }

    /// When it is probed next; `None`: not before something changes.
    pub(super) fn probe_due(&self, policy: &PoolPolicy, now: Instant) -> Option<Instant> {
        if self.is_draining {
            return None;
        }
        match self.state {
            Reachability::Down(_) => self.probes.due(self.outage.unwrap_or(now), now, policy.probe),
            Reachability::Suspect if self.losses >= LOSSES_MAX => self.probes.due(now, now, policy.probe),
            Reachability::Up | Reachability::Suspect => self.probes.next_check(policy.health.interval?, now),
        }
    }

    /// A probe of it has ended.
    pub(super) fn probed(
        &mut self,
        result: Result<(), Failure>,
        checks: HealthChecks,
        now: Instant,
    ) -> Change {
        self.probes.end();
        if result.as_ref().is_err_and(|failure| failure.location != FailureLocation::Upstream) {
            return Change::Nothing;
        }
        if let Err(failure) = &result {
            self.last_failure = Some((now, Arc::new(failure.clone())));
        }
        let verdict = self.streak.add(result.is_ok(), checks);
        match (result, &self.state) {
            (Ok(()), Reachability::Down(_)) if verdict == Some(true) => {
                (self.state, self.losses) = (Reachability::Up, 0);
                self.breaker.half_open(now);
                Change::Trial
            }
            (Ok(()), Reachability::Suspect) => {
                (self.state, self.losses) = (Reachability::Up, 0);
                Change::Nothing
            }
            (Err(failure), Reachability::Up) if verdict == Some(false) => self.down(failure, now),
            (Err(failure), Reachability::Suspect | Reachability::Down(_)) => self.down(failure, now),
            _ => Change::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_a_name_have_their_own_shares_of_the_hashes() {
        let url = UpstreamUrl::parse("ws://chat.test:8139").unwrap();
        let of = |last: u8| identity(&url.with_address([10, 0, 0, last].into()));
        assert!(of(1) != of(2) && of(1) != identity(&url));
        assert_eq!(of(1), of(1));
    }
}
