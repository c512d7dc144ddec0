//! Reloads of the settings while the proxy runs (guarantee C12).

mod listeners;
mod swapping;
