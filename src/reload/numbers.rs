//! The numbers of listeners, which begin the ids of their events.

use std::sync::Arc;

use crate::settings::Settings;

/// The numbers of all listeners since the start. A listener keeps its number from reload to reload, by its name, so that
/// no id is used twice.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// The names, each at its number minus 1.
    names: Vec<String>,
}

// === impl Numbers ===

impl Numbers {
    /// Gives each listener of these settings its number. New ones get the next ones.
    pub fn assign(&mut self, settings: &mut Settings) {
        for listener in &mut settings.listeners {
            let known = self.names.iter().position(|name| *name == listener.name);
            let at = known.unwrap_or_else(|| {
                self.names.push(listener.name.clone());
                self.names.len() - 1
            });
            let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
            if listener.number != number {
                Arc::make_mut(listener).number = number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::{MINIMAL, load};

    #[test]
    fn a_listener_keeps_its_number() {
        let mut numbers = Numbers::default();
        let mut assigned = |names: &[&str]| -> Vec<u32> {
            let sections = names.iter().map(|name| format!("[listener.{name}]\nbind = \"127.0.0.1:0\"\n"));
            let text =
                MINIMAL.replace("[listener.ws]\nbind = \"127.0.0.1:9139\"\n", &sections.collect::<String>());
            let mut settings = load(&text, &[]).unwrap();
            numbers.assign(&mut settings);
            settings.listeners.iter().map(|listener| listener.number).collect()
        };
        assert_eq!(assigned(&["a", "b"]), [1, 2]);
        assert_eq!(assigned(&["c", "b", "a"]), [3, 2, 1]);
        assert_eq!(assigned(&["d"]), [4]);
        assert_eq!(assigned(&["b", "d"]), [2, 4]);
    }
}
