//! A list of header fields: raw bytes, in order, repeats kept, as HTTP has them and a guest sees them.
//!
//! Invariant: names are lower case (as Envoy has them) and compared without regard to case; values are any bytes.

use std::fmt;

/// Header or trailer fields, pseudo-headers (`:path`, …) among them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Vec<u8>, Vec<u8>)>);

impl Headers {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The first value of a field.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The first value of a field as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self, name: impl AsRef<[u8]>) -> Option<String> {
        self.get(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// All values of a field, in order.
    pub fn get_all(&self, name: impl AsRef<[u8]>) -> impl Iterator<Item = &[u8]> {
        self.0
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name.as_ref()))
            .map(|(_, value)| value.as_slice())
    }

    /// Adds a field at the end.
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.0
            .push((name.as_ref().to_ascii_lowercase(), value.as_ref().to_vec()));
    }

    /// Sets a field: its first occurrence is rewritten in place, the others go; added at the end if there is none.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        let mut kept = false;
        self.0.retain_mut(|(key, held)| {
            if !key.eq_ignore_ascii_case(name) {
                return true;
            }
            held.clear();
            held.extend_from_slice(value);
            !std::mem::replace(&mut kept, true)
        });
        if !kept {
            self.add(name, value);
        }
    }

    /// Adds a field as a proxy keeps it: a pseudo-header after the other pseudo-headers, any other at the end.
    pub(crate) fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = name.as_ref().to_ascii_lowercase();
        let pseudo = |field: &(Vec<u8>, Vec<u8>)| field.0.starts_with(b":");
        let at = if name.starts_with(b":") {
            self.0.iter().position(|field| !pseudo(field))
        } else {
            None
        };
        let at = at.unwrap_or(self.0.len());
        self.0.insert(at, (name, value.as_ref().to_vec()));
    }

    /// Adds to the first value of a field, after a comma; says whether there was one.
    pub(crate) fn join(&mut self, name: &[u8], value: &[u8]) -> bool {
        let Some((_, held)) = self
            .0
            .iter_mut()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
        else {
            return false;
        };
        if !held.is_empty() {
            held.push(b',');
        }
        held.extend_from_slice(value);
        true
    }

    /// Removes every occurrence of a field; says whether there was one.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> bool {
        let before = self.0.len();
        self.0
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name.as_ref()));
        self.0.len() != before
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// Number of fields, each repeat counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values added up, as Envoy counts the size of a map.
    #[must_use]
    pub fn byte_size(&self) -> usize {
        self.0
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }

    /// The `:status` of response headers.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        std::str::from_utf8(self.get(":status")?).ok()?.parse().ok()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in fields {
            headers.add(name, value);
        }
        headers
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>, const C: usize> From<[(N, V); C]> for Headers {
    fn from(fields: [(N, V); C]) -> Self {
        fields.into_iter().collect()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        f.debug_list()
            .entries(
                self.0
                    .iter()
                    .map(|(name, value)| format!("{}: {}", text(name), text(value))),
            )
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_kept_and_set_makes_one() {
        let mut headers = Headers::from([("A", "1"), ("b", "2"), ("a", "3")]);
        assert_eq!(headers.get_all("a").collect::<Vec<_>>(), [b"1", b"3"]);
        headers.set("A", [0xff, 0]);
        assert_eq!(
            headers.iter().collect::<Vec<_>>(),
            [(&b"a"[..], &[0xff, 0][..]), (b"b", b"2")]
        );
        assert!(headers.remove("B"));
        assert!(!headers.remove("b"));
        headers.set("c", "");
        assert_eq!(headers.get("c"), Some(&b""[..]));
        assert_eq!((headers.len(), headers.byte_size()), (2, 4));
    }
}
