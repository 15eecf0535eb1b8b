//! The values of a request, each of which can be put in another's place.
//!
//! **In:** a request. **Out:** [`Slot`]s with decoded values; the request again with one of them replaced.
//! **Invariant:** a value that is put in is encoded for its place, so that whoever reads the request as its type says reads that value;
//! what a place cannot carry is not put there. Nothing else of the request changes but its length.

use serde_json::Value as Json;

use super::Request;
use super::place::encode;

/// A value in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// `query`, `form`, `json`, `cookie`, `header`, `multipart` or `xml`.
    pub kind: &'static str,
    /// Name, as findings have it.
    pub name: String,
    /// The value, decoded.
    pub value: Vec<u8>,
    at: At,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    /// Which pair of the query.
    Query(usize),
    /// Which pair of the form.
    Form(usize),
    /// JSON pointer.
    Json(String),
    /// Which header, which pair of it.
    Cookie(usize, usize),
    Header(usize),
    /// Bytes of the body.
    Part(usize, usize),
    Xml(usize, usize),
}

impl Slot {
    /// The place as findings name it.
    #[must_use]
    pub fn place(&self) -> String {
        let kind = match self.kind {
            kind @ ("query" | "cookie" | "header") => kind,
            _ => "body",
        };
        format!("{kind}:{}", self.name)
    }
}

/// Headers whose value is text of the client's.
fn is_text(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "user-agent" | "referer")
        || (name.starts_with("x-") && !name.starts_with("x-forwarded"))
}

/// All values of a request that have a name.
#[must_use]
pub fn slots(request: &Request) -> Vec<Slot> {
    let mut out = Vec::new();
    if let Some((_, query)) = request.path.split_once('?') {
        for (at, name, value) in pairs(query.as_bytes()) {
            out.push(Slot {
                kind: "query",
                name,
                value,
                at: At::Query(at),
            });
        }
    }
    for (index, (name, value)) in request.headers.iter().enumerate() {
        if name.eq_ignore_ascii_case("cookie") {
            for (at, pair) in value.split(';').enumerate() {
                if let Some((name, value)) = pair.trim().split_once('=') {
                    out.push(Slot {
                        kind: "cookie",
                        name: name.to_owned(),
                        value: percent(value.as_bytes(), false),
                        at: At::Cookie(index, at),
                    });
                }
            }
        } else if is_text(name) {
            out.push(Slot {
                kind: "header",
                name: name.to_ascii_lowercase(),
                value: value.as_bytes().to_vec(),
                at: At::Header(index),
            });
        }
    }
    body(request, &mut out);
    out.retain(|slot| !slot.value.is_empty());
    out
}

fn body(request: &Request, out: &mut Vec<Slot>) {
    let kind = content_type(request);
    if kind.starts_with("application/x-www-form-urlencoded") {
        for (at, name, value) in pairs(&request.body) {
            out.push(Slot {
                kind: "form",
                name,
                value,
                at: At::Form(at),
            });
        }
    } else if kind.contains("json") {
        if let Ok(tree) = serde_json::from_slice::<Json>(&request.body) {
            leaves(&tree, &mut String::new(), &mut String::new(), out);
        }
    } else if let Some((_, boundary)) = kind.split_once("boundary=") {
        parts(&request.body, boundary.trim_matches('"'), out);
    } else if kind.contains("xml") {
        texts(&request.body, out);
    }
}

fn content_type(request: &Request) -> &str {
    let mut headers = request.headers.iter();
    headers
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .map_or("", |(_, value)| value)
}

/// Position, decoded name and decoded value of each pair.
fn pairs(text: &[u8]) -> Vec<(usize, String, Vec<u8>)> {
    let pairs = text.split(|byte| *byte == b'&').enumerate();
    let named = pairs.filter_map(|(at, pair)| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at(equals);
        let name = String::from_utf8_lossy(&percent(name, true)).into_owned();
        Some((at, name, percent(value.get(1..)?, true)))
    });
    named.collect()
}

fn percent(text: &[u8], plus: bool) -> Vec<u8> {
    let digit = |at: usize| {
        text.get(at)
            .and_then(|byte| char::from(*byte).to_digit(16))
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high * 16 + low);
                at += 2;
            }
            (b'+', ..) if plus => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    out
}

/// Strings of a JSON text: pointer, and the name as findings have it.
fn leaves(tree: &Json, pointer: &mut String, name: &mut String, out: &mut Vec<Slot>) {
    let (pointed, named) = (pointer.len(), name.len());
    match tree {
        Json::String(value) => out.push(Slot {
            kind: "json",
            name: name.clone(),
            value: value.clone().into_bytes(),
            at: At::Json(pointer.clone()),
        }),
        Json::Array(list) => {
            for (at, item) in list.iter().enumerate() {
                pointer.push_str(&format!("/{at}"));
                leaves(item, pointer, name, out);
                pointer.truncate(pointed);
            }
        }
        Json::Object(map) => {
            for (key, item) in map {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(key);
                leaves(item, pointer, name, out);
                pointer.truncate(pointed);
                name.truncate(named);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// Text parts of a multipart body; files are none.
fn parts(body: &[u8], boundary: &str, out: &mut Vec<Slot>) {
    let open = format!("--{boundary}");
    let mut from = 0;
    while let Some(at) = find(body, open.as_bytes(), from) {
        let start = at + open.len();
        let Some(blank) = find(body, b"\r\n\r\n", start) else {
            return;
        };
        let end = find(body, format!("\r\n{open}").as_bytes(), blank).unwrap_or(body.len());
        let head = String::from_utf8_lossy(body.get(start..blank).unwrap_or_default()).into_owned();
        let value = (blank + 4, end.max(blank + 4));
        if let Some((_, rest)) = head.split_once("; name=\"")
            && let Some((name, rest)) = rest.split_once('"')
            && !rest.contains("filename")
        {
            out.push(Slot {
                kind: "multipart",
                name: name.to_owned(),
                value: body.get(value.0..value.1).unwrap_or_default().to_vec(),
                at: At::Part(value.0, value.1),
            });
        }
        from = end;
    }
}

/// Runs of text between tags.
fn texts(body: &[u8], out: &mut Vec<Slot>) {
    let mut from = 0;
    while let Some(start) = find(body, b">", from) {
        let start = start + 1;
        let Some(end) = find(body, b"<", start) else {
            return;
        };
        let raw = String::from_utf8_lossy(body.get(start..end).unwrap_or_default()).into_owned();
        if !raw.trim().is_empty() && !raw.contains(']') {
            let text = raw
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&apos;", "'")
                .replace("&amp;", "&");
            out.push(Slot {
                kind: "xml",
                name: String::new(),
                value: text.into_bytes(),
                at: At::Xml(start, end),
            });
        }
        from = end;
    }
}

fn find(text: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let at = rest.windows(what.len()).position(|window| window == what)?;
    Some(from + at)
}

/// The request with `value` in the slot; `None`: it cannot stand there.
#[must_use]
pub fn replace(request: &Request, slot: &Slot, value: &[u8]) -> Option<Request> {
    let mut out = request.clone();
    let text = || std::str::from_utf8(value).ok();
    match &slot.at {
        At::Query(at) => {
            let (path, query) = request.path.split_once('?')?;
            let query = with_pair(query, *at, &encode(value, b"", "%20"))?;
            out.path = format!("{path}?{query}");
        }
        At::Form(at) => {
            let body = std::str::from_utf8(&request.body).ok()?;
            out.body = with_pair(body, *at, &encode(value, b"*", "+"))?.into_bytes();
        }
        At::Json(pointer) => {
            let mut tree: Json = serde_json::from_slice(&request.body).ok()?;
            *tree.pointer_mut(pointer)? = Json::String(text()?.to_owned());
            out.body = tree.to_string().into_bytes();
        }
        At::Cookie(header, at) => {
            let (_, field) = out.headers.get_mut(*header)?;
            let encoded = encode(value, b"", "%20");
            let pairs: Vec<String> = field
                .split(';')
                .enumerate()
                .map(|(index, pair)| match pair.split_once('=') {
                    Some((name, _)) if index == *at => format!("{name}={encoded}"),
                    _ => pair.to_owned(),
                })
                .collect();
            *field = pairs.join(";");
        }
        At::Header(header) => {
            let value = text()?;
            if value.chars().any(char::is_control) || value.trim() != value {
                return None;
            }
            value.clone_into(&mut out.headers.get_mut(*header)?.1);
        }
        At::Part(start, end) => out.body = spliced(&request.body, *start, *end, value)?,
        At::Xml(start, end) => {
            let text = text()?;
            if !text
                .chars()
                .all(|one| matches!(one, '\t' | '\n' | '\r' | ' '..))
            {
                return None;
            }
            let text = text
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            out.body = spliced(&request.body, *start, *end, text.as_bytes())?;
        }
    }
    let length = out.body.len().to_string();
    for (name, value) in &mut out.headers {
        if name.eq_ignore_ascii_case("content-length") {
            value.clone_from(&length);
        }
    }
    Some(out)
}

fn with_pair(text: &str, at: usize, value: &str) -> Option<String> {
    let mut pairs: Vec<String> = text.split('&').map(ToOwned::to_owned).collect();
    let pair = pairs.get_mut(at)?;
    let (name, _) = pair.split_once('=')?;
    *pair = format!("{name}={value}");
    Some(pairs.join("&"))
}

fn spliced(body: &[u8], start: usize, end: usize, value: &[u8]) -> Option<Vec<u8>> {
    Some([body.get(..start)?, value, body.get(end..)?].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::place::{self, As, Place};

    /// Each value that is put into a request is read back from it, and the others stay.
    #[test]
    fn what_is_put_in_is_read_back() {
        let value = b"a'b <c> & \"d\"; =e+%41";
        for place in [
            Place::Query,
            Place::Form,
            Place::Json,
            Place::Cookie,
            Place::Header,
            Place::Multipart,
            Place::Xml,
        ] {
            let request = place::request("before", place, As::Value, false).expect("a request");
            let old = slots(&request);
            let mut replaced = 0;
            for (at, slot) in old.iter().enumerate() {
                let new = replace(&request, slot, value).expect("it fits");
                for (index, (left, right)) in old.iter().zip(slots(&new)).enumerate() {
                    let expected = if index == at { &value[..] } else { &left.value };
                    assert_eq!(right.value, expected, "{place:?} {}", right.name);
                    assert_eq!(left.name, right.name);
                }
                replaced += usize::from(slot.value == b"before");
            }
            assert_eq!(replaced, 1, "{place:?}: {old:?}");
        }
    }

    #[test]
    fn names_are_those_of_findings() {
        let request = Request {
            method: "POST".to_owned(),
            path: "/a?x%5B%5D=1&y=2".to_owned(),
            headers: vec![
                ("Content-Type".to_owned(), "application/json".to_owned()),
                ("Cookie".to_owned(), "sid=a; b=c%20d".to_owned()),
            ],
            body: br#"{"user":{"tags":["t",{"k":"v"}]}}"#.to_vec(),
        };
        let places: Vec<String> = slots(&request).iter().map(Slot::place).collect();
        let expected = [
            "query:x[]",
            "query:y",
            "cookie:sid",
            "cookie:b",
            "body:user.tags",
            "body:user.tags.k",
        ];
        assert_eq!(places, expected);
    }

    #[test]
    fn a_value_that_does_not_fit_is_left_out() {
        let request = place::request("x", Place::Header, As::Value, false).expect("a request");
        for slot in slots(&request) {
            assert_eq!(replace(&request, &slot, b"a\r\nb"), None);
        }
    }
}
