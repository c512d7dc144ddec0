//! Towline.
pub mod cli;
pub mod codec;
pub mod event;
pub mod log;
pub mod processor;
pub mod settings;
pub mod trickle;
