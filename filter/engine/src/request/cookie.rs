//! Cookie fields → pairs (RFC 6265 §4.2, §5.4), all occurrences.

use super::RequestHead;

impl<'a> RequestHead<'a> {
    /// Every `name=value` pair of every `cookie` field, in order, trimmed of blanks; names may repeat.
    pub fn cookies(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + '_ {
        core::iter::empty()
    }
}
