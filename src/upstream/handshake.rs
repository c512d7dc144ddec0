//! The WebSocket handshake with a server (RFC 6455 section 4.1), on a connection of [`net::Connect`](crate::net::Connect).

use actix_http::{
    StatusCode,
    header::{
        AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
        SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
    },
    ws::hash_key,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWriteExt};

use super::{
    DialError,
    refused::Refused,
    request::{secret_header, target},
};
use crate::{
    authority,
    header_list::{elements, has_token, is_hop_by_hop},
    http1::{self, HEAD_MAX, ResponseLines},
    net::{Socket, TlsError, read_through},
    settings::{self, UpstreamUrl},
};

/// Maximum number of interim responses (1xx) before the final one, so that an upstream cannot send them
/// without end.
const INTERIM_MAX: usize = 8;

/// The request of a handshake.
pub(super) struct Request {
    /// The head, which is the whole request.
    head: Vec<u8>,
    /// The `Sec-WebSocket-Accept` of the response.
    accept: [u8; 28],
}

/// A connection after its handshake.
pub(super) struct Upgraded {
    pub(super) socket: Socket,
    /// Bytes that were received after the response.
    pub(super) rest: Bytes,
    /// The subprotocol that the server chose.
    pub(super) protocol: Option<String>,
    /// The headers of the response.
    pub(super) headers: HeaderMap,
}

impl Request {
    /// Creates the request for a WebSocket at `url`. A `Host` among `headers` replaces that of the URL. Hop-by-hop headers
    /// among them are not sent.
    pub(super) fn new(
        settings: &settings::Upstream,
        url: &UpstreamUrl,
        headers: &[(HeaderName, HeaderValue)],
        protocols: &[String],
    ) -> Self {
        let url = url.request();
        let url = authority::split(&url);
        let secret = secret_header(settings, url.userinfo);
        let (host, slash, path) = target(&url);
        let key = STANDARD.encode(rand::random::<[u8; 16]>());
        let mut head = Vec::with_capacity(512);
        for text in ["GET ", slash, path, " HTTP/1.1\r\n"] {
            head.extend_from_slice(text.as_bytes());
        }
        if !headers.iter().any(|(name, _)| *name == HOST) {
            for text in ["Host: ", host, "\r\n"] {
                head.extend_from_slice(text.as_bytes());
            }
        }
        head.extend_from_slice(
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
        );
        head.extend_from_slice(key.as_bytes());
        head.extend_from_slice(b"\r\n");
        if !protocols.is_empty() {
            http1::push_line(&mut head, SEC_WEBSOCKET_PROTOCOL.as_str(), protocols.join(",").as_bytes());
        }
        let replaced = |name: &HeaderName| *name == AUTHORIZATION && secret.is_some();
        for (name, value) in headers.iter().filter(|(name, _)| !replaced(name)).chain(&secret) {
            if !is_hop_by_hop(name.as_str()) {
                http1::push_line(&mut head, name.as_str(), value.as_bytes());
            }
        }
        head.extend_from_slice(b"\r\n");
        Self { head, accept: hash_key(key.as_bytes()) }
    }
}

/// Sends the request, and checks the response. The caller bounds the time.
pub(super) async fn upgrade(
    mut socket: Socket,
    Request { head, accept }: Request,
    protocols: &[String],
) -> Result<Upgraded, DialError> {
    socket.write_all(&head).await?;
    socket.flush().await?;
    drop(head);
    let (ResponseLines { version, status, headers }, rest) = final_response(&mut socket).await?;
    if status != StatusCode::SWITCHING_PROTOCOLS {
        return Err(DialError::Refused(Box::new(Refused::new(version, status, headers, socket, &rest))));
    }
    check_upgrade(&headers, &accept)?;
    let protocol = chosen_protocol(&headers, protocols)?;
    // Copied, because otherwise one byte would keep the buffer of the response alive.
    Ok(Upgraded { socket, rest: Bytes::copy_from_slice(&rest), protocol, headers })
}

/// Reads responses until the final one (RFC 9110 section 15.2). Returns the bytes after it too.
async fn final_response(
    socket: &mut (impl AsyncRead + Unpin),
) -> Result<(ResponseLines, Vec<u8>), DialError> {
    let mut bytes = Vec::new();
    let mut response = next_response(socket, &mut bytes).await?;
    for _ in 0..INTERIM_MAX {
        if !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS {
            break;
        }
        response = next_response(socket, &mut bytes).await?;
    }
    Ok((response, bytes))
}

/// Reads the head of a response, and removes it from `bytes`, which holds what has been read and not used.
async fn next_response(
    socket: &mut (impl AsyncRead + Unpin),
    bytes: &mut Vec<u8>,
) -> Result<ResponseLines, DialError> {
    let mut seen = 0;
    loop {
        // A head ends with a line, so a later piece without one does not complete it.
        if !bytes.is_empty() && (seen == 0 || bytes[seen..].contains(&b'\n')) {
            let read = http1::response_lines(bytes).map_err(|_| DialError::Handshake("no HTTP answer"))?;
            if let Some((response, length)) = read {
                bytes.drain(..length);
                return Ok(response);
            }
        }
        if bytes.len() >= HEAD_MAX {
            return Err(DialError::Handshake("no HTTP answer"));
        }
        seen = bytes.len();
        let reading = read_through(socket, HEAD_MAX - seen, |part| bytes.extend_from_slice(part));
        match reading.await {
            Ok(0) => return Err(DialError::Closed),
            Ok(_) => {}
            Err(error) if error.raw_os_error().is_some() || TlsError::of(&error).is_some() => {
                return Err(error.into());
            }
            // The connection ended in the middle of the head.
            Err(_) => return Err(DialError::Closed),
        }
    }
}

/// Checks that a response with the status 101 completes the handshake (RFC 6455 section 4.1, numbers 2 to 4 of the
/// client's checks). Empty elements of lists are ignored (RFC 9110 section 5.6.1.2).
fn check_upgrade(headers: &HeaderMap, accept: &[u8]) -> Result<(), DialError> {
    let mut upgrade = elements(headers, &UPGRADE);
    match (upgrade.next(), upgrade.next()) {
        (Some(protocol), None) if protocol.eq_ignore_ascii_case(b"websocket") => {}
        _ => return Err(DialError::Handshake("no upgrade to websocket")),
    }
    if has_token(headers, &CONNECTION, "close") || !has_token(headers, &CONNECTION, "upgrade") {
        return Err(DialError::Handshake("connection is not upgraded"));
    }
    let mut accepts = headers.get_all(SEC_WEBSOCKET_ACCEPT);
    match (accepts.next(), accepts.next()) {
        (Some(value), None) if value.as_bytes() == accept => Ok(()),
        _ => Err(DialError::Handshake("wrong accept key")),
    }
}

/// The subprotocol that the server chose; `None` if it chose none (numbers 5 and 6 of the client's checks). The
/// subprotocol of a response is a single value, not a list.
///
/// # Errors
/// When the server chooses something that was not offered.
fn chosen_protocol(headers: &HeaderMap, protocols: &[String]) -> Result<Option<String>, DialError> {
    if elements(headers, &SEC_WEBSOCKET_EXTENSIONS).next().is_some() {
        return Err(DialError::Extension);
    }
    let mut values = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => offered(value, protocols).map(Some).ok_or(DialError::Subprotocol),
        (Some(_), Some(_)) => Err(DialError::Subprotocol),
    }
}

fn offered(value: &HeaderValue, protocols: &[String]) -> Option<String> {
    let chosen = value.to_str().ok()?;
    protocols.iter().find(|protocol| *protocol == chosen).cloned()
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        io,
        iter::Cycle,
        pin::{Pin, pin},
        slice::Iter,
        task::{Context, Poll, Waker},
    };

    use actix_http::header::COOKIE;
    use proptest::prelude::*;
    use tokio::io::ReadBuf;

    use super::*;
    use crate::settings::fixture;

    fn request(url: &str, headers: &[(HeaderName, &'static str)], protocols: &[&str]) -> String {
        let url = UpstreamUrl::parse(url).unwrap();
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        let protocols: Vec<_> = protocols.iter().map(|protocol| (*protocol).to_owned()).collect();
        let Request { head, accept } = Request::new(&fixture::upstream(), &url, &headers, &protocols);
        let head = String::from_utf8(head).unwrap();
        let (before, after) = head.split_once("Sec-WebSocket-Key: ").unwrap();
        let (key, after) = after.split_once("\r\n").unwrap();
        assert_eq!(STANDARD.decode(key).unwrap().len(), 16);
        assert_eq!(hash_key(key.as_bytes()), accept);
        format!("{before}{after}")
    }

    #[test]
    fn the_request_has_the_headers_of_a_handshake_and_others() {
        let own = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        for (url, line, host) in [
            ("ws://h:1", "GET / HTTP/1.1", "h:1"),
            ("ws://h/a?b=c", "GET /a?b=c HTTP/1.1", "h"),
            ("wss://h?b", "GET /?b HTTP/1.1", "h"),
            ("ws://[::1]:9/", "GET / HTTP/1.1", "[::1]:9"),
            ("unix:/run/a.sock:/ws", "GET /ws HTTP/1.1", "localhost"),
        ] {
            assert_eq!(request(url, &[], &[]), format!("{line}\r\nHost: {host}\r\n{own}\r\n"), "{url}");
        }
        let headers = [(HOST, "other"), (UPGRADE, "h2c"), (COOKIE, "a"), (COOKIE, "b")];
        assert_eq!(
            request("ws://h", &headers, &["x", "y"]),
            format!(
                "GET / HTTP/1.1\r\n{own}Sec-WebSocket-Protocol: x,y\r\nHost: other\r\nCookie: a\r\nCookie: b\r\n\r\n"
            ),
        );
        let headers = [(AUTHORIZATION, "of the client")];
        let authorization = "Authorization: Basic dTpw\r\n";
        assert_eq!(
            request("ws://u:p@h/a", &headers, &[]),
            format!("GET /a HTTP/1.1\r\nHost: h\r\n{own}{authorization}\r\n"),
        );
    }

    /// A socket with bytes that arrive in pieces of these sizes, again and again. It then ends.
    struct Pieces<'b> {
        bytes: &'b [u8],
        sizes: Cycle<Iter<'b, usize>>,
    }

    impl AsyncRead for Pieces<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let size = *self.sizes.next().expect("a size");
            let (piece, rest) = self.bytes.split_at(size.min(buffer.remaining()).min(self.bytes.len()));
            buffer.put_slice(piece);
            self.bytes = rest;
            Poll::Ready(Ok(()))
        }
    }

    /// The status of the final response to bytes that arrive in pieces, and all bytes after it, whether they have been read
    /// or not; or the text of the error.
    fn responded(bytes: &[u8], sizes: &[usize]) -> Result<(u16, Vec<u8>), String> {
        let mut socket = Pieces { bytes, sizes: sizes.iter().cycle() };
        let read = pin!(final_response(&mut socket)).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(read) = read else { panic!("all bytes are there") };
        let (response, mut rest) = read.map_err(|error| error.to_string())?;
        rest.extend_from_slice(socket.bytes);
        Ok((response.status.as_u16(), rest))
    }

    const INTERIM: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    const LAST: &str = "HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n";
    const MALFORMED: &str = "handshake failed: no HTTP answer";
    const CLOSED: &str = "handshake failed: connection closed before the answer";

    #[test]
    fn interim_responses_are_skipped_and_bytes_after_the_final_one_are_kept() {
        for piece in [1, 7, 1000] {
            let bytes = format!("{}{LAST}rest", INTERIM.repeat(INTERIM_MAX));
            assert_eq!(responded(bytes.as_bytes(), &[piece]).unwrap(), (101, b"rest".to_vec()));
            let bytes = format!("{}{LAST}", INTERIM.repeat(INTERIM_MAX + 1));
            assert_eq!(responded(bytes.as_bytes(), &[piece]).unwrap(), (103, LAST.into()), "too many");
        }
    }

    #[test]
    fn a_response_may_arrive_in_two_pieces_at_any_byte() {
        let whole = format!("{INTERIM}{LAST}");
        let bytes = format!("{whole}rest");
        for at in 1..bytes.len() {
            let two = responded(bytes.as_bytes(), &[at, bytes.len()]);
            assert_eq!(two.unwrap(), (101, b"rest".to_vec()), "cut at {at}");
            let cut_off = responded(&bytes.as_bytes()[..at], &[at]);
            match bytes[..at].strip_prefix(&*whole) {
                Some(rest) => assert_eq!(cut_off.unwrap(), (101, rest.into())),
                None => assert_eq!(cut_off, Err(CLOSED.to_owned())),
            }
        }
    }

    #[test]
    fn a_head_has_a_maximum_length() {
        for (more, expected) in [(0, Ok((101, b"rest".to_vec()))), (1, Err(MALFORMED.to_owned()))] {
            let filling = "x".repeat(HEAD_MAX - LAST.len() - "C: \r\n".len() + more);
            let longest = LAST.replace("A: b", &format!("A: b\r\nC: {filling}"));
            assert_eq!(longest.len(), HEAD_MAX + more);
            for pieces in [&[1][..], &[1000], &[HEAD_MAX - 1, 1], &[HEAD_MAX]] {
                assert_eq!(responded(format!("{longest}rest").as_bytes(), pieces), expected);
                // The limit is that of each response.
                assert_eq!(responded(format!("{INTERIM}{longest}rest").as_bytes(), pieces), expected);
            }
        }
    }

    #[test]
    fn what_is_no_response_fails() {
        let endless = format!("HTTP/1.1 101 Switching Protocols\r\nA: {}", "x".repeat(HEAD_MAX));
        let many = format!("HTTP/1.1 101 Switching Protocols\r\n{}\r\n", "A: b\r\n".repeat(1000));
        for bytes in ["SSH-2.0", "HTTP/1.1 101 Switching\r\nno colon\r\n\r\n", &endless, &many] {
            for piece in [1, 1000] {
                assert_eq!(responded(bytes.as_bytes(), &[piece]), Err(MALFORMED.to_owned()));
            }
        }
        assert_eq!(responded(b"HTTP/1.1 101 Switching", &[1000]), Err(CLOSED.to_owned()));
        assert_eq!(responded(b"", &[1]), Err(CLOSED.to_owned()));
    }

    proptest! {
        #[test]
        fn the_first_response_that_is_not_interim_is_the_final_one(
            interim in prop::collection::vec((prop::sample::select(vec![100, 102, 103, 199]), "[ -~]{0,40}"), 0..12),
            last in prop::sample::select(vec![101, 200, 204, 302, 403, 503]),
            rest in prop::collection::vec(any::<u8>(), 0..50),
            sizes in prop::collection::vec(1_usize..200, 1..8),
        ) {
            let head = |status: u16, value: &str| format!("HTTP/1.1 {status} Reason\r\nA: {value}\r\n\r\n");
            let mut heads: Vec<_> = interim.iter().map(|(status, value)| (*status, head(*status, value))).collect();
            heads.push((last, head(last, "b")));
            let text = |heads: &[(u16, String)]| heads.iter().map(|(_, head)| &**head).collect::<String>();
            let bytes = [text(&heads).as_bytes(), &rest].concat();
            let used = heads.len().min(INTERIM_MAX + 1);
            let behind = [text(&heads[used..]).as_bytes(), &rest].concat();
            prop_assert_eq!(responded(&bytes, &sizes), Ok((heads[used - 1].0, behind)));
        }

        #[test]
        fn the_pieces_do_not_matter(
            text in r"(HTTP/1\.[01] |10[0-3]|[2-5]00|\r\n|\n|[a-zA-Z]{1,3}|: |:| |\PC){0,30}",
            at in any::<prop::sample::Index>(),
            with in any::<u8>(),
            sizes in prop::collection::vec(1_usize..40, 1..8),
        ) {
            for start in ["", LAST, INTERIM] {
                // A response with another byte in it, and what follows.
                let mut bytes = format!("{start}{text}").into_bytes();
                let changed = responded(&bytes, &[bytes.len().max(1)]).ok();
                prop_assert_eq!(responded(&bytes, &sizes).ok(), changed);
                if !start.is_empty() {
                    bytes[at.index(start.len())] = with;
                    let changed = responded(&bytes, &[bytes.len()]).ok();
                    prop_assert_eq!(responded(&bytes, &sizes).ok(), changed);
                }
            }
        }
    }
}
