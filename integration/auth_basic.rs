//! Tests of the method `basic`: users and passwords of a file, the file while the proxy runs, and what many wrong
//! passwords cost others.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::harness::*;

/// Hashes of `secret`: of bcrypt, of Argon2, and one of bcrypt that takes longer.
const SECRET: &str = "$2b$04$XPHPue/aG0nXIgkiND3e5OnEtP1MWT8UXXMR8iXgB3S7mhqBRClpC";
const ARGON2ID: &str =
    "$argon2id$v=19$m=64,t=1,p=1$TAALTSLE4te505nYrKvorg$mrm/7ojf/e3hApFupYb4UyTqnzmrghhXXDklW6KCwtk";
const SLOW: &str = "$2b$09$dTUT3FXrmY8cv6zLAGGjrOf19WWSLNQBjPlo0N58Xf/2IAb6IGRVq";
/// The hash of `pässwörd`.
const UMLAUT: &str = "$2y$04$LAGl5cSCivWEMQQSuJaDLuZHptyjR7cNqzD.9WqKWAH1oC0A/d7YC";

/// Settings of a route for users of this file.
fn staff(url: &str, file: &Path) -> Settings {
    Settings::request(url)
        .with(&format!("auth.staff.basic.file = {file:?}"))
        .with(r#"auth.staff.basic.realm = "the \"staff\"""#)
        .on_route(r#"name = "chat""#)
        .on_route(r#"auth = ["staff"]"#)
        .on_route(r#"origins = ["*"]"#)
}

fn login(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn opening(proxy: &Proxy, user: &str, password: &str) -> Opening {
    Opening::new(proxy.addr()).header("Authorization", &login(user, password))
}

#[test]
fn users_with_their_passwords_are_accepted() {
    let upstream = TestUpstream::echo();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, format!("ada:{SECRET}\nbo:{ARGON2ID}\ncé:{UMLAUT}\n")).unwrap();
    let settings = staff(&upstream.url(), file.path()).with(
        r#"upstream.echo.headers = { x-user = "${session.subject}", x-sub = "${session.claims.sub}" }"#,
    );
    let proxy = Proxy::start(&settings).expect("client refused");
    // The second time, the success of the first is remembered.
    for (user, password) in [("ada", "secret"), ("bo", "secret"), ("cé", "pässwörd"), ("ada", "secret")] {
        assert_eq!(opening(&proxy, user, password).open().ask("a"), "a", "{user}");
    }
    let head = upstream.head(0);
    assert_eq!([head.get("x-user").unwrap(), head.get("x-sub").unwrap()], ["ada", "ada"]);
    let challenge = "Basic realm=\"the \\\"staff\\\"\", charset=\"UTF-8\"";
    for (value, status, body) in [
        (None, 401, "authentication required\n"),
        (Some("Bearer secret".to_owned()), 401, "authentication required\n"),
        (Some(login("ada", "Secret")), 401, "invalid credential\n"),
        (Some(login("eve", "secret")), 401, "invalid credential\n"),
        (Some(login("", "")), 401, "invalid credential\n"),
        (Some("Basic ada:secret".to_owned()), 400, "malformed credential\n"),
    ] {
        let mut opening = Opening::new(proxy.addr());
        if let Some(value) = &value {
            opening = opening.header("Authorization", value);
        }
        let refusal = opening.refused();
        assert_eq!((refusal.status(), refusal.body.as_str()), (status, body), "{value:?}");
        assert_eq!(refusal.head.get("www-authenticate").as_deref(), Some(challenge), "{value:?}");
    }
    proxy.wait_log(
        "client refused *status=401 reason=\"invalid credential\" cause=\"unknown user or wrong password\"",
    );
    let leaks: Vec<_> = proxy.log().into_iter().filter(|line| line.contains("ecret")).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}

#[test]
fn the_challenges_of_all_methods_are_in_the_response() {
    let upstream = TestUpstream::echo();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, format!("ada:{SECRET}\n")).unwrap();
    let settings = staff(&upstream.url(), file.path())
        .with(
            r#"auth.partners.api_keys.keys = { a = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }"#,
        )
        .on_route(r#"auth = ["partners", "staff"]"#)
        .on_route(r#"require = { sub = ["a"] }"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    let refusal = Opening::new(proxy.addr()).refused();
    let challenges = "Bearer realm=\"partners\", Basic realm=\"the \\\"staff\\\"\", charset=\"UTF-8\"";
    assert_eq!(refusal.head.get("www-authenticate").as_deref(), Some(challenges));
    // Each scheme has its method.
    let opening = Opening::new(proxy.addr()).header("Authorization", "Bearer test");
    assert_eq!(opening.open().ask("a"), "a");
    let refusal = self::opening(&proxy, "ada", "secret").refused();
    assert_eq!((refusal.status(), refusal.head.get("www-authenticate")), (403, None));
    assert_eq!(self::opening(&proxy, "ada", "x").refused().status(), 401);
}

#[test]
fn a_changed_file_is_read_again() {
    let upstream = TestUpstream::echo();
    let folder = tempfile::tempdir().unwrap();
    let (file, new) = (folder.path().join("htpasswd"), folder.path().join("new"));
    fs::write(&file, format!("ada:{SECRET}\n")).unwrap();
    let proxy = Proxy::start(&staff(&upstream.url(), &file)).expect("client refused").expect("keys refused");
    let mut session = opening(&proxy, "ada", "secret").open();
    // Replaced by renaming, as editors and tools do: a file that is written in place may be read before it is whole.
    let replace = |text: String| {
        fs::write(&new, text).unwrap();
        fs::rename(&new, &file).unwrap();
    };
    replace(format!("ada:{UMLAUT}\nbo:{SECRET}\n"));
    proxy.wait_log("keys changed auth=staff *keys=2");
    assert_eq!(
        opening(&proxy, "ada", "secret").refused().status(),
        401,
        "a success is not remembered for ever"
    );
    assert_eq!(opening(&proxy, "ada", "pässwörd").open().ask("a"), "a");
    assert_eq!(opening(&proxy, "bo", "secret").open().ask("a"), "a");
    assert_eq!(session.ask("a"), "a", "a session outlives the password of its handshake");
    replace(format!("bo:{SECRET}\nada:{{SHA}}x\n"));
    proxy.wait_log("keys refused auth=staff *reason=*line 2: ada: takes a hash of bcrypt*");
    assert_eq!(opening(&proxy, "ada", "pässwörd").open().ask("a"), "a");
    fs::remove_file(&file).unwrap();
    proxy.wait_log("keys refused auth=staff *reason=*cannot be read: No such file*");
    assert_eq!(opening(&proxy, "bo", "secret").open().ask("a"), "a");
    replace(format!("cy:{SECRET}\n"));
    proxy.wait_log("keys changed auth=staff *keys=1");
    assert_eq!(opening(&proxy, "bo", "secret").refused().status(), 401);
    assert_eq!(opening(&proxy, "cy", "secret").open().ask("a"), "a");
}

/// A process without free descriptors cannot read a file, and the file is the same when it can.
#[test]
fn a_file_that_could_not_be_read_is_read_again() {
    let upstream = TestUpstream::echo();
    let folder = tempfile::tempdir().unwrap();
    let (file, new) = (folder.path().join("htpasswd"), folder.path().join("new"));
    fs::write(&file, format!("ada:{SECRET}\n")).unwrap();
    let proxy = Proxy::start(&staff(&upstream.url(), &file)).expect("keys refused");
    let mut session = opening(&proxy, "ada", "secret").open();
    let limits = fs::read_to_string(format!("/proc/{}/limits", proxy.pid())).unwrap();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let limit = limit.split_whitespace().next().unwrap();
    let set_limit = |limit: &str| {
        let (pid, limit) = (proxy.pid().to_string(), format!("--nofile={limit}:"));
        assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    };
    set_limit("3");
    fs::write(&new, format!("bo:{SECRET}\n")).unwrap();
    fs::rename(&new, &file).unwrap();
    proxy.wait_log("keys refused auth=staff *Too many open files*");
    assert_eq!(session.ask("a"), "a");
    set_limit(limit);
    proxy.wait_log("keys changed auth=staff *keys=1");
    assert_eq!(opening(&proxy, "bo", "secret").open().ask("a"), "a");
}

/// The open of a named pipe waits for a writer.
#[test]
fn a_pipe_in_place_of_the_file_is_refused_and_a_later_good_file_is_taken() {
    let upstream = TestUpstream::echo();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    fs::write(&file, format!("ada:{SECRET}\n")).unwrap();
    let proxy = Proxy::start(&staff(&upstream.url(), &file)).expect("keys refused");
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    proxy.wait_log("keys refused auth=staff *not a regular file*");
    assert_eq!(opening(&proxy, "ada", "secret").open().ask("a"), "a");
    fs::remove_file(&file).unwrap();
    fs::write(&file, format!("bo:{SECRET}\n")).unwrap();
    proxy.wait_log("keys changed auth=staff *keys=1");
    assert_eq!(opening(&proxy, "bo", "secret").open().ask("a"), "a");
}

/// 200 wrong passwords, whose check takes long, hold neither running sessions nor clients whose password is known.
#[test]
fn wrong_passwords_do_not_hold_others() {
    let upstream = TestUpstream::echo();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, format!("ada:{SECRET}\nbo:{SLOW}\n")).unwrap();
    let proxy = Proxy::start(&staff(&upstream.url(), file.path())).expect("client refused");
    let mut session = opening(&proxy, "ada", "secret").open();
    assert_eq!(session.ask("a"), "a");
    let attack = request("/", &[("Authorization", &login("bo", "wrong"))]);
    // One address has at most 32 checks at a time, and others are not held by them.
    let other = [127, 0, 0, 2].into();
    let mut attackers: Vec<_> = (0..200).map(|_| Raw::connect_from(other, proxy.addr())).collect();
    for attacker in &mut attackers {
        attacker.write(attack.as_bytes());
    }
    let answers = thread::spawn(move || {
        let statuses: Vec<_> = attackers.iter_mut().map(|attacker| attacker.head().status()).collect();
        (statuses, Instant::now())
    });
    for number in 0..20 {
        let text = number.to_string();
        assert_eq!(session.ask(&text), text);
    }
    // The success of `ada` is remembered, so that this handshake does not wait.
    assert_eq!(opening(&proxy, "ada", "secret").open().ask("a"), "a");
    let served = Instant::now();
    let (statuses, answered) = answers.join().unwrap();
    assert!(served < answered, "messages and a handshake wait for 200 passwords");
    // On a busy machine, some wait for longer than 10 s.
    assert!(statuses.iter().all(|status| [401, 429, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&401) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(upstream.connections(), 2);
}

/// Clients that are gone leave the queue for checks, so that they do not hold those after them.
#[test]
fn clients_that_are_gone_are_not_checked() {
    let upstream = TestUpstream::echo();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, format!("ada:{SECRET}\nbo:{SLOW}\n")).unwrap();
    let proxy = Proxy::start(&staff(&upstream.url(), file.path())).expect("client refused");
    let attack = request("/", &[("Authorization", &login("bo", "wrong"))]);
    // Far more than can be checked within ten seconds.
    for number in 2..42 {
        let address = [127, 0, 0, number].into();
        let mut clients: Vec<_> = (0..30).map(|_| Raw::connect_from(address, proxy.addr())).collect();
        for client in &mut clients {
            client.write(attack.as_bytes());
        }
    }
    let mut last = Err(503);
    wait_for("a check", Duration::from_secs(10), || {
        last = opening(&proxy, "ada", "secret")
            .try_open()
            .map(|mut client| client.ask("a"))
            .map_err(|it| it.status());
        last != Err(503)
    });
    assert_eq!(last, Ok("a".to_owned()));
}
