//! The endpoints of an upstream, as its settings, its file and its names say.
//!
//! No clocks, files or sockets are used here: what was read and found is passed in.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::{
    net::Place,
    settings::{self, EndpointConfig, UpstreamUrl},
};

/// Maximum number of endpoints that a log line lists. The line has the number of all.
const LISTED_MAX: usize = 8;

/// Where the endpoints of an upstream come from, and what was found.
#[derive(Debug)]
pub struct Discovery {
    /// The endpoints in the settings or in the file.
    listed: Vec<EndpointConfig>,
    /// Whether each address of a name is an endpoint.
    each: bool,
    /// The addresses of the names that were looked up.
    found: HashMap<String, Vec<IpAddr>>,
}

/// The difference between two lists of endpoints, for the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
    total: usize,
}

// === impl Discovery ===

impl Discovery {
    /// The endpoints of these settings, before any name was looked up.
    pub fn new(settings: &settings::Upstream) -> Self {
        let each = settings.resolve_each.is_some();
        Self { listed: settings.endpoints.clone(), each, found: HashMap::new() }
    }

    /// Takes the endpoints of other settings. The addresses of names stay.
    pub fn configure(&mut self, settings: &settings::Upstream) {
        let found = std::mem::take(&mut self.found);
        *self = Self { found, ..Self::new(settings) };
        self.forget();
    }

    /// Takes the endpoints that a file lists.
    pub fn list(&mut self, endpoints: Vec<EndpointConfig>) {
        self.listed = endpoints;
        self.forget();
    }

    /// Takes the addresses of a name. Returns whether they are others than before; their order says nothing.
    pub fn resolved(&mut self, name: &str, addresses: &[SocketAddr]) -> bool {
        let mut addresses: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() || !self.names().iter().any(|known| known == name) {
            return false;
        }
        let before = self.found.insert(name.to_owned(), addresses);
        before.as_ref() != self.found.get(name)
    }

    /// The names to look up.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.listed.iter().filter_map(|endpoint| self.name_of(&endpoint.url)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// All endpoints. A name whose addresses are not known yet is one endpoint.
    pub fn endpoints(&self) -> Vec<EndpointConfig> {
        let mut endpoints = Vec::new();
        for endpoint in &self.listed {
            let addresses = self.name_of(&endpoint.url).and_then(|name| self.found.get(&name));
            match addresses {
                Some(addresses) => endpoints.extend(addresses.iter().map(|address| EndpointConfig {
                    url: endpoint.url.with_address(*address),
                    ..endpoint.clone()
                })),
                None => endpoints.push(endpoint.clone()),
            }
        }
        endpoints
    }

    /// The name to look up for a URL; `None` if its host is no name, or the settings do not want it.
    fn name_of(&self, url: &UpstreamUrl) -> Option<String> {
        match url.place() {
            Some(Place::Host(host, _)) if self.each => {
                let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
                (!is_address).then_some(host)
            }
            _ => None,
        }
    }

    /// Forgets the addresses of names that no endpoint has.
    fn forget(&mut self) {
        let names = self.names();
        self.found.retain(|name, _| names.contains(name));
    }
}

// === impl Difference ===

impl Difference {
    /// What changes from `before` to `after`.
    pub fn between(before: &[EndpointConfig], after: &[EndpointConfig]) -> Self {
        let mut known: HashMap<_, _> = before.iter().map(|endpoint| (key(&endpoint.url), endpoint)).collect();
        let mut difference = Self { total: after.len(), ..Self::default() };
        for endpoint in after {
            match known.remove(&key(&endpoint.url)) {
                None => difference.added.push(endpoint.url.label()),
                Some(old) if old != endpoint => difference.changed.push(endpoint.url.label()),
                Some(_) => {}
            }
        }
        let is_left = |endpoint: &&EndpointConfig| known.contains_key(&key(&endpoint.url));
        difference.removed = before.iter().filter(is_left).map(|endpoint| endpoint.url.label()).collect();
        difference
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

fn key(url: &UpstreamUrl) -> (&str, Option<IpAddr>) {
    (&url.text, url.address())
}

impl fmt::Display for Difference {
    /// `added="ws://a, ws://b" removed="" changed="" endpoints=3`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, removed, changed, total } = self;
        for (name, labels) in [("added", added), ("removed", removed), ("changed", changed)] {
            let more = match labels.len().saturating_sub(LISTED_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let listed = labels.iter().take(LISTED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
            write!(f, "{name}={:?} ", format!("{listed}{more}"))?;
        }
        write!(f, "endpoints={total}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::fixture;

    fn endpoint(url: &str, weight: u32) -> EndpointConfig {
        EndpointConfig { weight, ..EndpointConfig::new(UpstreamUrl::parse(url).unwrap()) }
    }

    fn discovery(urls: &[&str]) -> Discovery {
        let mut settings = fixture::upstream();
        settings.endpoints = urls.iter().map(|url| endpoint(url, 2)).collect();
        settings.resolve_each = Some(std::time::Duration::from_secs(30));
        Discovery::new(&settings)
    }

    fn addresses(last: &[u8]) -> Vec<SocketAddr> {
        last.iter().map(|last| SocketAddr::from(([10, 0, 0, *last], 0))).collect()
    }

    fn labels(discovery: &Discovery) -> Vec<String> {
        discovery.endpoints().iter().map(|endpoint| endpoint.url.label()).collect()
    }

    #[test]
    fn a_name_is_one_endpoint_until_it_is_looked_up_and_then_one_for_each_address() {
        let mut discovery =
            discovery(&["ws://chat.test:81/a", "ws://10.0.0.9", "ws://[::1]:1", "unix:/run/c.sock"]);
        let literal = ["ws://10.0.0.9", "ws://[::1]:1", "unix:/run/c.sock"];
        assert_eq!(discovery.names(), ["chat.test"]);
        assert_eq!(labels(&discovery)[..1], ["ws://chat.test:81/a"]);
        assert!(discovery.resolved("chat.test", &addresses(&[2, 1, 2])));
        assert_eq!(
            labels(&discovery)[..2],
            ["ws://chat.test:81/a (10.0.0.1)", "ws://chat.test:81/a (10.0.0.2)"]
        );
        assert_eq!(labels(&discovery)[2..], literal);
        let first = &discovery.endpoints()[0];
        assert_eq!(first.weight, 2, "each address has the weight of its name");
        assert_eq!(first.url.place(), Some(Place::Address(([10, 0, 0, 1], 81).into())));
        assert_eq!(&*first.url.request(), "ws://chat.test:81/a", "the request names the host");
        assert!(!discovery.resolved("chat.test", &addresses(&[1, 2])), "the order says nothing");
        assert!(!discovery.resolved("chat.test", &[]), "no address is a failed look-up");
        assert!(!discovery.resolved("other.test", &addresses(&[1])));
        assert_eq!(labels(&discovery).len(), 5);
        discovery.list(vec![endpoint("ws://other.test", 1)]);
        assert_eq!(
            (discovery.names(), labels(&discovery)),
            (vec!["other.test".to_owned()], vec!["ws://other.test".to_owned()])
        );
        assert!(discovery.found.is_empty());
    }

    #[test]
    fn other_settings_keep_the_addresses_of_names() {
        let mut discovery = discovery(&["ws://chat.test"]);
        discovery.resolved("chat.test", &addresses(&[1]));
        let mut settings = fixture::upstream();
        settings.endpoints = vec![endpoint("ws://chat.test", 1)];
        settings.resolve_each = Some(std::time::Duration::from_secs(1));
        discovery.configure(&settings);
        assert_eq!(labels(&discovery), ["ws://chat.test (10.0.0.1)"]);
        settings.resolve_each = None;
        discovery.configure(&settings);
        assert_eq!((discovery.names(), labels(&discovery)), (vec![], vec!["ws://chat.test".to_owned()]));
    }

    #[test]
    fn a_difference_names_what_came_went_and_changed() {
        let before = [endpoint("ws://a", 1), endpoint("ws://b", 1), endpoint("ws://me:secret@c", 1)];
        let after = [endpoint("ws://d", 1), endpoint("ws://b", 2), endpoint("ws://me:secret@c", 1)];
        let difference = Difference::between(&before, &after);
        assert_eq!(difference.to_string(), r#"added="ws://d" removed="ws://a" changed="ws://b" endpoints=3"#);
        assert!(!difference.is_empty());
        assert!(Difference::between(&after, &after).is_empty());
        let many: Vec<_> = (1..=10).map(|port| endpoint(&format!("ws://me:secret@a:{port}"), 1)).collect();
        let text = Difference::between(&many, &[]).to_string();
        assert!(text.contains("ws://***@a:8 and 2 more") && !text.contains("secret"), "{text}");
    }

    proptest! {
        /// Whatever is found in any order, each endpoint has a known address or none, and none comes twice.
        #[test]
        fn endpoints_are_distinct(steps in prop::collection::vec((0..3_usize, prop::collection::vec(0..4_u8, 0..4)), 0..12)) {
            const NAMES: [&str; 3] = ["a.test", "b.test", "c.test"];
            let mut discovery = discovery(&["ws://a.test", "ws://b.test:81", "ws://a.test/x"]);
            let mut last = [vec![], vec![], vec![]];
            for (name, found) in steps {
                discovery.resolved(NAMES[name], &addresses(&found));
                if !found.is_empty() {
                    last[name] = found;
                }
                let labels = labels(&discovery);
                let mut distinct = labels.clone();
                distinct.sort();
                distinct.dedup();
                prop_assert_eq!(distinct.len(), labels.len());
                let count = |of: usize| { let mut all = last[of].clone(); all.sort_unstable(); all.dedup(); all.len().max(1) };
                prop_assert_eq!(labels.len(), 2 * count(0) + count(1));
            }
        }
    }
}
