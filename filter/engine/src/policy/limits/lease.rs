//! `limits[].lease`: what goes with places that are charged ahead.
//!
//! **In:** the compiled limit. **Out:** errors for what would not hold.

use crate::policy::compile::Compiler;
use crate::policy::read::Path;
use crate::stages::limits::{Algorithm, Limit};

impl Compiler<'_> {
    pub(super) fn check_lease(&mut self, at: &Path, limit: &Limit) {
        if limit.lease == 0 {
            return;
        }
        let at = at.key("lease");
        let (problem, help) = if limit.algorithm == Algorithm::Concurrency {
            (
                "places in flight are taken one by one",
                "leave it out, or use an algorithm with a window",
            )
        } else if limit.fleet.is_some() {
            (
                "the service of a fleet hears of every request",
                "leave it out, or write `scope: local`",
            )
        } else if limit.lease > limit.quota.count {
            ("more than the quota", "write a small part of the quota")
        } else if limit.algorithm == Algorithm::TokenBucket && limit.lease > limit.burst {
            (
                "more than the burst: none would ever be had",
                "write a small part of the burst",
            )
        } else {
            return;
        };
        self.errors.push(&at, problem, help);
    }
}
