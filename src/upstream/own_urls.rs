//! The URLs of an upstream's endpoints, for the events that name a server by `$url`.

use std::collections::{HashMap, HashSet};

use super::ClientPath;
use crate::settings::UpstreamUrl;

/// The URLs of the endpoints, by server: an event's URL is compared with those of the same server only.
#[derive(Debug, Default)]
pub(super) struct OwnUrls(HashMap<Box<str>, HashSet<UpstreamUrl>>);

impl OwnUrls {
    /// The URLs of endpoints. All addresses of a name have the same URL.
    pub(super) fn of<'a>(endpoints: impl Iterator<Item = &'a UpstreamUrl>) -> Self {
        let mut urls = HashMap::<Box<str>, HashSet<_>>::new();
        for url in endpoints {
            urls.entry(UpstreamUrl::server(&url.text).into()).or_default().insert(url.without_address());
        }
        Self(urls)
    }

    /// Whether `text` is the URL of a connection to an endpoint, for a client that requested `path`.
    pub(super) fn has(&self, text: &str, path: &ClientPath) -> bool {
        let urls = self.0.get(UpstreamUrl::server(text));
        urls.is_some_and(|urls| urls.iter().any(|url| path.is_at(url, text)))
    }
}

#[cfg(test)]
mod tests {
    use actix_http::Uri;

    use super::*;
    use crate::settings::fixture;

    /// The URL of each connection is found, and it is compared with those of the same server only.
    #[test]
    fn the_url_of_each_connection_is_own() {
        let urls = [
            "ws://a",
            "ws://a:81/ws",
            "ws://me:secret@a",
            "wss://a/?token=1",
            "WS://B",
            "unix:/run/c.sock",
            "unix:/run/d.sock:/ws?token=1",
        ];
        let urls = urls.map(|url| UpstreamUrl::parse(url).unwrap());
        let addressed = (1..100).map(|last| urls[0].with_address([10, 0, 0, last].into()));
        let endpoints: Vec<_> = urls.iter().cloned().chain(addressed).collect();
        let own = OwnUrls::of(endpoints.iter());
        assert!(own.0.values().all(|urls| urls.len() == 1), "{own:?}");
        let (route, mut upstream) = (fixture::route(None, "/"), fixture::upstream());
        for forward_path in [true, false] {
            upstream.forward_path = forward_path;
            for request in ["/", "/x", "/x?y=:z"] {
                let path = ClientPath::new(&route, &upstream, &Uri::from_static(request)).unwrap();
                for url in &endpoints {
                    let at = path.at(url).unwrap().text.clone();
                    assert!(own.has(&at, &path), "{at}");
                    assert!(!own.has(&format!("{at}/other"), &path), "{at}");
                }
                for other in ["", "ws://", "ws://c", "unix:", "unix:/run/c.socket", "ws://a:82", "ws://b@a"] {
                    assert!(!own.has(other, &path), "{other}");
                }
            }
        }
    }
}
