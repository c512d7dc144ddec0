//! The servers of one session, and the generations of their connectors.
//!
//! No actors, sockets or clocks are used here; see [`child`](super::child).

use std::{mem, sync::Arc, time::Instant};

use super::{
    Verdict,
    child::{Child, Due, Redial, Target, Wanted},
    loss::{Connection, Fate, SessionEnd},
};
use crate::{
    connector::Generation,
    failure::{Failure, FailureKind},
    figures::ServerSnapshot,
    settings::Restart,
    upstream::Destination,
};

/// Maximum number of servers per session that events name by `$url`, because each has a connection. An event
/// that names one more gets an error reply.
const OTHERS_MAX: usize = 8;

/// The servers of a session.
#[derive(Debug)]
pub struct Children<C> {
    /// The route's own upstream, if the supervisor redials it, and servers that events name by `$url`.
    all: Vec<Child<C>>,
    /// The generation of the last connector.
    last: Generation,
    /// Whether the session has stopped its upstream side, so that no further connection is made.
    stopped: bool,
    /// Whether a server that an event named has made room for another one. What was known of its failures is forgotten.
    has_replaced: bool,
    restart: Arc<Restart>,
}

/// What the end of a connection requires, in addition to the failures of its events.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Nothing,
    /// The client stays. Connect again according to the verdict.
    Redial(Redial, Verdict),
    /// The session ends.
    EndSession(SessionEnd),
}

impl<C: Clone> Children<C> {
    /// Creates the list of servers. `own` is the route's own upstream, if the supervisor connects to it even
    /// without events for it. `restart` has the settings for restarting connections.
    pub fn new(own: Option<Target>, restart: Arc<Restart>) -> Self {
        let all = own.into_iter().map(|target| Child::new(target, Arc::clone(&restart))).collect();
        Self { all, last: Generation::default(), stopped: false, has_replaced: false, restart }
    }

    // --- Questions

    /// Whether the session has stopped its upstream side.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The server whose connector, or whose last connector, has this generation; `None` if there is none.
    pub fn get(&self, generation: Generation) -> Option<&Child<C>> {
        self.all.iter().find(|child| child.generation() == generation)
    }

    /// The child that serves `target`; `None` where there is none yet.
    pub fn find(&self, target: &Target) -> Option<&Child<C>> {
        self.all.iter().find(|child| child.is(target))
    }

    /// What operators see of the servers.
    pub fn snapshots(&self, now: Instant) -> Vec<ServerSnapshot> {
        self.all.iter().map(|child| child.snapshot(now)).collect()
    }

    /// The route's own upstream, if it is one of the servers.
    pub fn own(&self) -> Option<&Child<C>> {
        self.all.iter().find(|child| child.is_own())
    }

    /// All servers.
    pub fn all(&self) -> impl Iterator<Item = &Child<C>> {
        self.all.iter()
    }

    /// Whether the server with this generation waits for its next connection.
    pub fn is_waiting(&self, generation: Generation) -> bool {
        self.get(generation).is_some_and(Child::is_waiting)
    }

    /// Whether the connection that begins with this generation keeps the pace of reconnects. The first connections to
    /// the servers that events name do not, as long as there are at most `OTHERS_MAX`.
    pub fn is_paced(&self, generation: Generation) -> bool {
        self.get(generation).is_some_and(|child| child.is_waiting() || (self.has_replaced && !child.is_own()))
    }

    /// Facts about the connection with this generation. They change with [`Children::ended`].
    pub fn connection(&self, generation: Generation) -> Connection {
        let unknown = Connection { is_main: false, was_up: false, was_up_before: false };
        self.get(generation).map_or(unknown, Child::connection)
    }

    fn get_mut(&mut self, generation: Generation) -> Option<&mut Child<C>> {
        self.all.iter_mut().find(|child| child.generation() == generation)
    }

    // --- Inputs

    /// Restarts connections as these settings say, from the next loss on.
    pub fn set_restart(&mut self, restart: &Arc<Restart>) {
        self.restart = Arc::clone(restart);
        self.all.iter_mut().for_each(|child| child.set_restart(restart));
    }

    /// Records that the route's own upstream was dialed before the session started. Returns the generation of
    /// its connector.
    pub fn begin_own(&mut self) -> Generation {
        let next = self.next();
        self.last = next;
        self.get_mut(Generation::default()).map_or(next, |own| own.begin(next))
    }

    /// Records that a connector on another connection replaces the one with this generation, or that waits after it.
    /// Returns its generation; `None` if there is no such server, or the session has stopped its upstream side.
    pub fn replace(&mut self, generation: Generation) -> Option<Generation> {
        let next = self.next();
        let is_stopped = self.stopped;
        let begun = self.get_mut(generation).filter(|_| !is_stopped).map(|child| child.begin(next))?;
        self.last = next;
        Some(begun)
    }

    /// Records that the connector with this generation was started.
    pub fn started(&mut self, generation: Generation, connector: C) {
        if let Some(child) = self.get_mut(generation) {
            child.started(connector);
        }
    }

    /// Records that the connection with this generation, to `destination`, is up. Returns whether the report counts:
    /// that of a connector that was stopped meanwhile is ignored.
    pub fn up(&mut self, generation: Generation, destination: Destination, now: Instant) -> bool {
        self.get_mut(generation).is_some_and(|child| child.up(destination, now))
    }

    /// Records that the connection with this generation works.
    pub fn proved(&mut self, generation: Generation) {
        if let Some(child) = self.get_mut(generation) {
            child.proved();
        }
    }

    /// Records that the connector with this generation ended, and returns what to do. `fate` returns the
    /// consequence for the session; `chance` is a random number in [0, 1).
    pub fn ended(
        &mut self,
        generation: Generation,
        failure: &Failure,
        now: Instant,
        chance: f64,
        fate: impl FnOnce(Connection) -> Fate,
    ) -> Next {
        if self.stopped {
            return Next::Nothing;
        }
        match fate(self.connection(generation)) {
            Fate::Keep => self.lost(generation, failure, now, chance),
            Fate::End(end) => {
                self.get_mut(generation).and_then(Child::stop);
                Next::EndSession(end)
            }
        }
    }

    /// Records that the connection with this generation was lost, or that the first dial has failed, and that
    /// the client stays. Returns what to do.
    pub fn lost(&mut self, generation: Generation, failure: &Failure, now: Instant, chance: f64) -> Next {
        self.get_mut(generation).map_or(Next::Nothing, |child| {
            let verdict = child.lost(failure, now, chance);
            Next::Redial(child.redial(), verdict)
        })
    }

    /// Returns what to do because the timer of the server with this generation fired. `reserve` returns the
    /// time at which the pacer allows a reconnect.
    pub fn due(
        &mut self,
        generation: Generation,
        now: Instant,
        reserve: impl FnOnce(Instant) -> Instant,
    ) -> Due {
        let next = self.next();
        let due = self.get_mut(generation).map_or(Due::Ignore, |child| child.due(now, next, reserve));
        if due == Due::Dial(next) {
            self.last = next;
        }
        due
    }

    /// Returns what to do with an event for `target` that has no connector.
    pub fn wanted(&mut self, target: &Target, now: Instant) -> Wanted<C> {
        if self.stopped {
            return Wanted::Fail(Failure::draining());
        }
        let at = match self.all.iter().position(|child| child.is(target)) {
            Some(at) => at,
            None => match self.add(target.clone()) {
                Ok(at) => at,
                Err(failure) => return Wanted::Fail(failure),
            },
        };
        let next = self.next();
        let wanted = self.all[at].wanted(now, next);
        if matches!(wanted, Wanted::Dial(_)) {
            self.last = next;
        }
        wanted
    }

    /// Records that the session stops its upstream side. Returns the connectors to close; `None` when it was
    /// stopped before.
    pub fn stop(&mut self) -> Option<Vec<C>> {
        if mem::replace(&mut self.stopped, true) {
            return None;
        }
        Some(self.all.iter_mut().filter_map(Child::stop).collect())
    }

    fn next(&self) -> Generation {
        Generation(self.last.0 + 1)
    }

    /// Adds a server that an event names, and removes a server without connector if there are too many.
    /// Returns the index of the new server.
    fn add(&mut self, target: Target) -> Result<usize, Failure> {
        let is_other = |child: &&Child<C>| child.redial() == Redial::OnDemand;
        if self.all.iter().filter(is_other).count() >= OTHERS_MAX {
            let idle = self.all.iter().position(|child| is_other(&child) && child.connector().is_none());
            let full = || {
                let detail = format!("more than {OTHERS_MAX} servers in one session");
                Failure::connection(FailureKind::NotAllowed, detail)
            };
            self.all.swap_remove(idle.ok_or_else(full)?);
            self.has_replaced = true;
        }
        self.all.push(Child::new(target, Arc::clone(&self.restart)));
        Ok(self.all.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        failure::ConnectFailure,
        settings::{UpstreamUrl, fixture},
        upstream::Endpoint,
        wire::CloseFrame,
    };

    /// The connection of this generation comes up, where it was going.
    fn comes_up(children: &mut Children<String>, generation: Generation, now: Instant) -> bool {
        let server = children.get(generation).unwrap().destination().clone();
        children.up(generation, server, now)
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn destination(url: &str) -> Destination {
        let url = UpstreamUrl::parse(url).unwrap();
        Destination { endpoint: Endpoint::new(url.clone()), url }
    }

    fn named(url: &str) -> Target {
        Target::Named(UpstreamUrl::parse(url).unwrap())
    }

    fn own() -> Target {
        Target::Own { destination: destination("ws://own:1"), redial: Redial::Automatic }
    }

    fn other(number: usize) -> Target {
        named(&format!("ws://other{number}:1"))
    }

    fn children() -> Children<String> {
        let restart = Restart { min: SECOND, max: 10 * SECOND, ..*fixture::upstream().restart };
        Children::new(Some(own()), restart.into())
    }

    /// Starts a connector for an event, if one is due.
    fn start(children: &mut Children<String>, target: &Target, now: Instant) -> Wanted<String> {
        let wanted = children.wanted(target, now);
        if let Wanted::Dial(generation) = wanted {
            children.started(generation, generation.to_string());
        }
        wanted
    }

    #[test]
    fn each_connector_has_a_generation_of_its_own() {
        let (mut children, now) = (children(), Instant::now());
        assert_eq!(children.begin_own(), Generation(1));
        children.started(Generation(1), "1".to_owned());
        assert_eq!(start(&mut children, &other(0), now), Wanted::Dial(Generation(2)));
        assert_eq!(start(&mut children, &other(1), now), Wanted::Dial(Generation(3)));
        assert_eq!(start(&mut children, &other(0), now), Wanted::Send("2".to_owned()));
        children.lost(Generation(1), &Failure::not_connected(), now, 0.0);
        let due = children.due(Generation(1), now + SECOND, |now| now);
        assert_eq!(due, Due::Dial(Generation(4)));
        assert!(children.get(Generation(1)).is_none(), "reports of the old connector are ignored");
    }

    #[test]
    fn the_routes_own_url_named_by_an_event_is_a_server_of_its_own() {
        let (mut children, now) = (children(), Instant::now());
        children.begin_own();
        assert_eq!(children.wanted(&own(), now), Wanted::Fail(Failure::not_connected()));
        assert_eq!(children.wanted(&named("ws://own:1"), now), Wanted::Dial(Generation(2)));
    }

    #[test]
    fn the_routes_own_upstream_stays_the_same_server_at_another_endpoint() {
        let (mut children, now) = (children(), Instant::now());
        let first = children.begin_own();
        children.started(first, "1".to_owned());
        children.up(first, destination("ws://own-too:1"), now);
        let refused = Failure::connection(FailureKind::Connect(ConnectFailure::Status(503)), "");
        children.lost(first, &refused, now, 0.0);
        assert_eq!(children.wanted(&own(), now), Wanted::Fail(refused), "its last failure");
        let url = |target: &Target| children.find(target).map(|child| child.destination().url.text.clone());
        assert_eq!(url(&own()).as_deref(), Some("ws://own-too:1"));
        assert_eq!(url(&named("ws://own-too:1")), None, "no event has named it");
    }

    #[test]
    fn a_server_without_connection_makes_room_for_another_one() {
        let (mut children, now) = (children(), Instant::now());
        children.begin_own();
        for number in 0..OTHERS_MAX {
            assert!(matches!(start(&mut children, &other(number), now), Wanted::Dial(_)));
        }
        let full = start(&mut children, &other(99), now);
        let failure = Failure::connection(FailureKind::NotAllowed, "more than 8 servers in one session");
        assert_eq!(full, Wanted::Fail(failure));
        let third = Generation(4);
        assert_eq!(
            children.lost(third, &Failure::not_connected(), now, 0.0),
            Next::Redial(
                Redial::OnDemand,
                Verdict { delay: SECOND, attempt: 1, gives_up: false, probing: false }
            )
        );
        assert!(matches!(start(&mut children, &other(99), now), Wanted::Dial(_)));
        assert!(children.get(third).is_none(), "the one without connection is gone");
        assert!(children.is_paced(children.last), "its failures are forgotten, so the dial keeps the pace");
        assert!(children.get(Generation(1)).is_some(), "the route's own upstream is not counted");
    }

    #[test]
    fn a_server_that_an_event_names_is_dialed_again_at_the_pace_of_reconnects() {
        let (mut children, now) = (children(), Instant::now());
        let begin = |children: &mut Children<String>, at| {
            let Wanted::Dial(generation) = children.wanted(&other(0), at) else { panic!("no dial") };
            let is_paced = children.is_paced(generation);
            children.started(generation, generation.to_string());
            (generation, is_paced)
        };
        let (first, is_paced) = begin(&mut children, now);
        assert!(!is_paced, "the first connection is not paced, as that of a session is not");
        children.lost(first, &Failure::not_connected(), now, 0.0);
        let (second, is_paced) = begin(&mut children, now + SECOND);
        assert!(is_paced);
        assert!(comes_up(&mut children, second, now + SECOND));
        assert!(!children.is_paced(second), "it is up");
    }

    #[test]
    fn the_fate_of_a_connection_decides_what_follows() {
        let (mut children, now) = (children(), Instant::now());
        let first = children.begin_own();
        children.started(first, "1".to_owned());
        comes_up(&mut children, first, now);
        let close = || SessionEnd::Close(CloseFrame::new(1012, "lost"));
        let next = children.ended(first, &Failure::not_connected(), now, 0.0, |connection| {
            assert!(connection.is_main && connection.was_up);
            Fate::End(close())
        });
        assert_eq!(next, Next::EndSession(close()));
        assert_eq!(children.stop(), Some(Vec::new()), "its connector is not closed again");
    }

    #[test]
    fn a_connector_on_another_connection_replaces_one_that_serves_or_was_lost() {
        let (mut children, now) = (children(), Instant::now());
        let first = children.begin_own();
        children.started(first, "1".to_owned());
        assert!(comes_up(&mut children, first, now));
        assert!(children.own().is_some_and(Child::is_up));
        let second = children.replace(first).unwrap();
        children.started(second, "2".to_owned());
        assert_eq!((second, children.replace(first)), (Generation(2), None), "the first is gone");
        assert!(comes_up(&mut children, second, now));
        children.lost(second, &Failure::not_connected(), now, 0.0);
        let third = children.replace(second).unwrap();
        children.started(third, "3".to_owned());
        assert_eq!(children.due(third, now + SECOND, |_| panic!("no slot is reserved")), Due::Ignore);
        children.stop();
        assert_eq!(children.replace(third), None);
    }

    #[test]
    fn nothing_is_connected_after_the_stop() {
        let (mut children, now) = (children(), Instant::now());
        let first = children.begin_own();
        children.started(first, "1".to_owned());
        start(&mut children, &other(0), now);
        assert_eq!(children.stop(), Some(vec!["1".to_owned(), "2".to_owned()]));
        assert_eq!(children.stop(), None);
        assert!(!comes_up(&mut children, first, now), "a late report of success is ignored");
        let next = children.ended(first, &Failure::draining(), now, 0.0, |_| panic!("no fate is asked for"));
        assert_eq!(next, Next::Nothing);
        assert_eq!(children.due(first, now + SECOND, |_| panic!("no slot is reserved")), Due::Ignore);
        assert_eq!(children.wanted(&other(0), now), Wanted::Fail(Failure::draining()));
    }
}
