//! The endpoints of an upstream, as its settings, its file and its names say.
//!
//! No clocks, files or sockets are used here: what was read and found is passed in.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::{
    net::{ADDRESSES_MAX, Place},
    settings::{self, ENDPOINTS_MAX, EndpointConfig, UpstreamUrl},
};

/// Maximum number of endpoints that a log line lists. The line has the number of all.
const LISTED_MAX: usize = 8;

/// Where the endpoints of an upstream come from, and what was found.
#[derive(Debug)]
pub struct Discovery {
    /// The endpoints in the settings or in the file, each with the name to look up for it. At most `ENDPOINTS_MAX`.
    listed: Vec<(EndpointConfig, Option<Arc<str>>)>,
    /// The names to look up.
    names: Arc<HashSet<Arc<str>>>,
    /// Whether each address of a name is an endpoint.
    each: bool,
    /// The addresses of the names that were looked up.
    found: HashMap<Arc<str>, Found>,
    endpoints: Arc<EndpointList>,
}

/// The endpoints of an upstream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct EndpointList {
    /// At most `ENDPOINTS_MAX`.
    pub endpoints: Vec<EndpointConfig>,
    /// The addresses of names that limits exclude from the endpoints.
    pub left_out: LeftOut,
}

/// How many addresses of names are excluded from the endpoints, by the limit that excludes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Addresses beyond the maximum of an upstream, `ENDPOINTS_MAX`.
    by_upstream: usize,
    /// Addresses beyond the maximum of a name, `ADDRESSES_MAX`.
    by_name: usize,
}

/// The addresses of a name, each with whether the last answer contained it. An address is removed after the second
/// answer in a row that lacks it, because one answer may contain only a part of the addresses.
#[derive(Debug, Default)]
struct Found(BTreeMap<IpAddr, bool>);

/// The difference between two lists of endpoints, for the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
    total: usize,
    left_out: usize,
}

// === impl Discovery ===

impl Discovery {
    /// The endpoints of these settings, before any name was looked up.
    pub fn new(settings: &settings::Upstream) -> Self {
        let mut new = Self {
            listed: Vec::new(),
            names: Arc::default(),
            each: settings.resolve_each.is_some(),
            found: HashMap::new(),
            endpoints: Arc::default(),
        };
        new.list(settings.endpoints.clone());
        new
    }

    /// Takes the endpoints of other settings. The addresses of names stay.
    pub fn configure(&mut self, settings: &settings::Upstream) {
        self.each = settings.resolve_each.is_some();
        self.list(settings.endpoints.clone());
    }

    /// Takes the endpoints that the settings or a file list. The addresses of names that no endpoint has are forgotten.
    pub fn list(&mut self, mut endpoints: Vec<EndpointConfig>) {
        // The settings and the file are checked already.
        endpoints.truncate(ENDPOINTS_MAX);
        let each = self.each;
        let named = |endpoint: EndpointConfig| {
            let name = each.then(|| name_of(&endpoint.url)).flatten();
            (endpoint, name)
        };
        self.listed = endpoints.into_iter().map(named).collect();
        let names: HashSet<_> = self.listed.iter().filter_map(|(_, name)| name.clone()).collect();
        self.found.retain(|name, _| names.contains(name));
        self.names = Arc::new(names);
        self.assemble();
    }

    /// Takes the addresses of a name that a look-up has found; their order says nothing.
    pub fn resolved(&mut self, name: &str, addresses: &[SocketAddr]) {
        let Some(name) = self.names.get(name).filter(|_| !addresses.is_empty()) else { return };
        let found = self.found.entry(Arc::clone(name)).or_default();
        if found.answered(addresses.iter().map(SocketAddr::ip).collect()) {
            self.assemble();
        }
    }

    /// The names to look up.
    pub fn names(&self) -> &Arc<HashSet<Arc<str>>> {
        &self.names
    }

    /// All endpoints. A name whose addresses are not known yet is one endpoint.
    pub fn endpoints(&self) -> &Arc<EndpointList> {
        &self.endpoints
    }

    /// Makes the list of endpoints. Each name has at least one, however many addresses those before it have.
    fn assemble(&mut self) {
        let mut list = EndpointList::default();
        let mut room = ENDPOINTS_MAX - self.listed.len();
        for (endpoint, name) in &self.listed {
            let Some(found) = name.as_ref().and_then(|name| self.found.get(name)) else {
                list.endpoints.push(endpoint.clone());
                continue;
            };
            let wanted = found.0.len().min(ADDRESSES_MAX);
            let used = found.first(wanted.min(room + 1));
            room -= used.len().saturating_sub(1);
            list.left_out.by_name += found.0.len() - wanted;
            list.left_out.by_upstream += wanted - used.len();
            list.endpoints.extend(used.into_iter().map(|address| EndpointConfig {
                url: endpoint.url.with_address(address),
                ..endpoint.clone()
            }));
        }
        self.endpoints = Arc::new(list);
    }
}

/// The name to look up for a URL; `None` if its host is no name.
fn name_of(url: &UpstreamUrl) -> Option<Arc<str>> {
    let Some(Place::Host(host, _)) = url.place() else { return None };
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    (!is_address).then(|| host.as_str().into())
}

// === impl Found ===

impl Found {
    /// Takes an answer. Returns whether anything has changed.
    fn answered(&mut self, answer: HashSet<IpAddr>) -> bool {
        let mut is_changed = false;
        self.0.retain(|address, was_in_last| {
            let is_in = answer.contains(address);
            let stays = is_in || *was_in_last;
            is_changed |= is_in != *was_in_last || !stays;
            *was_in_last = is_in;
            stays
        });
        for address in answer {
            is_changed |= self.0.insert(address, true).is_none();
        }
        is_changed
    }

    /// At most `count` addresses, sorted: the lowest ones of the last answer, then the lowest others.
    fn first(&self, count: usize) -> Vec<IpAddr> {
        let those = |is_in_last| self.0.iter().filter(move |(_, is_in)| **is_in == is_in_last);
        let mut first: Vec<_> =
            those(true).chain(those(false)).map(|(address, _)| *address).take(count).collect();
        first.sort_unstable();
        first
    }
}

// === impl LeftOut ===

impl LeftOut {
    /// The number of all excluded addresses.
    pub fn total(self) -> usize {
        self.by_upstream + self.by_name
    }

    /// The limits that exclude addresses now and did not `before`, each as the number of addresses and the reason.
    pub fn begun(self, before: Self) -> impl Iterator<Item = (usize, String)> {
        let limits = [
            (
                before.by_upstream,
                self.by_upstream,
                format!("an upstream takes at most {ENDPOINTS_MAX} endpoints"),
            ),
            (before.by_name, self.by_name, format!("a name has at most {ADDRESSES_MAX} endpoints")),
        ];
        let begun = limits.into_iter().filter(|(before, now, _)| *before == 0 && *now > 0);
        begun.map(|(_, count, reason)| (count, reason))
    }
}

// === impl Difference ===

impl Difference {
    /// What changes from `before` to `after`.
    pub fn between(before: &EndpointList, after: &EndpointList) -> Self {
        let mut known: HashMap<_, _> =
            before.endpoints.iter().map(|endpoint| (&endpoint.url, endpoint)).collect();
        let mut difference =
            Self { total: after.endpoints.len(), left_out: after.left_out.total(), ..Self::default() };
        for endpoint in &after.endpoints {
            match known.remove(&endpoint.url) {
                None => difference.added.push(endpoint.url.label()),
                Some(old) if old != endpoint => difference.changed.push(change(old, endpoint)),
                Some(_) => {}
            }
        }
        let is_left = |endpoint: &&EndpointConfig| known.contains_key(&endpoint.url);
        difference.removed =
            before.endpoints.iter().filter(is_left).map(|endpoint| endpoint.url.label()).collect();
        difference
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// `ws://a (weight 1 to 2, drain false to true)`
fn change(old: &EndpointConfig, new: &EndpointConfig) -> String {
    let values = [
        ("weight", old.weight.to_string(), new.weight.to_string()),
        ("priority", old.priority.to_string(), new.priority.to_string()),
        ("drain", old.drain.to_string(), new.drain.to_string()),
    ];
    let changed = values.into_iter().filter(|(_, old, new)| old != new);
    let changed: Vec<_> = changed.map(|(key, old, new)| format!("{key} {old} to {new}")).collect();
    format!("{} ({})", new.url.label(), changed.join(", "))
}

/// The first labels of endpoints, and how many there are besides.
pub(super) fn listed(labels: &[String]) -> String {
    let more = match labels.len().saturating_sub(LISTED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let listed = labels.iter().take(LISTED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    format!("{listed}{more}")
}

impl fmt::Display for Difference {
    /// `added="ws://a, ws://b" removed="" changed="" endpoints=3`, and ` left_out=2` if there are too many addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, removed, changed, total, left_out } = self;
        for (name, labels) in [("added", added), ("removed", removed), ("changed", changed)] {
            write!(f, "{name}={:?} ", listed(labels))?;
        }
        write!(f, "endpoints={total}")?;
        if *left_out > 0 { write!(f, " left_out={left_out}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
