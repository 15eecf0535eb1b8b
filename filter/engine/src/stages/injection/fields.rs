//! Which values a request has: target, headers, cookies, form, JSON, other bodies.
//!
//! **In:** raw bytes of each part. **Out:** calls of [`Inspection::value`] with place and name.
//! **Invariant:** names are inspected as values are; every occurrence is.
//! **Cost:** one pass over each part; a JSON path is built only in a reused buffer.

use alloc::vec::Vec;

use super::bytes::{self, classes, rest};
use super::clean::{Clean, Field};
use super::inspection::{Encoding, Inspection, Place};
use super::nested::{is_manifest, is_pair};
use super::{Class, Strength, lanes, protocol, repeated};
use crate::budget::MAX_JSON_DEPTH;
use crate::json::{Event, Reader};
use crate::request::RequestHead;
use crate::request::body::decode_form;

/// Path, then the query's names and values.
pub(super) fn target(head: &RequestHead<'_>, clean: &mut Clean, inspection: &mut Inspection<'_>) {
    let mut parts = head.target.splitn(2, |&byte| byte == b'?');
    let path_of = parts.next().unwrap_or_default();
    let query = parts.next().unwrap_or_default();
    inspection.once((Field::Path, b"", path_of), clean, |inspection| {
        path(path_of, inspection);
    });
    inspection.once((Field::Query, b"", query), clean, |inspection| {
        pairs(query, Place::Query, inspection);
    });
}

fn path(path: &[u8], inspection: &mut Inspection<'_>) {
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
        segments(rest(path, start), inspection);
    }
    // Base64 in a segment: of the path as a whole it is a part.
    for segment in path.split(|&byte| byte == b'/') {
        let end = segment.iter().rposition(|&byte| byte != b'=');
        let letters = bytes::upto(segment, end.map_or(0, |end| end.saturating_add(1)));
        if letters.len() >= MIN_PACKED && classes(letters) & !(bytes::SCORE | bytes::HIGH) == 0 {
            inspection.value(Place::Path, b"", letters, Encoding::Plain);
        }
    }
}

/// Letters of a segment in which base64 is looked for.
const MIN_PACKED: usize = 16;

/// The segments behind the first odd one that are odd themselves, and the parameters (`;name=value`) of all.
fn segments(path: &[u8], inspection: &mut Inspection<'_>) {
    let mut first = true;
    for segment in path.split(|&byte| byte == b'/') {
        if classes(segment) & !bytes::HIGH == 0 {
            first &= segment.is_empty();
            continue;
        }
        if !first {
            inspection.value(Place::Path, b"", segment, Encoding::Url);
        }
        first = false;
        let mut parameters = segment.split(|&byte| byte == b';');
        parameters.next();
        for parameter in parameters {
            let equals = parameter.iter().position(|&byte| byte == b'=');
            let (name, value) = match equals.and_then(|at| parameter.split_at_checked(at)) {
                Some((name, value)) => (name, rest(value, 1)),
                None => (&b""[..], parameter),
            };
            inspection.value(Place::Path, name, value, Encoding::Url);
        }
    }
}

/// Bytes that a pair is worth besides its own.
const PAIR: usize = 56;
/// Bytes that a key or a value of JSON is worth besides its own.
const STRING: usize = 112;

/// `name=value&…` as in a query or an urlencoded body.
pub(super) fn pairs(text: &[u8], place: Place, inspection: &mut Inspection<'_>) {
    inspection.take_odd();
    let semicolons = lanes::has(text, b';');
    for pair in text.split(|&byte| byte == b'&') {
        if inspection.is_spent() {
            break;
        }
        inspection.pay(PAIR);
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
        let value = rest(pair, split.saturating_add(1));
        inspection.value(place, name, value, Encoding::Form);
        if name == b"_charset_" {
            protocol::charset(place, name, value, inspection);
        }
        if !value.is_empty()
            && !name.ends_with(b"[]")
            && inspection.compares(text.len())
            && has_rival(text, raw, value)
        {
            inspection.also(place, name, value, Class::Protocol, Strength::Suspicious);
        }
        if semicolons {
            pieces(pair, place, inspection);
        }
    }
    if inspection.take_odd() {
        let before = if place == Place::Body {
            inspection.query()
        } else {
            b""
        };
        repeated::look(before, text, place, inspection);
    }
}

/// `a=1;b=2`: two parameters to servers that split at `;` too (Perl, Ruby, Python of old).
fn pieces(pair: &[u8], place: Place, inspection: &mut Inspection<'_>) {
    let mut pieces = pair.split(|&byte| byte == b';');
    let first = pieces.next().unwrap_or_default();
    let mut several = false;
    for piece in pieces {
        if is_pair(piece) {
            several = true;
            piece_of(piece, place, inspection);
        }
    }
    if several {
        piece_of(first, place, inspection);
    }
}

fn piece_of(piece: &[u8], place: Place, inspection: &mut Inspection<'_>) {
    if let Some(equals) = piece.iter().position(|&byte| byte == b'=') {
        let name = decode_form(piece.get(..equals).unwrap_or_default());
        let value = rest(piece, equals.saturating_add(1));
        inspection.value(place, &name, value, Encoding::Form);
    }
}

/// Whether `name` stands in `text` with another value than `value`.
fn has_rival(text: &[u8], name: &[u8], value: &[u8]) -> bool {
    text.split(|&byte| byte == b'&').any(|pair| {
        pair.strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(b"="))
            .is_some_and(|other| other != value)
    })
}

/// One `cookie` field.
pub(super) fn cookies(text: &[u8], clean: &mut Clean, inspection: &mut Inspection<'_>) {
    inspection.once((Field::Cookies, b"", text), clean, |inspection| {
        each_cookie(text, inspection);
    });
}

fn each_cookie(text: &[u8], inspection: &mut Inspection<'_>) {
    let mut next = 0_usize;
    // Where the last value in quotes ended.
    let mut quoted = 0_usize;
    for pair in text.split(|&byte| byte == b';') {
        let at = next;
        next = at.saturating_add(pair.len()).saturating_add(1);
        if at >= quoted && pair.contains(&b'"') {
            quoted = quotes(text, at, pair, inspection);
        }
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

/// Some readers let a value in quotes have a `;`: it is looked at whole, too. Returns where it ends.
fn quotes(text: &[u8], at: usize, pair: &[u8], inspection: &mut Inspection<'_>) -> usize {
    let equals = pair.iter().position(|&byte| byte == b'=');
    let Some((name, value)) = equals.and_then(|equals| pair.split_at_checked(equals)) else {
        return at;
    };
    let value = rest(value, 1);
    let start = at.saturating_add(pair.len()).saturating_sub(value.len());
    let Some(inside) = value.trim_ascii_start().strip_prefix(b"\"") else {
        return at;
    };
    if inside.contains(&b'"') {
        return at;
    }
    let whole = rest(text, start).trim_ascii_start();
    let inside = rest(whole, 1);
    let end = inside.iter().position(|&byte| byte == b'"');
    let inside = bytes::upto(inside, end.unwrap_or(inside.len()));
    inspection.value(Place::Cookie, name.trim_ascii(), inside, Encoding::Plain);
    start.saturating_add(inside.len())
}

/// Strings and names of a JSON text; `false` when it is none. `outer` is the name of the field it stands in, empty for a body.
pub(super) fn json(
    text: &[u8],
    place: Place,
    outer: &[u8],
    inspection: &mut Inspection<'_>,
) -> bool {
    text.trim_ascii().is_empty()
        || inspection.document(|inspection| strings(text, place, outer, inspection))
}

fn strings(text: &[u8], place: Place, outer: &[u8], inspection: &mut Inspection<'_>) -> bool {
    let mut reader = Reader::new(text, MAX_JSON_DEPTH);
    let mut asked = false;
    let mut path: Vec<u8> = Vec::new();
    path.extend_from_slice(outer);
    let mut starts: Vec<usize> = Vec::new();
    loop {
        if inspection.is_spent() {
            return true;
        }
        inspection.pay(STRING);
        match reader.next_event() {
            Err(error) => {
                let opens = matches!(text.get(error.offset), Some(b'{' | b'['));
                if opens && starts.len() == MAX_JSON_DEPTH {
                    inspection.unread(place, outer);
                }
                return false;
            }
            Ok(None) => return true,
            Ok(Some(event)) => match event {
                Event::ObjectStart | Event::ArrayStart => starts.push(path.len()),
                Event::ObjectEnd | Event::ArrayEnd => {
                    path.truncate(starts.pop().unwrap_or(outer.len()));
                }
                Event::Key(key) => {
                    path.truncate(starts.last().copied().unwrap_or(outer.len()));
                    let key = key.decode();
                    step(&mut path, &key);
                    if !asked && key.as_ref() == b"scripts" {
                        asked = true;
                        inspection.pay(text.len());
                        if is_manifest(text) {
                            inspection.is_manifest();
                        }
                    }
                    inspection.name(place, &path, &key, Encoding::Plain);
                }
                Event::String(string) => {
                    inspection.value(place, &path, &string.decode(), Encoding::Plain);
                    if inspection.compares(text.len()) && has_twin(text, outer, &path) {
                        let raw = string.raw;
                        inspection.also(place, &path, raw, Class::Protocol, Strength::Suspicious);
                    }
                }
                Event::Number(_) | Event::Bool(_) | Event::Null => {}
            },
        }
    }
}

/// One name further down.
fn step(path: &mut Vec<u8>, key: &[u8]) {
    if path.len() < 128 {
        if !path.is_empty() {
            path.push(b'.');
        }
        path.extend_from_slice(key);
    }
}

/// Whether the name at `path` stands twice in one object of a JSON text.
fn has_twin(text: &[u8], outer: &[u8], path: &[u8]) -> bool {
    let mut reader = Reader::new(text, MAX_JSON_DEPTH);
    let mut here: Vec<u8> = Vec::new();
    here.extend_from_slice(outer);
    let mut starts: Vec<usize> = Vec::new();
    // Containers around the one that has it.
    let mut seen: Option<usize> = None;
    while let Ok(Some(event)) = reader.next_event() {
        match event {
            Event::ObjectStart | Event::ArrayStart => starts.push(here.len()),
            Event::ObjectEnd | Event::ArrayEnd => {
                here.truncate(starts.pop().unwrap_or(outer.len()));
                seen = seen.filter(|depth| *depth <= starts.len());
            }
            Event::Key(key) => {
                here.truncate(starts.last().copied().unwrap_or(outer.len()));
                step(&mut here, &key.decode());
                if here == path {
                    if seen == Some(starts.len()) {
                        return true;
                    }
                    seen = Some(starts.len());
                }
            }
            _ => {}
        }
    }
    false
}

/// A text without the quotes around it.
pub(super) fn unquoted(text: &[u8]) -> &[u8] {
    let bare = text
        .strip_prefix(b"\"")
        .and_then(|text| text.strip_suffix(b"\""));
    bare.unwrap_or(text)
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
