//! An upstream as operators see it, and their orders.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{
    Endpoint, Upstream,
    discovery::listed,
    moves::{Cause, DrainReport, DrainingEndpoint, Progress},
    pool::{EndpointOverview, HeldDrains, OrderError, Undrained},
    shared::Shared,
};
use crate::log::Quoted;

impl Upstream {
    /// The endpoints and the moves of their sessions. Sessions that connect wait while these are copied, one after the
    /// other.
    pub fn overview(&self) -> Vec<(EndpointOverview, Progress)> {
        let endpoints = self.shared.pool().overview(Instant::now());
        let moves = self.shared.moves().progress();
        let with_progress = |overview: EndpointOverview| {
            let progress = moves.get(&overview.endpoint.id()).copied();
            (overview, progress.unwrap_or_default())
        };
        endpoints.into_iter().map(with_progress).collect()
    }

    /// The number of sessions of each endpoint, by its id, whose ordered moves have not begun.
    pub fn ordered_moves(&self) -> HashMap<u64, usize> {
        self.shared.moves().ordered(Instant::now())
    }

    /// Drains an endpoint: it takes no more connections, and its sessions move at `rate` a second or at the rate of the
    /// settings. Returns how many other endpoints take connections.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub fn drain_endpoint(&self, which: &str, rate: Option<u32>) -> Result<usize, OrderError> {
        let (now, mut pool) = (Instant::now(), self.shared.pool());
        let endpoint = pool.named(which)?;
        let is_new = !pool.is_drained_by_operator(&endpoint);
        pool.drain(&endpoint)?;
        let usable = pool.usable(now);
        let mut moves = self.shared.moves();
        moves.set_drain_rate(&endpoint, rate);
        let reports = self.shared.find_sources(&mut pool, &mut moves, now);
        let is_empty = is_new && !moves.is_source(&endpoint);
        drop((pool, moves));
        reports.iter().for_each(|report| self.shared.log_report(report, now));
        if is_empty {
            self.shared.log_drained(&DrainingEndpoint::new(endpoint, now), now);
        }
        if usable == 0 {
            self.shared.warn_of_no_endpoint();
        }
        self.shared.news.notify_one();
        Ok(usable)
    }

    /// Ends the drain of an endpoint. Sessions that have not moved stay.
    ///
    /// # Errors
    /// When no endpoint matches, when the settings drain it, or when it is unlisted and no operator drains it.
    pub fn undrain_endpoint(&self, which: &str) -> Result<Undrained, OrderError> {
        self.end_drain(which, &[Cause::Drain]).map(|(undrained, _)| undrained)
    }

    /// Calls off an operator's moves from an endpoint, and its drain. Returns the number of sessions that were to move,
    /// and stay.
    ///
    /// # Errors
    /// When no endpoint matches, when the settings drain it, or when it is unlisted and no operator drains it.
    pub fn abort_moves(&self, which: &str) -> Result<usize, OrderError> {
        self.end_drain(which, &[Cause::Drain, Cause::Operator]).map(|(_, stay)| stay)
    }

    /// Moves at most `count` sessions of an endpoint to others, at `rate` a second or at the rate of the settings.
    /// Returns how many will move.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub fn move_from(&self, which: &str, count: usize, rate: Option<u32>) -> Result<usize, OrderError> {
        let pool = self.shared.pool();
        let endpoint = pool.named(which)?;
        let ordered = self.shared.moves().order(&endpoint, count, rate, Instant::now());
        drop(pool);
        self.shared.news.notify_one();
        Ok(ordered)
    }

    /// Ends the drain that an operator has ordered, and calls off the moves that have one of these causes. Returns
    /// their number.
    fn end_drain(&self, which: &str, causes: &[Cause]) -> Result<(Undrained, usize), OrderError> {
        let (now, mut pool) = (Instant::now(), self.shared.pool());
        let endpoint = pool.named(which)?;
        let was_drained = pool.is_drained_by_operator(&endpoint);
        let drained = pool.drained_together(&endpoint);
        let undrained = pool.undrain(&endpoint)?;
        let mut moves = self.shared.moves();
        // The sessions of an unlisted endpoint leave it anyway.
        let causes = if undrained == Undrained::InUse { causes } else { &[Cause::Operator] };
        let stay = drained.iter().map(|endpoint| moves.abort(endpoint, causes, now)).sum();
        let reports = self.shared.find_sources(&mut pool, &mut moves, now);
        drop((pool, moves));
        reports.iter().for_each(|report| self.shared.log_report(report, now));
        let is_it = |source: &DrainingEndpoint| Arc::ptr_eq(&source.endpoint, &endpoint);
        let is_logged =
            reports.iter().any(|report| matches!(report, DrainReport::Resumed(source) if is_it(source)));
        if was_drained && undrained == Undrained::InUse && !is_logged {
            self.shared.log_in_use(&DrainingEndpoint::new(endpoint, now));
        }
        self.shared.room_changed();
        Ok((undrained, stay))
    }
}

impl Shared {
    /// No endpoint takes connections, because an operator or the settings drain the last one.
    pub(super) fn warn_of_no_endpoint(&self) {
        log::warn!("no endpoint takes connections upstream={}", self.settings().name);
    }

    /// Logs the effect of other listed endpoints on the drains of operators.
    pub(super) fn log_drains(&self, HeldDrains { listed_again, forgotten, is_last }: &HeldDrains) {
        let name = &self.settings().name;
        if !listed_again.is_empty() {
            let (labels, count) = (labels(listed_again), listed_again.len());
            let drained = Quoted(&labels);
            log::info!(
                "endpoints listed again still drain upstream={name} drained={drained} endpoints={count}"
            );
        }
        if !forgotten.is_empty() {
            let (labels, count) = (labels(forgotten), forgotten.len());
            let drained = Quoted(&labels);
            log::warn!("drains forgotten upstream={name} drained={drained} endpoints={count}");
        }
        if *is_last {
            self.warn_of_no_endpoint();
        }
    }
}

fn labels(endpoints: &[Arc<Endpoint>]) -> String {
    let labels: Vec<_> = endpoints.iter().map(|endpoint| endpoint.url().label()).collect();
    listed(&labels)
}

#[cfg(test)]
mod tests {
    use actix::{Actor, Context, Handler};

    use super::*;
    use crate::{
        flow::Edge,
        net::Network,
        settings::{EndpointConfig, UpstreamUrl, fixture},
        upstream::{IdleFlag, Lease, Movable, Move},
    };

    /// A session that does not move.
    struct Staying;

    impl Actor for Staying {
        type Context = Context<Self>;
    }

    impl Handler<Move> for Staying {
        type Result = ();

        fn handle(&mut self, _: Move, _: &mut Context<Self>) {}
    }

    /// An upstream with two endpoints. No monitor has sessions move.
    fn upstream() -> Arc<Upstream> {
        let url = |text| EndpointConfig::new(UpstreamUrl::parse(text).unwrap());
        let endpoints = vec![url("ws://a:1"), url("ws://b:1")];
        Upstream::new(
            Arc::new(crate::settings::Upstream { endpoints, ..fixture::upstream() }),
            Network::system(),
        )
    }

    /// This many sessions at the first endpoint.
    fn sessions(upstream: &Upstream, count: usize) -> Vec<(Lease, Movable)> {
        let endpoint = upstream.shared.pool().named("1").unwrap();
        let session = Edge::to(&Staying.start());
        let one = || (endpoint.lease(), upstream.movable(&endpoint, session.clone(), &IdleFlag::new()));
        (0..count).map(|_| one()).collect()
    }

    /// It said that no session stays.
    #[actix::test]
    async fn an_abort_says_how_many_sessions_of_the_drain_stay() {
        let upstream = upstream();
        let sessions = sessions(&upstream, 7);
        assert_eq!(upstream.drain_endpoint("1", Some(1)), Ok(1));
        assert_eq!(upstream.abort_moves("1"), Ok(7));
        assert_eq!(upstream.abort_moves("1"), Ok(0));
        assert_eq!(upstream.move_from("1", 3, None), Ok(3));
        assert_eq!(upstream.undrain_endpoint("1"), Ok(Undrained::InUse));
        assert_eq!(upstream.abort_moves("1"), Ok(3), "an order to move is another one");
        assert_eq!(upstream.drain_endpoint("2", None), Ok(1));
        assert_eq!(upstream.drain_endpoint("1", None), Ok(0), "no endpoint takes connections");
        drop(sessions);
    }

    #[actix::test]
    async fn the_overview_has_the_moves_of_each_endpoint() {
        let upstream = upstream();
        let sessions = sessions(&upstream, 5);
        assert_eq!(upstream.move_from("1", 2, None), Ok(2));
        let moves = |upstream: &Upstream| {
            let all = upstream.overview().into_iter();
            all.map(|(_, Progress { movable, due, moved, .. })| (movable, due, moved)).collect::<Vec<_>>()
        };
        assert_eq!(moves(&upstream), [(5, 2, None), (0, 0, None)]);
        upstream.drain_endpoint("1", None).unwrap();
        assert_eq!(moves(&upstream), [(5, 5, Some(0)), (0, 0, None)]);
        drop(sessions);
    }
}
