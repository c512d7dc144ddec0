//! Compares the sequencer with a simple model after each of a series of random operations (guarantee C2).

use proptest::prelude::*;

use super::sequencer::{Position, Sequencer};

/// A sequencer that keeps all positions forever.
#[derive(Debug, Default)]
pub(super) struct ModelSequencer {
    positions: Vec<ModelPosition>,
    /// The outputs emitted so far.
    pub(super) out: Vec<u32>,
}

#[derive(Debug, Default)]
struct ModelPosition {
    closed: bool,
    waiting: Vec<u32>,
}

impl ModelSequencer {
    pub(super) fn reserve(&mut self) -> usize {
        self.positions.push(ModelPosition::default());
        self.positions.len() - 1
    }

    pub(super) fn put(&mut self, position: usize, output: u32) {
        self.positions[position].waiting.push(output);
        self.drain();
    }

    pub(super) fn append(&mut self, output: u32) {
        self.positions.push(ModelPosition { closed: true, waiting: vec![output] });
        self.drain();
    }

    pub(super) fn close(&mut self, position: usize) {
        self.positions[position].closed = true;
        self.drain();
    }

    /// Emits all outputs up to and including those of the first open position.
    fn drain(&mut self) {
        for position in &mut self.positions {
            self.out.append(&mut position.waiting);
            if !position.closed {
                break;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.positions.iter().all(|position| position.closed)
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Reserve,
    Put(prop::sample::Index),
    Append,
    Close(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        3 => Just(Step::Reserve),
        4 => index().prop_map(Step::Put),
        2 => Just(Step::Append),
        3 => index().prop_map(Step::Close),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The sequencer emits the same outputs as its model in both uses. If `appended` is true, only errors
    /// have positions, and other outputs are appended. Otherwise each event has a position.
    #[test]
    fn the_sequencer_emits_what_its_model_emits(steps in steps(), appended: bool) {
        let (mut sequencer, mut model) = (Sequencer::default(), ModelSequencer::default());
        let mut reserved: Vec<(Position, usize)> = Vec::new();
        let mut out = Vec::new();
        for (step, output) in steps.into_iter().zip(0..) {
            let emit = |output| out.push(output);
            match step {
                Step::Reserve => reserved.push((sequencer.reserve(), model.reserve())),
                Step::Put(at) if !reserved.is_empty() => {
                    let (real, modelled) = *at.get(&reserved);
                    if !(appended && model.positions[modelled].closed) {
                        sequencer.put(real, output, emit);
                        model.put(modelled, output);
                    }
                }
                Step::Append if appended => {
                    sequencer.append(output, emit);
                    model.append(output);
                }
                Step::Close(at) if !reserved.is_empty() => {
                    let (real, modelled) = *at.get(&reserved);
                    sequencer.close(real, emit);
                    model.close(modelled);
                }
                _ => {}
            }
            prop_assert_eq!(&out, &model.out);
            prop_assert_eq!(sequencer.is_empty(), model.is_empty());
        }
    }
}
