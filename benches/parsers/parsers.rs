//! The cost of checking a JSON document and finding one of its fields, with several parsers.
//!
//! Without arguments it prints times as rows of Markdown. `parsers PARSER SIZE COUNT` does the same work COUNT times,
//! for callgrind: the difference between two counts is free of the start of the process.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark fails by panicking")]

use std::{hint::black_box, time::Instant};

use bytestring::ByteString;
use serde::de::IgnoredAny;
use towline_event::Data;

const SIZES: [usize; 3] = [100, 1024, 16 * 1024];

/// A parser: its name, and the work that it does for one message. The text must stay as it is, because an event that no
/// program changes leaves as it came.
type Parser = (&'static str, fn(&ByteString));

const PARSERS: [Parser; 5] = [
    ("towline", |text| {
        let Data::Json(json) = Data::json(text.clone()).unwrap() else { unreachable!() };
        black_box(json.finder().unwrap()("type"));
    }),
    ("serde_json_ignored", |text| {
        black_box(serde_json::from_str::<IgnoredAny>(text).unwrap());
    }),
    ("serde_json_value", |text| {
        black_box(serde_json::from_str::<serde_json::Value>(text).unwrap().get("type"));
    }),
    ("simd_json_tape", |text| {
        use simd_json::prelude::*;
        // It decodes strings in place, so it needs a copy.
        let mut copy = text.as_bytes().to_vec();
        let tape = simd_json::to_tape(&mut copy).unwrap();
        black_box(tape.as_value().get("type").is_some());
    }),
    ("sonic_rs_fields", |text| {
        let mut last = None;
        for field in sonic_rs::to_object_iter(&**text) {
            let (key, value) = field.unwrap();
            if key == "type" {
                last = Some(value);
            }
        }
        black_box(last);
    }),
];

/// The document of `benches/language.rs`.
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

/// The fastest of several runs, in µs for one document: other work on the machine only adds time.
fn time(work: fn(&ByteString), text: &ByteString) -> f64 {
    let count = 4_000_000 / text.len();
    let run = |_| {
        let start = Instant::now();
        (0..count).for_each(|_| work(black_box(text)));
        start.elapsed().as_secs_f64() * 1e6 / count as f64
    };
    (0..20).map(run).fold(f64::INFINITY, f64::min)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, size, count] = &arguments[..] {
        let (_, work) = PARSERS.into_iter().find(|(known, _)| known == name).unwrap();
        let text = document(size.parse().unwrap());
        return (0..count.parse().unwrap()).for_each(|_: u32| work(black_box(&text)));
    }
    println!("| parser | 100 B | 1 KiB | 16 KiB |\n|---|---|---|---|");
    for (name, work) in PARSERS {
        let times = SIZES.map(|size| format!("{:.2} µs", time(work, &document(size))));
        println!("| {name} | {} |", times.join(" | "));
    }
}
