//! The feed of the live page: a WebSocket at `/api/feed`, with one frame a second.
//!
//! ```text
//! registry, metrics, upstreams ─► collect ─► FeedState ─► Frames ─► Viewer (one per page)
//! ```
//!
//! The process is observed once a second, whatever the number of viewers and sessions ([`run`]). Each frame is made
//! once. Without viewers, the samples and the histories of endpoints continue, so that a page that opens shows the last
//! minutes.

mod collect;
mod counts;
mod history;
mod observed;
mod rates;
mod state;
mod viewer;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use actix_web_actors::ws::WsResponseBuilder;
use tokio::time::{MissedTickBehavior, interval};

use self::{
    collect::Collector,
    state::FeedState,
    viewer::{MESSAGE_MAX, Viewer},
};
use super::{
    AdminState,
    connections::{self, Holder},
    error::ApiError,
    routes::page,
};

/// Number of viewers at a time.
const VIEWERS_MAX: usize = 16;

/// The time between two frames.
const PERIOD: Duration = Duration::from_secs(1);

/// The feed of the process.
pub struct Feed {
    state: Mutex<FeedState>,
    viewers: Arc<AtomicUsize>,
}

/// A guard that counts a viewer.
struct Seat(Arc<AtomicUsize>);

/// Adds the feed.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes.service(page("/api/feed", open));
}

/// Observes the process once a second.
pub(super) async fn run(admin: web::Data<AdminState>) {
    let mut collector = Collector::new();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        ticks.tick().await;
        let observed = collector.observe(&admin, last.elapsed());
        last = Instant::now();
        admin.feed.state().advance(observed);
    }
}

async fn open(
    request: HttpRequest,
    payload: web::Payload,
    admin: web::Data<AdminState>,
) -> actix_web::Result<HttpResponse> {
    let Some(seat) = admin.feed.seat() else {
        let words = format!("the feed has {VIEWERS_MAX} viewers already");
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, words).into());
    };
    connections::keep(&request, Holder::Reader);
    let (viewer, payload) = Viewer::new(Arc::clone(&admin.feed), seat, payload);
    WsResponseBuilder::new(viewer, &request, payload).frame_size(MESSAGE_MAX).start()
}

// === impl Feed ===

impl Feed {
    /// Creates the feed before its first frame.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(FeedState::new(counts::bounds())), viewers: Arc::default() })
    }

    /// When the endpoint with this id entered this state; `None` if the latest observation does not have it in this state.
    pub fn since(&self, endpoint: u64, state: &'static str) -> Option<SystemTime> {
        self.state().since(endpoint, state).map(|since| UNIX_EPOCH + Duration::from_millis(since))
    }

    fn state(&self) -> MutexGuard<'_, FeedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts another viewer; `None` if there are [`VIEWERS_MAX`].
    fn seat(&self) -> Option<Seat> {
        let add = |viewers| (viewers < VIEWERS_MAX).then_some(viewers + 1);
        self.viewers.fetch_update(SeqCst, SeqCst, add).ok()?;
        Some(Seat(Arc::clone(&self.viewers)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
