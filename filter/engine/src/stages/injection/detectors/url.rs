//! URLs in values: scheme, host, port, path, and what parsers would read differently.
//!
//! **In:** a value and where a URL may start. **Out:** its parts.
//! **Invariant:** looks at most [`AUTHORITY`] bytes behind the scheme for the host and for hosts behind `@`.
//! **Source:** RFC 3986 §3, WHATWG URL; O. Tsai's parser differentials (blank, `\`, `#` and `@` in the authority).
//! **Cost:** bounded a URL.

use super::super::bytes::{byte, is_space, rest, tally, upto};
use super::address::{self, Host, Reach};

/// Bytes behind the scheme in which hosts are looked for.
const AUTHORITY: usize = 256;
/// The longest scheme.
pub(super) const SCHEME: usize = 16;

/// A URL that stands in a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Url<'a> {
    /// The scheme as it stands, empty for `//host`.
    pub(super) scheme: &'a [u8],
    /// Where it leads: the worst of what parsers may take for its host.
    pub(super) host: Host,
    /// The port, 0 when there is none.
    pub(super) port: u32,
    /// Path, query and fragment.
    pub(super) path: &'a [u8],
    /// Written so that two parsers see two hosts.
    pub(super) split: bool,
}

/// Reads the URL whose scheme starts at `at`; `//host` has none.
pub(super) fn read(value: &[u8], at: usize) -> Option<Url<'_>> {
    let text = rest(value, at);
    let scheme = scheme(text)?;
    let after = if scheme.is_empty() {
        text
    } else {
        rest(text, scheme.len().saturating_add(1))
    };
    let slashes = tally(
        after
            .iter()
            .take(4)
            .take_while(|byte| matches!(byte, b'/' | b'\\')),
    );
    if slashes == 0
        && !(scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https"))
    {
        return None;
    }
    let left = rest(after, slashes);
    let window = left.get(..AUTHORITY).unwrap_or(left);
    let end = window
        .iter()
        .position(|&byte| is_end(byte))
        .unwrap_or(window.len());
    let authority = window.get(..end).unwrap_or(window);
    let path = rest(left, end);
    let user = authority.iter().rposition(|&byte| byte == b'@');
    let hosted = user.map_or(authority, |user| rest(authority, user.saturating_add(1)));
    let (mut host, port) = host_and_port(hosted);
    // Without slashes only a number of full length is an address: `http:8080` is a note.
    if slashes == 0
        && !(host.address && (is_long(hosted) || hosted.contains(&b'[') || dots(hosted) == 3))
    {
        return None;
    }
    host.odd |= slashes == 0;
    let mut split = user.is_some_and(|user| {
        let name = authority.get(..user).unwrap_or(&[]);
        host.address && name.contains(&b'.') || name.contains(&b'\\')
    });
    // `http://a.example/:x@b.example/`: what one reader undoes is a name and its password to the other.
    let segment = rest(path, 1);
    let segment = segment
        .get(
            ..upto(segment, 96)
                .iter()
                .position(|&byte| byte == b'/')
                .unwrap_or(0),
        )
        .unwrap_or(&[]);
    split |= path.first() == Some(&b'/') && segment.starts_with(b":") && segment.contains(&b'@');
    // `http://a.example &@10.0.0.1/`, `http://10.0.0.1:80\@a.example`: another parser's host.
    let mut from = 0_usize;
    for _ in 0..4 {
        let Some(step) = rest(window, from)
            .iter()
            .position(|&byte| matches!(byte, b'@' | b'\\'))
        else {
            break;
        };
        let sign = from.saturating_add(step);
        from = sign.saturating_add(1);
        let candidate = if byte(window, sign) == b'@' {
            let name = rest(window, from);
            let end = name
                .iter()
                .position(|&byte| is_end(byte))
                .unwrap_or(name.len());
            name.get(..end).unwrap_or(name)
        } else {
            window.get(..sign).unwrap_or(&[])
        };
        let (other, _) = host_and_port(candidate);
        // `/maps/@52.52,13.4,15z`: a place on a map.
        let map = byte(window, sign.saturating_sub(1)) == b'/'
            && byte(window, sign) == b'@'
            && byte(window, from.saturating_add(candidate.len())) == b',';
        if map {
            continue;
        }
        let beyond = sign > end || byte(window, sign) == b'\\';
        if beyond && (other.reach > Reach::Public || other.address) {
            split = true;
            host.reach = host.reach.max(other.reach);
        }
    }
    Some(Url {
        scheme,
        host,
        port,
        path,
        split,
    })
}

/// The scheme in front of a colon at the start of `text`; empty for `//`.
fn scheme(text: &[u8]) -> Option<&[u8]> {
    if text.starts_with(b"//") && byte(text, 2) != b'/' {
        return Some(&[]);
    }
    let length = upto(text, SCHEME).iter().position(|&byte| byte == b':')?;
    let scheme = text.get(..length)?;
    let legal =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_');
    (scheme.first()?.is_ascii_alphabetic() && scheme.iter().all(legal)).then_some(scheme)
}

/// Where the URL starts whose `://` stands at `colon`.
pub(super) fn start(value: &[u8], colon: usize) -> usize {
    let before = value
        .get(colon.saturating_sub(SCHEME)..colon)
        .unwrap_or(&[]);
    let name = before
        .iter()
        .rposition(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
        .map_or(0, |at| at.saturating_add(1));
    let length = before.len().saturating_sub(name);
    colon.saturating_sub(length)
}

const fn is_end(byte: u8) -> bool {
    matches!(
        byte,
        b'/' | b'?'
            | b'#'
            | b'"'
            | b'\''
            | b'<'
            | b'>'
            | b'`'
            | b'|'
            | b','
            | b';'
            | b'!'
            | b'('
            | b')'
    ) || is_space(byte)
        || byte == 0
}

fn dots(host: &[u8]) -> usize {
    tally(host.iter().filter(|&&byte| byte == b'.'))
}

/// At least nine decimal or seven hex digits.
fn is_long(host: &[u8]) -> bool {
    let hex = host
        .strip_prefix(b"0x")
        .or_else(|| host.strip_prefix(b"0X"));
    let digits = hex.unwrap_or(host);
    let least = if hex.is_some() { 7 } else { 9 };
    digits.len() >= least && digits.iter().all(u8::is_ascii_hexdigit)
}

/// Splits the port off.
fn host_and_port(text: &[u8]) -> (Host, u32) {
    if text.first() == Some(&b'[') {
        let end = text
            .iter()
            .position(|&byte| byte == b']')
            .unwrap_or(text.len());
        let port = rest(text, end.saturating_add(2));
        return (
            address::read(text.get(..=end).unwrap_or(text)),
            decimal(port),
        );
    }
    let colon = text.iter().position(|&byte| byte == b':');
    let split = colon.unwrap_or(text.len());
    let port = rest(text, split.saturating_add(1));
    // `https://2001:db8::1/`: an address without its brackets.
    if port.contains(&b':')
        && text
            .iter()
            .all(|byte| byte.is_ascii_hexdigit() || *byte == b':')
    {
        let host = Host {
            address: true,
            ..address::read(b"")
        };
        return (host, 0);
    }
    (
        address::read(text.get(..split).unwrap_or(text)),
        decimal(port),
    )
}

fn decimal(text: &[u8]) -> u32 {
    let digits = text.iter().take(5).take_while(|byte| byte.is_ascii_digit());
    digits.fold(0_u32, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(u32::from(digit.wrapping_sub(b'0')))
    })
}

#[cfg(test)]
mod tests {
    use super::super::address::Reach;
    use super::{read, start};

    #[test]
    fn a_url_has_its_parts() {
        let url = read(b"http://user:pw@192.168.1.10:8080/cam?x=1", 0).unwrap();
        assert_eq!(
            (url.scheme, url.port, url.path),
            (&b"http"[..], 8080, &b"/cam?x=1"[..])
        );
        assert_eq!(url.host.reach, Reach::Inside);
        assert!(!url.split);
        let url = read(b"see https://[2001:db8::1]:81/", 4).unwrap();
        assert_eq!((url.host.address, url.port), (true, 81));
        assert_eq!(start(b"see https://x", 9), 4);
        assert!(read(b"//10.0.0.1/x", 0).unwrap().scheme.is_empty());
    }

    #[test]
    fn what_two_parsers_read_differently_is_split() {
        for text in [
            "http://good.example@127.0.0.1/",
            "http://google.com:80 &@127.88.23.245:22/#",
            "http://127.1.1.1:80\\@a.example/",
            "http://a.example:80#\\@10.2.2.2:80/",
            "http://a.example/@10.0.0.1/",
        ] {
            let url = read(text.as_bytes(), 0).unwrap();
            assert!(
                url.split && url.host.reach == Reach::Inside,
                "{text} {url:?}"
            );
        }
        for text in [
            "https://a.example/@joe",
            "https://joe@a.example/",
            "https://a.example/?m=joe@b.example",
        ] {
            assert!(!read(text.as_bytes(), 0).unwrap().split, "{text}");
        }
    }

    #[test]
    fn a_note_with_a_colon_is_no_url() {
        for text in [
            "http:8080",
            "http: yes",
            "https:",
            "note:8.8.8.8",
            "12:30",
            "a b://c",
            "http:0xABCDEF",
            "http:0xA9.0xFE.0xA9",
        ] {
            assert!(read(text.as_bytes(), 0).is_none(), "{text}");
        }
        assert!(read(b"http:2852039166", 0).unwrap().host.odd);
    }
}
