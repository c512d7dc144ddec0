//! Tests of starting without a settings file (`--to`, `demo`), and of the files that the program writes
//! (`init`, `check`).

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::OnceLock,
    time::{Duration, Instant},
};

use crate::harness::*;

/// Occupies the default address of `admin.bind` for the rest of all tests, unless another process has occupied it for
/// long.
fn take_admin_port() {
    static TAKEN: OnceLock<Option<TcpListener>> = OnceLock::new();
    let end = Instant::now() + PATIENCE;
    let take = || TcpListener::bind("127.0.0.1:9140").ok();
    TAKEN.get_or_init(|| {
        let mut taken = take();
        while taken.is_none() && Instant::now() < end {
            pause(Duration::from_millis(3));
            taken = take();
        }
        taken
    });
}

const ANY_ADMIN: (&str, &str) = ("TOWLINE__ADMIN__BIND", "127.0.0.1:0");

/// The addresses in all log lines that match a pattern.
fn addresses(program: &Program, pattern: &str) -> Vec<SocketAddr> {
    let log = program.log();
    let found = log.iter().filter(|line| matches(line, pattern));
    found.map(|line| line.rsplit_once("address=").unwrap().1.parse().unwrap()).collect()
}

fn end(mut program: Program) {
    program.signal("TERM");
    assert_eq!(program.exit_code(), Some(0));
}

#[test]
fn run_works_without_a_settings_file() {
    let upstream = TestUpstream::echo();
    let folder = tempfile::tempdir().unwrap();
    let args = ["run", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--to", &upstream.url()];
    let program = Program::start(&args, &[ANY_ADMIN], folder.path());
    program.wait_log("listening admin");
    let listening = addresses(&program, "listening listener=ws");
    assert_eq!(listening.len(), 2, "{listening:?}");
    for address in listening {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("hello"), "hello");
        client.send(binary("\u{1}"));
        assert_eq!(client.recv(), binary("\u{1}"));
    }
    end(program);
}

#[test]
fn the_environment_takes_precedence_over_flags() {
    let upstream = TestUpstream::echo();
    let env = [ANY_ADMIN, ("TOWLINE__LISTENER__WS__BIND", "127.0.0.1:0")];
    let args = ["run", "--listen", "192.0.2.1:1", "--to", &upstream.url()];
    let program = Program::start(&args, &env, Path::new("/"));
    program.wait_log("listening admin");
    assert_eq!(Client::connect(addresses(&program, "listening listener=ws")[0]).ask("a"), "a");
    end(program);
}

#[test]
fn contradictory_flags_are_wrong_usage() {
    let to = ["--to", "ws://127.0.0.1:1"];
    for command in ["run", "check"] {
        let args = [&[command, "--config", "a.toml"][..], &to].concat();
        let finished = Program::finish(&args, &[], Path::new("/"));
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        for word in ["--to", "--config", "a.toml"] {
            assert!(finished.stderr.contains(word), "{}", finished.stderr);
        }
        let args = [&[command][..], &to].concat();
        let finished = Program::finish(&args, &[("TOWLINE_CONFIG", "b.toml")], Path::new("/"));
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        assert!(finished.stderr.contains("TOWLINE_CONFIG names b.toml"), "{}", finished.stderr);
        let finished = Program::finish(&[command, "--listen", "127.0.0.1:0"], &[], Path::new("/"));
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        assert!(finished.stderr.contains("--to"), "{}", finished.stderr);
    }
}

#[test]
fn a_wrong_flag_is_reported_as_a_wrong_setting() {
    for (args, words) in [
        (&["--to", "http://h"][..], &["upstream.main.url", "command line", "ws://"][..]),
        (&["--to", "ws://h", "--listen", "nonsense"], &["listener.ws.bind", "command line", "nonsense"]),
        (&["--to", "ws://h", "--listen", "127.0.0.1:5", "--listen", "127.0.0.1:5"], &["127.0.0.1:5 twice"]),
    ] {
        let finished = Program::finish(&[&["run"], args].concat(), &[], Path::new("/"));
        assert_eq!(finished.code, Some(78), "{}", finished.stderr);
        for word in words {
            assert!(finished.stderr.contains(word), "no {word}: {}", finished.stderr);
        }
    }
}

#[test]
fn a_taken_admin_port_prevents_the_start_only_if_it_is_configured() {
    let upstream = TestUpstream::echo();
    take_admin_port();
    let folder = tempfile::tempdir().unwrap();
    let args = ["run", "--listen", "127.0.0.1:0", "--to", &upstream.url()];
    let program = Program::start(&args, &[], folder.path());
    program.wait_log("WARN *admin address is taken, using a free port address=127.0.0.1:9140");
    program.wait_log("listening admin address=127.0.0.1:");
    let admin = addresses(&program, "listening admin")[0];
    assert_ne!(admin.port(), 9140);
    assert_eq!(get(admin, "/readyz").0, 200);
    end(program);

    let finished = Program::finish(&args, &[("TOWLINE__ADMIN__BIND", "127.0.0.1:9140")], folder.path());
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("127.0.0.1:9140") && finished.stderr.contains("admin.bind"));

    let file = folder.path().join("towline.toml");
    let text = "[listener.ws]\nbind = \"127.0.0.1:0\"\n[upstream.a]\nurl = \"ws://h\"\n[[route]]\nupstream = \"a\"\n";
    std::fs::write(&file, text).unwrap();
    let finished = Program::finish(&["run", "--config", file.to_str().unwrap()], &[], folder.path());
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("127.0.0.1:9140") && finished.stderr.contains("admin.bind"));
}

/// The environment variables for a demo on these ports.
fn demo_ports(listener: &str, upstream: &str) -> [(&'static str, String); 2] {
    [
        ("TOWLINE__LISTENER__WS__BIND", listener.to_owned()),
        ("TOWLINE__UPSTREAM__ECHO__URL", format!("ws://{upstream}")),
    ]
}

#[test]
fn the_demo_runs_in_any_folder_and_with_the_admin_port_taken() {
    take_admin_port();
    let upstream = Port::take();
    let folder = tempfile::tempdir().unwrap();
    let ports = demo_ports("127.0.0.1:0", &upstream.addr().to_string());
    let env: Vec<_> = ports.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let program = Program::start(&["demo"], &env, folder.path());
    program.wait_log("WARN *admin address is taken, using a free port");
    program.wait_log("listening admin");
    assert_eq!(get(addresses(&program, "listening admin")[0], "/healthz").0, 200);
    let address = addresses(&program, "listening listener=ws")[0];
    assert_eq!(Client::connect(address).ask("hello"), "hello");
    assert_eq!(Client::connect(address).ask("snot"), "badger");
    end(program);
}

#[test]
fn the_error_about_a_taken_demo_port_says_how_to_choose_another() {
    let (listening, port) = (TcpListener::bind("127.0.0.1:0").unwrap(), Port::take());
    let (taken, free) = (listening.local_addr().unwrap().to_string(), port.addr().to_string());
    for (listener, upstream, variable) in
        [(&taken, &free, "TOWLINE__LISTENER__WS__BIND"), (&free, &taken, "TOWLINE__UPSTREAM__ECHO__URL")]
    {
        let ports = demo_ports(listener, upstream);
        let env: Vec<_> = ports.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let finished = Program::finish(&["demo"], &[&env[..], &[ANY_ADMIN]].concat(), Path::new("/"));
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        for word in [taken.as_str(), variable, "towline demo"] {
            assert!(finished.stderr.contains(word), "no {word}: {}", finished.stderr);
        }
        assert_eq!(finished.stdout, "", "a demo that does not run prints no instructions");
    }
}

/// A report without its comments, which say where each value comes from.
fn values(report: &str) -> Vec<&str> {
    report.lines().map(|line| line.split(" # ").next().unwrap().trim_end()).collect()
}

#[test]
fn the_output_of_check_is_valid_in_another_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let flags = ["--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--to", "ws://127.0.0.1:1/a"];
    for args in [&["--config", "settings/default.toml"][..], &["--config", "settings/demo.toml"], &flags] {
        for extent in [&[][..], &["--changed"]] {
            let first = Program::finish(&[&["check"], args, extent].concat(), &[], root);
            assert_eq!(first.code, Some(0), "{}", first.stderr);
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("f.toml"), &first.stdout).unwrap();
            let again = [&["check", "--config", "f.toml"], extent].concat();
            let again = Program::finish(&again, &[], folder.path());
            assert_eq!(again.code, Some(0), "{}\n{}", again.stderr, first.stdout);
            assert_eq!(values(&again.stdout), values(&first.stdout));
        }
    }
}

/// The output is closed early, as by a pipe into `head`.
#[test]
fn check_succeeds_when_the_reader_closes_its_output() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_towline"));
    check.args(["check", "--to", "ws://h"]).env_remove("TOWLINE_CONFIG").stdout(writer);
    let output = check.output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn check_can_print_changes_only() {
    let finished = Program::finish(&["check", "--changed", "--to", "ws://h"], &[], Path::new("/"));
    let changed = "[listener.ws]\nbind = \"127.0.0.1:9139\"\n\n[upstream.main]\nurl = \"ws://h\"\n\n\
                   [[route]]\norigins = [\"*\"]\nupstream = \"main\"";
    assert_eq!(values(&finished.stdout).join("\n"), changed);
}

#[test]
fn a_masked_secret_is_refused_as_a_value() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "ws://me:hunter2@127.0.0.1:1/?token=hunter2";
    let report = Program::finish(&["check", "--changed", "--to", secret], &[], Path::new("/"));
    assert_eq!(report.code, Some(0), "{}", report.stderr);
    assert!(
        report.stdout.contains("url = \"ws://***@127.0.0.1:1/?***\"") && !report.stdout.contains("hunter2")
    );
    std::fs::write(folder.path().join("f.toml"), &report.stdout).unwrap();
    for command in ["run", "check"] {
        let finished = Program::finish(&[command, "--config", "f.toml"], &[], folder.path());
        assert_eq!(finished.code, Some(78), "{}", finished.stderr);
        assert!(finished.stderr.contains("upstream.main.url") && finished.stderr.contains("a masked secret"));
    }
    let env = [("TOWLINE__UPSTREAM__MAIN__URL", secret)];
    let finished = Program::finish(&["check", "--config", "f.toml"], &env, folder.path());
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

#[test]
fn init_writes_a_valid_file_and_overwrites_none() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&["init"][..], &["init", "other.toml"]] {
        let name = args.get(1).unwrap_or(&"towline.toml");
        let finished = Program::finish(args, &[], folder.path());
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert!(finished.stdout.contains(&format!("towline run --config {name}")), "{}", finished.stdout);
        let check = Program::finish(&["check", "--config", name], &[], folder.path());
        assert_eq!(check.code, Some(0), "{}", check.stderr);
        let file = folder.path().join(name);
        std::fs::write(&file, "mine").unwrap();
        let again = Program::finish(args, &[], folder.path());
        assert_eq!(again.code, Some(1));
        assert!(again.stderr.contains(&format!("{name} exists and is not overwritten")), "{}", again.stderr);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }
    let finished = Program::finish(&["init", "-"], &[], folder.path());
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    for key in ["[listener.ws]\n", "# ping_interval = ", "source = "] {
        assert!(finished.stdout.contains(key), "no {key} in\n{}", finished.stdout);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}
