//! The parts of a multipart body.
//!
//! **In:** a body and the boundary its content type names. **Out:** a value for each name and each part that is no file.
//! **Invariant:** a part is left out only if every reader takes it for a file: one `content-disposition` with a non-empty
//! `filename`, read alike with or without quoting rules. Lines end in one way, that of the first boundary's: CR LF, or a bare LF,
//! which some readers take and the others refuse. What splits in two ways (both line ends, a boundary within a line, with a
//! tail, or behind the last one) is malformed. A file's name and the headers of its part are judged, its content is the
//! application's (but a `blob` of a text type is a script's value). What a reader may
//! undo (a transfer encoding, a name of RFC 5987) is judged as sent and undone.
//! **Source:** RFC 2046 §5.1.1, RFC 7578, RFC 5987, RFC 2045 §6; PHP, Go, Django, Werkzeug and busboy read `filename`, quotes,
//! boundaries and line ends in different ways.
//! **Cost:** at most four passes over the body.

use alloc::vec::Vec;

use super::bytes::{has_at, rest};
use super::fields::{find, unquoted};
use super::headers::is_list;
use super::inspection::{Encoding, Inspection, Place};
use super::{Class, Strength, decode, protocol};

/// Looks at all parts; `false` when the body does not split in one way.
pub(super) fn parts(body: &[u8], boundary: &[u8], inspection: &mut Inspection<'_>) -> bool {
    if body.is_empty() {
        return true;
    }
    let mut left = body;
    let mut ends = None;
    let mut ended = false;
    loop {
        if inspection.is_spent() {
            return true;
        }
        let (part, after) = match cut(left, boundary, ends, inspection.is_cut()) {
            Cut::Ambiguous => return false,
            Cut::At(..) if ended => return false,
            Cut::At(part, after) => (part, Some(after)),
            Cut::Nowhere => (left, None),
        };
        // A pass for the boundary, and one for the line ends.
        inspection.pay(PART.saturating_add(part.len().saturating_mul(6)));
        // A preamble and an epilogue are nobody's, and so somebody's.
        let judged = match ends.filter(|_| !ended) {
            None => {
                inspection.value(Place::Body, b"", part.trim_ascii(), Encoding::Plain);
                true
            }
            Some(ends) => self::part(part, ends, after.is_some(), inspection),
        };
        if !judged {
            return false;
        }
        match after {
            Some(Tail::Next(here, after)) => {
                if ends.is_none() && here == Ends::Lf {
                    inspection.note(Place::Body, b"", LF_ALONE, Class::Protocol, Strength::Weak);
                }
                ends = Some(here);
                left = after;
            }
            Some(Tail::Last(after)) => {
                ended = true;
                left = after;
            }
            None if ended => return true,
            // A body that is cut off has no last boundary: readers differ in whether they keep its last part.
            None => {
                inspection.note(Place::Body, b"", NO_END, Class::Protocol, Strength::Weak);
                return ends.is_some();
            }
        }
    }
}

/// Bytes that a part is worth, however short: its head is taken apart.
const PART: usize = 736;

/// Evidence of lines that end in LF alone.
const LF_ALONE: &[u8] = b"multipart: lines end in LF alone";

/// Evidence of a body without a last boundary.
const NO_END: &[u8] = b"multipart: no last boundary";

/// How lines end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    CrLf,
    Lf,
}

enum Cut<'a> {
    Ambiguous,
    At(&'a [u8], Tail<'a>),
    Nowhere,
}

enum Tail<'a> {
    Next(Ends, &'a [u8]),
    Last(&'a [u8]),
}

/// Around the next `--boundary`. `ends`: of the lines before it; `None`: it is the first one. `open`: the text goes on elsewhere.
fn cut<'a>(text: &'a [u8], boundary: &[u8], ends: Option<Ends>, open: bool) -> Cut<'a> {
    let mut from = 0_usize;
    while let Some(step) = find(rest(text, from), boundary) {
        let at = from.saturating_add(step);
        let after = rest(text, at.saturating_add(boundary.len()));
        from = at.saturating_add(1);
        let before = text.get(..at).unwrap_or_default();
        let Some(before) = before.strip_suffix(b"--") else {
            continue;
        };
        let (part, before) = match before {
            [] if ends.is_none() => (before, None),
            [part @ .., b'\r', b'\n'] => (part, Some(Ends::CrLf)),
            [part @ .., b'\n'] if !part.is_empty() => (part, Some(Ends::Lf)),
            // The line end before it belongs to the last boundary's line: an empty part. Some readers need no line end.
            _ => return Cut::Ambiguous,
        };
        let tail = match after {
            [b'-', b'-', after @ ..] => Tail::Last(after),
            [b'\r', b'\n', after @ ..] => Tail::Next(Ends::CrLf, after),
            [b'\n', after @ ..] => Tail::Next(Ends::Lf, after),
            [] | [b'\r' | b'-'] if open => return Cut::Nowhere,
            _ => return Cut::Ambiguous,
        };
        let behind = match tail {
            Tail::Next(ends, _) => Some(ends),
            Tail::Last(_) => None,
        };
        // One way of ending lines, from the first boundary to the last.
        let known = ends.or(before).or(behind);
        let same = |other: Option<Ends>| other.is_none_or(|other| Some(other) == known);
        return if same(before) && same(behind) {
            Cut::At(part, tail)
        } else {
            Cut::Ambiguous
        };
    }
    Cut::Nowhere
}

/// The head of a part and what follows it.
fn split(part: &[u8], ends: Ends) -> Option<(&[u8], &[u8])> {
    let (line, blank): (&[u8], &[u8]) = match ends {
        Ends::CrLf => (b"\r\n", b"\r\n\r\n"),
        Ends::Lf => (b"\n", b"\n\n"),
    };
    if let Some(content) = part.strip_prefix(line) {
        return Some((b"", content));
    }
    let (head, content) = part.split_at_checked(find(part, blank)?)?;
    // Another line end would end the head earlier to some.
    let mut before = 0;
    let other = head.iter().any(|&byte| {
        let before = core::mem::replace(&mut before, byte);
        match ends {
            Ends::CrLf => (before == b'\r') != (byte == b'\n'),
            Ends::Lf => byte == b'\r',
        }
    });
    (!other && before != b'\r').then(|| (head, rest(content, blank.len())))
}

/// One part. `closed`: a boundary follows it.
fn part(part: &[u8], ends: Ends, closed: bool, inspection: &mut Inspection<'_>) -> bool {
    let Some((head, content)) = split(part, ends) else {
        // The rest of its head may be in what is not held.
        let cut = !closed && inspection.is_cut();
        if cut {
            inspection.value(Place::Body, b"", part, Encoding::Plain);
        }
        return cut;
    };
    let mut dispositions = 0_usize;
    let mut folded = false;
    let mut disposition: &[u8] = b"";
    let mut content_type: &[u8] = b"";
    let mut undo = None;
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(line.len());
        let name = line.get(..colon).unwrap_or(line).trim_ascii();
        let value = rest(line, colon.saturating_add(1)).trim_ascii();
        folded |= matches!(line, [b' ' | b'\t', ..]);
        if name.eq_ignore_ascii_case(b"content-disposition") {
            dispositions = dispositions.saturating_add(1);
            disposition = value;
        } else if name.eq_ignore_ascii_case(b"content-type") {
            content_type = value;
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            let Some(coding) = Transfer::of(value).filter(|_| undo.is_none()) else {
                return false;
            };
            undo = Some(coding);
        }
    }
    let disposition = Disposition::read(disposition, inspection);
    let name = disposition.name;
    inspection.value(Place::Body, name, name, Encoding::Plain);
    inspection.file(Place::Body, name, disposition.filename);
    headers(name, head, inspection);
    let alike = dispositions == 1 && !folded && !disposition.odd;
    // A file that is cut off is one when the rest of it is where nobody looks.
    let closed = closed || inspection.is_cut();
    // Where lines end in LF, CR LF twice ends the head to some readers.
    let later = (ends == Ends::Lf)
        .then(|| find(content, b"\r\n\r\n"))
        .flatten();
    let file = !disposition.filename.is_empty() && !disposition.is_blob(content_type);
    if alike && closed && later.is_none() && file {
        return true;
    }
    let seen = Part {
        name,
        content,
        undo: undo.unwrap_or(Transfer::Plain),
        content_type,
    };
    seen.look(inspection);
    if let Some(at) = later {
        inspection.value(
            Place::Body,
            b"",
            rest(content, at.saturating_add(4)),
            Encoding::Plain,
        );
    }
    // Under another name to other readers: no exception for the name holds.
    if !alike && !name.is_empty() {
        Part { name: b"", ..seen }.look(inspection);
    }
    true
}

/// Looks at what the headers of a part say, save its disposition.
fn headers(name: &[u8], head: &[u8], inspection: &mut Inspection<'_>) {
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        let colon = line.iter().position(|byte| *byte == b':');
        let (header, value) = colon
            .and_then(|colon| line.split_at_checked(colon))
            .unwrap_or((b"", line));
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        let judged = header
            .trim_ascii()
            .eq_ignore_ascii_case(b"content-disposition");
        if !judged && !is_list(value) {
            inspection.value(Place::Body, name, value, Encoding::Plain);
        }
    }
}

/// How the content of a part is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Plain,
    Base64,
    Quoted,
}

impl Transfer {
    fn of(value: &[u8]) -> Option<Self> {
        const ALL: [(&[u8], Transfer); 5] = [
            (b"7bit", Transfer::Plain),
            (b"8bit", Transfer::Plain),
            (b"binary", Transfer::Plain),
            (b"base64", Transfer::Base64),
            (b"quoted-printable", Transfer::Quoted),
        ];
        let known = ALL
            .iter()
            .find(|(name, _)| value.eq_ignore_ascii_case(name));
        known.map(|(_, transfer)| *transfer)
    }
}

/// A part that is looked at.
#[derive(Clone, Copy)]
struct Part<'a> {
    name: &'a [u8],
    content: &'a [u8],
    undo: Transfer,
    content_type: &'a [u8],
}

impl Part<'_> {
    /// As sent, and as a reader may undo it.
    fn look(&self, inspection: &mut Inspection<'_>) {
        inspection.value(Place::Body, self.name, self.content, Encoding::Plain);
        if self.name == b"_charset_" {
            protocol::charset(Place::Body, self.name, self.content, inspection);
        }
        protocol::content_type(Place::Body, self.name, self.content_type, inspection);
        let mut text = Vec::new();
        let undone = match self.undo {
            Transfer::Plain => {
                for (big, may) in [true, false]
                    .into_iter()
                    .zip(decode::utf16_sides(self.content))
                {
                    if may {
                        decode::utf16(self.content, big, &mut text);
                        inspection.value(Place::Body, self.name, &text, Encoding::Plain);
                    }
                }
                false
            }
            Transfer::Base64 => base64(self.content, &mut text),
            Transfer::Quoted => quoted(self.content, &mut text),
        };
        if undone {
            inspection.value(Place::Body, self.name, &text, Encoding::Plain);
        }
    }
}

/// Base64 over several lines. What is no letter of it is passed over, and what follows its padding is read, as some readers do.
fn base64(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut letters = Vec::new();
    let mut bytes = Vec::new();
    for piece in text.split(|&byte| byte == b'=') {
        let letter = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        letters.clear();
        letters.extend(piece.iter().filter(letter));
        decode::binary(&letters, &mut bytes);
        out.extend_from_slice(&bytes);
    }
    !out.is_empty()
}

/// Quoted-printable (RFC 2045 §6.7).
fn quoted(text: &[u8], out: &mut Vec<u8>) -> bool {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut left = text;
    while let Some((&first, after)) = left.split_first() {
        left = after;
        let byte = match (first, after) {
            (b'=', [b'\r', b'\n', after @ ..] | [b'\n', after @ ..]) => {
                left = after;
                continue;
            }
            (b'=', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    left = after;
                    (high.wrapping_shl(4) | low).to_le_bytes()[0]
                }
                _ => first,
            },
            _ => first,
        };
        out.push(byte);
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
    /// Whether the part is a value that a script wrapped to give it a type: browsers name it so.
    fn is_blob(&self, content_type: &[u8]) -> bool {
        let typed = has_at(content_type, 0, b"application/") || has_at(content_type, 0, b"text/");
        self.filename == b"blob" && typed
    }

    fn read(value: &'a [u8], inspection: &mut Inspection<'_>) -> Self {
        let mut read = Self::default();
        // `filename*=UTF-8''a%20b`, and `filename*0=a; filename*1=b`, which some readers put together.
        let mut extended = Vec::new();
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
            let name = name.trim_ascii();
            let text = unquoted(rest(text, 1).trim_ascii());
            if name.eq_ignore_ascii_case(b"filename") {
                read.odd |= !read.filename.is_empty();
                read.filename = text;
                continue;
            }
            let star = name.iter().position(|&byte| byte == b'*');
            let of = star.and_then(|at| name.get(..at)).unwrap_or_default();
            if name.eq_ignore_ascii_case(b"name") {
                read.odd |= !read.name.is_empty();
                read.name = text;
            } else if of.eq_ignore_ascii_case(b"filename") {
                let mut decoded = Vec::new();
                decode::form(behind_charset(text), false, &mut decoded);
                extended.extend_from_slice(&decoded);
            } else if of.eq_ignore_ascii_case(b"name") {
                // Two names: which of them counts differs.
                read.odd = true;
                let text = behind_charset(text);
                inspection.value(Place::Body, b"", text, Encoding::Url);
            }
            read.odd |= read.filename.is_empty()
                && parameter.iter().any(|byte| matches!(byte, b'\'' | b'\\'));
        }
        inspection.file(Place::Body, read.name, &extended);
        read
    }
}

/// What follows the character set and the language of a text in the way of RFC 5987.
fn behind_charset(text: &[u8]) -> &[u8] {
    let mut parts = text.splitn(3, |&byte| byte == b'\'');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(_), Some(text)) => text,
        _ => text,
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
mod tests;
