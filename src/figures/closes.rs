//! Closes of sessions, by side and code.

use std::fmt;

use super::count::Count;

/// The side that ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Downstream,
    /// The upstream.
    Upstream,
    /// Towline itself.
    Proxy,
    /// An operator, through the admin server.
    Operator,
}

/// The codes that IANA has registered, each with its label.
const REGISTERED: [(u16, &str); 15] = [
    (1000, "1000"),
    (1001, "1001"),
    (1002, "1002"),
    (1003, "1003"),
    (1005, "1005"),
    (1006, "1006"),
    (1007, "1007"),
    (1008, "1008"),
    (1009, "1009"),
    (1010, "1010"),
    (1011, "1011"),
    (1012, "1012"),
    (1013, "1013"),
    (1014, "1014"),
    (1015, "1015"),
];
/// The labels of all other codes. Clients choose codes, so there is not one series for each.
const GROUPS: [&str; 3] = ["3xxx", "4xxx", "other"];

const CODES: usize = REGISTERED.len() + GROUPS.len();

/// Number of closes by side and code. One thread writes it; see [`Count`].
#[derive(Debug, Default)]
pub struct Closes([[Count; CODES]; Side::ALL.len()]);

// === impl Side ===

impl Side {
    /// All sides.
    pub const ALL: [Self; 4] = [Self::Downstream, Self::Upstream, Self::Proxy, Self::Operator];

    /// The label in logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
            Self::Proxy => "proxy",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

// === impl Closes ===

impl Closes {
    /// Counts a close. Only the writer may call it.
    pub fn count(&self, side: Side, code: u16) {
        self.0[side as usize][index(code)].add(1);
    }

    /// The number of closes for each side and each label of a code.
    pub fn totals(&self) -> impl Iterator<Item = (Side, &'static str, u64)> {
        let labels = || REGISTERED.iter().map(|(_, label)| *label).chain(GROUPS);
        let sides = Side::ALL.into_iter().zip(&self.0);
        sides.flat_map(move |(side, counts)| {
            labels().zip(counts).map(move |(label, count)| (side, label, count.get()))
        })
    }
}

fn index(code: u16) -> usize {
    let registered = REGISTERED.iter().position(|(known, _)| *known == code);
    registered.unwrap_or(
        REGISTERED.len()
            + match code {
                3000..=3999 => 0,
                4000..=4999 => 1,
                _ => 2,
            },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_a_label_of_a_closed_list() {
        for (code, label) in [
            (1000, "1000"),
            (1015, "1015"),
            (1004, "other"),
            (1016, "other"),
            (3000, "3xxx"),
            (4999, "4xxx"),
            (0, "other"),
        ] {
            let closes = Closes::default();
            closes.count(Side::Upstream, code);
            let counted: Vec<_> = closes.totals().filter(|(.., count)| *count > 0).collect();
            assert_eq!(counted, [(Side::Upstream, label, 1)]);
        }
    }
}
