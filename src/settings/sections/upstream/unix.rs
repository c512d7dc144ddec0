//! The URLs of unix sockets: `unix:/run/chat.sock`, or `unix:/run/chat.sock:/ws` with a path for the request.
//!
//! The request goes to the host `localhost`, as it does with other clients that connect to a unix socket.

use std::{os::unix::net::SocketAddr, path::Path};

use super::url::{UpstreamUrl, UrlError, checked};

/// The scheme of the URLs.
const SCHEME: &str = "unix:";

/// The URL of the host to which the request goes.
const HOST: &str = "ws://localhost";

/// The URL of a unix socket, split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnixUrl<'a> {
    /// The path of the socket.
    pub(super) socket: &'a str,
    /// Path and query of the request; `None` if none was written.
    pub(super) request: Option<&'a str>,
}

/// Splits the text of a URL; `None` if it is not that of a unix socket.
pub(super) fn split(text: &str) -> Option<UnixUrl<'_>> {
    let rest = text.strip_prefix(SCHEME)?;
    Some(match rest.split_once(':') {
        Some((socket, request)) => UnixUrl { socket, request: Some(request) },
        None => UnixUrl { socket: rest, request: None },
    })
}

/// Checks the URL of a unix socket.
///
/// # Errors
/// When the path of the socket or that of the request is invalid.
pub(super) fn parse(UnixUrl { socket, request }: UnixUrl<'_>) -> Result<UpstreamUrl, UrlError> {
    let is_absolute = socket.starts_with('/') && !socket.starts_with("//") && !socket.ends_with('/');
    let is_path = is_absolute && !socket.contains(['?', '#', '@', '%']);
    if !is_path || SocketAddr::from_pathname(Path::new(socket)).is_err() {
        return Err(UrlError::Unix);
    }
    let Some(request) = request else {
        let text = format!("{SCHEME}{socket}");
        return Ok(UpstreamUrl::new(&text, &text, false));
    };
    if !request.starts_with('/') {
        return Err(UrlError::Unix);
    }
    let url = checked(&format!("{HOST}{request}"))?;
    let normal = &url[url::Position::BeforePath..];
    let shown = match request.split_once('?') {
        Some((path, _)) => format!("{SCHEME}{socket}:{path}?{}", crate::authority::MASK),
        None => format!("{SCHEME}{socket}:{request}"),
    };
    Ok(UpstreamUrl::new(&format!("{SCHEME}{socket}:{normal}"), &shown, true))
}

impl UnixUrl<'_> {
    /// The URL of the request.
    pub(super) fn request_url(self) -> String {
        format!("{HOST}{}", self.request.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{net::Place, settings::UrlParts};

    #[test]
    fn a_unix_socket_has_a_path_and_a_request() {
        for (text, socket, request, origin, path) in [
            ("unix:/run/chat.sock", "/run/chat.sock", "ws://localhost", "unix:/run/chat.sock", None),
            ("unix:/c:/ws/a", "/c", "ws://localhost/ws/a", "unix:/c:", Some("/ws/a")),
            ("unix:/c:/", "/c", "ws://localhost/", "unix:/c:", Some("/")),
        ] {
            let url = UpstreamUrl::parse(text).unwrap();
            assert_eq!((&*url.text, &*url.shown, &*url.request()), (text, text, request));
            assert_eq!(url.place(), Some(&Place::Path(socket.into())));
            assert_eq!(url.parts(), UrlParts { origin, path, query: None });
            assert_eq!(&*url.at("/x", Some("y")).text, format!("unix:{socket}:/x?y"));
        }
        let secret = UpstreamUrl::parse("unix:/run/c.sock:/a@b?token=1").unwrap();
        assert_eq!(&*secret.shown, "unix:/run/c.sock:/a@b?***");
        assert_eq!(&*secret.request(), "ws://localhost/a@b?token=1");
        assert_eq!(crate::authority::mask("unix:/run/c.sock:/a@b?token=1"), *secret.shown);
        let origin = secret.origin().unwrap();
        assert_eq!((origin.host.as_str(), origin.port), ("localhost", None));
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        let long = format!("unix:/{}", "x".repeat(108));
        for text in [
            "unix:",
            "unix:/",
            "unix:run/a",
            "unix://host/a",
            "unix:/a/",
            "unix:/a?b",
            "unix:/a#b",
            "unix:/a@b",
            "unix:/a%20b",
            "unix:/a:",
            "unix:/a:b",
            "unix:/a::/b",
            &long,
        ] {
            assert_eq!(UpstreamUrl::parse(text), Err(UrlError::Unix), "{text}");
        }
        assert_eq!(UpstreamUrl::parse("unix:/a b"), Err(UrlError::Blank));
        assert_eq!(UpstreamUrl::parse("unix:/a:/b#c"), Err(UrlError::Fragment));
    }
}
