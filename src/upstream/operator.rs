//! What operators see and change of an upstream.

use std::{collections::HashMap, time::Instant};

use super::{
    Upstream,
    moves::Progress,
    pool::{EndpointOverview, OrderError},
};

impl Upstream {
    /// The endpoints and the moves of their sessions.
    pub fn overview(&self) -> Vec<(EndpointOverview, Progress)> {
        let pool = self.shared.pool();
        let endpoints = pool.overview(Instant::now());
        let moves = self.shared.moves();
        let progress =
            endpoints.iter().map(|overview| moves.progress(&overview.endpoint)).collect::<Vec<_>>();
        drop((pool, moves));
        endpoints.into_iter().zip(progress).collect()
    }

    /// The number of sessions of each endpoint, by its id, whose ordered moves have not begun.
    pub fn ordered_moves(&self) -> HashMap<u64, usize> {
        self.shared.moves().ordered()
    }

    /// Has the sessions of an endpoint leave it, at `rate` a second or at the pace of the settings. It takes no more
    /// connections.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub fn drain_endpoint(&self, which: &str, rate: Option<u32>) -> Result<(), OrderError> {
        let mut pool = self.shared.pool();
        let endpoint = pool.named(which)?;
        pool.set_drained(&endpoint, true)?;
        self.shared.moves().set_rate(rate);
        drop(pool);
        self.shared.news.notify_one();
        Ok(())
    }

    /// Uses an endpoint again that an operator has emptied. Sessions that have not moved stay.
    ///
    /// # Errors
    /// When there is no such endpoint, or the settings have it emptied.
    pub fn undrain_endpoint(&self, which: &str) -> Result<(), OrderError> {
        let mut pool = self.shared.pool();
        let endpoint = pool.named(which)?;
        let result = pool.set_drained(&endpoint, false);
        self.shared.moves().set_rate(None);
        drop(pool);
        self.shared.room_changed();
        result
    }

    /// Has at most `count` sessions of an endpoint move to others, at `rate` a second or at the pace of the settings.
    /// Returns how many will.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub fn move_from(&self, which: &str, count: usize, rate: Option<u32>) -> Result<usize, OrderError> {
        let pool = self.shared.pool();
        let endpoint = pool.named(which)?;
        let mut moves = self.shared.moves();
        moves.set_rate(rate);
        let ordered = moves.order(&endpoint, count, Instant::now());
        drop((pool, moves));
        self.shared.news.notify_one();
        Ok(ordered)
    }

    /// Calls off the moves from an endpoint that an operator wanted, and its drain. Returns the number of sessions that
    /// were to move by [`move_from`](Self::move_from) and stay.
    ///
    /// # Errors
    /// When there is no such endpoint, or the settings have it emptied.
    pub fn abort_moves(&self, which: &str) -> Result<usize, OrderError> {
        let endpoint = self.shared.pool().named(which)?;
        let stayed = self.shared.moves().abort(&endpoint, Instant::now());
        self.undrain_endpoint(which)?;
        Ok(stayed)
    }
}
