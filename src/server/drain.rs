//! The drain: the orderly end of the process (guarantee C9).

use std::{fmt, time::Duration};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::registry::{Registry, SessionInfo, SessionState};
use crate::{
    connector,
    figures::Snapshot,
    session::{Control, Drain},
    settings,
    wire::CloseFrame,
};

/// How long closing handshakes may take after the window and the grace of the drain have passed, including
/// [`INSPECT_TIMEOUT`].
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// Maximum number of sessions that get a log line each when they are cut off, because there may be thousands.
const CUT_OFF_LOGGED_MAX: usize = 10;

/// How long sessions that are cut off may take to report what they are doing. A session answers in its next
/// turn.
const INSPECT_TIMEOUT: Duration = Duration::from_millis(100);

/// The order to drain, from which the order for each session is made.
#[derive(Debug, Clone)]
pub struct Order {
    window: Duration,
    grace: Duration,
    frame: CloseFrame,
}

/// The activity of a session that is cut off.
#[derive(Debug)]
enum Doing {
    /// The handshake is being answered.
    Starting,
    /// The session's own report.
    Running(Snapshot),
    /// The session has not reported in time.
    Unknown,
}

// === impl Order ===

impl Order {
    /// Creates the order for these settings.
    pub fn new(settings: &settings::Drain) -> Self {
        let frame = CloseFrame::new(settings.close_code, "shutting down");
        Self { window: settings.window, grace: settings.grace, frame }
    }

    /// The order for one session. `moment`, from 0 to 1, is the session's place in the window; random moments
    /// prevent all clients from reconnecting at once.
    pub fn for_session(&self, moment: f64) -> Drain {
        Drain { delay: self.window.mul_f64(moment), grace: self.grace, frame: self.frame.clone() }
    }
}

/// Stops accepting clients, closes the sessions one by one, and waits for the last one.
pub async fn drain(settings: &settings::Drain, registry: &Registry) {
    let status = registry.status();
    status.start_draining();
    log::info!(
        "draining sessions={} window={} grace={}",
        status.live(),
        humantime::format_duration(settings.window),
        humantime::format_duration(settings.grace)
    );
    registry.drain(&Order::new(settings));
    let end = Instant::now() + settings.window + settings.grace + CLOSING_TIME;
    if timeout_at(end - INSPECT_TIMEOUT, status.empty()).await.is_err() {
        match status.live() {
            0 => log::warn!("drain is over with handshakes left handshakes={}", status.unanswered()),
            sessions => log::warn!("drain is over with sessions left sessions={sessions}"),
        }
        // A session that does not report leaves time for the end of the others.
        log_cut_off(registry.sessions(CUT_OFF_LOGGED_MAX), end - INSPECT_TIMEOUT / 2).await;
        registry.cut_off();
        let _left = timeout_at(end, status.empty()).await;
    }
    // Connections to upstreams end after their sessions, with the same close frames.
    let _cut_off = timeout_at(end, connector::all_closed()).await;
}

/// Logs what each of these sessions is doing. The sessions must report it before `end`.
async fn log_cut_off(sessions: Vec<(SessionInfo, SessionState)>, end: Instant) {
    // All are asked before the first answer is awaited, so that they share the time.
    let asked: Vec<_> = sessions.into_iter().map(|(info, state)| (info, ask(&state))).collect();
    for (info, answer) in asked {
        let doing = match answer {
            None => Doing::Starting,
            Some(answer) => match timeout_at(end, answer).await {
                Ok(Ok(snapshot)) => Doing::Running(snapshot),
                Ok(Err(_)) | Err(_) => Doing::Unknown,
            },
        };
        log::warn!(
            "drain cuts off session={} listener={} route={} peer={} seconds={:.3} {doing}",
            info.id,
            info.listener.name,
            info.route.name,
            info.peer,
            info.since.elapsed().as_secs_f64(),
        );
    }
}

/// Asks a session for a snapshot of what it is doing; `None` when the session has no actor yet.
fn ask(state: &SessionState) -> Option<oneshot::Receiver<Snapshot>> {
    let SessionState::Running(control) = state else { return None };
    let (reply, answer) = oneshot::channel();
    control.notify(Control::Inspect(reply));
    Some(answer)
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("state=starting"),
            Self::Running(Snapshot { phase, unsettled, .. }) => {
                write!(f, "state={phase} unsettled={unsettled}")
            }
            Self::Unknown => f.write_str("state=unknown"),
        }
    }
}
