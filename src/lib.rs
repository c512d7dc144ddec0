//! Towline.
pub mod codec;
pub mod event;
pub mod processor;
pub mod settings;
pub mod trickle;
