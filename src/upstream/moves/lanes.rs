//! The rates of moves: that of the settings, and that of each operator's order that names one. Each rate has a lane.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

/// If this thread was busy, moves that were due within this time are made up for.
const LAG_MAX: Duration = Duration::from_millis(20);

/// The rate of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum LaneId {
    /// The rate of the settings.
    Settings,
    /// The rate of this order.
    Order(u64),
}

/// The session whose move is next in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) lane: LaneId,
    pub(super) due: Instant,
    pub(super) id: u64,
}

/// What the lanes admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admitted {
    /// The move of this session.
    Now(Turn),
    /// A move at this time.
    At(Instant),
    /// None before something changes.
    Never,
}

/// The sessions that will move, each in the lane of its rate.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    settings: Lane,
    orders: HashMap<u64, Order>,
    last_order: u64,
}

/// Moves that share a rate.
#[derive(Debug, Default)]
struct Lane {
    /// The sessions that will move, ordered by time.
    due: BTreeSet<(Instant, u64)>,
    /// When the next move may begin.
    next: Option<Instant>,
    /// Moves in progress.
    running: usize,
}

/// The rate of an order. It is forgotten when its last move has ended.
#[derive(Debug)]
struct Order {
    rate: u32,
    lane: Lane,
    /// Whether it is the drain of an endpoint, which may have further moves.
    is_open: bool,
}

// === impl Lanes ===

impl Lanes {
    /// The lane of one order; without a rate, that of the settings.
    pub(super) fn order(&mut self, rate: Option<u32>) -> LaneId {
        self.add(rate, false)
    }

    /// The lane of an endpoint's drain, until [`close`](Self::close).
    pub(super) fn open(&mut self, rate: Option<u32>) -> LaneId {
        self.add(rate, true)
    }

    fn add(&mut self, rate: Option<u32>, is_open: bool) -> LaneId {
        let Some(rate) = rate else { return LaneId::Settings };
        self.last_order += 1;
        self.orders.insert(self.last_order, Order { rate, lane: Lane::default(), is_open });
        LaneId::Order(self.last_order)
    }

    /// The order gets no further moves.
    pub(super) fn close(&mut self, lane: LaneId) {
        if let LaneId::Order(order) = lane
            && let Some(known) = self.orders.get_mut(&order)
        {
            known.is_open = false;
        }
        self.forget_if_over(lane);
    }

    /// A session moves at this time.
    pub(super) fn insert(&mut self, Turn { lane, due, id }: Turn) {
        if let Some(lane) = self.lane(lane) {
            lane.due.insert((due, id));
        }
    }

    /// A session does not move at this time.
    pub(super) fn remove(&mut self, Turn { lane, due, id }: Turn) {
        if let Some(lane) = self.lane(lane) {
            lane.due.remove(&(due, id));
        }
        self.forget_if_over(lane);
    }

    /// Whether the session is the next one in a lane.
    pub(super) fn is_first(&self, id: u64) -> bool {
        self.all().any(|(_, _, lane)| lane.due.first().is_some_and(|(_, first)| *first == id))
    }

    /// The sessions that move by this time, if the rates permit.
    pub(super) fn due(&self, by: Instant) -> impl Iterator<Item = u64> {
        self.all().flat_map(move |(_, _, lane)| lane.due.range(..=(by, u64::MAX)).map(|(_, id)| *id))
    }

    /// The session that may move at `now`. `rate` is that of the settings. In each lane, at most as many moves begin in
    /// a second, and are in progress, as its rate permits.
    pub(super) fn next(&self, now: Instant, rate: u32) -> Admitted {
        let first = |(id, ordered, lane): (LaneId, Option<u32>, &Lane)| {
            let (due, session) = *lane.due.first()?;
            let has_room = lane.running < ordered.unwrap_or(rate).max(1) as usize;
            let begin = due.max(lane.next.unwrap_or(due));
            has_room.then_some((begin, Turn { lane: id, due, id: session }))
        };
        match self.all().filter_map(first).min_by_key(|(begin, _)| *begin) {
            Some((begin, turn)) if begin <= now => Admitted::Now(turn),
            Some((begin, _)) => Admitted::At(begin),
            None => Admitted::Never,
        }
    }

    /// A move begins.
    pub(super) fn begin(&mut self, Turn { lane, due, id }: Turn, now: Instant, rate: u32) {
        let ordered = match lane {
            LaneId::Settings => None,
            LaneId::Order(order) => self.orders.get(&order).map(|order| order.rate),
        };
        let pause = Duration::from_secs(1) / ordered.unwrap_or(rate).max(1);
        let Some(lane) = self.lane(lane) else { return };
        lane.due.remove(&(due, id));
        lane.running += 1;
        let paced = lane.next.map_or(now, |next| next.max(now.checked_sub(LAG_MAX).unwrap_or(now)));
        lane.next = Some(paced + pause);
    }

    /// A move has ended.
    pub(super) fn end(&mut self, id: LaneId) {
        if let Some(lane) = self.lane(id) {
            lane.running -= 1;
        }
        self.forget_if_over(id);
    }

    fn lane(&mut self, id: LaneId) -> Option<&mut Lane> {
        match id {
            LaneId::Settings => Some(&mut self.settings),
            LaneId::Order(order) => self.orders.get_mut(&order).map(|order| &mut order.lane),
        }
    }

    /// All lanes, with the rates of those that have their own.
    fn all(&self) -> impl Iterator<Item = (LaneId, Option<u32>, &Lane)> {
        let orders = self.orders.iter();
        let orders = orders.map(|(id, order)| (LaneId::Order(*id), Some(order.rate), &order.lane));
        std::iter::once((LaneId::Settings, None, &self.settings)).chain(orders)
    }

    fn forget_if_over(&mut self, id: LaneId) {
        if let LaneId::Order(order) = id
            && self.orders.get(&order).is_some_and(Order::is_over)
        {
            self.orders.remove(&order);
        }
    }

    /// Whether nothing is due and no move in progress, and no order is known.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.orders.is_empty() && self.settings.due.is_empty() && self.settings.running == 0
    }
}

// === impl Order ===

impl Order {
    fn is_over(&self) -> bool {
        !self.is_open && self.lane.due.is_empty() && self.lane.running == 0
    }
}
