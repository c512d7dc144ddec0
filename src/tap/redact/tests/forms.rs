//! Tests of texts that are no JSON.

use super::*;

#[test]
fn objects_and_lists_in_other_quotes_are_masked_as_those_of_json() {
    for (text, expected) in [
        ("{'password': 'x'}", "{'password': '***'}"),
        ("{'a': {'password': {'b': '}', 'c': 'x'}}, 'd': 1}", "{'a': {'password': \"***\"}, 'd': 1}"),
        ("{'name': 'password', 'value': 'x, y', 'a': 1}", "{'name': 'password', 'value': '***', 'a': 1}"),
        ("{'name': 'password', 'a': 1, 'value': 'x'}", "{'name': 'password', 'a': 1, 'value': '***'}"),
        ("{'value': b'x', 'name': 'token'}", "{'value': \"***\", 'name': 'token'}"),
        ("{name: 'password', value: 'x', a: 1}", "{name: 'password', value: '***', a: 1}"),
        ("{value: x, name: password}", "{value: ***, name: password}"),
        ("[['authorization', 'x y'], ['host', 'h']]", "[['authorization', '***'], ['host', 'h']]"),
        ("['host', 'h', 'Cookie', 'it''s', 'x']", "['host', 'h', 'Cookie', '***', 'x']"),
        ("[('password', 'x'), (`token`, `y`)]", "[('password', '***'), (`token`, `***`)]"),
        ("{'p': '{\"token\":\"x\"}'}", "{'p': '{\"token\":\"***\"}'}"),
    ] {
        assert_eq!(masked(text), expected);
    }
    let mut redaction = Redaction::built_in();
    redaction.with_key("user.name").unwrap();
    let text = "{'user': {'name': 'Ann', 'it''s': 'x'}, 'name': 'b'}";
    assert_eq!(redaction.mask_text(text), "{'user': {'name': '***', 'it''s': 'x'}, 'name': 'b'}");
}

#[test]
fn markup_is_masked() {
    for (text, expected) in [
        (r#"<login password="x" a="y"/>"#, r#"<login password="***" a="y"/>"#),
        ("<login x:password = 'x' a='y'>z</login>", "<login x:password = '***' a='y'>z</login>"),
        ("<a><token type=\"a>b\">x</token>y</a>", "<a><token type=\"a>b\">***</token>y</a>"),
        (
            "<credentials><user>a</user><pass>x</pass></credentials><b>c</b>",
            "<credentials>***</credentials><b>c</b>",
        ),
        ("<token><token>x</token>y</token><b>c</b>", "<token>***</token><b>c</b>"),
        ("<token><token/>y</token><b>c</b>", "<token>***</token><b>c</b>"),
        ("<password><!-- a -->x</password>", "<password>***</password>"),
        ("<password><![CDATA[a</password>b]]></password><b>c</b>", "<password>***</password><b>c</b>"),
        ("<password>x<b", "<password>***"),
        ("<password><![CDATA[a<bx]]></password>c", "<password>***</password>c"),
        ("<password a=\"<\">x</password>c", "<password a=\"***</password>c"),
        (
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>x</response>",
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>***</response>",
        ),
        ("<response a='b'>x</response>", "<response a='b'>x</response>"),
        ("<token/><b>c</b>", "<token/><b>c</b>"),
        (r#"<entry key="password">x</entry><b>c</b>"#, r#"<entry key="password">***</entry><b>c</b>"#),
        (
            r#"<property value="x" name="db.password"/><b value="y"/>"#,
            r#"<property value="***" name="db.password"/><b value="y"/>"#,
        ),
        (r#"<input name="password"><b>c</b>"#, r#"<input name="password"><b>c</b>"#),
        (
            "<dict><key>token</key><string>x</string><key>a</key><string>b</string></dict>",
            "<dict><key>token</key><string>***</string><key>a</key><string>b</string></dict>",
        ),
        (
            "<member><name> password </name><value><string>x</string></value></member><b>c</b>",
            "<member><name> password </name><value>***</value></member><b>c</b>",
        ),
        ("<data>{\"token\":\"x\"}</data>", "<data>{\"token\":\"***\"}</data>"),
        ("<data>{&quot;token&quot;:&quot;x&quot;}</data>", "<data>{&quot;token&quot;:***}</data>"),
        ("1 < 2 <b it's> <password>x</password>", "1 < 2 <b it's> <password>***</password>"),
    ] {
        assert_eq!(masked(text), expected);
    }
    for text in [
        "<key>name</key><string>x</string>",
        "<name>token</name></a><a>x</a>",
        "a <b> c",
        "<",
        "</",
        "<a b='",
    ] {
        assert_eq!(masked(text), text);
    }
}

#[test]
fn forms_lines_and_options_are_masked() {
    for (text, expected) in [
        ("password=x&a=b", "password=***&a=b"),
        ("a=b&password=x%26y", "a=b&password=***"),
        ("a=b&pass%77ord=x&c=d", "a=b&pass%77ord=***&c=d"),
        (
            "data=%7B%22token%22%3A%22x%22%2C%22a%22%3A1%7D&b=c",
            "data=%7B%22token%22%3A***%2C%22a%22%3A1%7D&b=c",
        ),
        (r#"{"body":"data=%7B%22token%22%3A%22x%22%7D"}"#, r#"{"body":"data=%7B%22token%22%3A***%7D"}"#),
        ("token[]=x&a=b&token[0]=y", "token[]=***&a=b&token[0]=***"),
        ("tokens = [x]", "tokens = ***"),
        ("name=password&value=x&a=b", "name=password&value=***&a=b"),
        (
            "--b\r\nContent-Disposition: form-data; name=\"password\"\r\nA: b\r\n\r\nx\r\ny\r\n--b--",
            "--b\r\nContent-Disposition: form-data; name=\"password\"\r\nA: b\r\n\r\n***\r\n--b--",
        ),
        ("a: 1\npassword: x # y\nb: 2", "a: 1\npassword: ***\nb: 2"),
        ("a:\n  password: |\n    x\n\n    y\n  b: 2", "a:\n  password: ***\n  b: 2"),
        ("\"password\": >-\n x\nb: 2", "\"password\": ***\nb: 2"),
        ("credentials:\n  user: a\n  pass: x\nb: 2", "credentials:\n  ***\nb: 2"),
        ("tokens: 1\ntoken:\n- x\n- y\nb: 2", "tokens: 1\ntoken:\n***\nb: 2"),
        (
            "env:\n- name: PASSWORD\n  value: x\n- name: A\n  value: y",
            "env:\n- name: PASSWORD\n  value: ***\n- name: A\n  value: y",
        ),
        (
            "- value: x\n  name: token\n- value: y\n  name: a",
            "- value: ***\n  name: token\n- value: y\n  name: a",
        ),
        ("level=info key=token value=x a=b", "level=info key=token value=*** a=b"),
        ("X-Token: a\r\n b\r\nHost: h", "X-Token: ***\r\nHost: h"),
        ("run --password x --user y", "run --password *** --user y"),
        ("run --api-key 'x y' -v", "run --api-key '***' -v"),
        ("ALTER USER a PASSWORD 'it''s' b", "ALTER USER a PASSWORD '***' b"),
        ("PASS oauth:x\r\nNICK a", "PASS ***\r\nNICK a"),
        ("CAP LS\n@t=1 :a AUTHENTICATE x", "CAP LS\n@t=1 :a AUTHENTICATE ***"),
    ] {
        assert_eq!(masked(text), expected);
    }
    for text in [
        "100% of a%20b & c &amp; d",
        "pass me the salt",
        "{\"result\":\"PASS all\"}",
        "AUTH {\"a\":1}",
        "id: token of x\ntext: y",
        "name: a\nvalue: b",
        "password reset, 'x'",
    ] {
        assert_eq!(masked(text), text);
    }
}

#[test]
fn patterns_are_valid() {
    assert!(super::fields::is_ready() && super::phrases::is_ready() && BASIC.is_some());
}
