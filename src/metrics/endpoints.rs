//! The metrics of upstreams and their endpoints.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{
    collector::sums,
    families as family,
    in_force::{InForce, State},
    output::{Output, Samples},
    routes::labelled,
};
use crate::figures::{EndpointFigures, HistogramTotals, OUTAGE, Series, Traffic, UpstreamFigures};

type Upstreams = BTreeMap<String, Vec<Arc<UpstreamFigures>>>;

/// Writes the metrics of endpoints: of those in force with their states, and of those that sessions have used.
pub(super) fn write(
    output: &mut Output<'_>,
    states: &BTreeMap<(String, String), State>,
    endpoints: &[Series<(String, String), EndpointFigures>],
) -> fmt::Result {
    let states = || states.iter().map(|((upstream, endpoint), state)| ([&**upstream, &**endpoint], state));
    let up = states().map(|(labels, state)| (labels, f64::from(state.is_up)));
    output.gauges(&family::UPSTREAM_UP, &up.collect::<Vec<_>>())?;
    let sessions = states().map(|(labels, state)| (labels, state.sessions as f64));
    output.gauges(&family::UPSTREAM_SESSIONS, &sessions.collect::<Vec<_>>())?;

    let each = |number: &dyn Fn(&EndpointFigures) -> u64| -> Samples<'_, 2> {
        let sum = |cells: &[Arc<EndpointFigures>]| cells.iter().map(|cell| number(cell)).sum();
        let samples = endpoints.iter();
        samples.map(|((upstream, endpoint), cells)| ([upstream.as_str(), endpoint], sum(cells))).collect()
    };
    output.counters(&family::UPSTREAM_CONNECTIONS, &each(&|endpoint| endpoint.connections.get()))?;
    let messages = |of: fn(&EndpointFigures) -> &Traffic| each(&|endpoint| of(endpoint).totals().messages);
    let messages = [
        ("received", messages(|endpoint| &endpoint.received)),
        ("sent", messages(|endpoint| &endpoint.sent)),
    ];
    output.counters(&family::UPSTREAM_MESSAGES, &labelled(messages))?;
    let bytes = |of: fn(&EndpointFigures) -> &Traffic| each(&|endpoint| of(endpoint).totals().bytes);
    let bytes =
        [("received", bytes(|endpoint| &endpoint.received)), ("sent", bytes(|endpoint| &endpoint.sent))];
    output.counters(&family::UPSTREAM_MESSAGE_BYTES, &labelled(bytes))
}

/// Writes the metrics of these upstreams, and of those in force that no session has used.
pub(super) fn write_upstreams(
    output: &mut Output<'_>,
    in_force: &InForce,
    upstreams: Box<[Series<String, UpstreamFigures>]>,
) -> fmt::Result {
    let mut upstreams: Upstreams = upstreams.into_iter().collect();
    in_force.upstreams.iter().for_each(|name| _ = upstreams.entry(name.clone()).or_default());
    let cells =
        || upstreams.iter().flat_map(|(name, cells)| cells.iter().map(move |cell| (name.as_str(), cell)));
    let restarts = cells()
        .flat_map(|(name, cell)| cell.restarts.totals().map(move |(kind, count)| ([name, kind], count)));
    output.counters(&family::RESTARTS, &sums(restarts))?;
    let outages = upstreams.iter().map(|(name, cells)| {
        let mut totals = HistogramTotals::empty(OUTAGE);
        cells.iter().for_each(|cell| totals.add(&cell.outages));
        ([name.as_str()], totals)
    });
    output.histograms(&family::OUTAGE, &outages.collect::<Vec<_>>())?;
    let each = |number: fn(&UpstreamFigures) -> u64| -> Samples<'_, 1> {
        let sum = |cells: &[Arc<UpstreamFigures>]| cells.iter().map(|cell| number(cell)).sum();
        upstreams.iter().map(|(name, cells)| ([name.as_str()], sum(cells))).collect()
    };
    output.counters(&family::MOVES, &each(|upstream| upstream.moves.get()))?;
    output.counters(&family::REPLAYS, &each(|upstream| upstream.replays.get()))
}
