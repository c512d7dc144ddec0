//! The functions of `tremor::system`.

use std::sync::LazyLock;

use super::{Arity::Exactly, Call, Function, Outcome};
use towline_event::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::impure("tremor::system::hostname", Exactly(0), hostname, "the name of the host"),
    Function::impure(
        "tremor::system::ingest_ns",
        Exactly(0),
        ingest_ns,
        "the ingest time of the event, in nanoseconds since the Unix epoch",
    ),
    Function::impure("tremor::system::instance", Exactly(0), instance, "the name of this proxy: towline"),
    Function::impure(
        "tremor::system::nanotime",
        Exactly(0),
        nanotime,
        "the current time, in nanoseconds since the Unix epoch",
    ),
    Function::impure("tremor::system::version", Exactly(0), version, "the version of this proxy"),
];

/// The name of the host, looked up once, so that events do not wait for the operating system.
static HOSTNAME: LazyLock<String> =
    LazyLock::new(|| gethostname::gethostname().to_string_lossy().into_owned());

fn hostname(_: &Call<'_>) -> Outcome {
    Ok(Value::string(HOSTNAME.as_str()))
}

fn ingest_ns(call: &Call<'_>) -> Outcome {
    Ok(Value::from(call.context.ingest_ns))
}

/// The name of the program that runs the language.
const INSTANCE: &str = "towline";

fn instance(_: &Call<'_>) -> Outcome {
    Ok(Value::string(INSTANCE))
}

fn nanotime(call: &Call<'_>) -> Outcome {
    Ok(Value::from(call.context.now_ns))
}

fn version(_: &Call<'_>) -> Outcome {
    Ok(Value::string(env!("CARGO_PKG_VERSION")))
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("tremor::system::hostname", "[1]", "error: tremor::system::hostname takes no arguments, not 1"),
    ("tremor::system::ingest_ns", "[]", "1559655782123456789"),
    ("tremor::system::ingest_ns", "[1]", "error: tremor::system::ingest_ns takes no arguments, not 1"),
    ("tremor::system::instance", "[]", r#""towline""#),
    ("tremor::system::instance", "[1]", "error: tremor::system::instance takes no arguments, not 1"),
    ("tremor::system::nanotime", "[]", "1559655783000000000"),
    ("tremor::system::nanotime", "[1]", "error: tremor::system::nanotime takes no arguments, not 1"),
    ("tremor::system::version", "[]", concat!('"', env!("CARGO_PKG_VERSION"), '"')),
    ("tremor::system::version", "[1]", "error: tremor::system::version takes no arguments, not 1"),
];
