//! Static analysis: whether a program sets a key of `$` for every event that leaves it.
//!
//! The analysis is conservative: a loop may have no iterations, and `let $ = …` may remove a key. An event
//! that fails does not leave by `out`.

use crate::{
    code::{Act, Target},
    graph::{Destination, Graph, IN, NodeKind},
    port::Port,
};

/// Whether every event that leaves by `out` has the key. `entering` is whether every incoming event has it.
pub(super) fn always_sets(graph: &Graph, key: &str, entering: bool) -> bool {
    // The streams that an event without the key may reach.
    let mut without = vec![false; graph.streams];
    without[IN] = !entering;
    let mut sure = true;
    for node in &graph.nodes {
        let set = !without[node.input];
        match &node.kind {
            NodeKind::Select(select) => match select.to {
                Destination::Stream(stream) => without[stream] |= !set,
                Destination::Port(Port::Out) => sure &= set,
                Destination::Port(_) | Destination::Nowhere => {}
            },
            NodeKind::Script(script) => {
                let mut walk = Walk { key, leaks: false };
                let end = walk.block(&script.body, Some(set));
                // The last statement yields the outgoing value.
                let leaks = walk.leaks || end == Some(false);
                for stream in script.ports.iter().flatten() {
                    without[*stream] |= leaks;
                }
                if let Some(stream) = script.err {
                    // A failed event may leave unchanged or partly changed.
                    without[stream] = true;
                }
            }
        }
    }
    sure
}

/// A walk over the statements of a script.
struct Walk<'a> {
    key: &'a str,
    /// Whether an event may leave before the key is set.
    leaks: bool,
}

impl Walk<'_> {
    /// Whether the key is set after the statements; `None` if they always end the script.
    fn block(&mut self, acts: &[Act], before: Option<bool>) -> Option<bool> {
        acts.iter().fold(before, |set, act| self.act(act, set?))
    }

    fn act(&mut self, act: &Act, set: bool) -> Option<bool> {
        match act {
            Act::Value(_) => Some(set),
            Act::Let(assignment) => {
                let set = self.act(&assignment.value, set)?;
                Some(match &assignment.target {
                    Target::MetaKey(key) if key == self.key => set || assignment.steps.is_empty(),
                    Target::Meta => false,
                    _ => set,
                })
            }
            Act::Emit { .. } => {
                self.leaks |= !set;
                None
            }
            Act::EmitErr(_) | Act::Drop | Act::Recur { .. } => None,
            Act::Match(cases) => {
                let ends: Vec<_> = cases.cases.iter().map(|case| self.block(&case.body, Some(set))).collect();
                // An event that matches no case fails.
                let mut ends = ends.into_iter().flatten().peekable();
                ends.peek().is_some().then(|| ends.all(|set| set))
            }
            Act::For(each) => {
                let ends: Vec<_> = each.cases.iter().map(|case| self.block(&case.body, Some(set))).collect();
                Some(set && ends.into_iter().flatten().all(|set| set))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Program;

    fn program(body: &str) -> String {
        format!(
            "define script s script {body} end; create script s; select event from in into s; \
             select event from s into out;"
        )
    }

    fn sets(source: &str, entering: bool) -> bool {
        Program::compile("test", source).unwrap().always_sets("url", entering)
    }

    #[test]
    fn scripts_that_set_the_key_for_every_event() {
        for body in [
            "let $url = event.url; event",
            "let $url = \"a\"; let $url.x = 1; event",
            "match event of case 1 => let $url = 1 default => let $url = 2 end; event",
            "match event of case 1 => drop default => let $url = 2 end; event",
            "let $url = match event of case 1 => drop default => 2 end; event",
            "let $url = 1; for event of case (k, v) => let event.x = k end; event",
            "let $url = 1; emit event",
            "drop",
        ] {
            assert!(sets(&program(body), false), "{body}");
        }
    }

    #[test]
    fn scripts_that_may_leave_the_key_out() {
        for body in [
            "event",
            "let $other = 1; event",
            "let $url.x = 1; event",
            "match event of case 1 => let $url = 1 default => null end; event",
            "match event of case 1 => emit event default => let $url = 1 end; event",
            "for event of case (k, v) => let $url = v end; event",
            "let $url = 1; let $ = {}; event",
        ] {
            assert!(!sets(&program(body), false), "{body}");
        }
        assert!(sets(&program("event"), true));
        assert!(!sets(&program("let $ = {}; event"), true));
    }

    #[test]
    fn every_path_through_the_graph_counts() {
        let set =
            "define script s script let $url = 1; event end; create script s; select event from in into s;";
        let ways = [
            ("select event from s into out;", true),
            ("select event from s into out; select event from in into out;", false),
            ("select event from s into out; select event from in into reply;", true),
            ("create stream t; select event from s into t; select event from t into out;", true),
            ("select event from s into out; select event from s/err into out;", false),
        ];
        for (rest, expected) in ways {
            assert_eq!(sets(&format!("{set} {rest}"), false), expected, "{rest}");
        }
    }
}
