//! The servers of an upstream: the keys `url`, `endpoints` and `endpoints_file`.

use std::{collections::HashSet, time::Duration};

use super::{
    file::EndpointsFile,
    url::{self, UpstreamUrl},
};
use crate::settings::read::{Item, Section};

/// Maximum number of endpoints of an upstream. The choice of an endpoint looks at each of them.
pub const ENDPOINTS_MAX: usize = 1000;

/// An endpoint in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointConfig {
    /// Its URL.
    pub url: UpstreamUrl,
    /// Its share of the connections, relative to the others; at least 1.
    pub weight: u32,
    /// Endpoints with a larger number are used only while none with a smaller number can be.
    pub priority: u32,
    /// Whether it gets no new connections, and its sessions move to the others.
    pub drain: bool,
}

/// The servers of an upstream, and where they come from.
pub(super) struct Endpoints {
    /// The servers, first tier first; `None` when there is none or one is invalid.
    pub(super) listed: Option<Vec<EndpointConfig>>,
    /// The file that lists them.
    pub(super) file: Option<EndpointsFile>,
}

/// How often names are looked up whose addresses are endpoints each.
pub(super) fn resolve(section: &Section<'_>) -> Option<Duration> {
    let (each, interval) = (section.chooses("resolve", "each"), section.duration("resolve_interval"));
    if !each && section.said("resolve_interval").is_some() {
        section.conflict("resolve_interval", &["resolve"], "needs resolve = \"each\"");
    }
    each.then_some(interval)
}

/// Reads the keys. `has_authorization`: whether the handshakes have an `Authorization` from the key `headers`.
pub(super) fn read(section: &Section<'_>, has_authorization: bool) -> Endpoints {
    let path = section.path_to("endpoints_file");
    let is_set = ["url", "endpoints", "endpoints_file"].map(|name| section.said(name).is_some());
    let mut file = None;
    let mut found = match is_set {
        [false, false, false] => {
            section.missing("url");
            None
        }
        [true, _, _] => section.read("url", url::parse).map(|url| vec![EndpointConfig::new(url)]),
        [false, true, _] => None,
        [false, false, true] => {
            file = path.map(|path| EndpointsFile { path: path.into(), takes_secrets: !has_authorization });
            file.as_ref().and_then(|file| {
                let read = file.read_on(section.host());
                read.map_err(|error| section.problem("endpoints_file", error.at(&file.path))).ok()
            })
        }
    };
    if let [is_one, true, _] = is_set {
        let listed = listed(section);
        found = if is_one { found } else { listed };
    }
    check_source(section, is_set);
    Endpoints { listed: found, file }
}

/// Reports keys that say different things about the servers.
fn check_source(section: &Section<'_>, is_set: [bool; 3]) {
    if let [true, true, _] = is_set {
        section.conflict("endpoints", &["url"], "lists all servers of the upstream: remove url");
    }
    if let [true, _, true] | [_, true, true] = is_set {
        let other = if is_set[0] { "url" } else { "endpoints" };
        let text = format!("lists all servers of the upstream: remove {other}");
        section.conflict("endpoints_file", &[other], text);
    }
}

pub(super) fn listed(section: &Section<'_>) -> Option<Vec<EndpointConfig>> {
    let items = section.items("endpoints");
    if items.is_empty() && !section.is_wrong("endpoints") {
        section.problem("endpoints", "needs at least one server");
    }
    if let Some(item) = items.get(ENDPOINTS_MAX) {
        let text = format!("there are {} servers; an upstream takes at most {ENDPOINTS_MAX}", items.len());
        wrong_item(section, item, text);
        return None;
    }
    let mut endpoints: Vec<EndpointConfig> = Vec::new();
    let (mut known, mut is_complete) = (HashSet::new(), true);
    for item in &items {
        let Some(endpoint) = endpoint(section, item) else {
            is_complete = false;
            continue;
        };
        if !known.insert(endpoint.url.clone()) {
            wrong_item(section, item, "is listed twice".to_owned());
        }
        endpoints.push(endpoint);
    }
    if !endpoints.is_empty() && endpoints.iter().all(|endpoint| endpoint.drain) {
        section.conflict("endpoints", &[], "needs at least one server without drain = true");
    }
    // Clients know the upstream by a server of its first tier.
    endpoints.sort_by_key(|endpoint| (endpoint.drain, endpoint.priority));
    (is_complete && !endpoints.is_empty()).then_some(endpoints)
}

/// Reports a problem with the URL of an item of the list.
fn wrong_item(section: &Section<'_>, item: &Item<'_>, text: String) {
    match item {
        Item::Scalar(number, value) => section.item_problem("endpoints", *number, value, text),
        Item::Table(table) => table.problem("url", text),
    }
}

fn endpoint(section: &Section<'_>, item: &Item<'_>) -> Option<EndpointConfig> {
    match item {
        Item::Scalar(number, value) => match url::parse(value) {
            Ok(url) => Some(EndpointConfig::new(url)),
            Err(text) => {
                section.item_problem("endpoints", *number, value, text);
                None
            }
        },
        Item::Table(table) => {
            let (weight, priority) = (table.count("weight"), table.count("priority"));
            let drain = table.flag("drain");
            table.read("url", url::parse).map(|url| EndpointConfig { url, weight, priority, drain })
        }
    }
}

impl EndpointConfig {
    /// An endpoint with the default weight and priority.
    pub fn new(url: UpstreamUrl) -> Self {
        Self { url, weight: 1, priority: 0, drain: false }
    }
}
