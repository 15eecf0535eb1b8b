//! Misses and false alarms, each so that one can see why.
//!
//! **In:** a row and its verdict. **Out:** lines of text without control bytes, of bounded length.

use std::fmt::Write as _;

use super::table::judged_right;
use super::{Label, Reason, Row, Verdict};

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Benign rows that were refused.
    FalseAlarms,
    /// Attacks that were not.
    Misses,
    /// Mutants that were judged otherwise than what they were made from.
    Mutants,
}

impl Which {
    /// The rows that belong on the list.
    #[must_use]
    pub fn of<'a>(self, rows: &'a [Row], verdicts: &'a [Verdict]) -> Vec<(&'a Row, &'a Verdict)> {
        let right = judged_right(rows, verdicts);
        let takes = |row: &Row, verdict: &Verdict| match (self, &row.mutant) {
            (Self::FalseAlarms, None) => row.label == Label::Benign && verdict.blocked,
            (Self::Misses, None) => row.label == Label::Attack && !verdict.blocked,
            (Self::Mutants, Some(mutant)) => {
                right.contains(mutant.of.as_str()) && !right.contains(row.id.as_str())
            }
            _ => false,
        };
        let rows = rows.iter().zip(verdicts);
        rows.filter(|(row, verdict)| takes(row, verdict)).collect()
    }
}

/// Most characters of a target or body that are shown.
const MOST: usize = 300;

/// A row as a few lines.
#[must_use]
pub fn entry(row: &Row, verdict: &Verdict, exception: Option<&str>) -> String {
    let mut out = format!("{} {}", row.id, row.class);
    if !row.place.is_empty() {
        let _ = write!(out, " in {}", row.place);
    }
    if !row.note.is_empty() {
        let _ = write!(out, " ({})", shown(row.note.as_bytes(), 80));
    }
    if let Some(score) = verdict.score {
        let _ = write!(out, ", score {score}");
    }
    out.push('\n');
    if let Some(reason) = exception {
        let _ = writeln!(out, "  said to be wrong or artificial: {reason}");
    }
    let _ = writeln!(
        out,
        "  {} {}",
        shown(row.request.method.as_bytes(), 20),
        shown(row.request.path.as_bytes(), MOST)
    );
    for line in headers(row, verdict) {
        let _ = writeln!(out, "  {line}");
    }
    if !row.request.body.is_empty() {
        let _ = writeln!(out, "  {}", shown(&row.request.body, MOST));
    }
    for reason in &verdict.reasons {
        let _ = writeln!(out, "  found {}", found(reason));
    }
    let told = |code: &str| verdict.reasons.iter().any(|one| one.reason == code);
    if !verdict.refusal.is_empty() && !told(&verdict.refusal) {
        let _ = writeln!(out, "  refused as {}", verdict.refusal);
    }
    if let Some(fault) = &verdict.fault {
        let _ = writeln!(out, "  FAILED: {}", shown(fault.as_bytes(), MOST));
    }
    out
}

/// Headers worth showing: where something was found, and where a payload may stand; not those of any browser.
pub(super) fn headers(row: &Row, verdict: &Verdict) -> Vec<String> {
    let place = row.place.to_ascii_lowercase();
    let in_head = matches!(place.as_str(), "header" | "cookie" | "useragent" | "");
    let worth = |name: &str, value: &str| {
        let named = verdict.reasons.iter().any(|reason| {
            let place = reason.place.split_once(':');
            place.is_some_and(|(_, field)| field.eq_ignore_ascii_case(name))
        });
        let browser = value.starts_with("Mozilla/5.0 (")
            || (value.len() < 40 && name.eq_ignore_ascii_case("referer"));
        let ordinary = |known: &&str| known.eq_ignore_ascii_case(name);
        named || (in_head && !browser && !ORDINARY.iter().any(ordinary))
    };
    let headers = row.request.headers.iter();
    headers
        .filter(|(name, value)| worth(name, value))
        .map(|(name, value)| {
            format!(
                "{}: {}",
                shown(name.as_bytes(), 60),
                shown(value.as_bytes(), MOST)
            )
        })
        .collect()
}

/// Headers that say nothing here.
const ORDINARY: [&str; 8] = [
    "host",
    "accept",
    "accept-language",
    "accept-encoding",
    "content-length",
    "connection",
    "origin",
    "upgrade-insecure-requests",
];

/// A reason as one line.
#[must_use]
pub fn found(reason: &Reason) -> String {
    let mut out = if reason.rule.is_empty() || reason.reason != "injection" {
        format!("{} {}", reason.reason, reason.rule)
            .trim_end()
            .to_owned()
    } else {
        reason.rule.clone()
    };
    if !reason.place.is_empty() {
        let _ = write!(out, " in {}", shown(reason.place.as_bytes(), 80));
    }
    if reason.score > 0 {
        let _ = write!(out, ", {} points", reason.score);
    }
    if !reason.evidence.is_empty() {
        let _ = write!(out, ": {}", shown(reason.evidence.as_bytes(), 100));
    }
    out
}

/// Text that a terminal can be shown: control characters are escaped, what is too long is cut.
#[must_use]
pub fn shown(bytes: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::new();
    for character in text.chars().take(most) {
        if character.is_control()
            || matches!(character, '\u{200e}'..='\u{202f}' | '\u{2066}'..='\u{2069}')
        {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}
