//! Parts of a request that two readers read differently: findings of class `protocol`.
//!
//! **In:** a content type; a value that is suspicious in itself, and the text it came in. **Out:** findings.
//! **Invariant:** honest repetition (`tag=a&tag=b`, `filter[]=…`) is none: a repeated name counts only beside a value that another class
//! is already suspicious of.
//! **Source:** RFC 9110 §8.3 (content types); parameter pollution: servers take the first, the last, or all of a name's values.
//! **Cost:** nothing for a request without suspicion; else one more pass over the text, at most [`MAX_LOOKS`] times.

use super::bytes::has_at;
use super::fields::unquoted;
use super::inspection::{Inspection, Place};
use super::{Class, Strength};

/// How often a suspicious value is compared with its namesakes.
pub(super) const MAX_LOOKS: u8 = 4;

/// Character sets in which other readers see other text. UTF-16 is read as such by its bytes.
const ODD_CHARSETS: [&[u8]; 6] = [b"utf-7", b"utf7", b"cp037", b"cp500", b"ebcdic", b"utf-32"];

/// The `charset`s of a content type: two readers may take different ones.
pub(super) fn content_type(
    place: Place,
    name: &[u8],
    value: &[u8],
    inspection: &mut Inspection<'_>,
) {
    for parameter in value.split(|&byte| byte == b';') {
        let parameter = parameter.trim_ascii();
        let charset = parameter
            .get(7..)
            .filter(|_| has_at(parameter, 0, b"charset"))
            .map(|rest| rest.trim_ascii_start())
            .and_then(|rest| rest.strip_prefix(b"="));
        if charset.is_some_and(|charset| is_odd(unquoted(charset.trim_ascii()))) {
            inspection.also(place, name, value, Class::Protocol, Strength::Decisive);
        }
    }
}

/// The character set that a form says it is in, in a field of its own (`_charset_`, RFC 7578 §4.6).
pub(super) fn charset(place: Place, name: &[u8], value: &[u8], inspection: &mut Inspection<'_>) {
    if is_odd(value.trim_ascii()) {
        inspection.also(place, name, value, Class::Protocol, Strength::Decisive);
    }
}

/// A character set in which other readers see another text.
fn is_odd(charset: &[u8]) -> bool {
    // The code pages of mainframes; `ibm866` and `ibm850` are those of terminals.
    let ebcdic = has_at(charset, 0, b"ibm0") || has_at(charset, 0, b"ibm1");
    ebcdic || ODD_CHARSETS.iter().any(|odd| has_at(charset, 0, odd))
}
