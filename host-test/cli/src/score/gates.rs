//! What must hold, and rows that are said to be wrong.
//!
//! **In:** a TOML file of gates, one of exceptions; tables. **Out:** a [`Check`] a gate.
//! **Invariant:** an exception is told beside its row and counted, never subtracted; a gate without a row to judge by is missed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{Counts, Tables};

/// Gates, in percent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    /// Attacks that are caught, at least.
    #[serde(default)]
    pub caught: Caught,
    /// Honest rows that are refused, at most: by tier; `all` is all of them.
    #[serde(default)]
    pub refused: BTreeMap<String, f64>,
    /// Mutants whose verdict is that of what they were made from, at least.
    pub mutants: Option<f64>,
    /// Transplants whose verdict follows the value, at least.
    pub transplants: Option<f64>,
}

/// Attacks that are caught, at least.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caught {
    /// Of all.
    pub all: Option<f64>,
    /// Of each class with at least `rows` rows.
    pub class: Option<f64>,
    /// See `class`.
    #[serde(default)]
    pub rows: u64,
    /// Of classes that have a gate of their own.
    #[serde(default)]
    pub classes: BTreeMap<String, f64>,
}

/// A gate and what came.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What is asked, in words.
    pub gate: String,
    /// The bound.
    pub bound: f64,
    /// What came; absent: there was nothing to judge by.
    pub got: Option<f64>,
    /// It holds.
    pub holds: bool,
}

impl Gates {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or has keys that nobody knows.
    pub fn load(path: &Path) -> Result<Self> {
        let file = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
        toml::from_str(&text).with_context(|| file.to_string())
    }

    /// Compares; `transplants` is the share that followed, where some were made.
    #[must_use]
    pub fn check(&self, tables: &Tables, transplants: Option<f64>) -> Vec<Check> {
        let mut out = Vec::new();
        let mut least = |gate: String, bound: f64, got: Option<f64>| {
            let holds = got.is_some_and(|got| got >= bound);
            out.push(Check {
                gate,
                bound,
                got,
                holds,
            });
        };
        if let Some(bound) = self.caught.all {
            let gate = "attacks caught, %, at least".to_owned();
            least(gate, bound, tables.total.caught_percent());
        }
        for (name, counts) in &tables.classes {
            let own = self.caught.classes.get(name).copied();
            let general = self
                .caught
                .class
                .filter(|_| counts.attacks > 0 && counts.attacks >= self.caught.rows);
            if let Some(bound) = own.or(general) {
                let gate = format!("{name} caught, %, at least");
                least(gate, bound, counts.caught_percent());
            }
        }
        for (name, bound) in &self.caught.classes {
            if !tables.classes.contains_key(name) {
                least(format!("{name} caught, %, at least"), *bound, None);
            }
        }
        if let Some(bound) = self.mutants {
            let gate = "mutants judged alike, %, at least".to_owned();
            least(gate, bound, tables.survived_percent());
        }
        if let Some(bound) = self.transplants {
            let gate = "transplants judged by their value, %, at least".to_owned();
            least(gate, bound, transplants);
        }
        for (tier, bound) in &self.refused {
            let counts = if tier == "all" {
                Some(&tables.total)
            } else {
                tables.tiers.get(tier)
            };
            let got = counts.and_then(Counts::blocked_percent);
            out.push(Check {
                gate: format!("benign rows of tier {tier} refused, %, at most"),
                bound: *bound,
                got,
                holds: got.is_some_and(|got| got <= *bound),
            });
        }
        out
    }
}

impl Check {
    /// As a line.
    #[must_use]
    pub fn text(&self) -> String {
        let got = self
            .got
            .map_or_else(|| "no rows".to_owned(), |got| format!("{got:.2}"));
        format!("{} {}: {got}", self.gate, self.bound)
    }
}

/// Rows whose label is wrong or artificial, with the reason.
#[derive(Debug, Clone, Default)]
pub struct Exceptions(BTreeMap<String, String>);

impl Exceptions {
    /// Reads a file of `[[row]]` with `id` and `reason`.
    ///
    /// # Errors
    /// It cannot be read, an id stands twice, or a reason says nothing.
    pub fn load(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[serde(default)]
            row: Vec<Row>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Row {
            id: String,
            reason: String,
        }
        let file = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
        let read: File = toml::from_str(&text).with_context(|| file.to_string())?;
        let mut out = BTreeMap::new();
        for row in read.row {
            if row.reason.trim().is_empty() {
                bail!("{file}: `{}` has no reason", row.id);
            }
            if out.insert(row.id.clone(), row.reason).is_some() {
                bail!("{file}: `{}` stands twice", row.id);
            }
        }
        Ok(Self(out))
    }

    /// Why a row is said to be wrong.
    #[must_use]
    pub fn of(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    /// Ids that are on the list.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Tables {
        let counts = |attacks, caught, benign, blocked| Counts {
            attacks,
            caught,
            benign,
            blocked,
        };
        Tables {
            total: counts(200, 196, 100, 1),
            classes: [
                ("sqli".to_owned(), counts(150, 150, 0, 0)),
                ("java".to_owned(), counts(50, 46, 0, 0)),
                ("crlf".to_owned(), counts(3, 0, 0, 0)),
                ("benign".to_owned(), counts(0, 0, 100, 1)),
            ]
            .into(),
            tiers: [("real".to_owned(), counts(0, 0, 50, 0))].into(),
            ..Tables::default()
        }
    }

    fn missed(text: &str) -> Vec<String> {
        let gates: Gates = toml::from_str(text).expect("gates");
        let checks = gates.check(&tables(), None);
        let missed = checks.iter().filter(|check| !check.holds);
        missed.map(Check::text).collect()
    }

    #[test]
    fn a_gate_is_missed_by_what_it_bounds() {
        assert!(missed("caught = { all = 98.0 }").is_empty());
        assert_eq!(missed("caught = { all = 98.1 }").len(), 1);
        let classes = "caught = { class = 95.0, rows = 50 }";
        assert_eq!(missed(classes), ["java caught, %, at least 95: 92.00"]);
        let own = "caught = { class = 95.0, rows = 50, classes = { java = 80.0 } }";
        assert!(missed(own).is_empty());
        assert!(missed("refused = { real = 0.0, all = 1.0 }").is_empty());
        assert_eq!(missed("refused = { all = 0.9 }").len(), 1);
    }

    #[test]
    fn a_gate_without_rows_does_not_hold() {
        for text in [
            "refused = { input = 5.0 }",
            "caught = { classes = { php = 1.0 } }",
            "mutants = 1.0",
            "transplants = 1.0",
        ] {
            let missed = missed(text);
            assert_eq!(missed.len(), 1, "{text}");
            assert!(missed.concat().ends_with("no rows"), "{missed:?}");
        }
        assert!(toml::from_str::<Gates>("cought = 1").is_err());
    }
}
