//! Bodies signed with an HMAC: Standard Webhooks, GitHub, Stripe, Slack, and whatever a template describes.
//!
//! **In:** the head, the field with the signatures, the body. **Out:** the signed text, its parts in order, when a key
//! has signed it and its time is within the window. **Invariant:** a text can be cut in one way only (`a` + `.` + `b.c` is
//! never `a.b` + `.` + `c`): what stands before the body does not contain the literal that follows it, nor begins it
//! (`x` + `--` + `-y`, `x-` + `--` + `y`), and what stands behind the body not the literal before it; every
//! field that is signed or tells the time is sent once; time and fields are judged before a body is waited for; MACs are
//! compared in constant time, each key's is computed once.
//! **Source:** Standard Webhooks 1.0.0; "Validating webhook deliveries" (GitHub), "Verify manually" (Stripe), "Verifying
//! requests from Slack". **Cost:** [`MOST_KEYS`] MACs over the body; [`MOST_SIGNATURES`] signatures a request.

use alloc::vec::Vec;

use super::super::mac::equal;
use super::super::session::unhex;
use super::super::{Failure, Key, split_first};
use super::{Window, base64};
use crate::request::RequestHead;
use crate::verdict::Reason;

/// Keys of a provider: a rotation needs two.
pub const MOST_KEYS: usize = 4;

/// Signatures of a request: as many as keys that signed it.
const MOST_SIGNATURES: usize = 8;

/// Bytes of the longest MAC.
const MAX_MAC_BYTES: usize = 64;

/// How a sender signs.
#[derive(Debug, Clone)]
pub struct Layout {
    /// What is in the field with the signatures (the field itself is where the credential comes from).
    pub format: Format,
    /// How a signature is written.
    pub encoding: MacEncoding,
    /// Where the time is.
    pub timestamp: Option<Place>,
    /// What is signed.
    pub signed: Vec<Part>,
}

/// What is in the field with the signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// A prefix and one signature.
    One {
        /// Such as `sha256=`; may be empty.
        prefix: Vec<u8>,
    },
    /// Signatures with blanks between; those without the prefix are of another version and not looked at.
    Blanks {
        /// Such as `v1,`.
        prefix: Vec<u8>,
    },
    /// `name=value` with commas between; others are not looked at.
    Pairs {
        /// Name of a signature, such as `v1`.
        signature: Vec<u8>,
    },
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacEncoding {
    /// Standard base64 with padding.
    Base64,
    /// Hex digits of either case.
    Hex,
}

/// Where the time is, in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A header of its own.
    Header(Vec<u8>),
    /// A pair of the field with the signatures.
    Pair(Vec<u8>),
}

/// A part of the signed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The body.
    Body,
    /// The value of a header that is sent once.
    Header(Vec<u8>),
    /// These bytes.
    Literal(Vec<u8>),
    /// The method.
    Method,
    /// The path as received, without the query.
    Path,
    /// The query as received, without its `?`; nothing when there is none.
    Query,
    /// The whole target as received.
    Target,
    /// The time as written.
    Timestamp,
}

/// Signatures as written, and the pair with the time.
type Texts<'a> = (Vec<&'a [u8]>, Option<&'a [u8]>);

/// What the head says, before the body is there.
#[derive(Debug)]
pub(super) struct Announced<'a> {
    signatures: Vec<Vec<u8>>,
    /// The last second it can be accepted in.
    pub(super) until: u64,
    timestamp: &'a [u8],
}

impl Layout {
    /// Reads the head.
    pub(super) fn announced<'a>(
        &self,
        head: &RequestHead<'a>,
        field: &'a [u8],
        window: Window,
    ) -> Result<Announced<'a>, Failure> {
        let (texts, pair) = self.signatures(field)?;
        let mut signatures = Vec::new();
        for text in texts {
            // One that cannot be read is none; another may be.
            if let Some(signature) = self.encoding.decode(text) {
                signatures.push(signature);
            }
        }
        if signatures.is_empty() {
            return Err(invalid("signature"));
        }
        let timestamp = match &self.timestamp {
            None => None,
            Some(Place::Header(name)) => Some(once(head, name).ok_or(invalid("timestamp"))?),
            Some(Place::Pair(_)) => Some(pair.ok_or(invalid("timestamp"))?),
        };
        let until = match timestamp {
            None => window.end(),
            Some(text) => {
                let time = super::seconds(text).ok_or(invalid("timestamp"))?;
                window.judge(time)?
            }
        };
        Ok(Announced {
            signatures,
            until,
            timestamp: timestamp.unwrap_or_default(),
        })
    }

    /// The texts of the signatures, and the pair with the time.
    fn signatures<'a>(&self, field: &'a [u8]) -> Result<Texts<'a>, Failure> {
        let mut texts = Vec::new();
        let mut time = None;
        match &self.format {
            Format::One { prefix } => texts.extend(field.strip_prefix(prefix.as_slice())),
            Format::Blanks { prefix } => {
                let words = field.split(|byte| *byte == b' ');
                texts.extend(words.filter_map(|word| word.strip_prefix(prefix.as_slice())));
            }
            Format::Pairs { signature } => {
                for pair in field.split(|byte| *byte == b',') {
                    let Some((name, value)) = split_first(pair.trim_ascii(), b'=') else {
                        continue;
                    };
                    if name == signature {
                        texts.push(value);
                    }
                    if matches!(&self.timestamp, Some(Place::Pair(wanted)) if wanted == name)
                        && time.replace(value).is_some()
                    {
                        return Err(invalid("timestamp"));
                    }
                }
            }
        }
        if texts.len() > MOST_SIGNATURES {
            return Err(invalid("count"));
        }
        Ok((texts, time))
    }

    /// Appends the signed text in parts: those before the body can be told from the left, those behind it from the right.
    pub(super) fn text<'t>(
        &'t self,
        head: &RequestHead<'t>,
        announced: &Announced<'t>,
        body: &'t [u8],
        parts: &mut Vec<&'t [u8]>,
    ) -> Result<(), Failure> {
        let mut rest = self.signed.as_slice();
        let mut before: &[u8] = b"";
        let mut behind_body = false;
        while let Some((part, after)) = rest.split_first() {
            rest = after;
            let text: &[u8] = match part {
                Part::Body => {
                    behind_body = true;
                    parts.push(body);
                    continue;
                }
                Part::Header(name) => once(head, name).ok_or(invalid("header"))?,
                Part::Literal(text) => {
                    before = text;
                    parts.push(text);
                    continue;
                }
                Part::Method => head.method,
                Part::Path => head.raw_path,
                Part::Query => head.query.unwrap_or_default(),
                Part::Target => head.target,
                Part::Timestamp => announced.timestamp,
            };
            let told = match rest.first() {
                _ if behind_body => !ends_in(before, text),
                Some(Part::Literal(next)) => !begins_in(text, next),
                _ => true,
            };
            if !told {
                return Err(invalid("separator"));
            }
            parts.push(text);
        }
        Ok(())
    }
}

impl Announced<'_> {
    /// Whether one of `keys` made one of the signatures of the concatenated `text`.
    pub(super) fn is_signed(&self, keys: &[Key], text: &[&[u8]]) -> bool {
        let mut signed = false;
        for key in keys.iter().take(MOST_KEYS) {
            key.with_mac(text, |mac| {
                for signature in &self.signatures {
                    signed |= equal(mac, signature);
                }
            });
        }
        signed
    }
}

impl MacEncoding {
    fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Base64 if text.len() <= MAX_MAC_BYTES.saturating_mul(2) => base64::decode(text),
            Self::Base64 => None,
            Self::Hex => {
                let mut room = [0; MAX_MAC_BYTES];
                let bytes = unhex(text, &mut room)?;
                let mut out = Vec::new();
                out.extend_from_slice(bytes);
                Some(out)
            }
        }
    }
}

const fn invalid(what: &'static str) -> Failure {
    Failure::new(Reason::SignatureInvalid, what)
}

/// The value of a header that is sent once.
fn once<'a>(head: &RequestHead<'a>, name: &[u8]) -> Option<&'a [u8]> {
    let mut values = head.all(name);
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

/// Whether `literal`, when it follows `text`, can be read to begin earlier, within it. Linear: a literal has at most 64
/// bytes.
fn begins_in(text: &[u8], literal: &[u8]) -> bool {
    (0..text.len()).any(|start| {
        let text = text.get(start..).unwrap_or_default();
        let (inner, outer) = literal
            .split_at_checked(text.len())
            .unwrap_or((literal, b""));
        text.starts_with(inner) && literal.starts_with(outer)
    })
}

/// The same from the right: whether `literal`, when `text` follows it, can be read to end later, within it.
fn ends_in(literal: &[u8], text: &[u8]) -> bool {
    (1..=text.len()).any(|end| {
        let text = text.get(..end).unwrap_or_default();
        let outer = literal.len().saturating_sub(text.len());
        let (outer, inner) = literal.split_at_checked(outer).unwrap_or_default();
        text.ends_with(inner) && literal.ends_with(outer)
    })
}

#[cfg(test)]
mod tests;
