//! Which values a request has: target, headers, cookies, form, JSON, other bodies.
//!
//! **In:** raw bytes of each part. **Out:** calls of [`Inspection::value`] with place and name.
//! **Invariant:** names are inspected as values are; every occurrence is.
//! **Cost:** one pass over each part; a JSON path is built only in a reused buffer.

use alloc::vec::Vec;

use super::bytes::{self, classes, rest, tally};
use super::inspection::{Encoding, Inspection, Place};
use crate::budget::MAX_JSON_DEPTH;
use crate::json::{Event, Reader};
use crate::request::RequestHead;

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
        .position(|&byte| classes(&[byte]) & !bytes::SLASH != 0)
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
        let name = pair.get(..split).unwrap_or(pair);
        inspection.value(place, name, name, Encoding::Form);
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
        inspection.value(Place::Cookie, name, name, Encoding::Plain);
        inspection.value(
            Place::Cookie,
            name,
            rest(pair, split.saturating_add(1)),
            Encoding::Plain,
        );
    }
}

/// Strings and names of a JSON text; `false` when it is none.
pub(super) fn json(text: &[u8], inspection: &mut Inspection<'_>) -> bool {
    if text.trim_ascii().is_empty() {
        return true;
    }
    let mut reader = Reader::new(text, MAX_JSON_DEPTH);
    let mut path: Vec<u8> = Vec::new();
    let mut starts: Vec<usize> = Vec::new();
    loop {
        match reader.next_event() {
            Err(_) => return false,
            Ok(None) => return true,
            Ok(Some(event)) => match event {
                Event::ObjectStart | Event::ArrayStart => starts.push(path.len()),
                Event::ObjectEnd | Event::ArrayEnd => {
                    path.truncate(starts.pop().unwrap_or(0));
                }
                Event::Key(key) => {
                    path.truncate(starts.last().copied().unwrap_or(0));
                    let key = key.decode();
                    if path.len() < 128 {
                        if !path.is_empty() {
                            path.push(b'.');
                        }
                        path.extend_from_slice(&key);
                    }
                    inspection.value(Place::Body, &path, &key, Encoding::Plain);
                }
                Event::String(string) => {
                    inspection.value(Place::Body, &path, &string.decode(), Encoding::Plain);
                }
                Event::Number(_) | Event::Bool(_) | Event::Null => {}
            },
        }
    }
}

/// A body of another kind: the parts of a multipart one, else one value.
pub(super) fn other(body: &[u8], inspection: &mut Inspection<'_>) {
    if !body.starts_with(b"--") {
        inspection.value(Place::Body, b"", body, Encoding::Plain);
        return;
    }
    let line = body
        .iter()
        .position(|&byte| byte == b'\n')
        .unwrap_or(body.len());
    // RFC 2046 §5.1.1 bounds a boundary to 70 bytes.
    let boundary = body.get(..line.min(74)).unwrap_or(body).trim_ascii_end();
    let mut at = line;
    while at < body.len() {
        let part = rest(body, at);
        let length = find(part, boundary).unwrap_or(part.len());
        let part = part.get(..length).unwrap_or(part);
        let head = find(part, b"\r\n\r\n")
            .map(|head| (head, 4))
            .or_else(|| find(part, b"\n\n").map(|head| (head, 2)));
        let (head, skip) = head.unwrap_or((part.len(), 0));
        for word in [&b"name="[..], b"filename="] {
            let text = part.get(..head).unwrap_or(part);
            if let Some(found) = find(text, word) {
                let value = rest(text, found.saturating_add(word.len()));
                let end = value
                    .iter()
                    .position(|&byte| byte == b'\r' || byte == b'\n' || byte == b';')
                    .unwrap_or(value.len());
                let value = value.get(..end).unwrap_or(value);
                let value = value.strip_prefix(b"\"").unwrap_or(value);
                let value = value.strip_suffix(b"\"").unwrap_or(value);
                inspection.value(Place::Body, b"", value, Encoding::Plain);
            }
        }
        let content = rest(part, head.saturating_add(skip));
        // A file is what it is: its name is judged, its content is the application's (and a later issue's).
        let file = part
            .get(..head)
            .is_some_and(|text| find(text, b"filename").is_some());
        if !file && is_text(content) {
            inspection.value(Place::Body, b"", content.trim_ascii_end(), Encoding::Plain);
        }
        let step = length.saturating_add(boundary.len()).max(1);
        at = at.saturating_add(step);
    }
}

/// Whether bytes are text: images and archives are not judged as languages.
fn is_text(bytes: &[u8]) -> bool {
    let sample = bytes.get(..1024).unwrap_or(bytes);
    let odd = tally(
        sample
            .iter()
            .filter(|&&byte| byte < 0x09 || (0x0E..0x20).contains(&byte) || byte == 0x7F),
    );
    odd.saturating_mul(20) <= sample.len()
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
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
