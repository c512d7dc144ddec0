//! The cost of programs, compared with the JSON parse that every program needs.
//!
//! Run with `cargo bench --bench language`. The file docs/performance.md explains the numbers.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark fails by panicking and is no interface")]

use std::hint::black_box;

use bytestring::ByteString;
use divan::{Bencher, counter::BytesCount};
use towline::{
    codec,
    event::{Data, Event, EventId, EventNumber, Meta, Value},
    trickle::Program,
};

const SIZES: [usize; 3] = [100, 1024, 16 * 1024];

const PASSTHROUGH: &str = "select event from in into out;";
const FILTER: &str = "select event from in where event.type == \"a\" into out;";
/// A filter for a text that does not occur, so that the search reads the whole input.
const FILTER_ABSENT: &str = "select event from in where absent event.nothing into out;";
const PATCH: &str = "
select patch event of
    insert \"seen\" => true;
    merge \"user\" => {\"name\": \"anonymous\"};
    erase \"id\"
end
from in
into out;
";
const PATCH_ONE: &str = "select patch event of upsert \"seen\" => true end from in into out;";
const PATCH_NESTED: &str =
    "select patch event of merge \"user\" => {\"name\": \"anonymous\"} end from in into out;";
const LETS: &str = "
define script mark
script
    let event.seen = true;
    let event.user.name = \"anonymous\";
    event
end;
create script mark;
select event from in into mark;
select event from mark into out;
";
const ROUTE: &str = "
select event from in where event.type == \"b\" into err;
select event from in where event.type == \"c\" into reply;
select event from in where event.type == \"a\" into out;
";
const MATCH: &str = "
define script kind
script
    match event of
        case %{ type == \"b\" } => emit => \"b\"
        case %{ user ~= %{ name == \"nobody\" } } => drop
        case %{ type == \"a\", present user } when event.user.id > 10 => event
        default => drop
    end
end;
create script kind;
select event from in into kind;
select event from kind into out;
select event from kind/b into err;
";

fn main() {
    // Single events are shorter than the first look into a cold cache.
    divan::Divan::from_args().sample_size(50).main();
}

/// A typical record of chat or telemetry, of about `size` bytes: small fields first, then a list.
fn document(size: usize) -> ByteString {
    let mut text =
        String::from(r#"{"type":"a","id":1234567,"user":{"id":42,"name":"somebody"},"ok":true,"items":["#);
    let mut number = 0;
    while text.len() + 2 < size {
        let item = format!(r#"{{"n":{number},"x":{number}.25,"text":"item \"{number}\""}},"#);
        if text.len() + item.len() + 1 > size {
            break;
        }
        text += &item;
        number += 1;
    }
    text.truncate(text.trim_end_matches(',').len());
    text += "]}";
    ByteString::from(text)
}

/// Measures only the parse of text to a value. The value is freed after the clock has stopped.
#[divan::bench(args = SIZES)]
fn parse(bencher: Bencher, size: usize) {
    let text = document(size);
    bencher
        .counter(BytesCount::new(text.len()))
        .with_inputs(|| text.clone())
        .bench_values(|text| Value::from_json(black_box(&text)).unwrap());
}

/// Measures the parse and the freeing of the value, because programs need both.
#[divan::bench(args = SIZES)]
fn parse_and_free(bencher: Bencher, size: usize) {
    let text = document(size);
    bencher
        .counter(BytesCount::new(text.len()))
        .with_inputs(|| text.clone())
        .bench_values(|text| drop(Value::from_json(black_box(&text)).unwrap()));
}

/// Measures what the codec does to every message: it checks the text and builds no value.
#[divan::bench(args = SIZES)]
fn check(bencher: Bencher, size: usize) {
    let text = document(size);
    bencher
        .counter(BytesCount::new(text.len()))
        .with_inputs(|| text.clone())
        .bench_values(|text| Data::json(black_box(text)).unwrap());
}

fn run(bencher: Bencher, program: &str, size: usize) {
    let text = document(size);
    let mut instance = Program::compile("bench", program).unwrap().instance();
    let data = Data::json(text.clone()).unwrap();
    let event = Event {
        id: EventId { source: 1, stream: 0, event: EventNumber(0) },
        data,
        meta: Meta::default(),
        origin: None,
        ingest_ns: 0,
    };
    let mut outputs = Vec::with_capacity(4);
    bencher.counter(BytesCount::new(text.len())).with_inputs(|| event.clone()).bench_local_values(|event| {
        outputs.clear();
        instance.run(black_box(event), 0, &mut outputs).unwrap();
        assert_eq!(outputs.len(), 1);
    });
}

/// How a program gets the data of an event.
#[derive(Clone, Copy)]
enum Given {
    /// As text.
    Text,
    /// As a value: parsed before the program runs.
    Parsed,
}

/// Measures a message on its whole way: the codec checks it, the program runs, and the codec encodes what leaves.
fn run_with_codec(bencher: Bencher, program: &str, given: Given, size: usize) {
    let text = document(size);
    let mut instance = Program::compile("bench", program).unwrap().instance();
    let codec = codec::lookup("json").unwrap();
    let id = EventId { source: 1, stream: 0, event: EventNumber(0) };
    let mut outputs = Vec::with_capacity(4);
    bencher.counter(BytesCount::new(text.len())).with_inputs(|| text.clone()).bench_local_values(|text| {
        outputs.clear();
        let data = match given {
            Given::Text => codec.decode_text(black_box(text)).unwrap(),
            Given::Parsed => Value::from_json(black_box(&text)).unwrap().into(),
        };
        let event = Event { id, data, meta: Meta::default(), origin: None, ingest_ns: 0 };
        instance.run(event, 0, &mut outputs).unwrap();
        codec.encode(outputs.pop().unwrap().1.data).unwrap()
    });
}

#[divan::bench(args = SIZES)]
fn codec_passthrough(bencher: Bencher, size: usize) {
    run_with_codec(bencher, PASSTHROUGH, Given::Text, size);
}

#[divan::bench(args = SIZES)]
fn codec_filter(bencher: Bencher, size: usize) {
    run_with_codec(bencher, FILTER, Given::Text, size);
}

#[divan::bench(args = SIZES)]
fn codec_patch_one(bencher: Bencher, size: usize) {
    run_with_codec(bencher, PATCH_ONE, Given::Text, size);
}

#[divan::bench(args = SIZES)]
fn codec_patch_nested(bencher: Bencher, size: usize) {
    run_with_codec(bencher, PATCH_NESTED, Given::Text, size);
}

#[divan::bench(args = SIZES)]
fn value_patch_one(bencher: Bencher, size: usize) {
    run_with_codec(bencher, PATCH_ONE, Given::Parsed, size);
}

#[divan::bench(args = SIZES)]
fn passthrough(bencher: Bencher, size: usize) {
    run(bencher, PASSTHROUGH, size);
}

#[divan::bench(args = SIZES)]
fn filter(bencher: Bencher, size: usize) {
    run(bencher, FILTER, size);
}

#[divan::bench(args = SIZES)]
fn filter_absent(bencher: Bencher, size: usize) {
    run(bencher, FILTER_ABSENT, size);
}

#[divan::bench(args = SIZES)]
fn lets(bencher: Bencher, size: usize) {
    run(bencher, LETS, size);
}

#[divan::bench(args = SIZES)]
fn patch(bencher: Bencher, size: usize) {
    run(bencher, PATCH, size);
}

#[divan::bench(args = SIZES)]
fn route(bencher: Bencher, size: usize) {
    run(bencher, ROUTE, size);
}

#[divan::bench(args = SIZES)]
fn matching(bencher: Bencher, size: usize) {
    run(bencher, MATCH, size);
}
