//! Tests that the sections `[auth.NAME]` and the keys of routes about them take effect.

use super::*;
use crate::{
    auth::{
        KeySource, MethodConfig, RenewalRule, Requirement, Secret, Source,
        jwt::{Algorithm, KeySet, Rules},
    },
    event,
};

const KEYS: &str = r#"
[auth.partners]
from = ["header:X-Api-Key", "query:key"]
forward_as = "authorization"
api_keys.keys = { a = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08:scope=read" }
"#;

/// `MINIMAL` with a section, whose method its route uses with `lines`.
fn with(section: &str, lines: &str) -> Settings {
    load(&format!("{MINIMAL}{lines}\n{section}"), &[]).unwrap()
}

#[test]
fn messages_that_renew() {
    let keys = format!("{KEYS}\nrenew = {{ path = \"auth.kind\", value = \"renew\", token = \"token\" }}\n");
    let settings = with(&keys, "auth = [\"partners\"]");
    let path = ["auth", "kind"].map(str::to_owned).into();
    let expected = RenewalRule { path, value: "renew".to_owned(), token: ["token".to_owned()].into() };
    assert_eq!(settings.auth["partners"].renew.as_ref(), Some(&expected));
}

#[test]
fn the_expiry_of_sessions_and_the_log_of_a_route() {
    let keys = "auth = [\"partners\"]\nlog_claims = [\"sub\", \"team\"]\nsession_expiry = { lead = \"1m\", skew = \"5s\", \
                code = 4401, reason = \"sign in\" }\nlimits = [{ by = \"claim:team\", max_sessions = 3 }]";
    let settings = with(KEYS, keys);
    let route = &settings.routes[0];
    let [lead, skew] = [60, 5].map(Duration::from_secs);
    let reason = "sign in".to_owned();
    let expected = LifetimePolicy { lead, skew, code: 4401, reason, ..LifetimePolicy::default() };
    assert_eq!(*route.lifetime, expected);
    assert_eq!(*route.log_claims, ["sub".to_owned(), "team".to_owned()]);
    assert_eq!(route.limits[0].by, LimitKey::Claim("team".to_owned()));
}

#[test]
fn api_keys_in_the_settings() {
    let settings = with(
        KEYS,
        "auth = [\"partners\"]\nrequire = { scope = [\"read\", \"write\"], admin = [true], level = [2] }",
    );
    let route = &settings.routes[0];
    let [partners] = route.auth.as_slice() else { panic!("one method") };
    assert_eq!((&*partners.name, partners.forwards), ("partners", true));
    let from = [Source::Header("x-api-key".to_owned()), Source::Query("key".to_owned())];
    assert_eq!((&*partners.from, &*route.credentials), (&from[..], &from[..]));
    let MethodConfig::ApiKeys(keys) = &partners.method else { panic!("{partners:?}") };
    let identity = keys.keys.identify(&partners.name, &Secret::from("test")).unwrap();
    assert_eq!(identity.claim("scope"), Some(&event::Value::string("read")));
    let required =
        |claim: &str, values: &[event::Value]| Requirement { claim: claim.to_owned(), values: values.into() };
    let text = event::Value::string;
    assert_eq!(
        *route.require,
        [
            required("scope", &[text("read"), text("write")]),
            required("admin", &[event::Value::Bool(true)]),
            required("level", &[event::Value::Int(2)]),
        ]
    );
    assert_eq!(settings.unused(), ["pipeline.pass"]);
    assert_eq!(with(KEYS, "").unused(), ["auth.partners", "pipeline.pass"]);
}

#[test]
fn defaults_of_a_method() {
    let keys = KEYS.lines().filter(|line| !line.starts_with("from") && !line.starts_with("forward"));
    let settings = with(&keys.collect::<Vec<_>>().join("\n"), "");
    let partners = &settings.auth["partners"];
    assert_eq!((&*partners.from, partners.forwards), (&[Source::Authorization][..], false));
    let route = &settings.routes[0];
    assert!(route.auth.is_empty() && route.require.is_empty() && route.credentials.is_empty());
}

#[test]
fn api_keys_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    std::fs::write(folder.path().join("keys"), format!("a:sha256:{hash}\n")).unwrap();
    let file = folder.path().join("towline.toml");
    std::fs::write(&file, format!("{MINIMAL}[auth.partners]\napi_keys.file = \"keys\"\n")).unwrap();
    let settings = Settings::load(Some(&file), std::iter::empty()).unwrap();
    let MethodConfig::ApiKeys(keys) = &settings.auth["partners"].method else { panic!("no keys") };
    assert_eq!((keys.file.clone(), keys.keys.count()), (Some(folder.path().join("keys")), 1));
}

#[test]
fn a_hash_can_be_set_by_a_variable_and_is_never_shown() {
    let hash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let text = format!("{MINIMAL}auth = [\"partners\"]\n{KEYS}");
    let layers = layers(&text, &[("TOWLINE__AUTH__PARTNERS__API_KEYS__KEYS__B", hash)]).unwrap();
    let MethodConfig::ApiKeys(keys) = &check(&layers).unwrap().auth["partners"].method else { panic!() };
    assert_eq!(keys.keys.count(), 2);
    let report = report(&layers, Extent::All);
    assert!(report.contains("api_keys.keys.a = \"***\""), "{report}");
    assert!(!report.contains("9f86") && !report.contains("e3b0"), "{report}");
}

#[test]
fn a_claim_can_select_the_endpoint() {
    let text = with(KEYS, "auth = [\"partners\"]");
    assert_eq!(text.upstreams["echo"].pool.hash, HashKey::Peer);
    let text = MINIMAL.replace("[pipeline", "balance = \"hash\"\nhash = \"claim:sub\"\n[pipeline");
    let settings = load(&format!("{text}auth = [\"partners\"]\n{KEYS}"), &[]).unwrap();
    assert_eq!(settings.upstreams["echo"].pool.hash, HashKey::Claim("sub".to_owned()));
}

#[test]
fn tokens_of_an_issuer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("towline.toml");
    let secret = "a secret of at least thirty-two bytes";
    std::fs::write(folder.path().join("secret"), format!("{secret}\n")).unwrap();
    let lines = "jwt = { secret_file = \"secret\", algorithms = [\"HS256\"], issuer = \"https://id.test\", \
                 audience = [\"a\", \"b\"], leeway = \"5s\" }";
    std::fs::write(&file, format!("{MINIMAL}auth = [\"users\"]\n[auth.users]\n{lines}\n")).unwrap();
    let settings = Settings::load(Some(&file), std::iter::empty()).unwrap();
    let MethodConfig::Jwt(jwt) = &settings.auth["users"].method else { panic!("no tokens") };
    assert!(matches!(jwt.source, KeySource::Secret(_)));
    assert_eq!(jwt.source.path(), Some(&*folder.path().join("secret")));
    let audiences = ["a".to_owned(), "b".to_owned()].into();
    let rules = Rules { issuers: ["https://id.test".to_owned()].into(), audiences, leeway: 5 };
    assert_eq!((&jwt.rules, &*jwt.algorithms), (&rules, &[Algorithm::Hs256][..]));
    assert_eq!(jwt.keys, KeySet::of_secret(secret, &[Algorithm::Hs256]).unwrap());
    assert!(!format!("{settings:?}").contains(secret));
}

#[test]
fn keys_of_an_issuer_at_a_url() {
    let lines = "[auth.users]\njwt = { jwks_url = \"http://id.test:81/keys?a=hidden\", refresh = \"1m\" }\n";
    let settings = with(lines, "auth = [\"users\"]");
    let MethodConfig::Jwt(jwt) = &settings.auth["users"].method else { panic!("no tokens") };
    let KeySource::Url(jwks) = &jwt.source else { panic!("no URL") };
    assert_eq!((jwks.refresh, jwks.tls.is_none()), (Duration::from_secs(60), true));
    assert_eq!(jwks.url.request.to_string(), "http://id.test:81/keys?a=hidden");
    assert!(!format!("{settings:?}").contains("hidden"));
    let secure = with("[auth.users]\njwt.jwks_url = \"https://id.test/\"\n", "");
    let MethodConfig::Jwt(jwt) = &secure.auth["users"].method else { panic!("no tokens") };
    let KeySource::Url(jwks) = &jwt.source else { panic!("no URL") };
    assert!(jwks.tls.is_some() && jwks.refresh == Duration::from_secs(600));
}

/// What `towline check` prints can be read back, for each method.
#[test]
fn the_report_of_a_method_can_be_read_back() {
    let tokens = "[auth.users]\njwt.jwks_url = \"https://id.test/\"\n";
    let text =
        format!("{MINIMAL}auth = [\"users\"]\nrequire = {{ scope = [\"a\"], admin = [true] }}\n{tokens}");
    let tokens = report(&layers(&text, &[]).unwrap(), Extent::All);
    assert!(load(&tokens, &[]).is_ok(), "{tokens}");
    let keys = report(&layers(&format!("{MINIMAL}{KEYS}"), &[]).unwrap(), Extent::All);
    let keys = keys.replace("***", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
    assert!(load(&keys, &[]).is_ok(), "{keys}");
}
