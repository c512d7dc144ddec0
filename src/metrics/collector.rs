//! Writes the metrics of one moment.

use std::{
    collections::BTreeMap,
    fmt::{self, Debug, Formatter},
    sync::Arc,
    time::SystemTime,
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{
    endpoints, families as family,
    in_force::InForce,
    output::{Output, Samples},
    process::ProcessFigures,
    routes,
};
use crate::{
    figures::{CellList, WorkerFigures},
    listener::ServerState,
    log, reload,
    tap::MissedLines,
    traces::LossReason,
};

/// Collects the metrics at each scrape. It takes no lock that a message needs.
pub(super) struct Metrics {
    server: Arc<ServerState>,
    reloads: reload::Handle,
    started: SystemTime,
}

// === impl Metrics ===

impl Metrics {
    pub(super) fn new(server: Arc<ServerState>, reloads: reload::Handle) -> Self {
        Self { server, reloads, started: SystemTime::now() }
    }

    fn write(&self, output: &mut Output<'_>) -> fmt::Result {
        let in_force = InForce::new(&self.server.configurations.current());
        self.server.cells.retain(&in_force);
        let states = in_force.series(&self.server.cells);
        let CellList { routes, upstreams, endpoints, workers } = self.server.cells.list();
        routes::write(output, &in_force, routes)?;
        write_workers(output, &workers)?;
        let refused: Samples<'_, 1> =
            self.server.refusals.totals().map(|(kind, count)| ([kind.label()], count)).collect();
        output.counters(&family::REFUSED, &refused)?;
        endpoints::write(output, &states, &endpoints)?;
        endpoints::write_upstreams(output, &in_force, upstreams)?;
        self.write_state(output)?;
        let expiries =
            in_force.certificates.iter().map(|(listener, time)| ([listener.as_str()], *time as f64));
        output.gauges(&family::CERTIFICATE, &expiries.collect::<Vec<_>>())?;
        output.gauges(&family::BUILD, &[([env!("CARGO_PKG_VERSION")], 1.0)])?;
        self.write_process(output)
    }

    fn write_state(&self, output: &mut Output<'_>) -> fmt::Result {
        let (server, lost) = (&self.server, log::lost_lines());
        output.gauge(&family::QUEUE, Some(server.global_budget.used()))?;
        output.gauge(&family::QUEUE_LIMIT, Some(server.global_budget.limit()))?;
        output.counter(&family::LOG_DROPPED, Some(lost.dropped))?;
        output.counter(&family::ACCESS_DROPPED, Some(lost.access_dropped))?;
        output.counter(&family::LOG_SUPPRESSED, Some(lost.suppressed))?;
        let MissedLines { lost, skipped } = server.taps.missed();
        output.counter(&family::TAP_LOST, Some(lost))?;
        output.counter(&family::TAP_SKIPPED, Some(skipped))?;
        let spans = server.tracer.as_ref().map(|tracer| tracer.totals()).unwrap_or_default();
        output.counter(&family::SPANS_EXPORTED, Some(spans.exported))?;
        let lost = LossReason::ALL.iter().zip(spans.lost).map(|(reason, count)| ([reason.label()], count));
        output.counters(&family::SPANS_LOST, &lost.collect::<Vec<_>>())?;
        output.gauge(&family::CONFIGURATION, Some(server.configurations.current().number()))?;
        output.gauge(&family::CONFIGURATIONS, Some(server.configurations.alive()))?;
        let reload::Totals { done, failed } = self.reloads.totals();
        output.counters(&family::RELOADS, &vec![(["done"], done), (["failed"], failed)])?;
        let loads = server.worker_loads.get().map(|loads| &**loads).unwrap_or_default();
        let numbers: Vec<_> = (1..=loads.len()).map(|number| number.to_string()).collect();
        let loads = numbers.iter().zip(loads).map(|(number, load)| ([number.as_str()], load.count() as f64));
        output.gauges(&family::WORKER_CONNECTIONS, &loads.collect::<Vec<_>>())?;
        output.gauge(&family::DRAINING, Some(u64::from(server.registry.status().is_draining())))
    }

    fn write_process(&self, output: &mut Output<'_>) -> fmt::Result {
        let figures = ProcessFigures::read();
        output.counter(&family::CPU, figures.map(|figures| figures.cpu_seconds))?;
        output.gauge(&family::RESIDENT, figures.map(|figures| figures.resident_bytes))?;
        output.gauge(&family::OPEN_FDS, figures.map(|figures| figures.open_fds))?;
        output.gauge(&family::MAX_FDS, figures.and_then(|figures| figures.max_fds))?;
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        output.gauge(&family::STARTED, Some(started.as_secs_f64()))
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.write(&mut Output(encoder))
    }
}

impl Debug for Metrics {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn write_workers(output: &mut Output<'_>, workers: &[Arc<WorkerFigures>]) -> fmt::Result {
    let errors = workers.iter().flat_map(|worker| worker.errors.totals());
    let errors = errors.map(|(stage, kind, count)| ([stage.label(), kind], count));
    output.counters(&family::ERRORS, &sums(errors))?;
    let closes = workers.iter().flat_map(|worker| worker.closes.totals());
    let closes = closes.map(|(side, code, count)| ([side.label(), code], count));
    output.counters(&family::CLOSES, &sums(closes))
}

/// The sums of counts with the same labels, without zeros: most combinations never occur.
pub(super) fn sums<'a, const N: usize>(counts: impl Iterator<Item = ([&'a str; N], u64)>) -> Samples<'a, N> {
    let mut sums = BTreeMap::<_, u64>::new();
    for (labels, count) in counts.filter(|(_, count)| *count > 0) {
        *sums.entry(labels).or_default() += count;
    }
    sums.into_iter().collect()
}
