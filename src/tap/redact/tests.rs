//! Tests of the rules together.

mod forms;

use proptest::prelude::*;

use super::*;

static BUILT_IN: LazyLock<Redaction> = LazyLock::new(Redaction::built_in);

fn masked(text: &str) -> String {
    BUILT_IN.mask_text(text).into_owned()
}

#[test]
fn values_of_secret_keys_are_masked() {
    for (text, expected) in [
        (r#"{"password": "a\"b", "x": 1}"#, r#"{"password": "***", "x": 1}"#),
        (r#"{"a":[{"accessToken":["x",{"y":2}],"b":3}]}"#, r#"{"a":[{"accessToken":"***","b":3}]}"#),
        (r#"{"Access-Token":12,"b":null}"#, r#"{"Access-Token":"***","b":null}"#),
        // JSON in a text in JSON
        (r#"{"p":"{\"token\":\"x\"}"}"#, r#"{"p":"{\"token\":\"***\"}"}"#),
        // incomplete, and behind other text
        (r#"42["login",{"password":"hunt"#, r#"42["login",{"password":"***""#),
        (r#"say "hi" and {"password":{"x":"#, r#"say "hi" and {"password":"***""#),
        ("CONNECT\nlogin:me\npasscode:hunter2\n\n", "CONNECT\nlogin:me\npasscode:***\n\n"),
        ("GET /\r\nCookie: a=b; c=d\r\nX: y", "GET /\r\nCookie: ***\r\nX: y"),
        ("user=a&password=hunter2&x=1", "user=a&password=***&x=1"),
        (r#"5" tall, "password": "hunter2""#, r#"5" tall, "password": "***""#),
    ] {
        assert_eq!(masked(text), expected);
    }
}

#[test]
fn credentials_are_masked_wherever_they_are() {
    for secret in [
        "Bearer abcdefgh12345678",
        "basic bWU6aHVudGVyMg==",
        "Basic bWU6aHVudGVyMg",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
        "eyJhbGciOiJIUzI1NiJ9.eyJzd",
    ] {
        assert!(!masked(&format!("log in with {secret} now")).contains(secret), "{secret}");
        assert!(!masked(&format!("[\"{secret}\"]")).contains(secret), "{secret}");
    }
    for (text, expected) in [
        ("at ws://me:hunter2@host/", "at ws://***@host/"),
        ("at ws://me:hunt@er2@host/", "at ws://***@host/"),
        ("https://0123456789abcdef@host", "https://***@host"),
        ("http://host/a@b?c=d@e", "http://host/a@b?c=d@e"),
    ] {
        assert_eq!(masked(text), expected);
    }
}

/// Strings of JSON are searched as their reader sees them, and keep their spelling.
#[test]
fn strings_of_json_are_searched_without_their_escapes() {
    for (text, expected) in [
        (r#"{"a":"ws:\/\/me:pw@h","b":"x\/y"}"#, r#"{"a":"ws:\/\/***@h","b":"x\/y"}"#),
        (r#"{"a":"\u0077s:\u002f\u002fme:pw@h"}"#, r#"{"a":"\u0077s:\u002f\u002f***@h"}"#),
        (r#"{"a":"login password=hunter2"}"#, r#"{"a":"login password=***"}"#),
        (r#"{"a":"x\npass\u0077ord: hunter2\ny"}"#, r#"{"a":"x\npass\u0077ord: ***\ny"}"#),
        (r#"{"password: hunter2":1,"a":"\"token=x\""}"#, r#"{"password: ***":"***","a":"\"token=***\""}"#),
        (r#"["Bearer\u0020abcdefgh12345678"]"#, r#"["***"]"#),
        (r#"{"p":"{\"a\":\"ws:\\/\\/me:pw@h\"}"}"#, r#"{"p":"{\"a\":\"ws:\\/\\/***@h\"}"}"#),
        (r#"{"p":"{\"token\":[1,2]}"}"#, r#"{"p":"{\"token\":\"***\"}"}"#),
        (r#"{"pass\u0077ord":"x"}"#, r#"{"pass\u0077ord":"***"}"#),
        // behind other text
        (r#"42["x",{"a":"ws:\/\/me:pw@h"}]"#, r#"42["x",{"a":"ws:\/\/***@h"}]"#),
        (r#"5" tall {"u":"ws:\/\/me:pw@h"}"#, r#"5" tall {"u":"ws:\/\/***@h"}"#),
        (r#"{\"token\":\"x y,z\",\"a\":1}"#, r#"{\"token\":\"***\",\"a\":1}"#),
        // in other quotes
        (r"{'a':'ws:\/\/me:pw@h'}", r"{'a':'ws:\/\/***@h'}"),
    ] {
        assert_eq!(masked(text), expected);
    }
}

#[test]
fn fields_of_other_texts_are_masked_with_the_whole_value() {
    for (text, expected) in [
        ("{'user': 'a', 'password': 'hun ter, 2', 'x': 1}", "{'user': 'a', 'password': '***', 'x': 1}"),
        ("{'a': 1, 'password': b'it\\'s, x', 'b': 2}", "{'a': 1, 'password': b'***', 'b': 2}"),
        ("{a: 1, \"password\": 'it''s, x', b: 2}", "{a: 1, \"password\": '***', b: 2}"),
        ("user=a, password=hun ter, 2, x=1", "user=a, password=***, x=1"),
        ("user: a password: hun ter x: 1", "user: a password: *** x: 1"),
        ("my api key: abc\nx", "my api key: ***\nx"),
        ("Access Token => 'a b'", "Access Token => '***'"),
        ("DB_PASSWORD=a,b;c&d\nX=1", "DB_PASSWORD=***\nX=1"),
        ("passcode:a,b:c\nx:y", "passcode:***\nx:y"),
        ("user%5Bname%5D=x&user%5Bpassword%5D=hun&y=1", "user%5Bname%5D=x&user%5Bpassword%5D=***&y=1"),
        ("user[name]=x&user[password]=hun&y=1", "user[name]=x&user[password]=***&y=1"),
        ("Server=a;Password=my pass;Port=1", "Server=a;Password=***;Port=1"),
        ("{token: {a: 'x', b: [1]}, c: 1}", "{token: ***, c: 1}"),
        ("password: 'never closed, x", "password: '***"),
        ("<login><password>hunter2</password></login>", "<login><password>***</password></login>"),
        ("<x:auth mechanism='PLAIN'>AGp1bGlldAA=</x:auth>", "<x:auth mechanism='PLAIN'>***</x:auth>"),
        ("<secret><![CDATA[x y]]></secret>", "<secret>***</secret>"),
        ("token=", "token="),
        ("a=b: c;token=&x=1", "a=b: c;token=&x=1"),
    ] {
        assert_eq!(masked(text), expected);
    }
}

/// The time is linear in the length: with many fields on a line, it would take hours otherwise.
#[test]
fn a_line_of_many_fields_is_masked() {
    let text = "x token=a".repeat(1 << 16);
    let masked = masked(&text);
    assert_eq!(masked.matches("token=***").count(), 1 << 16);
    assert!(!masked.contains("token=a"));
}

/// The same for texts in which a search could begin again at each sign.
#[test]
fn long_texts_of_one_sign_after_the_other_are_masked() {
    let pieces = [
        "v='",
        "v=.",
        "v={",
        "name=token v=x ",
        "<a b='",
        "<token",
        "['",
        "{'a'",
        "--token ",
        "token '",
        "%2",
        "&am",
        "`,",
    ];
    for piece in pieces {
        let _ = masked(&piece.repeat(1 << 16));
    }
}

/// Parts of texts that mean something to a rule.
const PIECES: &[&str] = &[
    "token",
    "password",
    "a b",
    "\u{e4}",
    "\"",
    "'",
    "`",
    "\\",
    "\\\"",
    "\\u00",
    "\\ud83d",
    ":",
    "=",
    "=>",
    "{",
    "}",
    "[",
    "]",
    "]=",
    "%5D=",
    " ",
    "\n",
    "\r\n",
    ",",
    "&",
    ";",
    "<token>",
    "</token>",
    "<auth x>",
    "<k name=",
    "<![CDATA[",
    "name",
    "value",
    "--",
    "|",
    "  ",
    "- ",
    "%22",
    "%7B",
    "&quot;",
    "PASS ",
    "Content-Disposition: form-data; name=",
    "<",
    "://",
    "@",
    "Bearer abcdefgh",
    "eyJabcdefgh",
    "-",
    "1",
];

/// Keys with other words before them are the same.
#[test]
fn the_end_of_a_key_counts() {
    for key in
        ["newPassword", "x-auth-token", "AWS_SECRET_ACCESS_KEY", "password_confirmation", "clientSecret"]
    {
        assert_eq!(masked(&format!("{{\"{key}\":\"x\"}}")), format!("{{\"{key}\":\"***\"}}"));
        assert_eq!(masked(&format!("a {key}=x")), format!("a {key}=***"));
    }
}

/// A secret behind the limit is not shown when the mask of an earlier one makes room.
#[test]
fn masking_shows_nothing_behind_the_limit() {
    let text = format!("{{\"password\":\"{}\",\"x\":\"y\",\"card\":\"41111111", "p".repeat(400));
    let masked = BUILT_IN.mask(text.as_bytes(), false, 430).unwrap();
    assert_eq!(str::from_utf8(&masked.bytes).unwrap(), r#"{"password":"***","x":"y","card":"#);
    assert!(masked.is_changed && masked.is_cut);
}

/// The name of a value, or the end of a login, may be behind the cut.
#[test]
fn what_may_belong_to_a_secret_behind_the_end_is_masked() {
    let cut = |text: &str| {
        let masked = BUILT_IN.mask(text.as_bytes(), false, 999).unwrap();
        String::from_utf8(masked.bytes.into_owned()).unwrap()
    };
    for (text, expected) in [
        (r#"{"value":"x","pad":"p"#, r#"{"value":"***","pad":"p"#),
        (r#"[{"a":1,"value":{"b":"x"#, r#"[{"a":1,"value":"***""#),
        (r#"{"value":"x","data":[1],"pad":"p"#, r#"{"value":"***","data":"***","pad":"p"#),
        (r#"{"p":"{\"value\":\"x\",\"pad"#, r#"{"p":"{\"value\":\"***\",\"pad"#),
        ("{'value': 'x', 'pad': 'p", "{'value': '***', 'pad': 'p"),
        ("value: x\npad: p", "value: ***\npad: p"),
        ("at ws://me:hunter2", "at ws://***"),
        ("with Basic bWU", "with Basic ***"),
        (r#"{"p":"with Basic bWU"#, r#"{"p":"with Basic ***"#),
    ] {
        assert_eq!(cut(text), expected);
    }
    for text in [r#"{"value":"x"},{"pad":"p"#, r#"{"p":"ws://h","pad":"p"#, "at ws://me/x"] {
        assert_eq!(cut(text), text);
    }
    assert_eq!(masked("at ws://me:hunter2"), "at ws://me:hunter2");
}

/// A number is a value that a pattern may match, and the document remains JSON.
#[test]
fn patterns_match_values_of_json() {
    let mut redaction = Redaction::built_in();
    redaction.with_pattern(r"^\d{16}$").unwrap();
    assert_eq!(
        redaction.mask_text(r#"{"a":4111111111111111,"b":"4111111111111111","c":"x4111111111111111"}"#),
        r#"{"a":"***","b":"***","c":"x4111111111111111"}"#
    );
    redaction.with_pattern(r"\b").unwrap();
    assert_eq!(redaction.mask_text("a b"), "a b", "an empty match masks nothing");
}

#[test]
fn a_value_beside_the_name_of_a_secret_is_masked() {
    for (text, expected) in [
        (r#"{"name":"password","value":"x","a":1}"#, r#"{"name":"password","value":"***","a":1}"#),
        (r#"{"value": {"a":[1,2]} , "key":"apiKey"}"#, r#"{"value": "***" , "key":"apiKey"}"#),
        (
            r#"{"op":"add","path":"/user/password","value":12}"#,
            r#"{"op":"add","path":"/user/password","value":"***"}"#,
        ),
        (
            r#"{"headers":[{"name":"Authorization","value":"x"},{"name":"Host","value":"h"}]}"#,
            r#"{"headers":[{"name":"Authorization","value":"***"},{"name":"Host","value":"h"}]}"#,
        ),
        (r#"[["authorization","x y"],["host","h"]]"#, r#"[["authorization","***"],["host","h"]]"#),
        (r#"["host","h","Cookie","a=b","x","y"]"#, r#"["host","h","Cookie","***","x","y"]"#),
        (r#"42["set",{"k":"to\u006ben","v":"x"#, r#"42["set",{"k":"to\u006ben","v":"***""#),
        (r#"["set","password","x","y"]"#, r#"["set","password","***","y"]"#),
        (r#"["password",12,"y"]"#, r#"["password","***","y"]"#),
        (r#"["password", ["x"] ,"y"]"#, r#"["password", "***" ,"y"]"#),
        (r#"["password",null,"x"]"#, r#"["password",null,"***"]"#),
        (r#"42["password",-1.5"#, r#"42["password","***""#),
        (r#"{"name":"API Key","value":"x"}"#, r#"{"name":"API Key","value":"***"}"#),
        (r#"["Access Token","x"]"#, r#"["Access Token","***"]"#),
        (
            r#"{"value":"x","data":"y","name":"password"}"#,
            r#"{"value":"***","data":"***","name":"password"}"#,
        ),
        (r#"{"tokens":["x"],"cookies":{"a":"x"}}"#, r#"{"tokens":"***","cookies":"***"}"#),
        (r#"{"a":"[\"token\",\"x\"]"}"#, r#"{"a":"[\"token\",\"***\"]"}"#),
    ] {
        assert_eq!(masked(text), expected);
    }
    for text in [
        r#"{"name":"Ann","value":"x"}"#,
        r#"{"name":"password","type":"text"}"#,
        r#"[{"name":"password"},{"value":"x"}]"#,
        r#"["Enter your password","ok"]"#,
        r#"["login","token"]"#,
        r#"["token",{"a":1}]"#,
        r#"{"x":{"name":"token"},"value":"y"}"#,
    ] {
        assert_eq!(masked(text), text);
    }
}

#[test]
fn other_texts_are_unchanged() {
    for text in [
        "hello",
        "",
        "Basic Understanding of basic principles",
        "{\"a\": [1, \"password\"]}",
        "tokens: 3",
        "{\"max_tokens\":5}",
        "\"",
        "{",
        "]}",
    ] {
        assert!(matches!(BUILT_IN.mask_text(text), Cow::Borrowed(_)), "{text}");
    }
}

#[test]
fn rules_of_the_settings_are_added() {
    let mut redaction = Redaction::built_in();
    ["email", "user.name"].into_iter().for_each(|key| redaction.with_key(key).unwrap());
    redaction.with_pattern(r"\b\d{16}\b").unwrap();
    let text =
        r#"{"user":{"name":"Ann","id":1},"name":"x","to":[{"Email":"a@b"}],"card":"4111111111111111"}"#;
    assert_eq!(
        redaction.mask_text(text),
        r#"{"user":{"name":"***","id":1},"name":"x","to":[{"Email":"***"}],"card":"***"}"#
    );
    let list = r#"[{"user":[{"name":"Ann"}]},{"name":"x"}]"#;
    assert_eq!(redaction.mask_text(list), r#"[{"user":[{"name":"***"}]},{"name":"x"}]"#);
}

#[test]
fn rules_that_are_wrong_are_refused() {
    let mut redaction = Redaction::built_in();
    assert_eq!(redaction.with_key("a..b"), Err(RuleError::Key));
    assert_eq!(redaction.with_key(""), Err(RuleError::Key));
    assert_eq!(redaction.with_pattern("a*"), Err(RuleError::Empty));
    assert!(matches!(redaction.with_pattern("("), Err(RuleError::Pattern(_))));
    let added = (0..=RULES_MAX).map(|number| redaction.with_key(&format!("key{number}")));
    assert_eq!(added.filter(Result::is_err).count(), 1);
}

#[test]
fn what_a_cut_or_an_escape_hides_is_masked() {
    let rules = Redaction::built_in();
    let cut = r#"{"data":"{\"token\":\"S3CRET\",\"blob\":\"aaaa"#;
    for text in [
        cut,
        &cut[..cut.len() - 7],
        r#"{"data":"{\"token\":\"S3CRET\"\"#,
        r#"{"data":"{\"token\":\"S3CRET\"\u00"#,
        r#"{"data":"\u007b\"token\":\"S3CRET\"}"}"#,
        r#"{"data":"\ud800{\"token\":\"S3CRET\"}"}"#,
    ] {
        let masked = rules.mask_text(text);
        assert!(!masked.contains("S3CRET") && masked.contains("***"), "{text}: {masked}");
    }
    let harmless = r#"{"data":"{\"a\":\"line\\n\"}","b":"x\n","c":"caf\u00e9"#;
    assert_eq!(rules.mask_text(harmless), harmless);
}

#[test]
fn binary_that_is_valid_utf_8_is_withheld_with_a_credential() {
    let rules = Redaction::built_in();
    assert_eq!(rules.mask(b"\x02password\0\x08\0\0\0hunter2\0", true, 99), None);
    assert!(rules.mask(b"CONNECT\npasscode:x\n\n\0", true, 99).is_some_and(|masked| masked.is_changed));
    assert!(rules.mask(b"\x02name\0\x08\0\0\0hunter2\0", true, 99).is_some());
}

#[test]
fn binary_with_a_credential_is_withheld() {
    let redaction = Redaction::built_in();
    assert_eq!(redaction.mask(b"\x10\x1a\x00\x04MQTT\x04\xc2\x00\xff", true, 99), None);
    assert_eq!(redaction.mask(b"{\0\"\0p\0w\0d\0\"\0:\0\"\0x\0\"\0}\0", true, 99), None, "UTF-16");
    assert_eq!(redaction.mask(b"\x81\xa8password\xa7hunter2\xff", true, 99), None);
    assert!(!redaction.mask(b"\xff\x00\x01", true, 99).unwrap().is_changed);
    // A character that was cut is not binary.
    assert_eq!(redaction.mask("h\u{e4}".as_bytes().get(..2).unwrap(), false, 99).unwrap().bytes, &b"h"[..]);
}

proptest! {
    #[test]
    fn a_secret_in_any_document_is_masked(
        before in "[a-z0-9 \\{\\[\":,]{0,20}",
        secret in "[A-Z]{12}",
        quoted in any::<bool>(),
    ) {
        let value = if quoted { format!("\"{secret}\"") } else { secret.clone() };
        let text = format!("{before}{{\"api_key\":{value},\"x\":1}}");
        prop_assert!(!masked(&text).contains(&secret), "{}", masked(&text));
    }

    #[test]
    fn masking_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = BUILT_IN.mask(&bytes, false, 99);
        let _ = masked(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn masking_never_panics_and_never_shows_more_than_the_limit(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..16),
        max in 0..60_usize,
    ) {
        let text = pieces.concat();
        let masked = BUILT_IN.mask(text.as_bytes(), true, max).unwrap();
        prop_assert!(masked.bytes.len() <= max && str::from_utf8(&masked.bytes).is_ok());
        let json = serde_json::json!({ "a": [text] }).to_string();
        let masked = BUILT_IN.mask_text(&json);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&masked).is_ok(), "{json} {masked}");
    }

    #[test]
    fn masked_pairs_are_json(
        name in "(name|key|value|x)",
        secret in "(password|host)",
        value in "[a-z\"\\\\{\\[, ]{0,10}",
        spaces in "[ ]{0,2}",
    ) {
        let value = serde_json::json!([{ "value": value }, value, 1]);
        let text = format!("{{{spaces}\"value\":{value}{spaces},\"{name}\":{spaces}\"{secret}\",\"value\":{value}{spaces}}}");
        prop_assert!(serde_json::from_str::<serde_json::Value>(&masked(&text)).is_ok(), "{}", masked(&text));
    }

    #[test]
    fn masked_json_is_json(value in "[a-zA-Z\"\\\\{\\[ ]{0,10}", key in "(password|x|p)") {
        let text = serde_json::json!({ key: { "inner": value, "token": [value] } }).to_string();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&masked(&text)).is_ok());
    }
}
