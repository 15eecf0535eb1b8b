//! The detectors: one file a language, all over the same view of a value.
//!
//! **In:** a [`View`]: decoded bytes, the classes of its bytes, the languages whose words it has, marks of neighbours. **Out:** hits, the best of each class.
//! **Invariant:** a detector looks only where a byte class or a word says that its language may be there; each is one bounded pass.
//! **Cost:** one pass for words; then what the detectors that have reason to look spend.

mod address;
mod code;
mod crlf;
mod gate;
mod geometry;
#[cfg(test)]
mod honest;
mod java;
mod java_words;
mod jndi;
mod ldap;
mod node;
mod node_calls;
mod node_forms;
mod nosql;
mod nosql_stores;
mod objects;
mod php;
mod php_variables;
mod php_words;
mod prose;
mod prototype;
mod random;
mod rfi;
mod shell;
mod sql_tokens;
mod sqli;
mod ssrf;
mod ssti;
mod ssti_expr;
mod ssti_whole;
mod traversal;
mod trigger_words;
mod triggers;
mod upload;
mod url;
mod words;
mod xpath;
mod xss;
mod xss_attribute;
mod xss_calls;
mod xss_html;
mod xss_script;
mod xxe;

use alloc::vec::Vec;

use super::bytes::{HIGH, LINE, LOUD};
use super::inspection::Place;
use super::{Class, Hits, SET_UP, Strength, bytes, spend};
use gate::Who;
pub(super) use random::is_secret;
pub(super) use sql_tokens::Token;
pub(super) use sqli::shape;
use triggers::{PATH, RFI, Seen};

/// Bytes of a quiet value whose words are looked at.
const LONG: usize = 96;

/// A value as it may reach an interpreter.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    /// The bytes.
    pub(super) bytes: &'a [u8],
    /// Classes of the bytes (`bytes::classes`).
    pub(super) classes: u32,
    /// Languages whose words stand in it (`triggers`).
    pub(super) words: u32,
    /// Neighbours of bytes that patterns begin with (`triggers`).
    pub(super) marks: u32,
    /// Patterns of SQL that can stand anywhere have something to be made of (`triggers`).
    pub(super) of_sql: bool,
    /// Where the value stands.
    pub(super) place: Place,
    /// Name of the field, as exceptions know it; empty: the path, or a whole body.
    pub(super) name: &'a [u8],
    /// The view is of the name, not of the value.
    pub(super) is_name: bool,
    /// The value is the name of a file that somebody sends.
    pub(super) is_file: bool,
}

impl<'a> View<'a> {
    /// Reads the words of `bytes`, of the classes `classes`.
    pub(super) fn new(place: Place, name: &'a [u8], bytes: &'a [u8], classes: u32) -> Self {
        // A name that is longer is none of a language.
        let Seen {
            words,
            marks,
            of_sql,
        } = if classes & LOUD == 0 && bytes.len() > LONG {
            Seen::default()
        } else {
            triggers::look(bytes, classes)
        };
        Self {
            bytes,
            classes,
            words,
            marks,
            of_sql,
            place,
            name,
            is_name: false,
            is_file: false,
        }
    }

    /// Whether what was found in the value of a body's field, `hits`, might be something else under another name.
    pub(super) fn asks_for_name(&self, hits: &Hits) -> bool {
        self.words & (RFI | PATH) != 0 || hits.get(Class::Ssrf).is_some() || is_secret(self.name)
    }
}

/// Whether a word is listed: as a language's own, a command, a name that a detector knows.
pub(super) fn knows(word: &[u8]) -> bool {
    trigger_words::knows(word) || sql_tokens::knows(word)
}

/// Whether a value that is plain otherwise is a stream of objects in base64.
pub(super) fn packed(value: &[u8]) -> bool {
    objects::packed(value)
}

/// Whether a value is to be looked at though all of its bytes are plain: `http:2130706433`, `@@version`, blanks beyond ASCII.
pub(super) fn is_worth_it(value: &[u8], classes: u32) -> bool {
    match value {
        [b'@', b'@', ..] | [b'@', .., b'-', b'-'] | [b'-', b'-', b's' | b'S', ..] => true,
        [b'0'..=b'9', b'.', b'e' | b'E', b'.', ..] => true,
        [b'h' | b'H', ..] if bytes::has_at(value, 0, b"http:") => true,
        _ => classes & HIGH != 0 && sqli::is_spaced(value),
    }
}

/// Detectors in turn, until the steps are spent.
macro_rules! each {
    ($view:ident, $steps:ident, $hits:ident: $($scan:path),*) => {
        $(
            $scan($view, $steps, $hits);
            if *$steps == 0 {
                return;
            }
        )*
    };
}

/// All detectors over one view, as far as the steps go.
pub(super) fn scan(view: &View<'_>, tokens: &mut Vec<Token>, steps: &mut u64, hits: &mut Hits) {
    match gate::who(view) {
        Who::Nobody => {}
        Who::Worded => gate::scan(view, tokens, steps, hits),
        Who::Everybody => {
            scan_all(view, tokens, steps, hits);
            // A tag is one whatever stands around it.
            if !hits.is_empty() && hits.get(Class::Xss).is_none() && random::is_random(view) {
                *hits = Hits::default();
            }
            temper(view, hits);
            return;
        }
    }
    if cfg!(debug_assertions) && *steps > 0 {
        let (mut most, mut all) = (crate::budget::MAX_STEPS, Hits::default());
        scan_all(view, tokens, &mut most, &mut all);
        debug_assert_eq!(*hits, all, "{}", view.bytes.escape_ascii());
    }
    temper(view, hits);
}

/// What is no hit, or less of one, for what the value is as a whole.
fn temper(view: &View<'_>, hits: &mut Hits) {
    if hits.get(Class::Sqli).is_some() && geometry::is_geometry(view.bytes) {
        *hits = Hits::default();
    }
    // Who writes of programs at length writes of several languages.
    if view.classes & LINE != 0 && hits.is_doubtful() && code::is_document(view.bytes) {
        hits.keep_one();
    }
}

/// The detectors of mark-up alone, over a document whose values are looked at one by one.
pub(super) fn scan_markup(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    if gate::who(view) != Who::Nobody {
        each!(view, steps, hits: xss::scan, xxe::scan);
    }
}

fn scan_all(view: &View<'_>, tokens: &mut Vec<Token>, steps: &mut u64, hits: &mut Hits) {
    each!(view, steps, hits: java::scan, java::expressions, node::scan, objects::scan, php::scan, prototype::scan);
    if view.classes & LOUD == 0 {
        sqli::quiet(view, tokens, steps, hits);
        traversal::asked(view, hits);
        traversal::odd_climb(view, hits);
        if view.place == Place::Header {
            traversal::sent(view, hits);
        }
        if bytes::has_at(view.bytes, 0, b"http:") {
            ssrf::scan(view, steps, hits);
        }
        return;
    }
    sqli::scan(view, tokens, steps, hits);
    each!(
        view, steps, hits: ssrf::scan, crlf::scan, jndi::scan, ldap::scan, nosql::scan, rfi::scan, shell::scan, ssti::scan,
        traversal::scan, xpath::scan, xss::scan, xxe::scan
    );
}

/// What the detectors make of `bytes` as a query value.
#[cfg(test)]
fn hits_of(bytes: &[u8]) -> Vec<(Class, Strength)> {
    hits_of_named(Place::Query, b"q", bytes)
}

/// What the detectors make of `bytes` as the value of a field.
#[cfg(test)]
fn hits_of_named(place: Place, name: &[u8], bytes: &[u8]) -> Vec<(Class, Strength)> {
    let view = View::new(place, name, bytes, bytes::classes(bytes));
    let mut hits = Hits::default();
    scan(
        &view,
        &mut Vec::new(),
        &mut crate::budget::MAX_STEPS.clone(),
        &mut hits,
    );
    let best = |class| hits.get(class).map(|(strength, _)| (class, strength));
    Class::ALL.into_iter().filter_map(best).collect()
}

#[cfg(test)]
mod tests {
    use super::{Class, Strength, hits_of};

    #[test]
    fn a_value_can_be_of_several_classes() {
        let hits = hits_of(b"<script>alert(1)</script>' OR 1=1--");
        assert!(
            hits.contains(&(Class::Sqli, Strength::Decisive)),
            "{hits:?}"
        );
        assert!(hits.contains(&(Class::Xss, Strength::Decisive)), "{hits:?}");
        assert!(hits_of(b"O'Brien & sons").is_empty());
    }
}
