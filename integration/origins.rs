//! Tests of the check of origins, which protects users of browsers from pages of other sites.

use crate::harness::*;

#[test]
fn only_listed_origins_are_accepted() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .on_route(r#"name = "chat""#)
        .on_route(r#"origins = ["https://example.com", "https://*.example.org"]"#);
    let proxy = Proxy::start(&settings).expect("client refused");
    for origin in ["https://example.com", "HTTPS://EXAMPLE.com:443", "https://a.b.example.org"] {
        assert_eq!(Opening::new(proxy.addr()).header("Origin", origin).open().ask("a"), "a", "{origin}");
    }
    let connections = upstream.connections();
    for origin in ["http://example.com", "https://example.org", "https://example.com.evil.test", "null", ""] {
        let refusal = Opening::new(proxy.addr()).header("Origin", origin).refused();
        assert_eq!((refusal.status(), refusal.body.as_str()), (403, "origin not allowed\n"), "{origin}");
    }
    assert_eq!(Opening::new(proxy.addr()).refused().status(), 403, "no origin");
    let twice = Opening::new(proxy.addr()).header("Origin", "https://example.com");
    assert_eq!(twice.header("Origin", "https://example.com").refused().status(), 403);
    assert_eq!(upstream.connections(), connections, "a refused client costs the upstream nothing");
    proxy.wait_log(
        "client refused *route=chat status=403 reason=\"origin not allowed\" cause=\"origin http://example.com\"",
    );
}

#[test]
fn programs_and_pages_without_origin_are_listed_by_name() {
    let upstream = TestUpstream::echo();
    for (origins, origin, status) in [
        (r#"["none"]"#, None, 101),
        (r#"["none"]"#, Some("https://a.test"), 403),
        (r#"["null"]"#, Some("null"), 101),
        (r#"["null"]"#, None, 403),
        (r#"["*"]"#, Some("https://a.test"), 101),
        (r#"["*"]"#, None, 101),
    ] {
        let settings = Settings::request(&upstream.url()).on_route(&format!("origins = {origins}"));
        let proxy = Proxy::start(&settings).expect("client refused");
        let opening = Opening::new(proxy.addr());
        let opening = origin.into_iter().fold(opening, |opening, origin| opening.header("Origin", origin));
        let answered = opening.try_open().map_or_else(|refusal| refusal.status(), |_| 101);
        assert_eq!(answered, status, "{origins} {origin:?}");
    }
}

#[test]
fn a_route_with_cookies_and_without_origins_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("towline.toml");
    let text = Settings::request("ws://127.0.0.1:1").text().replace("origins = [\"*\"]\n", "");
    std::fs::write(&file, &text).unwrap();
    let file = file.to_str().unwrap();
    let checked = Program::finish(&["check", "--config", file], &[], folder.path());
    assert_eq!(checked.code, Some(0));
    let warning = "warning: route[1] accepts browsers from pages of any site";
    assert!(checked.stderr.starts_with(warning), "{}", checked.stderr);
    let strict = Program::finish(&["check", "--strict", "--config", file], &[], folder.path());
    assert_eq!(strict.code, Some(78), "{}", strict.stderr);
    let mut program = Program::start(&["run", "--config", file], &[], folder.path());
    program.wait_log("settings warning text=\"route[1] accepts browsers from pages of any site*");
    program.signal("TERM");
    assert_eq!(program.exit_code(), Some(0));
}
