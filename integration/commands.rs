//! Tests of the command line and its error texts (guarantee C10).

use std::{net::TcpListener, path::Path};

use crate::harness::*;

/// Runs `towline run` on these settings until it ends.
fn run(settings: &str, env: &[(&str, &str)]) -> Finished {
    command("run", settings, env)
}

fn command(name: &str, settings: &str, env: &[(&str, &str)]) -> Finished {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("towline.toml");
    std::fs::write(&file, settings).unwrap();
    Program::finish(&[name, "--config", file.to_str().unwrap()], env, folder.path())
}

/// Expects exit code 78 and an error text that contains all of `words`.
#[track_caller]
fn refused(settings: &Settings, words: &[&str]) {
    let finished = run(&settings.text(), &[]);
    assert_eq!(finished.code, Some(78), "{}", finished.stderr);
    for word in words {
        assert!(finished.stderr.contains(word), "no {word:?} in:\n{}", finished.stderr);
    }
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
}

fn good() -> Settings {
    Settings::request("ws://127.0.0.1:1")
}

#[test]
fn a_wrong_value_names_key_value_and_what_is_allowed() {
    for (line, words) in [
        (
            r#"listener.ws.codec = "yaml""#,
            &["listener.ws.codec", "yaml", "message", "string", "json", "binary"][..],
        ),
        (r#"listener.ws.bind = "nonsense""#, &["listener.ws.bind", "nonsense"]),
        (r#"listener.ws.bind = "127.0.0.1:99999""#, &["listener.ws.bind", "99999"]),
        (r#"listener.ws.preprocessors = ["linse"]"#, &["listener.ws.preprocessors", "linse", "lines"]),
        (r#"listener.ws.max_message = "plenty""#, &["listener.ws.max_message", "plenty"]),
        (r#"listener.ws.handshake_timeout = "soon""#, &["listener.ws.handshake_timeout", "soon"]),
        (r#"upstream.echo.exchange = "both""#, &["upstream.echo.exchange", "both", "stream", "request"]),
        (r#"upstream.echo.on_give_up = "cry""#, &["upstream.echo.on_give_up", "cry", "keep", "close"]),
        (r#"upstream.echo.url = "http://127.0.0.1""#, &["upstream.echo.url", "http://127.0.0.1", "ws://"]),
        (r#"upstream.echo.url = "wss:127.0.0.1""#, &["upstream.echo.url", "wss:127"]),
        (r#"upstream.echo.url = "nonsense""#, &["upstream.echo.url", "nonsense"]),
        (r#"upstream.echo.reply_timeout = "-3s""#, &["upstream.echo.reply_timeout", "-3s"]),
        ("upstream.echo.max_in_flight = 0", &["upstream.echo.max_in_flight", "0"]),
        ("upstream.echo.max_overdue = 0", &["upstream.echo.max_overdue", "0"]),
        ("upstream.echo.max_overdue = 1001", &["upstream.echo.max_overdue", "1001", "1000"]),
        (r#"upstream.echo.restart = { min = "2s", max = "1s" }"#, &["upstream.echo.restart", "min", "max"]),
        (r#"upstream.echo.correlation = "id""#, &["upstream.echo.correlation", "json"]),
        (r#"upstream.echo.headers = { "bad name" = "x" }"#, &["upstream.echo.headers", "bad name"]),
        ("drain.close_code = 1000", &["drain.close_code", "1000", "1001", "1012"]),
        (r#"log.format = "xml""#, &["log.format", "xml", "text", "json"]),
        (r#"admin.bind = "x""#, &["admin.bind", "x"]),
    ] {
        println!("{line}");
        refused(&good().with(line), words);
    }
}

#[test]
fn contradictory_settings_are_refused() {
    refused(
        &Settings::stream("ws://127.0.0.1:1").with(r#"upstream.echo.reply_timeout = "1s""#),
        &["upstream.echo.reply_timeout", "request"],
    );
    refused(
        &Settings::stream("ws://127.0.0.1:1").with("upstream.echo.max_overdue = 5"),
        &["upstream.echo.max_overdue", "request"],
    );
    refused(
        &Settings::stream("ws://127.0.0.1:1").with(r#"upstream.echo.correlation = "id""#),
        &["upstream.echo.correlation", "request"],
    );
    refused(&good().on_route(r#"upstream = "nowhere""#), &["route", "upstream", "nowhere", "echo"]);
    refused(&good().on_route(r#"incoming = ["nothing"]"#), &["route", "incoming", "nothing"]);
    refused(&good().on_route(r#"listener = "unknown""#), &["route", "listener", "unknown", "ws"]);
    refused(&good().on_route(r#"path = "chat""#), &["route", "path", "chat"]);
    refused(
        &good().with(r#"listener.other.bind = "127.0.0.1:0""#).on_route(r#"listener = "ws""#),
        &["listener.other"],
    );
    refused(&good().route(&[r#"path = "/never""#, r#"upstream = "echo""#]), &["/never"]);
    refused(&good().with(r#"upstream.echo.allow_urls = ["ws://u%3Ax:p@h/"]"#), &["upstream.echo.allow_urls"]);
}

#[test]
fn the_error_about_an_unknown_key_names_it() {
    refused(&good().with(r#"listener.ws.bnid = "127.0.0.1:0""#), &["bnid"]);
    refused(&good().with(r#"lisstener.ws.bind = "127.0.0.1:0""#), &["lisstener"]);
    refused(&good().on_route(r#"pth = "/""#), &["pth"]);
}

#[test]
fn a_wrong_type_is_refused() {
    refused(&good().with("listener.ws.bind = 9139"), &["listener.ws.bind"]);
    refused(&good().with(r#"server.workers = "many""#), &["server.workers", "many"]);
    refused(&good().with(r#"listener.ws.preprocessors = "lines,""#), &["listener.ws.preprocessors"]);
}

#[test]
fn an_error_in_the_toml_syntax_names_file_and_line() {
    let finished = run("[listener.ws]\nbind = \"127.0.0.1:0\n", &[]);
    assert_eq!(finished.code, Some(78));
    for word in ["towline.toml", "towline.toml:2:"] {
        assert!(finished.stderr.contains(word), "no {word:?} in:\n{}", finished.stderr);
    }
}

#[test]
fn the_error_about_a_missing_file_names_it() {
    let finished = Program::finish(&["run", "--config", "/nowhere/x.toml"], &[], Path::new("/"));
    assert_eq!(finished.code, Some(78), "{}", finished.stderr);
    assert!(finished.stderr.contains("/nowhere/x.toml"), "{}", finished.stderr);
}

#[test]
fn a_syntax_error_in_a_program_names_line_and_column() {
    let settings = good().incoming("select event from in into out;\nselect event frm in into out;");
    refused(&settings, &["incoming", "2:", "frm", "^"]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.trickle"), "select event\nfrom in where event >< 1 into out;")
        .unwrap();
    let file = folder.path().join("towline.toml");
    let settings =
        good().with(r#"pipeline.incoming.file = "x.trickle""#).on_route(r#"incoming = ["incoming"]"#);
    std::fs::write(&file, settings.text()).unwrap();
    let finished = Program::finish(&["check", "--config", file.to_str().unwrap()], &[], Path::new("/"));
    assert_eq!(finished.code, Some(78), "{}", finished.stderr);
    for word in ["x.trickle", "2:", "^"] {
        assert!(finished.stderr.contains(word), "no {word:?} in:\n{}", finished.stderr);
    }
}

#[test]
fn the_error_about_a_wrong_environment_variable_names_it() {
    let finished = run(&good().text(), &[("TOWLINE__LISTENER__WS__CODEC", "yaml")]);
    assert_eq!(finished.code, Some(78), "{}", finished.stderr);
    for word in ["TOWLINE__LISTENER__WS__CODEC", "yaml", "json"] {
        assert!(finished.stderr.contains(word), "no {word:?} in:\n{}", finished.stderr);
    }
}

#[test]
fn the_environment_takes_precedence_over_the_file() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request("ws://127.0.0.1:1").with(r#"listener.ws.codec = "json""#);
    let url = upstream.url();
    let env = [
        ("TOWLINE__UPSTREAM__ECHO__URL", url.as_str()),
        ("TOWLINE__LISTENER__WS__CODEC", "string"),
        ("TOWLINE__LISTENER__WS__PREPROCESSORS", "lines"),
        ("TOWLINE__UPSTREAM__ECHO__REPLY_TIMEOUT", "2s"),
    ];
    let proxy = Proxy::start_with(&settings, &env);
    assert_eq!(proxy.client().ask("no json\n"), "no json");
}

#[test]
fn a_port_in_use_names_address_and_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for key in ["listener.ws.bind", "admin.bind"] {
        let finished = run(&good().with(&format!("{key} = \"{addr}\"")).text(), &[]);
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        for word in [key, &addr] {
            assert!(finished.stderr.contains(word), "no {word:?} in:\n{}", finished.stderr);
        }
    }
    let finished = Program::finish(&["echo", "--bind", &addr], &[], Path::new("/"));
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains(&addr), "{}", finished.stderr);
}

#[test]
fn wrong_usage_ends_with_2() {
    for args in [&["fly"][..], &["run", "--nope"], &["run", "--config"], &["echo", "--bind", "x"], &[]] {
        let finished = Program::finish(args, &[], Path::new("/"));
        assert_eq!(finished.code, Some(2), "{args:?}: {}", finished.stderr);
        assert!(!finished.stderr.is_empty());
    }
}

#[test]
fn help_and_version_end_with_0() {
    for args in [&["--help"][..], &["--version"], &["run", "--help"]] {
        let finished = Program::finish(args, &[], Path::new("/"));
        assert_eq!(finished.code, Some(0), "{args:?}");
        assert!(finished.stdout.contains("towline"), "{}", finished.stdout);
    }
}

#[test]
fn without_a_settings_file_the_error_names_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let finished = Program::finish(&["run"], &[], folder.path());
    assert_eq!(finished.code, Some(78), "{}", finished.stderr);
    let looked = folder.path().join("settings/default.toml");
    assert!(finished.stderr.contains(looked.to_str().unwrap()), "{}", finished.stderr);
    for command in
        ["`towline init towline.toml`", "`towline run --config towline.toml`", "`towline run --to URL`"]
    {
        assert!(finished.stderr.contains(command), "{}", finished.stderr);
    }
}

#[test]
fn a_variable_can_set_names_with_a_dash() {
    let settings = Settings::bare()
        .with(r#"listener.ws-public.bind = "127.0.0.1:1""#)
        .with(r#"upstream.chat-api.url = "ws://127.0.0.1:1""#)
        .route(&[r#"upstream = "chat-api""#]);
    let env = [
        ("TOWLINE__LISTENER__WS_PUBLIC__BIND", "127.0.0.1:0"),
        ("TOWLINE__UPSTREAM__CHAT_API__URL", "ws://127.0.0.1:2"),
    ];
    let finished = command("check", &settings.text(), &env);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    for line in
        ["[listener.ws-public]\nbind = \"127.0.0.1:0\"", "[upstream.chat-api]\nurl = \"ws://127.0.0.1:2\""]
    {
        assert!(finished.stdout.contains(line), "{line}\n{}", finished.stdout);
    }
    assert_eq!(finished.stdout.matches("[listener.").count(), 1, "{}", finished.stdout);
}

#[test]
fn an_unused_variable_prevents_the_start() {
    for name in ["TOWLINE__LISTENER__W__BIND", "TOWLINE__UPSTREAM__ECO__URL", "TOWLINE_UPSTREAM__ECHO__URL"] {
        let finished = run(&good().text(), &[(name, "ws://127.0.0.1:1")]);
        assert_eq!(finished.code, Some(78), "{name}");
        assert!(
            finished.stderr.contains(name) && finished.stderr.contains("did you mean"),
            "{}",
            finished.stderr
        );
    }
}

#[test]
fn the_environment_can_name_the_settings_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, good().text()).unwrap();
    let env = [("TOWLINE_CONFIG", file.to_str().unwrap())];
    let finished = Program::finish(&["check"], &env, Path::new("/"));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

#[test]
fn check_shows_effective_values_and_their_origin() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("towline.toml");
    let settings = Settings::request("ws://user:hunter2@127.0.0.1:1/chat?key=s3cr3t")
        .with(r#"upstream.echo.headers = { x-token = "Bearer t0k3n" }"#);
    std::fs::write(&file, settings.text()).unwrap();
    let env = [("TOWLINE__LISTENER__WS__MAX_MESSAGE", "2MiB")];
    let finished = Program::finish(&["check", "--config", file.to_str().unwrap()], &env, Path::new("/"));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let line = |key: &str| {
        let lines: Vec<_> = finished.stdout.lines().filter(|line| line.contains(key)).collect();
        assert!(!lines.is_empty(), "no {key} in:\n{}", finished.stdout);
        lines.join("\n")
    };
    assert!(line("exchange").contains("towline.toml"), "{}", line("exchange"));
    assert!(line("max_message").contains("TOWLINE__LISTENER__WS__MAX_MESSAGE"), "{}", line("max_message"));
    assert!(line("max_in_flight").contains("default"), "{}", line("max_in_flight"));
    for secret in ["hunter2", "s3cr3t", "t0k3n"] {
        assert!(!finished.stdout.contains(secret) && !finished.stderr.contains(secret), "{secret}");
    }
}

#[test]
fn the_shipped_settings_are_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["settings/default.toml", "settings/demo.toml"] {
        let finished = Program::finish(&["check", "--config", file], &[], root);
        assert_eq!(finished.code, Some(0), "{file}: {}", finished.stderr);
    }
}

#[test]
fn nothing_listens_when_one_setting_is_wrong() {
    let finished = run(&good().with("drain.close_code = 7").text(), &[]);
    assert_eq!(finished.code, Some(78));
    assert!(!finished.stderr.contains("listening"), "{}", finished.stderr);
}

#[test]
fn without_an_admin_address_there_are_no_admin_pages() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("towline.toml");
    std::fs::write(&file, good().with(r#"admin.bind = """#).text()).unwrap();
    let mut program = Program::start(&["run", "--config", file.to_str().unwrap()], &[], folder.path());
    program.wait_log("listening listener=ws");
    program.signal("TERM");
    assert_eq!(program.exit_code(), Some(0));
    assert!(!program.log().iter().any(|line| matches(line, "listening admin")));
}

/// Settings with a program that causes one warning.
fn with_unreached_code() -> Settings {
    let program = "define script s\nscript\n    emit (9.0 >= 2); { \"never\": 1 };\nend;\ncreate script s;\n\
                   select event from in into s;\nselect event from s into out;";
    good().incoming(program)
}

#[test]
fn check_prints_warnings_to_standard_error() {
    let finished = command("check", &with_unreached_code().text(), &[]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stderr.starts_with("warning: this is never reached\n"), "{}", finished.stderr);
    assert!(finished.stderr.contains("pipeline.incoming:3:22"), "{}", finished.stderr);
    let again = command("check", &finished.stdout, &[]);
    assert_eq!((again.code, again.stderr), (Some(0), finished.stderr));
}

#[test]
fn with_strict_warnings_are_errors() {
    for (settings, code) in [(with_unreached_code(), 78), (good(), 0)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("towline.toml");
        std::fs::write(&file, settings.text()).unwrap();
        let args = ["check", "--strict", "--config", file.to_str().unwrap()];
        let finished = Program::finish(&args, &[], folder.path());
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert_eq!(finished.stdout.is_empty(), code == 78, "{}", finished.stdout);
        assert_eq!(finished.stderr.contains("never reached"), code == 78, "{}", finished.stderr);
    }
}

#[test]
fn warnings_of_programs_are_logged() {
    let upstream = TestUpstream::echo();
    let text = with_unreached_code().with(&format!("upstream.echo.url = {:?}", upstream.url()));
    let proxy = Proxy::start(&text).expect("program warning");
    assert_eq!(proxy.client().ask("1"), "true");
    proxy.wait_log("program warning text=*this is never reached at pipeline.incoming:3:22*");
}

#[test]
fn eval_prints_warnings() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.tremor"), "drop; 2").unwrap();
    std::fs::write(folder.path().join("in"), "1\n").unwrap();
    for (strict, code) in [(&[][..], 0), (&["--strict"], 1)] {
        let args = [&["eval", "a.tremor", "--in", "in"], strict].concat();
        let finished = Program::finish(&args, &[], folder.path());
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert!(finished.stderr.contains("warning: this is never reached"), "{}", finished.stderr);
    }
}

/// The log filter accepts the module name `session`, as shown in log lines, without the prefix `towline::`.
#[test]
fn the_log_level_of_a_module_is_set_by_the_name_in_the_log() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url()).with(r#"log.level = "info,session=off""#);
    let mut proxy = Proxy::start(&settings);
    assert_eq!(proxy.client().ask("a"), "a");
    proxy.wait_log("connector up");
    proxy.signal("TERM");
    assert_eq!(proxy.exit_code(), Some(0));
    assert!(!proxy.log().iter().any(|line| line.contains(" session: ")), "{:#?}", proxy.log());
    refused(&good().with(r#"log.level = "info,sesion=debug""#), &["log.level", "did you mean \"session\""]);
}

#[test]
fn check_reports_the_effect_of_rust_log() {
    for (filter, strict, code, words) in [
        ("a=loud", false, 0, "warning: RUST_LOG = \"a=loud\" is not a filter and has no effect"),
        ("a=loud", true, 78, "warning: RUST_LOG"),
        ("sesion=debug", false, 0, "did you mean \"session\"?"),
        ("session=debug", true, 0, "note: RUST_LOG = \"session=debug\" replaces log.level"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("towline.toml");
        std::fs::write(&file, good().text()).unwrap();
        let mut args = vec!["check", "--config", file.to_str().unwrap()];
        args.extend(strict.then_some("--strict"));
        let finished = Program::finish(&args, &[("RUST_LOG", filter)], folder.path());
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert!(finished.stderr.contains(words), "{}", finished.stderr);
    }
}

#[test]
fn a_section_that_no_route_names_is_a_warning() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .upstream("spare", "ws://127.0.0.1:1")
        .pipeline("later", "select event from in into out;");
    let finished = command("check", &settings.text(), &[]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    for section in ["upstream.spare", "pipeline.later"] {
        let warning = format!("warning: [{section}] has no effect: no route names it\n");
        assert!(finished.stderr.contains(&warning), "{}", finished.stderr);
    }
    let again = command("check", &finished.stdout, &[]);
    assert_eq!((again.code, again.stderr), (Some(0), finished.stderr));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("towline.toml");
    std::fs::write(&file, settings.text()).unwrap();
    let args = ["check", "--strict", "--config", file.to_str().unwrap()];
    assert_eq!(Program::finish(&args, &[], folder.path()).code, Some(78));
    let proxy = Proxy::start(&settings).expect("settings warning");
    assert_eq!(proxy.client().ask("a"), "a");
    proxy.wait_log("settings warning text=*upstream.spare* has no effect: no route names it*");
}

/// A new user's first `check --strict` reports no warnings.
#[test]
fn the_shipped_settings_have_no_warnings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["settings/default.toml", "settings/demo.toml"] {
        let finished = Program::finish(&["check", "--strict", "--config", file], &[], root);
        assert_eq!((finished.code, finished.stderr), (Some(0), String::new()), "{file}");
    }
}
