//! Tests of `towline eval`, `towline fmt`, and `towline check` over several programs.

use std::path::Path;

use crate::harness::*;

/// Runs a command in a folder with these files and this standard input. Returns its result and the folder.
fn command(args: &[&str], files: &[(&str, &str)], stdin: &str) -> (Finished, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let finished = Program::finish_with(args, folder.path(), stdin);
    (finished, folder)
}

fn text_of(folder: &tempfile::TempDir, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap()
}

#[test]
fn eval_continues_after_errors_and_exits_with_1() {
    let program = ("p.trickle", "select event.a from in into out;\n");
    let input = "{\"a\":1}\n\n{\"b\":2}\n{bad\n{\"a\":[3]}";
    let (finished, _folder) = command(&["eval", "p.trickle"], &[program], input);
    assert_eq!(finished.code, Some(1));
    assert_eq!(finished.stdout, "{\"port\":\"out\",\"data\":1}\n{\"port\":\"out\",\"data\":[3]}\n");
    let errors = "\
input line 3:
error: there is no key `a`
 --> p.trickle:1:13
  |
1 | select event.a from in into out;
  |             ^^
input line 4: not JSON: key must be a string at column 2
";
    assert_eq!(finished.stderr, errors);
}

#[test]
fn eval_reads_files_and_shows_metadata() {
    let files = [("s.tremor", "let $x = event; emit => \"port\""), ("in.jsonl", "1\n2\n")];
    let (finished, _folder) = command(&["eval", "s.tremor", "--in", "in.jsonl", "--meta"], &files, "");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let line = |n| format!("{{\"port\":\"port\",\"data\":{n},\"meta\":{{\"binary\":false,\"x\":{n}}}}}\n");
    assert_eq!(finished.stdout, line(1) + &line(2));
}

#[test]
fn eval_shows_every_error_of_a_program() {
    let files = [("p.trickle", "select event frm in into out;\nselect 1 + from in into out;\n")];
    let (finished, _folder) = command(&["eval", "p.trickle"], &files, "1\n");
    assert_eq!(finished.code, Some(1));
    for word in ["p.trickle:1:14", "p.trickle:2:12", "^"] {
        assert!(finished.stderr.contains(word), "no {word:?} in:\n{}", finished.stderr);
    }
    assert_eq!(finished.stdout, "");
}

#[test]
fn eval_names_missing_files() {
    for args in [
        &["eval", "none.trickle"][..],
        &["eval", "p.trickle", "--in", "none.jsonl"],
        &["eval", "p.trickle", "--module-path", "none.d"],
        &["eval", "p.trickle", "--module-path", "p.trickle"],
    ] {
        let (finished, _folder) = command(args, &[("p.trickle", "select event from in into out;")], "");
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains(args[args.len() - 1]), "{}", finished.stderr);
    }
}

/// The output is closed early, as by a pipe into `head -1`.
#[test]
fn eval_ends_quietly_when_its_output_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.trickle"), "select event from in into out;").unwrap();
    std::fs::write(folder.path().join("in"), "1234567890\n".repeat(100_000)).unwrap();
    let towline = env!("CARGO_BIN_EXE_towline");
    let line = format!("{{ {towline} eval p.trickle --in in; echo $? >&2; }} | head -n 1");
    let output = std::process::Command::new("sh").args(["-c", &line]).current_dir(&folder).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"port\":\"out\",\"data\":1234567890}\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "0\n");
}

#[test]
fn eval_finds_modules_in_its_folders() {
    let program = "use math::double; use names; select [double(event), names::NAME] from in into out;";
    let files = [
        ("p.trickle", program),
        ("math.tremor", "fn double(x) with x * 2 end;"),
        ("names.trickle", "const NAME = \"n\";"),
    ];
    let args = ["eval", "p.trickle", "--module-path", "."];
    let (finished, _folder) = command(&args, &files, "4");
    assert_eq!(finished.stdout, "{\"port\":\"out\",\"data\":[8,\"n\"]}\n", "{}", finished.stderr);
    let (finished, _folder) = command(&args[..2], &files, "4");
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("no module `math::double`"), "{}", finished.stderr);
    let wrong = [("p.trickle", program), ("math.tremor", "fn double(x) with y end;"), files[2]];
    let (finished, _folder) = command(&args, &wrong, "4");
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("math.tremor:1:19"), "{}", finished.stderr);
}

const UGLY: &str = "select   event+1 from in\ninto out;# end";
const NEAT: &str = "select event + 1 from in into out; # end\n";

#[test]
fn fmt_formats_in_place_and_leaves_invalid_files_unchanged() {
    let files = [("a.trickle", UGLY), ("bad.trickle", "selct"), ("c.tremor", "event+1")];
    let (finished, folder) = command(&["fmt", "a.trickle", "bad.trickle", "c.tremor"], &files, "");
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("bad.trickle:1:1"), "{}", finished.stderr);
    assert_eq!(text_of(&folder, "a.trickle"), NEAT);
    assert_eq!(text_of(&folder, "bad.trickle"), "selct");
    assert_eq!(text_of(&folder, "c.tremor"), "event + 1\n");
}

#[test]
fn fmt_check_names_unformatted_files_and_changes_nothing() {
    let files = [("a.trickle", UGLY), ("b.trickle", NEAT)];
    let (finished, folder) = command(&["fmt", "--check", "a.trickle", "b.trickle"], &files, "");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), "a.trickle\n"), "{}", finished.stderr);
    assert_eq!(text_of(&folder, "a.trickle"), UGLY);
    let (finished, _folder) = command(&["fmt", "--check", "b.trickle"], &files, "");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), ""), "{}", finished.stderr);
}

#[test]
fn fmt_formats_standard_input() {
    for text in [UGLY, NEAT] {
        let (finished, _folder) = command(&["fmt", "-"], &[], text);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), NEAT), "{}", finished.stderr);
    }
    let (finished, _folder) = command(&["fmt", "-", "--check"], &[], UGLY);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), "standard input\n"));
}

#[test]
fn the_shipped_programs_are_formatted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("settings/pipelines");
    let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    assert!(!names.is_empty());
    let args: Vec<_> = ["fmt", "--check"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let finished = Program::finish(&args, &[], &folder);
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
}

#[test]
fn check_shows_every_error_of_every_program() {
    let settings = "\
[listener.ws]
bind = \"127.0.0.1:0\"
codec = \"json\"
[pipeline.first]
source = \"select event frm in into out; select 1 + from in into out;\"
[pipeline.second]
file = \"second.trickle\"
[[route]]
path = \"/\"
incoming = [\"first\", \"second\"]
";
    let program = "select event from nowhere into out;\nselect none from in into out;\n";
    let files = [("towline.toml", settings), ("second.trickle", program)];
    let (finished, _folder) = command(&["check", "--config", "towline.toml"], &files, "");
    assert_eq!(finished.code, Some(78), "{}", finished.stderr);
    for word in ["first:1:14", "first:1:42", "second.trickle:1:19", "second.trickle:2:8"] {
        assert!(finished.stderr.contains(word), "no {word:?} in:\n{}", finished.stderr);
    }
    assert_eq!(finished.stderr.matches("error:").count(), 4, "{}", finished.stderr);
}
