//! The history of the feed: the samples of the last minutes, the changes of endpoints, and the last frames.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use super::rates::{NAMES, Sample};

/// Number of samples that are kept: 5 minutes.
const SAMPLES: usize = 300;

/// Number of changes that are kept for each endpoint.
const CHANGES: usize = 32;

/// Number of frames that are kept for viewers that are late.
const FRAMES: usize = 8;

/// The samples of the last minutes, oldest first, each with its time in milliseconds since the Unix epoch.
#[derive(Debug, Default)]
pub struct Samples {
    samples: VecDeque<(u64, Sample)>,
}

/// When an endpoint entered which state, oldest first.
pub type Changes = VecDeque<(u64, &'static str)>;

/// The changes of all endpoints. `K` names an endpoint.
#[derive(Debug)]
pub struct EndpointHistories<K> {
    changes: HashMap<K, (Changes, bool)>,
}

/// The last frames, numbered one after the other.
#[derive(Debug, Default)]
pub struct Frames {
    frames: VecDeque<Arc<str>>,
    /// The number of the next frame.
    next: u64,
}

// === impl Samples ===

impl Samples {
    /// Adds a sample. The oldest one is forgotten when there are more than [`SAMPLES`].
    pub fn push(&mut self, now_ms: u64, sample: Sample) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((now_ms, sample));
    }

    /// The samples as one array for each value.
    pub fn columns(&self) -> Value {
        let mut columns = Map::new();
        let times: Vec<_> = self.samples.iter().map(|(time, _)| *time).collect();
        columns.insert("time".to_owned(), json!(times));
        for (index, name) in NAMES.iter().enumerate() {
            let column: Vec<_> = self.samples.iter().map(|(_, sample)| sample[index]).collect();
            columns.insert((*name).to_owned(), json!(column));
        }
        columns.into()
    }
}

// === impl EndpointHistories ===

impl<K> Default for EndpointHistories<K> {
    fn default() -> Self {
        Self { changes: HashMap::new() }
    }
}

impl<K: std::hash::Hash + Eq + Clone> EndpointHistories<K> {
    /// Records the state of an endpoint. Returns its changes, and whether this is one.
    pub fn observe(&mut self, endpoint: &K, now_ms: u64, state: &'static str) -> (&Changes, bool) {
        if !self.changes.contains_key(endpoint) {
            self.changes.insert(endpoint.clone(), (Changes::new(), false));
        }
        let Some((changes, seen)) = self.changes.get_mut(endpoint) else { unreachable!("inserted above") };
        *seen = true;
        let is_change = changes.back().is_none_or(|(_, last)| *last != state);
        if is_change {
            if changes.len() == CHANGES {
                changes.pop_front();
            }
            changes.push_back((now_ms, state));
        }
        (changes, is_change)
    }

    /// When an endpoint entered this state; `None` if it was not observed in it last.
    pub fn since(&self, endpoint: &K, state: &'static str) -> Option<u64> {
        let (since, last) = self.changes.get(endpoint)?.0.back()?;
        (*last == state).then_some(*since)
    }

    /// Forgets the endpoints that were not observed since the last call.
    pub fn sweep(&mut self) {
        self.changes.retain(|_, (_, seen)| std::mem::take(seen));
    }
}

// === impl Frames ===

impl Frames {
    /// Adds a frame. Viewers that miss more than [`FRAMES`] start again.
    pub fn push(&mut self, frame: Arc<str>) {
        if self.frames.len() == FRAMES {
            self.frames.pop_front();
        }
        self.frames.push_back(frame);
        self.next += 1;
    }

    /// The number of the next frame: what a viewer that starts now has seen.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The frame with this number. `Ok(None)` if it is still to come.
    ///
    /// # Errors
    /// When it is forgotten.
    pub fn get(&self, number: u64) -> Result<Option<&Arc<str>>, Forgotten> {
        let oldest = self.next - self.frames.len() as u64;
        match number.checked_sub(oldest) {
            Some(index) => Ok(self.frames.get(index as usize)),
            None => Err(Forgotten),
        }
    }
}

/// The frame is forgotten.
#[derive(Debug, PartialEq, Eq)]
pub struct Forgotten;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_samples_are_forgotten() {
        let mut samples = Samples::default();
        for time in 0..SAMPLES as u64 + 5 {
            samples.push(time, [Some(time as f64); NAMES.len()]);
        }
        let columns = samples.columns();
        for name in ["time", "sessions", "p99"] {
            let column = columns[name].as_array().unwrap();
            assert_eq!((column.len(), column[0].as_f64()), (SAMPLES, Some(5.0)), "{name}");
        }
    }

    #[test]
    fn an_endpoint_has_an_entry_for_each_change() {
        let mut endpoints = EndpointHistories::<u8>::default();
        assert_eq!(endpoints.observe(&1, 10, "up"), (&Changes::from([(10, "up")]), true));
        assert_eq!(endpoints.observe(&1, 11, "up"), (&Changes::from([(10, "up")]), false));
        assert_eq!((endpoints.since(&1, "up"), endpoints.since(&1, "down")), (Some(10), None));
        assert_eq!(endpoints.observe(&1, 12, "down"), (&Changes::from([(10, "up"), (12, "down")]), true));
        assert_eq!((endpoints.since(&1, "down"), endpoints.since(&2, "down")), (Some(12), None));
        for now in 0..CHANGES as u64 {
            endpoints.observe(&1, 13 + now, if now % 2 == 0 { "up" } else { "down" });
        }
        let (changes, _) = endpoints.observe(&1, 99, "down");
        assert_eq!((changes.len(), changes[0]), (CHANGES, (13, "up")));
    }

    #[test]
    fn an_endpoint_that_is_gone_is_forgotten() {
        let mut endpoints = EndpointHistories::<u8>::default();
        endpoints.observe(&1, 10, "up");
        endpoints.observe(&2, 10, "up");
        endpoints.sweep();
        endpoints.observe(&2, 11, "up");
        endpoints.sweep();
        assert_eq!(endpoints.observe(&1, 12, "up").0.len(), 1);
        assert_eq!(endpoints.observe(&1, 12, "up").0[0], (12, "up"));
        assert_eq!(endpoints.observe(&2, 12, "up").0[0], (10, "up"));
    }

    #[test]
    fn a_viewer_gets_each_frame_or_starts_again() {
        let mut frames = Frames::default();
        assert_eq!(frames.get(0), Ok(None));
        for number in 0..FRAMES as u64 + 2 {
            frames.push(number.to_string().into());
            assert_eq!(frames.get(number).unwrap().unwrap().as_ref(), number.to_string());
        }
        assert_eq!(frames.get(1), Err(Forgotten));
        assert_eq!(frames.get(2).unwrap().unwrap().as_ref(), "2");
        assert_eq!(frames.get(frames.next()), Ok(None));
    }
}
