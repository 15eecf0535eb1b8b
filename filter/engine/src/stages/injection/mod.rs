//! Injection detection: every value of a request, decoded, judged by language.
//!
//! **In:** the head's target, fields and cookies, then a body. **Out:** findings with place and evidence, and a denial at the threshold.
//! **Invariant:** a value is judged as the application's first decoding shows it and as deep decoding shows it; the score of a
//! request is that of its worst value (the sum over classes of the best hit in each) and the points of operator patterns,
//! so that weak hits in many fields never add up.
//! **Cost:** one class look-up a byte proves most values plain; each further pass is linear and paid from the step budget.

mod ampersands;
mod body;
mod bytes;
mod clean;
mod decode;
mod detectors;
mod explain;
mod fields;
mod graphql;
mod headers;
#[cfg(test)]
mod hidden;
mod inspection;
mod lanes;
mod multipart;
mod nested;
mod places;
mod protocol;
mod repeated;
mod rules;
mod scanners;
mod seen;
#[cfg(test)]
mod tests;
mod xml;

use alloc::vec::Vec;

use crate::budget::MAX_STEPS;
use crate::finding::Findings;
use crate::pattern::Pattern;
use crate::request::RequestHead;
use crate::request::body::BodyKind;
use crate::units::UnixTime;
use crate::verdict::Denial;

pub use clean::Clean;
pub use explain::{Decoded, Explained, Match, Value};
pub(crate) use inspection::Inspection;
use inspection::{Encoding, Place};
pub use rules::{Exception, Rules, Used, Uses};

/// The compiled `injection` section.
#[derive(Debug, Clone)]
pub struct InjectionStage {
    /// Levels and thresholds.
    pub rules: Rules,
    /// Routes that have their own, by name.
    pub routes: Vec<(Vec<u8>, Rules)>,
    /// What is looked at.
    pub inspect: Parts,
    /// Narrow exceptions.
    pub except: Vec<Exception>,
    /// Operator patterns; each match scores `score` as class `custom`.
    pub patterns: Vec<OperatorPattern>,
    /// Names of scanners are findings.
    pub scanners: bool,
    /// Steps that a head, and a body, may spend.
    pub steps: u64,
    /// When they are spent: what was looked at until then is the verdict, and a finding says so. Otherwise the request is refused.
    pub prefix: bool,
}

/// Which parts of a request are inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Path and query.
    pub target: bool,
    /// Header values.
    pub headers: bool,
    /// Cookies.
    pub cookies: bool,
    /// Bodies.
    pub body: bool,
    /// Into bearer tokens: nobody else reads them.
    pub tokens: bool,
}

impl Parts {
    /// Every part.
    pub const ALL: Self = Self {
        target: true,
        headers: true,
        cookies: true,
        body: true,
        tokens: true,
    };
}

/// Where and when a request is inspected: what exceptions and rules ask for.
#[derive(Debug, Clone, Copy)]
pub struct Here<'a> {
    /// Name of the matched route.
    pub route: &'a [u8],
    /// Wall time: exceptions expire.
    pub now: UnixTime,
    /// Of a form: the query, whose values a server may join with the form's.
    pub query: &'a [u8],
}

impl<'a> Here<'a> {
    /// On a route, at a time.
    #[must_use]
    pub const fn new(route: &'a [u8], now: UnixTime) -> Self {
        Self {
            route,
            now,
            query: b"",
        }
    }

    /// With the query of the request.
    #[must_use]
    pub const fn with_query(self, query: &'a [u8]) -> Self {
        Self { query, ..self }
    }
}

/// Declares [`Class`] once: variant, name in the policy and in events, family, meaning.
macro_rules! classes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal in $family:literal,)*) => {
        /// Attack classes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Class {
            $($(#[$doc])* $variant,)*
        }

        impl Class {
            /// All classes, in the order of the enum.
            pub const ALL: [Self; CLASSES] = [$(Self::$variant,)*];

            /// Name in the policy and in events.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Position in [`Class::ALL`].
            #[expect(clippy::as_conversions, reason = "a discriminant below 256")]
            const fn slot(self) -> usize {
                self as usize
            }

            /// Its bit in a set of classes.
            #[expect(clippy::as_conversions, reason = "a discriminant below 32")]
            const fn bit(self) -> u32 {
                1_u32.wrapping_shl(self as u32)
            }

            /// Classes of one family look at the same thing from several sides: only the best of them counts in a value.
            const fn family(self) -> usize {
                match self { $(Self::$variant => $family,)* }
            }
        }
    };
}

/// Number of classes.
const CLASSES: usize = 21;
/// Number of families.
const FAMILIES: usize = 13;

classes! {
    /// An operator's pattern.
    Custom = "custom" in 0,
    /// Still URL-encoded after [`crate::budget::MAX_DECODE_ROUNDS`] rounds.
    Encoding = "encoding" in 1,
    /// Parts that two parsers read differently.
    Protocol = "protocol" in 1,
    /// Header splitting.
    Crlf = "crlf" in 2,
    /// Java code and objects.
    Java = "java" in 3,
    /// JNDI look-ups.
    Jndi = "jndi" in 3,
    /// LDAP filters.
    Ldap = "ldap" in 4,
    /// Server-side JavaScript.
    Node = "node" in 3,
    /// NoSQL operators.
    Nosql = "nosql" in 5,
    /// PHP code and objects.
    Php = "php" in 3,
    /// Prototype pollution.
    Prototype = "prototype" in 3,
    /// Remote inclusion.
    Rfi = "rfi" in 6,
    /// Names of scanners.
    Scanner = "scanner" in 12,
    /// Shell.
    Shell = "shell" in 8,
    /// SQL.
    Sqli = "sqli" in 9,
    /// Server-side request forgery.
    Ssrf = "ssrf" in 6,
    /// Templates.
    Ssti = "ssti" in 3,
    /// Path traversal.
    Traversal = "traversal" in 6,
    /// XPath.
    Xpath = "xpath" in 4,
    /// Cross-site scripting.
    Xss = "xss" in 10,
    /// XML entities and inclusion.
    Xxe = "xxe" in 11,
}

/// An operator's pattern.
#[derive(Debug, Clone)]
pub struct OperatorPattern {
    /// Name.
    pub name: Vec<u8>,
    /// Matcher.
    pub pattern: Pattern,
    /// Points.
    pub score: u32,
}

/// How much a hit weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
    /// Counts from level 2.
    Weak,
    /// Needs a second class, or a higher level.
    Suspicious,
    /// An attack by itself at the default threshold.
    Decisive,
}

impl Strength {
    /// The level a hit is of: the lowest `injection.level` at which it blocks by itself, at the default threshold.
    pub(crate) const fn level(self) -> u8 {
        match self {
            Self::Decisive => 1,
            Self::Suspicious => 3,
            Self::Weak => 4,
        }
    }

    /// Points at a level (1..=4).
    const fn points(self, level: u8) -> u32 {
        match (self, level) {
            (Self::Decisive, _) | (Self::Suspicious, 3..) | (Self::Weak, 4..) => 5,
            (Self::Suspicious, 2) => 4,
            (Self::Suspicious, _) | (Self::Weak, 3) => 3,
            (Self::Weak, 2) => 2,
            (Self::Weak, _) => 0,
        }
    }
}

/// The best hit of each built-in class in one view of a value.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Hits {
    best: [Option<(Strength, usize)>; CLASSES],
    any: bool,
}

impl Hits {
    /// Keeps the hit if it is the strongest of its class.
    pub(crate) fn add(&mut self, class: Class, strength: Strength, at: usize) {
        if let Some(best) = self.best.get_mut(class.slot())
            && best.is_none_or(|(old, _)| old < strength)
        {
            *best = Some((strength, at));
            self.any = true;
        }
    }

    /// Whether there is no hit.
    pub(crate) const fn is_empty(&self) -> bool {
        !self.any
    }

    fn get(&self, class: Class) -> Option<(Strength, usize)> {
        self.best.get(class.slot()).copied().flatten()
    }

    /// Whether there are hits of several classes, and none is an attack by itself.
    fn is_doubtful(&self) -> bool {
        let mut doubts = 0_u8;
        for &(strength, _) in self.best.iter().flatten() {
            match strength {
                Strength::Decisive => return false,
                Strength::Suspicious => doubts = doubts.saturating_add(1),
                Strength::Weak => {}
            }
        }
        doubts > 1
    }

    /// Keeps the first doubt as one, and the others as mentions.
    fn keep_one(&mut self) {
        let doubts = self.best.iter_mut().flatten();
        for (strength, _) in doubts
            .filter(|(strength, _)| *strength == Strength::Suspicious)
            .skip(1)
        {
            *strength = Strength::Weak;
        }
    }

    /// Whether nothing more can be learnt about a class.
    pub(crate) fn is_decisive(&self, class: Class) -> bool {
        self.get(class)
            .is_some_and(|(strength, _)| strength == Strength::Decisive)
    }
}

/// Pays for a light pass over `bytes` bytes: an eighth of a step each, and one for it. Callers whose passes do more pay for more
/// bytes. How many was fitted to the fuel of some thousand texts made to be laborious: the least for honest bodies with which no
/// text does much more for a step than another (`tests/e2e/costs.rs`).
pub(crate) fn spend(steps: &mut u64, bytes: usize) {
    let pass = u64::try_from(bytes >> 3).unwrap_or(u64::MAX);
    *steps = steps.saturating_sub(pass.saturating_add(1));
}

/// Bytes that beginning is worth where a scan has much to set up.
pub(crate) const SET_UP: usize = 184;

impl InjectionStage {
    /// All parts, at one level (1..=4) and threshold, without exceptions and patterns.
    #[must_use]
    pub const fn new(level: u8, threshold: u32) -> Self {
        Self {
            rules: Rules::new(level, threshold),
            routes: Vec::new(),
            inspect: Parts::ALL,
            except: Vec::new(),
            patterns: Vec::new(),
            scanners: false,
            steps: MAX_STEPS,
            prefix: false,
        }
    }

    /// The rules of a route.
    fn rules_of(&self, route: &[u8]) -> &Rules {
        let own = self.routes.iter().find(|(name, _)| name == route);
        own.map_or(&self.rules, |(_, rules)| rules)
    }

    /// Inspects target, headers and cookies.
    ///
    /// # Errors
    /// `Injection` when the score reaches the threshold, `InspectionBudget` when `steps` runs out and [`Self::prefix`] is not set.
    pub fn inspect_head(
        &self,
        head: &RequestHead<'_>,
        here: Here<'_>,
        steps: &mut u64,
        found: &mut Findings,
    ) -> Result<(), Denial> {
        self.inspect_known_head(head, here, &mut Clean::default(), steps, found)
    }

    /// The same, but for the fields of which `clean` knows that there is nothing in them; the others, it learns.
    ///
    /// # Errors
    /// As [`InjectionStage::inspect_head`].
    pub fn inspect_known_head(
        &self,
        head: &RequestHead<'_>,
        here: Here<'_>,
        clean: &mut Clean,
        steps: &mut u64,
        found: &mut Findings,
    ) -> Result<(), Denial> {
        let mut inspection = Inspection::new(self, here, steps, found);
        self.look_at_head(head, clean, &mut inspection);
        inspection.end(b"")
    }

    /// An empty memory for [`InjectionStage::inspect_known_head`] under this policy; `secret` keeps clients from choosing where
    /// their fields stand.
    #[must_use]
    pub fn memory(&self, secret: [u8; 16]) -> Clean {
        let Parts {
            target,
            headers,
            cookies,
            ..
        } = self.inspect;
        if target || headers || cookies {
            Clean::new(secret)
        } else {
            Clean::default()
        }
    }

    fn look_at_head(
        &self,
        head: &RequestHead<'_>,
        clean: &mut Clean,
        inspection: &mut Inspection<'_>,
    ) {
        if self.scanners {
            scanners::look(head, inspection);
        }
        if self.inspect.target {
            fields::target(head, clean, inspection);
        }
        if self.inspect.headers {
            for field in &head.fields {
                let judged = !self.inspect.tokens;
                headers::look(field.name, field.value, judged, clean, inspection);
            }
        }
        if self.inspect.cookies {
            for value in head.all(b"cookie") {
                fields::cookies(value, clean, inspection);
            }
        }
    }

    /// Inspects a whole body. The score starts anew.
    ///
    /// # Errors
    /// As [`InjectionStage::inspect_head`], and `MalformedBody`.
    pub fn inspect_body(
        &self,
        kind: BodyKind,
        body: &[u8],
        here: Here<'_>,
        steps: &mut u64,
        found: &mut Findings,
    ) -> Result<(), Denial> {
        let mut inspection = Inspection::new(self, here, steps, found);
        if body::look(kind, body, &mut inspection) {
            inspection.end(Place::Body.name())
        } else {
            inspection.malformed()
        }
    }

    /// Inspects the beginning of a body, the rest of which nobody holds.
    ///
    /// # Errors
    /// As [`InjectionStage::inspect_head`].
    pub fn inspect_prefix(
        &self,
        kind: BodyKind,
        start: &[u8],
        here: Here<'_>,
        steps: &mut u64,
        found: &mut Findings,
    ) -> Result<(), Denial> {
        let mut inspection = Inspection::new(self, here, steps, found).cut();
        if !body::look(kind, start, &mut inspection) {
            // What it was cut in the middle of is looked at as text.
            inspection.value(Place::Body, b"", start, Encoding::Plain);
        }
        inspection.end(Place::Body.name())
    }
}
