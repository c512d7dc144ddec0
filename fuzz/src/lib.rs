//! The bodies of the fuzz targets.
//!
//! Each takes any bytes and panics when a promise does not hold. The fuzzer calls them from `targets/`;
//! `corpus.rs`, a test of the proxy, calls them with what stands in `corpus/`.

pub mod close;
pub mod codecs;
pub mod frames;
pub mod language;
mod plain;
pub mod preprocessors;
pub mod settings;
mod socket;

/// A target's name, which is that of its folder of inputs, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("close", close::run),
    ("codecs", codecs::run),
    ("frames", frames::run),
    ("language", language::run),
    ("preprocessors", preprocessors::run),
    ("settings", settings::run),
];
