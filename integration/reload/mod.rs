//! Reloads of the settings while the proxy runs (guarantee C12).

mod adopting;
mod listeners;
mod load;
mod swapping;
