//! Recovery
mod json;
pub use json::path::Path;
