//! One request under inspection: views of a value, detectors, exceptions, score.
//!
//! **In:** values with their place. **Out:** findings, and the denial at the threshold.
//! **Invariant:** an exception takes a hit out before it scores; scratch buffers are reused, empty until something is encoded.
//! **Cost:** a plain value costs one class look-up a byte; one with dots or underscores, a look at its ends.

use alloc::vec::Vec;

use super::ampersands;
use super::bytes::{self, AMP, BLANK, ENCODED, HIGH, PERCENT, PLUS, classes};
use super::clean::{Clean, Field};
use super::decode::{self, Deep};
use super::detectors::{self, Token, View};
use super::explain::{Match, Watch};
use super::nested::{self, MAX_NESTED};
use super::protocol;
use super::seen::Seen;
use super::{CLASSES, Class, FAMILIES, Here, Hits, InjectionStage, Rules, SET_UP, Strength, spend};
use crate::budget::MAX_STEPS;
use crate::finding::{Finding, Findings};
use crate::inflate::{Fault, inflate};
use crate::verdict::{Denial, Reason, Stage};

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The path of the target.
    Path,
    /// A query parameter.
    Query,
    /// A header.
    Header,
    /// A cookie.
    Cookie,
    /// A body field.
    Body,
}

impl Place {
    pub(super) const fn name(self) -> &'static [u8] {
        match self {
            Self::Path => b"path",
            Self::Query => b"query",
            Self::Header => b"header",
            Self::Cookie => b"cookie",
            Self::Body => b"body",
        }
    }
}

/// What the application undoes before it sees the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// URL encoding, `+` is a blank.
    Form,
    /// URL encoding.
    Url,
    /// Nothing.
    Plain,
}

/// Classes of the bytes of base64 that are not plain (a form turns `+` into a blank).
const BASE64: u32 =
    PLUS | BLANK | HIGH | bytes::SLASH | bytes::OPERATOR | bytes::SCORE | bytes::DOT;

/// Bytes that a view costs besides its own: every detector is asked.
const VIEW: usize = 60;

/// Light passes that a value costs before any detector looks: its classes, its encodings, the words and neighbours of each view.
const VALUE: usize = 24;

/// Steps of a scan beyond which a view without a hit is kept: a cheaper one is quicker looked at again.
const DEAR: u64 = 64;

/// Classes that a document as a whole can be of.
const MARKUP: u32 =
    Class::Xss.bit() | Class::Xxe.bit() | Class::Encoding.bit() | Class::Custom.bit();

/// All classes, a bit each.
const ALL_CLASSES: u32 = (1 << CLASSES) - 1;

/// Bytes of a `data:` URL before its comma.
const MAX_DATA_HEAD: usize = 128;

/// Whether a value that has other signs may be base64 all the same: lines of it, or such as readers pass over.
fn has_letters(view: &[u8]) -> bool {
    let start = bytes::upto(view, 24);
    view.len() >= 16
        && !start.contains(&b' ')
        && (start.starts_with(b"data:")
            || bytes::tally(start.iter().filter(|byte| byte.is_ascii_alphanumeric())) >= 12)
}

/// What the application sees of a value.
struct Natural {
    /// Classes of its bytes.
    seen: u32,
    /// It stands in the buffer `natural`.
    decoded: bool,
}

/// A request under inspection.
pub(crate) struct Inspection<'a> {
    stage: &'a InjectionStage,
    here: Here<'a>,
    rules: &'a Rules,
    steps: &'a mut u64,
    found: &'a mut Findings,
    best: u32,
    /// Best points of each family in the value that is looked at.
    value: [u32; FAMILIES],
    /// One of them is above zero.
    scored: bool,
    custom: u32,
    natural: Vec<u8>,
    /// A long text whose `&amp;` are undone.
    ampersands: Vec<u8>,
    deep: Vec<u8>,
    spare: Vec<u8>,
    tokens: Vec<Token>,
    /// Text that was wrapped in the value, when it may hold a document.
    inner: Vec<u8>,
    /// What is looked at is a name.
    is_name: bool,
    /// Classes that count, a bit each.
    only: u32,
    /// Values around the one that is looked at.
    depth: u8,
    /// Documents in values are looked into elsewhere.
    flat: bool,
    /// The pairs of the body are looked at as a form's.
    paired: bool,
    /// It was told that something is not looked into.
    told: bool,
    /// Suspicious values that were compared with their namesakes.
    compared: u8,
    /// Length of the outermost one's name, with which the names of those within begin.
    outer: usize,
    /// The verdict is clear.
    blocks: bool,
    /// Every value is looked at, whatever the verdict.
    all: bool,
    /// What is looked at is the name of a file.
    is_file: bool,
    /// What is looked at stands in the manifest of a package.
    manifest: bool,
    /// The rest of the body is not held.
    is_cut: bool,
    /// A value was not plain.
    odd: bool,
    /// What is looked at are several values, joined.
    is_joined: bool,
    /// Something was found since this was last reset, whether it counts or not.
    hit: bool,
    /// Views of a body, and what was found in them.
    seen: Seen,
    /// Who wants to know everything that was seen.
    watch: Option<&'a mut Watch>,
}

impl<'a> Inspection<'a> {
    pub(crate) fn new(
        stage: &'a InjectionStage,
        here: Here<'a>,
        steps: &'a mut u64,
        found: &'a mut Findings,
    ) -> Self {
        Self {
            stage,
            here,
            rules: stage.rules_of(here.route),
            steps,
            found,
            best: 0,
            value: [0; FAMILIES],
            scored: false,
            custom: 0,
            natural: Vec::new(),
            ampersands: Vec::new(),
            deep: Vec::new(),
            spare: Vec::new(),
            tokens: Vec::new(),
            inner: Vec::new(),
            is_name: false,
            only: ALL_CLASSES,
            depth: 0,
            flat: false,
            paired: false,
            told: false,
            compared: 0,
            outer: 0,
            blocks: false,
            all: false,
            is_file: false,
            manifest: false,
            is_cut: false,
            odd: false,
            is_joined: false,
            hit: false,
            seen: Seen::new(),
            watch: None,
        }
    }

    /// Looks at every value, whatever the score, and tells all that it sees.
    pub(super) fn watched(mut self, watch: &'a mut Watch) -> Self {
        self.all = true;
        self.watch = Some(watch);
        self
    }

    /// Looks at a name as at a value.
    pub(crate) fn name(&mut self, place: Place, name: &[u8], raw: &[u8], encoding: Encoding) {
        self.is_name = true;
        self.value(place, name, raw, encoding);
        self.is_name = false;
    }

    /// Looks at several values of a name, joined.
    pub(super) fn joined(&mut self, place: Place, name: &[u8], raw: &[u8]) {
        self.is_joined = true;
        // Documents in the values were looked into, each on its own.
        self.flat(&Class::ALL, |inspection| {
            inspection.value(place, name, raw, Encoding::Form);
        });
        self.is_joined = false;
    }

    /// Looks at the name of a file that somebody sends.
    pub(crate) fn file(&mut self, place: Place, name: &[u8], raw: &[u8]) {
        self.is_file = true;
        self.value(place, name, raw, Encoding::Plain);
        self.is_file = false;
    }

    /// Looks at one value; once the verdict is clear, at no further one.
    pub(crate) fn value(&mut self, place: Place, name: &[u8], raw: &[u8], encoding: Encoding) {
        if raw.is_empty() || *self.steps == 0 || self.is_done() {
            return;
        }
        let natural = self.look(place, name, raw, encoding);
        if let Some(watch) = &mut self.watch {
            watch.end_value(place, name, raw, encoding, self.is_joined);
        }
        let Natural { seen, decoded } = natural;
        self.odd |= seen & bytes::LOUD != 0;
        let holds = seen & (bytes::PAREN | bytes::ANGLE | bytes::OPERATOR) != 0;
        if (holds || !self.inner.is_empty()) && !self.is_name {
            self.nested(place, name, raw, seen, decoded);
        }
    }

    /// Looks at a field of the head, unless all of it was looked at before and nothing was found. What `look` does must depend on
    /// nothing but `kind`, `name`, `value` and the policy.
    pub(super) fn once(
        &mut self,
        (kind, name, value): (Field, &[u8], &[u8]),
        clean: &mut Clean,
        look: impl FnOnce(&mut Self),
    ) {
        if value.is_empty() || self.is_over() {
            return;
        }
        // Text that a name wrapped is looked at together with the value behind it.
        let alone = self.inner.is_empty() && self.watch.is_none();
        let tag = clean.tag(kind, name, value).filter(|_| alone);
        if tag.is_some_and(|tag| clean.knows(tag)) {
            return;
        }
        self.hit = false;
        look(self);
        if let Some(tag) = tag
            && !self.hit
            && !self.is_over()
            && self.inner.is_empty()
        {
            clean.remember(tag);
        }
    }

    /// Whether the value that was looked at last is suspicious and no more, so that it should be compared with its namesakes, which
    /// are `bytes` long.
    pub(super) fn compares(&mut self, bytes: usize) -> bool {
        let suspicious = self.scored && !self.is_done();
        if !suspicious || self.compared >= protocol::MAX_LOOKS {
            return false;
        }
        self.compared = self.compared.saturating_add(1);
        spend(self.steps, bytes.saturating_mul(4));
        true
    }

    /// Adds a hit to what the value that was looked at last has.
    pub(super) fn also(
        &mut self,
        place: Place,
        name: &[u8],
        raw: &[u8],
        class: Class,
        strength: Strength,
    ) {
        let mut hits = Hits::default();
        hits.add(class, strength, 0);
        self.report(place, name, raw, &hits);
        if let Some(watch) = &mut self.watch {
            watch.end_value(place, name, raw, Encoding::Plain, false);
        }
    }

    /// Adds a hit that is no value's.
    pub(super) fn note(
        &mut self,
        place: Place,
        name: &[u8],
        what: &[u8],
        class: Class,
        strength: Strength,
    ) {
        self.forget();
        self.also(place, name, what, class, strength);
    }

    /// Begins with another value.
    fn forget(&mut self) {
        if self.scored {
            self.value = [0; FAMILIES];
            self.scored = false;
        }
    }

    /// Pays for looking at `bytes` bytes.
    pub(super) fn pay(&mut self, bytes: usize) {
        spend(self.steps, bytes);
    }

    /// Whether the steps are spent: nothing more need be taken apart.
    pub(super) const fn is_spent(&self) -> bool {
        *self.steps == 0
    }

    /// Whether nothing more is looked at, or can be.
    pub(super) const fn is_over(&self) -> bool {
        *self.steps == 0 || self.is_done()
    }

    /// Whether a value since the last call was not plain.
    pub(super) const fn take_odd(&mut self) -> bool {
        core::mem::replace(&mut self.odd, false)
    }

    /// The query that a form is read together with.
    pub(super) const fn query(&self) -> &'a [u8] {
        self.here.query
    }

    /// Only the beginning of the body is looked at: the rest of it passes.
    pub(super) const fn cut(mut self) -> Self {
        self.is_cut = true;
        self
    }

    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Looks at the classes of `only` alone, and into no document, while `look` runs.
    pub(super) fn flat(&mut self, only: &[Class], look: impl FnOnce(&mut Self)) {
        let before = (self.only, self.flat);
        self.only = only.iter().fold(0, |all, class| all | class.bit());
        self.flat = true;
        look(self);
        (self.only, self.flat) = before;
    }

    /// Looks at a body the pairs of which are then looked at one by one.
    pub(super) fn paired(&mut self, body: &[u8]) {
        self.paired = true;
        self.value(Place::Body, b"", body, Encoding::Plain);
        self.paired = false;
    }

    /// Looks at a document while `look` runs, which may find that it is a package's manifest.
    pub(super) fn document<T>(&mut self, look: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.manifest;
        let seen = look(self);
        self.manifest = before;
        seen
    }

    /// The document is the manifest of a package: the lines under its `scripts` are a shell's by design.
    pub(super) const fn is_manifest(&mut self) {
        self.manifest = true;
    }

    /// Tells, once, that there is more in a value than is looked into. A field of the head of which this was told is no clean one.
    pub(super) fn unread(&mut self, place: Place, name: &[u8]) {
        self.hit = true;
        if !core::mem::replace(&mut self.told, true) {
            let finding = Finding::new(Stage::Injection, Reason::InspectionBudget);
            let finding = finding.rule(b"nested").place(place.name(), name);
            self.found.push(finding);
        }
    }

    /// Looks at the documents that the value holds.
    fn nested(&mut self, place: Place, name: &[u8], raw: &[u8], seen: u32, decoded: bool) {
        let inner = core::mem::take(&mut self.inner);
        if self.flat || self.is_over() {
            // Nothing: somebody else does, or nobody can.
        } else if self.depth >= MAX_NESTED {
            let view = if decoded {
                self.natural.as_slice()
            } else {
                raw
            };
            let inside = classes(&inner);
            spend(self.steps, view.len().saturating_add(inner.len()));
            if nested::holds(place, view, seen) || nested::holds(place, &inner, inside) {
                self.unread(place, name);
            }
        } else {
            let natural = core::mem::take(&mut self.natural);
            let outer = self.outer;
            if self.depth == 0 {
                self.outer = name.len();
            }
            self.depth = self.depth.saturating_add(1);
            let view = if decoded { natural.as_slice() } else { raw };
            let paired = core::mem::take(&mut self.paired);
            nested::look(place, name, view, seen, paired, self);
            if !inner.is_empty() {
                nested::look(place, name, &inner, classes(&inner), false, self);
            }
            self.depth = self.depth.saturating_sub(1);
            self.outer = outer;
            self.natural = natural;
        }
        self.inner = inner;
        self.inner.clear();
    }

    fn look(&mut self, place: Place, name: &[u8], raw: &[u8], encoding: Encoding) -> Natural {
        spend(self.steps, raw.len().saturating_mul(VALUE));
        self.forget();
        if *self.steps == 0 {
            return Natural {
                seen: 0,
                decoded: false,
            };
        }
        let mut seen = classes(raw);
        let custom = !self.stage.patterns.is_empty();
        if seen & !HIGH == 0 && !custom && !detectors::is_worth_it(raw, seen) {
            if detectors::packed(raw) {
                self.view(place, name, raw, seen);
            }
            self.base64(place, name, raw);
            return Natural {
                seen,
                decoded: false,
            };
        }
        let mut natural = core::mem::take(&mut self.natural);
        let mut joined = core::mem::take(&mut self.ampersands);
        let undo = match encoding {
            Encoding::Form => PERCENT | PLUS,
            Encoding::Url => PERCENT,
            Encoding::Plain => 0,
        };
        let decoded = seen & undo != 0;
        let view = if decoded {
            decode::form(raw, encoding == Encoding::Form, &mut natural);
            seen = classes(&natural);
            natural.as_slice()
        } else {
            raw
        };
        if seen & !BASE64 == 0 || has_letters(view) {
            self.base64(place, name, view);
        }
        let natural_seen = seen;
        // An operator's own patterns are told of what was sent.
        let is_text = place == Place::Body && view.len() >= ampersands::LONG && !custom;
        let view = if is_text && seen & AMP != 0 && ampersands::undo(view, &mut joined) {
            spend(self.steps, view.len());
            seen = classes(&joined);
            joined.as_slice()
        } else {
            view
        };
        if seen & !HIGH != 0 || custom || detectors::is_worth_it(view, seen) {
            self.view(place, name, view, seen);
        }
        if seen & PLUS != 0 && !self.is_over() {
            let mut text = core::mem::take(&mut self.deep);
            spend(self.steps, view.len());
            if decode::utf7(view, &mut text) {
                self.view(place, name, &text, classes(&text));
            }
            self.deep = text;
        }
        if seen & ENCODED != 0 && !self.is_over() {
            let mut deep = core::mem::take(&mut self.deep);
            let mut spare = core::mem::take(&mut self.spare);
            spend(
                self.steps,
                view.len().saturating_mul(3).saturating_add(SET_UP),
            );
            let outcome = decode::deep(view, &mut deep, &mut spare, self.steps);
            if outcome != Deep::Same {
                let mut seen = classes(&deep);
                if seen & !BASE64 == 0 {
                    self.base64(place, name, &deep);
                }
                if seen & PLUS != 0 && (place == Place::Header || place == Place::Cookie) {
                    // `%2B` is a sign to whoever decodes a cookie; in a logged URL `+` was a blank.
                    self.view(place, name, &deep, seen);
                    for byte in deep.iter_mut().filter(|byte| **byte == b'+') {
                        *byte = b' ';
                    }
                    seen |= if seen & PLUS != 0 { BLANK } else { 0 };
                }
                self.view(place, name, &deep, seen);
            }
            if outcome == Deep::Endless {
                let mut hits = Hits::default();
                hits.add(Class::Encoding, Strength::Decisive, 0);
                self.report(place, name, &deep, &hits);
            }
            self.deep = deep;
            self.spare = spare;
        }
        self.natural = natural;
        self.ampersands = joined;
        Natural {
            seen: natural_seen,
            decoded,
        }
    }

    /// Text wrapped in base64, as a view of its own: bare, in gzip or zlib, behind the head of a `data:` URL, or as the first two parts
    /// of a token.
    fn base64(&mut self, place: Place, name: &[u8], raw: &[u8]) {
        let raw = if place == Place::Path {
            raw.strip_prefix(b"/").unwrap_or(raw)
        } else {
            raw
        };
        if raw.len() < decode::MIN_BASE64 {
            return;
        }
        let raw = match raw.strip_prefix(b"data:") {
            Some(data) => {
                let head = bytes::upto(data, MAX_DATA_HEAD);
                let comma = head.iter().position(|&byte| byte == b',');
                bytes::rest(data, comma.map_or(0, |comma| comma.saturating_add(1)))
            }
            None => raw,
        };
        spend(self.steps, raw.len().saturating_mul(12));
        let mut text = core::mem::take(&mut self.deep);
        if raw.starts_with(b"eyJ") && raw.contains(&b'.') {
            let mut parts = raw.split(|&byte| byte == b'.');
            for part in [parts.next(), parts.next()].into_iter().flatten() {
                if decode::base64(part, &mut text) {
                    self.unwrapped(place, name, &text);
                }
            }
        } else if decode::base64(raw, &mut text) {
            self.unwrapped(place, name, &text);
        } else if let Some(coding) = nested::compressed(raw) {
            let mut packed = core::mem::take(&mut self.spare);
            spend(self.steps, raw.len());
            if decode::binary(raw, &mut packed) {
                // As far as it goes, and no bomb: what it stands for is paid for like what was sent.
                let most = nested::MAX_UNPACKED.min(raw.len().saturating_mul(16));
                let read = inflate(coding, &packed, most, self.steps, &mut text);
                if read == Err(Fault::TooLong) {
                    self.unread(place, name);
                }
                self.unwrapped(place, name, &text);
            }
            self.spare = packed;
        }
        self.deep = text;
    }

    /// Looks at what was wrapped, as it is and with its own encodings undone; what is wrapped in that once more, too.
    fn unwrapped(&mut self, place: Place, name: &[u8], text: &[u8]) {
        spend(self.steps, text.len());
        let seen = classes(text);
        self.view(place, name, text, seen);
        if seen & !HIGH != 0 {
            self.inner.clear();
            self.inner.extend_from_slice(text);
        }
        if self.is_over() {
            return;
        }
        let mut further = Vec::new();
        if seen & ENCODED != 0 {
            let mut spare = Vec::new();
            spend(self.steps, text.len());
            if decode::deep(text, &mut further, &mut spare, self.steps) != Deep::Same {
                self.view(place, name, &further, classes(&further));
            }
        } else if seen & !BASE64 == 0 && decode::base64(text, &mut further) {
            spend(self.steps, further.len());
            let seen = classes(&further);
            self.view(place, name, &further, seen);
            if seen & !BASE64 == 0 {
                spend(self.steps, further.len());
                if decode::base64(&further, &mut Vec::new()) {
                    self.unread(place, name);
                }
            }
        }
    }

    /// All detectors over one view, unless the same was looked at before; over a document as a whole, those of mark-up alone.
    fn view(&mut self, place: Place, name: &[u8], view: &[u8], seen: u32) {
        if *self.steps == 0 {
            return;
        }
        let mut hits = Hits::default();
        let kept = place == Place::Body && !self.is_file;
        if self.only & !MARKUP == 0 {
            spend(
                self.steps,
                view.len().saturating_add(VIEW).saturating_mul(3),
            );
            let looked_at = self.view_of(place, name, view, seen);
            detectors::scan_markup(&looked_at, self.steps, &mut hits);
        } else if kept && self.seen.knows(view, name, self.is_name, &mut hits) {
            spend(self.steps, view.len() >> 3);
            if cfg!(debug_assertions) {
                let (mut steps, mut again) = (MAX_STEPS, Hits::default());
                let looked_at = self.view_of(place, name, view, seen);
                detectors::scan(&looked_at, &mut self.tokens, &mut steps, &mut again);
                debug_assert_eq!(hits, again, "{}", view.escape_ascii());
            }
        } else {
            spend(
                self.steps,
                view.len().saturating_add(VIEW).saturating_mul(3),
            );
            let looked_at = self.view_of(place, name, view, seen);
            let before = *self.steps;
            detectors::scan(&looked_at, &mut self.tokens, self.steps, &mut hits);
            let dear = before.saturating_sub(*self.steps) > DEAR;
            if kept && dear && *self.steps > 0 {
                let named = self.is_name || looked_at.asks_for_name(&hits);
                let name = named.then_some(name);
                self.seen.keep(view, name, self.is_name, &hits);
            }
        }
        self.report(place, name, view, &hits);
        self.patterns(place, name, view);
    }

    fn view_of<'v>(&self, place: Place, name: &'v [u8], view: &'v [u8], seen: u32) -> View<'v> {
        View {
            is_name: self.is_name,
            is_file: self.is_file,
            ..View::new(place, name, view, seen)
        }
    }

    fn patterns(&mut self, place: Place, name: &[u8], view: &[u8]) {
        let stage = self.stage;
        for pattern in &stage.patterns {
            let matched = pattern.pattern.is_match(view, self.steps);
            if matched.is_none() {
                *self.steps = 0;
            }
            if matched != Some(true) {
                continue;
            }
            self.hit = true;
            let excepted = self.is_excepted(name, Class::Custom, 1);
            if let Some(watch) = &mut self.watch {
                let seen = Match::new((Class::Custom, 1), &pattern.name, view, pattern.score);
                watch.see(seen, excepted);
            }
            if !excepted {
                self.push(
                    place,
                    name,
                    (Class::Custom, 1),
                    &pattern.name,
                    view,
                    pattern.score,
                );
            }
        }
    }

    fn report(&mut self, place: Place, name: &[u8], view: &[u8], hits: &Hits) {
        if hits.is_empty() {
            return;
        }
        self.hit = true;
        for class in Class::ALL {
            let Some((mut strength, at)) = hits.get(class) else {
                continue;
            };
            if self.manifest && class == Class::Shell && bytes::contains(name, b"scripts.") {
                strength = strength.min(Strength::Suspicious);
            }
            let points = strength.points(self.rules.level(class));
            let from = at.saturating_sub(4);
            if self.only & class.bit() == 0 {
                continue;
            }
            let counts = points > 0 || self.watch.is_some();
            let excepted = counts && self.is_excepted(name, class, strength.level());
            if let Some(watch) = &mut self.watch {
                let rule = class.name().as_bytes();
                let seen = Match::new(
                    (class, strength.level()),
                    rule,
                    bytes::rest(view, from),
                    points,
                );
                watch.see(seen, excepted);
            }
            if points == 0 || excepted {
                continue;
            }
            self.push(
                place,
                name,
                (class, strength.level()),
                class.name().as_bytes(),
                bytes::rest(view, from),
                points,
            );
        }
    }

    fn push(
        &mut self,
        place: Place,
        name: &[u8],
        (class, level): (Class, u8),
        rule: &[u8],
        evidence: &[u8],
        points: u32,
    ) {
        let own = self.rules.own_threshold(class);
        if own.is_some() {
            // Counted apart: see below.
        } else if class == Class::Custom {
            self.custom = self.custom.saturating_add(points);
        } else {
            let Some(best) = self
                .value
                .get_mut(class.family())
                .filter(|best| **best < points)
            else {
                return;
            };
            *best = points;
            self.scored = true;
            let sum = self
                .value
                .iter()
                .fold(0_u32, |sum, points| sum.saturating_add(*points));
            self.best = self.best.max(sum);
        }
        let mut finding = Finding::new(Stage::Injection, Reason::Injection)
            .rule(rule)
            .place(place.name(), name)
            .evidence(evidence);
        finding.score = points;
        finding.level = level;
        self.found.push(finding);
        self.blocks |= match own {
            Some(own) => points >= own,
            None => self.score() >= self.rules.threshold,
        };
    }

    fn is_excepted(&mut self, name: &[u8], class: Class, level: u8) -> bool {
        let Here { route, now, .. } = self.here;
        let mut index = 0_u16;
        // What stands in a document in a field is excepted as the field is.
        let outer = name.get(..self.outer).filter(|_| self.depth > 0);
        for except in &self.stage.except {
            let takes = |name| except.takes(route, now, name, class, level);
            if takes(name) || outer.is_some_and(takes) {
                self.found.excepted.note(index);
                return true;
            }
            index = index.saturating_add(1);
        }
        false
    }

    /// Whether nothing more is looked at.
    const fn is_done(&self) -> bool {
        self.blocks && !self.all
    }

    pub(super) fn score(&self) -> u32 {
        self.best.saturating_add(self.custom)
    }

    /// The verdict; `place` is where the steps were spent, empty: the head.
    pub(crate) fn end(self, place: &[u8]) -> Result<(), Denial> {
        if self.blocks {
            return Err(Denial::new(Stage::Injection, Reason::Injection));
        }
        if *self.steps == 0 {
            let finding = Finding::new(Stage::Injection, Reason::InspectionBudget);
            self.found.push(finding.place(place, b""));
            if self.stage.prefix {
                return Ok(());
            }
            return Err(Denial::new(Stage::Injection, Reason::InspectionBudget));
        }
        Ok(())
    }

    /// The verdict on a body that is not what its content type says.
    pub(crate) fn malformed(self) -> Result<(), Denial> {
        let found = &mut *self.found;
        found.push(Finding::new(Stage::Body, Reason::MalformedBody));
        Err(Denial::new(Stage::Body, Reason::MalformedBody))
    }
}
