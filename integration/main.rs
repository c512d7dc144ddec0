//! Tests of the real program, end to end. One file for each concern; `harness` is what they stand on.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs,
    reason = "a test fails by panicking and prints for whoever reads why, and nothing here is a public interface"
)]

mod admission;
mod architecture;
mod chaos;
mod closing;
mod codecs;
mod commands;
mod correlation;
mod demo;
mod draining;
mod evacuation;
mod frames;
mod handshakes;
mod harness;
mod headers;
mod liveness;
mod logging;
mod outcomes;
mod pipelines;
mod pressure;
mod rates;
mod readme;
mod routes;
mod selftest;
mod siege;
mod sockets;
mod streaming;
mod subprotocols;
mod supervision;
