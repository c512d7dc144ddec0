//! The frames for viewers: a full one when they start, then a frame of differences each second, made once for all of
//! them.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    history::{EndpointHistories, Frames, Samples},
    observed::{NEWS_MAX, News, Observed, RouteCounts, RouteView},
    rates::Rates,
};

/// The state of the feed.
#[derive(Debug)]
pub struct FeedState {
    rates: Rates,
    samples: Samples,
    endpoints: EndpointHistories<u64>,
    frames: Frames,
    /// The latest observation. Its news are the last ones of all observations.
    last: Observed,
    /// The traffic of each route at the latest observation.
    traffic: Vec<Traffic>,
    /// The upstreams at the latest observation, with the histories of their endpoints.
    upstreams: Vec<Value>,
}

/// The number of a route, its live sessions, and its rates: received, sent, errored.
type Traffic = (usize, u64, f64, f64, f64);

// === impl FeedState ===

impl FeedState {
    /// Creates the state before the first observation. `bounds` are those of [`Rates::new`].
    pub fn new(bounds: Vec<f64>) -> Self {
        Self {
            rates: Rates::new(bounds),
            samples: Samples::default(),
            endpoints: EndpointHistories::default(),
            frames: Frames::default(),
            last: Observed::default(),
            traffic: Vec::new(),
            upstreams: Vec::new(),
        }
    }

    /// The frames of differences.
    pub fn frames(&self) -> &Frames {
        &self.frames
    }

    /// When the endpoint with this id entered this state, in milliseconds since the Unix epoch, to the second; `None`
    /// if the latest observation does not have it in this state.
    pub fn since(&self, endpoint: u64, state: &'static str) -> Option<u64> {
        self.endpoints.since(&endpoint, state)
    }

    /// Takes an observation, and makes a frame of what differs from the one before.
    pub fn advance(&mut self, mut now: Observed) {
        let sample = self.rates.sample(std::mem::take(&mut now.totals), now.elapsed);
        self.samples.push(now.now_ms, sample);
        self.traffic = traffic(&now, &self.last);
        let mut frame = start(&now);
        frame.insert("sample".to_owned(), json!(sample));
        if now.reloads != self.last.reloads {
            frame.insert("reloads".to_owned(), json!(now.reloads));
        }
        let is_same = |(now, before): (&RouteView, &RouteView)| now.is_same(before);
        if now.routes.len() != self.last.routes.len()
            || !now.routes.iter().zip(&self.last.routes).all(is_same)
        {
            frame.insert("routes".to_owned(), json!(now.routes));
        }
        frame.insert("traffic".to_owned(), json!(self.traffic));
        self.add_upstreams(&mut frame, &now);
        add_news(&mut frame, "restarts", &now.restarts);
        add_news(&mut frame, "errors", &now.errors);
        self.frames.push(Value::from(frame).to_string().into());
        now.restarts.keep(&mut self.last.restarts);
        now.errors.keep(&mut self.last.errors);
        self.last = now;
    }

    /// A frame with everything, and the number of the frame of differences that follows it.
    pub fn full(&self) -> (String, u64) {
        let mut frame = start(&self.last);
        frame.insert("full".to_owned(), true.into());
        frame.insert("history".to_owned(), self.samples.columns());
        frame.insert("reloads".to_owned(), json!(self.last.reloads));
        frame.insert("routes".to_owned(), json!(self.last.routes));
        frame.insert("traffic".to_owned(), json!(self.traffic));
        frame.insert("upstreams".to_owned(), json!(self.upstreams));
        add_news(&mut frame, "restarts", &self.last.restarts);
        add_news(&mut frame, "errors", &self.last.errors);
        (Value::from(frame).to_string(), self.frames.next())
    }

    /// Adds the upstreams that differ from the last frame, with the histories that differ. If upstreams came or went,
    /// all of them.
    fn add_upstreams(&mut self, frame: &mut Map<String, Value>, now: &Observed) {
        let mut changed = Vec::new();
        let mut all = Vec::with_capacity(now.upstreams.len());
        for upstream in &now.upstreams {
            let mut whole = json!(upstream);
            let mut difference = whole.clone();
            for (index, endpoint) in upstream.endpoints.iter().enumerate() {
                let (changes, is_change) = self.endpoints.observe(&endpoint.id, now.now_ms, endpoint.state);
                whole["endpoints"][index]["history"] = json!(changes);
                if is_change {
                    difference["endpoints"][index]["history"] = json!(changes);
                }
            }
            if self.upstreams.get(all.len()) != Some(&whole) {
                changed.push(difference);
            }
            all.push(whole);
        }
        self.endpoints.sweep();
        let is_same = |(now, before): (&Value, &Value)| now["name"] == before["name"];
        if all.len() != self.upstreams.len() || !all.iter().zip(&self.upstreams).all(is_same) {
            frame.insert("upstreams".to_owned(), json!(all));
            frame.insert("all_upstreams".to_owned(), true.into());
        } else if !changed.is_empty() {
            frame.insert("upstreams".to_owned(), json!(changed));
        }
        self.upstreams = all;
    }
}

/// Starts a frame with the parts that every frame has.
fn start(now: &Observed) -> Map<String, Value> {
    let mut frame = Map::new();
    frame.insert("now".to_owned(), json!(now.now_ms));
    frame.insert("about".to_owned(), json!(now.about));
    frame
}

fn traffic(now: &Observed, before: &Observed) -> Vec<Traffic> {
    let seconds = now.elapsed.as_secs_f64().max(0.001);
    let row = |(index, route): (usize, &RouteView)| {
        let earlier = before.routes.get(index).filter(|earlier| earlier.is_same(route)).unwrap_or(route);
        let rate = |count: fn(&RouteCounts) -> u64| {
            let more = count(&route.counts).saturating_sub(count(&earlier.counts));
            (more as f64 / seconds * 10.0).round() / 10.0
        };
        let rates =
            (rate(|counts| counts.received), rate(|counts| counts.sent), rate(|counts| counts.errored));
        (index, route.counts.sessions, rates.0, rates.1, rates.2)
    };
    now.routes.iter().enumerate().map(row).collect()
}

fn add_news<T: Serialize>(frame: &mut Map<String, Value>, kind: &str, news: &News<T>) {
    if !news.entries.is_empty() {
        frame.insert(kind.to_owned(), json!(news.entries));
    }
    if news.missed > 0 {
        frame.insert(format!("{kind}_missed"), json!(news.missed));
    }
}

// === impl RouteView ===

impl RouteView {
    /// Whether the routes differ in their traffic at most.
    fn is_same(&self, other: &Self) -> bool {
        let Self { listener, name, incoming, outgoing, upstream, counts: _ } = self;
        (listener, name, upstream) == (&other.listener, &other.name, &other.upstream)
            && (incoming, outgoing) == (&other.incoming, &other.outgoing)
    }
}

// === impl News ===

impl<T> News<T> {
    /// Adds earlier entries, for viewers that start later, if there is room.
    fn keep(&mut self, earlier: &mut Self) {
        earlier.entries.truncate(NEWS_MAX.saturating_sub(self.entries.len()));
        self.entries.append(&mut earlier.entries);
        self.missed = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::admin::feed::observed::{EndpointView, RestartView, UpstreamView};

    fn endpoint(state: &'static str) -> EndpointView {
        EndpointView { url: "ws://127.0.0.1:1".to_owned(), state, ..EndpointView::default() }
    }

    fn observed(now_ms: u64, state: &'static str, received: u64) -> Observed {
        let route = RouteView {
            name: "chat".to_owned(),
            counts: RouteCounts { sessions: 2, received, ..RouteCounts::default() },
            ..RouteView::default()
        };
        let upstream = UpstreamView {
            name: "chat".to_owned(),
            endpoints: vec![endpoint(state)],
            ..UpstreamView::default()
        };
        Observed {
            now_ms,
            elapsed: Duration::from_secs(1),
            routes: vec![route],
            upstreams: vec![upstream],
            ..Observed::default()
        }
    }

    fn state(observations: impl IntoIterator<Item = Observed>) -> FeedState {
        let mut state = FeedState::new(vec![0.1]);
        observations.into_iter().for_each(|observed| state.advance(observed));
        state
    }

    fn frame(state: &FeedState, number: u64) -> Value {
        serde_json::from_str(state.frames().get(number).unwrap().unwrap()).unwrap()
    }

    fn full(state: &FeedState) -> Value {
        serde_json::from_str(&state.full().0).unwrap()
    }

    #[test]
    fn a_frame_has_what_differs_from_the_one_before() {
        let state = state([observed(1, "up", 10), observed(2, "up", 14), observed(3, "down", 14)]);
        let [first, second, third] = [0, 1, 2].map(|number| frame(&state, number));
        assert_eq!(first["routes"][0]["name"], "chat");
        assert_eq!(first["upstreams"][0]["endpoints"][0]["history"], json!([[1, "up"]]));
        assert_eq!(second["traffic"], json!([[0, 2, 4.0, 0.0, 0.0]]));
        assert_eq!((second.get("routes"), second.get("upstreams")), (None, None));
        assert_eq!(third["upstreams"][0]["endpoints"][0]["history"], json!([[1, "up"], [3, "down"]]));
        assert_eq!(third.get("all_upstreams"), None);
    }

    #[test]
    fn a_history_that_stays_is_not_sent_again() {
        let mut busier = observed(2, "up", 0);
        busier.upstreams[0].endpoints[0].sessions = 5;
        let state = state([observed(1, "up", 0), busier]);
        let endpoint = &frame(&state, 1)["upstreams"][0]["endpoints"][0];
        assert_eq!((&endpoint["sessions"], endpoint.get("history")), (&json!(5), None));
        assert_eq!(full(&state)["upstreams"][0]["endpoints"][0]["history"], json!([[1, "up"]]));
    }

    #[test]
    fn endpoints_whose_urls_look_alike_have_separate_histories() {
        let alike = |now_ms, states: [&'static str; 2]| {
            let mut observed = observed(now_ms, "up", 0);
            let endpoints = (1..).zip(states).map(|(id, state)| EndpointView { id, ..endpoint(state) });
            observed.upstreams[0].endpoints = endpoints.collect();
            observed
        };
        let state = state([alike(1, ["up", "up"]), alike(2, ["up", "down"])]);
        let endpoints = &full(&state)["upstreams"][0]["endpoints"];
        assert_eq!(endpoints[0]["history"], json!([[1, "up"]]));
        assert_eq!(endpoints[1]["history"], json!([[1, "up"], [2, "down"]]));
    }

    #[test]
    fn all_upstreams_are_sent_when_one_comes_or_goes() {
        let mut more = observed(2, "up", 0);
        more.upstreams.insert(0, UpstreamView { name: "other".to_owned(), ..UpstreamView::default() });
        let state = state([observed(1, "up", 0), more]);
        let frame = frame(&state, 1);
        assert_eq!(frame["all_upstreams"], true);
        assert_eq!(frame["upstreams"].as_array().unwrap().len(), 2);
        assert_eq!(frame["upstreams"][1]["endpoints"][0]["history"], json!([[1, "up"]]));
    }

    #[test]
    fn a_viewer_that_starts_gets_the_last_news_once() {
        let restart = |at| RestartView { at, ..RestartView::default() };
        let news = |from: u64, to: u64| News { entries: (from..to).rev().map(restart).collect(), missed: 3 };
        let mut state = state([]);
        for round in 0..4 {
            let mut observed = observed(round, "up", 0);
            observed.restarts = news(round * 20, round * 20 + 20);
            state.advance(observed);
        }
        let frame = frame(&state, 3);
        assert_eq!((&frame["restarts"][0]["at"], &frame["restarts_missed"]), (&json!(79), &json!(3)));
        let full = full(&state);
        let entries = full["restarts"].as_array().unwrap();
        assert_eq!(
            (entries.len(), &entries[0]["at"], &entries[49]["at"]),
            (NEWS_MAX, &json!(79), &json!(30))
        );
        assert_eq!((full.get("restarts_missed"), state.full().1), (None, 4));
    }
}
