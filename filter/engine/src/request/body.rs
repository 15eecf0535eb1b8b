//! Bounded body → (name, value) pairs: urlencoded and JSON (multipart and the rest are a later issue).

/// What the content type says a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`, `*+json`.
    Json,
    /// Anything else: inspected as one plain value.
    Other,
}

use alloc::vec::Vec;

use super::RequestHead;

/// The kind by content type.
#[must_use]
pub fn kind(_head: &RequestHead<'_>) -> BodyKind {
    BodyKind::Other
}

/// gRPC: `content-type: application/grpc…`.
#[must_use]
pub fn is_grpc(_head: &RequestHead<'_>) -> bool {
    false
}

/// gRPC, CONNECT, an upgrade or an event stream: never held.
#[must_use]
pub fn is_streaming(_head: &RequestHead<'_>) -> bool {
    false
}

/// `content-length`, when it is one number.
#[must_use]
pub fn declared_length(_head: &RequestHead<'_>) -> Option<usize> {
    None
}

/// Names and values of a form or JSON body (JSON names are paths: `user.name`, `items.0`), decoded, bounded.
#[must_use]
pub fn fields(_kind: BodyKind, _body: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    Vec::new()
}
