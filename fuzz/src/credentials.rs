//! Fuzzes credentials in requests, and the tokens among them.
//!
//! An input is lines: a request target, a header `Cookie`, a header `Authorization`, and a list of subprotocols.

use std::sync::Arc;

use actix_http::{
    Uri,
    header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue},
};
use towline::{
    auth::{
        CREDENTIAL_MAX, Hidden, Source, find,
        jwt::{KeySet, Rules, verify},
    },
    router::Request,
};

/// The key of RFC 7515 appendix A.1.
const KEYS: &str = r#"{"keys": [{"kty":"oct",
    "k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;

/// The claims of the only token that is valid.
const SUBJECT: &str = "joe";

const SOURCES: [&str; 4] = ["authorization", "subprotocol:bearer.", "cookie:session", "query:token"];

/// Whatever a request has, the extraction finds one credential, none, or an error; what it finds is visible ASCII of
/// bounded length; no trace of a credential is left in the query and the subprotocols; and only the token of RFC 7515 is
/// accepted.
pub fn run(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let Ok(uri) = Uri::try_from(line()) else { return };
    if !uri.path().starts_with('/') {
        return;
    }
    let mut headers = HeaderMap::new();
    for name in [COOKIE, AUTHORIZATION] {
        if let Ok(value) = HeaderValue::from_bytes(line()) {
            headers.append(name, value);
        }
    }
    let subprotocols: Vec<_> = String::from_utf8_lossy(line()).split(',').map(str::to_owned).collect();
    let request = Request {
        listener: "ws",
        uri: &uri,
        headers: &headers,
        subprotocols: &subprotocols,
        peer: [127, 0, 0, 1].into(),
        tls_name: None,
        is_plain: false,
    };
    check(&request);
}

fn check(request: &Request<'_>) {
    let sources: Vec<_> = SOURCES.iter().map(|text| Source::parse(text).expect("a source")).collect();
    let keys = KeySet::from_jwks(KEYS, &[], true).expect("a set of keys");
    let rules = Rules { issuers: Box::default(), audiences: Box::default(), leeway: 0 };
    for source in &sources {
        let Ok(Some(found)) = find(std::slice::from_ref(source), request) else { continue };
        let text = found.secret.expose();
        assert!(!text.is_empty() && text.len() <= CREDENTIAL_MAX);
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(format!("{found:?}").matches("***").count(), 1, "a credential is masked");
        if let Ok(identity) = verify(&Arc::from("users"), &found.secret, &keys, &rules, 0) {
            assert_eq!(identity.claim("iss").and_then(|issuer| issuer.as_str()), Some(SUBJECT));
        }
    }
    let hidden = Hidden::new(&sources, request);
    let left = Request { uri: &hidden.uri, subprotocols: &hidden.subprotocols, ..*request };
    for source in [&sources[1], &sources[3]] {
        assert_eq!(find(std::slice::from_ref(source), &left), Ok(None), "it is removed");
    }
    assert_eq!(hidden.uri.path(), request.uri.path());
    let again = Hidden::new(&sources, &left);
    assert_eq!((again.uri, again.subprotocols), (hidden.uri.clone(), hidden.subprotocols.clone()));
}
