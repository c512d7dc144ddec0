//! User and password of an upstream's URL, and the `Authorization` header made from them (RFC 7617).

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;

use crate::authority;

/// The error for a user or password that cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("user and password are percent-encoded UTF-8 without control characters, and the user has no colon")]
pub struct BadUserinfo;

/// Splits a URL into the URL without userinfo and the percent-encoded userinfo, which is empty for
/// `ws://@host`, and `None` without an `@`.
pub fn split(url: &str) -> (Cow<'_, str>, Option<&str>) {
    let parts = authority::split(url);
    match parts.userinfo {
        Some(userinfo) => (format!("{}{}{}", parts.scheme, parts.host, parts.tail).into(), Some(userinfo)),
        None => (url.into(), None),
    }
}

/// Joins a URL and a userinfo. This is the inverse of [`split`].
pub fn join(url: &str, userinfo: Option<&str>) -> String {
    match userinfo {
        Some(userinfo) => url.replacen("://", &format!("://{userinfo}@"), 1),
        None => url.to_owned(),
    }
}

/// The value of the header `Authorization` for a userinfo; `None` when user and password are empty.
///
/// # Errors
/// When user or password contain bytes that the header cannot carry.
pub fn authorization(userinfo: &str) -> Result<Option<String>, BadUserinfo> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let [user, password] = [user, password].map(|part| percent_decode_str(part).decode_utf8());
    let (user, password) = (user.map_err(|_| BadUserinfo)?, password.map_err(|_| BadUserinfo)?);
    if user.contains(':') || user.chars().chain(password.chars()).any(char::is_control) {
        return Err(BadUserinfo);
    }
    let is_empty = user.is_empty() && password.is_empty();
    Ok((!is_empty).then(|| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn user_and_password_become_an_authorization_header() {
        let table = [
            // RFC 7617 sections 2 and 2.1
            ("Aladdin:open%20sesame", Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")),
            ("test:123%C2%A3", Some("Basic dGVzdDoxMjPCow==")),
            ("user", Some("Basic dXNlcjo=")),
            (":token", Some("Basic OnRva2Vu")),
            ("a:b:c", Some("Basic YTpiOmM=")),
            ("a:b%3Ac%40", Some("Basic YTpiOmNA")),
            ("", None),
            (":", None),
        ];
        for (userinfo, header) in table {
            assert_eq!(authorization(userinfo), Ok(header.map(str::to_owned)), "{userinfo}");
        }
        for userinfo in ["a%3Ab:c", "a%0D%0A:c", "a:%00", "a:%7F", "%FF:c", "a:%C2"] {
            assert_eq!(authorization(userinfo), Err(BadUserinfo), "{userinfo}");
        }
    }

    #[test]
    fn the_rest_of_the_url_is_unchanged() {
        let table = [
            ("ws://h", "ws://h", None),
            ("ws://u:p@h:1/a@b?c@d", "ws://h:1/a@b?c@d", Some("u:p")),
            ("ws://h/a@b", "ws://h/a@b", None),
            ("ws://h?a@b", "ws://h?a@b", None),
            ("ws://u@[::1]:1", "ws://[::1]:1", Some("u")),
            ("ws://@h/", "ws://h/", Some("")),
        ];
        for (url, rest, userinfo) in table {
            assert_eq!(split(url), (rest.into(), userinfo), "{url}");
            assert_eq!(join(rest, userinfo), url);
        }
    }

    proptest! {
        #[test]
        fn user_and_password_are_removed_from_the_url(
            userinfo in "[a-z%:]{0,8}", host in "[a-z]{1,5}(:[1-9]{1,4})?", rest in "(/[a-z@:/?]{0,9})?"
        ) {
            let url = format!("ws://{userinfo}@{host}{rest}");
            let (bare, found) = split(&url);
            prop_assert_eq!(bare.as_ref(), format!("ws://{host}{rest}"));
            prop_assert_eq!(found, Some(userinfo.as_str()));
        }
    }
}
