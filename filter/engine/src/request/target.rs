//! Request target → path and query, and the path patterns of a policy.
//!
//! **In:** the target as received. **Out:** [`Target`]: the judged path is percent-decoded once, without dot
//! segments and repeated slashes. `%25`, `%2F` and `%5C` stay encoded (upper case): decoding them would
//! change what the path means, and so judging a judged path changes nothing.
//! **Invariant:** what two readers can read in two ways has a [`PathFault`]; plain `..` has none.
//! **Source:** RFC 9112 §3.2, RFC 3986 §5.2.4 and §6.2.2; Envoy's `path_utility_test`.
//! **Cost:** linear; nothing is allocated for a path that is judged as it was received.

use alloc::borrow::Cow;
use alloc::vec::Vec;

/// Why a path cannot be read in one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathFault {
    /// A control byte or NUL, raw or encoded.
    Control,
    /// A `.` or `..` segment hidden by encoding or by a parameter (`..;/`), or a `..` after an empty segment
    /// (`//..`), which readers resolve in two ways.
    HiddenDots,
    /// An encoded `/` or `\`: judged by `escaped_slash`. Recorded only when there is no other fault.
    HiddenSlash,
    /// A raw `\`.
    Backslash,
    /// A `%` without two hex digits.
    BadEscape,
    /// Still encoded after one decoding (`%252e`).
    DoubleEncoded,
    /// A raw `#`: no client sends its fragment.
    Fragment,
    /// Overlong UTF-8.
    Overlong,
}

impl PathFault {
    /// Name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::HiddenDots => "hidden_dots",
            Self::HiddenSlash => "hidden_slash",
            Self::Backslash => "backslash",
            Self::BadEscape => "bad_escape",
            Self::DoubleEncoded => "double_encoded",
            Self::Fragment => "fragment",
            Self::Overlong => "overlong",
        }
    }
}

/// A request target, split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'a> {
    /// Authority of an absolute target.
    pub authority: Option<&'a [u8]>,
    /// Path as received.
    pub raw_path: &'a [u8],
    /// What follows the first `?` (or `#`, which is a fault); nothing is left out.
    pub query: Option<&'a [u8]>,
    /// Path as judged: empty for CONNECT to an authority, `*` for `OPTIONS *`, else it starts with `/`.
    pub path: Cow<'a, [u8]>,
    /// The worst fault of the path.
    pub fault: Option<PathFault>,
}

impl<'a> Target<'a> {
    /// Splits and judges. The method tells CONNECT's authority-form from a path.
    #[must_use]
    pub fn decode(method: &[u8], target: &'a [u8]) -> Self {
        let (authority, local) = split_authority(target);
        let end = local.iter().position(|byte| matches!(byte, b'?' | b'#'));
        let (raw_path, rest) = end
            .and_then(|end| local.split_at_checked(end))
            .unwrap_or((local, b""));
        let query = rest.split_first().map(|(_, query)| query);
        let (path, mut fault) = if target == b"*" {
            (Cow::Borrowed(target), None)
        } else if method == b"CONNECT" && !raw_path.starts_with(b"/") {
            (Cow::Borrowed(&b""[..]), None)
        } else {
            judge(raw_path)
        };
        if rest.contains(&b'#') {
            record(&mut fault, PathFault::Fragment);
        }
        Self {
            authority,
            raw_path,
            query,
            path,
            fault,
        }
    }
}

/// `scheme://authority` before a path, query or the end.
fn split_authority(target: &[u8]) -> (Option<&[u8]>, &[u8]) {
    if target.starts_with(b"/") {
        return (None, target);
    }
    let colon = target
        .iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')));
    let after = colon
        .filter(|length| *length > 0)
        .and_then(|length| target.get(length..))
        .and_then(|rest| rest.strip_prefix(b"://"));
    let Some(after) = after else {
        return (None, target);
    };
    let end = after
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    match end.and_then(|end| after.split_at_checked(end)) {
        Some((authority, local)) => (Some(authority), local),
        None => (Some(after), b""),
    }
}

/// The judged form of a path (without query) and its worst fault.
#[must_use]
pub fn judge(raw: &[u8]) -> (Cow<'_, [u8]>, Option<PathFault>) {
    if is_settled(raw) {
        return (Cow::Borrowed(raw), None);
    }
    let mut out = Vec::new();
    let mut fault = None;
    let local = raw.strip_prefix(b"/").unwrap_or(raw);
    let mut after_empty = false;
    let mut ends_open = false;
    for segment in local.split(|byte| *byte == b'/') {
        ends_open = true;
        if segment.is_empty() {
            after_empty = true;
            continue;
        }
        let start = out.len();
        out.push(b'/');
        decode_segment(segment, &mut out, &mut fault);
        let decoded = out.get(start.wrapping_add(1)..).unwrap_or_default();
        let dots = dots(decoded);
        if (dots != Dots::None && segment != b"." && segment != b"..")
            || (dots == Dots::Up && after_empty)
            || hides_dots(decoded)
        {
            record(&mut fault, PathFault::HiddenDots);
        }
        match dots {
            Dots::None => ends_open = false,
            Dots::Here => out.truncate(start),
            Dots::Up => {
                out.truncate(start);
                while out.pop().is_some_and(|byte| byte != b'/') {}
            }
        }
        after_empty = false;
    }
    if ends_open {
        out.push(b'/');
    }
    (Cow::Owned(out), fault)
}

/// Whether the path is judged as it stands: nothing encoded, no dot segment, no repeated slash, ASCII.
fn is_settled(raw: &[u8]) -> bool {
    let Some((b'/', rest)) = raw.split_first() else {
        return false;
    };
    let mut previous = b'/';
    rest.iter().all(|byte| {
        let starts_segment = core::mem::replace(&mut previous, *byte) == b'/';
        match byte {
            b'/' | b'.' => !starts_segment,
            b'%' | b'\\' => false,
            other => (0x20..0x7f).contains(other),
        }
    })
}

/// What a decoded segment does, its parameters (`;…`) left aside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dots {
    None,
    Here,
    Up,
}

fn dots(decoded: &[u8]) -> Dots {
    match decoded {
        [b'.'] | [b'.', b';', ..] => Dots::Here,
        [b'.', b'.'] | [b'.', b'.', b';', ..] => Dots::Up,
        _ => Dots::None,
    }
}

/// Whether an encoded slash or a `\` hides a dot segment inside this one.
fn hides_dots(decoded: &[u8]) -> bool {
    let mut part = decoded;
    let mut rest = decoded;
    let mut several = false;
    while let Some((byte, tail)) = rest.split_first() {
        let after = match byte {
            b'\\' => tail,
            b'%' => match tail {
                [b'2', b'F', after @ ..] | [b'5', b'C', after @ ..] => after,
                _ => {
                    rest = tail;
                    continue;
                }
            },
            _ => {
                rest = tail;
                continue;
            }
        };
        let length = part.len().saturating_sub(rest.len());
        if part
            .get(..length)
            .is_some_and(|part| dots(part) != Dots::None)
        {
            return true;
        }
        several = true;
        part = after;
        rest = after;
    }
    several && dots(part) != Dots::None
}

/// A judged path as readers see it that take parameters (`;…`, RFC 3986 §3.3) off each segment; `None` when it has none.
#[must_use]
pub fn without_parameters(path: &[u8]) -> Option<Vec<u8>> {
    if !path.contains(&b';') {
        return None;
    }
    let mut out = Vec::new();
    let mut open = true;
    for segment in path
        .strip_prefix(b"/")
        .unwrap_or(path)
        .split(|byte| *byte == b'/')
    {
        let name = segment
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
        open = name.is_empty();
        if !open {
            out.push(b'/');
            out.extend_from_slice(name);
        }
    }
    if open {
        out.push(b'/');
    }
    Some(out)
}

/// Decodes one segment onto `out`.
fn decode_segment(segment: &[u8], out: &mut Vec<u8>, fault: &mut Option<PathFault>) {
    let start = out.len();
    let mut percent = false;
    let mut high = false;
    let mut rest = segment;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let byte = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = tail;
                    high.wrapping_shl(4) | low
                }
                _ => BAD_ESCAPE,
            },
            (b'%', _) => BAD_ESCAPE,
            (b'\\', _) => {
                record(fault, PathFault::Backslash);
                out.push(b'\\');
                continue;
            }
            (byte, _) => byte,
        };
        match byte {
            b'%' => {
                percent = true;
                // A decoded `%` ate its two digits; a bad one did not.
                if rest.len() == tail.len() {
                    record(fault, PathFault::BadEscape);
                }
                out.extend_from_slice(b"%25");
            }
            b'/' => {
                record(fault, PathFault::HiddenSlash);
                out.extend_from_slice(b"%2F");
            }
            b'\\' => {
                record(fault, PathFault::HiddenSlash);
                out.extend_from_slice(b"%5C");
            }
            0..0x20 | 0x7f => {
                record(fault, PathFault::Control);
                out.push(byte);
            }
            _ => {
                high |= byte >= 0x80;
                out.push(byte);
            }
        }
    }
    let decoded = out.get(start..).unwrap_or_default();
    if percent && is_double_encoded(decoded) {
        record(fault, PathFault::DoubleEncoded);
    }
    if high && is_overlong(decoded) {
        record(fault, PathFault::Overlong);
    }
}

/// What a `%` without two hex digits stands for: itself.
const BAD_ESCAPE: u8 = b'%';

/// Whether a second decoding would yield a byte that means something in a path, or one more `%`.
fn is_double_encoded(decoded: &[u8]) -> bool {
    let mut rest = decoded;
    while let Some((_, tail)) = rest.split_first() {
        if let Some([high, low, ..]) = rest.strip_prefix(b"%25") {
            let second = hex(*high).zip(hex(*low));
            let second = second.map(|(high, low)| high.wrapping_shl(4) | low);
            if let Some(b'.' | b'/' | b'\\' | b'%' | 0..0x20 | 0x7f | 0xc0 | 0xc1) = second {
                return true;
            }
        }
        rest = tail;
    }
    false
}

/// Whether a sequence encodes a scalar value in more bytes than it needs (RFC 3629 §3).
fn is_overlong(bytes: &[u8]) -> bool {
    let mut previous = 0;
    bytes.iter().any(|byte| {
        let lead = core::mem::replace(&mut previous, *byte);
        matches!(
            (lead, byte),
            (_, 0xc0 | 0xc1) | (0xe0, 0x80..0xa0) | (0xf0, 0x80..0x90)
        )
    })
}

/// The first fault stays, but an encoded slash gives way: a policy may let that one through.
const fn record(fault: &mut Option<PathFault>, new: PathFault) {
    if let None | Some(PathFault::HiddenSlash) = fault {
        *fault = Some(new);
    }
}

/// Value of a hex digit.
#[inline]
pub(crate) const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        b'A'..=b'F' => Some(digit.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    }
}

/// A compiled path pattern: `/a/b` matches itself, `/a/*` matches `/a` and everything below it, `*` within a
/// segment is a wildcard, case-sensitive, on the judged path. `/a/b` does not match `/a/b/`: write `/a/b/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    /// As written.
    pub text: Vec<u8>,
    /// Length of `text` without a trailing `/*`.
    stem: usize,
    /// Whether it ends in `/*`.
    below: bool,
    /// Whether the stem has a `*`.
    wild: bool,
}

/// How specific a pattern is; the greater goes first. Exact ones before wildcards, then the longer literal
/// part, then patterns that do not end in `/*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    exact: bool,
    literal: usize,
    closed: bool,
}

impl PathPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &[u8]) -> Result<Self, &'static str> {
        if !text.starts_with(b"/") {
            return Err("a path pattern starts with `/`");
        }
        if text.iter().any(|byte| matches!(byte, b'?' | b'#')) {
            return Err("a path pattern has no query and no fragment");
        }
        if text.windows(2).any(|pair| pair == b"**") {
            return Err("write one `*`; a trailing `/*` takes everything below");
        }
        match judge(text) {
            (judged, None | Some(PathFault::HiddenSlash)) if judged.as_ref() == text => {}
            _ => {
                return Err(
                    "write the path as it is judged: decoded (only `%25`, `%2F`, `%5C` stay encoded), \
                     without `.` and `..` segments and repeated slashes",
                );
            }
        }
        let stem = text.strip_suffix(b"/*").unwrap_or(text);
        Ok(Self {
            text: text.to_vec(),
            stem: stem.len(),
            below: stem.len() < text.len(),
            wild: stem.contains(&b'*'),
        })
    }

    /// Whether `path` (judged) matches.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let stem = self.text.get(..self.stem).unwrap_or_default();
        if self.wild {
            return self.matches_segments(stem, path);
        }
        match path.strip_prefix(stem) {
            Some([]) => !self.below || !stem.is_empty(),
            Some([b'/', ..]) => self.below,
            _ => false,
        }
    }

    fn matches_segments(&self, stem: &[u8], path: &[u8]) -> bool {
        let mut segments = path.split(|byte| *byte == b'/');
        for wanted in stem.split(|byte| *byte == b'/') {
            let Some(segment) = segments.next() else {
                return false;
            };
            if !matches_wildcards(wanted, segment) {
                return false;
            }
        }
        self.below || segments.next().is_none()
    }

    /// For sorting: see [`Specificity`].
    #[must_use]
    pub fn specificity(&self) -> Specificity {
        let stem = self.text.get(..self.stem).unwrap_or_default();
        Specificity {
            exact: !self.below && !self.wild,
            literal: stem.iter().filter(|byte| **byte != b'*').count(),
            closed: !self.below,
        }
    }
}

/// `*` takes any bytes. The pieces between the stars are looked for from the left, each once.
fn matches_wildcards(pattern: &[u8], segment: &[u8]) -> bool {
    let Some(star) = pattern.iter().position(|byte| *byte == b'*') else {
        return pattern == segment;
    };
    let Some((head, tail)) = pattern.split_at_checked(star) else {
        return false;
    };
    let Some(mut rest) = segment.strip_prefix(head) else {
        return false;
    };
    let mut pieces = tail.split(|byte| *byte == b'*');
    let last = pieces.next_back().unwrap_or_default();
    for piece in pieces {
        loop {
            if let Some(after) = rest.strip_prefix(piece) {
                rest = after;
                break;
            }
            let Some((_, shorter)) = rest.split_first() else {
                return false;
            };
            rest = shorter;
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests;
