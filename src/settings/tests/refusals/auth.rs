//! Tests of wrong settings in `[auth.NAME]`, and of routes that use them.

use super::{WrongLine, expect_one, expect_problems, problems, with};
use crate::settings::fixture::{MINIMAL, load};

const HASH: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

const WRONG_LINES: &[WrongLine] = &[
    ("auth.a", "# nothing", "auth.a (/etc/towline.toml): needs a method: jwt, api_keys"),
    (
        "auth.a",
        "api_keys.file = \"none.txt\"",
        "auth.a.api_keys.file = \"none.txt\" (/etc/towline.toml): cannot be read: No such file",
    ),
    ("auth.a", "api_keys.keys = {}", "auth.a.api_keys.keys = {} (/etc/towline.toml): takes a table of names"),
    ("auth.a", "api_keys.keys = { a = 1 }", "takes a table of names and hashes"),
    (
        "auth.a",
        "api_keys.keys = { a = \"hidden\" }",
        "auth.a.api_keys.keys = \"***\" (/etc/towline.toml): a: takes \"sha256:\" and 64 hexadecimal digits",
    ),
    ("auth.a", "api_keys.keys = { a = \"***\" }", "a: takes \"sha256:\" and 64 hexadecimal digits"),
    ("auth.a", "api_keys = 1", "auth.a.api_keys = 1 (/etc/towline.toml): takes a table"),
    (
        "auth.a",
        "api_key.file = \"x\"",
        "auth.a.api_key (/etc/towline.toml): unknown key; known: from, forward_as, renew.path",
    ),
    (
        "auth.a",
        "jwt.keys = \"none.pem\"",
        "auth.a.jwt.keys = \"none.pem\" (/etc/towline.toml): cannot be read: No such file",
    ),
    (
        "auth.a",
        "jwt.issuer = \"x\"",
        "auth.a (/etc/towline.toml): jwt needs keys: jwt.keys, jwt.jwks_file, jwt.jwks_url,",
    ),
    ("auth.a", "jwt.issuer = \"\"", "takes the claim iss of the tokens"),
    ("auth.a", "jwt.leeway = \"5s\"", "auth.a (/etc/towline.toml): needs a method: jwt, api_keys"),
    (
        "auth.a",
        "jwt = { issuer = \"x\", algorithms = [\"none\"] }",
        "\"none\" is not supported; known: HS256, HS384,",
    ),
    (
        "auth.a",
        "jwt = { issuer = \"x\", leeway = \"11m\" }",
        "takes a duration with a unit, such as \"30s\", from 0s to 10m",
    ),
    (
        "auth.a",
        "jwt = { keys = \"a\", jwks_file = \"b\" }",
        "auth.a.jwt.jwks_file = \"b\" (/etc/towline.toml): the keys are in one place, and jwt.keys is set too",
    ),
    (
        "auth.a",
        "jwt.jwks_url = \"ftp://id.test/?hidden\"",
        "auth.a.jwt.jwks_url = \"ftp://id.test/?***\" (/etc/towline.toml): takes a URL such as",
    ),
    ("auth.a", "jwt.jwks_url = \"https://id.test/?***\"", "a masked secret is not accepted"),
    (
        "auth.a",
        "jwt = { jwks_url = \"https://id.test/\", ca = \"ca.pem\" }",
        "auth.a.jwt.ca = \"ca.pem\" (/etc/towline.toml): cannot read /etc/ca.pem",
    ),
    (
        "auth.a",
        "jwt = { secret_file = \"x\", refresh = \"1m\" }",
        "auth.a.jwt.refresh = \"1m\" (/etc/towline.toml): needs jwt.jwks_url",
    ),
    (
        "auth.a",
        "jwt = { jwks_url = \"https://id.test/\", refresh = \"1ms\" }",
        "takes a duration with a unit, such as \"30s\", from 1s to 1 day",
    ),
    ("[route]", "auth = [\"b\"]", "there is no auth \"b\"; the settings have none"),
    ("[route]", "require = { scope = \"read\" }", "takes a table of claims, each with a list of values"),
    ("[route]", "require = { scope = [] }", "takes a table of claims, each with a list of values"),
    ("[route]", "require = { scope = [1.5] }", "takes a table of claims, each with a list of values"),
    (
        "[route]",
        "require = { scope = [\"read\"] }",
        "route[1].require = { scope = [\"read\"] } (/etc/towline.toml): needs auth: nothing is known of the",
    ),
];

#[test]
fn wrong_lines_of_authentication_are_refused() {
    for (section, line, expected) in WRONG_LINES {
        // A section that is empty apart from a comment, or has an unknown key, has no method either.
        let problems = problems(&with(section, line), &[]);
        let relevant: Vec<_> = problems.iter().filter(|problem| problem.contains(expected)).collect();
        assert_eq!(relevant.len(), 1, "{line}\n{problems:#?}");
        assert!(problems.iter().all(|problem| !problem.contains("hidden")), "{problems:#?}");
    }
    let expiry = |keys: &str| {
        let route = with("[route]", &format!("auth = [\"a\"]\nsession_expiry = {{ {keys} }}"));
        problems(&format!("{route}[auth.a]\napi_keys.keys = {{ a = \"{HASH}\" }}\n"), &[])
    };
    for (keys, expected) in [
        (
            "renew.path = \"type\"\nrenew.value = \"x\"",
            "auth.a.renew.token (/etc/towline.toml): required with the other",
        ),
        (
            "renew = { path = \"a..b\", value = \"x\", token = \"b\" }",
            "auth.a.renew.path = \"a..b\" (/etc/towline.toml): takes a path",
        ),
        ("renew = { path = \"a\", value = \"\", token = \"b\" }", "takes a text that is not empty"),
        (
            "renew = { path = \"a\", value = \"x\", token = \"a\" }",
            "is the path of the value by which a message",
        ),
    ] {
        let section = format!("[auth.a]\napi_keys.keys = {{ a = \"{HASH}\" }}\n{keys}\n");
        expect_one(
            &problems(&format!("{}{section}", with("[route]", "auth = [\"a\"]")), &[]),
            keys,
            expected,
        );
    }
    let long = format!("reason = \"{}\"", "x".repeat(124));
    for (keys, expected) in [
        (
            "code = 1005",
            "route[1].session_expiry.code = 1005 (/etc/towline.toml): is not a code that a close frame",
        ),
        ("code = 999", "takes a whole number from 1000 to 4999"),
        (long.as_str(), "takes at most 123 bytes"),
        ("skew = \"2h\"", "takes a duration with a unit, such as \"30s\", from 0s to 1h"),
    ] {
        expect_one(&expiry(keys), keys, expected);
    }
    expect_problems(&[(
        "upstream.echo",
        "balance = \"hash\"\nhash = \"claim:sub\"",
        "needs auth on route[1]",
    )]);
    expect_problems(&[(
        "upstream.echo",
        "headers = { x-user = \"${session.subject}\" }",
        "upstream.echo.headers = \"***\" (/etc/towline.toml): with ${session.subject} or",
    )]);
}

#[test]
fn wrong_lines_of_a_method_are_refused() {
    for (line, expected) in [
        ("from = []", "auth.a.from = [] (/etc/towline.toml): needs at least one source"),
        ("from = [\"body\"]", "\"body\": takes \"authorization\", \"subprotocol:PREFIX\","),
        ("from = [\"query:a\", \"query:a\"]", "\"query:a\" is listed twice"),
        ("from = [\"header:authorization\"]", "\"header:authorization\": takes"),
        (
            "forward_as = \"cookie\"",
            "auth.a.forward_as = \"cookie\" (/etc/towline.toml): takes \"authorization\"",
        ),
        ("api_keys.file = \"keys\"", "set either api_keys.file or api_keys.keys, not both"),
    ] {
        let text = format!("{MINIMAL}[auth.a]\napi_keys.keys = {{ a = {HASH:?} }}\n{line}\n");
        expect_one(&problems(&text, &[]), line, expected);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "a secret of at least thirty-two bytes").unwrap();
    let lines = format!("api_keys.keys = {{ a = {HASH:?} }}\njwt.secret_file = {file:?}");
    let text = format!("{MINIMAL}[auth.a]\n{lines}\n");
    let problems_of_two = problems(&text, &[]);
    assert!(
        problems_of_two[0].contains("a section has one method, and this one has jwt"),
        "{problems_of_two:?}"
    );
    let text = format!("{MINIMAL}auth = [\"a\", \"a\"]\n[auth.a]\napi_keys.keys = {{ a = {HASH:?} }}\n");
    expect_one(&problems(&text, &[]), "auth", "\"a\" is listed twice");
    let answering = "[[route]]\nanswer.body = \"x\"\nauth = [\"a\"]\n";
    let text = format!("{MINIMAL}{answering}[auth.a]\napi_keys.keys = {{ a = {HASH:?} }}\n");
    expect_one(&problems(&text, &[]), "answer", "route[2].auth = [\"a\"] (/etc/towline.toml): has no effect");
}

const GATE: &str = "[auth.a]\nforward.url = \"http://gate/verify\"\n";

#[test]
fn wrong_lines_of_forward_are_refused() {
    for (line, expected) in [
        ("forward.request_headers = [\"a b\"]", "\"a b\": a header name is a token"),
        ("forward.request_headers = [\"Upgrade\"]", "\"Upgrade\": this header is part of the connection"),
        (
            "forward.request_headers = [\"X-Forwarded-For\"]",
            "\"x-forwarded-for\": the proxy sets this header",
        ),
        (
            "forward.request_headers = [\"X-Forwarded-Uri\"]",
            "\"x-forwarded-uri\": the proxy sets this header",
        ),
        ("forward.request_headers = [\"a\", \"A\"]", "\"A\" is listed twice"),
        ("forward.upstream_headers = [\"Host\"]", "\"Host\": this header is part of the connection"),
        (
            "forward.claims_from = [\"X-User\"]",
            "takes a table of claims and headers, such as { sub = \"X-User\" }",
        ),
        ("forward.claims_from = { sub = 1 }", "takes a table of claims and headers"),
        ("forward.claims_from = { sub = \"\" }", "\"\": a header name is a token"),
        ("forward.ca = \"/none/ca.pem\"", "has no effect without https in forward.url"),
        ("forward.timeout = \"2m\"", "takes a duration with a unit, such as \"30s\", from 1ms to 1m"),
        ("forward.max_requests = 0", "takes a whole number from 1 to 10000"),
        (
            "forward_as = \"authorization\"",
            "needs from: without it, this method does not look for a credential",
        ),
    ] {
        expect_one(&problems(&format!("{MINIMAL}{GATE}{line}\n"), &[]), line, expected);
    }
    for url in
        ["ws://gate", "gate", "http://", "http://gate:0/", "http://a:secret@gate/", "http://gate/#secret"]
    {
        let text = format!("{MINIMAL}{}", GATE.replace("http://gate/verify", url));
        expect_one(&problems(&text, &[]), url, "takes");
    }
    let text = format!("{MINIMAL}{}", GATE.replace("verify", "?***"));
    let secure = format!("{MINIMAL}{}forward.ca = \"/none/ca.pem\"\n", GATE.replace("http:", "https:"));
    expect_one(
        &problems(&secure, &[]),
        "ca",
        "auth.a.forward.ca = \"/none/ca.pem\" (/etc/towline.toml): cannot read /none/ca.pem: No such file",
    );
    let [problem] = &*problems(&text, &[]) else { panic!("one problem") };
    assert!(problem.contains("a masked secret is not accepted"), "{problem}");
    let text = format!("{MINIMAL}[auth.a]\nforward.ca = \"ca.pem\"\n");
    expect_one(&problems(&text, &[]), "url", "auth.a.forward.url (/etc/towline.toml): required");
    let both = format!("{MINIMAL}{GATE}api_keys.keys = {{ a = {HASH:?} }}\n");
    expect_one(&problems(&both, &[]), "two methods", "a section has one method, and this one has api_keys");
}

#[test]
fn a_service_that_decides_about_every_request_comes_last() {
    let keys = format!("[auth.b]\napi_keys.keys = {{ a = {HASH:?} }}\n");
    let text = format!("{MINIMAL}auth = [\"a\", \"b\"]\n{GATE}{keys}");
    expect_one(&problems(&text, &[]), "auth", "\"a\" decides about every request, so it is the last one");
    for text in [
        format!("{MINIMAL}auth = [\"b\", \"a\"]\n{GATE}{keys}"),
        format!("{MINIMAL}auth = [\"a\", \"b\"]\n{GATE}from = [\"cookie:s\"]\n{keys}"),
    ] {
        assert!(load(&text, &[]).is_ok());
    }
}

#[test]
fn wrong_lines_of_basic_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    let good = "ada:$2b$04$XPHPue/aG0nXIgkiND3e5OnEtP1MWT8UXXMR8iXgB3S7mhqBRClpC\n";
    for (content, line, expected) in [
        (good, "from = [\"cookie:a\"]", "has no effect with basic, whose credential is Authorization: Basic"),
        (good, "forward_as = \"authorization\"", "has no effect with basic"),
        (good, "renew = { path = \"a\", value = \"b\", token = \"c\" }", "has no effect with this method"),
        (good, "basic.realm = \"\"", "takes a text of up to 256 visible ASCII characters and spaces"),
        (good, "basic.realm = \"a\\nb\"", "takes a text of up to 256 visible ASCII characters and spaces"),
        ("#\nada:secret\n", "", "line 2: ada: takes a hash of bcrypt ($2y$, $2b$, $2a$) or Argon2"),
        ("bo:{SHA}secret=\n", "", "line 1: bo: takes a hash of bcrypt"),
    ] {
        std::fs::write(&file, content).unwrap();
        let text = format!("{MINIMAL}[auth.a]\nbasic.file = {file:?}\n{line}\n");
        expect_one(&problems(&text, &[]), line, expected);
    }
    let text = format!("{MINIMAL}[auth.a]\nbasic.file = \"/none/htpasswd\"\n");
    expect_one(&problems(&text, &[]), "file", "cannot be read: No such file");
    let text = format!("{MINIMAL}[auth.a]\nbasic.realm = \"staff\"\n");
    expect_one(&problems(&text, &[]), "realm", "auth.a.basic.file (/etc/towline.toml): required");
}

#[test]
fn wrong_lines_of_certificates_are_refused() {
    for (line, expected) in [
        ("client_certificate.subjects = [\"device\"]", "\"device\": takes attributes of a subject, such as"),
        ("client_certificate.names = [\"spiffe://a\"]", "\"spiffe://a\": takes a host such as"),
        ("client_certificate.names = []", "takes at least one pattern, or names does; \"*\" accepts all"),
    ] {
        expect_one(&problems(&format!("{MINIMAL}[auth.a]\n{line}\n"), &[]), line, expected);
    }
    for line in ["from = [\"cookie:a\"]", "forward_as = \"authorization\""] {
        let text = format!("{MINIMAL}[auth.a]\nclient_certificate.subjects = [\"*\"]\n{line}\n");
        expect_one(
            &problems(&text, &[]),
            line,
            "has no effect with client_certificate, whose credential is part of TLS",
        );
    }
    let text = format!("{MINIMAL}auth = [\"a\"]\n[auth.a]\nclient_certificate.subjects = [\"*\"]\n");
    expect_one(&problems(&text, &[]), "auth", "\"a\" needs tls.client_ca on a listener of this route");
}
