//! The last restarts of connectors to an upstream, for those who watch it.
//!
//! No clocks are used here: the time is passed in.

use std::collections::VecDeque;

/// Number of changes that are kept.
const CHANGES_MAX: usize = 128;

/// The last changes of connections that sessions lost and made again.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    changes: VecDeque<ConnectionChange>,
    /// The number of all changes.
    all: u64,
    /// The number of all losses after which another attempt follows.
    losses: u64,
}

/// A change of a session's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionChange {
    /// The time, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The session's name in the log.
    pub session: String,
    /// The kind of change.
    pub kind: ConnectionChangeKind,
}

/// A kind of [`ConnectionChange`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionChangeKind {
    /// The connection was lost, or a dial failed.
    Lost(ConnectionLoss),
    /// A connection is up after a restart.
    Up {
        /// The label of the endpoint.
        endpoint: String,
    },
}

/// The loss of a connection, or a failed dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLoss {
    /// What follows the loss.
    pub sequel: LossSequel,
    /// The number of the attempt.
    pub attempt: u32,
    /// The time until the attempt, in milliseconds.
    pub delay_ms: u64,
    /// The reason of the loss.
    pub reason: String,
}

/// What follows the loss of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossSequel {
    /// Another attempt.
    Restart,
    /// An attempt when an event names the server again.
    OnDemand,
    /// Attempts now and then, because `restart.max_restarts` is reached.
    Probes,
    /// The end of the session, for the same reason.
    End,
}

/// The changes after an earlier moment, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionChanges {
    /// The changes.
    pub changes: Vec<ConnectionChange>,
    /// The number of those that are forgotten.
    pub missed: u64,
    /// The number of all changes so far.
    pub next: u64,
    /// The number of all losses so far after which another attempt follows.
    pub losses: u64,
}

// === impl Restarts ===

impl Restarts {
    /// Records a change. The oldest one is forgotten when there are more than [`CHANGES_MAX`].
    pub(super) fn push(&mut self, change: ConnectionChange) {
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        // As the metric of restarts does, which counts the losses that are followed by an attempt.
        let is_loss =
            matches!(&change.kind, ConnectionChangeKind::Lost(loss) if loss.sequel != LossSequel::End);
        self.losses += u64::from(is_loss);
        self.all += 1;
        self.changes.push_back(change);
    }

    /// The changes after the first `seen`.
    pub(super) fn after(&self, seen: u64) -> ConnectionChanges {
        // An upstream of the same name may be another one since a reload.
        let seen = if seen > self.all { 0 } else { seen };
        let new = usize::try_from(self.all - seen).unwrap_or(usize::MAX);
        let kept = new.min(self.changes.len());
        let changes = self.changes.iter().skip(self.changes.len() - kept).cloned().collect();
        ConnectionChanges { changes, missed: (new - kept) as u64, next: self.all, losses: self.losses }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(at_ms: u64, kind: ConnectionChangeKind) -> ConnectionChange {
        ConnectionChange { at_ms, session: "1:0".to_owned(), kind }
    }

    fn lost(sequel: LossSequel) -> ConnectionChangeKind {
        let reason = "reset".to_owned();
        ConnectionChangeKind::Lost(ConnectionLoss { sequel, attempt: 1, delay_ms: 5, reason })
    }

    #[test]
    fn a_loss_that_ends_the_session_is_no_restart() {
        let mut restarts = Restarts::default();
        for sequel in [LossSequel::Restart, LossSequel::OnDemand, LossSequel::Probes, LossSequel::End] {
            restarts.push(change(1, lost(sequel)));
        }
        let seen = restarts.after(0);
        assert_eq!((seen.changes.len(), seen.losses), (4, 3));
        assert_eq!(restarts.after(7).changes.len(), 4, "seven were those of an upstream that is gone");
    }

    #[test]
    fn a_watcher_gets_each_change_once_or_the_number_that_it_missed() {
        let mut restarts = Restarts::default();
        restarts.push(change(1, lost(LossSequel::Restart)));
        restarts.push(change(2, ConnectionChangeKind::Up { endpoint: "ws://a".to_owned() }));
        let seen = restarts.after(0);
        assert_eq!((seen.changes.len(), seen.missed, seen.next, seen.losses), (2, 0, 2, 1));
        assert_eq!(restarts.after(seen.next).changes, []);
        for at in 0..CHANGES_MAX as u64 + 3 {
            restarts.push(change(at, ConnectionChangeKind::Up { endpoint: String::new() }));
        }
        let later = restarts.after(seen.next);
        assert_eq!((later.changes.len(), later.missed), (CHANGES_MAX, 3));
        assert_eq!((later.changes[0].at_ms, later.losses), (3, 1));
    }
}
