//! Towline.
pub mod codec;
pub mod connector;
pub mod event;
pub mod flow;
pub mod format;
pub mod pipeline;
pub mod processor;
pub mod reply;
pub mod session;
pub mod settings;
pub mod trickle;
pub mod wire;
