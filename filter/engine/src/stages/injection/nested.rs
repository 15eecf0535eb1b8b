//! Documents within a value: JSON, XML, a query string. Their fields are looked at as fields.
//!
//! **In:** a value as the application sees it. **Out:** calls of [`Inspection::value`] for what is in it, under the name of the
//! value, so that an exception for the field holds for all of it.
//! **Invariant:** at most [`MAX_NESTED`] deep. What a value is called or begins with decides nothing by itself: the value as a
//! whole was looked at before.
//! **Cost:** the value's length for each level, paid from the step budget.

use super::bytes::{self, AMP, ANGLE, BLANK, LINE, OPERATOR, PAREN, QUOTE, rest};
use super::fields;
use super::inspection::{Encoding, Inspection, Place};
use super::{Class, xml};

/// Documents in documents in a value.
pub(super) const MAX_NESTED: u8 = 3;

/// Looks into `text`, of the byte classes `seen`.
pub(super) fn look(
    place: Place,
    name: &[u8],
    text: &[u8],
    seen: u32,
    inspection: &mut Inspection<'_>,
) {
    if seen & PAREN != 0 && seen & QUOTE != 0 && is_json(text) {
        if is_manifest(text) {
            inspection.without(Class::Shell, |inspection| {
                fields::json(text, place, name, inspection);
            });
        } else {
            fields::json(text, place, name, inspection);
        }
        return;
    }
    if seen & ANGLE != 0 && xml::is_document(text) {
        xml::walk(text, place, name, inspection);
        return;
    }
    if seen & OPERATOR != 0 && place != Place::Path {
        query(place, name, text, seen, inspection);
    }
}

/// Whether `text` has the ends of a JSON object or array.
pub(super) fn is_json(text: &[u8]) -> bool {
    matches!(text.trim_ascii(), [b'{', .., b'}'] | [b'[', .., b']'])
}

/// The manifest of a package (npm, Composer), as registries and their webhooks send it: it has shell lines of its own.
fn is_manifest(text: &[u8]) -> bool {
    [&b"\"scripts\""[..], b"\"name\"", b"\"version\""]
        .iter()
        .all(|key| fields::find(text, key).is_some())
}

/// `a=1&b=2`, or a URL with a query.
fn query(place: Place, name: &[u8], text: &[u8], seen: u32, inspection: &mut Inspection<'_>) {
    let question = text.iter().position(|&byte| byte == b'?');
    let (address, pairs) = match question.and_then(|at| text.split_at_checked(at)) {
        Some((address, pairs)) => (address, rest(pairs, 1)),
        None if seen & AMP != 0 => (&b""[..], text),
        None => return,
    };
    if bytes::classes(address) & (BLANK | LINE | QUOTE | ANGLE) != 0 || !is_pair(pairs) {
        return;
    }
    for pair in pairs.split(|&byte| byte == b'&') {
        if is_pair(pair) {
            let equals = pair.iter().position(|&byte| byte == b'=');
            let value = rest(pair, equals.unwrap_or(pair.len()).saturating_add(1));
            inspection.value(place, name, value, Encoding::Form);
        }
    }
}

/// Whether `text` begins with a name and `=`.
pub(super) fn is_pair(text: &[u8]) -> bool {
    let start = text.get(..MAX_NAME).unwrap_or(text);
    let end = start.iter().position(|byte| {
        !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'-' | b'.' | b'[' | b']' | b'%')
    });
    end.is_some_and(|end| end > 0 && start.get(end) == Some(&b'='))
}

/// Bytes of a name that is taken for one.
const MAX_NAME: usize = 64;
