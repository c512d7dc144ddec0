//! Tests of who may use the admin server.

use super::*;

/// The path of an action that does not exist. The token is checked first.
const NO_ACTION: &str = "/api/none";

fn settings(upstream: &TestUpstream) -> Settings {
    Settings::request(&upstream.url())
}

#[test]
fn a_name_that_leads_to_this_machine_is_refused_unless_it_is_allowed() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&settings(&upstream).with(r#"admin.allowed_hosts = ["admin.test"]"#));
    let proxy = proxy.expect("admin request refused");
    let under = |host: &str| Operator::new(proxy.admin()).with("host", host);
    for host in ["localhost", "127.0.0.1:1", "[::1]", "Admin.test:9140"] {
        under(host).get("/api/none").expect_error(404, "no page /api/none");
    }
    for host in ["evil.test", "admin.test.evil.test"] {
        under(host).get("/api/none").expect_error(403, "admin.allowed_hosts");
        under(host).get("/").expect_error(403, "admin.allowed_hosts");
        assert_eq!(under(host).get("/healthz").status, 200, "probes use any name");
    }
    assert_eq!(under("localhost").with("host", "localhost").get("/api/none").status, 400);
    proxy.wait_log(
        "WARN *admin request refused peer=127.0.0.1:* method=GET path=/api/none reason=\"this host",
    );
}

#[test]
fn a_page_of_another_site_is_refused() {
    let upstream = TestUpstream::echo();
    let (proxy, operator) = operated(&upstream);
    let proxy = proxy.expect("admin request refused");
    let own = format!("http://{}", proxy.admin());
    operator.clone().with("origin", &own).act(NO_ACTION).expect_error(404, "no page");
    for origin in ["http://evil.test", "null", "http://localhost:1"] {
        operator.clone().with("origin", origin).act(NO_ACTION).expect_error(403, "other sites");
        operator.clone().with("origin", origin).get("/api/none").expect_error(403, "other sites");
    }
    let image = operator.clone().with("sec-fetch-site", "cross-site").with("sec-fetch-mode", "no-cors");
    image.get("/api/none").expect_error(403, "other sites");
}

#[test]
fn actions_need_the_token() {
    let upstream = TestUpstream::echo();
    let (proxy, operator) = operated(&upstream);
    let proxy = proxy.expect("admin request refused");
    operator.act(NO_ACTION).expect_error(404, "no page");
    let other = |value: &str| Operator::new(proxy.admin()).with("authorization", value);
    let refused = [
        Operator::new(proxy.admin()),
        other("Basic dG9rZW4tb2YtdGhlLW9wZXJhdG9y"),
        other("Bearer wrong"),
        other(&format!("Bearer {TOKEN}x")),
    ];
    for operator in refused {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let reply = operator.send(method, NO_ACTION, None);
            assert_eq!(reply.status, 401, "{method}");
            assert!(reply.head.get("www-authenticate").unwrap().starts_with("Bearer realm="));
        }
        operator.get("/api/none").expect_error(404, "no page");
    }
    assert!(!proxy.log().iter().any(|line| line.contains(TOKEN)), "the log has no token");
}

#[test]
fn without_a_token_file_there_are_no_actions() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&settings(&upstream)).expect("admin request refused");
    let operator = Operator::new(proxy.admin()).with_token();
    operator.act(NO_ACTION).expect_error(403, "admin.token_file");
}

#[test]
fn a_new_token_takes_effect_at_once() {
    let upstream = TestUpstream::echo();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    write_token(&file, "the-first-token-of-all");
    let settings = settings(&upstream).with(&format!("admin.token_file = {file:?}"));
    let proxy = Proxy::start(&settings).expect("admin request refused").expect("token file cannot be used");
    let with = |token: &str| Operator::new(proxy.admin()).with("authorization", &format!("Bearer {token}"));
    assert_eq!(with("the-first-token-of-all").act(NO_ACTION).status, 404);
    write_token(&file, "the-second-token-of-all");
    assert_eq!(with("the-first-token-of-all").act(NO_ACTION).status, 401);
    assert_eq!(with("the-second-token-of-all").act(NO_ACTION).status, 404);
    write_token(&file, "");
    with("the-second-token-of-all").act(NO_ACTION).expect_error(503, "see the log");
    proxy.wait_log("ERROR *token file cannot be used key=admin.token_file error=*the file is empty");
}

/// Everybody who reaches the address can cause these lines.
#[test]
fn lines_about_refused_requests_are_limited_and_counted() {
    let upstream = TestUpstream::echo();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    write_token(&file, TOKEN);
    let settings = settings(&upstream).with(&format!("admin.token_file = {file:?}"));
    let proxy = Proxy::start(&settings).expect("admin request refused").expect("token file cannot be used");
    write_token(&file, "");
    let other = Operator::new(proxy.admin()).with("authorization", "Bearer x");
    let lines = || {
        proxy.count_log("WARN *admin request refused") + proxy.count_log("ERROR *token file cannot be used")
    };
    let mut caused = 0;
    wait_for("lines to be left out", PATIENCE, || {
        other.act(NO_ACTION).expect_error(503, "the token file cannot be used");
        caused += 2;
        caused > 8 && lines() + 4 < caused
    });
    wait_for("the number of the others", PATIENCE, || {
        let suppressed = proxy.scrape().sum("towline_log_lines_suppressed_total", &[]);
        suppressed as usize + lines() == caused
    });
}

#[test]
fn an_address_for_other_machines_without_a_token_is_a_warning() {
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&settings(&upstream).with(r#"admin.bind = "0.0.0.0:0""#));
    let proxy = proxy.expect("settings warning");
    proxy.wait_log("WARN *settings warning text=\"admin.bind = *can be reached from other machines");
}
