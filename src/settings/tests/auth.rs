//! Tests that the sections `[auth.NAME]` and the keys of routes about them take effect.

use actix_http::header::HeaderName;

use super::*;
use crate::{
    auth::{
        KeySource, MethodConfig, NamePattern, RenewalRule, Requirement, Secret, Source, SubjectPattern,
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

const GATE: &str = r#"
[auth.gate]
forward.url = "http://127.0.0.1:9000/verify?a=b"
"#;

#[test]
fn forward_in_the_settings() {
    let settings = with(GATE, "auth = [\"gate\"]");
    let gate = &settings.auth["gate"];
    let MethodConfig::Forward(forward) = &gate.method else { panic!("{gate:?}") };
    assert_eq!(forward.url.to_string(), "http://127.0.0.1:9000/verify?a=b");
    assert!(forward.tls.is_none());
    assert_eq!(*forward.request_headers, ["authorization", "cookie"]);
    assert!(forward.claims_from.is_empty() && forward.upstream_headers.is_empty());
    assert_eq!((forward.timeout.as_secs(), forward.max_requests), (2, 100));
    assert!(gate.from.is_empty() && !gate.needs_credential());
    let cookies = Source::Inspected(HeaderName::from_static("cookie"));
    assert_eq!(
        *settings.routes[0].credentials,
        [Source::Authorization, cookies],
        "what the service gets is hidden"
    );
    let lines = r#"
from = ["cookie:session"]
forward_as = "authorization"
forward.request_headers = ["X-A"]
forward.claims_from = { sub = "X-User", role = "X-Role" }
forward.upstream_headers = ["X-User"]
forward.timeout = "1s"
forward.max_requests = 7
"#;
    let settings = with(&format!("{GATE}{lines}"), "auth = [\"gate\"]");
    let gate = &settings.auth["gate"];
    let MethodConfig::Forward(forward) = &gate.method else { panic!("{gate:?}") };
    assert_eq!(*forward.request_headers, ["x-a"]);
    let claims: Vec<_> =
        forward.claims_from.iter().map(|(claim, name)| (claim.as_str(), name.as_str())).collect();
    assert_eq!(claims, [("sub", "x-user"), ("role", "x-role")]);
    assert_eq!(*forward.upstream_headers, ["x-user"]);
    assert_eq!((forward.timeout.as_secs(), forward.max_requests), (1, 7));
    assert!(gate.needs_credential() && gate.forwards);
    let [session, inspected] =
        [Source::Cookie("session".to_owned()), Source::Inspected(HeaderName::from_static("x-a"))];
    assert_eq!(*settings.routes[0].credentials, [session, inspected]);
}

#[test]
fn the_url_of_a_service_is_shown_without_its_query() {
    let layers = layers(&format!("{MINIMAL}auth = [\"gate\"]\n{GATE}"), &[]).unwrap();
    let report = report(&layers, Extent::All);
    assert!(report.contains("http://127.0.0.1:9000/verify?***"), "{report}");
}

#[test]
fn users_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let users = "ada:$2b$04$XPHPue/aG0nXIgkiND3e5OnEtP1MWT8UXXMR8iXgB3S7mhqBRClpC\n";
    std::fs::write(folder.path().join("htpasswd"), users).unwrap();
    let file = folder.path().join("towline.toml");
    let load = |lines: &str| {
        let text = format!("{MINIMAL}auth = [\"staff\"]\n[auth.staff]\nbasic.file = \"htpasswd\"\n{lines}");
        std::fs::write(&file, text).unwrap();
        Settings::load(Some(&file), std::iter::empty()).unwrap()
    };
    for (lines, realm) in [("", "staff"), ("basic.realm = \"the staff\"", "the staff")] {
        let settings = load(lines);
        let staff = &settings.auth["staff"];
        let MethodConfig::Basic(basic) = &staff.method else { panic!("{staff:?}") };
        assert_eq!((basic.file.clone(), basic.users.count()), (folder.path().join("htpasswd"), 1));
        assert_eq!(basic.realm, realm);
        assert!(staff.from.is_empty() && staff.needs_credential());
        assert_eq!(*settings.routes[0].credentials, [Source::Authorization]);
    }
}

#[test]
fn certificates_in_the_settings() {
    let lines =
        "client_certificate = { subjects = [\"CN=device *,O=Example\"], names = [\"*.devices.example\"] }";
    let settings = with(&format!("[auth.devices]\n{lines}\n"), "");
    let devices = &settings.auth["devices"];
    let MethodConfig::ClientCertificate(patterns) = &devices.method else { panic!("{devices:?}") };
    assert_eq!(*patterns.subjects, [SubjectPattern::parse("CN=device *,O=Example").unwrap()]);
    assert_eq!(*patterns.names, [NamePattern::parse("*.devices.example").unwrap()]);
    assert!(devices.from.is_empty() && devices.sources().is_empty() && devices.needs_credential());
}

/// Everyone between the proxy and such a server can have clients accepted.
#[test]
fn a_server_without_tls_on_another_machine_is_a_warning() {
    for (lines, warning) in [
        ("jwt.jwks_url = \"http://id.test/keys\"", Some("[auth.a] jwt.jwks_url has no TLS")),
        ("jwt.jwks_url = \"http://192.0.2.1/keys\"", Some("[auth.a] jwt.jwks_url has no TLS")),
        ("jwt.jwks_url = \"http://127.0.0.1:9000/keys\"", None),
        ("jwt.jwks_url = \"http://[::1]:9000/keys\"", None),
        ("jwt.jwks_url = \"http://localhost/keys\"", None),
        ("jwt.jwks_url = \"https://id.test/keys\"", None),
        ("forward.url = \"http://gate.test/\"", Some("[auth.a] forward.url has no TLS")),
        ("forward.url = \"http://127.0.0.2/\"", None),
        ("forward.url = \"http://[::1]/\"", None),
        ("forward.url = \"https://gate.test/\"", None),
    ] {
        let settings = with(&format!("[auth.a]\n{lines}"), "auth = [\"a\"]\norigins = [\"none\"]");
        let mut remarks = settings.remarks();
        remarks.retain(|remark| !remark.contains("has no effect"));
        match warning {
            Some(warning) => assert!(remarks.len() == 1 && remarks[0].starts_with(warning), "{remarks:?}"),
            None => assert_eq!(remarks, [""; 0], "{lines}"),
        }
    }
}
