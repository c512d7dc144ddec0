//! Tests of tokens: a table of cases that a signer of the test has made, and the parsers of keys.

mod vector_tests;

use std::sync::{Arc, LazyLock};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use ring::{
    hmac,
    rand::SystemRandom,
    rsa,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding},
};

use super::*;
use crate::event::Value;

const NOW: u64 = 1_800_000_000;
const SECRET: &str = "a secret of at least sixty-four bytes, which is as long as SHA-512";
const GOOD: &str = r#"{"sub": "7", "iss": "https://id.test", "aud": "chat", "exp": 1800000060}"#;

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The private keys of an issuer.
struct Issuer {
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    rsa: rsa::KeyPair,
    random: SystemRandom,
}

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| {
    let random = SystemRandom::new();
    let ec = |algorithm| {
        let bytes = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        EcdsaKeyPair::from_pkcs8(algorithm, bytes.as_ref(), &random).unwrap()
    };
    Issuer {
        p256: ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        p384: ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        ed25519: Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref())
            .unwrap(),
        rsa: vector_tests::rsa_key_pair(),
        random,
    }
});

impl Issuer {
    /// The signature of a message with this algorithm.
    fn sign(&self, algorithm: &str, message: &str) -> Vec<u8> {
        let bytes = message.as_bytes();
        let mac =
            |algorithm| hmac::sign(&hmac::Key::new(algorithm, SECRET.as_bytes()), bytes).as_ref().to_vec();
        let rsa = |padding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; self.rsa.public().modulus_len()];
            self.rsa.sign(padding, &self.random, bytes, &mut signature).unwrap();
            signature
        };
        match algorithm {
            "HS256" => mac(hmac::HMAC_SHA256),
            "HS384" => mac(hmac::HMAC_SHA384),
            "HS512" => mac(hmac::HMAC_SHA512),
            "RS256" => rsa(&signature::RSA_PKCS1_SHA256),
            "RS384" => rsa(&signature::RSA_PKCS1_SHA384),
            "RS512" => rsa(&signature::RSA_PKCS1_SHA512),
            "PS256" => rsa(&signature::RSA_PSS_SHA256),
            "PS384" => rsa(&signature::RSA_PSS_SHA384),
            "PS512" => rsa(&signature::RSA_PSS_SHA512),
            "ES256" => self.p256.sign(&self.random, bytes).unwrap().as_ref().to_vec(),
            "ES384" => self.p384.sign(&self.random, bytes).unwrap().as_ref().to_vec(),
            "EdDSA" => self.ed25519.sign(bytes).as_ref().to_vec(),
            other => panic!("{other}"),
        }
    }

    /// A set with the public key of each kind and the secret, with the kind as `kid`.
    fn jwks(&self) -> String {
        let rsa: rsa::PublicKeyComponents<Vec<u8>> = self.rsa.public().into();
        let ec = |key: &EcdsaKeyPair, curve: &str, length: usize| {
            let point = key.public_key().as_ref();
            let (x, y) = (encoded(&point[1..=length]), encoded(&point[1 + length..]));
            format!(r#"{{"kty": "EC", "kid": "{curve}", "crv": "{curve}", "x": "{x}", "y": "{y}"}}"#)
        };
        let keys = [
            format!(
                r#"{{"kty": "RSA", "kid": "rsa", "n": "{}", "e": "{}"}}"#,
                encoded(rsa.n),
                encoded(rsa.e)
            ),
            ec(&self.p256, "P-256", 32),
            ec(&self.p384, "P-384", 48),
            format!(
                r#"{{"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": "{}", "use": "sig", "key_ops": ["verify"]}}"#,
                encoded(self.ed25519.public_key())
            ),
            format!(r#"{{"kty": "oct", "kid": "secret", "k": "{}"}}"#, encoded(SECRET)),
        ];
        format!(r#"{{"keys": [{}]}}"#, keys.join(", "))
    }
}

/// The keys of the issuer.
fn keys() -> KeySet {
    KeySet::from_jwks(&ISSUER.jwks(), &[], true).unwrap()
}

fn rules() -> Rules {
    Rules {
        issuers: ["https://id.test".to_owned()].into(),
        audiences: ["chat".to_owned()].into(),
        leeway: 60,
    }
}

/// A token with this header and these claims, signed with this algorithm.
fn token(header: &str, claims: &str, algorithm: &str) -> String {
    let signed = format!("{}.{}", encoded(header), encoded(claims));
    format!("{signed}.{}", encoded(ISSUER.sign(algorithm, &signed)))
}

fn checked(token: &str, keys: &KeySet, rules: &Rules) -> Result<Identity, Invalid> {
    verify(&"users".into(), &Secret::from(token), keys, rules, NOW)
}

#[test]
fn each_algorithm_is_accepted_from_a_key_of_its_kind_only() {
    for (name, _) in Algorithm::ALL {
        let own = match &name[..2] {
            "HS" => "secret",
            "RS" | "PS" => "rsa",
            "Ed" => "ed",
            _ if name == "ES256" => "P-256",
            _ => "P-384",
        };
        for id in ["secret", "rsa", "ed", "P-256", "P-384"] {
            let token = token(&format!(r#"{{"alg": "{name}", "kid": "{id}"}}"#), GOOD, name);
            let expected = if id == own { Ok(()) } else { Err(Invalid::Algorithm) };
            assert_eq!(checked(&token, &keys(), &rules()).map(|_| ()), expected, "{name} {id}");
        }
        let token = token(&format!(r#"{{"alg": "{name}"}}"#), GOOD, name);
        assert!(checked(&token, &keys(), &rules()).is_ok(), "{name} without kid");
        let others: Vec<_> =
            Algorithm::ALL.iter().filter(|(other, _)| *other != name).map(|(_, it)| *it).collect();
        let restricted = KeySet::from_jwks(&ISSUER.jwks(), &others, true).unwrap();
        let refused = checked(&token, &restricted, &rules()).map(|_| ());
        assert_eq!(refused, Err(Invalid::Algorithm), "{name} is not listed");
    }
}

/// The classical attack: the public key is used as the secret of HMAC.
#[test]
fn a_public_key_is_no_secret() {
    let Ok(public) = KeySet::from_jwks(&ISSUER.jwks(), &[Algorithm::Rs256], true) else { panic!() };
    let n = rsa::PublicKeyComponents::<Vec<u8>>::from(ISSUER.rsa.public()).n;
    let signed = format!("{}.{}", encoded(r#"{"alg": "HS256", "kid": "rsa"}"#), encoded(GOOD));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &n), signed.as_bytes());
    let refused = checked(&format!("{signed}.{}", encoded(mac)), &public, &rules()).map(|_| ());
    assert_eq!(refused, Err(Invalid::Algorithm));
}

#[test]
fn headers_are_understood_or_refused() {
    for (header, expected) in [
        (r#"{"alg": "ES256"}"#, Ok(())),
        (r#"{"alg": "ES256", "typ": "JWT"}"#, Ok(())),
        (r#"{"alg": "ES256", "typ": "jwt"}"#, Ok(())),
        (r#"{"alg": "ES256", "typ": "at+JWT"}"#, Ok(())),
        (r#"{"alg": "ES256", "typ": "application/at+jwt"}"#, Ok(())),
        (
            r#"{"alg": "ES256", "jku": "https://evil.test/keys", "x5u": "https://evil.test/", "jwk": {}}"#,
            Ok(()),
        ),
        (r#"{"alg": "ES256", "typ": "JOSE"}"#, Err(Invalid::Type)),
        (r#"{"alg": "ES256", "typ": "dpop+jwt"}"#, Err(Invalid::Type)),
        (r#"{"alg": "ES256", "typ": null}"#, Err(Invalid::Type)),
        (r#"{"alg": "ES256", "crit": ["exp"], "exp": 1}"#, Err(Invalid::Critical)),
        (r#"{"alg": "ES256", "crit": []}"#, Err(Invalid::Critical)),
        (r#"{"alg": "ES256", "b64": false, "crit": ["b64"]}"#, Err(Invalid::Critical)),
        (r#"{"alg": "none"}"#, Err(Invalid::Algorithm)),
        (r#"{"alg": "None"}"#, Err(Invalid::Algorithm)),
        (r#"{"alg": "es256"}"#, Err(Invalid::Algorithm)),
        (r#"{"alg": "ES512"}"#, Err(Invalid::Algorithm)),
        (r#"{"alg": "ES256K"}"#, Err(Invalid::Algorithm)),
        (r#"{"alg": ""}"#, Err(Invalid::Algorithm)),
        (r#"{"alg": ["ES256"]}"#, Err(Invalid::Malformed)),
        (r#"{"alg": null}"#, Err(Invalid::Malformed)),
        (r#"{"typ": "JWT"}"#, Err(Invalid::Malformed)),
        (r#"{"alg": "ES256", "kid": 1}"#, Err(Invalid::Malformed)),
        (r#"{"alg": "ES256", "kid": ""}"#, Err(Invalid::UnknownKeyId)),
        (r#"{"alg": "ES256", "kid": "p-256"}"#, Err(Invalid::UnknownKeyId)),
        (r#"{"alg": "HS256", "alg": "ES256"}"#, Err(Invalid::Malformed)),
        (r#"{"alg": "ES256", "x": {"a": 1, "a": 1}}"#, Err(Invalid::Malformed)),
        (r#"["ES256"]"#, Err(Invalid::Malformed)),
        (r#"{"alg": "ES256"} x"#, Err(Invalid::Malformed)),
        ("", Err(Invalid::Malformed)),
    ] {
        let token = token(header, GOOD, "ES256");
        assert_eq!(checked(&token, &keys(), &rules()).map(|_| ()), expected, "{header}");
    }
}

#[test]
fn claims_are_checked_against_the_rules() {
    let claims = |changes: &str| {
        let Ok(Value::Record(mut claims)) = Value::from_json(GOOD) else { panic!() };
        let Ok(Value::Record(changes)) = Value::from_json(changes) else { panic!("{changes}") };
        for (name, value) in changes.iter() {
            match value.as_str() {
                Some("(none)") => _ = Arc::make_mut(&mut claims).shift_remove(name),
                _ => _ = Arc::make_mut(&mut claims).insert(name.clone(), value.clone()),
            }
        }
        Value::Record(claims).to_json()
    };
    let long = format!(r#"{{"x": "{}"}}"#, "y".repeat(17 * 1024));
    for (changes, expected) in [
        ("{}", Ok(())),
        // The leeway is 60 s on both sides.
        (r#"{"exp": 1799999941}"#, Ok(())),
        (r#"{"exp": 1799999940}"#, Err(Invalid::Expired)),
        (r#"{"exp": 0}"#, Err(Invalid::Expired)),
        (r#"{"exp": 1799999941.9}"#, Ok(())),
        (r#"{"exp": 18446744073709551615}"#, Err(Invalid::Claims)),
        (r#"{"exp": 9223372036854775807}"#, Ok(())),
        (r#"{"exp": 1e300}"#, Err(Invalid::Claims)),
        (r#"{"exp": -1}"#, Err(Invalid::Claims)),
        (r#"{"exp": "1800000060"}"#, Err(Invalid::Claims)),
        (r#"{"exp": null}"#, Err(Invalid::Claims)),
        (r#"{"exp": "(none)"}"#, Err(Invalid::NoExpiry)),
        (r#"{"nbf": 1800000060}"#, Ok(())),
        (r#"{"nbf": 1800000061}"#, Err(Invalid::NotYet)),
        (r#"{"nbf": "now"}"#, Err(Invalid::Claims)),
        (r#"{"iat": 1900000000}"#, Ok(())),
        (r#"{"iat": []}"#, Err(Invalid::Claims)),
        (r#"{"iss": "https://id.test/"}"#, Err(Invalid::Issuer)),
        (r#"{"iss": "HTTPS://id.test"}"#, Err(Invalid::Issuer)),
        (r#"{"iss": "(none)"}"#, Err(Invalid::Issuer)),
        (r#"{"iss": ["https://id.test"]}"#, Err(Invalid::Claims)),
        (r#"{"aud": ["other", "chat"]}"#, Ok(())),
        (r#"{"aud": ["other"]}"#, Err(Invalid::Audience)),
        (r#"{"aud": []}"#, Err(Invalid::Audience)),
        (r#"{"aud": "chat2"}"#, Err(Invalid::Audience)),
        (r#"{"aud": {"chat": true}}"#, Err(Invalid::Audience)),
        (r#"{"aud": null}"#, Err(Invalid::Audience)),
        (r#"{"aud": "(none)"}"#, Err(Invalid::Audience)),
        (r#"{"sub": "(none)"}"#, Ok(())),
        (r#"{"sub": 7}"#, Err(Invalid::Claims)),
        (&long, Err(Invalid::Claims)),
    ] {
        let token = token(r#"{"alg": "EdDSA"}"#, &claims(changes), "EdDSA");
        assert_eq!(checked(&token, &keys(), &rules()).map(|_| ()), expected, "{changes}");
    }
    // RFC 7519 section 4.1.3: a proxy without an audience refuses tokens that name one.
    let open = Rules { issuers: Box::default(), audiences: Box::default(), leeway: 0 };
    let with =
        |changes: &str| checked(&token(r#"{"alg": "EdDSA"}"#, &claims(changes), "EdDSA"), &keys(), &open);
    assert_eq!(with("{}").map(|_| ()), Err(Invalid::Audience));
    assert_eq!(with(r#"{"aud": "(none)", "iss": "any"}"#).map(|_| ()), Ok(()));
    assert_eq!(with(r#"{"aud": "(none)", "exp": 1800000000}"#).map(|_| ()), Err(Invalid::Expired));
    assert_eq!(with(r#"{"aud": "(none)", "exp": 1800000001, "nbf": 1800000000}"#).map(|_| ()), Ok(()));
}

#[test]
fn claims_that_are_not_an_object_with_single_names_are_refused() {
    for claims in [
        r#"{"sub": "7", "sub": "8", "exp": 1800000060, "aud": "chat", "iss": "https://id.test"}"#,
        r#"{"sub": "7", "\u0073ub": "8", "exp": 1800000060, "aud": "chat", "iss": "https://id.test"}"#,
        "7",
        "null",
        "[]",
        "",
        "{",
        "\u{feff}{}",
    ] {
        let token = token(r#"{"alg": "HS256"}"#, claims, "HS256");
        assert_eq!(checked(&token, &keys(), &rules()).map(|_| ()), Err(Invalid::Malformed), "{claims}");
    }
    let signed = format!("{}.{}", encoded(r#"{"alg": "HS256"}"#), encoded(b"{\"a\": \"\xff\"}"));
    let token = format!("{signed}.{}", encoded(ISSUER.sign("HS256", &signed)));
    assert_eq!(checked(&token, &keys(), &rules()).map(|_| ()), Err(Invalid::Malformed), "not UTF-8");
}

#[test]
fn any_change_of_a_token_is_noticed() {
    let good = token(r#"{"alg": "ES256"}"#, GOOD, "ES256");
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let other = encoded(GOOD.replace("\"7\"", "\"8\""));
    let raw = decoded(signature);
    let swapped = encoded([&raw[32..], &raw[..32]].concat());
    let padded = encoded([&raw[..], &[0]].concat());
    for (token, expected) in [
        (good.clone(), Ok(())),
        (format!("{header}.{other}.{signature}"), Err(Invalid::Signature)),
        (format!("{header}.{claims}.{swapped}"), Err(Invalid::Signature)),
        (format!("{header}.{claims}.{padded}"), Err(Invalid::Signature)),
        (format!("{header}.{claims}.{}", encoded(&raw[..63])), Err(Invalid::Signature)),
        (format!("{header}.{claims}.{}", encoded([0; 64])), Err(Invalid::Signature)),
        (format!("{header}.{claims}."), Err(Invalid::Signature)),
        (format!("{header}.{claims}"), Err(Invalid::Malformed)),
        (format!("{header}.{claims}.{signature}."), Err(Invalid::Malformed)),
        (format!("{header}.{claims}.{signature}.x.y"), Err(Invalid::Malformed)),
        (format!("{header}.{claims}.{signature}=="), Err(Invalid::Malformed)),
        (format!("{header}.{claims}.{signature}+"), Err(Invalid::Malformed)),
        (format!("{header}=.{claims}.{signature}"), Err(Invalid::Malformed)),
        (format!(".{claims}.{signature}"), Err(Invalid::Malformed)),
        (format!("{header}..{signature}"), Err(Invalid::Signature)),
        ("..".to_owned(), Err(Invalid::Malformed)),
        (String::new(), Err(Invalid::Malformed)),
        (format!("{}.{claims}.{signature}", encoded(r#"{"alg": "none"}"#)), Err(Invalid::Algorithm)),
        (format!("{}.{claims}.", encoded(r#"{"alg": "none"}"#)), Err(Invalid::Algorithm)),
        (format!("{}.{claims}.{signature}", encoded(r#"{"alg":"ES256"}"#)), Err(Invalid::Signature)),
        (format!("{}.{claims}.{signature}", encoded(r#"{"alg": "HS256"}"#)), Err(Invalid::Signature)),
    ] {
        assert_eq!(checked(&token, &keys(), &rules()).map(|_| ()), expected, "{token}");
    }
}

/// RFC 4648 section 3.5: the last letter of a signature has bits that mean nothing. They must be zero.
#[test]
fn a_signature_has_one_spelling() {
    let good = token(r#"{"alg": "HS256"}"#, GOOD, "HS256");
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let spelled = letters.chars().filter(|letter| {
        let token = format!("{}{letter}", &good[..good.len() - 1]);
        checked(&token, &keys(), &rules()).is_ok()
    });
    assert_eq!(spelled.count(), 1);
}

#[test]
fn an_identity_has_the_claims() {
    let claims =
        r#"{"sub": "7", "scope": "read", "aud": "chat", "iss": "https://id.test", "exp": 1800000060.5}"#;
    let token = token(r#"{"alg": "RS256", "kid": "rsa"}"#, claims, "RS256");
    let identity = checked(&token, &keys(), &rules()).unwrap();
    assert_eq!(
        (&*identity.method, identity.subject.as_deref(), identity.expires),
        ("users", Some("7"), Some(1_800_000_060))
    );
    assert_eq!(Value::Record(identity.claims), Value::from_json(claims).unwrap());
}

#[test]
fn sets_of_keys_are_read_strictly() {
    let secret = encoded(SECRET);
    let oct = |more: &str| format!(r#"{{"keys": [{{"kty": "oct", "k": "{secret}"{more}}}]}}"#);
    let rsa = |n: &str, e: &str| format!(r#"{{"keys": [{{"kty": "RSA", "n": "{n}", "e": "{e}"}}]}}"#);
    let n = encoded([0xff; 256]);
    for (set, expected) in [
        (oct(""), Ok(1)),
        (oct(r#", "alg": "HS384", "use": "sig", "key_ops": ["sign", "verify"], "x": 1"#), Ok(1)),
        (oct(r#", "use": "enc""#), Err(KeyError::None)),
        (oct(r#", "use": null"#), Err(KeyError::None)),
        (oct(r#", "key_ops": ["sign"]"#), Err(KeyError::None)),
        (oct(r#", "key_ops": "verify""#), Err(KeyError::None)),
        (oct(r#", "alg": "RS256""#), Err(KeyError::None)),
        (oct(r#", "alg": "none""#), Err(KeyError::None)),
        (oct(r#", "kid": 7"#), Err(KeyError::None)),
        (oct(r#", "kid": "a", "kid": "b""#), Err(KeyError::NotASet)),
        (r#"{"keys": [{"kty": "oct", "k": "c2hvcnQ"}]}"#.to_owned(), Err(KeyError::None)),
        (
            r#"{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}"#.to_owned(),
            Err(KeyError::None),
        ),
        (
            r#"{"keys": [{"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}, 7, null, {}]}"#.to_owned(),
            Err(KeyError::None),
        ),
        (rsa(&n, "AQAB"), Ok(1)),
        (rsa(&format!("AAAA{n}"), "AAEAAQ"), Ok(1)),
        (rsa(&encoded([0xff; 255]), "AQAB"), Err(KeyError::None)),
        (rsa(&encoded([0xff; 1025]), "AQAB"), Err(KeyError::None)),
        (rsa(&n, ""), Err(KeyError::None)),
        (rsa(&n, "not base64"), Err(KeyError::None)),
        (rsa("", ""), Err(KeyError::None)),
        (r#"{"keys": []}"#.to_owned(), Err(KeyError::None)),
        (r#"{"keys": {}}"#.to_owned(), Err(KeyError::NotASet)),
        (r#"{"kty": "oct"}"#.to_owned(), Err(KeyError::NotASet)),
        ("[]".to_owned(), Err(KeyError::NotASet)),
        ("<html>".to_owned(), Err(KeyError::NotASet)),
        (format!(r#"{{"keys": [{}]}}"#, vec!["{}"; KEYS_MAX + 1].join(",")), Err(KeyError::TooMany)),
    ] {
        assert_eq!(KeySet::from_jwks(&set, &[], true).map(|keys| keys.count()), expected, "{set:.200}");
    }
    for (count, expected) in [(8, Ok(8)), (9, Err(KeyError::TooManyWithoutId))] {
        let key = rsa(&n, "AQAB");
        let key = key.trim_start_matches(r#"{"keys": ["#).trim_end_matches("]}");
        let set = format!(r#"{{"keys": [{}]}}"#, vec![key; count].join(","));
        assert_eq!(KeySet::from_jwks(&set, &[], true).map(|keys| keys.count()), expected, "{count} keys");
    }
    assert_eq!(KeySet::from_jwks(&oct(""), &[], false), Err(KeyError::None), "a public set has no secrets");
    assert_eq!(KeySet::from_jwks(&ISSUER.jwks(), &[], false).unwrap().count(), 4);
    assert_eq!(KeySet::of_secret(&SECRET[..31], &[]), Err(KeyError::Short));
    assert_eq!(KeySet::of_secret(&SECRET[..32], &[Algorithm::Hs384]), Err(KeyError::None));
    assert!(!format!("{:?}", keys()).contains(&secret));
}

proptest! {
    /// No text makes the parsers panic, and none is accepted.
    #[test]
    fn no_text_is_a_token(text in r"(eyJhbGciOiJFUzI1NiJ9|e30|[A-Za-z0-9_=-]{0,8}|\.){0,6}") {
        prop_assert!(checked(&text, &keys(), &rules()).is_err());
    }

    #[test]
    fn no_bytes_make_the_reader_of_keys_panic(
        text in r"(-----BEGIN PUBLIC KEY-----\n)?[A-Za-z0-9+/=\n]{0,80}(\n-----END PUBLIC KEY-----\n)?",
    ) {
        let _ = KeySet::from_pem(&text, &[]);
        let _ = KeySet::from_jwks(&text, &[], true);
    }
}
