//! `limits[].plans`: other quotas by a claim.
//!
//! **In:** the section as written. **Out:** [`Plans`].
//! **Invariant:** all quotas of a limit have one window: counts are kept by window, and a client with two plans of different
//! windows would have the sum of both.

use alloc::vec::Vec;

use crate::policy::compile::Compiler;
use crate::policy::read::{Named, Path, section};
use crate::policy::values::{Pointer, QuotaText};
use crate::stages::limits::Plans;
use crate::units::Quota;

/// Plans of a limit at most; they are tried one by one.
const MOST_PLANS: usize = 64;

section! {
    /// Quotas by a claim of the verified credential; who has none of these plans has the limit's own quota.
    struct PlansConfig {
        /// The claim, a string: JSON Pointer or dotted name.
        claim: Pointer,
        /// Quotas by the claim's value, with the window of the limit's own.
        quotas: Named<QuotaText>,
    }
}

impl Compiler<'_> {
    pub(super) fn plans(&mut self, at: &Path, config: PlansConfig, own: Quota) -> Plans {
        let at = at.key("plans").key("quotas");
        let mut quotas = Vec::new();
        for entry in config.quotas.0 {
            let Some(QuotaText(quota)) = entry.value else {
                continue;
            };
            if quota.window != own.window {
                self.errors.push(
                    &entry.at,
                    "another window than that of the limit's own quota",
                    "write the same window: a client that changes plans keeps its counts by it",
                );
            }
            quotas.push((entry.name.into_bytes(), quota));
        }
        if self.errors.is_empty() && !(1..=MOST_PLANS).contains(&quotas.len()) {
            self.errors.push(
                &at,
                "no plans, or more than 64",
                "write names and quotas such as `{ gold: 1000/10m }`",
            );
        }
        Plans {
            claim: config.claim.0,
            place: usize::MAX,
            quotas,
        }
    }
}
