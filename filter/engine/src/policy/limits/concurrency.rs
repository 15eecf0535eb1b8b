//! `limits[].algorithm: concurrency`: what goes with requests in flight.
//!
//! **In:** the compiled limit. **Out:** errors for what would have no meaning.

use crate::policy::compile::Compiler;
use crate::policy::read::Path;
use crate::stages::limits::{Cost, Limit};

impl Compiler<'_> {
    pub(super) fn check_concurrency(&mut self, at: &Path, limit: &Limit) {
        if limit.quota.window.ms != 0 {
            self.errors.push(
                &at.key("quota"),
                "`concurrency` has no window",
                "write how many may be in flight at a time, such as `50`",
            );
        }
        if limit.penalty.is_some() {
            self.errors.push(
                &at.key("penalty"),
                "refusals are counted in a window, and `concurrency` has none",
                "write the penalty on a limit with a window",
            );
        }
        if limit.cost != Cost::Fixed(1) {
            self.errors.push(
                &at.key("cost"),
                "a request in flight is one, whatever it costs",
                "leave it out, or write the cost on a limit with a window",
            );
        }
        if limit.failures || !limit.statuses.is_empty() {
            self.errors.push(
                &at.key("count"),
                "a request in flight has no outcome yet",
                "leave it out: each request counts until it ends",
            );
        }
    }
}
