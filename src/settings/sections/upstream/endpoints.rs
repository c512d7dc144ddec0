//! The servers of an upstream: the keys `url` and `endpoints`.

use super::url::{self, UpstreamUrl};
use crate::settings::read::{Item, Section};

/// An endpoint in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointConfig {
    /// Its URL.
    pub url: UpstreamUrl,
    /// Its share of the connections, relative to the others; at least 1.
    pub weight: u32,
    /// Endpoints with a larger number are used only while none with a smaller number can be.
    pub priority: u32,
}

/// Reads the keys. The first endpoint is the one by which clients know the upstream; `None` when there is none or one
/// is invalid.
pub(super) fn read(section: &Section<'_>) -> Option<Vec<EndpointConfig>> {
    match (section.said("url"), section.said("endpoints")) {
        (None, None) => {
            section.missing("url");
            None
        }
        (Some(_), None) => section.read("url", url::parse).map(|url| vec![EndpointConfig::new(url)]),
        (None, Some(_)) => listed(section),
        (Some(_), Some(_)) => {
            let url = section.read("url", url::parse);
            listed(section);
            section.conflict("endpoints", &["url"], "lists all servers of the upstream: remove url");
            url.map(|url| vec![EndpointConfig::new(url)])
        }
    }
}

fn listed(section: &Section<'_>) -> Option<Vec<EndpointConfig>> {
    let items = section.items("endpoints");
    if items.is_empty() && !section.is_wrong("endpoints") {
        section.problem("endpoints", "needs at least one server");
    }
    let mut endpoints: Vec<EndpointConfig> = Vec::new();
    let mut is_complete = true;
    for item in &items {
        let Some(endpoint) = endpoint(section, item) else {
            is_complete = false;
            continue;
        };
        if endpoints.iter().any(|known| known.url == endpoint.url) {
            match item {
                Item::Scalar(number, value) => {
                    section.item_problem("endpoints", *number, value, "is listed twice");
                }
                Item::Table(table) => table.problem("url", "is listed twice"),
            }
        }
        endpoints.push(endpoint);
    }
    // Clients know the upstream by a server of its first tier.
    endpoints.sort_by_key(|endpoint| endpoint.priority);
    (is_complete && !endpoints.is_empty()).then_some(endpoints)
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
            table.read("url", url::parse).map(|url| EndpointConfig { url, weight, priority })
        }
    }
}

impl EndpointConfig {
    /// An endpoint with the default weight and priority.
    pub fn new(url: UpstreamUrl) -> Self {
        Self { url, weight: 1, priority: 0 }
    }
}
