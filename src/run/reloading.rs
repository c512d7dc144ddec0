//! Carries out reloads of the settings (guarantee C12).
//!
//! The settings are read and checked on a thread that may block. The rest takes a moment: nothing is in force before all
//! of it can be.

use std::{sync::Arc, time::Instant};

use actix_rt::task::{JoinHandle, spawn_blocking};

use super::listeners::Listeners;
use crate::{
    listener::{self, ServerState},
    log::{Quoted, set_level},
    reload::{Difference, Numbers, Outcome, Problems, Request, Requests, in_force, pending, shape},
    server::Workers,
    settings::{Loaded, Running, Settings, SettingsError},
};

/// Maximum number of changes or problems of one reload that are logged. The history has more of them.
const LOGGED_MAX: usize = 32;

/// Carries out reloads, one at a time.
pub(super) struct Reloader {
    server: Arc<ServerState>,
    requests: Requests,
    /// The settings in force.
    in_force: Arc<Loaded>,
    numbers: Numbers,
    /// The maximum number of sessions.
    sessions: usize,
    /// The request that is served, and its settings.
    reading: Option<Reading>,
}

struct Reading {
    request: Request,
    begun: Instant,
    loaded: JoinHandle<Result<Loaded, SettingsError>>,
}

/// The next step of a reload: settings that have been read, or the reason why they cannot be used.
pub(super) struct Read {
    request: Request,
    begun: Instant,
    loaded: Result<Loaded, Problems>,
}

// === impl Reloader ===

impl Reloader {
    /// Serves these requests, in a process that has started with these settings.
    pub(super) fn new(
        server: Arc<ServerState>,
        requests: Requests,
        in_force: Arc<Loaded>,
        (numbers, sessions): (Numbers, usize),
    ) -> Self {
        Self { server, requests, in_force, numbers, sessions, reading: None }
    }

    /// The settings in force.
    pub(super) fn settings(&self) -> &Settings {
        &self.in_force.settings
    }

    /// Whether a request is served or waits.
    pub(super) fn is_busy(&self) -> bool {
        self.requests.is_busy()
    }

    /// Refuses the request in progress and all later ones, because the process ends.
    pub(super) fn end(&mut self) {
        self.reading = None;
        self.requests.close();
    }

    /// Waits for a request, and then for its settings. A call that is dropped loses nothing.
    pub(super) async fn read(&mut self) -> Read {
        let reading = match &mut self.reading {
            Some(reading) => reading,
            none => {
                let request = self.requests.next().await;
                let reader = self.requests.reader();
                none.insert(Reading {
                    request,
                    begun: Instant::now(),
                    loaded: spawn_blocking(move || reader()),
                })
            }
        };
        let loaded = (&mut reading.loaded).await;
        let loaded = match loaded {
            Ok(Ok(loaded)) => Ok(loaded),
            Ok(Err(error)) => Err(problems(&error)),
            Err(_) => Err(internal_error()),
        };
        // It was set above, and nothing else takes it.
        let Some(Reading { request, begun, .. }) = self.reading.take() else { std::future::pending().await };
        Read { request, begun, loaded }
    }

    /// Puts settings in force that have been read, and answers the request.
    pub(super) async fn apply(
        &mut self,
        Read { request, begun, loaded }: Read,
        listeners: &mut Listeners,
        workers: &Workers,
    ) {
        let result = match loaded {
            Ok(loaded) => self.put_in_force(loaded, listeners, workers).await,
            Err(problems) => Err(problems),
        };
        match &result {
            Ok((outcome, _)) => log_done(&request, outcome, begun),
            Err(problems) => log_failed(&request, problems),
        }
        self.requests.answer(request, result);
    }

    async fn put_in_force(
        &mut self,
        mut loaded: Loaded,
        listeners: &mut Listeners,
        workers: &Workers,
    ) -> Result<(Outcome, Running), Problems> {
        let mut numbers = self.numbers.clone();
        numbers.assign(&mut loaded.settings);
        let prepared = listeners.prepare(&loaded.settings);
        let prepared = prepared.map_err(|error| Problems::new([error.to_string()]))?;
        let difference = Difference::between(&self.in_force.effective, &loaded.effective);
        shape(&mut loaded);
        let pending = pending(&self.in_force.effective, &loaded.effective);
        loaded.effective = in_force(&self.in_force.effective, loaded.effective);
        let (loaded, server) = (Arc::new(loaded), Arc::clone(&self.server));
        let running = Running { layers: loaded.layers.clone(), pending };
        let next = Arc::clone(&loaded);
        let sessions = self.capacity(&loaded.settings);
        // Before sessions adopt the configuration, so that their lines have the new level.
        set_level(&loaded.settings.log.level);
        // Files of keys and certificates may be read again.
        let configured = spawn_blocking(move || server.configure(&next.settings, sessions)).await;
        let generation = configured.map_err(|_| internal_error())?;
        self.numbers = numbers;
        prepared.log();
        listeners.apply(prepared, &self.server, workers);
        self.server.adopting.notify_one();
        super::log_warnings(&loaded.settings);
        self.in_force = loaded;
        Ok((Outcome::Done { generation, difference }, running))
    }

    /// The maximum number of sessions with these settings. It is computed again, and logged, only if the setting changes.
    fn capacity(&mut self, settings: &Settings) -> usize {
        if settings.server.max_sessions != self.in_force.settings.server.max_sessions {
            self.sessions = listener::capacity(settings.server.max_sessions);
        }
        self.sessions
    }
}

fn problems(error: &SettingsError) -> Problems {
    match error {
        SettingsError::Invalid(problems) => Problems::new(problems.iter().map(ToString::to_string)),
        error => Problems::new([error.to_string()]),
    }
}

/// The problem of a reload that has panicked. The log has the panic.
fn internal_error() -> Problems {
    Problems::new(["internal error".to_owned()])
}

fn log_done(request: &Request, outcome: &Outcome, begun: Instant) {
    let Outcome::Done { generation, difference } = outcome else { return };
    log::info!(
        "settings reloaded by={} generation={generation} changes={} duration={}ms",
        request.by,
        difference.count,
        begun.elapsed().as_millis()
    );
    for change in difference.changes.iter().take(LOGGED_MAX) {
        log::info!("setting changed generation={generation} change={}", Quoted(&change.to_string()));
    }
    if difference.count > LOGGED_MAX {
        log::info!("settings changed generation={generation} more={}", difference.count - LOGGED_MAX);
    }
}

fn log_failed(request: &Request, problems: &Problems) {
    log::error!("reload failed, nothing changes by={} problems={}", request.by, problems.count);
    for text in problems.texts.iter().take(LOGGED_MAX) {
        log::error!("reload problem by={} text={}", request.by, Quoted(text));
    }
}
