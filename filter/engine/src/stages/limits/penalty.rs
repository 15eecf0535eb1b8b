//! What follows repeated excess.

use crate::units::Span;

/// Ban after repeated excess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Penalty {
    /// Refusals within one window of the limit before the ban.
    pub after: u32,
    /// Length of the ban.
    pub ban: Span,
}
