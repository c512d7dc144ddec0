//! Tests of the real program, end to end. One file for each concern; `harness` is what they stand on.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    missing_docs,
    reason = "a test fails by panicking, and nothing here is a public interface"
)]

mod harness;
mod selftest;
