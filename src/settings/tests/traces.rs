//! Tests of the section `[traces]`.

use super::*;

/// Settings with these lines in `[traces]`.
fn with(lines: &str) -> String {
    format!("{MINIMAL}\n[traces]\n{lines}\n")
}

/// The problems of settings with these lines in `[traces]`.
fn problems(lines: &str) -> Vec<String> {
    match load(&with(lines), &[]) {
        Err(SettingsError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        Err(error) => panic!("{error}"),
        Ok(_) => Vec::new(),
    }
}

#[track_caller]
fn expect_problem(lines: &str, expected: &str) {
    let problems = problems(lines);
    assert!(problems.iter().any(|problem| problem.contains(expected)), "{lines}: {problems:#?}");
}

const ENDPOINT: &str = "url = \"http://collector:4318/v1/traces\"";

#[test]
#[cfg(not(feature = "traces"))]
fn a_program_without_traces_refuses_an_url() {
    let expected = "traces.url = \"http://collector:4318/v1/traces\" (/etc/towline.toml): this program is built \
                    without traces: build it with cargo build --features traces";
    assert_eq!(problems(ENDPOINT), [expected]);
}

#[test]
fn wrong_values_are_refused() {
    for (lines, expected) in [
        ("url = \"collector:4318\"", "takes the URL of a collector for spans, such as"),
        ("url = \"http://me:secret@collector/\"", "traces.url = \"http://***@collector/\""),
        ("url = \"https://collector/?***\"", "a masked secret is not accepted"),
        ("sample = 1.5", "traces.sample = 1.5 (/etc/towline.toml): takes a number from 0 to 1"),
        ("sample_events = -1", "traces.sample_events = -1 (/etc/towline.toml): takes a number from 0 to 1"),
        ("sample = \"1\"", "takes a number from 0 to 1"),
        ("queue = 0", "traces.queue = 0 (/etc/towline.toml): takes a whole number from 1 to 1000000"),
        ("export_interval = \"1ms\"", "takes a duration with a unit, such as \"30s\", from 10ms to 1m"),
        ("export_timeout = \"2m\"", "takes a duration with a unit, such as \"30s\", from 10ms to 1m"),
        ("client_context = \"link\"", "takes \"continue\" or \"ignore\""),
        ("service_name = \"\"", "takes the name of the service, such as \"towline\""),
        ("headers = { \"a b\" = \"x\" }", "a header name is a token"),
        ("headers = { Host = \"x\" }", "the exporter sets this header"),
        ("headers = { a = \"***\" }", "a masked secret is not accepted"),
        ("headers = { a = \"x\\ny\" }", "the value has control characters"),
        ("headers = { A = \"1\", a = \"2\" }", "is set twice"),
        ("sample = 0.5", "traces.sample = 0.5 (/etc/towline.toml): has no effect without url"),
        ("headers = { a = \"x\" }", "has no effect without url"),
    ] {
        expect_problem(lines, expected);
    }
    let lines = format!("{ENDPOINT}\nca = \"ca.pem\"");
    expect_problem(&lines, "has no effect without https in url");
    let lines = "url = \"https://collector/\"\nca = \"/nowhere/ca.pem\"";
    expect_problem(lines, "traces.ca = \"/nowhere/ca.pem\" (/etc/towline.toml): cannot read /nowhere/ca.pem");
    for problem in problems("headers = { \"a b\" = \"hidden\" }") {
        assert!(!problem.contains("hidden"), "{problem}");
    }
}

#[cfg(feature = "traces")]
mod with_traces {
    use super::*;
    use crate::traces::{ClientContext, Ratio};

    #[test]
    fn values_take_effect() {
        let lines = format!(
            "{ENDPOINT}\nheaders = {{ X-Token = \"hidden\" }}\nsample = 0\nsample_events = 0.5\nqueue = 7\n\
             client_context = \"ignore\"\nexport_interval = \"10ms\"\nexport_timeout = \"1m\"\nservice_name = \"chat\""
        );
        let settings = load(&with(&lines), &[("TOWLINE__TRACES__SAMPLE", "0.25")]).unwrap();
        let traces = settings.traces.as_ref().unwrap();
        assert_eq!((traces.url.host.as_str(), traces.tls.is_none()), ("collector", true));
        assert_eq!((traces.sessions, traces.events), (Ratio::new(0.25).unwrap(), Ratio::new(0.5).unwrap()));
        assert_eq!((traces.client_context, traces.queue), (ClientContext::Ignore, 7));
        assert_eq!((traces.interval, traces.timeout), (Duration::from_millis(10), Duration::from_secs(60)));
        assert_eq!((&*traces.service, traces.headers[0].0.as_str()), ("chat", "x-token"));
        assert!(!format!("{settings:?}").contains("hidden"));
        let text = "[traces] url has no TLS: everyone between this machine and the collector can read traces.headers";
        assert!(settings.remarks().iter().any(|remark| remark == text), "{:?}", settings.remarks());
    }

    #[test]
    fn defaults() {
        let settings = load(&with("url = \"https://collector/v1/traces\""), &[]).unwrap();
        let traces = settings.traces.as_ref().unwrap();
        assert!(traces.tls.is_some() && traces.headers.is_empty());
        assert_eq!((traces.sessions, traces.events), (Ratio::ALL, Ratio::new(0.01).unwrap()));
        assert_eq!((traces.client_context, traces.queue), (ClientContext::Continue, 2048));
        assert_eq!((traces.interval, traces.timeout), (Duration::from_secs(5), Duration::from_secs(10)));
        assert_eq!(&*traces.service, "towline");
    }

    #[test]
    fn an_environment_variable_sets_a_secret_header() {
        let env = [("TOWLINE__TRACES__HEADERS__AUTHORIZATION", "Bearer hidden")];
        let settings = load(&with(ENDPOINT), &env).unwrap();
        let (name, value) = &settings.traces.as_ref().unwrap().headers[0];
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("authorization", "Bearer hidden"));
        let report = report(&layers(&with(ENDPOINT), &env).unwrap(), Extent::Changed);
        assert!(report.contains("authorization = \"***\"") && !report.contains("hidden"), "{report}");
    }
}
