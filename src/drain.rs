//! The drain: the orderly end of the process (C9).

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{connector, session::Drain, settings, status::Status, wire::CloseFrame};

/// How long closing handshakes may take after window and grace have passed.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The order to drain, broadcast to all listeners on all threads.
#[derive(Debug, Clone)]
pub struct Order {
    window: Duration,
    grace: Duration,
    frame: CloseFrame,
}

impl Order {
    /// The order for these settings.
    pub fn new(settings: &settings::Drain) -> Self {
        let frame = CloseFrame::new(settings.close_code, "shutting down");
        Self { window: settings.window, grace: settings.grace, frame }
    }

    /// The order for one session: a random time within the window, so that clients do not all reconnect at
    /// once.
    pub fn for_one(&self) -> Drain {
        let delay = self.window.mul_f64(rand::random());
        Drain { delay, grace: self.grace, frame: self.frame.clone() }
    }
}

/// Stops accepting clients, closes the sessions one by one, and waits for the last.
pub async fn drain(settings: &settings::Drain, status: &Arc<Status>, orders: &watch::Sender<Option<Order>>) {
    status.start_draining();
    log::info!(
        "draining sessions={} window={} grace={}",
        status.live(),
        humantime::format_duration(settings.window),
        humantime::format_duration(settings.grace)
    );
    orders.send_replace(Some(Order::new(settings)));
    let limit = settings.window + settings.grace + LAST_WORDS;
    let end = Instant::now() + limit;
    if timeout_at(end, status.empty()).await.is_err() {
        log::warn!("drain is over with sessions left sessions={}", status.live());
    }
    // Connections to upstreams end after their sessions, with the same close frames.
    let _cut_off = timeout_at(end, connector::all_closed()).await;
}
