//! The figures of one session.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    cells::{Cells, EndpointFigures, RouteFigures, UpstreamFigures, WorkerFigures},
    closes::Side,
    count::{Count, TrafficTotals},
    history::{FailureLog, History},
    tally::{Counts, Tally},
};
use crate::failure::Failure;

/// What a session has done so far. The actors of the session write it, all on one thread; see the module
/// [`figures`](super) for readers. What they count here counts for the route as well.
#[derive(Debug)]
pub struct SessionFigures {
    tally: Tally,
    /// When the last data message was read from the client or written to it, in milliseconds since the Unix epoch; 0
    /// before the first one.
    active_ms: Count,
    route: Arc<RouteFigures>,
    worker: Arc<WorkerFigures>,
    cells: Arc<Cells>,
    /// The session's state; see [`SessionPhase`].
    phase: Count,
    /// What has happened to the session.
    pub history: History,
}

/// The state of a session, as others see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionPhase {
    /// It reads from its client.
    #[default]
    Open,
    /// It waits for the outcomes of events.
    Draining,
    /// It waits for the client's close frame.
    Closing,
    /// It has ended.
    Over,
}

/// [`SessionFigures`] at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionTotals {
    /// The client's complete data messages.
    pub received: TrafficTotals,
    /// The complete data messages to the client.
    pub sent: TrafficTotals,
    /// The events by outcome.
    pub counts: Counts,
    /// Messages to the client that settle no event.
    pub pushed: u64,
    /// Messages that were dropped because the client does not read.
    pub discarded: u64,
    /// Lost connections and failed dials after which another attempt follows.
    pub restarts: u64,
    /// How often the client may have missed messages of the upstream.
    pub gaps: u64,
    /// Moves to another connection.
    pub moves: u64,
    /// When the last data message was read from the client or written to it; `None` before the first one.
    pub active: Option<SystemTime>,
}

// === impl SessionFigures ===

impl SessionFigures {
    /// Creates the figures of a session of this route, on the thread on which it will run. Its figures are also counted
    /// in `cells`, and its failed events are added to `log`.
    pub fn new(cells: &Arc<Cells>, (listener, route): (&str, &str), log: Option<Arc<FailureLog>>) -> Self {
        Self {
            tally: Tally::default(),
            active_ms: Count::default(),
            route: cells.route(listener, route),
            worker: cells.worker(),
            cells: Arc::clone(cells),
            phase: Count::default(),
            history: log.map(History::new).unwrap_or_default(),
        }
    }

    /// Counts something for the session and for its route.
    #[inline]
    pub fn count(&self, add: impl Fn(&Tally)) {
        add(&self.tally);
        add(&self.route.tally);
    }

    /// Whether the session's last log line is written. It has the sums, so what its connections do later is not counted.
    pub fn is_over(&self) -> bool {
        self.phase() == SessionPhase::Over
    }

    /// Records the session's state.
    pub fn enter(&self, phase: SessionPhase) {
        self.phase.set(phase as u64);
    }

    /// The session's state.
    pub fn phase(&self) -> SessionPhase {
        match self.phase.get() {
            0 => SessionPhase::Open,
            1 => SessionPhase::Draining,
            2 => SessionPhase::Closing,
            _ => SessionPhase::Over,
        }
    }

    /// Records that data messages were read or written at this time, in nanoseconds since the Unix epoch.
    #[inline]
    pub fn active(&self, now_ns: u64) {
        self.active_ms.set(now_ns / 1_000_000);
    }

    /// Sets the number of messages that were dropped because the client does not read.
    pub fn discarded(&self, total: u64) {
        let more = total.saturating_sub(self.tally.discarded.get());
        if more > 0 {
            self.count(|tally| tally.discarded.add(more));
        }
    }

    /// Counts the start of the session.
    pub fn opened(&self) {
        self.route.opened.add(1);
    }

    /// Counts the end of the session. Call it on the session's thread.
    pub fn gone(&self) {
        self.route.gone.add(1);
    }

    /// Counts the time from a written event to its reply.
    pub fn replied(&self, after: Duration) {
        self.route.replies.observe(after);
    }

    /// Counts a failure that is reported to the client or closes the session.
    pub fn failed(&self, failure: &Failure) {
        self.worker.errors.count(failure.location, failure.kind);
    }

    /// Counts the close of the client's connection with this code.
    pub fn closed(&self, side: Side, code: u16) {
        self.worker.closes.count(side, code);
    }

    /// The figures of an upstream, for the session's thread.
    pub fn upstream(&self, name: &str) -> Arc<UpstreamFigures> {
        self.cells.upstream(name)
    }

    /// The figures of an endpoint of an upstream, for the session's thread. See [`Cells::endpoint`].
    pub fn endpoint(&self, upstream: &str, endpoint: &str) -> Arc<EndpointFigures> {
        self.cells.endpoint(upstream, endpoint)
    }

    /// The events by outcome at this moment.
    pub fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// All figures at this moment.
    pub fn totals(&self) -> SessionTotals {
        let active = Some(self.active_ms.get()).filter(|time| *time > 0);
        let tally = &self.tally;
        SessionTotals {
            received: tally.received.totals(),
            sent: tally.sent.totals(),
            counts: tally.counts(),
            pushed: tally.pushed.get(),
            discarded: tally.discarded.get(),
            restarts: tally.restarts.get(),
            gaps: tally.gaps.get(),
            moves: tally.moves.get(),
            active: active.map(|time| UNIX_EPOCH + Duration::from_millis(time)),
        }
    }
}

impl fmt::Display for SessionPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Draining => "draining",
            Self::Closing => "closing",
            Self::Over => "over",
        })
    }
}

impl Default for SessionFigures {
    /// Figures that no metric has.
    fn default() -> Self {
        Self::new(&Arc::default(), ("", ""), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_have_what_was_counted() {
        let figures = SessionFigures::default();
        assert_eq!(figures.totals(), SessionTotals::default());
        figures.count(|tally| tally.received.message(5));
        figures.count(|tally| tally.received.message(0));
        figures.count(|tally| tally.sent.message(7));
        figures.count(|tally| tally.accepted.add(2));
        figures.count(|tally| tally.answered.add(1));
        figures.count(|tally| tally.pushed.add(1));
        figures.discarded(1);
        figures.discarded(3);
        figures.active(1_767_323_045_123_456_789);
        let totals = figures.totals();
        assert_eq!(totals.received, TrafficTotals { messages: 2, bytes: 5 });
        assert_eq!(totals.sent, TrafficTotals { messages: 1, bytes: 7 });
        assert_eq!(totals.counts, Counts { accepted: 2, answered: 1, ..Counts::default() });
        assert_eq!((totals.counts.settled(), totals.counts.unsettled()), (1, 1));
        assert_eq!((totals.pushed, totals.discarded), (1, 3));
        assert_eq!(totals.active, Some(UNIX_EPOCH + Duration::from_millis(1_767_323_045_123)));
    }

    #[test]
    fn a_route_counts_what_its_sessions_count() {
        let cells = Arc::<Cells>::default();
        let sessions = [(); 2].map(|()| SessionFigures::new(&cells, ("ws", "chat"), None));
        let other = SessionFigures::new(&cells, ("ws", "other"), None);
        for figures in sessions.iter().chain([&other]) {
            figures.count(|tally| tally.received.message(5));
        }
        let route = cells.route("ws", "chat");
        assert_eq!(route.tally.received.totals(), TrafficTotals { messages: 2, bytes: 10 });
        assert_eq!(sessions[0].totals().received, TrafficTotals { messages: 1, bytes: 5 });
    }

    #[test]
    fn another_thread_reads_what_the_writer_counts() {
        let figures = Arc::new(SessionFigures::default());
        let reader = Arc::clone(&figures);
        let reading = std::thread::spawn(move || {
            let mut last = Counts::default();
            while last.accepted < 100_000 {
                let counts = reader.counts();
                assert!(counts.accepted >= last.accepted && counts.answered >= last.answered);
                last = counts;
                std::thread::yield_now();
            }
        });
        for _ in 0..100_000 {
            figures.count(|tally| tally.accepted.add(1));
            figures.count(|tally| tally.answered.add(1));
        }
        reading.join().unwrap();
        assert_eq!(figures.counts().unsettled(), 0);
    }
}
