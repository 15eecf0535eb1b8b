//! Which requests a limit counts.
//!
//! **In:** what is known of a request. **Out:** counted or not.
//! **Invariant:** a header that is sent several times is looked at in all its values: one that fits is enough to be counted.

use alloc::vec::Vec;

use super::Facts;
use crate::request::target::PathPattern;

/// Which requests a limit counts; all given conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// Methods; empty: all.
    pub methods: Vec<Vec<u8>>,
    /// Path pattern; `None`: all.
    pub path: Option<PathPattern>,
    /// Names of routes; empty: all.
    pub routes: Vec<Vec<u8>>,
    /// A header.
    pub header: Option<HeaderTest>,
    /// Whether somebody was verified; `None`: either.
    pub subject: Option<bool>,
}

/// What a header must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderTest {
    /// Its name, lower case.
    pub name: Vec<u8>,
    /// One of these; empty: any value.
    pub values: Vec<Vec<u8>>,
    /// Whether it is there, with such a value.
    pub present: bool,
}

impl HeaderTest {
    fn holds(&self, facts: &Facts<'_>) -> bool {
        let mut values = facts.head.into_iter().flat_map(|head| head.all(&self.name));
        let found = values.any(|value| {
            self.values.is_empty() || self.values.iter().any(|wanted| wanted == value)
        });
        found == self.present
    }
}

impl Condition {
    /// Whether a request is counted.
    #[must_use]
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        self.fits_head(facts)
            && self
                .subject
                .is_none_or(|wanted| facts.subject.is_some() == wanted)
    }

    /// Whether its head is that of a request that is counted: true before the subject is known.
    #[must_use]
    pub fn fits_head(&self, facts: &Facts<'_>) -> bool {
        self.fits(facts.method, facts.path)
            && (self.routes.is_empty() || self.routes.iter().any(|one| one == facts.route))
            && self.header.as_ref().is_none_or(|test| test.holds(facts))
    }

    /// Whether method and path are those of a request that is counted.
    #[must_use]
    pub fn fits(&self, method: &[u8], path: &[u8]) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|one| one == method))
            && self
                .path
                .as_ref()
                .is_none_or(|pattern| pattern.matches(path))
    }
}
