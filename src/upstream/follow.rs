//! Keeps an upstream up to date: reads its file of endpoints and its certificates when they change, and looks its names
//! up again.
//!
//! It runs on the thread of the monitors. Files are read on threads for blocking work, and names are looked up on
//! threads of the resolver, so a disk or a name server that hangs delays nothing else.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    path::PathBuf,
    rc::Rc,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use tokio::time::{timeout, timeout_at};

use super::shared::Shared;
use crate::{
    files::{Followed, Follower, Taken},
    log::Quoted,
    net::{Addresses, LookupError, Network, tls::reread},
    restart::restarted,
    settings::{EndpointConfig, EndpointsFile, EndpointsFileError},
};

/// The time between two looks at a file.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Follows the file and the names of an upstream for as long as a configuration has it.
pub(super) async fn follow(shared: Weak<Shared>, network: Arc<Network>) {
    let (for_file, for_names) = (shared.clone(), shared.clone());
    let file = restarted("upstream discovery", move || follow_file(for_file.clone()));
    let names =
        restarted("upstream discovery", move || follow_names(for_names.clone(), Arc::clone(&network)));
    let certificates = restarted("upstream certificates", move || follow_certificates(shared.clone()));
    tokio::join!(file, names, certificates);
}

/// Reads the certificates and keys of the upstream again when their files change.
async fn follow_certificates(shared: Weak<Shared>) {
    let Some(mut configured) = shared.upgrade().map(|upstream| upstream.configured()) else { return };
    loop {
        let Some(upstream) = shared.upgrade() else { return };
        let settings = upstream.settings();
        let (tls, owner) = (settings.tls.clone(), format!("upstream={}", settings.name));
        drop(upstream);
        let changed = tokio::select! {
            never = reread::follow(&tls, &owner) => match never {},
            changed = configured.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

// === the file ===

async fn follow_file(shared: Weak<Shared>) {
    let Some(mut configured) = shared.upgrade().map(|upstream| upstream.configured()) else { return };
    loop {
        let Some(upstream) = shared.upgrade() else { return };
        let file = upstream.settings().endpoints_file.clone();
        drop(upstream);
        let Some(file) = file else {
            match configured.changed().await {
                Ok(()) => continue,
                Err(_) => return,
            }
        };
        // With each configuration, the file is read again: it may have changed since the settings were read.
        let mut endpoints = Endpoints { shared: shared.clone(), file, refused: None };
        let mut follower = Follower::default();
        let changed = loop {
            follower.look(&mut endpoints).await;
            if let Ok(changed) = timeout(LOOK_PAUSE, configured.changed()).await {
                break changed;
            }
        };
        if changed.is_err() {
            return;
        }
    }
}

/// The endpoints of an upstream that are in a file.
struct Endpoints {
    shared: Weak<Shared>,
    file: EndpointsFile,
    /// Why the last version was refused.
    refused: Option<EndpointsFileError>,
}

impl Followed for Endpoints {
    type Read = Result<Vec<EndpointConfig>, EndpointsFileError>;

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.file.path.to_path_buf()]
    }

    fn reader(&self) -> Box<dyn FnOnce() -> Self::Read + Send> {
        let file = self.file.clone();
        Box::new(move || file.read())
    }

    fn take(&mut self, read: Self::Read) -> Taken {
        let Some(upstream) = self.shared.upgrade() else { return Taken::Used };
        let path = self.file.path.to_string_lossy();
        let before = self.refused.take();
        let settings = upstream.settings();
        let name = &settings.name;
        match read {
            Ok(endpoints) => {
                if before.is_some() {
                    let (path, count) = (Quoted(&path), endpoints.len());
                    log::info!("endpoints file good again upstream={name} file={path} endpoints={count}");
                }
                upstream.list(endpoints);
                Taken::Used
            }
            Err(error) => {
                if before.as_ref() != Some(&error) {
                    let line = error.line.map(|line| format!(":{line}")).unwrap_or_default();
                    log::error!(
                        "endpoints file refused upstream={name} file={} reason={}",
                        Quoted(&format!("{path}{line}")),
                        Quoted(&error.text)
                    );
                }
                self.refused = Some(error);
                Taken::Refused
            }
        }
    }
}

// === names ===

/// The look-ups of one name.
#[derive(Debug, Default)]
struct Lookups {
    /// When the last one ended; `None` if the first one has not.
    ended: Option<Instant>,
    runs: bool,
    /// Whether the last one failed.
    failed: bool,
    /// The last answer.
    answer: Option<Addresses>,
}

impl Lookups {
    /// Records the end of a look-up. Returns what is new: an answer, or the first failure in a row. The resolver hides a
    /// failure for as long as it knows addresses: it returns those of the last answer once more, which are not new.
    fn end(
        &mut self,
        found: Result<Addresses, LookupError>,
        now: Instant,
    ) -> Option<Result<Addresses, LookupError>> {
        (self.ended, self.runs) = (Some(now), false);
        let had_failed = std::mem::replace(&mut self.failed, found.is_err());
        match found {
            Ok(addresses) => {
                let last = self.answer.replace(Arc::clone(&addresses));
                let is_new = last.is_none_or(|last| !Arc::ptr_eq(&last, &addresses));
                is_new.then_some(Ok(addresses))
            }
            Err(error) => (!had_failed).then_some(Err(error)),
        }
    }
}

async fn follow_names(shared: Weak<Shared>, network: Arc<Network>) {
    let Some(mut configured) = shared.upgrade().map(|upstream| upstream.configured()) else { return };
    let lookups: Rc<RefCell<HashMap<Arc<str>, Lookups>>> = Rc::default();
    loop {
        let Some(upstream) = shared.upgrade() else { return };
        let interval = upstream.settings().resolve_each;
        let names = upstream.names();
        drop(upstream);
        let Some(interval) = interval else {
            if configured.changed().await.is_err() {
                return;
            }
            continue;
        };
        let now = Instant::now();
        for name in due(&mut lookups.borrow_mut(), &names, interval, now) {
            let look_up = look_up(shared.clone(), Arc::clone(&network), name, Rc::clone(&lookups));
            actix_rt::spawn(look_up);
        }
        // The list of names may change at any time with the file, so it is looked at as often as the file.
        let next = now + interval.min(LOOK_PAUSE);
        if let Ok(Err(_)) = timeout_at(next.into(), configured.changed()).await {
            return;
        }
    }
}

/// The names whose look-ups begin now. They count as running.
fn due(
    lookups: &mut HashMap<Arc<str>, Lookups>,
    names: &HashSet<Arc<str>>,
    interval: Duration,
    now: Instant,
) -> Vec<Arc<str>> {
    lookups.retain(|name, lookup| lookup.runs || names.contains(name));
    let mut due = Vec::new();
    for name in names {
        let lookup = lookups.entry(Arc::clone(name)).or_default();
        let is_due = lookup.ended.is_none_or(|ended| now.saturating_duration_since(ended) >= interval);
        if is_due && !lookup.runs {
            lookup.runs = true;
            due.push(Arc::clone(name));
        }
    }
    due
}

/// Looks a name up, and takes its addresses. If that fails, the last ones stay.
async fn look_up(
    shared: Weak<Shared>,
    network: Arc<Network>,
    name: Arc<str>,
    lookups: Rc<RefCell<HashMap<Arc<str>, Lookups>>>,
) {
    let found = network.look_up(&name).await;
    let news = lookups.borrow_mut().entry(Arc::clone(&name)).or_default().end(found, Instant::now());
    let Some(upstream) = shared.upgrade() else { return };
    match news {
        Some(Ok(addresses)) => upstream.resolved(&name, &addresses),
        Some(Err(error)) => warn(&upstream, &name, &error),
        None => {}
    }
}

fn warn(upstream: &Shared, name: &str, error: &LookupError) {
    log::warn!(
        "name look-up failed upstream={} name={name} reason={}",
        upstream.settings().name,
        Quoted(&error.to_string())
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    #[test]
    fn a_name_is_looked_up_at_once_and_then_after_the_interval_and_never_twice_at_a_time() {
        let (mut lookups, now) = (HashMap::new(), Instant::now());
        let names: HashSet<Arc<str>> = ["a".into(), "b".into()].into();
        let end = |lookups: &mut HashMap<Arc<str>, Lookups>, name: &str, at| {
            lookups.insert(name.into(), Lookups { ended: Some(at), ..Lookups::default() });
        };
        assert_eq!(HashSet::from_iter(due(&mut lookups, &names, INTERVAL, now)), names);
        assert!(due(&mut lookups, &names, INTERVAL, now + 9 * INTERVAL).is_empty(), "both run");
        end(&mut lookups, "a", now);
        assert!(due(&mut lookups, &names, INTERVAL, now + INTERVAL / 2).is_empty());
        assert_eq!(due(&mut lookups, &names, INTERVAL, now + INTERVAL), ["a".into()]);
        end(&mut lookups, "a", now + INTERVAL);
        due(&mut lookups, &HashSet::new(), INTERVAL, now);
        assert_eq!(lookups.keys().collect::<Vec<_>>(), [&"b".into()], "a look-up that runs is not forgotten");
        assert_eq!(due(&mut lookups, &names, INTERVAL, now), ["a".into()]);
    }

    /// The resolver returns the last answer again when a look-up fails.
    #[test]
    fn a_look_up_that_fails_is_no_second_answer() {
        let (mut lookups, now) = (Lookups::default(), Instant::now());
        let addresses = || Addresses::from([([10, 0, 0, 1], 0).into()]);
        let first = addresses();
        assert_eq!(lookups.end(Ok(Arc::clone(&first)), now), Some(Ok(Arc::clone(&first))));
        assert_eq!(lookups.end(Ok(first), now), None);
        assert_eq!(
            lookups.end(Ok(addresses()), now),
            Some(Ok(addresses())),
            "the same addresses, found again"
        );
        let failed = || Err(LookupError::NotFound);
        assert_eq!([(); 2].map(|()| lookups.end(failed(), now)), [Some(failed()), None], "reported once");
    }
}
