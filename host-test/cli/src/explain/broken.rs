//! Where a body that was refused as malformed breaks, and what stood to be expected there.
//!
//! **In:** a request and what refused it. **Out:** [`Broken`]: the place in bytes, the fault, what to send instead.
//! **Invariant:** nothing here judges: it says more of a refusal that the module has made. JSON is read with the engine's own reader;
//! of multipart, the checks of the engine are told apart one by one.
//! **Source:** RFC 8259, RFC 2046 §5.1, RFC 7578, RFC 1952, RFC 1950.

use palisade_engine::budget::MAX_JSON_DEPTH;
use palisade_engine::json::Reader;
use palisade_host::Request;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::decide::{Explanation, Verdict};

/// Bytes that are shown before and behind the place.
const AROUND: usize = 40;

/// A fault of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// What the body says that it is.
    pub kind: &'static str,
    /// Where it breaks, in bytes from the start; absent: it is the whole that does not fit.
    pub offset: Option<usize>,
    /// Bytes of the body.
    pub bytes: usize,
    /// What is wrong there.
    pub fault: String,
    /// What to send instead.
    pub fix: String,
    /// The bytes before the place.
    pub before: String,
    /// The bytes from the place on.
    pub after: String,
}

/// Why a body was refused as malformed; `None` when it was not.
#[must_use]
pub fn broken(request: &Request, told: &Explanation) -> Option<Broken> {
    if !matches!(&told.verdict, Verdict::Denied { reason, .. } if reason == "malformed_body") {
        return None;
    }
    let rule = told
        .findings
        .iter()
        .find(|finding| finding.reason == "malformed_body")
        .map_or("", |finding| finding.rule.as_str());
    let body = request.chunks.concat();
    let field = |name: &str| {
        let value = request.headers.get(name).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    let fault = match rule {
        "content-encoding" => packed(&field("content-encoding"), &body),
        "repeated_field" => Fault::whole(
            "form",
            "a field that a limit counts stands in it twice, and readers differ in which one counts".to_owned(),
            "send each field that is counted once",
        ),
        "grpc" => Fault::whole(
            "gRPC",
            format!(
                "a message of gRPC begins with a flag, 0 or 1, and four bytes of length; here it begins with {}",
                hex(&body)
            ),
            "send gRPC's messages, or another content type",
        ),
        _ => typed(&field("content-type"), &body),
    };
    let at = fault.offset.unwrap_or(0).min(body.len());
    let (before, after) = body.split_at(at);
    let before = before
        .get(before.len().saturating_sub(AROUND)..)
        .unwrap_or(before);
    let after = after.get(..AROUND).unwrap_or(after);
    Some(Broken {
        kind: fault.kind,
        offset: fault.offset,
        bytes: body.len(),
        fault: fault.text,
        fix: fault.fix,
        before: String::from_utf8_lossy(before).into_owned(),
        after: String::from_utf8_lossy(after).into_owned(),
    })
}

struct Fault {
    kind: &'static str,
    offset: Option<usize>,
    text: String,
    fix: String,
}

impl Fault {
    fn at(kind: &'static str, offset: usize, text: String, fix: &str) -> Self {
        Self {
            kind,
            offset: Some(offset),
            text,
            fix: fix.to_owned(),
        }
    }

    fn whole(kind: &'static str, text: String, fix: &str) -> Self {
        Self {
            kind,
            offset: None,
            text,
            fix: fix.to_owned(),
        }
    }
}

fn typed(content_type: &str, body: &[u8]) -> Fault {
    let kind = content_type.to_ascii_lowercase();
    if kind.starts_with("multipart/") {
        return multipart(content_type, body);
    }
    if kind.contains("json") {
        return json(body);
    }
    Fault::whole(
        "XML",
        "it is in a character set that parsers tell by the first bytes alone (UTF-32, EBCDIC), or nested beyond reason".to_owned(),
        "send it as UTF-8, and less deep",
    )
}

fn json(body: &[u8]) -> Fault {
    let mut reader = Reader::new(body, MAX_JSON_DEPTH);
    let error = loop {
        match reader.next_event() {
            Ok(Some(_)) => {}
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    let Some(error) = error else {
        return Fault::whole(
            "JSON",
            "its parts cannot be read in one way".to_owned(),
            "send one JSON text",
        );
    };
    let at = error.offset.min(body.len());
    if reader.depth() >= MAX_JSON_DEPTH && matches!(body.get(at), Some(b'{' | b'[')) {
        return Fault::at(
            "JSON",
            at,
            format!("nested deeper than {MAX_JSON_DEPTH} objects and lists"),
            "send a flatter document",
        );
    }
    let why = match serde_json::from_slice::<IgnoredAny>(body) {
        Err(other) => {
            let text = other.to_string();
            let text = text.split(" at line ").next().unwrap_or(&text);
            let last = body.get(..at).unwrap_or_default().trim_ascii_end().last();
            match text.strip_prefix("EOF while parsing ") {
                Some(what) => format!("{what} is not closed"),
                None if last == Some(&b',') && matches!(body.get(at), Some(b'}' | b']')) => {
                    "a comma with nothing behind it".to_owned()
                }
                None => text.to_owned(),
            }
        }
        Ok(_) => "a string is no UTF-8".to_owned(),
    };
    let found = match body.get(at) {
        None => "the body ends".to_owned(),
        Some(byte) => format!("found {}", named(*byte)),
    };
    Fault::at(
        "JSON",
        at,
        format!("{why}; {found}"),
        "send JSON as RFC 8259 writes it (no comments, no trailing commas, names in double quotes), or the content type that the body is of",
    )
}

fn named(byte: u8) -> String {
    match byte {
        b'\n' => "the end of a line".to_owned(),
        0x20..=0x7e => format!("`{}`", char::from(byte)),
        _ => format!("byte {byte:#04x}"),
    }
}

fn multipart(content_type: &str, body: &[u8]) -> Fault {
    let fix = "send each part as `--boundary`, its head, an empty line and its content, all lines ending alike, with `--boundary--` at the end";
    let parameter = content_type
        .split(';')
        .filter_map(|part| part.trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))
        .map(|(_, value)| value.trim().trim_matches('"').to_owned());
    let Some(boundary) = parameter.filter(|boundary| !boundary.is_empty()) else {
        return Fault::whole(
            "multipart",
            "its content type names no boundary".to_owned(),
            fix,
        );
    };
    let places = places(body, boundary.as_bytes());
    let Some(first) = places.first() else {
        return Fault::whole(
            "multipart",
            format!("no line of it is `--{boundary}`, the boundary of its content type"),
            fix,
        );
    };
    let mut ended = false;
    let mut lines: Option<&[u8]> = None;
    let mut head_from: Option<usize> = None;
    for &at in &places {
        let before = body.get(..at).unwrap_or_default();
        let after = body.get(at + boundary.len()..).unwrap_or_default();
        if !before.ends_with(b"--") {
            continue;
        }
        let lead = before.strip_suffix(b"--").unwrap_or(before);
        if ended {
            return Fault::at(
                "multipart",
                at,
                "the boundary stands behind the last one, `--boundary--`".to_owned(),
                fix,
            );
        }
        let starts = lead.is_empty() && at == *first || lead.ends_with(b"\n");
        if !starts {
            return Fault::at(
                "multipart",
                at,
                "the boundary stands within a line: some readers split there, others do not"
                    .to_owned(),
                fix,
            );
        }
        if let Some(from) = head_from
            && let Some(fault) = part(
                body.get(from..lead.len()).unwrap_or_default(),
                from,
                lines,
                fix,
            )
        {
            return fault;
        }
        let end: &[u8] = match after {
            [b'-', b'-', ..] => {
                ended = true;
                b""
            }
            [b'\r', b'\n', ..] => b"\r\n",
            [b'\n', ..] => b"\n",
            _ => {
                return Fault::at(
                    "multipart",
                    at + boundary.len(),
                    "behind the boundary stands neither the end of the line nor `--`".to_owned(),
                    fix,
                );
            }
        };
        let ahead: Option<&[u8]> = match lead {
            [] => None,
            [.., b'\r', b'\n'] => Some(b"\r\n"),
            _ => Some(b"\n"),
        };
        let known = lines.or(ahead).unwrap_or(end);
        if ahead.is_some_and(|ahead| ahead != known) || !end.is_empty() && end != known {
            return Fault::at(
                "multipart",
                at,
                "some lines around boundaries end in CRLF, others in LF".to_owned(),
                fix,
            );
        }
        lines = Some(known);
        head_from = Some(at + boundary.len() + end.len());
    }
    Fault::at(
        "multipart",
        *first,
        "its parts can be split in more than one way".to_owned(),
        fix,
    )
}

/// What is wrong with the head of a part.
fn part(part: &[u8], from: usize, lines: Option<&[u8]>, fix: &str) -> Option<Fault> {
    let blank: &[u8] = if lines == Some(b"\n") {
        b"\n\n"
    } else {
        b"\r\n\r\n"
    };
    let end = part.windows(blank.len()).position(|window| window == blank);
    let empty = part.starts_with(lines.unwrap_or(b"\r\n"));
    let Some(end) = end.filter(|_| !empty) else {
        return (!empty).then(|| {
            Fault::at(
                "multipart",
                from,
                "no empty line ends the head of this part".to_owned(),
                fix,
            )
        });
    };
    let head = part.get(..end).unwrap_or_default();
    let odd = head.iter().enumerate().find(|&(at, &byte)| {
        let before = at.checked_sub(1).and_then(|at| head.get(at)) == Some(&b'\r');
        if blank.len() == 2 {
            byte == b'\r'
        } else {
            before != (byte == b'\n')
        }
    });
    if let Some((at, _)) = odd {
        return Some(Fault::at(
            "multipart",
            from + at,
            "a line of this part's head ends in another way than the others".to_owned(),
            fix,
        ));
    }
    let mut seen = false;
    for line in String::from_utf8_lossy(head).lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name
            .trim()
            .eq_ignore_ascii_case("content-transfer-encoding")
        {
            let known = ["7bit", "8bit", "binary", "base64", "quoted-printable"]
                .iter()
                .any(|known| value.trim().eq_ignore_ascii_case(known));
            if seen || !known {
                return Some(Fault::at(
                    "multipart",
                    from,
                    format!(
                        "the part's `content-transfer-encoding` is given twice, or `{}` is none",
                        value.trim()
                    ),
                    fix,
                ));
            }
            seen = true;
        }
    }
    None
}

/// Where `boundary` stands.
fn places(body: &[u8], boundary: &[u8]) -> Vec<usize> {
    body.windows(boundary.len())
        .enumerate()
        .filter_map(|(at, window)| (window == boundary).then_some(at))
        .collect()
}

fn packed(coding: &str, body: &[u8]) -> Fault {
    let coding = coding.trim().to_ascii_lowercase();
    let (begins, told): (bool, &str) = match coding.as_str() {
        "gzip" | "x-gzip" => (body.starts_with(&[0x1f, 0x8b]), "gzip begins with 1f 8b"),
        "deflate" => (true, "deflate is zlib's format (RFC 1950)"),
        _ => (true, "the stream says where it ends"),
    };
    if begins {
        Fault::whole(
            "a compressed body",
            format!(
                "its `content-encoding` is {coding}, but the stream breaks off, goes on behind its end, or its check sum differs ({told})"
            ),
            "send the whole compressed stream and nothing behind it",
        )
    } else {
        Fault::at(
            "a compressed body",
            0,
            format!(
                "its `content-encoding` is {coding}, and {told}; here it begins with {}",
                hex(body)
            ),
            "compress the body, or leave the `content-encoding` out",
        )
    }
}

fn hex(body: &[u8]) -> String {
    let bytes: Vec<String> = body
        .iter()
        .take(5)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if bytes.is_empty() {
        "nothing".to_owned()
    } else {
        bytes.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_breaks_where_its_reader_stops() {
        for (body, at, word) in [
            (
                "{\"a\": 1,}",
                8,
                "a comma with nothing behind it; found `}`",
            ),
            ("{\"a\": \"x", 8, "a string is not closed; the body ends"),
            ("{a: 1}", 1, "key must be a string; found `a`"),
            ("{\"a\" 1}", 5, "expected `:`; found `1`"),
            ("[1 2]", 3, "expected `,` or `]`; found `2`"),
            ("{} {}", 3, "trailing characters; found `{`"),
            ("a=1", 0, "expected value; found `a`"),
        ] {
            let fault = json(body.as_bytes());
            assert_eq!(fault.offset, Some(at), "{body}: {}", fault.text);
            assert_eq!(fault.text, word, "{body}");
        }
        let deep = "[".repeat(MAX_JSON_DEPTH + 1);
        let fault = json(deep.as_bytes());
        assert_eq!(fault.offset, Some(MAX_JSON_DEPTH));
        assert!(fault.text.contains("deeper than 64"), "{}", fault.text);
    }

    #[test]
    fn multipart_breaks_at_a_boundary_or_a_head() {
        let kind = "multipart/form-data; boundary=b0";
        for (body, at, word) in [
            ("x", None, "no line of it is `--b0`"),
            (
                "--b0\r\nContent-Disposition: form-data; name=a\r\n\r\nx --b0 y\r\n--b0--",
                Some(52),
                "within a line",
            ),
            ("--b0\r\nx\r\n--b0--", Some(6), "no empty line"),
            ("--b0x\r\n\r\n1\r\n--b0--", Some(4), "neither the end"),
            ("--b0\r\n\r\n1\n--b0--", Some(12), "others in LF"),
            (
                "--b0\r\n\r\n1\r\n--b0--\r\n--b0--",
                Some(21),
                "behind the last",
            ),
            (
                "--b0\r\nContent-Transfer-Encoding: rot13\r\n\r\n1\r\n--b0--",
                Some(6),
                "`rot13` is none",
            ),
        ] {
            let fault = multipart(kind, body.as_bytes());
            assert!(fault.text.contains(word), "{body:?}: {}", fault.text);
            assert_eq!(fault.offset, at, "{body:?}");
        }
        let fault = multipart("multipart/form-data", b"x");
        assert!(fault.text.contains("names no boundary"), "{}", fault.text);
    }
}
