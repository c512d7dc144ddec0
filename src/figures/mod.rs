//! Figures: numbers that one thread writes and others read, about sessions and about all that happens on a thread.
//!
//! All actors of a session run on one thread, so each figure has one writer. It reads and writes its number with two
//! plain memory accesses, without a lock and without an atomic read-modify-write. Readers on other threads, such as the
//! admin server, see each number as it was a moment ago, and wake no actor. Numbers that are read together may be of
//! slightly different moments.
//!
//! ```text
//! session, supervisor, connector ──► SessionFigures ──► cells of the thread: route, upstream, endpoint
//!                                          ▲                   ▲
//!                            list of sessions            metrics, which add the threads up
//! ```

mod cells;
mod closes;
mod count;
mod errors;
mod histogram;
mod history;
mod session;
mod snapshot;
mod tally;

pub use self::{
    cells::{
        CellList, Cells, EndpointFigures, Known, NAMED, RouteFigures, Series, UpstreamFigures, WorkerFigures,
    },
    closes::{Closes, Side},
    count::{Count, Traffic, TrafficTotals},
    errors::{Errors, Kinds},
    histogram::{Buckets, Histogram, HistogramTotals, OUTAGE, REPLY},
    history::{Change, FailedEvent, FailureCursor, FailureLog, History, NewFailures},
    session::{SessionFigures, SessionPhase, SessionTotals},
    snapshot::{ServerSnapshot, Snapshot},
    tally::{Counts, Tally},
};
