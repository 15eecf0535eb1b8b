//! The parts of a multipart body.
//!
//! **In:** a body and the boundary its content type names. **Out:** a value for each name and each part that is no file.
//! **Invariant:** a part is left out only if every reader takes it for a file: one `content-disposition` with a non-empty
//! `filename`, read alike with or without quoting rules. What splits in two ways (bare line ends around a boundary, a
//! boundary with a tail, an encoded part) is malformed. A file's name is judged, its content is the application's.
//! **Source:** RFC 2046 §5.1.1, RFC 7578; PHP, Go and busboy read `filename`, quotes and line ends in different ways.
//! **Cost:** two passes over the body; nothing is allocated.

use super::bytes::rest;
use super::fields::find;
use super::inspection::{Encoding, Inspection, Place};

/// Looks at all parts; `false` when the body does not split in one way.
pub(super) fn parts(body: &[u8], boundary: &[u8], inspection: &mut Inspection<'_>) -> bool {
    if body.is_empty() {
        return true;
    }
    let mut left = body;
    let mut first = true;
    let mut ended = false;
    loop {
        let (part, after) = match cut(left, boundary, first) {
            Cut::Ambiguous => return false,
            Cut::At(part, after) => (part, Some(after)),
            Cut::Nowhere => (left, None),
        };
        // A preamble and an epilogue are nobody's, and so somebody's.
        let judged = if first || ended {
            inspection.value(Place::Body, b"", part.trim_ascii(), Encoding::Plain);
            true
        } else {
            self::part(part, inspection)
        };
        if !judged {
            return false;
        }
        first = false;
        match after {
            Some(Tail::Next(after)) => left = after,
            Some(Tail::Last(after)) => {
                ended = true;
                left = after;
            }
            // A body that is cut off has no last boundary: readers differ in whether they keep its last part.
            None => return ended,
        }
    }
}

enum Cut<'a> {
    Ambiguous,
    At(&'a [u8], Tail<'a>),
    Nowhere,
}

enum Tail<'a> {
    Next(&'a [u8]),
    Last(&'a [u8]),
}

/// Around the next line that starts with `--boundary`.
fn cut<'a>(text: &'a [u8], boundary: &[u8], at_start: bool) -> Cut<'a> {
    let mut from = 0_usize;
    while let Some(step) = find(rest(text, from), boundary) {
        let at = from.saturating_add(step);
        let after = rest(text, at.saturating_add(boundary.len()));
        from = at.saturating_add(1);
        let before = text.get(..at).unwrap_or_default();
        let Some(before) = before.strip_suffix(b"--") else {
            continue;
        };
        let part = match before {
            [] if at_start => before,
            [part @ .., b'\r', b'\n'] => part,
            // The line end before it belongs to the last boundary's line: an empty part.
            [] | [.., b'\n' | b'\r'] => return Cut::Ambiguous,
            _ => continue,
        };
        return match after {
            [b'-', b'-', after @ ..] => Cut::At(part, Tail::Last(after)),
            [b'\r', b'\n', after @ ..] => Cut::At(part, Tail::Next(after)),
            _ => Cut::Ambiguous,
        };
    }
    Cut::Nowhere
}

fn part(part: &[u8], inspection: &mut Inspection<'_>) -> bool {
    let (head, content) = match part.strip_prefix(b"\r\n") {
        Some(content) => (&b""[..], content),
        None => match find(part, b"\r\n\r\n").and_then(|at| part.split_at_checked(at)) {
            Some((head, content)) => (head, rest(content, 4)),
            None => return false,
        },
    };
    let mut dispositions = 0_usize;
    let mut folded = false;
    let mut disposition: &[u8] = b"";
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(line.len());
        let name = line.get(..colon).unwrap_or(line);
        let value = rest(line, colon.saturating_add(1)).trim_ascii();
        folded |= matches!(line, [b' ' | b'\t', ..]) || line.contains(&b'\r');
        if name
            .trim_ascii()
            .eq_ignore_ascii_case(b"content-disposition")
        {
            dispositions = dispositions.saturating_add(1);
            disposition = value;
        } else if name
            .trim_ascii()
            .eq_ignore_ascii_case(b"content-transfer-encoding")
        {
            let plain = [&b"7bit"[..], b"8bit", b"binary"];
            if !plain.iter().any(|plain| value.eq_ignore_ascii_case(plain)) {
                return false;
            }
        }
    }
    // A bare line end would end the head earlier to some.
    let mut before = 0;
    if head
        .iter()
        .any(|byte| core::mem::replace(&mut before, *byte) != b'\r' && *byte == b'\n')
    {
        return false;
    }
    let disposition = Disposition::read(disposition);
    let name = disposition.name;
    inspection.value(Place::Body, name, name, Encoding::Plain);
    inspection.file(Place::Body, name, disposition.filename);
    let file = dispositions == 1 && !folded && !disposition.odd && !disposition.filename.is_empty();
    if !file {
        inspection.value(Place::Body, name, content, Encoding::Plain);
    }
    true
}

/// What a `content-disposition` says.
#[derive(Default)]
struct Disposition<'a> {
    name: &'a [u8],
    filename: &'a [u8],
    /// Something before the file's name is quoted in a way that readers read differently.
    odd: bool,
}

impl<'a> Disposition<'a> {
    fn read(value: &'a [u8]) -> Self {
        let mut read = Self::default();
        let mut left = value;
        let mut first = true;
        while !left.is_empty() {
            let end = end_of_parameter(left);
            let parameter = left.get(..end).unwrap_or(left).trim_ascii();
            left = rest(left, end.saturating_add(1));
            let equals = parameter.iter().position(|byte| *byte == b'=');
            let Some((name, text)) = equals.and_then(|at| parameter.split_at_checked(at)) else {
                read.odd |= !first && !parameter.is_empty();
                first = false;
                continue;
            };
            first = false;
            let text = rest(text, 1).trim_ascii();
            let bare = text
                .strip_prefix(b"\"")
                .and_then(|text| text.strip_suffix(b"\""));
            let text = bare.unwrap_or(text);
            if name.eq_ignore_ascii_case(b"filename") {
                read.odd |= !read.filename.is_empty();
                read.filename = text;
                continue;
            }
            if name.eq_ignore_ascii_case(b"name") {
                read.odd |= !read.name.is_empty();
                read.name = text;
            }
            read.odd |= read.filename.is_empty()
                && parameter.iter().any(|byte| matches!(byte, b'\'' | b'\\'));
        }
        read
    }
}

/// The first `;` outside double quotes, or the end.
fn end_of_parameter(text: &[u8]) -> usize {
    let mut quoted = false;
    text.iter()
        .position(|byte| {
            quoted ^= *byte == b'"';
            *byte == b';' && !quoted
        })
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {

    use super::super::{Here, InjectionStage};
    use crate::budget::MAX_STEPS;
    use crate::finding::Findings;
    use crate::request::RequestHead;
    use crate::request::body::kind;
    use crate::units::UnixTime;
    use crate::verdict::Reason;

    fn judge(content_type: &[u8], body: &[u8]) -> (Option<Reason>, Findings) {
        let stage = InjectionStage::new(1, 5);
        let pairs = [(&b"content-type"[..], content_type)];
        let head = RequestHead::decode(pairs.into_iter());
        let (mut steps, mut found) = (MAX_STEPS, Findings::default());
        let denied = stage.inspect_body(
            kind(&head),
            body,
            Here::new(b"", UnixTime(0)),
            &mut steps,
            &mut found,
        );
        (denied.err().map(|denial| denial.reason), found)
    }

    fn part(head: &str, content: &str) -> String {
        format!("--B\r\n{head}\r\n\r\n{content}\r\n")
    }

    const TYPE: &[u8] = b"multipart/form-data; boundary=B";
    const ATTACK: &str = "' OR 1=1-- ";
    const FIELD: &str = "Content-Disposition: form-data; name=\"q\"";
    const FILE: &str = "Content-Disposition: form-data; name=\"q\"; filename=\"O'Brien.txt\"";

    #[test]
    fn only_a_part_that_everyone_takes_for_a_file_is_left_out() {
        const CASES: &[(&str, Option<Reason>)] = &[
            (FIELD, Some(Reason::Injection)),
            (FILE, None),
            (
                "content-disposition:form-data;name=q;filename=a.txt\r\nContent-Type: image/png",
                None,
            ),
            (
                "Content-Disposition: form-data; name=\"q\"; filename=\"a.txt\"\r\ncontent-transfer-encoding: binary",
                None,
            ),
            (
                "Content-Disposition: form-data; name=\"filename\"",
                Some(Reason::Injection),
            ),
            (
                "Content-Disposition: form-data; name=\"q\"\r\nX: filename=a",
                Some(Reason::Injection),
            ),
            (
                "Content-Disposition: form-data; name=\"q\"; filename=\"\"",
                Some(Reason::Injection),
            ),
            (
                "Content-Disposition: form-data; name=\"q\"; filename*=UTF-8''a",
                Some(Reason::Injection),
            ),
            (
                "Content-Disposition: form-data; name='q; filename=\"f\"; x='",
                Some(Reason::Injection),
            ),
            (
                "Content-Disposition: form-data; name=\"q\\\"; filename=\"f\"",
                Some(Reason::Injection),
            ),
            (
                "Content-Disposition: form-data; name=\"q; filename=f\"",
                Some(Reason::Injection),
            ),
            (
                "Content-Disposition: form-data; name=q\r\n ; filename=f",
                Some(Reason::Injection),
            ),
            ("X: filename=f", Some(Reason::Injection)),
            (
                "Content-Disposition: form-data; name=q\r\nContent-Disposition: form-data; name=q; filename=f",
                Some(Reason::Injection),
            ),
            (
                "Content-Disposition: form-data; name=q\n\nx: filename=f",
                Some(Reason::MalformedBody),
            ),
            (
                "Content-Disposition: form-data; name=q\r\nContent-Transfer-Encoding: base64",
                Some(Reason::MalformedBody),
            ),
        ];
        for (head, expected) in CASES {
            let body = part(head, ATTACK) + "--B--\r\n";
            assert_eq!(judge(TYPE, body.as_bytes()).0, *expected, "{head}");
        }
    }

    #[test]
    fn the_boundary_of_the_content_type_splits() {
        let attack = part(FIELD, ATTACK) + "--B--";
        let calm = part(FIELD, "calm") + &part(FILE, "\0\u{1}--B'--") + "--B--\r\n";
        let cases: &[(&[u8], String, Option<Reason>)] = &[
            (TYPE, calm.clone(), None),
            (b"multipart/form-data; boundary=\"B\"", calm.clone(), None),
            (TYPE, String::new(), None),
            (TYPE, format!("\r\n{attack}"), Some(Reason::Injection)),
            (
                TYPE,
                format!("--A\r\n{FILE}\r\n\r\n\r\n{attack}"),
                Some(Reason::Injection),
            ),
            (TYPE, part(FILE, "x") + &attack, Some(Reason::Injection)),
            (
                TYPE,
                part(FIELD, &format!("{}{ATTACK}", "\u{1}".repeat(99))) + "--B--",
                Some(Reason::Injection),
            ),
            (
                TYPE,
                part(FIELD, &format!("a--B\r\n{FILE}\r\n\r\n{ATTACK}")) + "--B--",
                Some(Reason::Injection),
            ),
            (
                TYPE,
                part(FIELD, &format!("a\n--B\r\n{FILE}\r\n\r\n{ATTACK}")) + "--B--",
                Some(Reason::MalformedBody),
            ),
            (
                TYPE,
                part(FIELD, &format!("a\r\n--Bx\r\n{FILE}\r\n\r\n{ATTACK}")) + "--B--",
                Some(Reason::MalformedBody),
            ),
            (TYPE, part(FIELD, "calm"), Some(Reason::MalformedBody)),
            (TYPE, format!("--B--\r\n{ATTACK}"), Some(Reason::Injection)),
            (
                b"multipart/form-data",
                part(FILE, ATTACK) + "--B--",
                Some(Reason::Injection),
            ),
            (
                b"multipart/form-data; boundary=B; boundary=C",
                part(FILE, ATTACK) + "--B--",
                Some(Reason::Injection),
            ),
            (
                b"multipart/form-data; xboundary=A; boundary=B",
                part(FILE, ATTACK) + "--B--",
                Some(Reason::Injection),
            ),
            (
                b"multipart/form-data; boundary*=B; boundary=B",
                part(FILE, ATTACK) + "--B--",
                Some(Reason::Injection),
            ),
            (
                b"text/plain",
                part(FILE, ATTACK) + "--B--",
                Some(Reason::Injection),
            ),
        ];
        for (content_type, body, expected) in cases {
            assert_eq!(judge(content_type, body.as_bytes()).0, *expected, "{body}");
        }
        for end in 0..calm.len() {
            assert_ne!(
                judge(TYPE, &calm.as_bytes()[..end]).0,
                Some(Reason::Injection)
            );
        }
    }

    #[test]
    fn findings_name_the_field() {
        let body = part("Content-Disposition: form-data; name=\"password\"", ATTACK) + "--B--";
        let (_, found) = judge(TYPE, body.as_bytes());
        assert_eq!(found.as_slice()[0].place, b"body:password");
    }
}
