//! Java: classes and reflection that run code, serialised objects, OGNL.
//!
//! **In:** a decoded value. **Out:** hits of class `java`.

use super::{Class, Hits, Strength, View, upload};

/// Words no pattern of this file can do without.
pub(super) const WORDS: &[&[u8]] = &[];

/// Scans one value.
pub(super) fn scan(view: &View<'_>, _steps: &mut u64, hits: &mut Hits) {
    if upload::is_file_name(view)
        && let Some(at) = upload::pages(view.bytes)
    {
        hits.add(Class::Java, Strength::Decisive, at);
    }
}
