//! Tests of what a response of the service decides.

use proptest::prelude::*;

use super::*;

type Lines<'a> = &'a [(&'a str, &'a [u8])];

fn name(text: &str) -> HeaderName {
    HeaderName::try_from(text).unwrap()
}

fn config(claims: &[(&str, &str)], upstream: &[&str]) -> ForwardConfig {
    ForwardConfig {
        url: Uri::from_static("http://gate/verify"),
        tls: None,
        request_headers: Box::default(),
        claims_from: claims.iter().map(|(claim, header)| ((*claim).to_owned(), name(header))).collect(),
        upstream_headers: upstream.iter().map(|header| name(header)).collect(),
        timeout: Duration::from_secs(2),
        max_requests: 1,
        needs_credential: false,
    }
}

fn headers(lines: Lines<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (line, value) in lines {
        headers.append(name(line), HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn judged(config: &ForwardConfig, status: u16, lines: Lines<'_>) -> Result<Judged, Denial> {
    judge(config, &"gate".into(), StatusCode::from_u16(status).unwrap(), &headers(lines))
}

fn claims(config: &ForwardConfig, lines: Lines<'_>) -> Result<String, Denial> {
    judged(config, 200, lines).map(|judged| Value::Record(judged.identity.claims).to_json())
}

#[test]
fn only_a_2xx_accepts_and_only_401_and_403_deny() {
    let config = config(&[], &[]);
    for status in 100..600 {
        let judged = judged(&config, status, &[("x-user", b"root")]);
        match status {
            200..300 => assert_eq!(Value::Record(judged.unwrap().identity.claims).to_json(), "{}"),
            401 | 403 => {
                assert_eq!(judged, Err(Denial::ByService { is_known: status == 403, challenges: Vec::new() }))
            }
            _ => assert_eq!(judged, Err(Denial::Failed(ServiceError::Status(status)))),
        }
    }
}

#[test]
fn headers_become_claims() {
    let config =
        config(&[("sub", "x-user"), ("exp", "x-expires"), ("roles", "x-role"), ("none", "x-none")], &[]);
    let lines: [(&str, &[u8]); 4] =
        [("x-user", b"7"), ("x-role", b"a"), ("x-expires", b"1800000000"), ("x-role", b"b, c")];
    let identity = judged(&config, 204, &lines).unwrap().identity;
    assert_eq!((identity.subject.as_deref(), identity.expires), (Some("7"), Some(1_800_000_000)));
    // Lines are items, and commas within a line separate nothing.
    let expected = r#"{"sub":"7","exp":1800000000,"roles":["a","b, c"]}"#;
    assert_eq!(Value::Record(identity.claims).to_json(), expected);
    assert_eq!(claims(&config, &[("x-role", b"a")]).unwrap(), r#"{"roles":"a"}"#);
    assert_eq!(claims(&config, &[("connection", b"X-User"), ("x-user", b"7")]).unwrap(), "{}");
}

#[test]
fn a_header_that_cannot_be_a_claim_accepts_nobody() {
    let config = config(&[("sub", "x-user"), ("exp", "x-expires"), ("roles", "x-role")], &["x-team"]);
    let unusable = |header: &str| Err(Denial::Failed(ServiceError::Header(name(header))));
    let cases: [(Lines<'_>, _); 8] = [
        (&[("x-user", b"\xff")], unusable("x-user")),
        (&[("x-user", b"7"), ("x-user", b"8")], unusable("x-user")),
        (&[("x-expires", b"tomorrow")], unusable("x-expires")),
        (&[("x-expires", b"-1")], unusable("x-expires")),
        (&[("x-expires", b"1.5")], unusable("x-expires")),
        (&[("x-expires", b"1"), ("x-expires", b"2")], unusable("x-expires")),
        (&[("x-role", b"a"), ("x-role", b"\xc3\xa4")], unusable("x-role")),
        (&[("x-role", &[b'x'; CLAIMS_MAX])], Err(Denial::Failed(ServiceError::TooLarge))),
    ];
    for (lines, expected) in cases {
        assert_eq!(claims(&config, lines), expected, "{lines:?}");
    }
    let many = [("x-role", &b"a"[..]); LINES_MAX + 1];
    assert_eq!(claims(&config, &many), Err(Denial::Failed(ServiceError::TooLarge)));
    assert!(claims(&config, &many[1..]).is_ok());
    let large = [("x-team", &[b'x'; HEADERS_MAX / 2][..]); 2];
    assert_eq!(claims(&config, &large), Err(Denial::Failed(ServiceError::TooLarge)));
}

#[test]
fn listed_headers_go_to_the_upstream_also_when_the_service_does_not_send_them() {
    let config = config(&[], &["x-user", "x-team"]);
    let judged = judged(&config, 200, &[("x-user", b"a"), ("x-user", b"\xff"), ("x-other", b"b")]).unwrap();
    let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
    let expected = [(name("x-user"), vec![value(b"a"), value(b"\xff")]), (name("x-team"), vec![])];
    assert_eq!(judged.upstream_headers, expected);
}

#[test]
fn challenges_are_passed_on_within_limits() {
    let config = config(&[], &[]);
    let large = [b'x'; HEADERS_MAX - 10];
    let lines: [(&str, &[u8]); 5] = [
        ("www-authenticate", b"Basic realm=\"a\""),
        ("www-authenticate", &large),
        ("www-authenticate", b"\xff"),
        ("www-authenticate", b""),
        ("www-authenticate", b"Bearer"),
    ];
    let expected = ["Basic realm=\"a\"", "Bearer"].map(str::to_owned).to_vec();
    for (status, is_known) in [(401, false), (403, true)] {
        let denial = Denial::ByService { is_known, challenges: expected.clone() };
        assert_eq!(judged(&config, status, &lines), Err(denial));
    }
}

proptest! {
    /// Whatever a service answers, nobody is accepted without a 2xx, and claims and headers have their limits.
    #[test]
    fn a_response_is_judged_within_limits(
        status in 100_u16..600,
        lines in proptest::collection::vec(
            ("(x-user|x-expires|x-team|connection|www-authenticate)",
             proptest::collection::vec(prop_oneof![32..127_u8, 128..=255_u8], 0..60)),
            0..40,
        ),
    ) {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let config = config(&[("sub", "x-user"), ("exp", "x-expires")], &["x-team"]);
        match judged(&config, status, &lines) {
            Ok(judged) => {
                prop_assert!((200..300).contains(&status));
                prop_assert_eq!(judged.upstream_headers.len(), 1);
                prop_assert!(judged.upstream_headers[0].1.len() <= LINES_MAX);
            }
            Err(Denial::ByService { is_known, challenges }) => {
                prop_assert_eq!(status, if is_known { 403 } else { 401 });
                prop_assert!(challenges.iter().all(|text| HeaderValue::from_str(text).is_ok()));
                prop_assert!(challenges.len() <= LINES_MAX);
            }
            Err(Denial::Failed(_)) => prop_assert!(status != 401 && status != 403),
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }
}
