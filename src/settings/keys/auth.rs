//! The rows of the table of keys for `[auth.NAME]`.

use std::time::Duration;

use super::{Key, Kind, Preset};

/// Below a second, the issuer gets too many requests. After a day, a key that was withdrawn is used for too long.
const REFRESH: Kind = Kind::Duration(Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));

/// Clocks that differ by more than ten minutes are wrong.
const LEEWAY: Kind = Kind::Duration(Duration::ZERO, Duration::from_secs(600));

/// Bounds of the time in which a service must answer. A client does not wait longer than a minute.
const ANSWER: Kind = Kind::Duration(Duration::from_millis(1), Duration::from_secs(60));

/// The keys of the section: those of all methods, and the tables of the methods.
pub(super) const AUTH: &[Key] = &[
    key("from", Kind::List, Preset::Absent),
    key("forward_as", Kind::Choice(&["authorization"]), Preset::Absent),
    key("renew.path", Kind::Text, Preset::Absent),
    key("renew.value", Kind::Text, Preset::Absent),
    key("renew.token", Kind::Text, Preset::Absent),
    key("jwt.keys", Kind::Path, Preset::Absent),
    key("jwt.jwks_file", Kind::Path, Preset::Absent),
    key("jwt.jwks_url", Kind::Url, Preset::Absent),
    key("jwt.ca", Kind::Path, Preset::Absent),
    key("jwt.refresh", REFRESH, Preset::Text("10m")),
    key("jwt.secret_file", Kind::Path, Preset::Absent),
    key("jwt.algorithms", Kind::List, Preset::List(&[])),
    key("jwt.issuer", Kind::Text, Preset::Absent),
    key("jwt.audience", Kind::List, Preset::List(&[])),
    key("jwt.leeway", LEEWAY, Preset::Text("60s")),
    key("api_keys.file", Kind::Path, Preset::Absent),
    key("api_keys.keys", Kind::Hashes, Preset::Absent),
    key("basic.file", Kind::Path, Preset::Absent),
    key("basic.realm", Kind::Text, Preset::Absent),
    key("client_certificate.subjects", Kind::List, Preset::Absent),
    key("client_certificate.names", Kind::List, Preset::Absent),
    key("forward.url", Kind::Url, Preset::Absent),
    key("forward.ca", Kind::Path, Preset::Absent),
    key("forward.request_headers", Kind::List, Preset::List(&["authorization", "cookie"])),
    key("forward.claims_from", Kind::Values, Preset::Empty),
    key("forward.upstream_headers", Kind::List, Preset::List(&[])),
    key("forward.timeout", ANSWER, Preset::Text("2s")),
    key("forward.max_requests", Kind::Count(1, 10_000), Preset::Count(100)),
];

const fn key(name: &'static str, kind: Kind, preset: Preset) -> Key {
    Key { name, kind, preset }
}
