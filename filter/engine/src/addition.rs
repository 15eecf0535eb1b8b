//! What an allowed request adds to its response: fields that the application may overrule, and some that replace its own.
//!
//! **In:** a field to add, the fields of the upstream's response. **Out:** whether it is added.
//! **Invariant:** the application has the last word: what it says of the same cookie or field stands alone, and a
//! response that clears the site's data gets no cookie. A response that says shared caches may store it gets nothing:
//! they would hand one client's session to others.
//! **Source:** RFC 6265 §5.2 (names of cookies), RFC 9111 §5.2.2 (`public`, `s-maxage`), W3C Clear Site Data.

use alloc::vec::Vec;

use crate::request::cookie::trim;

/// A field to add to the upstream's response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// Field name, lower case.
    pub name: Vec<u8>,
    /// Field value.
    pub value: Vec<u8>,
    /// The cookie it sets, when it is `set-cookie`.
    pub cookie: Option<Vec<u8>>,
    /// It stands in place of the application's fields of that name, whatever they say: what only we know.
    pub replaces: bool,
}

impl Addition {
    /// A field that replaces the application's.
    #[must_use]
    pub fn replacing(name: &str, value: Vec<u8>) -> Self {
        let mut copied = Vec::new();
        copied.extend_from_slice(name.as_bytes());
        Self {
            name: copied,
            value,
            cookie: None,
            replaces: true,
        }
    }

    /// Whether the upstream's response, whose fields these are, leaves room for it.
    #[must_use]
    pub fn fits<'a>(&self, response: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> bool {
        if self.replaces {
            return true;
        }
        for (name, value) in response {
            let overruled = match &self.cookie {
                Some(cookie) if name.eq_ignore_ascii_case(b"set-cookie") => {
                    cookie_name(value) == cookie
                }
                Some(_) => name.eq_ignore_ascii_case(b"clear-site-data"),
                None => name.eq_ignore_ascii_case(&self.name),
            };
            if overruled || (name.eq_ignore_ascii_case(b"cache-control") && is_shared(value)) {
                return false;
            }
        }
        true
    }
}

/// The name in a `set-cookie` value.
fn cookie_name(value: &[u8]) -> &[u8] {
    let pair = value.split(|byte| *byte == b';').next().unwrap_or_default();
    trim(pair.split(|byte| *byte == b'=').next().unwrap_or_default())
}

/// Whether a `cache-control` value lets shared caches store what it stands on.
fn is_shared(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|directive| {
        let name = directive.split(|byte| *byte == b'=').next();
        let name = trim(name.unwrap_or_default());
        name.eq_ignore_ascii_case(b"public") || name.eq_ignore_ascii_case(b"s-maxage")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_application_has_the_last_word() {
        let cookie = Addition {
            name: b"set-cookie".to_vec(),
            value: b"sid=v1.x.y; Path=/".to_vec(),
            cookie: Some(b"sid".to_vec()),
            replaces: false,
        };
        let header = Addition {
            name: b"x-session".to_vec(),
            value: b"v1.x.y".to_vec(),
            cookie: None,
            replaces: false,
        };
        // Name and value of a response field; whether the cookie, whether the header is added beside it.
        let cases: &[(&str, &str, bool, bool)] = &[
            ("content-type", "text/html", true, true),
            ("set-cookie", "theme=dark; Path=/", true, true),
            ("set-cookie", "sid=; Max-Age=0", false, true),
            ("Set-Cookie", " sid =gone; Path=/", false, true),
            ("set-cookie", "sid", false, true),
            ("set-cookie", "SID=x", true, true),
            ("set-cookie", "xsid=x; sid=1", true, true),
            ("clear-site-data", "\"cookies\"", false, true),
            ("x-session", "theirs", true, false),
            ("cache-control", "private, max-age=60", true, true),
            ("cache-control", "max-age=60, Public", false, false),
            ("cache-control", "s-maxage=60", false, false),
            ("cache-control", "no-store, s-maxage = 60", false, false),
        ];
        for (name, value, with_cookie, with_header) in cases {
            let fields = || [(name.as_bytes(), value.as_bytes())].into_iter();
            assert_eq!(cookie.fits(fields()), *with_cookie, "{name}: {value}");
            assert_eq!(header.fits(fields()), *with_header, "{name}: {value}");
        }
        assert!(cookie.fits(core::iter::empty()));
    }
}
