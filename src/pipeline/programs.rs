//! The programs that one pipeline of a session runs.
//!
//! A session has one pipeline for each program in a list of its route, or none as long as the list passes every event
//! unchanged. A reload may change the list. Pipelines that have started stay, and share the programs of the new list: each
//! runs that at its position, and the last one runs all that are left.

use std::{ops::Range, sync::Arc};

use super::Stage;
use crate::{settings, trickle::Port};

/// A program with its state in the session.
pub(super) struct Running {
    /// The settings of the program.
    pub(super) settings: Arc<settings::Pipeline>,
    /// The instance of the program; `None` if every event passes unchanged.
    pub(super) stage: Option<Box<dyn Stage>>,
    /// Whether the program writes to port `journal`.
    pub(super) uses_journal: bool,
    /// Whether the program writes to port `move`.
    pub(super) announces: bool,
}

/// The position of a pipeline among those of its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Other pipelines follow. The number is that of the pipelines before.
    Inner(usize),
    /// It is the last one. The number is that of the pipelines before.
    Last(usize),
}

// === impl Running ===

impl Running {
    /// The program of these settings, in its first state.
    pub(super) fn new(settings: &Arc<settings::Pipeline>) -> Self {
        let program = &settings.program;
        let stage = (!program.is_identity()).then(|| Box::new(program.instance()) as Box<dyn Stage>);
        Self::with(settings, stage)
    }

    /// The program of these settings, with this instance.
    pub(super) fn with(settings: &Arc<settings::Pipeline>, stage: Option<Box<dyn Stage>>) -> Self {
        let (uses_journal, announces) =
            (settings.program.uses_port(Port::Journal), settings.program.uses_port(Port::Move));
        Self { settings: Arc::clone(settings), stage, uses_journal, announces }
    }

    /// Whether this is the program of these settings, so that its state goes on.
    fn is(&self, settings: &settings::Pipeline) -> bool {
        self.settings.name == settings.name && self.settings.text == settings.text
    }
}

/// Continues with the programs of another list. A program that stays keeps its state.
pub(super) fn adopt(running: &mut Vec<Running>, position: Position, list: &[Arc<settings::Pipeline>]) {
    let mut before = std::mem::take(running);
    let own = list.get(position.range(list.len())).unwrap_or_default();
    running.extend(own.iter().map(|settings| {
        let known = before.iter().position(|known| known.is(settings)).map(|at| before.swap_remove(at));
        known.map_or_else(|| Running::new(settings), |known| Running::with(settings, known.stage))
    }));
}

// === impl Position ===

impl Position {
    /// The position of pipeline `at` of `count`.
    pub(super) fn of(at: usize, count: usize) -> Self {
        if at + 1 == count { Self::Last(at) } else { Self::Inner(at) }
    }

    /// The positions of its programs in a list of `count`.
    fn range(self, count: usize) -> Range<usize> {
        match self {
            Self::Inner(at) => at.min(count)..(at + 1).min(count),
            Self::Last(at) => at.min(count)..count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::load;

    /// The pipelines of a route, each a name and a number that its program returns.
    fn list(programs: &[(&str, u32)]) -> Vec<Arc<settings::Pipeline>> {
        let mut text = "[listener.ws]\nbind = \"127.0.0.1:0\"\n".to_owned();
        for (name, number) in programs {
            text += &format!("[pipeline.{name}]\nsource = \"select {number} from in into reply;\"\n");
        }
        let names: Vec<_> = programs.iter().map(|(name, _)| *name).collect();
        text += &format!("[[route]]\nincoming = {names:?}\n");
        load(&text, &[]).unwrap().routes[0].incoming.clone()
    }

    /// The names of the programs of each pipeline of a session, after a reload.
    fn after(before: &[(&str, u32)], next: &[(&str, u32)]) -> Vec<Vec<String>> {
        let (before, next) = (list(before), list(next));
        let positions = (0..before.len()).map(|at| Position::of(at, before.len()));
        let pipelines = positions.map(|position| {
            let mut running = Vec::new();
            adopt(&mut running, position, &before);
            assert_eq!(running.len(), 1);
            adopt(&mut running, position, &next);
            running.iter().map(|program| program.settings.name.clone()).collect()
        });
        pipelines.collect()
    }

    #[test]
    fn the_pipelines_of_a_session_run_all_programs_of_another_list_in_order() {
        let all = [("a", 1), ("b", 2), ("c", 3), ("d", 4)];
        for before in 1..=4 {
            for count in 1..=4 {
                let names: Vec<_> = after(&all[..before], &all[4 - count..]).concat();
                let expected: Vec<_> = all[4 - count..].iter().map(|(name, _)| *name).collect();
                assert_eq!(names, expected, "{before} pipelines");
            }
        }
        assert_eq!(after(&all[..2], &all), [vec!["a"], vec!["b", "c", "d"]]);
        assert_eq!(after(&all[..3], &all[3..]), [vec!["d"], vec![], vec![]]);
    }

    #[test]
    fn a_program_keeps_its_state_if_its_name_and_its_text_stay() {
        let (mut running, position) = (Vec::new(), Position::of(0, 1));
        adopt(&mut running, position, &list(&[("a", 1), ("b", 2)]));
        let instances = |running: &[Running]| -> Vec<*const ()> {
            running.iter().map(|program| (&raw const **program.stage.as_ref().unwrap()).cast()).collect()
        };
        let before = instances(&running);
        adopt(&mut running, position, &list(&[("b", 2), ("a", 3), ("c", 1)]));
        let after = instances(&running);
        assert_eq!(after[0], before[1]);
        assert!(after[1..].iter().all(|instance| !before.contains(instance)), "other programs begin anew");
    }
}
