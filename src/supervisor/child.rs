//! One server of a session, and the state of its connector.
//!
//! No actors, sockets or clocks are used here: time and random numbers are passed in, and `C` is the type of
//! the connector's address. Each method is an input of the state machine, and returns what the supervisor
//! must do.
//!
//! ```text
//! Idle ─► Dialing ─► Up
//!           ▲  └──┬──┘
//!           │     ▼
//!         Paced ◄ Backoff        a server that `$url` names skips Paced
//! ```

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Policy, Verdict, loss::Connection};
use crate::{
    connector::Generation,
    failure::{Failure, FailureKind},
    figures::ServerSnapshot,
    reply,
    settings::{Restart, UpstreamUrl},
    upstream::{Destination, Endpoint},
};

/// A server that the session may connect to.
#[derive(Debug, Clone)]
pub enum Target {
    /// The route's own upstream, at whichever of its endpoints.
    Own {
        /// Where its first connection goes.
        destination: Destination,
        /// What starts a new connector after a loss.
        redial: Redial,
    },
    /// A server that an event names by `$url`. Only this session connects to it.
    Named(UpstreamUrl),
}

/// What starts a connector after the loss of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redial {
    /// A timer, within the rate limit of the upstream. This is for the route's own upstream.
    Automatic,
    /// The next event for the server, once the backoff is over. This is for servers that events name by
    /// `$url`.
    OnDemand,
}

/// The state of a server's connector.
#[derive(Debug)]
enum State<C> {
    /// There is no connector.
    Idle,
    /// There is no connector, and none starts before this time.
    Backoff(Instant),
    /// The backoff is over. A connector starts at this time, which the pacer assigned.
    Paced(Instant),
    /// The connector dials.
    Dialing(C),
    /// The connection is up since this time.
    Up(C, Instant),
}

/// What to do with an event for a server.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted<C> {
    /// Send it to this connector.
    Send(C),
    /// Start a connector with this generation, and send the event to it.
    Dial(Generation),
    /// Make the event fail with this failure.
    Fail(Failure),
}

/// What to do when a timer of a server fires.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Start a connector with this generation.
    Dial(Generation),
    /// Set the timer again, for this duration.
    Wait(Duration),
    /// Do nothing, because the timer is out of date.
    Ignore,
}

/// A server of a session, its connector, and the history of earlier connectors.
#[derive(Debug)]
pub struct Child<C> {
    /// Whether it is the route's own upstream, not a server that an event names.
    is_own: bool,
    /// The destination of the server's connection, or of the last one.
    destination: Destination,
    redial: Redial,
    state: State<C>,
    /// The generation of the server's connector, or of its last connector.
    generation: Generation,
    /// Whether any connection to the server was established.
    was_up: bool,
    policy: Policy,
    /// The failure of the last connection; `None` when there was none, or when a connection was up since.
    down: Option<Box<Failure>>,
}

impl Target {
    /// The URL of its first connection.
    pub fn url(&self) -> &UpstreamUrl {
        match self {
            Self::Own { destination, .. } => &destination.url,
            Self::Named(url) => url,
        }
    }
}

impl<C: Clone> Child<C> {
    /// Creates a server without connections.
    pub fn new(target: Target, restart: Arc<Restart>) -> Self {
        let (is_own, destination, redial) = match target {
            Target::Own { destination, redial } => (true, destination, redial),
            Target::Named(url) => {
                let endpoint = Endpoint::new(url.clone());
                (false, Destination { endpoint, url }, Redial::OnDemand)
            }
        };
        Self {
            is_own,
            destination,
            redial,
            state: State::Idle,
            generation: Generation::default(),
            was_up: false,
            policy: Policy::new(restart),
            down: None,
        }
    }

    /// Restarts as these settings say, from the next loss on.
    pub fn set_restart(&mut self, restart: &Arc<Restart>) {
        self.policy.set_restart(restart);
    }

    // --- Questions

    /// Whether this is the server of `target`.
    pub fn is(&self, target: &Target) -> bool {
        match target {
            Target::Own { .. } => self.is_own,
            Target::Named(url) => !self.is_own && self.destination.url.text == url.text,
        }
    }

    /// Whether this is the route's own upstream.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// The destination of connections to the server.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// What starts a connector after a loss.
    pub fn redial(&self) -> Redial {
        self.redial
    }

    /// The generation of the server's connector, or of its last connector.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The server's connector; `None` if there is none.
    pub fn connector(&self) -> Option<&C> {
        match &self.state {
            State::Dialing(connector) | State::Up(connector, _) => Some(connector),
            State::Idle | State::Backoff(_) | State::Paced(_) => None,
        }
    }

    /// Whether its connection is up.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up(..))
    }

    /// Whether it waits for its next connection.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Backoff(_) | State::Paced(_))
    }

    /// The failure of events while there is no connection.
    pub fn down(&self) -> Failure {
        self.down.as_deref().map_or_else(Failure::not_connected, Failure::while_down)
    }

    /// What operators see of the server.
    pub fn snapshot(&self, now: Instant) -> ServerSnapshot {
        let (state, next) = match &self.state {
            State::Idle => ("idle", None),
            State::Backoff(until) => ("backoff", Some(until)),
            State::Paced(until) => ("paced", Some(until)),
            State::Dialing(_) => ("dialing", None),
            State::Up(..) => ("up", None),
        };
        let server =
            if self.is_own { self.destination.endpoint.url().label() } else { self.destination.url.label() };
        ServerSnapshot {
            server,
            state,
            generation: self.generation.0,
            attempts: self.policy.attempts(),
            next: next.map(|until| until.saturating_duration_since(now)),
            failure: self.down.as_deref().map(reply::reason),
        }
    }

    /// Facts about the connection of the server's connector. `was_up_before` includes this connection.
    pub fn connection(&self) -> Connection {
        Connection {
            is_main: self.redial == Redial::Automatic,
            was_up: matches!(self.state, State::Up(..)),
            was_up_before: self.was_up,
        }
    }

    // --- Inputs

    /// Returns what to do with an event for the server that has no connector. `next` is the generation of a
    /// connector that starts now.
    pub fn wanted(&mut self, now: Instant, next: Generation) -> Wanted<C> {
        match (&self.state, self.redial) {
            // Events for the route's own upstream go to its connector directly. One that comes here was sent
            // before the connector was attached; later events may be at the connector already.
            (_, Redial::Automatic) => Wanted::Fail(self.down()),
            (State::Dialing(connector) | State::Up(connector, _), _) => Wanted::Send(connector.clone()),
            (State::Backoff(until) | State::Paced(until), _) if now < *until => Wanted::Fail(self.down()),
            (State::Idle | State::Backoff(_) | State::Paced(_), _) => Wanted::Dial(self.begin(next)),
        }
    }

    /// Records that a connector with the generation `next` starts now, and returns that generation.
    pub fn begin(&mut self, next: Generation) -> Generation {
        self.generation = next;
        next
    }

    /// Records that the server's connector was started.
    pub fn started(&mut self, connector: C) {
        self.state = State::Dialing(connector);
    }

    /// Records that the connection to `destination` is up, as its connector reports. Returns whether the report
    /// counts: that of a connector that was stopped meanwhile is ignored.
    pub fn up(&mut self, destination: Destination, now: Instant) -> bool {
        let State::Dialing(connector) = &self.state else { return false };
        self.destination = destination;
        self.state = State::Up(connector.clone(), now);
        self.was_up = true;
        self.down = None;
        true
    }

    /// Records that the connection works, because the peer has sent something.
    pub fn proved(&mut self) {
        self.policy.proved();
    }

    /// Records that the connector ended, or that a first dial without connector failed, and that the client
    /// stays. Returns when to connect again; `chance` is a random number in [0, 1).
    pub fn lost(&mut self, failure: &Failure, now: Instant, chance: f64) -> Verdict {
        // A connection on which the replay fails serves nobody, however long that takes.
        if let State::Up(_, since) = self.state
            && failure.kind != FailureKind::Recovery
        {
            self.policy.was_up(now.saturating_duration_since(since));
        }
        self.down = Some(Box::new(failure.clone()));
        let verdict = self.policy.lost(now, chance);
        self.state = State::Backoff(now + verdict.delay);
        verdict
    }

    /// Returns what to do because the server's timer fired. `next` is the generation of a connector that
    /// starts now; `reserve` returns the time at which the pacer allows a reconnect.
    pub fn due(&mut self, now: Instant, next: Generation, reserve: impl FnOnce(Instant) -> Instant) -> Due {
        match self.state {
            State::Backoff(_) => {
                let start = reserve(now);
                if start <= now {
                    return Due::Dial(self.begin(next));
                }
                self.state = State::Paced(start);
                Due::Wait(start.saturating_duration_since(now))
            }
            State::Paced(_) => Due::Dial(self.begin(next)),
            State::Idle | State::Dialing(_) | State::Up(..) => Due::Ignore,
        }
    }

    /// Removes the server's connector and its timer. Returns the connector, if there is one.
    pub fn stop(&mut self) -> Option<C> {
        let connector = self.connector().cloned();
        self.state = State::Idle;
        connector
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{failure::ConnectFailure, settings::fixture};

    const SECOND: Duration = Duration::from_secs(1);
    const NEXT: Generation = Generation(7);

    fn child(redial: Redial) -> Child<&'static str> {
        let url = UpstreamUrl::parse("ws://h:1").unwrap();
        let restart = Restart { min: SECOND, max: 10 * SECOND, ..*fixture::upstream().restart };
        let target = match redial {
            Redial::Automatic => {
                let destination = Destination { endpoint: Endpoint::new(url.clone()), url };
                Target::Own { destination, redial }
            }
            Redial::OnDemand => Target::Named(url),
        };
        Child::new(target, restart.into())
    }

    /// The connection of the child comes up, where it was going.
    fn comes_up(child: &mut Child<&'static str>, now: Instant) -> bool {
        let destination = child.destination().clone();
        child.up(destination, now)
    }

    fn broken() -> Failure {
        Failure::connection(FailureKind::Socket, "reset")
    }

    fn refused() -> Failure {
        Failure::connection(FailureKind::Connect(ConnectFailure::Status(503)), "")
    }

    #[test]
    fn events_for_a_chosen_server_start_a_connector_and_then_go_to_it() {
        let (mut child, now) = (child(Redial::OnDemand), Instant::now());
        assert_eq!(child.wanted(now, NEXT), Wanted::Dial(NEXT));
        child.started("a");
        assert_eq!(child.wanted(now, NEXT), Wanted::Send("a"));
        comes_up(&mut child, now);
        assert_eq!(child.wanted(now, NEXT), Wanted::Send("a"));
    }

    #[test]
    fn a_chosen_server_is_dialed_by_the_first_event_after_its_backoff() {
        let (mut child, now) = (child(Redial::OnDemand), Instant::now());
        child.started("a");
        let refused = refused();
        let verdict = child.lost(&refused, now, 0.0);
        assert_eq!(verdict.delay, SECOND);
        assert_eq!(child.connector(), None);
        assert_eq!(child.wanted(now, NEXT), Wanted::Fail(refused));
        assert_eq!(child.wanted(now + SECOND, NEXT), Wanted::Dial(NEXT));
    }

    #[test]
    fn the_routes_own_upstream_is_dialed_by_its_timer_only() {
        let (mut child, now) = (child(Redial::Automatic), Instant::now());
        child.started("a");
        child.lost(&broken(), now, 0.0);
        let later = now + SECOND;
        assert_eq!(child.wanted(later, NEXT), Wanted::Fail(Failure::not_connected()));
        assert_eq!(child.due(later, NEXT, |now| now), Due::Dial(NEXT));
    }

    #[test]
    fn a_reconnect_waits_for_its_slot_once() {
        let (mut child, now) = (child(Redial::Automatic), Instant::now());
        child.lost(&broken(), now, 0.0);
        assert_eq!(child.due(now + SECOND, NEXT, |now| now + SECOND), Due::Wait(SECOND));
        let again = child.due(now + 2 * SECOND, NEXT, |_| panic!("a second slot is reserved"));
        assert_eq!(again, Due::Dial(NEXT));
    }

    #[test]
    fn a_timer_of_a_connection_that_is_up_or_stopped_is_ignored() {
        let (mut child, now) = (child(Redial::Automatic), Instant::now());
        child.lost(&broken(), now, 0.0);
        child.started("b");
        assert_eq!(child.due(now, NEXT, |now| now), Due::Ignore);
        comes_up(&mut child, now);
        assert_eq!(child.due(now, NEXT, |now| now), Due::Ignore);
        assert_eq!(child.stop(), Some("b"));
        assert_eq!(child.due(now, NEXT, |now| now), Due::Ignore);
        assert_eq!(child.stop(), None);
    }

    #[test]
    fn a_connection_that_comes_up_after_the_stop_is_ignored() {
        let (mut child, now) = (child(Redial::Automatic), Instant::now());
        child.started("a");
        child.stop();
        assert!(!comes_up(&mut child, now));
        assert!(!child.connection().was_up_before);
    }

    #[test]
    fn the_backoff_starts_over_after_a_connection_that_lasted() {
        let (mut child, now) = (child(Redial::Automatic), Instant::now());
        let lost_after = |child: &mut Child<_>, up: Duration| {
            child.started("a");
            comes_up(child, now);
            child.lost(&broken(), now + up, 1.0).attempt
        };
        assert_eq!(lost_after(&mut child, SECOND), 1);
        assert_eq!(lost_after(&mut child, 9 * SECOND), 2);
        assert_eq!(lost_after(&mut child, 10 * SECOND), 1);
        child.proved();
        assert_eq!(lost_after(&mut child, SECOND), 1, "a message of the peer is proof, too");
    }

    #[test]
    fn a_connection_on_which_the_replay_fails_is_not_good() {
        let (mut child, now) = (child(Redial::Automatic), Instant::now());
        let refused = Failure::connection(FailureKind::Recovery, "no answer");
        for attempt in 1..5 {
            child.started("a");
            comes_up(&mut child, now);
            assert_eq!(child.lost(&refused, now + 60 * SECOND, 0.0).attempt, attempt);
        }
    }

    #[test]
    fn what_is_known_of_a_connection_follows_its_state() {
        let (mut child, now) = (child(Redial::Automatic), Instant::now());
        let facts = |child: &Child<_>| {
            let Connection { is_main, was_up, was_up_before } = child.connection();
            (is_main, was_up, was_up_before)
        };
        child.started("a");
        assert_eq!(facts(&child), (true, false, false));
        comes_up(&mut child, now);
        assert_eq!(facts(&child), (true, true, true));
        child.lost(&broken(), now, 0.0);
        child.started("b");
        assert_eq!(facts(&child), (true, false, true));
    }

    #[test]
    fn operators_see_why_the_connection_was_lost() {
        let (mut child, now) = (child(Redial::Automatic), Instant::now());
        child.lost(&broken(), now, 0.0);
        assert_eq!(child.down(), Failure::not_connected(), "for events");
        assert_eq!(child.snapshot(now).failure, Some(reply::reason(&broken())));
    }

    #[test]
    fn the_reason_of_the_last_dial_is_forgotten_once_a_connection_is_up() {
        let (mut child, now) = (child(Redial::Automatic), Instant::now());
        child.lost(&refused(), now, 0.0);
        assert_eq!(child.down(), refused());
        child.started("a");
        comes_up(&mut child, now);
        assert_eq!(child.down(), Failure::not_connected());
    }
}
