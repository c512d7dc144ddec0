//! Moves of sessions between the connections of an upstream: each session that can move has a [`Movable`], and the
//! monitor of the upstream sends each [`Move`] at the time that `moves` returns.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use actix::Message;

use super::{
    Endpoint, Lease, Upstream,
    moves::{Begun, Cause, DrainReport, DrainingEndpoint, MoveOutcome, Moves, Next},
    pool::{Pick, Pool},
    shared::{Shared, lock},
};
use crate::{
    flow::Edge,
    log::{Quoted, Suppressed},
    policy::MovePolicy,
};

/// The time between two checks whether a draining endpoint is empty.
const SOURCES_CHECK: Duration = Duration::from_millis(500);
/// The time between two checks of the shares of the endpoints.
const BALANCE_CHECK: Duration = Duration::from_secs(1);
/// Maximum number of moves that begin before the monitor does something else.
const STEP_MAX: usize = 256;

/// Upstream monitor → supervisor, control plane: move the session to another connection of its upstream.
///
/// The reply is the end of the [`MoveSlot`]. A session gets the next one only after that, so it always fits in the
/// `CONTROL_ROOM` of the mailbox. It crosses threads, because the monitor runs on another thread than the workers.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Move(pub MoveSlot);

/// A move in progress. If it is dropped without [`MoveSlot::moved`], the session has stayed where it was.
pub struct MoveSlot {
    shared: Arc<Shared>,
    begun: Begun,
    outcome: MoveOutcome,
}

/// A session that can move, until this is dropped.
pub struct Movable {
    shared: Arc<Shared>,
    id: u64,
}

/// Makes a session move when the upstream announces the end of its connection. The session's supervisor and the actors
/// that read messages of the upstream share it.
#[derive(Debug, Clone, Default)]
pub struct Announced(Arc<Mutex<Option<Announcing>>>);

/// The connection from which the session can move.
struct Announcing {
    shared: Arc<Shared>,
    id: u64,
}

/// Whether a session has nothing in flight to its upstream. Its connector writes it, the monitor reads it.
#[derive(Debug, Clone)]
pub struct IdleFlag(Arc<AtomicBool>);

/// The address of a session.
#[derive(Debug, Clone)]
pub(super) struct Mover {
    session: Edge<Move>,
    idle: IdleFlag,
}

// === impl Upstream ===

impl Upstream {
    /// Adds a session with a connection to this endpoint. It moves when its turn comes.
    pub fn movable(&self, endpoint: &Arc<Endpoint>, session: Edge<Move>, idle: &IdleFlag) -> Movable {
        let now = Instant::now();
        let age = self.shared.settings().moves.age(rand::random());
        let old_at = age.and_then(|age| now.checked_add(age));
        let mover = Mover { session, idle: idle.clone() };
        let mut moves = self.shared.moves();
        let id = moves.add(endpoint, mover, old_at, now);
        let is_news = moves.is_first(id);
        drop(moves);
        if is_news {
            self.shared.news.notify_one();
        }
        Movable { shared: Arc::clone(&self.shared), id }
    }

    /// Chooses the endpoint to which a session with this key moves; `None` if it must stay. An old connection may be
    /// replaced by one to the same endpoint.
    pub fn pick_for_move(&self, slot: &MoveSlot, key: Option<u64>) -> Option<Lease> {
        let from = &slot.begun.from;
        leased(match slot.begun.cause {
            Cause::Age => self.shared.pick(key, &[]),
            Cause::Drain | Cause::Operator => self.shared.pick(key, std::slice::from_ref(from)),
            // Only this connection may end, so that its endpoint is better than none.
            Cause::Announced => match self.shared.pick(key, std::slice::from_ref(from)) {
                Pick::Endpoint(lease) => Pick::Endpoint(lease),
                Pick::Wait(_) => self.shared.pick(key, &[]),
            },
            Cause::Rebalance => self.shared.pool().pick_below_share(from, Instant::now()),
        })
    }

    /// Reports that an endpoint has closed a connection because it stops or restarts. Others are preferred until a
    /// probe of it succeeds. Returns a place at one of them, for the reconnect of the session with this key; `None` if
    /// no other takes connections.
    pub fn report_leaving(&self, endpoint: &Arc<Endpoint>, key: Option<u64>) -> Option<Lease> {
        let mut pool = self.shared.pool();
        pool.leaving(endpoint);
        let pick = pool.reserve_besides(endpoint, Instant::now(), key, rand::random());
        drop(pool);
        self.shared.news.notify_one();
        leased(pick)
    }
}

fn leased(pick: Pick) -> Option<Lease> {
    match pick {
        Pick::Endpoint(lease) => Some(lease),
        Pick::Wait(_) => None,
    }
}

// === impl Shared ===

impl Shared {
    pub(super) fn moves(&self) -> MutexGuard<'_, Moves<Mover>> {
        lock(&self.moves)
    }

    /// Moves the sessions that are due. Returns when to ask again; `None`: after a change.
    pub(super) fn move_sessions(self: &Arc<Self>) -> Option<Instant> {
        let (now, policy) = (Instant::now(), self.settings().moves);
        let check = self.check_endpoints(&policy, now);
        for _ in 0..STEP_MAX {
            let next = self.moves().next(now, policy.rate, |mover| mover.idle.get());
            match next {
                Next::Move(begun, mover) => {
                    let slot = MoveSlot { shared: Arc::clone(self), begun, outcome: MoveOutcome::Stayed };
                    // A session that is over drops the slot.
                    mover.session.notify(Move(slot));
                }
                Next::At(next) => return Some(check.map_or(next, |check| check.min(next))),
                Next::Never => return check,
            }
        }
        Some(now)
    }

    /// Finds the endpoints whose sessions move. Returns when to look again.
    fn check_endpoints(&self, policy: &MovePolicy, now: Instant) -> Option<Instant> {
        let mut pool = self.pool();
        let mut moves = self.moves();
        let reports = self.find_sources(&mut pool, &mut moves, now);
        if let Some(rebalance) = policy.rebalance.filter(|_| moves.can_rebalance(now))
            && let Some((from, count)) = pool.overloaded(rebalance, now)
        {
            moves.rebalance(&from, count, now);
        }
        let has_sources = moves.has_sources();
        drop((pool, moves));
        reports.iter().for_each(|report| self.log_report(report, now));
        match policy.rebalance {
            _ if has_sources => Some(now + SOURCES_CHECK),
            Some(_) => Some(now + BALANCE_CHECK),
            None => None,
        }
    }

    /// Finds the endpoints that drain.
    pub(super) fn find_sources(
        &self,
        pool: &mut Pool,
        moves: &mut Moves<Mover>,
        now: Instant,
    ) -> Vec<DrainReport> {
        let reports = moves.set_sources(pool.sources(), now);
        if reports.iter().any(|report| matches!(report, DrainReport::Drained(_))) {
            pool.forget_unlisted();
            self.publish(pool);
        }
        reports
    }

    pub(super) fn log_report(&self, report: &DrainReport, now: Instant) {
        let settings = self.settings();
        let upstream = &settings.name;
        match report {
            DrainReport::Draining(endpoint, movable) => log::info!(
                "endpoint draining upstream={upstream} endpoint={} sessions={} movable={movable}",
                Quoted(&endpoint.url().label()),
                endpoint.sessions(),
            ),
            DrainReport::Drained(source) => self.log_drained(source, now),
            DrainReport::Resumed(source) => self.log_in_use(source),
        }
    }

    pub(super) fn log_drained(&self, source: &DrainingEndpoint, now: Instant) {
        log::info!(
            "endpoint drained upstream={} endpoint={} moved={} stayed={} took={}ms",
            self.settings().name,
            Quoted(&source.endpoint.url().label()),
            source.moved,
            source.stayed,
            now.saturating_duration_since(source.since).as_millis(),
        );
    }

    pub(super) fn log_in_use(&self, source: &DrainingEndpoint) {
        log::info!(
            "endpoint in use again upstream={} endpoint={} moved={} sessions={}",
            self.settings().name,
            Quoted(&source.endpoint.url().label()),
            source.moved,
            source.endpoint.sessions(),
        );
    }
}

// === impl MoveSlot ===

impl MoveSlot {
    /// Why the session moves.
    pub fn cause(&self) -> Cause {
        self.begun.cause
    }

    /// The endpoint that the session leaves.
    pub fn from(&self) -> &Arc<Endpoint> {
        &self.begun.from
    }

    /// The session has another connection.
    pub fn moved(mut self) {
        self.outcome = MoveOutcome::Moved;
    }

    /// Counts a log line about a move. Returns what it says about suppressed ones; `None` if it is suppressed.
    pub fn line(&self) -> Option<Suppressed> {
        self.shared.line(log::Level::Info)
    }
}

impl Drop for MoveSlot {
    fn drop(&mut self) {
        self.shared.moves().ended(&self.begun, self.outcome, Instant::now());
        self.shared.news.notify_one();
    }
}

impl std::fmt::Debug for MoveSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("MoveSlot").field(&self.begun).finish()
    }
}

// === impl Announced ===

impl Announced {
    /// Sets the connection that the session has now.
    pub fn set(&self, movable: &Movable) {
        let (shared, id) = (Arc::clone(&movable.shared), movable.id);
        *lock(&self.0) = Some(Announcing { shared, id });
    }

    /// The session stays from now on.
    pub fn clear(&self) {
        *lock(&self.0) = None;
    }

    /// Whether the session can move.
    pub fn is_set(&self) -> bool {
        lock(&self.0).is_some()
    }

    /// Moves the session away from its connection. Endpoints other than its own are preferred until a probe of that one
    /// succeeds. Has no effect on a connection that has ended, or from which the session moves already.
    pub fn leave(&self) {
        let announcing = lock(&self.0);
        let Some(Announcing { shared, id }) = &*announcing else { return };
        let Some(endpoint) = shared.moves().announce(*id, Instant::now()) else { return };
        shared.pool().leaving(&endpoint);
        shared.news.notify_one();
    }
}

impl std::fmt::Debug for Announcing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Announcing").field(&self.id).finish()
    }
}

// === impl Movable ===

impl Drop for Movable {
    fn drop(&mut self) {
        let is_news = self.shared.moves().remove(self.id);
        if is_news {
            self.shared.news.notify_one();
        }
    }
}

// === impl IdleFlag ===

impl IdleFlag {
    /// A session without messages.
    pub fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Records whether nothing is in flight.
    pub fn set(&self, is_quiet: bool) {
        self.0.store(is_quiet, Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Default for IdleFlag {
    fn default() -> Self {
        Self::new()
    }
}
