//! The keys `codec`, `preprocessors` and `postprocessors` of listeners and upstreams.

use config::{Value, ValueKind};

use crate::{
    codec::{self, Codec},
    event::{Record, Value as Data},
    processor::{self, Side, Spec},
    settings::read::{Section, all, commas, text},
};

/// How one side converts between messages and events.
#[derive(Debug, Clone)]
pub struct Format {
    /// The codec, which converts between bytes and data.
    pub codec: &'static dyn Codec,
    /// Preprocessors of incoming messages, in order.
    pub preprocessors: Vec<processor::Spec>,
    /// Postprocessors of outgoing messages, in order.
    pub postprocessors: Vec<processor::Spec>,
}

/// Reads the keys from a section; `None` when one of them is invalid.
pub(crate) fn read(section: &Section<'_>) -> Option<Format> {
    let codec = section.read("codec", |value| {
        let name = text(value)?;
        codec::lookup(name).ok_or_else(|| format!("unknown codec; use {}", codec::names().join(", ")))
    });
    let preprocessors = section.read("preprocessors", |value| processors(value, Side::Pre));
    let postprocessors = section.read("postprocessors", |value| processors(value, Side::Post));
    Some(Format { codec: codec?, preprocessors: preprocessors?, postprocessors: postprocessors? })
}

fn processors(value: &Value, side: Side) -> Result<Vec<Spec>, String> {
    match &value.kind {
        ValueKind::Array(items) => all(items.iter().map(|item| processor(item, side))),
        ValueKind::String(names) if value.origin().is_some() => {
            let spec = |name: &String| Spec::parse(side, name, &Record::new());
            all(commas(names).iter().map(|name| spec(name).map_err(|error| error.to_string())))
        }
        _ => Err(format!("takes a list of {}s", side.noun())),
    }
}

/// Parses a processor: `"lines"`, or `{ name = "lines", … }`.
fn processor(item: &Value, side: Side) -> Result<Spec, String> {
    let wrong =
        || format!("a {} is a name, or a table with a name such as {{ name = \"lines\" }}", side.noun());
    let (name, options) = match &item.kind {
        ValueKind::String(name) => (name.as_str(), Record::new()),
        ValueKind::Table(table) => {
            let name = table.get("name").and_then(|name| text(name).ok()).ok_or_else(wrong)?;
            let options = table.iter().filter(|(key, _)| *key != "name");
            (name, options.map(|(key, value)| (key.as_str().into(), data(value))).collect())
        }
        _ => return Err(wrong()),
    };
    Spec::parse(side, name, &options).map_err(|error| error.to_string())
}

fn data(value: &Value) -> Data {
    match &value.kind {
        ValueKind::Boolean(flag) => Data::Bool(*flag),
        ValueKind::I64(number) => Data::Int(*number),
        ValueKind::Float(number) => Data::Float(*number),
        ValueKind::String(text) => Data::string(text.as_str()),
        ValueKind::Array(items) => Data::array(items.iter().map(data).collect()),
        ValueKind::Table(table) => Data::record(table.iter().map(|(key, value)| (key.as_str(), data(value)))),
        _ => Data::Null,
    }
}
