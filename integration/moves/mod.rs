//! Sessions that move to another upstream connection while their clients stay.

mod draining;
mod load;
mod replacing;
mod rolling;
