//! Sessions that move to another upstream connection while their clients stay.

mod announced;
mod closing;
mod draining;
mod load;
mod losing;
mod replacing;
mod rolling;
mod wording;
