//! The key that keeps a client's connections at one endpoint (`balance = "hash"`).

use std::sync::Arc;

use super::context::RequestContext;
use crate::{
    auth::text_of,
    policy::{Balance, HashKey, PoolPolicy},
    router::{cookies, parameters},
    upstream::{SessionKey, balance::hash},
};

/// What selects the endpoint: the part of the request that the policy names, or the first message.
pub(super) fn key(context: &RequestContext, policy: &PoolPolicy) -> SessionKey {
    match &policy.hash {
        _ if policy.balance != Balance::Hash => SessionKey::known(None),
        HashKey::Message(path) => SessionKey::of_first_message(Arc::clone(path)),
        part => SessionKey::known(hash_of(context, part)),
    }
}

/// The hash of a part of the request; `None` where the request does not have it.
fn hash_of(context: &RequestContext, part: &HashKey) -> Option<u64> {
    let (headers, uri) = (&context.head.headers, &context.head.uri);
    match part {
        HashKey::Peer => Some(hash(context.peer.ip().to_string().as_bytes())),
        HashKey::Path => Some(hash(context.path().as_bytes())),
        HashKey::Header(name) => Some(hash(headers.get(name)?.as_bytes())),
        HashKey::Cookie(name) => cookies(headers, name).next().map(hash),
        HashKey::Query(name) => parameters(uri.query()?, name).next().map(|value| hash(value.as_bytes())),
        HashKey::Claim(name) => {
            let value = context.identity.as_ref()?.claim(name)?;
            Some(hash(text_of(value).as_bytes()))
        }
        HashKey::Message(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use actix_http::{
        RequestHead,
        header::{COOKIE, HeaderName, HeaderValue},
    };

    use super::*;

    fn key_of(by: HashKey) -> Option<u64> {
        let mut head = RequestHead::default();
        head.uri = "/chat?room=a%20b&user=".parse().unwrap();
        head.headers.insert(HeaderName::from_static("x-user"), HeaderValue::from_static("me"));
        head.headers.insert(COOKIE, HeaderValue::from_static("first=1; session=abc ;last=2"));
        let context = RequestContext::direct(head, ([10, 0, 0, 1], 7).into());
        key(&context, &PoolPolicy { balance: Balance::Hash, hash: by, ..PoolPolicy::default() }).get()
    }

    #[test]
    fn the_key_is_the_value_that_the_setting_names() {
        let name = str::to_owned;
        for (by, value) in [
            (HashKey::Peer, Some("10.0.0.1")),
            (HashKey::Path, Some("/chat")),
            (HashKey::Header(name("x-user")), Some("me")),
            (HashKey::Header(name("x-other")), None),
            (HashKey::Cookie(name("session")), Some("abc")),
            (HashKey::Cookie(name("last")), Some("2")),
            (HashKey::Cookie(name("sess")), None),
            (HashKey::Query(name("room")), Some("a b")),
            (HashKey::Query(name("user")), Some("")),
            (HashKey::Query(name("other")), None),
        ] {
            assert_eq!(key_of(by.clone()), value.map(|value| hash(value.as_bytes())), "{by:?}");
        }
    }
}
