pub mod ledger;
pub mod sequencer;
