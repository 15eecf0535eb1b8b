//! Header inspection: lists, bounds, repeats, control bytes, framing (RFC 9110 §5, RFC 9112 §6.3).

use alloc::vec::Vec;

use crate::finding::Findings;
use crate::request::RequestHead;
use crate::verdict::Denial;

/// Compiled `headers` section.
#[derive(Debug, Clone)]
pub struct HeaderPolicy {
    /// Allowed methods; empty: all.
    pub methods: Vec<Vec<u8>>,
    /// Allowed hosts, lower case, without port; `*.example.com` takes any subdomain; empty: all.
    pub hosts: Vec<Vec<u8>>,
    /// Allowed content types (`type/subtype`, lower case; `type/*`) of requests that carry a body; empty: all.
    pub content_types: Vec<Vec<u8>>,
    /// Required header names, lower case.
    pub require: Vec<Vec<u8>>,
    /// Forbidden header names, lower case.
    pub forbid: Vec<Vec<u8>>,
    /// Bounds.
    pub max: HeaderBounds,
    /// Whether an encoded slash in the path is let through.
    pub escaped_slash: EscapedSlash,
}

/// What to do with `%2F` and `%5C` in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EscapedSlash {
    /// Refuse with `malformed_path`.
    Deny,
    /// Keep it as data inside its segment.
    Keep,
}

/// Bounds of `headers.max`; each is the largest value let through.
#[derive(Debug, Clone, Copy)]
pub struct HeaderBounds {
    /// Fields.
    pub count: usize,
    /// Bytes of all names and values.
    pub bytes: usize,
    /// Bytes of one value.
    pub value: usize,
    /// Bytes of the target.
    pub target: usize,
    /// Query parameters.
    pub params: usize,
    /// Cookie pairs.
    pub cookies: usize,
}

impl HeaderPolicy {
    /// # Errors
    /// One of the header reasons.
    pub fn inspect(&self, _head: &RequestHead<'_>, _found: &mut Findings) -> Result<(), Denial> {
        Ok(())
    }
}
