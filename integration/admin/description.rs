//! Tests that compare the description of the API with the pages and their answers.

use std::collections::BTreeSet;

use super::*;

/// The pages in the source: `page("/api/…", …)`, `action("/api/…", …)`, and resources with other methods.
fn pages() -> BTreeSet<(String, String)> {
    let mut pages = BTreeSet::new();
    for file in sources(&root().join("src/admin")) {
        let text = std::fs::read_to_string(file).unwrap();
        for (method, call) in [("get", "page(\"/"), ("get", "web::resource(\"/"), ("post", "action(\"/")] {
            let paths = text.split(call).skip(1).map(|rest| rest.split('"').next().unwrap());
            pages.extend(paths.map(|path| (method.to_owned(), format!("/{path}"))));
        }
    }
    pages
}

/// Compares a value with a schema: types, and the names of all fields.
fn check(description: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = description.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name}"));
        return check(description, schema, value, at);
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().map(|name| name.as_str().unwrap()).collect(),
        name => vec![name.as_str().unwrap_or_else(|| panic!("{at}: no type in {schema}"))],
    };
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() && !types.contains(&"number") => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(&found), "{at}: {value} is not {types:?}");
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{at}: {value}");
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        check(description, &schema["items"], item, &format!("{at}[{number}]"));
    }
    let (Some(fields), Some(known)) = (value.as_object(), schema["properties"].as_object()) else { return };
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(fields.contains_key(name.as_str().unwrap()), "{at}: {name} is missing in {value}");
    }
    for (name, value) in fields {
        let schema = known.get(name).unwrap_or_else(|| panic!("{at}: the description has no {name}"));
        check(description, schema, value, &format!("{at}.{name}"));
    }
}

#[test]
fn each_page_is_described() {
    let upstream = TestUpstream::echo();
    let (_proxy, operator) = operated(&upstream);
    let description = operator.json("/api/openapi.json");
    let mut described = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        described.extend(methods.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())));
    }
    assert_eq!(described, pages());
}

#[test]
fn each_field_of_an_answer_is_described() {
    let upstream = TestUpstream::silent();
    let (proxy, operator) = operated(&upstream);
    let proxy = proxy.expect_restarts();
    let mut client = failed_once(&proxy, &upstream);
    client.text("b");
    upstream.conn(1).wait_messages(1);
    let settings = Settings::request(&upstream.url()).operated();
    proxy.rewrite(&settings.with("upstream.echo.connect_timeout = \"7s\""));
    let reloaded = operator.act("/api/reload").json();
    assert!(reloaded["changes"][0].is_object(), "{reloaded}");
    let description = operator.json("/api/openapi.json");
    for (path, real) in [
        ("/api/sessions", "/api/sessions"),
        ("/api/sessions/{id}", "/api/sessions/1:0"),
        ("/api/events", "/api/events?session=1:0"),
        ("/api/events/{id}", "/api/events/1:0:0"),
        ("/api/upstreams", "/api/upstreams"),
        ("/api/reloads", "/api/reloads"),
    ] {
        let schema =
            &description["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        check(&description, schema, &operator.json(real), real);
    }
    let session = operator.json("/api/sessions/1:0");
    assert!(["errors", "timeline", "servers"].iter().all(|name| session[*name][0].is_object()), "{session}");
}
