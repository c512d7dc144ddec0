//! The head of an upstream's response.

use std::mem::MaybeUninit;

use actix_http::{
    Method, StatusCode, Version,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use super::{BadFraming, BodyLength};

/// Maximum length of the head of a response, in bytes: several times what browsers accept.
pub const HEAD_MAX: usize = 64 * 1024;

/// Maximum number of header lines of a response.
const HEADERS_MAX: usize = 128;

/// The end of a head.
const END: &[u8] = b"\r\n\r\n";

/// The head of a response.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The length of the body.
    pub body: BodyLength,
}

/// Status line and headers of a response.
#[derive(Debug)]
pub struct ResponseLines {
    /// HTTP/1.1 or HTTP/1.0.
    pub version: Version,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
}

/// Finds the end of a head as its bytes arrive, and reads each byte once.
#[derive(Debug, Default)]
pub struct ResponseReader {
    /// Number of bytes that are known to contain no end.
    seen: usize,
}

/// Why a response cannot be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadResponse {
    /// The head is not that of a response of HTTP/1.
    #[error("the upstream did not answer with HTTP/1.1")]
    Malformed,
    /// The head is longer than [`HEAD_MAX`], or has more than 128 lines.
    #[error("the head of the upstream's answer is too large")]
    TooLarge,
    /// The end of the body is uncertain.
    #[error("the upstream's answer has {0}")]
    Framing(#[from] BadFraming),
    /// The upstream switches protocols, although the request does not ask for that.
    #[error("the upstream switched protocols")]
    Switched,
}

impl ResponseReader {
    /// The head at the beginning of `bytes`, which holds everything received so far, and its length; `None` if it is
    /// incomplete. `method` is that of the request.
    ///
    /// # Errors
    /// See [`BadResponse`].
    pub fn read(
        &mut self,
        bytes: &[u8],
        method: &Method,
    ) -> Result<Option<(ResponseHead, usize)>, BadResponse> {
        let from = self.seen.saturating_sub(END.len() - 1);
        let Some(at) = bytes[from..].windows(END.len()).position(|window| window == END) else {
            self.seen = bytes.len();
            return if bytes.len() < HEAD_MAX { Ok(None) } else { Err(BadResponse::TooLarge) };
        };
        let length = from + at + END.len();
        self.seen = 0;
        if length > HEAD_MAX {
            return Err(BadResponse::TooLarge);
        }
        Ok(Some((parse(&bytes[..length], method)?, length)))
    }
}

fn parse(head: &[u8], method: &Method) -> Result<ResponseHead, BadResponse> {
    let ResponseLines { version, status, headers } = match response_lines(head)? {
        Some((lines, length)) if length == head.len() => lines,
        _ => return Err(BadResponse::Malformed),
    };
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(BadResponse::Switched);
    }
    let body = BodyLength::of_response(method, status, &headers)?;
    if body == BodyLength::Chunked && version != Version::HTTP_11 {
        // RFC 9112 section 6.1: the framing of such a message counts as faulty.
        return Err(BadFraming::Coding.into());
    }
    Ok(ResponseHead { status, headers, body })
}

/// The head at the beginning of `bytes`, whatever its status is, and its length; `None` if it is incomplete.
///
/// # Errors
/// When it is not the head of a response of HTTP/1, or has more than 128 lines.
pub fn response_lines(bytes: &[u8]) -> Result<Option<(ResponseLines, usize)>, BadResponse> {
    let mut lines = [MaybeUninit::uninit(); HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut response, bytes, &mut lines) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(BadResponse::TooLarge),
        Err(_) => return Err(BadResponse::Malformed),
    };
    let status =
        response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(BadResponse::Malformed)?;
    let version = if response.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for line in response.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| BadResponse::Malformed)?;
        let value = HeaderValue::from_bytes(line.value).map_err(|_| BadResponse::Malformed)?;
        headers.append(name, value);
    }
    Ok(Some((ResponseLines { version, status, headers }, length)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<(u16, BodyLength, usize)>, BadResponse> {
        let found = ResponseReader::default().read(bytes, &Method::GET)?;
        Ok(found.map(|(head, length)| (head.status.as_u16(), head.body, length)))
    }

    #[test]
    fn a_head_has_status_headers_and_framing() {
        for (bytes, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Some((200, BodyLength::Sized(5), 38))),
            ("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", Some((200, BodyLength::Chunked, 44))),
            ("HTTP/1.0 500 Oops\r\n\r\n", Some((500, BodyLength::UntilEnd, 21))),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1", Some((100, BodyLength::None, 25))),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", None),
        ] {
            assert_eq!(read(bytes.as_bytes()), Ok(expected), "{bytes}");
        }
    }

    #[test]
    fn other_heads_are_refused() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(HEAD_MAX));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        for (bytes, expected) in [
            ("SSH-2.0-x\r\n\r\n", BadResponse::Malformed),
            ("HTTP/2 200 OK\r\n\r\n", BadResponse::Malformed),
            ("HTTP/1.1 99 OK\r\n\r\n", BadResponse::Malformed),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", BadResponse::Malformed),
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", BadResponse::Malformed),
            ("HTTP/1.1 200 OK\n\nHTTP/1.1 200 OK\r\n\r\n", BadResponse::Malformed),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", BadResponse::Switched),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                BadResponse::Framing(BadFraming::Both),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                BadResponse::Framing(BadFraming::Length),
            ),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                BadResponse::Framing(BadFraming::Coding),
            ),
            (&long, BadResponse::TooLarge),
            (&many, BadResponse::TooLarge),
        ] {
            assert_eq!(read(bytes.as_bytes()), Err(expected), "{}", &bytes[..bytes.len().min(80)]);
        }
    }

    proptest! {
        #[test]
        fn a_head_is_the_same_in_any_pieces(
            parts in proptest::collection::vec(prop_oneof![
                Just(b"HTTP/1.1 200 OK\r\n".to_vec()), Just(b"\r\n".to_vec()), Just(b"\r".to_vec()), Just(b"a: b\r\n".to_vec()),
                proptest::collection::vec(any::<u8>(), 1..3)], 0..10),
        ) {
            let bytes = parts.concat();
            let whole = read(&bytes);
            let mut reader = ResponseReader::default();
            let mut piecewise = Ok(None);
            for end in 0..=bytes.len() {
                piecewise = reader.read(&bytes[..end], &Method::GET);
                if !matches!(piecewise, Ok(None)) { break; }
            }
            let piecewise = piecewise.map(|found| found.map(|(head, length)| (head.status.as_u16(), head.body, length)));
            prop_assert_eq!(piecewise, whole);
        }
    }
}
