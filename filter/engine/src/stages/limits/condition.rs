//! Which requests a limit counts.
//!
//! **In:** what is known of a request. **Out:** counted or not.
//! **Invariant:** a path counts in every spelling that some reader takes for it: ASCII letters in any case, a slash at the end. A limit
//! on `/login` that misses `/Login/` guards nothing. A header that is sent several times is looked at in all its values: one that fits is enough to be counted.

use alloc::vec::Vec;

use super::Facts;
use crate::request::target::PathPattern;

/// Which requests a limit counts; all given conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// Methods; empty: all.
    pub methods: Vec<Vec<u8>>,
    /// Path pattern, [`plain`]; `None`: all.
    pub path: Option<PathPattern>,
    /// Names of routes; empty: all.
    pub routes: Vec<Vec<u8>>,
    /// A header.
    pub header: Option<HeaderTest>,
    /// Whether somebody was verified; `None`: either.
    pub subject: Option<bool>,
}

/// What a header must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderTest {
    /// Its name, lower case.
    pub name: Vec<u8>,
    /// One of these; empty: any value.
    pub values: Vec<Vec<u8>>,
    /// Whether it is there, with such a value.
    pub present: bool,
}

impl HeaderTest {
    fn holds(&self, facts: &Facts<'_>) -> bool {
        let mut values = facts.head.into_iter().flat_map(|head| head.all(&self.name));
        let found = values.any(|value| {
            self.values.is_empty() || self.values.iter().any(|wanted| wanted == value)
        });
        found == self.present
    }
}

impl Condition {
    /// Whether a request is counted.
    #[must_use]
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        self.fits_head(facts)
            && self
                .subject
                .is_none_or(|wanted| facts.subject.is_some() == wanted)
    }

    /// Whether its head is that of a request that is counted: true before the subject is known.
    #[must_use]
    pub fn fits_head(&self, facts: &Facts<'_>) -> bool {
        self.fits(facts.method, facts.path)
            && (self.routes.is_empty() || self.routes.iter().any(|one| one == facts.route))
            && self.header.as_ref().is_none_or(|test| test.holds(facts))
    }

    /// Whether method and path are those of a request that is counted.
    #[must_use]
    pub fn fits(&self, method: &[u8], path: &[u8]) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|one| one == method))
            && self.path.as_ref().is_none_or(|pattern| {
                pattern.matches(path) || (!is_plain(path) && pattern.matches(&plain(path)))
            })
    }
}

fn is_plain(path: &[u8]) -> bool {
    !path.ends_with(b"/") && !path.iter().any(u8::is_ascii_uppercase)
}

/// A judged path or its pattern in ASCII lower case, without a slash at the end; escapes stay as they are.
#[must_use]
pub fn plain(path: &[u8]) -> Vec<u8> {
    let path = match path {
        [stem @ .., b'/'] if !stem.is_empty() => stem,
        whole => whole,
    };
    let mut out = Vec::with_capacity(path.len());
    let mut escaped = 0_u8;
    for byte in path {
        if *byte == b'%' {
            escaped = 3;
        }
        out.push(if escaped > 0 {
            *byte
        } else {
            byte.to_ascii_lowercase()
        });
        escaped = escaped.saturating_sub(1);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_counts_in_every_spelling_that_is_read_alike() {
        let fits = |pattern: &str, path: &str| {
            let condition = Condition {
                path: PathPattern::new(&plain(pattern.as_bytes())).ok(),
                ..Condition::default()
            };
            assert!(condition.path.is_some(), "{pattern}");
            condition.fits(b"GET", path.as_bytes())
        };
        for (pattern, path, expected) in [
            ("/login", "/login", true),
            ("/login", "/login/", true),
            ("/login", "/LOGIN", true),
            ("/Login/", "/lOgin", true),
            ("/login", "/login/x", false),
            ("/login", "/logi", false),
            ("/Api/*", "/api/A", true),
            ("/api/*", "/API", true),
            ("/api/*/x", "/API/1/X/", true),
            ("/", "/", true),
            ("/", "/a", false),
            ("/a%2Fb", "/A%2Fb", true),
            ("/a%2Fb", "/A%2FB/", true),
            ("/é", "/é/", true),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }
}
