//! The bodies of the fuzz targets.
//!
//! Each body receives arbitrary bytes and panics when a property is violated. The fuzzer calls the bodies
//! from `targets/`; `corpus.rs`, a test of the proxy, calls them with the inputs in `corpus/`.

pub mod chunked;
pub mod close;
pub mod codecs;
pub mod credentials;
pub mod forwarded;
pub mod frames;
pub mod language;
mod plain;
pub mod preprocessors;
pub mod proxy_header;
pub mod settings;
mod socket;

/// The name of a target, which is also the name of its folder of inputs, and the body of the target.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 10] = [
    ("chunked", chunked::run),
    ("close", close::run),
    ("codecs", codecs::run),
    ("credentials", credentials::run),
    ("forwarded", forwarded::run),
    ("frames", frames::run),
    ("language", language::run),
    ("preprocessors", preprocessors::run),
    ("proxy_header", proxy_header::run),
    ("settings", settings::run),
];
