//! JNDI look-ups in log messages, nested look-ups undone.
//!
//! **In:** a decoded value. **Out:** hits of class `jndi`.

use super::{Hits, View};

/// Words no pattern of this file can do without.
pub(super) const WORDS: &[&[u8]] = &[];

/// Scans one value.
pub(super) const fn scan(_view: &View<'_>, _steps: &mut u64, _hits: &mut Hits) {}
