//! The examples of docs/tap.md.

use super::*;

const TAP: &str = include_str!("../../docs/tap.md");

/// The code blocks of this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let start = format!("```{language}\n");
    TAP.split(&start).skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block).collect()
}

/// The commands of the document, without the prompt.
fn commands() -> Vec<&'static str> {
    blocks("console").into_iter().flat_map(str::lines).filter_map(|line| line.strip_prefix("$ ")).collect()
}

#[test]
fn the_commands_of_the_document_run() {
    let echo = EchoProcess::start();
    let [settings] = &blocks("toml")[..] else { panic!("one block of settings") };
    let folder = tempfile::tempdir().unwrap();
    write_token(&folder.path().join("admin.token"), TOKEN);
    let listening = Settings::request(&echo.url()).text();
    let settings = settings.replace("[admin]\n", "").replace("/etc/towline/", "");
    let added = settings.lines().filter(|line| !line.is_empty()).map(|line| format!("admin.{line}\n"));
    let text = format!("{}{listening}", added.collect::<String>());
    std::fs::write(folder.path().join("towline.toml"), text).unwrap();
    let proxy = Program::start(&["run", "--config", "towline.toml"], &[], folder.path());
    let address =
        |line: String| line.rsplit_once("address=").unwrap().1.split(' ').next().unwrap().to_owned();
    let admin = address(proxy.wait_log("listening admin address="));
    let listener = address(proxy.wait_log("listening listener=ws *address="));
    // A tap of one session needs one that is open.
    let first = Client::connect(listener.parse().unwrap());
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let traffic = {
        let (listener, stop) = (listener.parse().unwrap(), std::sync::Arc::clone(&stop));
        std::thread::spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                Client::connect(listener).ask("hello");
            }
        })
    };
    let mut run = 0;
    for line in commands() {
        // What a person ends by hand ends after a second here.
        let limited = if line.contains(" tap ") && !line.contains("--for") && !line.contains("--limit") {
            format!("{line} --for 1s")
        } else {
            line.to_owned()
        };
        let limited = limited.replace("ws://127.0.0.1:9139", &format!("ws://{listener}"));
        let script = format!("towline() {{ {} \"$@\"; }}; {limited}", env!("CARGO_BIN_EXE_towline"));
        let output = Command::new("sh")
            .args(["-c", &script])
            .env("TOWLINE_ADMIN", format!("http://{admin}"))
            .env("TOWLINE_TOKEN_FILE", folder.path().join("admin.token"))
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{limited}: {}", String::from_utf8_lossy(&output.stderr));
        run += 1;
    }
    assert!(run >= 5, "only {run} commands");
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    traffic.join().unwrap();
    drop(first);
}

/// The lines that the document shows have the fields that the program writes.
#[test]
fn the_fields_of_the_document_are_those_of_a_line() {
    let documented: Vec<_> = blocks("json")
        .into_iter()
        .flat_map(str::lines)
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .collect();
    assert!(documented.len() >= 2);
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&tapped(Settings::request(&upstream.url())));
    let mut tap = Tap::open(&proxy, &["--payload"]);
    proxy.client().ask("hello");
    let lines = tap.until_outcome("1:0:0");
    let keys = |line: &Value| -> Vec<String> { line.as_object().unwrap().keys().cloned().collect() };
    for documented in documented.iter().filter(|line| line.get("direction").is_some()) {
        let same = lines.iter().find(|line| line["direction"] == documented["direction"]).unwrap();
        assert_eq!(keys(documented), keys(same));
    }
}

/// The description of the API has the fields of all lines.
#[test]
fn the_fields_of_a_line_are_described() {
    let upstream = TestUpstream::echo();
    let settings = tapped(Settings::json(&upstream.url())).incoming("select event from in into err;");
    let proxy = Proxy::start(&settings);
    let operator = Operator::new(proxy.admin());
    let description = operator.json("/api/openapi.json");
    let known = description["components"]["schemas"]["TapLine"]["properties"].as_object().unwrap();
    let mut tap = Tap::open(&proxy, &["--payload"]);
    proxy.client().text("{\"password\":\"x\"}");
    for line in tap.until_outcome("1:0:0") {
        for name in line.as_object().unwrap().keys() {
            assert!(known.contains_key(name), "{name}");
        }
    }
}
