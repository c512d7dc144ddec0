//! Tests of users, passwords, and of what is remembered of them. The hashes were made by the libraries `bcrypt` and
//! `argon2-cffi` of Python.

use actix_http::header::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;

/// The hash of `secret`.
const SECRET: &str = "$2b$04$XPHPue/aG0nXIgkiND3e5OnEtP1MWT8UXXMR8iXgB3S7mhqBRClpC";
/// The hash of `pässwörd`.
const UMLAUT: &str = "$2y$04$LAGl5cSCivWEMQQSuJaDLuZHptyjR7cNqzD.9WqKWAH1oC0A/d7YC";
/// Hashes of `secret`.
const ARGON2ID: &str =
    "$argon2id$v=19$m=64,t=1,p=1$TAALTSLE4te505nYrKvorg$mrm/7ojf/e3hApFupYb4UyTqnzmrghhXXDklW6KCwtk";
const ARGON2I: &str =
    "$argon2i$v=19$m=64,t=2,p=2$p0MyE4m6RtHqgHmQK00lZA$pAH0h5Xd7HFgzx/18bSCPHCcP652/wTD/df/yyFKE6Y";

fn login(user: &str, password: &str) -> Login {
    Login { user: user.to_owned(), password: Secret::from(password) }
}

fn found(lines: &[&[u8]]) -> Result<Option<Login>, CredentialError> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(AUTHORIZATION, HeaderValue::from_bytes(line).unwrap());
    }
    Login::find(&router::Request {
        listener: "ws",
        uri: &actix_http::Uri::from_static("/"),
        headers: &headers,
        subprotocols: &[],
        peer: [127, 0, 0, 1].into(),
        tls_name: None,
        is_plain: false,
    })
}

fn is_right(users: &Users, login: &Login) -> bool {
    users
        .hash_for(&login.user, &Substitutes::new(&[1; 32]))
        .is_some_and(|(hash, is_own)| hash.verify(&login.password) && is_own)
}

#[test]
fn passwords_are_known_by_their_hashes() {
    let text = format!("# users\n\n ada:{SECRET}\r\nbo b:{UMLAUT}\ncy:{ARGON2ID}\ndé:{ARGON2I}\n");
    let users = Users::parse(&text).unwrap();
    assert_eq!(users.count(), 4);
    for (user, password, expected) in [
        ("ada", "secret", true),
        ("ada", "Secret", false),
        ("ada", "", false),
        ("Ada", "secret", false),
        ("bo b", "pässwörd", true),
        ("bo b", "pa\u{308}sswo\u{308}rd", false),
        ("cy", "secret", true),
        ("cy", "secre", false),
        ("dé", "secret", true),
        ("dé", "", false),
        ("eve", "secret", false),
    ] {
        assert_eq!(is_right(&users, &login(user, password)), expected, "{user} {password}");
    }
    assert_eq!(format!("{users:?}"), r#"["ada", "bo b", "cy", "dé"]"#);
    assert!(!is_right(&Users::default(), &login("ada", "secret")));
}

#[test]
fn the_passwords_of_the_document_are_right() {
    let docs = include_str!("../../../docs/auth.md");
    let users = docs.split("```text\n").find(|text| text.starts_with("# USER:HASH")).unwrap();
    let users = Users::parse(users.split("```").next().unwrap()).unwrap();
    let rest = docs.split("The password of both users above is `").nth(1).unwrap();
    let password = rest.split('`').next().unwrap();
    assert_eq!(users.count(), 2);
    for user in ["ada", "bo"] {
        assert!(is_right(&users, &login(user, password)), "{user}");
        assert!(!is_right(&users, &login(user, "secret")), "{user}");
    }
}

/// The example of RFC 7617 section 2.1, and forms that clients send.
#[test]
fn user_and_password_are_found() {
    for (line, expected) in [
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some(login("Aladdin", "open sesame"))),
        ("Basic dGVzdDoxMjPCow==", Some(login("test", "123£"))),
        ("bASIC  QWxhZGRpbjpvcGVuIHNlc2FtZQ", Some(login("Aladdin", "open sesame"))),
        ("Basic YTpiOmM=", Some(login("a", "b:c"))),
        ("Basic Og==", Some(login("", ""))),
        ("Bearer abc", None),
        ("Basics QWxhZGRpbjpvcGVuIHNlc2FtZQ==", None),
        ("Digest", None),
        ("", None),
    ] {
        assert_eq!(found(&[line.as_bytes()]), Ok(expected), "{line}");
    }
    assert_eq!(found(&[]), Ok(None));
}

#[test]
fn what_is_no_user_and_password_is_refused() {
    let encoded = |bytes: &[u8]| format!("Basic {}", BASE64.encode(bytes));
    for (line, error) in [
        ("Basic".to_owned(), CredentialError::NotBasic),
        ("Basic ???".to_owned(), CredentialError::NotBasic),
        ("Basic YTpi, Basic YTpi".to_owned(), CredentialError::NotBasic),
        ("Basic YT pi".to_owned(), CredentialError::NotBasic),
        (encoded(b"no colon"), CredentialError::NotBasic),
        (encoded(b"a:\xff"), CredentialError::NotBasic),
        (encoded(b"a:b\nc"), CredentialError::NotBasic),
        (encoded(b"a\0:b"), CredentialError::NotBasic),
        (encoded(&[b':'; CREDENTIAL_MAX]), CredentialError::TooLong),
    ] {
        assert_eq!(found(&[line.as_bytes()]), Err(error), "{line:.40}");
    }
    assert_eq!(found(&[b"Basic YTpi", b"Basic YTpi"]), Err(CredentialError::Several));
    assert_eq!(found(&[b"Basic YTpi", b"Bearer x"]), Err(CredentialError::Several));
}

#[test]
fn malformed_files_are_refused_with_the_line() {
    let hash = || UsersErrorKind::Hash("a".to_owned());
    let cost = || UsersErrorKind::Cost("a".to_owned());
    for (text, line, kind) in [
        ("a".to_owned(), 1, UsersErrorKind::Line),
        (format!("# x\n\n:{SECRET}"), 3, UsersErrorKind::Line),
        ("a:".to_owned(), 1, hash()),
        ("a:secret".to_owned(), 1, hash()),
        ("a:$apr1$x$y".to_owned(), 1, hash()),
        ("a:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=".to_owned(), 1, hash()),
        ("a:$6$x$y".to_owned(), 1, hash()),
        (format!("a:{}", &SECRET[..59]), 1, hash()),
        (format!("a:{SECRET}:x"), 1, hash()),
        (format!("a:{}", SECRET.replace("$2b", "$2x")), 1, hash()),
        (format!("a:{}", SECRET.replace("$04", "$03")), 1, hash()),
        (format!("a:{}", SECRET.replace("$04", "$15")), 1, cost()),
        ("a:$argon2id$v=19$m=64,t=1,p=1$TAALTSLE4te505nYrKvorg".to_owned(), 1, hash()),
        (format!("a:{}", ARGON2ID.replace("argon2id", "scrypt")), 1, hash()),
        (format!("a:{}", ARGON2ID.replace("m=64", "m=262145")), 1, cost()),
        (format!("a:{}", ARGON2ID.replace("t=1", "t=17")), 1, cost()),
        (format!("a:{SECRET}\na:{UMLAUT}"), 2, UsersErrorKind::Twice("a".to_owned())),
    ] {
        let error = Users::parse(&text).unwrap_err();
        assert!(!error.to_string().contains("XPHPue") && !error.to_string().contains("secret"), "{error}");
        assert_eq!(error, UsersError { line, kind }, "{text}");
    }
    let many: String = (0..=USERS_MAX).map(|number| format!("{number}:{SECRET}\n")).collect();
    assert_eq!(Users::parse(&many).unwrap_err().kind, UsersErrorKind::TooMany);
}

/// Without that, the time of the response would tell which users there are.
#[test]
fn an_unknown_user_is_checked_against_the_hash_of_another() {
    let users = Users::parse(&format!("a:{SECRET}\nb:{ARGON2ID}")).unwrap();
    let substitutes = Substitutes::new(&[1; 32]);
    let mut used = std::collections::HashSet::new();
    for number in 0..64 {
        let (hash, is_own) = users.hash_for(&format!("user{number}"), &substitutes).unwrap();
        assert!(!is_own && hash.verify(&Secret::from("secret")), "the right password of another user");
        used.insert(format!("{hash:?}"));
    }
    assert_eq!(used.len(), 2);
    assert_eq!(Users::default().hash_for("a", &substitutes), None);
}

/// Where the hashes have different costs, a substitute that depends on the password would take another time with each
/// password, and that of a listed user never does.
#[test]
fn the_substitute_hash_depends_on_the_user_name_alone() {
    let users = Users::parse(&format!("a:{SECRET}\nb:{ARGON2ID}")).unwrap();
    let choice = |key, user: &str| {
        let (hash, _) = users.hash_for(user, &Substitutes::new(&[key; 32])).unwrap();
        matches!(hash, PasswordHash::Bcrypt(_))
    };
    let names: Vec<_> = (0..64).map(|number| format!("user{number}")).collect();
    let [first, again, other] =
        [1, 1, 2].map(|key| names.iter().map(|name| choice(key, name)).collect::<Vec<_>>());
    assert_eq!(first, again, "the key is that of the process");
    assert_ne!(first, other, "nobody without the key knows the choice");
}

#[test]
fn the_memory_of_a_hash_is_known() {
    let users = Users::parse(&format!("a:{SECRET}\nb:{ARGON2ID}")).unwrap();
    let memory = |user| users.hash_for(user, &Substitutes::new(&[1; 32])).unwrap().0.memory();
    assert_eq!([memory("a"), memory("b")], [0, 64]);
}

#[test]
fn a_success_is_remembered_for_a_minute() {
    let (mut successes, now) = (Successes::new(&[1; 32]), Instant::now());
    let tag = successes.tag(&login("a", "b"));
    for other in [login("a", "c"), login("ab", ""), login("", "b"), login("b", "a")] {
        assert_ne!(successes.tag(&other), tag);
    }
    assert_ne!(Successes::new(&[2; 32]).tag(&login("a", "b")), tag, "another key");
    assert!(!successes.contains(&tag, now));
    successes.insert(tag, now);
    assert!(successes.contains(&tag, now + SUCCESS_TIME - Duration::from_nanos(1)));
    assert!(!successes.contains(&tag, now + SUCCESS_TIME));
    successes.insert(tag, now + SUCCESS_TIME);
    assert!(successes.contains(&tag, now + SUCCESS_TIME), "again");
}

#[test]
fn the_oldest_success_is_forgotten_first() {
    let (mut successes, now) = (Successes::new(&[1; 32]), Instant::now());
    let tags: Vec<_> = (0..=SUCCESSES_MAX).map(|n| successes.tag(&login(&n.to_string(), ""))).collect();
    for tag in &tags[..SUCCESSES_MAX] {
        successes.insert(*tag, now);
    }
    // One that is right again is no longer the oldest.
    successes.insert(tags[0], now);
    successes.insert(tags[SUCCESSES_MAX], now);
    assert_eq!(successes.entries.len(), SUCCESSES_MAX);
    assert!(successes.contains(&tags[0], now) && !successes.contains(&tags[1], now));
    assert!(successes.contains(&tags[SUCCESSES_MAX], now));
}

proptest! {
    /// Each user and password that RFC 7617 allows is found as it was sent.
    #[test]
    fn a_login_survives_the_header(user in "[^:\\p{Cc}]{0,20}", password in "\\P{Cc}{0,20}") {
        let line = format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
        prop_assert_eq!(found(&[line.as_bytes()]), Ok(Some(login(&user, &password))));
    }

    /// Any bytes are a login, none, or an error, and a file with any text is one or an error with an existing line.
    #[test]
    fn nothing_makes_the_parsers_panic(
        line in proptest::collection::vec(prop_oneof![Just(9_u8), 32..127_u8, 128..=255_u8], 0..60),
        text in "(\\PC|\n|:|\\$2b\\$04\\$|\\$argon2id\\$v=19\\$m=64,t=1,p=1\\$){0,60}",
    ) {
        let _ = found(&[&line]);
        let _ = found(&[&[b"Basic ", &line[..]].concat()]);
        if let Err(error) = Users::parse(&text) {
            prop_assert!((1..=text.lines().count()).contains(&error.line));
        }
    }
}
