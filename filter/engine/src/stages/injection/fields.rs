//! Which values a request has: target, headers, cookies, form, JSON, other bodies.
//!
//! **In:** raw bytes of each part. **Out:** calls of [`Inspection::value`] with place and name.
//! **Invariant:** names are inspected as values are; every occurrence is.
//! **Cost:** one pass over each part; a JSON path is built only in a reused buffer.

use alloc::vec::Vec;

use super::bytes::{self, classes, rest};
use super::inspection::{Encoding, Inspection, Place};
use crate::budget::MAX_JSON_DEPTH;
use crate::json::{Event, Reader};
use crate::request::RequestHead;
use crate::request::body::decode_form;

/// Headers whose grammar carries no text of the user's, or whose value another stage judges.
pub(super) fn is_inspected(name: &[u8], value: &[u8]) -> bool {
    match name.first().map(u8::to_ascii_lowercase) {
        Some(b'a') => {
            let accept = bytes::has_at(name, 0, b"accept");
            // A bearer token is a token: the token stage reads it.
            let bearer =
                name.eq_ignore_ascii_case(b"authorization") && bytes::has_at(value, 0, b"bearer ");
            !accept && !bearer
        }
        Some(b'c') => ![
            &b"cookie"[..],
            b"content-length",
            b"connection",
            b"cache-control",
        ]
        .iter()
        .any(|skip| name.eq_ignore_ascii_case(skip)),
        Some(b'd') => !name.eq_ignore_ascii_case(b"date") && !name.eq_ignore_ascii_case(b"dnt"),
        Some(b'h') => !name.eq_ignore_ascii_case(b"host"),
        Some(b'i') => !bytes::has_at(name, 0, b"if-"),
        Some(b's') => !bytes::has_at(name, 0, b"sec-"),
        _ => true,
    }
}

/// Path, then the query's names and values.
pub(super) fn target(head: &RequestHead<'_>, inspection: &mut Inspection<'_>) {
    let split = head.target.iter().position(|&byte| byte == b'?');
    let path = split.map_or(head.target, |at| {
        head.target.get(..at).unwrap_or(head.target)
    });
    inspection.value(Place::Path, b"", path, Encoding::Url);
    // A payload in a segment starts where its segment starts.
    if let Some(odd) = path
        .iter()
        .position(|&byte| classes(&[byte]) & bytes::LOUD & !bytes::SLASH != 0)
    {
        let start = path
            .get(..odd)
            .and_then(|before| before.iter().rposition(|&byte| byte == b'/'))
            .map_or(0, |slash| slash.saturating_add(1));
        if start > 1 {
            inspection.value(Place::Path, b"", rest(path, start), Encoding::Url);
        }
    }
    if let Some(at) = split {
        pairs(
            rest(head.target, at.saturating_add(1)),
            Place::Query,
            inspection,
        );
    }
}

/// `name=value&…` as in a query or an urlencoded body.
pub(super) fn pairs(text: &[u8], place: Place, inspection: &mut Inspection<'_>) {
    for pair in text.split(|&byte| byte == b'&') {
        let split = pair
            .iter()
            .position(|&byte| byte == b'=')
            .unwrap_or(pair.len());
        let raw = pair.get(..split).unwrap_or(pair);
        // Findings, exceptions and redaction go by the name that the application sees.
        let decoded;
        let name = if raw.iter().any(|byte| matches!(byte, b'%' | b'+')) {
            decoded = decode_form(raw);
            decoded.as_slice()
        } else {
            raw
        };
        inspection.name(place, name, raw, Encoding::Form);
        inspection.value(
            place,
            name,
            rest(pair, split.saturating_add(1)),
            Encoding::Form,
        );
    }
}

/// One `cookie` field.
pub(super) fn cookies(text: &[u8], inspection: &mut Inspection<'_>) {
    for pair in text.split(|&byte| byte == b';') {
        let pair = pair.trim_ascii();
        let split = pair
            .iter()
            .position(|&byte| byte == b'=')
            .unwrap_or(pair.len());
        let name = pair.get(..split).unwrap_or(pair);
        inspection.name(Place::Cookie, name, name, Encoding::Plain);
        inspection.value(
            Place::Cookie,
            name,
            rest(pair, split.saturating_add(1)),
            Encoding::Plain,
        );
    }
}

/// Strings and names of a JSON text; `false` when it is none. `outer` is the name of the field it stands in, empty for a body.
pub(super) fn json(
    text: &[u8],
    place: Place,
    outer: &[u8],
    inspection: &mut Inspection<'_>,
) -> bool {
    if text.trim_ascii().is_empty() {
        return true;
    }
    let mut reader = Reader::new(text, MAX_JSON_DEPTH);
    let mut path: Vec<u8> = Vec::new();
    path.extend_from_slice(outer);
    let mut starts: Vec<usize> = Vec::new();
    loop {
        match reader.next_event() {
            Err(_) => return false,
            Ok(None) => return true,
            Ok(Some(event)) => match event {
                Event::ObjectStart | Event::ArrayStart => starts.push(path.len()),
                Event::ObjectEnd | Event::ArrayEnd => {
                    path.truncate(starts.pop().unwrap_or(outer.len()));
                }
                Event::Key(key) => {
                    path.truncate(starts.last().copied().unwrap_or(outer.len()));
                    let key = key.decode();
                    if path.len() < 128 {
                        if !path.is_empty() {
                            path.push(b'.');
                        }
                        path.extend_from_slice(&key);
                    }
                    inspection.name(place, &path, &key, Encoding::Plain);
                }
                Event::String(string) => {
                    inspection.value(place, &path, &string.decode(), Encoding::Plain);
                }
                Event::Number(_) | Event::Bool(_) | Event::Null => {}
            },
        }
    }
}

pub(super) fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    let (&first, tail) = word.split_first()?;
    let mut at = 0_usize;
    while let Some(step) = rest(text, at).iter().position(|&byte| byte == first) {
        at = at.saturating_add(step);
        let after = at.saturating_add(1);
        if rest(text, after).starts_with(tail) {
            return Some(at);
        }
        at = after;
    }
    None
}
