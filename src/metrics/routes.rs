//! The metrics of listeners and routes.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{
    families as family,
    in_force::InForce,
    output::{Output, Samples},
};
use crate::figures::{HistogramTotals, REPLY, RouteFigures, Series, Tally, Traffic};

/// The cells of each listener and route.
struct Routes(BTreeMap<(String, String), Vec<Arc<RouteFigures>>>);

/// Writes the metrics of these routes, and of those in force that no session has used.
pub(super) fn write(
    output: &mut Output<'_>,
    in_force: &InForce,
    cells: Box<[Series<(String, String), RouteFigures>]>,
) -> fmt::Result {
    let mut routes: BTreeMap<_, _> = cells.into_iter().collect();
    // They begin at zero, so that the first increase of a counter is seen.
    in_force.routes.iter().for_each(|key| _ = routes.entry(key.clone()).or_default());
    let routes = Routes(routes);
    // Before those that have started: a session that starts and ends meanwhile must not have ended only.
    let gone = routes.sums(|route| route.gone.get());
    let opened = routes.sums(|route| route.opened.get());
    let active = opened.iter().zip(&gone);
    let active = active.map(|((labels, opened), (_, gone))| (*labels, opened.saturating_sub(*gone) as f64));
    output.gauges(&family::SESSIONS_ACTIVE, &active.collect::<Vec<_>>())?;
    output.counters(&family::SESSIONS, &opened)?;
    let messages = |of: fn(&Tally) -> &Traffic| routes.tallies(|tally| of(tally).totals().messages);
    let messages = [("received", messages(|tally| &tally.received)), ("sent", messages(|tally| &tally.sent))];
    output.counters(&family::MESSAGES, &labelled(messages))?;
    let bytes = |of: fn(&Tally) -> &Traffic| routes.tallies(|tally| of(tally).totals().bytes);
    let bytes = [("received", bytes(|tally| &tally.received)), ("sent", bytes(|tally| &tally.sent))];
    output.counters(&family::MESSAGE_BYTES, &labelled(bytes))?;
    write_events(output, &routes)?;
    let replies = routes.0.iter().map(|((listener, route), cells)| {
        let mut totals = HistogramTotals::empty(REPLY);
        cells.iter().for_each(|cell| totals.add(&cell.replies));
        ([listener.as_str(), route.as_str()], totals)
    });
    output.histograms(&family::REPLY, &replies.collect::<Vec<_>>())
}

fn write_events(output: &mut Output<'_>, routes: &Routes) -> fmt::Result {
    // Before the events: one that is accepted and settled meanwhile must not have an outcome only.
    let outcomes = [
        ("answered", routes.tallies(|tally| tally.answered.get())),
        ("delivered", routes.tallies(|tally| tally.delivered.get())),
        ("errored", routes.tallies(|tally| tally.errored.get())),
        ("dropped", routes.tallies(|tally| tally.dropped.get())),
    ];
    output.counters(&family::EVENTS, &routes.tallies(|tally| tally.accepted.get()))?;
    output.counters(&family::OUTCOMES, &labelled(outcomes))?;
    output.counters(&family::PUSHES, &routes.tallies(|tally| tally.pushed.get()))?;
    output.counters(&family::DISCARDED, &routes.tallies(|tally| tally.discarded.get()))?;
    output.counters(&family::GAPS, &routes.tallies(|tally| tally.gaps.get()))
}

impl Routes {
    /// A number of each route, of all threads together.
    fn sums(&self, number: impl Fn(&RouteFigures) -> u64) -> Samples<'_, 2> {
        let sum = |cells: &[Arc<RouteFigures>]| cells.iter().map(|cell| number(cell)).sum();
        let samples = self.0.iter();
        samples.map(|((listener, route), cells)| ([listener.as_str(), route.as_str()], sum(cells))).collect()
    }

    fn tallies(&self, number: impl Fn(&Tally) -> u64) -> Samples<'_, 2> {
        self.sums(|route| number(&route.tally))
    }
}

/// Adds the value of another label to each group of samples.
pub(super) fn labelled<'a, const N: usize>(groups: [(&'a str, Samples<'a, 2>); N]) -> Samples<'a, 3> {
    let each = groups.into_iter().flat_map(|(value, samples)| {
        samples.into_iter().map(move |([first, second], number)| ([first, second, value], number))
    });
    each.collect()
}
