//! `Content-Digest`: what a sender says of the bytes of its body.
//!
//! **In:** the head and the whole body. **Out:** whether they agree. **Invariant:** every digest of an algorithm we
//! know must hold, one at least; others (the deprecated ones among them) count for nothing.
//! **Source:** RFC 9530 §2, §5. **Cost:** one pass of each algorithm over the body.

use alloc::vec::Vec;

use sha2::{Digest, Sha256, Sha512};

use super::super::Failure;
use super::base64;
use super::sf::{self, Bare, Item, Member};
use crate::request::RequestHead;
use crate::verdict::Reason;

/// Digests of a request.
const MOST: usize = 8;

pub(super) fn check(head: &RequestHead<'_>, body: &[u8]) -> Result<(), Failure> {
    let mut joined = Vec::new();
    for value in head.all(b"content-digest") {
        if !joined.is_empty() {
            joined.extend_from_slice(b", ");
        }
        joined.extend_from_slice(value);
    }
    let digests = sf::dictionary(&joined, MOST).ok_or(mismatch("digest_malformed"))?;
    let mut known = false;
    for (name, member) in &digests {
        let holds = match *name {
            b"sha-256" => says(member, &Sha256::digest(body)),
            b"sha-512" => says(member, &Sha512::digest(body)),
            _ => continue,
        };
        if !holds {
            return Err(mismatch("digest"));
        }
        known = true;
    }
    if known {
        Ok(())
    } else {
        Err(mismatch("digest_algorithm"))
    }
}

/// Whether a covered component has a digest in it that is judged: the whole field has, of its members those that are
/// known. Beside another member (`key="md5"`) anybody can write a digest of another body.
pub(super) fn is_judged(component: &Item<'_>) -> bool {
    let mut parameters = component.parameters.iter();
    parameters.all(|(name, value)| {
        *name != b"key" || matches!(value, Bare::String(b"sha-256") | Bare::String(b"sha-512"))
    })
}

const fn mismatch(what: &'static str) -> Failure {
    Failure::new(Reason::DigestMismatch, what)
}

fn says(member: &Member<'_>, digest: &[u8]) -> bool {
    match member {
        Member::Item(Item {
            value: Bare::Bytes(text),
            ..
        }) => base64::decode(text).is_some_and(|bytes| bytes == digest),
        _ => false,
    }
}
