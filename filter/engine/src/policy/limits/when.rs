//! `limits[].when`: which requests a limit counts.
//!
//! **In:** the section as written. **Out:** [`Condition`].
//! **Invariant:** a route that is not there is an error, found when all routes are read.

use alloc::vec::Vec;

use crate::policy::compile::{Compiler, bytes};
use crate::policy::read::{Located, Path, keywords, section};
use crate::policy::values::{HeaderName, Method, Name, Text};
use crate::request::target::PathPattern;
use crate::stages::limits::{Condition, HeaderTest, condition};

section! {
    /// Which requests a limit counts; all given conditions must hold.
    struct When {
        /// Methods; absent: all.
        methods: Vec<Method> = [],
        /// Path, in any case of ASCII letters and with or without a slash at the end; absent: all.
        path: Option<PathPattern>,
        /// Names of routes; absent: all.
        routes: Vec<Located<Name>> = [],
        /// A header.
        header: Option<Located<WhenHeader>>,
        /// Whether somebody was verified; absent: either.
        subject: Option<WhenSubject>,
    }
}

section! {
    /// What a header must be: there, or not, or one of some values. The client chooses it, unless something in front does.
    struct WhenHeader {
        /// Its name.
        name: HeaderName,
        /// Exactly this; case counts.
        equals: Option<Text>,
        /// One of these.
        one_of: Option<Vec<Text>>,
        /// Whether it is there at all.
        present: Option<bool>,
    }
}

keywords!(WhenSubject, "a choice", { "required" => Self::Required, "none" => Self::None });

/// Whether somebody was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenSubject {
    Required,
    None,
}

impl Compiler<'_> {
    pub(super) fn condition(&mut self, config: When) -> Condition {
        let routes = bytes(config.routes.clone(), |route| route.value.0.into_bytes());
        self.routes_meant.extend(config.routes);
        Condition {
            methods: bytes(config.methods, |it| it.0),
            path: config.path.map(|pattern| {
                let plain = PathPattern::new(&condition::plain(&pattern.text));
                plain.unwrap_or(pattern)
            }),
            routes,
            header: config.header.map(|it| self.header_test(&it.at, it.value)),
            subject: config.subject.map(|it| it == WhenSubject::Required),
        }
    }

    fn header_test(&mut self, at: &Path, config: WhenHeader) -> HeaderTest {
        let help =
            "write one of `equals: VALUE`, `one_of: [VALUE, …]`, `present: true`, `present: false`";
        let (values, present) = match (config.equals, config.one_of, config.present) {
            (Some(value), None, None) => (alloc::vec![value.0], true),
            (None, Some(values), None) if !values.is_empty() => (bytes(values, |it| it.0), true),
            (None, None, Some(present)) => (Vec::new(), present),
            (None, None, None) => (Vec::new(), true),
            _ => {
                self.errors.push(at, "says two things of a header", help);
                (Vec::new(), true)
            }
        };
        HeaderTest {
            name: config.name.0,
            values,
            present,
        }
    }
}
