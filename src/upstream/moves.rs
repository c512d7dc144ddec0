//! Which sessions of an upstream move to another connection, and when.
//!
//! No clocks are used here: time is passed in. `S` is the address of a session.
//!
//! ```text
//!            endpoint drains, connection is old or its end announced, endpoint overloaded
//!   Serving ─────────────────────────────────────────────────────────► Due ─► Moving ─► gone, moved
//!     ▲                                                                │ ▲      │
//!     └──────────────────── endpoint is used again ────────────────────┘ └──────┘ stayed
//! ```
//!
//! Sessions without messages in flight go first: one that is busy when its turn comes is skipped a few times.

mod lanes;
mod orders;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use self::lanes::{Admitted, LaneId, Lanes, Turn};
pub use self::orders::Progress;
use super::Endpoint;

/// How often a busy session is skipped.
const PASSES_MAX: u32 = 3;
/// Time between two turns of a busy session.
const PASS: Duration = Duration::from_millis(50);
/// Maximum number of sessions that are skipped in one step.
const STEP_MAX: usize = 256;
/// Time until the second attempt to move a session. It doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Time until the next rebalance after a session stayed.
const REBALANCE_PAUSE: Duration = Duration::from_secs(2);

/// Why a session moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its connection is old.
    Age,
    /// Its endpoint drains.
    Drain,
    /// Its endpoint has more than its share of the sessions.
    Rebalance,
    /// The upstream has announced the end of the connection.
    Announced,
    /// An operator has ordered it.
    Operator,
}

/// A move that has begun. Pass it to [`Moves::ended`] when it ends.
#[derive(Debug)]
pub struct Begun {
    id: u64,
    lane: LaneId,
    /// The endpoint of the session.
    pub from: Arc<Endpoint>,
    /// Why it moves.
    pub cause: Cause,
}

/// The result of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveOutcome {
    /// The session has another connection.
    Moved,
    /// The session has kept its connection.
    Stayed,
}

/// What to do next.
#[derive(Debug)]
pub enum Next<S> {
    /// Move this session now, then ask again.
    Move(Begun, S),
    /// Ask again at this time.
    At(Instant),
    /// Ask again after a change.
    Never,
}

/// A change in the drain of an endpoint, for the log.
#[derive(Debug)]
pub enum DrainReport {
    /// It drains now; this many of its sessions can move.
    Draining(Arc<Endpoint>, usize),
    /// Its last session has left.
    Drained(DrainingEndpoint),
    /// It is used again. Sessions that have not moved stay.
    Resumed(DrainingEndpoint),
}

/// An endpoint whose sessions move away.
#[derive(Debug, Clone)]
pub struct DrainingEndpoint {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// When it began to drain.
    pub since: Instant,
    /// Number of sessions that have moved.
    pub moved: usize,
    /// Number of attempts after which a session stayed.
    pub stayed: usize,
    /// Moves in progress.
    running: usize,
}

/// The sessions of an upstream that can move.
#[derive(Debug)]
pub struct Moves<S> {
    entries: HashMap<u64, Entry<S>>,
    last_id: u64,
    /// The sessions that will move, by rate and time.
    lanes: Lanes,
    sources: Vec<DrainingEndpoint>,
    /// The rates of the drains of operators, by the id of the endpoint.
    drains: HashMap<u64, LaneId>,
    /// The sessions that move, now or later, because an endpoint is overloaded.
    rebalancing: usize,
    /// No rebalance begins before this time.
    rebalance_after: Option<Instant>,
}

/// When and why a session moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish {
    at: Instant,
    cause: Cause,
    lane: LaneId,
}

#[derive(Debug)]
struct Entry<S> {
    session: S,
    endpoint: Arc<Endpoint>,
    /// When its connection is too old.
    old_at: Option<Instant>,
    wish: Option<Wish>,
    is_moving: bool,
    /// The upstream has announced the end of its connection.
    is_announced: bool,
    passes: u32,
    attempts: u32,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Age => "age",
            Self::Drain => "drain",
            Self::Rebalance => "rebalance",
            Self::Announced => "announced",
            Self::Operator => "operator",
        })
    }
}

// === impl DrainingEndpoint ===

impl DrainingEndpoint {
    /// An endpoint that begins to drain.
    pub fn new(endpoint: Arc<Endpoint>, since: Instant) -> Self {
        Self { endpoint, since, moved: 0, stayed: 0, running: 0 }
    }
}

// === impl Moves ===

impl<S: Clone> Moves<S> {
    /// Creates the moves of an upstream that has no sessions.
    pub fn new() -> Self {
        Self {
            entries: HashMap::new(),
            last_id: 0,
            lanes: Lanes::default(),
            sources: Vec::new(),
            drains: HashMap::new(),
            rebalancing: 0,
            rebalance_after: None,
        }
    }

    // --- Sessions

    /// Adds a session with a connection to this endpoint, which is too old at `old_at`. Returns its id.
    pub fn add(
        &mut self,
        endpoint: &Arc<Endpoint>,
        session: S,
        old_at: Option<Instant>,
        now: Instant,
    ) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let drain = self.is_source(endpoint).then(|| self.drain_wish(endpoint, now));
        let entry = Entry {
            session,
            endpoint: Arc::clone(endpoint),
            old_at,
            wish: None,
            is_moving: false,
            is_announced: false,
            passes: 0,
            attempts: 0,
        };
        self.entries.insert(id, entry);
        self.set_wish(id, drain.or_else(|| age(old_at)));
        id
    }

    /// Removes a session, because its connection has ended. Returns whether its endpoint drains.
    pub fn remove(&mut self, id: u64) -> bool {
        self.set_wish(id, None);
        let removed = self.entries.remove(&id);
        if self.entries.is_empty() {
            self.entries.shrink_to_fit();
        }
        removed.is_some_and(|entry| self.is_source(&entry.endpoint))
    }

    /// The upstream has announced the end of the session's connection: it moves when its turn comes. Returns its endpoint;
    /// `None` if that is known already, or the connection has ended.
    pub fn announce(&mut self, id: u64, now: Instant) -> Option<Arc<Endpoint>> {
        let entry = self.entries.get_mut(&id)?;
        if std::mem::replace(&mut entry.is_announced, true) {
            return None;
        }
        let endpoint = Arc::clone(&entry.endpoint);
        self.set_wish(id, Some(Wish::of_settings(now, Cause::Announced)));
        Some(endpoint)
    }

    /// Whether the session is the next one to move.
    pub fn is_first(&self, id: u64) -> bool {
        self.lanes.is_first(id)
    }

    /// Whether a move of the session has begun and not ended.
    #[cfg(test)]
    fn is_moving(&self, id: u64) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.is_moving)
    }

    // --- Endpoints

    /// Records which endpoints drain and have sessions. An endpoint that is no longer among them is empty, once its
    /// last move has ended, or is used again: moves of its sessions that have not begun are called off.
    pub fn set_sources<'a>(
        &mut self,
        draining: impl Iterator<Item = &'a Arc<Endpoint>>,
        now: Instant,
    ) -> Vec<DrainReport> {
        let draining: Vec<_> = draining.collect();
        let is_over = |source: &DrainingEndpoint| {
            let is_leaving = source.running > 0 && source.endpoint.sessions() == 0;
            !is_leaving && !draining.iter().any(|endpoint| Arc::ptr_eq(endpoint, &source.endpoint))
        };
        let over: Vec<_> = self.sources.extract_if(.., |source| is_over(source)).collect();
        let mut reports = Vec::new();
        for source in over {
            self.wish_all(&source.endpoint, |entry| entry.own_wish(now));
            let is_empty = source.endpoint.sessions() == 0;
            reports.push(if is_empty { DrainReport::Drained(source) } else { DrainReport::Resumed(source) });
        }
        for endpoint in draining {
            if self.source(endpoint).is_none() {
                let endpoint = Arc::clone(endpoint);
                let wish = self.drain_wish(&endpoint, now);
                let movable = self.wish_all(&endpoint, |_| Some(wish));
                reports.push(DrainReport::Draining(Arc::clone(&endpoint), movable));
                self.sources.push(DrainingEndpoint::new(endpoint, now));
            }
        }
        self.forget_drains();
        reports
    }

    /// Whether an endpoint drains.
    pub fn has_sources(&self) -> bool {
        !self.sources.is_empty()
    }

    /// Whether the endpoint drains.
    pub fn is_source(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.sources.iter().any(|source| Arc::ptr_eq(&source.endpoint, endpoint))
    }

    /// Whether a rebalance may begin: none is in progress, and all moves of the last one succeeded or some time has
    /// passed.
    pub fn can_rebalance(&self, now: Instant) -> bool {
        self.rebalancing == 0 && self.rebalance_after.is_none_or(|after| after <= now)
    }

    /// Schedules moves of this many sessions of an overloaded endpoint.
    pub fn rebalance(&mut self, endpoint: &Arc<Endpoint>, count: usize, now: Instant) {
        for id in self.idle(endpoint, count) {
            self.set_wish(id, Some(Wish::of_settings(now, Cause::Rebalance)));
        }
    }

    /// At most this many sessions of an endpoint that neither move nor are about to.
    fn idle(&self, endpoint: &Arc<Endpoint>, count: usize) -> Vec<u64> {
        let is_idle = |entry: &Entry<S>| Arc::ptr_eq(&entry.endpoint, endpoint) && !entry.is_due();
        let idle = self.entries.iter().filter(|(_, entry)| is_idle(entry));
        idle.map(|(id, _)| *id).take(count).collect()
    }

    fn source(&mut self, endpoint: &Arc<Endpoint>) -> Option<&mut DrainingEndpoint> {
        self.sources.iter_mut().find(|source| Arc::ptr_eq(&source.endpoint, endpoint))
    }

    // --- Moves

    /// What to do next. At most `rate` moves begin in a second, and are in progress; the moves of an operator's order
    /// with a rate have that rate instead.
    pub fn next(&mut self, now: Instant, rate: u32, is_quiet: impl Fn(&S) -> bool) -> Next<S> {
        for _ in 0..STEP_MAX {
            let turn = match self.lanes.next(now, rate) {
                Admitted::Now(turn) => turn,
                Admitted::At(next) => return Next::At(next),
                Admitted::Never => return Next::Never,
            };
            let Turn { id, lane, .. } = turn;
            let Some(entry) = self.entries.get_mut(&id) else { return Next::Never };
            let Some(wish) = entry.wish else { return Next::Never };
            if entry.passes < PASSES_MAX && !is_quiet(&entry.session) {
                entry.passes += 1;
                self.set_wish(id, Some(Wish { at: now + PASS, ..wish }));
                continue;
            }
            entry.is_moving = true;
            let (session, from) = (entry.session.clone(), Arc::clone(&entry.endpoint));
            self.lanes.begin(turn, now, rate);
            if let Some(source) = self.source(&from) {
                source.running += 1;
            }
            return Next::Move(Begun { id, lane, from, cause: wish.cause }, session);
        }
        Next::At(now)
    }

    /// A move has ended. A session that stayed is tried again later, unless its endpoint is used again.
    pub fn ended(&mut self, begun: &Begun, outcome: MoveOutcome, now: Instant) {
        self.lanes.end(begun.lane);
        if begun.cause == Cause::Rebalance {
            self.rebalancing -= 1;
            if outcome == MoveOutcome::Stayed {
                self.rebalance_after = Some(now + REBALANCE_PAUSE);
            }
        }
        if let Some(source) = self.source(&begun.from) {
            // A move that began before the endpoint drained is not among them.
            source.running = source.running.saturating_sub(1);
            match outcome {
                MoveOutcome::Moved => source.moved += 1,
                MoveOutcome::Stayed => source.stayed += 1,
            }
        }
        let drains = self.is_source(&begun.from);
        let drain = self.drain_wish(&begun.from, now);
        let Some(entry) = self.entries.get_mut(&begun.id) else { return };
        (entry.is_moving, entry.passes, entry.wish) = (false, 0, None);
        entry.attempts = entry.attempts.saturating_add(1);
        let later = now + retry(entry.attempts);
        let wish = match outcome {
            MoveOutcome::Moved => None,
            MoveOutcome::Stayed if drains => Some(Wish { at: later, ..drain }),
            MoveOutcome::Stayed => entry.own_wish(later),
        };
        self.set_wish(begun.id, wish);
    }

    /// Sets the time at which the sessions of the endpoint move, except for those that move already. Returns their
    /// number.
    fn wish_all(&mut self, endpoint: &Arc<Endpoint>, wish: impl Fn(&Entry<S>) -> Option<Wish>) -> usize {
        let of_it = self.entries.iter().filter(|(_, entry)| Arc::ptr_eq(&entry.endpoint, endpoint));
        let wishes: Vec<_> = of_it.map(|(id, entry)| (*id, entry.is_moving, wish(entry))).collect();
        for (id, _, wish) in wishes.iter().filter(|(_, is_moving, _)| !is_moving) {
            if let Some(entry) = self.entries.get_mut(id) {
                (entry.passes, entry.attempts) = (0, 0);
            }
            self.set_wish(*id, *wish);
        }
        wishes.len()
    }

    /// Sets the time at which a session moves. A move that has begun stays counted until it ends.
    fn set_wish(&mut self, id: u64, wish: Option<Wish>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.is_moving || entry.wish == wish {
            return;
        }
        let is_rebalance =
            |wish: Option<Wish>| wish.is_some_and(|Wish { cause, .. }| cause == Cause::Rebalance);
        self.rebalancing -= usize::from(is_rebalance(entry.wish));
        self.rebalancing += usize::from(is_rebalance(wish));
        let earlier = std::mem::replace(&mut entry.wish, wish);
        // Before the removal, which ends an order without sessions.
        if let Some(wish) = wish {
            self.lanes.insert(wish.turn(id));
        }
        if let Some(earlier) = earlier {
            self.lanes.remove(earlier.turn(id));
        }
    }
}

impl<S: Clone> Default for Moves<S> {
    fn default() -> Self {
        Self::new()
    }
}

fn age(old_at: Option<Instant>) -> Option<Wish> {
    old_at.map(|old_at| Wish::of_settings(old_at, Cause::Age))
}

impl Wish {
    /// A wish to move at the rate of the settings.
    fn of_settings(at: Instant, cause: Cause) -> Self {
        Self { at, cause, lane: LaneId::Settings }
    }

    fn turn(self, id: u64) -> Turn {
        Turn { lane: self.lane, due: self.at, id }
    }
}

impl<S> Entry<S> {
    /// Whether it moves, or will before its connection is old.
    fn is_due(&self) -> bool {
        self.is_moving || self.wish.is_some_and(|wish| wish.cause != Cause::Age)
    }

    /// The time, `earliest` or later, at which it moves because of its connection.
    fn own_wish(&self, earliest: Instant) -> Option<Wish> {
        if self.is_announced {
            return Some(Wish::of_settings(earliest, Cause::Announced));
        }
        self.old_at.map(|old_at| Wish::of_settings(old_at.max(earliest), Cause::Age))
    }
}

/// The pause after this many attempts.
fn retry(attempts: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
    RETRY_MIN.saturating_mul(doubled).min(RETRY_MAX)
}

#[cfg(test)]
mod tests;
