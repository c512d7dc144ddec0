//! Orders of operators, and moves as operators see them.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{Cause, Entry, LaneId, Moves, PASS, Wish};
use crate::upstream::Endpoint;

/// The moves of the sessions of one endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The sessions that can move.
    pub movable: usize,
    /// Those of them that will move or are moving.
    pub due: usize,
    /// The sessions that moved since the endpoint began to drain; `None` if it does not.
    pub moved: Option<usize>,
    /// The attempts after which a session stayed, since then.
    pub stayed: Option<usize>,
}

impl<S: Clone> Moves<S> {
    // --- Orders

    /// Sets the rate at which an endpoint drains, until it is empty or used again; `None` for that of the settings.
    pub fn set_drain_rate(&mut self, endpoint: &Arc<Endpoint>, rate: Option<u32>) {
        let earlier = self.drains.remove(&endpoint.id());
        if rate.is_some() {
            self.drains.insert(endpoint.id(), self.lanes.open(rate));
        }
        let lane = self.drain_lane(endpoint);
        for (id, wish) in self.wishes(endpoint, &[Cause::Drain]) {
            self.set_wish(id, Some(Wish { lane, ..wish }));
        }
        earlier.into_iter().for_each(|earlier| self.lanes.close(earlier));
    }

    /// Schedules moves of at most this many sessions of an endpoint, at `rate` a second or at the rate of the settings.
    /// Returns how many will move.
    pub fn order(
        &mut self,
        endpoint: &Arc<Endpoint>,
        count: usize,
        rate: Option<u32>,
        now: Instant,
    ) -> usize {
        let ids = self.idle(endpoint, count);
        if ids.is_empty() {
            return 0;
        }
        let wish = Wish { at: now, cause: Cause::Operator, lane: self.lanes.order(rate) };
        ids.iter().for_each(|id| self.set_wish(*id, Some(wish)));
        ids.len()
    }

    /// Calls off the moves from an endpoint that have one of these causes and have not begun. Returns their number.
    pub fn abort(&mut self, endpoint: &Arc<Endpoint>, causes: &[Cause], now: Instant) -> usize {
        let wanted = self.wishes(endpoint, causes);
        for (id, _) in &wanted {
            let wish = self.entries.get(id).and_then(|entry| entry.own_wish(now));
            self.set_wish(*id, wish);
        }
        wanted.len()
    }

    /// When a session of an endpoint that drains moves.
    pub(super) fn drain_wish(&self, endpoint: &Endpoint, at: Instant) -> Wish {
        Wish { at, cause: Cause::Drain, lane: self.drain_lane(endpoint) }
    }

    fn drain_lane(&self, endpoint: &Endpoint) -> LaneId {
        self.drains.get(&endpoint.id()).copied().unwrap_or(LaneId::Settings)
    }

    /// Forgets the rates of endpoints that no longer drain.
    pub(super) fn forget_drains(&mut self) {
        let Self { drains, sources, lanes, .. } = self;
        drains.retain(|id, lane| {
            let drains = sources.iter().any(|source| source.endpoint.id() == *id);
            if !drains {
                lanes.close(*lane);
            }
            drains
        });
    }

    /// The moves from an endpoint that have one of these causes and have not begun.
    fn wishes(&self, endpoint: &Arc<Endpoint>, causes: &[Cause]) -> Vec<(u64, Wish)> {
        let of_it = self.entries.iter().filter(|(_, entry)| Arc::ptr_eq(&entry.endpoint, endpoint));
        let waiting = of_it.filter(|(_, entry)| !entry.is_moving);
        let wishes = waiting.filter_map(|(id, entry)| Some((*id, entry.wish?)));
        wishes.filter(|(_, wish)| causes.contains(&wish.cause)).collect()
    }

    // --- Questions

    /// The number of sessions of each endpoint, by its id, whose moves an operator has ordered and that have not begun.
    pub fn ordered(&self, now: Instant) -> HashMap<u64, usize> {
        let mut counts = HashMap::new();
        // Most of the time no session is due, and the others need not be looked at. One that is busy is due after a
        // pass.
        let due = self.lanes.due(now + PASS).filter_map(|id| self.entries.get(&id));
        let is_ordered = |entry: &&Entry<S>| entry.wish.is_some_and(|wish| wish.cause == Cause::Operator);
        for entry in due.filter(is_ordered) {
            *counts.entry(entry.endpoint.id()).or_default() += 1;
        }
        counts
    }

    /// How many sessions of each endpoint can move, how many of them are due or move now, and the progress of its
    /// drain, by the id of the endpoint. Each session is looked at once, because sessions that connect wait meanwhile.
    pub fn progress(&self) -> HashMap<u64, Progress> {
        let mut all = HashMap::<u64, Progress>::new();
        for source in &self.sources {
            let progress = all.entry(source.endpoint.id()).or_default();
            (progress.moved, progress.stayed) = (Some(source.moved), Some(source.stayed));
        }
        for entry in self.entries.values() {
            let progress = all.entry(entry.endpoint.id()).or_default();
            progress.movable += 1;
            progress.due += usize::from(entry.is_due());
        }
        all
    }
}
