//! Tables of cases for each extractor.

use proptest::prelude::*;

use super::*;

fn compile(kind: &str, format: &str) -> Result<Extractor, FormatError> {
    Extractor::compile(kind, format, &mut Budget::new(64 << 20))
}

const INGEST_NS: u64 = 7;

/// The result of an extractor as JSON; `no` if the text does not match, or the error of the format.
pub(super) fn found(kind: &str, format: &str, text: &str) -> String {
    match compile(kind, format) {
        Err(FormatError::Format { message, .. } | FormatError::OverBudget(message)) => {
            format!("error: {message}")
        }
        Ok(extractor) => {
            let value = Value::string(text);
            let found = extractor.extract(&value, INGEST_NS);
            // Decoded bytes that are not UTF-8 match, but cannot be extracted.
            let same = extractor.matches(&value) == found.is_some();
            assert!(same || kind == "base64", "{kind}|{format}| on {text:?}");
            found.map_or("no".to_owned(), |value| value.to_json())
        }
    }
}

#[track_caller]
fn check(kind: &str, cases: &[(&str, &str, &str)]) {
    for (format, text, expected) in cases {
        let got = found(kind, format, text);
        let same = match expected.strip_prefix("error: ") {
            Some(message) => got.strip_prefix("error: ").is_some_and(|got| got.contains(message)),
            None => got == *expected,
        };
        assert!(same, "{kind}|{format}| on {text:?}\n     got {got}\nexpected {expected}");
    }
}

#[test]
fn re() {
    check(
        "re",
        &[
            (r"(?P<snot>.*badger).*", "snot badger!", r#"{"snot":"snot badger"}"#),
            (r"^(?P<a>\d+)-(?P<b>\d+)$", "10-20", r#"{"a":"10","b":"20"}"#),
            (r"^(?P<a>\\d+)$", "7", r#"{"a":"7"}"#),
            (r"(?P<a>x)?y", "y", "{}"),
            (r"a\|b", "b", "{}"),
            ("  a", "xa", "{}"),
            ("\\\n  ^a\\\n  b$", "ab", "{}"),
            ("\\\n  ^a\\\n    b$", "a  b", "{}"),
            ("^a\\\n  b$", "a  b", "{}"),
            ("\\\n  ^a\\\n\\\n  b$\\\n", "ab", "{}"),
            ("\\\n\u{3000}é\\\n  a", "é a", "{}"),
            (r"^\d+$", "x", "no"),
            ("(", "x", "error: takes a regular expression, and this one is invalid: unclosed group"),
            (r"\w{1000}{1000}", "x", "error: takes a regular expression of at most 1 MiB when compiled"),
        ],
    );
}

#[test]
fn rerg() {
    check(
        "rerg",
        &[
            (r"(?P<word>\w+)", "a b c", r#"{"word":["a","b","c"]}"#),
            (r"(?P<k>\w+)=(?P<v>\w+)", "a=1;b=2", r#"{"k":["a","b"],"v":["1","2"]}"#),
            (r"(?P<a>x)|(?P<b>y)", "yy", r#"{"b":["y","y"]}"#),
            (r"\d", "1", "{}"),
            (r"\d", "x", "no"),
            (
                "[",
                "x",
                "error: takes a regular expression, and this one is invalid: unclosed character class",
            ),
        ],
    );
    assert_eq!(found("rerg", "a", &"a".repeat(100_000)), "no".to_owned());
}

#[test]
fn glob() {
    check(
        "glob",
        &[
            ("INFO*", "INFO: snot", "true"),
            ("*snot?", "a snots", "true"),
            ("[a-c]x", "bx", "true"),
            ("[!a]x", "ax", "no"),
            ("INFO*", "WARN", "no"),
            ("a[", "a", "error: "),
        ],
    );
}

#[test]
fn json() {
    check(
        "json",
        &[
            ("", r#"{"snot": "badger"}"#, r#"{"snot":"badger"}"#),
            ("", "[1, 2.5]", "[1,2.5]"),
            ("", "null", "null"),
            ("", r#""text""#, r#""text""#),
            ("", "{", "no"),
            ("x", "{}", "error: takes no format"),
        ],
    );
    assert_eq!(found("json", "", &"[".repeat(1000)), "no");
}

#[test]
fn base64() {
    check(
        "base64",
        &[
            ("", "c25vdCBiYWRnZXI=", r#""snot badger""#),
            ("", "c25vdCBiYWRnZXI", r#""snot badger""#),
            ("", "", r#""""#),
            ("", "8J+mgA==", "\"🦀\""),
            ("", "//79", "no"),
            ("", "not base64", "no"),
        ],
    );
    let base64 = compile("base64", "").unwrap();
    for (text, matches) in [("abc", true), ("124", true), ("/w==", true), ("a", false), ("a*==", false)] {
        assert_eq!(base64.matches(&Value::string(text)), matches, "{text}");
    }
    assert_eq!(base64.extract(&Value::string("/w=="), 0), None);
}

#[test]
fn kv() {
    check(
        "kv",
        &[
            ("", "foo:bar snot:badger", r#"{"foo":"bar","snot":"badger"}"#),
            ("%{key}=%{val}", "a=1 b=2", r#"{"a":"1","b":"2"}"#),
            ("%{key}=%{val};", "a=1;b=2", r#"{"a":"1","b":"2"}"#),
            ("%{key}=%{val};%{key}:%{val}", "a=1;b:2", r#"{"a":"1","b":"2"}"#),
            ("%{key}=%{val}", "a=1 junk c=3=4 d=", r#"{"a":"1","d":""}"#),
            ("", "no pair", "no"),
            ("%{key}=>%{val}", "a=>1 b=>2", r#"{"a":"1","b":"2"}"#),
            ("%{key}=%{val}; ", "a=1; b=2", r#"{"a":"1","b":"2"}"#),
            ("%{key}=%{val}; ", "a=1; b=2;c=3", r#"{"a":"1"}"#),
            ("%{key}%{val}", "a:1 b:2", r#"{"a":"1","b":"2"}"#),
            ("%{key}%{key}%{val}", "a%{key}1", r#"{"a":"1"}"#),
            ("%{key}%{%{val}", "a%{1", r#"{"a":"1"}"#),
            (r"%{key}=%{val}\\n", "a=1\nb=2", r#"{"a":"1","b":"2"}"#),
            (r"%{key}\\t%{val}", "a\t1", r#"{"a":"1"}"#),
            ("ab%{key}=%{val}ba", "babx=1abay=2", r#"{"x":"1","ay":"2"}"#),
            ("&", "a:1&b:2", r#"{"a":"1","b":"2"}"#),
            ("%{key}=%{val}=", "a=1", "error: cannot have \"=\" both"),
            ("%{key}=%{val};;%{key}=%{val};", "a=1", "error: \";\" and \";;\": one contains the other"),
            ("%{key}==%{val}=", "a=1", "error: one contains the other"),
            ("%{key}=%{val};%{key}", "a=1", "error: needs a %{val}"),
            (r"%{key}=%{val}\\x", "a=1", "error: has a backslash before 'x'"),
            ("%{val}%{val}", "a1", "error: alternately"),
            ("%{name}", "a", "error: knows %{key} and %{val} only"),
        ],
    );
    let many: String = ('A'..='z').map(|sign| format!("%{{key}}=%{{val}}{sign}")).collect();
    assert!(found("kv", &many.replace(['[', '\\', ']', '|'], "0"), "").contains("more than 32 separators"));
}

#[test]
fn cidr() {
    check(
        "cidr",
        &[
            ("", "192.168.1.0/24", r#"{"prefix":[192,168,1,0],"mask":[255,255,255,0]}"#),
            ("", "192.168.1.17/24", r#"{"prefix":[192,168,1,0],"mask":[255,255,255,0]}"#),
            ("", "10.0.0.1", r#"{"prefix":[10,0,0,1],"mask":[255,255,255,255]}"#),
            ("10.22.0.254, 10.22.0.0/24", "10.22.0.7", r#"{"prefix":[10,22,0,7],"mask":[255,255,255,255]}"#),
            ("10.0.0.0/8", "11.0.0.1", "no"),
            ("10.0.0.0/8", "10.1.0.0/16", "no"),
            ("", "2001:db8::/32", r#"{"prefix":[8193,3512,0,0,0,0,0,0],"mask":[65535,65535,0,0,0,0,0,0]}"#),
            ("", "300.0.0.1", "no"),
            ("10.0.0.0/33", "10.0.0.1", "error: takes networks"),
            ("10.0/16", "10.0.0.5", r#"{"prefix":[10,0,0,5],"mask":[255,255,255,255]}"#),
            ("10.0/16", "10.1.0.5", "no"),
            ("10", "0.0.0.10", r#"{"prefix":[0,0,0,10],"mask":[255,255,255,255]}"#),
            ("10.1/16", "10.0.0.5", "error: takes networks"),
            ("1.2.3.4.5", "", "error: takes networks"),
            ("+1", "", "error: takes networks"),
            ("1..", "", "error: takes networks"),
        ],
    );
}

#[test]
fn datetime() {
    check(
        "datetime",
        &[
            ("%Y-%m-%d %H:%M:%S", "2019-06-20 00:00:00", "1560988800000000000"),
            ("%Y-%m-%d %H:%M:%S%.f", "1970-01-01 00:00:00.5", "500000000"),
            ("%Y-%m-%dT%H:%M:%S%z", "1970-01-01T02:00:00+0200", "0"),
            ("%Y-%m-%d", "1970-01-02", "86400000000000"),
            ("%Y-%m-%d", "1969-12-31", "-86400000000000"),
            ("%Y-%m-%d", "yesterday", "no"),
            ("%Y-%m-%d", "9999-01-01", "no"),
            ("", "x", "error: takes a format"),
            ("%Q", "x", "error: does not know a specifier"),
        ],
    );
}

#[test]
fn dissect() {
    check(
        "dissect",
        &[
            ("%{a} %{b}", "snot badger", r#"{"a":"snot","b":"badger"}"#),
            ("%{a}, %{b:int}", "x, 12", r#"{"a":"x","b":12}"#),
            ("%{b:float}!", "1.5!", r#"{"b":1.5}"#),
            ("%{b:int}", "x", "no"),
            ("%{a->} %{b}", "x    y", r#"{"a":"x","b":"y"}"#),
            ("%{a} %{b} %{+a}", "x y z", r#"{"a":"x z","b":"y"}"#),
            ("%{?k}: %{&k}", "name: Jane", r#"{"name":"Jane"}"#),
            ("%{?} %{b}", "x y", r#"{"b":"y"}"#),
            ("%{} %{b}", "x y", r#"{"b":"y"}"#),
            ("%{a}%{_}%{b}", "x   y", r#"{"a":"x","b":"y"}"#),
            ("%{a}%{_(-)}%{b}", "x---y", r#"{"a":"x","b":"y"}"#),
            ("%{a}%{_}", "x", r#"{"a":"x"}"#),
            ("snot%{name}", "snot", r#"{"name":""}"#),
            ("[%{a}]", "[x] y", "no"),
            ("%{a}-%{b}", "xy", "no"),
            ("%{a} case named %{+a}", "x case named y", r#"{"a":"x y"}"#),
            ("%{a}%{_(-)} %{+a}", "x-- y", r#"{"a":"x-y"}"#),
            ("%{+n} %{+n}, %{m}", "John Doe, 22", r#"{"n":"John Doe","m":"22"}"#),
            ("%{+n} %{n}", "a b", r#"{"n":"b"}"#),
            ("%{n}%{_}-%{a}", "J-22", r#"{"n":"J","a":"22"}"#),
            ("%{n}%{_}-%{a}", "J  -22", r#"{"n":"J","a":"22"}"#),
            ("%{_}%{b}", "x", r#"{"b":"x"}"#),
            ("%{n}%{_}%{_(-)}%{a}", "J 22", r#"{"n":"J","a":"22"}"#),
            ("%{a}%{_}%{b}", "xy", "no"),
            (r"%{a}\\n%{b}", "x\ny", r#"{"a":"x","b":"y"}"#),
            (r"%{a}\\t%{b}", "x\ty", r#"{"a":"x","b":"y"}"#),
            (r"%{a}\\\\%{b}", r"x\y", r#"{"a":"x","b":"y"}"#),
            ("%{?k} %{&k} %{&k}", "a b c", "no"),
            ("%{?k} %{&k}", " b", "no"),
            ("  %{a}", "x", r#"{"a":"x"}"#),
            (r"%{a}\\x%{b}", "x", "error: has a backslash before 'x'"),
            (r"%{a}x\\", "x", "error: has a backslash before nothing"),
            ("%{_} x", "x", "error: after the padding"),
            ("%{a %{b}", "x", "error: without its }"),
            ("%{a}%{b}", "xy", "error: two fields with nothing between"),
            ("%{a", "x", "error: without its }"),
            ("%{+a}", "x", r#"{"a":"x"}"#),
            ("%{&a}", "x", "error: without a %{?a} before it"),
            ("%{a} %{a}", "x", "error: has %{a} twice"),
            ("%{a:date}", "x", "error: knows the types"),
        ],
    );
    let many: String = ('a'..='z').map(|sign| format!("%{{_({sign})}}")).collect();
    assert!(found("dissect", &many, "").contains("more than 16 different paddings"));
}

#[test]
fn grok() {
    check(
        "grok",
        &[
            ("%{IP:client} %{WORD:method}", "55.3.244.1 GET", r#"{"client":"55.3.244.1","method":"GET"}"#),
            ("%{NUMBER:took:float} %{INT:n:int}", "0.043 12", r#"{"took":0.043,"n":12}"#),
            ("(?P<year>%{YEAR})-", "2026-11", r#"{"year":"2026"}"#),
            ("%{LOGLEVEL:a.b}", "x WARN", r#"{"a.b":"WARN"}"#),
            ("^%{WORD}$", "two words", "no"),
            (
                "%{SYSLOGBASE} %{GREEDYDATA:message}",
                "Nov 25 07:32:36 host sshd[42]: hello",
                r#"{"timestamp":"Nov 25 07:32:36","logsource":"host","program":"sshd","pid":"42","message":"hello"}"#,
            ),
            (
                "%{COMMONAPACHELOG}",
                r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326"#,
                concat!(
                    r#"{"clientip":"127.0.0.1","ident":"-","auth":"frank","#,
                    r#""timestamp":"10/Oct/2000:13:55:36 -0700","verb":"GET","request":"/a.gif","#,
                    r#""httpversion":"1.0","response":"200","bytes":"2326"}"#
                ),
            ),
            ("%{TIMESTAMP_ISO8601:at}", "at 2026-11-25T07:32:36Z.", r#"{"at":"2026-11-25T07:32:36Z"}"#),
            ("%{WROD:a}", "x", "error: did you mean %{WORD}?"),
            ("%{WORD:a:date}", "x", "error: knows the types"),
            ("%{WORD", "x", "error: without its }"),
        ],
    );
}

#[test]
fn influx() {
    check(
        "influx",
        &[
            (
                "",
                "weather,location=us-midwest temperature=82 1465839830100400200",
                concat!(
                    r#"{"measurement":"weather","tags":{"location":"us-midwest"},"#,
                    r#""fields":{"temperature":82.0},"timestamp":1465839830100400200}"#
                ),
            ),
            (
                "",
                "m a=1i,b=t,c=\"x y\"",
                r#"{"measurement":"m","tags":{},"fields":{"a":1,"b":true,"c":"x y"},"timestamp":7}"#,
            ),
            (
                "",
                r#"we\,ather,a\ b=c\=d f="q\"q" 5"#,
                r#"{"measurement":"we,ather","tags":{"a b":"c\\=d"},"fields":{"f":"q\"q"},"timestamp":5}"#,
            ),
            (
                "",
                " \n w,a= f=1,g=18446744073709551615i,h=-5i\n\n",
                concat!(
                    r#"{"measurement":"w","tags":{"a":""},"#,
                    r#""fields":{"f":1.0,"g":18446744073709551615,"h":-5},"timestamp":7}"#
                ),
            ),
            (
                "",
                r"a\=b a\ b=1 18446744073709551615",
                r#"{"measurement":"a\\=b","tags":{},"fields":{"a\\ b":1.0},"timestamp":18446744073709551615}"#,
            ),
            ("", "m f=1 -5", "no"),
            ("", "m f=1  5", "no"),
            ("", "# m f=1", "no"),
            ("", "m,t=1, f=1", "no"),
            ("", "m f=1,", "no"),
            ("", "m f=\"a\"x", "no"),
            ("", "m f=inf", "no"),
            ("", "", "no"),
            ("", "m", "no"),
            ("", "m a", "no"),
            ("", "m a=x", "no"),
            ("", "m a=1 x", "no"),
            ("", "m a=\"x", "no"),
        ],
    );
}

#[test]
fn every_grok_pattern_has_a_unique_name_and_compiles() {
    let names: std::collections::HashSet<_> = grok::patterns().map(|(name, _)| name).collect();
    assert_eq!(names.len(), grok::patterns().count());
    for (name, _) in grok::patterns() {
        compile("grok", &format!("%{{{name}:x}}")).unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"));
    }
}

#[test]
fn kinds_are_case_insensitive() {
    for kind in KINDS {
        let format = if kind == "datetime" { "%Y" } else { "" };
        assert!(compile(&kind.to_uppercase(), format).is_ok(), "{kind}");
    }
    assert!(found("regex", "", "").contains("is not an extractor"));
    for value in [Value::Null, Value::Int(1), Value::array(vec![])] {
        assert!(!compile("re", "").unwrap().matches(&value));
    }
}

#[test]
fn errors_point_into_the_format_as_written() {
    for (format, marked) in [
        ("(?<x>[a-z)", "["),
        (r"a\|b{2,1}", "{2,1}"),
        (r"\|é\|(", "("),
        ("   [", "["),
        ("\\\n  a\\\n  b{2,1}", "{2,1}"),
        ("a\n\n(", ""),
        (r"\w{1000}{1000}", ""),
    ] {
        let Err(FormatError::Format { range, .. }) = compile("re", format) else { panic!("{format}") };
        let place = range.map(|range| written(format, &range));
        assert_eq!(place.map_or("", |place| &format[place]), marked, "{format}");
    }
}

proptest! {
    #[test]
    fn extractors_never_panic(
        kind in proptest::sample::select(KINDS.to_vec()),
        format in r"([%{}a-zA-Z_:+?&*|\\.()\[\]-]|%\{(key|val|WORD|IP|a|\+a|_)\}|\\\n *| |\PC){0,20}",
        text in r#"([a-z0-9 ,=:"\\{}\[\].-]|\PC){0,40}"#,
    ) {
        match compile(kind, &format) {
            Ok(extractor) => {
                let value = Value::string(text);
                let same = extractor.matches(&value) == extractor.extract(&value, 0).is_some();
                prop_assert!(same || kind == "base64");
            }
            Err(FormatError::Format { message, range }) => {
                prop_assert!(!message.contains('\n'), "{message}");
                let place = range.map(|range| written(&format, &range));
                prop_assert!(place.is_none_or(|place| format.get(place).is_some()));
            }
            Err(FormatError::OverBudget(message)) => prop_assert!(false, "{message}"),
        }
    }
}
