//! Other quotas for some: by what a claim of the verified credential says.
//!
//! **In:** the kept claims of a request. **Out:** the quota that judges it.
//! **Invariant:** only a string that is a plan's name exactly makes a plan; anything else, and who was not verified, has the
//! limit's own quota. All quotas of a limit have one window, so that a client who changes plans keeps what it was charged.

use alloc::vec::Vec;

use super::Facts;
use crate::units::Quota;

/// Quotas by plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans {
    /// JSON Pointer to the claim.
    pub claim: Vec<u8>,
    /// Its place among those that are kept.
    pub place: usize,
    /// Names and quotas; not empty.
    pub quotas: Vec<(Vec<u8>, Quota)>,
}

impl Plans {
    /// The quota of the request's plan, if it has one.
    pub(super) fn quota(&self, facts: &Facts<'_>) -> Option<Quota> {
        facts.subject?;
        let claim = facts.claims.get(self.place)?.as_deref()?;
        let plan = claim.strip_prefix(b"\"")?;
        let mut quotas = self.quotas.iter();
        quotas
            .find(|(name, _)| name == plan)
            .map(|(_, quota)| *quota)
    }
}
