//! Claims as headers of the request that goes on.
//!
//! **In:** a claim as written in JSON, or a plain text. **Out:** a field value, nothing, or a refusal.
//! **Invariant:** what is forwarded can stand in a header unchanged (RFC 9110 §5.5) and reads in one way only: no
//! control byte, no blank at an end, no comma within an item of a list; at most [`MAX_FORWARD_BYTES`].
//! **Source:** RFC 9110 §5.5, RFC 8259, RFC 4648 §5.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::claims::{Claims, each_string, owned, string};
use super::{Failure, base64url, copy};
use crate::budget::MAX_JSON_DEPTH;
use crate::json::{Event, Reader};

/// Bytes of one forwarded value; a larger claim is refused, never cut.
pub(super) const MAX_FORWARD_BYTES: usize = 8 * 1024;

/// A header to set from a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Lower-case name.
    pub header: Vec<u8>,
    /// JSON Pointer; empty: the whole payload.
    pub claim: Vec<u8>,
    /// How it is written.
    pub form: Form,
}

/// How a claim is written into a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Scalars as text, arrays of strings joined with commas.
    Plain,
    /// A scalar as text.
    Text,
    /// An array of scalars joined with commas, or one scalar.
    List,
    /// JSON without blanks.
    Json,
    /// Base64url without padding: of a string's text, of anything else as it was signed.
    Base64,
}

impl Forward {
    /// The value of the header; nothing for an absent claim and `null`.
    pub(super) fn of_claims(&self, claims: &Claims) -> Result<Option<Vec<u8>>, Failure> {
        let refused = Failure::claims("forward");
        let value = if self.claim.is_empty() {
            Some(claims.whole())
        } else {
            claims.pointer(&self.claim).map_err(|_| refused)?
        };
        let Some(value) = value.filter(|value| *value != b"null") else {
            return Ok(None);
        };
        let written = match self.form {
            Form::Plain => match value.first() {
                Some(b'[') => strings(value),
                _ => scalar(value).map(Some),
            },
            Form::Text => scalar(value).map(Some),
            Form::List => match value.first() {
                Some(b'[') => list(value),
                _ => scalar(value).and_then(item).map(Some),
            },
            Form::Json => compact(value).map(Some),
            Form::Base64 => Some(Some(match string(value) {
                Some(text) => encoded(&text.decode()),
                None => encoded(value),
            })),
        };
        written
            .filter(|written| {
                written
                    .as_ref()
                    .is_none_or(|text| text.len() <= MAX_FORWARD_BYTES)
            })
            .ok_or(refused)
    }

    /// The same for a claim of a credential that is no JSON: its text.
    pub(super) fn of_text(&self, text: &[u8]) -> Result<Vec<u8>, Failure> {
        let written = match self.form {
            Form::Plain | Form::Text => field_value(Cow::Borrowed(text)),
            Form::List => field_value(Cow::Borrowed(text)).and_then(item),
            Form::Base64 => Some(encoded(text)),
            Form::Json => quoted(text),
        };
        written
            .filter(|written| written.len() <= MAX_FORWARD_BYTES)
            .ok_or(Failure::claims("forward"))
    }
}

fn encoded(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    base64url::encode(bytes, &mut out);
    out
}

/// A text as a JSON string.
fn quoted(text: &[u8]) -> Option<Vec<u8>> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    core::str::from_utf8(text).ok()?;
    let mut out = Vec::new();
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..0x20 | 0x7f => {
                out.extend_from_slice(b"\\u00");
                out.extend(HEX.get(usize::from(byte >> 4)));
                out.extend(HEX.get(usize::from(byte & 15)));
            }
            other => out.push(*other),
        }
    }
    out.push(b'"');
    Some(out)
}

/// A string as it is, a number or boolean as written.
fn scalar(value: &[u8]) -> Option<Vec<u8>> {
    match value.first() {
        Some(b'"') => field_value(string(value)?.decode()),
        Some(b'{' | b'[') | None => None,
        Some(_) => Some(copy(value)),
    }
}

/// The items of an array. Nothing for an empty one.
fn list(value: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut joined: Option<Vec<u8>> = None;
    let mut reader = Reader::new(value, MAX_JSON_DEPTH);
    if !matches!(reader.next_event(), Ok(Some(Event::ArrayStart))) {
        return None;
    }
    while let Ok(Some(element)) = reader.value() {
        if element == b"null" {
            return None;
        }
        let element = scalar(element)?;
        push_item(joined.get_or_insert_default(), &element).ok()?;
    }
    Some(joined)
}

/// The items of an array of strings. Nothing for an empty one.
fn strings(value: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut joined: Option<Vec<u8>> = None;
    each_string(value, |text| {
        let text = text.decode();
        if !can_be_field_value(&text) {
            return Err(());
        }
        let joined = joined.get_or_insert_with(|| Vec::with_capacity(value.len()));
        push_item(joined, &text)
    })
    .ok()?;
    Some(joined)
}

fn push_item(joined: &mut Vec<u8>, item: &[u8]) -> Result<(), ()> {
    if item.is_empty() || item.contains(&b',') {
        return Err(());
    }
    if !joined.is_empty() {
        joined.push(b',');
    }
    joined.extend_from_slice(item);
    Ok(())
}

/// An item of a list: it cannot be taken for two, or for none.
fn item(text: Vec<u8>) -> Option<Vec<u8>> {
    (!text.is_empty() && !text.contains(&b',')).then_some(text)
}

/// JSON without the blanks between its tokens. Control bytes cannot stand in it, 0x7F is escaped.
fn compact(value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len().min(MAX_FORWARD_BYTES));
    let (mut quoted, mut escaped) = (false, false);
    for byte in value {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' if !quoted => continue,
            0x7f => {
                out.extend_from_slice(b"\\u007f");
                escaped = false;
                continue;
            }
            0..0x20 => return None,
            b'"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && *byte == b'\\' && !escaped;
        out.push(*byte);
    }
    Some(out)
}

fn field_value(text: Cow<'_, [u8]>) -> Option<Vec<u8>> {
    can_be_field_value(&text).then(|| owned(text))
}

/// RFC 9110 §5.5, without tabs: bytes from 0x80 on are text to us and opaque to a recipient.
pub(super) fn can_be_field_value(text: &[u8]) -> bool {
    text.first() != Some(&b' ')
        && text.last() != Some(&b' ')
        && !text.iter().any(|byte| *byte < 0x20 || *byte == 0x7f)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    const PAYLOAD: &str = "{\"s\":\"ann\",\"n\":1.50,\"b\":true,\"z\":null,\"l\":[\"a\",\"b\"],\"m\":[1,true,\"c\"],\"e\":[],\
        \"o\": { \"k\" : [ 1 , \"x \\\" y\" ] },\"crlf\":\"a\\r\\nx: y\",\"comma\":\"a,b\",\"commas\":[\"a,b\"],\
        \"nested\":[[\"a\"]],\"gap\":[\"\"],\"nulls\":[\"a\",null],\"edge\":\" a\",\"uni\":\"\\u00e9\",\"empty\":\"\",\"del\":[\"\u{7f}\"],\
        \"bs\":[\"a\\\\\",\"b c\"]}";

    #[test]
    fn forms() {
        use Form::{Base64, Json, List, Plain, Text};
        const REFUSED: Option<&str> = Some("refused");
        const CASES: &[(&str, Form, Option<&str>)] = &[
            ("/s", Plain, Some("ann")),
            ("/s", Text, Some("ann")),
            ("/s", List, Some("ann")),
            ("/s", Json, Some("\"ann\"")),
            ("/s", Base64, Some("YW5u")),
            ("/n", Plain, Some("1.50")),
            ("/b", Text, Some("true")),
            ("/z", Plain, None),
            ("/z", Json, None),
            ("/z", Base64, None),
            ("/none", Text, None),
            ("/l", Plain, Some("a,b")),
            ("/l", Text, REFUSED),
            ("/l", List, Some("a,b")),
            ("/l", Json, Some("[\"a\",\"b\"]")),
            ("/l", Base64, Some("WyJhIiwiYiJd")),
            ("/m", Plain, REFUSED),
            ("/m", List, Some("1,true,c")),
            ("/e", Plain, None),
            ("/e", List, None),
            ("/e", Json, Some("[]")),
            ("/o", Plain, REFUSED),
            ("/o", List, REFUSED),
            ("/o", Json, Some("{\"k\":[1,\"x \\\" y\"]}")),
            ("/bs", Json, Some("[\"a\\\\\",\"b c\"]")),
            ("/crlf", Plain, REFUSED),
            ("/crlf", List, REFUSED),
            ("/crlf", Json, Some("\"a\\r\\nx: y\"")),
            ("/crlf", Base64, Some("YQ0KeDogeQ")),
            ("/comma", Plain, Some("a,b")),
            ("/comma", List, REFUSED),
            ("/commas", Plain, REFUSED),
            ("/nested", List, REFUSED),
            ("/gap", List, REFUSED),
            ("/nulls", List, REFUSED),
            ("/edge", Text, REFUSED),
            ("/uni", Text, Some("é")),
            ("/empty", Text, Some("")),
            ("/del", Json, Some("[\"\\u007f\"]")),
        ];
        let claims = Claims::read(PAYLOAD.as_bytes().to_vec()).unwrap();
        for (claim, form, expected) in CASES {
            let forward = Forward {
                header: b"x".to_vec(),
                claim: claim.as_bytes().to_vec(),
                form: *form,
            };
            let given = match forward.of_claims(&claims) {
                Ok(value) => value.map(|value| String::from_utf8(value).unwrap()),
                Err(failure) => {
                    assert_eq!(failure, Failure::claims("forward"));
                    REFUSED.map(Into::into)
                }
            };
            assert_eq!(given.as_deref(), *expected, "{claim} {form:?}");
        }
        let whole = Forward {
            header: b"x".to_vec(),
            claim: Vec::new(),
            form: Base64,
        };
        let given = whole.of_claims(&claims).unwrap().unwrap();
        assert_eq!(
            base64url::decode_vec(&given).as_deref(),
            Some(PAYLOAD.as_bytes()),
            "as it was signed"
        );
    }

    #[test]
    fn texts() {
        const CASES: &[(&str, Form, Option<&str>)] = &[
            ("a,b", Form::Plain, Some("a,b")),
            ("a,b", Form::List, None),
            ("a b", Form::Text, Some("a b")),
            ("a\r\nb", Form::Text, None),
            (
                "a\r\n\"\\\u{7f}é",
                Form::Json,
                Some(r#""a\u000d\u000a\"\\\u007fé""#),
            ),
            ("ann", Form::Base64, Some("YW5u")),
        ];
        for (text, form, expected) in CASES {
            let forward = Forward {
                header: b"x".to_vec(),
                claim: b"/sub".to_vec(),
                form: *form,
            };
            let given = forward.of_text(text.as_bytes()).ok();
            assert_eq!(
                given.as_deref(),
                expected.map(str::as_bytes),
                "{text} {form:?}"
            );
        }
    }

    #[test]
    fn a_large_claim_is_refused_not_cut() {
        for (length, fits) in [(MAX_FORWARD_BYTES, true), (MAX_FORWARD_BYTES + 1, false)] {
            let text = "a".repeat(length);
            let payload = alloc::format!("{{\"a\":\"{text}\"}}").into_bytes();
            let claims = Claims::read(payload).unwrap();
            let forward = Forward {
                header: b"x".to_vec(),
                claim: b"/a".to_vec(),
                form: Form::Text,
            };
            assert_eq!(forward.of_claims(&claims).is_ok(), fits);
            assert_eq!(forward.of_text(text.as_bytes()).is_ok(), fits);
        }
    }
}
