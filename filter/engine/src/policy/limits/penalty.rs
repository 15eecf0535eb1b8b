//! `limits[].penalty`: what follows repeated excess.
//!
//! **In:** the section as written. **Out:** [`Penalty`].

use super::{LONGEST_MS, SHORTEST_MS};
use crate::policy::compile::Compiler;
use crate::policy::read::{Path, section};
use crate::policy::values::{Count, Duration};
use crate::stages::limits::Penalty;

section! {
    /// Ban after repeated excess.
    struct PenaltyConfig {
        /// Refusals within one window of the limit before the ban.
        after: Count<1, 65535>,
        /// Length of the ban.
        ban: Duration,
    }
}

impl Compiler<'_> {
    pub(super) fn penalty(&mut self, at: &Path, config: &PenaltyConfig) -> Penalty {
        let ban = config.ban.0;
        if !(SHORTEST_MS..=LONGEST_MS).contains(&ban.ms) {
            self.errors.push(
                &at.key("ban"),
                "out of range",
                "write a ban from `1s` to `30d`",
            );
        }
        Penalty {
            after: config.after.0,
            ban,
        }
    }
}
