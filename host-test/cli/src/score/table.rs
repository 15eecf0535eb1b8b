//! Counting: how many of what was caught or refused, by source, class, place and tier.
//!
//! **In:** rows and their verdicts. **Out:** [`Tables`].
//! **Invariant:** ambiguous rows are counted by themselves and are in no other number; an artificial row is in all of them.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use serde::Serialize;

use super::corpus::Corpus;
use super::{Label, Row, Verdict};

/// What was caught and refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Attacks.
    pub attacks: u64,
    /// Those of them that were refused.
    pub caught: u64,
    /// Honest requests.
    pub benign: u64,
    /// Those of them that were refused.
    pub blocked: u64,
}

/// All tables.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tables {
    /// Everything.
    pub total: Counts,
    /// By collection.
    pub sources: BTreeMap<String, Counts>,
    /// By kind of attack.
    pub classes: BTreeMap<String, Counts>,
    /// By where the payload stands; rows that do not say are left out.
    pub places: BTreeMap<String, Counts>,
    /// Benign rows by tier.
    pub tiers: BTreeMap<String, Counts>,
    /// By mutation: mutants of attacks that are caught as they are, and of honest values that pass. They are in no other table.
    pub mutations: BTreeMap<String, Counts>,
    /// Rows that are not scored.
    pub ambiguous: u64,
    /// Those of them that were refused.
    pub ambiguous_refused: u64,
    /// Rows over which the filter failed.
    pub faults: u64,
}

impl Counts {
    /// Adds a row.
    pub fn add(&mut self, label: Label, refused: bool) {
        match label {
            Label::Attack => {
                self.attacks += 1;
                self.caught += u64::from(refused);
            }
            Label::Benign => {
                self.benign += 1;
                self.blocked += u64::from(refused);
            }
            Label::Ambiguous => {}
        }
    }

    /// Percent of the attacks that were caught; `None`: there are none.
    #[must_use]
    pub fn caught_percent(&self) -> Option<f64> {
        percent(self.caught, self.attacks)
    }

    /// Percent of the honest requests that were refused; `None`: there are none.
    #[must_use]
    pub fn blocked_percent(&self) -> Option<f64> {
        percent(self.blocked, self.benign)
    }
}

/// A share of a hundred.
#[must_use]
pub fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
}

impl Tables {
    /// Counts.
    #[must_use]
    pub fn of(corpus: &Corpus, verdicts: &[Verdict]) -> Self {
        let mut tables = Self::default();
        let judged = judged_right(&corpus.rows, verdicts);
        for (row, verdict) in corpus.rows.iter().zip(verdicts) {
            tables.faults += u64::from(verdict.fault.is_some());
            if let Some(mutant) = &row.mutant {
                if judged.contains(mutant.of.as_str()) {
                    let counts = tables.mutations.entry(mutant.by.to_owned()).or_default();
                    counts.add(row.label, verdict.blocked);
                }
                continue;
            }
            if row.label == Label::Ambiguous {
                tables.ambiguous += 1;
                tables.ambiguous_refused += u64::from(verdict.blocked);
                continue;
            }
            let add = |counts: &mut Counts| counts.add(row.label, verdict.blocked);
            add(&mut tables.total);
            add(tables.sources.entry(row.source.clone()).or_default());
            add(tables.classes.entry(row.class.clone()).or_default());
            if !row.place.is_empty() {
                add(tables.places.entry(row.place.clone()).or_default());
            }
            if let Some(tier) = corpus.tier(&row.source)
                && row.label == Label::Benign
            {
                add(tables.tiers.entry(tier.to_owned()).or_default());
            }
        }
        tables
    }

    /// Mutants: percent whose verdict is that of what they were made from, of attacks and of honest values together.
    #[must_use]
    pub fn survived_percent(&self) -> Option<f64> {
        let sum = |count: fn(&Counts) -> u64| self.mutations.values().map(count).sum::<u64>();
        let all = sum(|counts| counts.attacks + counts.benign);
        let right = sum(|counts| counts.caught + counts.benign - counts.blocked);
        percent(right, all)
    }

    /// Mean over classes of what was caught, and over sources of 20 honest rows and more of what was refused.
    #[must_use]
    pub fn macro_percent(&self) -> (Option<f64>, Option<f64>) {
        let classes: Vec<f64> = self
            .classes
            .values()
            .filter_map(Counts::caught_percent)
            .collect();
        let sources: Vec<f64> = self
            .sources
            .values()
            .filter(|counts| counts.benign >= 20)
            .filter_map(Counts::blocked_percent)
            .collect();
        (mean(&classes), mean(&sources))
    }

    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (name, table) in [
            ("source", &self.sources),
            ("class", &self.classes),
            ("place", &self.places),
            ("benign tier", &self.tiers),
            ("mutation", &self.mutations),
        ] {
            if !table.is_empty() {
                section(&mut out, name, table);
                out.push('\n');
            }
        }
        line(&mut out, "all", &self.total);
        let (caught, blocked) = self.macro_percent();
        let _ = writeln!(
            out,
            "mean over classes: {} % caught; mean over benign sources: {} % refused",
            shown(caught),
            shown(blocked)
        );
        if let Some(survived) = self.survived_percent() {
            let mutants: u64 = self
                .mutations
                .values()
                .map(|counts| counts.attacks + counts.benign)
                .sum();
            let _ = writeln!(
                out,
                "{mutants} mutants: the verdict survives {survived:.2} %"
            );
        }
        if self.ambiguous > 0 {
            let _ = writeln!(
                out,
                "{} ambiguous rows are not scored; {} of them were refused",
                self.ambiguous, self.ambiguous_refused
            );
        }
        if self.faults > 0 {
            let _ = writeln!(out, "the filter FAILED over {} rows", self.faults);
        }
        out
    }
}

/// Ids of rows that were judged as their label says.
pub(super) fn judged_right<'a>(rows: &'a [Row], verdicts: &[Verdict]) -> HashSet<&'a str> {
    let rows = rows.iter().zip(verdicts);
    let right = rows.filter(|(row, verdict)| (row.label == Label::Attack) == verdict.blocked);
    right.map(|(row, _)| row.id.as_str()).collect()
}

fn section(out: &mut String, name: &str, table: &BTreeMap<String, Counts>) {
    let _ = writeln!(
        out,
        "{name:<20}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "attacks", "caught%", "missed", "benign", "refused%", "refused"
    );
    for (name, counts) in table {
        line(out, name, counts);
    }
}

fn line(out: &mut String, name: &str, counts: &Counts) {
    let _ = writeln!(
        out,
        "{name:<20}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
        counts.attacks,
        shown(counts.caught_percent()),
        counts.attacks - counts.caught,
        counts.benign,
        shown(counts.blocked_percent()),
        counts.blocked
    );
}

fn shown(percent: Option<f64>) -> String {
    percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.2}"))
}

fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}
