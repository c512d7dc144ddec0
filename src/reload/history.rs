//! The latest reloads.

use std::{collections::VecDeque, fmt, net::SocketAddr, sync::Arc, time::SystemTime};

use super::difference::Difference;

/// Number of reloads that are remembered.
pub const HISTORY_MAX: usize = 32;

/// Maximum number of problems of a reload that are kept. The number of all is kept too.
pub const PROBLEMS_MAX: usize = 64;

/// One reload.
#[derive(Debug, Clone)]
pub struct Record {
    /// The number of the reload, from 1.
    pub number: u64,
    /// When it ended.
    pub time: SystemTime,
    /// Who asked for it.
    pub by: By,
    /// Its result.
    pub outcome: Outcome,
}

/// Who asked for a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The signal SIGHUP.
    Signal,
    /// A client of the admin server.
    Admin(SocketAddr),
}

/// The result of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The settings are in force.
    Done {
        /// The number of the configuration in force.
        generation: u64,
        /// What has changed.
        difference: Difference,
    },
    /// Nothing has changed.
    Failed(Problems),
}

/// Why a reload has failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    /// The problems, at most [`PROBLEMS_MAX`].
    pub texts: Vec<String>,
    /// The number of all problems.
    pub count: usize,
}

/// The latest reloads.
#[derive(Debug, Default)]
pub struct History {
    records: VecDeque<Arc<Record>>,
    last: u64,
}

// === impl History ===

impl History {
    /// Adds a reload, and forgets the oldest one of too many.
    pub fn add(&mut self, time: SystemTime, by: By, outcome: Outcome) -> Arc<Record> {
        self.last += 1;
        let record = Arc::new(Record { number: self.last, time, by, outcome });
        if self.records.len() == HISTORY_MAX {
            self.records.pop_front();
        }
        self.records.push_back(Arc::clone(&record));
        record
    }

    /// The reloads, the latest one first.
    pub fn records(&self) -> Vec<Arc<Record>> {
        self.records.iter().rev().cloned().collect()
    }
}

// === impl Record ===

impl Record {
    /// Whether the settings are in force.
    pub fn is_done(&self) -> bool {
        matches!(self.outcome, Outcome::Done { .. })
    }
}

// === impl Problems ===

impl Problems {
    /// Keeps the first of these problems, and the number of all.
    pub fn new(texts: impl IntoIterator<Item = String>) -> Self {
        let (mut kept, mut count) = (Vec::new(), 0);
        for text in texts {
            count += 1;
            if kept.len() < PROBLEMS_MAX {
                kept.push(text);
            }
        }
        Self { texts: kept, count }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal => f.write_str("signal"),
            Self::Admin(peer) => write!(f, "{peer}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_reload_is_forgotten() {
        let mut history = History::default();
        for _ in 0..HISTORY_MAX + 3 {
            let outcome = Outcome::Failed(Problems::new(["no file".to_owned()]));
            history.add(SystemTime::UNIX_EPOCH, By::Signal, outcome);
        }
        let numbers: Vec<_> = history.records().iter().map(|record| record.number).collect();
        assert_eq!((numbers.len(), numbers[0], numbers[HISTORY_MAX - 1]), (HISTORY_MAX, 35, 4));
    }

    #[test]
    fn the_number_of_problems_is_kept() {
        let problems = Problems::new((0..PROBLEMS_MAX + 5).map(|number| number.to_string()));
        assert_eq!((problems.texts.len(), problems.count), (PROBLEMS_MAX, PROBLEMS_MAX + 5));
    }
}
