//! `limits[].count`: what becomes of a request decides whether it counts.
//!
//! **In:** the section as written. **Out:** the statuses that count, or that failures do.

use alloc::vec::Vec;

use crate::policy::compile::Compiler;
use crate::policy::read::{Path, section};
use crate::policy::values::{Count, Failures};

section! {
    /// Count by what becomes of a request: a place is reserved, and given back when it does not count. One of the two.
    struct CountBy {
        /// Statuses that count, such as `[401, 403]`.
        status: Option<Vec<Count<100, 599>>>,
        /// `authentication`: credentials that are not right; the place is reserved before one is verified.
        failures: Option<Failures>,
    }
}

impl Compiler<'_> {
    /// The statuses that count, and whether failed authentications do.
    pub(super) fn count_by(&mut self, at: &Path, config: Option<CountBy>) -> (Vec<u16>, bool) {
        let Some(count) = config else {
            return (Vec::new(), false);
        };
        let help = "write statuses such as `[401, 403]`, or `failures: authentication`";
        match (&count.status, count.failures) {
            (Some(list), None) if list.is_empty() => self.errors.push(
                &at.key("status"),
                "an empty list counts nothing",
                "write statuses such as `[401, 403]`, or leave `count` out",
            ),
            (Some(_), None) | (None, Some(_)) => {}
            (None, None) if self.errors.is_empty() => self.errors.push(at, "counts nothing", help),
            (None, None) => {}
            (Some(_), Some(_)) => self.errors.push(at, "counts two things", help),
        }
        let statuses = count.status.unwrap_or_default().into_iter();
        (
            statuses
                .filter_map(|status| u16::try_from(status.0).ok())
                .collect(),
            count.failures == Some(Failures::Authentication),
        )
    }
}
