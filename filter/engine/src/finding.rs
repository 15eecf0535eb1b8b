//! What matched and where; feeds the event and monitor mode. Never holds a whole secret or body.

use alloc::vec::Vec;

use crate::stages::injection::Used;
use crate::verdict::{Reason, Stage};

/// One thing a stage saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The stage that saw it.
    pub stage: Stage,
    /// Why it matters.
    pub reason: Reason,
    /// Which rule: a limit's or a provider's name, an injection class such as `sqli`, a header's name.
    pub rule: Vec<u8>,
    /// Where: `path`, `query:q`, `header:referer`, `cookie:sid`, `body:/user/name`; empty when nowhere.
    pub place: Vec<u8>,
    /// At most [`Finding::MAX_EVIDENCE`] of the bytes that matched, already cut; redacted by the event writer
    /// when `place` names a redacted field. Empty for credentials.
    pub evidence: Vec<u8>,
    /// Points towards the injection threshold; 0 for other stages.
    pub score: u32,
    /// Level of an injection hit, 1 (surest) to 4; 0 for other stages.
    pub level: u8,
}

impl Finding {
    /// Bytes of evidence kept.
    pub const MAX_EVIDENCE: usize = 64;

    /// A finding without rule, place or evidence.
    #[must_use]
    pub fn new(stage: Stage, reason: Reason) -> Self {
        Self {
            stage,
            reason,
            rule: Vec::new(),
            place: Vec::new(),
            evidence: Vec::new(),
            score: 0,
            level: 0,
        }
    }

    /// With the rule's name.
    #[must_use]
    pub fn rule(mut self, rule: &[u8]) -> Self {
        self.rule = rule.to_vec();
        self
    }

    /// With the place.
    #[must_use]
    pub fn place(mut self, kind: &[u8], name: &[u8]) -> Self {
        self.place = kind.to_vec();
        if !name.is_empty() {
            self.place.push(b':');
            self.place
                .extend_from_slice(name.get(..Self::MAX_EVIDENCE).unwrap_or(name));
        }
        self
    }

    /// With evidence, cut to [`Finding::MAX_EVIDENCE`].
    #[must_use]
    pub fn evidence(mut self, bytes: &[u8]) -> Self {
        self.evidence = bytes.get(..Self::MAX_EVIDENCE).unwrap_or(bytes).to_vec();
        self
    }
}

/// All findings of one request, bounded.
#[derive(Debug, Default, Clone)]
pub struct Findings {
    list: Vec<Finding>,
    /// Exceptions that were of use.
    pub(crate) excepted: Used,
}

impl Findings {
    /// Findings kept per request; later ones are dropped (the first decide).
    pub const MAX: usize = 16;

    /// Adds one.
    pub fn push(&mut self, finding: Finding) {
        if self.list.len() < Self::MAX {
            self.list.push(finding);
        }
    }

    /// In the order they were found.
    #[must_use]
    pub fn as_slice(&self) -> &[Finding] {
        &self.list
    }
}
