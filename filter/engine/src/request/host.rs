//! The host of an authority, and host patterns.
//!
//! **In:** `:authority` or `host` as received. **Out:** the host alone, to be compared without regard to case.
//! **Invariant:** an authority with userinfo, a `/`, a blank, a control byte or a byte over 0x7f has no host:
//! readers disagree about it. Stricter than RFC 3986 §3.2.2: no `%` and no sub-delimiters in a name.
//! **Source:** RFC 3986 §3.2, RFC 9110 §4.2 and §7.2.

/// Host of an authority, without its port and one trailing dot; `None` when it is malformed (or empty).
#[must_use]
pub fn of(authority: &[u8]) -> Option<&[u8]> {
    let (host, port) = if authority.first() == Some(&b'[') {
        let end = authority.iter().position(|byte| *byte == b']')?;
        let (host, port) = authority.split_at_checked(end.saturating_add(1))?;
        let inside = host.strip_prefix(b"[")?.strip_suffix(b"]")?;
        let is_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        if inside.is_empty() || !inside.iter().all(is_address) {
            return None;
        }
        (host, port)
    } else {
        let end = authority.iter().position(|byte| *byte == b':');
        let (host, port) = match end {
            Some(end) => authority.split_at_checked(end)?,
            None => (authority, &b""[..]),
        };
        let host = host.strip_suffix(b".").unwrap_or(host);
        let is_name =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if host.is_empty() || !host.iter().all(is_name) {
            return None;
        }
        (host, port)
    };
    match port.split_first() {
        None => Some(host),
        Some((b':', digits)) if digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) => {
            Some(host)
        }
        Some(_) => None,
    }
}

/// Whether `host` (see [`of`]) matches a lower-case pattern: a name, or `*.example.com` for any subdomain of
/// `example.com` (not itself).
#[must_use]
pub fn matches(pattern: &[u8], host: &[u8]) -> bool {
    match pattern.strip_prefix(b"*") {
        Some(suffix) => {
            let start = host.len().checked_sub(suffix.len());
            start
                .filter(|start| *start > 0)
                .and_then(|start| host.get(start..))
                .is_some_and(|end| suffix.starts_with(b".") && end.eq_ignore_ascii_case(suffix))
        }
        None => pattern.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        const CASES: &[(&[u8], Option<&[u8]>)] = &[
            (b"shop.example", Some(b"shop.example")),
            (b"Shop.Example.:8080", Some(b"Shop.Example")),
            (b"a_b-c.d:", Some(b"a_b-c.d")),
            (b"127.0.0.1:80", Some(b"127.0.0.1")),
            (b"[2001:db8::1]:443", Some(b"[2001:db8::1]")),
            (b"[::ffff:1.2.3.4]", Some(b"[::ffff:1.2.3.4]")),
            (b"", None),
            (b".", None),
            (b":80", None),
            (b"a:b", None),
            (b"a:123456", None),
            (b"a:80:80", None),
            (b"user@a", None),
            (b"user:80@a", None),
            (b"a/b", None),
            (b"a b", None),
            (b"a\\b", None),
            (b"a?b", None),
            (b"a#b", None),
            (b"a%41", None),
            (b"a,b", None),
            (b"[::1", None),
            (b"[]", None),
            (b"[::1]x", None),
            (b"[::1%25eth0]", None),
            (b"2001:db8::1", None),
        ];
        for (authority, expected) in CASES {
            assert_eq!(of(authority), *expected, "{}", authority.escape_ascii());
        }
        for byte in (0..0x21).chain(0x7f..=0xff) {
            assert_eq!(of(&[b'a', byte, b'b']), None);
            assert_eq!(of(&[b'[', byte, b']']), None);
        }
    }

    #[test]
    fn patterns() {
        const CASES: &[(&[u8], &[u8], bool)] = &[
            (b"shop.example", b"SHOP.example", true),
            (b"shop.example", b"xshop.example", false),
            (b"*.shop.example", b"a.Shop.example", true),
            (b"*.shop.example", b"a.b.shop.example", true),
            (b"*.shop.example", b"shop.example", false),
            (b"*.shop.example", b".shop.example", false),
            (b"*.shop.example", b"ashop.example", false),
            (b"*", b"a", false),
            (b"", b"", true),
        ];
        for (pattern, host, expected) in CASES {
            assert_eq!(matches(pattern, host), *expected, "{}", host.escape_ascii());
        }
    }
}
