//! The counts of the process, added up over threads and routes.

use std::collections::HashMap;

use super::{observed::RouteCounts, rates::Totals};
use crate::figures::{Cells, HistogramTotals, REPLY};

/// The counts of the process, and those of each listener and route.
#[derive(Debug, Default)]
pub(super) struct ProcessCounts {
    /// The process.
    pub totals: Totals,
    /// The number of sessions since the start.
    pub opened: u64,
    /// By listener and route.
    pub routes: HashMap<(String, String), RouteCounts>,
}

/// The upper bounds of the buckets of reply times, in seconds.
pub(super) fn bounds() -> Vec<f64> {
    let buckets = HistogramTotals::empty(REPLY).buckets;
    buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect()
}

/// Adds the counts up.
pub(super) fn counts(cells: &Cells) -> ProcessCounts {
    let mut counts = ProcessCounts::default();
    let mut replies = HistogramTotals::empty(REPLY);
    for (key, cells) in cells.list().routes {
        let route = counts.routes.entry(key).or_default();
        for cell in cells {
            // Before those that have started: a session that starts and ends meanwhile must not have ended only.
            let gone = cell.gone.get();
            let opened = cell.opened.get();
            let (received, sent) = (cell.tally.received.totals().messages, cell.tally.sent.totals().messages);
            let outcomes = cell.tally.counts();
            route.sessions += opened.saturating_sub(gone);
            route.received += received;
            route.sent += sent;
            route.errored += outcomes.errored;
            counts.opened += opened;
            counts.totals.received += received;
            counts.totals.sent += sent;
            counts.totals.answered += outcomes.answered;
            counts.totals.delivered += outcomes.delivered;
            counts.totals.errored += outcomes.errored;
            counts.totals.dropped += outcomes.dropped;
            replies.add(&cell.replies);
        }
    }
    counts.totals.replies = replies.buckets.iter().map(|(_, count)| *count).collect();
    counts
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_cells_of_all_threads_and_routes_count() {
        let cells = Cells::default();
        let count = |route: &str| {
            let cell = cells.route("ws", route);
            cell.opened.add(2);
            cell.gone.add(1);
            cell.tally.received.message(5);
            cell.tally.answered.add(3);
            cell.replies.observe(Duration::from_millis(3));
        };
        count("a");
        std::thread::scope(|threads| _ = threads.spawn(|| count("a")));
        count("b");
        let counts = counts(&cells);
        assert_eq!((counts.opened, counts.totals.received, counts.totals.answered), (6, 3, 9));
        assert_eq!(counts.totals.replies.iter().sum::<u64>(), 3);
        let route = counts.routes[&("ws".to_owned(), "a".to_owned())];
        assert_eq!(route, RouteCounts { sessions: 2, received: 2, ..RouteCounts::default() });
        assert_eq!(bounds().len() + 1, counts.totals.replies.len());
    }
}
