//! How the end of a body is found (RFC 9112 section 6.3).

use actix_http::{
    Method, StatusCode,
    header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING},
};

/// The length of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    None,
    /// The body has this many bytes.
    Sized(u64),
    /// The body consists of chunks.
    Chunked,
    /// The body of a response ends with the connection.
    UntilEnd,
}

/// Why the end of a body cannot be found for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFraming {
    /// Both `Content-Length` and `Transfer-Encoding`.
    #[error("both Content-Length and Transfer-Encoding")]
    Both,
    /// A `Content-Length` that is not one number.
    #[error("malformed Content-Length")]
    Length,
    /// A `Transfer-Encoding` other than `chunked`.
    #[error("a Transfer-Encoding other than chunked")]
    Coding,
}

impl BodyLength {
    /// The length of a request's body.
    ///
    /// # Errors
    /// When the headers contradict each other or are unusual, because another server might read them differently.
    pub fn of_request(headers: &HeaderMap) -> Result<Self, BadFraming> {
        Ok(declared(headers)?.unwrap_or(Self::None))
    }

    /// The length of the body of a response to a request with this method.
    ///
    /// # Errors
    /// As for requests.
    pub fn of_response(method: &Method, status: StatusCode, headers: &HeaderMap) -> Result<Self, BadFraming> {
        let is_empty = *method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let declared = declared(headers)?;
        Ok(if is_empty { Self::None } else { declared.unwrap_or(Self::UntilEnd) })
    }
}

/// The length that the headers declare; `None` if they declare none.
fn declared(headers: &HeaderMap) -> Result<Option<BodyLength>, BadFraming> {
    let mut codings = headers.get_all(TRANSFER_ENCODING);
    let mut lengths = headers.get_all(CONTENT_LENGTH);
    match (codings.next(), codings.next(), lengths.next(), lengths.next()) {
        (None, None, None, None) => Ok(None),
        (None, None, Some(length), None) => length_of(length.as_bytes()).map(BodyLength::Sized).map(Some),
        (None, None, ..) => Err(BadFraming::Length),
        (Some(_), _, Some(_), _) => Err(BadFraming::Both),
        (Some(coding), None, None, _) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok(Some(BodyLength::Chunked))
        }
        (Some(_), _, None, _) | (None, Some(_), ..) => Err(BadFraming::Coding),
    }
}

fn length_of(value: &[u8]) -> Result<u64, BadFraming> {
    let digits = str::from_utf8(value).ok().filter(|_| value.iter().all(u8::is_ascii_digit));
    digits.and_then(|digits| digits.parse().ok()).ok_or(BadFraming::Length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header_list::header_map as headers;

    const LENGTH: &str = "content-length";
    const CODING: &str = "transfer-encoding";

    #[test]
    fn the_framing_of_a_request_is_certain_or_refused() {
        for (lines, expected) in [
            (&[][..], Ok(BodyLength::None)),
            (&[(LENGTH, "0")], Ok(BodyLength::Sized(0))),
            (&[(LENGTH, "12")], Ok(BodyLength::Sized(12))),
            (&[(LENGTH, "18446744073709551615")], Ok(BodyLength::Sized(u64::MAX))),
            (&[(LENGTH, "18446744073709551616")], Err(BadFraming::Length)),
            (&[(LENGTH, "+1")], Err(BadFraming::Length)),
            (&[(LENGTH, "-1")], Err(BadFraming::Length)),
            (&[(LENGTH, "0x5")], Err(BadFraming::Length)),
            (&[(LENGTH, "5 ")], Err(BadFraming::Length)),
            (&[(LENGTH, "5, 5")], Err(BadFraming::Length)),
            (&[(LENGTH, "")], Err(BadFraming::Length)),
            (&[(LENGTH, "5"), (LENGTH, "5")], Err(BadFraming::Length)),
            (&[(CODING, "chunked")], Ok(BodyLength::Chunked)),
            (&[(CODING, "Chunked")], Ok(BodyLength::Chunked)),
            (&[(CODING, "gzip, chunked")], Err(BadFraming::Coding)),
            (&[(CODING, "chunked, identity")], Err(BadFraming::Coding)),
            (&[(CODING, "xchunked")], Err(BadFraming::Coding)),
            (&[(CODING, "chunked;a=b")], Err(BadFraming::Coding)),
            (&[(CODING, "\"chunked\"")], Err(BadFraming::Coding)),
            (&[(CODING, "")], Err(BadFraming::Coding)),
            (&[(CODING, "chunked"), (CODING, "chunked")], Err(BadFraming::Coding)),
            (&[(CODING, "chunked"), (CODING, "identity")], Err(BadFraming::Coding)),
            (&[(CODING, "chunked"), (LENGTH, "5")], Err(BadFraming::Both)),
            (&[(CODING, "identity"), (LENGTH, "5")], Err(BadFraming::Both)),
        ] {
            assert_eq!(BodyLength::of_request(&headers(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn some_responses_have_no_body() {
        let sized = headers(&[(LENGTH, "5")]);
        let length = |method, status, headers: &HeaderMap| BodyLength::of_response(&method, status, headers);
        assert_eq!(length(Method::GET, StatusCode::OK, &sized), Ok(BodyLength::Sized(5)));
        assert_eq!(length(Method::GET, StatusCode::OK, &HeaderMap::new()), Ok(BodyLength::UntilEnd));
        for (method, status) in [
            (Method::HEAD, StatusCode::OK),
            (Method::GET, StatusCode::NO_CONTENT),
            (Method::GET, StatusCode::NOT_MODIFIED),
            (Method::GET, StatusCode::CONTINUE),
        ] {
            assert_eq!(length(method, status, &sized), Ok(BodyLength::None));
        }
        let both = headers(&[(LENGTH, "5"), (CODING, "chunked")]);
        assert_eq!(length(Method::GET, StatusCode::OK, &both), Err(BadFraming::Both));
    }
}
