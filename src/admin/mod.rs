//! The admin server, on a separate address: health pages, and the API of operators.
//!
//! `/healthz` answers 200 while the process lives. `/readyz` answers 200 while the process accepts sessions,
//! and 503 during a drain. Neither depends on an upstream. Both accept GET and HEAD.
//!
//! All other pages answer only requests that [`access`] allows. A module with pages has a function
//! `configure(&mut ServiceConfig)`, which `routes` calls; it makes its pages with `page` and `action`.
//!
//! | module | has |
//! |---|---|
//! | `server` | the sockets and the limits on connections |
//! | `connections` | the open connections, and which one makes room for another |
//! | `paced` | their sockets, which are read no faster than requests are served |
//! | `turns` | the order in which requests begin: health pages before all others |
//! | `access` | who may use the server, as pure checks; `guard` applies them |
//! | `routes` | the list of pages, and the limits on requests |
//! | `answer`, `error` | answers and errors as JSON |
//! | `health` | `/healthz` and `/readyz` |
//! | `api` | the pages below `/api` |
//! | `page` | the live page at `/` |
//! | `feed` | its data, as a WebSocket |
//! | `reloads` | the latest reloads, for `api` and `feed` |
//! | `client` | a client of the server, for commands |

pub mod access;
mod answer;
mod api;
mod client;
mod connections;
mod error;
mod feed;
mod guard;
mod health;
mod paced;
mod page;
mod reloads;
mod routes;
mod server;
mod turns;

use std::sync::Arc;

use tokio::sync::Semaphore;

pub use self::client::{AdminError, AdminServer};
pub(crate) use self::routes::page;
pub use self::server::{bind, serve};
use crate::{listener::ServerState, metrics::Scrape, reload, settings};

/// Maximum number of sessions that are asked at a time.
const QUESTIONS_MAX: usize = 16;

/// The parts of the process that the admin server shows and changes.
pub struct AdminState {
    /// The process.
    pub server: Arc<ServerState>,
    /// The metrics of the process.
    scrape: Scrape,
    /// Requests reloads, and has the latest ones.
    reloads: reload::Handle,
    /// The section `[admin]`.
    settings: settings::Admin,
    refusals: guard::Refusals,
    turns: turns::Turns,
    feed: Arc<feed::Feed>,
    /// Slots for questions to sessions.
    questions: Semaphore,
}

// === impl AdminState ===

impl AdminState {
    /// Creates the state for a process with these settings.
    pub fn new(server: Arc<ServerState>, reloads: &reload::Handle, settings: settings::Admin) -> Self {
        Self {
            scrape: Scrape::new(Arc::clone(&server), reloads.clone()),
            server,
            reloads: reloads.clone(),
            settings,
            refusals: guard::Refusals::default(),
            turns: turns::Turns::new(),
            feed: feed::Feed::new(),
            questions: Semaphore::new(QUESTIONS_MAX),
        }
    }

    /// Whether the settings have a token for actions.
    fn has_actions(&self) -> bool {
        self.settings.token_file.is_some()
    }
}
