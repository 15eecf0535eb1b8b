//! The request head, decoded once: an immutable view every stage reads.
//!
//! **In:** the header pairs of a Proxy-Wasm map (raw bytes, pseudo-header names start with `:`) and the
//! peer's address. **Out:** [`RequestHead`], which borrows those bytes.
//! **Invariant:** nothing is dropped: every occurrence of every header stays visible.

pub mod body;
pub mod client_addr;
pub mod cookie;
pub mod target;

use alloc::borrow::Cow;
use alloc::vec::Vec;

/// One header field: names as the host gives them (lower case in Envoy), raw value bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Name.
    pub name: &'a [u8],
    /// Value, raw.
    pub value: &'a [u8],
}

/// The decoded head. Built by [`RequestHead::decode`] only.
#[derive(Debug, Clone)]
pub struct RequestHead<'a> {
    /// `:method`; empty when the host sent none.
    pub method: &'a [u8],
    /// `:authority` (or `host`); empty when absent.
    pub authority: &'a [u8],
    /// `:scheme`.
    pub scheme: &'a [u8],
    /// The whole request target as received.
    pub target: &'a [u8],
    /// Path part of the target as received.
    pub raw_path: &'a [u8],
    /// Query after the first `?`, without it; `None` when there is no `?`.
    pub query: Option<&'a [u8]>,
    /// Path as judged: percent-decoded, dot segments removed, slashes merged. Routes match on this.
    pub path: Cow<'a, [u8]>,
    /// Regular fields in order, pseudo-headers excluded.
    pub fields: Vec<Field<'a>>,
    /// Faults seen while decoding that the headers stage turns into a denial.
    pub faults: Faults,
}

/// Faults of the head; judged (not dropped) so that monitor mode can report them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// A pseudo-header is repeated.
    pub repeated_pseudo: bool,
    /// The path cannot be read in one way only: see `target.rs`.
    pub path: Option<target::PathFault>,
    /// More pairs than [`crate::budget::MAX_PAIRS`].
    pub too_many: bool,
}

impl<'a> RequestHead<'a> {
    /// Decodes the pairs of a header map.
    #[must_use]
    pub fn decode(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut head = Self {
            method: b"",
            authority: b"",
            scheme: b"",
            target: b"",
            raw_path: b"",
            query: None,
            path: Cow::Borrowed(b""),
            fields: Vec::with_capacity(32),
            faults: Faults::default(),
        };
        for (name, value) in pairs {
            match name {
                b":method" => head.method = value,
                b":path" => head.target = value,
                b":authority" => head.authority = value,
                b":scheme" => head.scheme = value,
                _ => head.fields.push(Field { name, value }),
            }
        }
        head
    }

    /// All values of a header, in order. `name` must be lower case; the comparison ignores ASCII case.
    pub fn all<'s>(&'s self, name: &'s [u8]) -> impl Iterator<Item = &'a [u8]> + 's {
        self.fields
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// The first value of a header. Only for headers the headers stage proved single.
    #[must_use]
    pub fn first(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }
}
