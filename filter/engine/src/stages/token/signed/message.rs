//! HTTP Message Signatures: a request whose parts a key has signed.
//!
//! **In:** the head, its `Signature-Input` and `Signature`, the keys, the body where its digest is covered.
//! **Out:** the key that signed. **Invariant:** exactly one signature of the request is of a key of ours (and of the
//! label and tag the policy asks for); the key has its algorithm, and an `alg` that differs is refused; what the policy
//! requires is covered; the time of creation is there and within the window; a covered digest holds over the body.
//! **Source:** RFC 9421 §2, §3.2; RFC 9530. **Cost:** one verification; [`MOST`] signatures, components, parameters.

use alloc::vec::Vec;

use super::super::{Algorithm, Failure, Key};
use super::base::{self, Message};
use super::sf::{self, Bare, Item, Member, Parameters};
use super::{Window, base64, digest};
use crate::request::RequestHead;
use crate::verdict::Reason;

/// Signatures of a request, components of a signature, parameters of either.
const MOST: usize = 32;

/// Bytes of a signature: those of RSA with 8192 bits.
const MOST_SIGNATURE_BYTES: usize = 1024;

/// Bytes of `Signature` and `Signature-Input`.
const MOST_FIELD_BYTES: usize = 16 * 1024;

/// What a signature must cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Required {
    /// A component by its name, without parameters that pick a part of it.
    Component(Vec<u8>),
    /// `content-digest`, when the request has a body.
    Digest,
    /// Where the request goes: `@target-uri`, or `@authority` with `@request-target`, or `@authority` with `@path` and,
    /// when there is a query, `@query`.
    Target,
}

/// What the policy asks of signatures.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Only signatures of this label; else of any.
    pub label: Option<Vec<u8>>,
    /// Only signatures with this `tag`.
    pub tag: Option<Vec<u8>>,
    /// What must be covered.
    pub required: Vec<Required>,
    /// Whether a `nonce` must be there.
    pub nonce: bool,
}

/// A signature that was found and may be verified.
#[derive(Debug)]
pub(super) struct Found<'a, 'k> {
    pub(super) key: &'k Key,
    pub(super) key_id: &'a [u8],
    pub(super) nonce: Option<&'a [u8]>,
    /// The last second it can be accepted in.
    pub(super) until: u64,
    /// Whether the digest of the body is covered or must be.
    pub(super) digest: bool,
    components: Vec<Item<'a>>,
    parameters: Parameters<'a>,
    signature: Vec<u8>,
}

impl Asked {
    /// The one signature of ours, judged by all that the head says.
    pub(super) fn find<'a, 'k>(
        &self,
        keys: &'k [Key],
        head: &RequestHead<'a>,
        input: &'a [u8],
        window: Window,
    ) -> Result<Found<'a, 'k>, Failure> {
        let mut values = head.all(b"signature");
        let (Some(signatures), None) = (values.next(), values.next()) else {
            return Err(invalid("signature"));
        };
        if input.len() > MOST_FIELD_BYTES || signatures.len() > MOST_FIELD_BYTES {
            return Err(invalid("size"));
        }
        let inputs = sf::dictionary(input, MOST).ok_or(invalid("input"))?;
        let mut ours = None;
        for (label, member) in inputs {
            let Member::Inner(components, parameters) = member else {
                return Err(invalid("input"));
            };
            let wanted = self.label.as_ref().is_none_or(|wanted| wanted == label)
                && self
                    .tag
                    .as_ref()
                    .is_none_or(|tag| is_text(&parameters, b"tag", tag));
            let key = keys.iter().find(|key| {
                key.id()
                    .is_some_and(|id| is_text(&parameters, b"keyid", id))
            });
            if let (true, Some(key)) = (wanted, key)
                && ours.replace((label, components, parameters, key)).is_some()
            {
                return Err(invalid("several"));
            }
        }
        let (label, components, parameters, key) = ours.ok_or(invalid("key"))?;
        let signatures = sf::dictionary(signatures, MOST).ok_or(invalid("signature"))?;
        let signature = signatures.iter().find(|(name, _)| *name == label);
        let Some((
            _,
            Member::Item(Item {
                value: Bare::Bytes(text),
                ..
            }),
        )) = signature
        else {
            return Err(invalid("signature"));
        };
        let signature = base64::decode(text).filter(|bytes| bytes.len() <= MOST_SIGNATURE_BYTES);
        let signature = signature.ok_or(invalid("signature"))?;
        let (until, nonce) = self.judge(&parameters, key, window)?;
        let digest = self.covers(&components, head)?;
        Ok(Found {
            key,
            key_id: text_of(&parameters, b"keyid")?.unwrap_or_default(),
            nonce,
            until,
            digest,
            components,
            parameters,
            signature,
        })
    }

    /// Algorithm, times, nonce.
    fn judge<'a>(
        &self,
        parameters: &Parameters<'a>,
        key: &Key,
        window: Window,
    ) -> Result<(u64, Option<&'a [u8]>), Failure> {
        if let Some(algorithm) = text_of(parameters, b"alg")?
            && Some(algorithm) != name_of(key.algorithm()).map(str::as_bytes)
        {
            return Err(invalid("alg"));
        }
        let created = time_of(parameters, b"created")?.ok_or(invalid("created"))?;
        let mut until = window.judge(created)?;
        if let Some(expires) = time_of(parameters, b"expires")? {
            if window.is_over(expires) {
                return Err(Failure::new(Reason::SignatureExpired, "expires"));
            }
            until = until.min(expires);
        }
        let nonce = text_of(parameters, b"nonce")?;
        if self.nonce && nonce.is_none_or(<[u8]>::is_empty) {
            return Err(invalid("nonce"));
        }
        Ok((until, nonce))
    }

    /// Whether all that is required is covered, and whether a digest is.
    fn covers(&self, components: &[Item<'_>], head: &RequestHead<'_>) -> Result<bool, Failure> {
        let covered = |name: &[u8]| {
            components.iter().any(|component| {
                component.value == Bare::String(name)
                    && component
                        .parameters
                        .iter()
                        .all(|(parameter, _)| matches!(*parameter, b"sf" | b"bs"))
            })
        };
        let mut needed = components.iter().any(is_digest);
        for required in &self.required {
            let holds = match required {
                Required::Component(name) => covered(name),
                Required::Digest => {
                    // Whether there is a body is known when it is there.
                    needed = true;
                    true
                }
                Required::Target => {
                    covered(b"@target-uri")
                        || covered(b"@authority")
                            && (covered(b"@request-target")
                                || covered(b"@path")
                                    && (covered(b"@query") || head.query.is_none()))
                }
            };
            if !holds {
                return Err(invalid("required"));
            }
        }
        Ok(needed)
    }
}

impl Found<'_, '_> {
    /// Whether the digest agrees with the body. A body without a covered digest is not signed.
    pub(super) fn check_digest(&self, head: &RequestHead<'_>, body: &[u8]) -> Result<(), Failure> {
        let mut covering = self.components.iter().filter(|one| is_digest(one));
        if covering.any(digest::is_judged) {
            digest::check(head, body)
        } else if body.is_empty() {
            Ok(())
        } else {
            Err(invalid("required"))
        }
    }

    /// The signature base.
    pub(super) fn base(&self, message: Message<'_>) -> Result<Vec<u8>, Failure> {
        let mut out = Vec::new();
        base::write(message, &self.components, &self.parameters, &mut out).map_err(invalid)?;
        Ok(out)
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }
}

const fn invalid(what: &'static str) -> Failure {
    Failure::new(Reason::SignatureInvalid, what)
}

/// Whether a component is the digest of the body, or a part of it.
fn is_digest(component: &Item<'_>) -> bool {
    component.value == Bare::String(b"content-digest")
}

/// The name RFC 9421 §6.2 gives a key's algorithm; one without a name there must not be named.
pub(super) const fn name_of(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::Hs256 => Some("hmac-sha256"),
        Algorithm::Rs256 => Some("rsa-v1_5-sha256"),
        Algorithm::Ps512 => Some("rsa-pss-sha512"),
        Algorithm::Es256 => Some("ecdsa-p256-sha256"),
        Algorithm::Es384 => Some("ecdsa-p384-sha384"),
        Algorithm::EdDsa => Some("ed25519"),
        _ => None,
    }
}

fn parameter<'p, 'a>(parameters: &'p Parameters<'a>, name: &[u8]) -> Option<&'p Bare<'a>> {
    parameters
        .iter()
        .find(|(other, _)| *other == name)
        .map(|(_, value)| value)
}

fn is_text(parameters: &Parameters<'_>, name: &[u8], text: &[u8]) -> bool {
    matches!(parameter(parameters, name), Some(Bare::String(value)) if *value == text)
}

fn text_of<'a>(parameters: &Parameters<'a>, name: &[u8]) -> Result<Option<&'a [u8]>, Failure> {
    match parameter(parameters, name) {
        None => Ok(None),
        Some(Bare::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid("parameter")),
    }
}

fn time_of(parameters: &Parameters<'_>, name: &[u8]) -> Result<Option<u64>, Failure> {
    match parameter(parameters, name) {
        None => Ok(None),
        Some(Bare::Integer(time)) => match u64::try_from(*time) {
            Ok(time) => Ok(Some(time)),
            Err(_) => Err(invalid("parameter")),
        },
        Some(_) => Err(invalid("parameter")),
    }
}

#[cfg(test)]
mod tests;
