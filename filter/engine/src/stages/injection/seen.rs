//! Views of one body and what the detectors found in them, so that the same view is not scanned again: lists repeat their values, and
//! a pair that is a piece too is read twice.
//!
//! **In:** a view, its field's name. **Out:** whether the very same bytes were scanned before, to the end, and the hits of that scan.
//! **Invariant:** bytes are compared, not hashes, so that a yes is a proof: what a scan finds depends on the bytes, on the name where a detector
//! asks for it, and on the two flags alone (the place is the body's). Wherever assertions are compiled in the detectors look again all the same.
//! A bounded size, allocated as views are kept.
//! **Cost:** two words and one comparison to ask; a copy to keep.

use alloc::vec::Vec;

use super::bytes::{part, rest, upto};
use super::detectors::is_secret;
use super::{CLASSES, Class, Hits, Strength};

/// Views kept, a power of two: a newer one takes the place of an older one.
const SLOTS: usize = 64;

/// Bytes of a view and its name, together.
const ROOM: usize = 256;

/// Bytes kept in all.
const MOST: usize = SLOTS * ROOM;

/// Hits kept in all.
const MOST_HITS: usize = 512;

/// What is in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    /// Where its bytes begin.
    start: usize,
    /// Bytes of the view; 0: free.
    view: usize,
    /// Bytes of the name behind it; none: every name will do.
    name: Option<usize>,
    is_name: bool,
    /// Where its hits begin.
    first: usize,
    hits: usize,
}

const FREE: Slot = Slot {
    start: 0,
    view: 0,
    name: None,
    is_name: false,
    first: 0,
    hits: 0,
};

/// Views that were scanned.
#[derive(Debug)]
pub(super) struct Seen {
    /// [`SLOTS`], or none yet.
    slots: Vec<Slot>,
    /// Views and names of the slots, one behind the other, at most [`MOST`] bytes: then all are forgotten.
    bytes: Vec<u8>,
    /// Their hits, at most [`MOST_HITS`].
    hits: Vec<(Class, Strength, usize)>,
}

impl Seen {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            bytes: Vec::new(),
            hits: Vec::new(),
        }
    }

    /// Whether it is known what is in `view` under `name`: that is added to `hits`.
    pub(super) fn knows(&self, view: &[u8], name: &[u8], is_name: bool, hits: &mut Hits) -> bool {
        if self.slots.is_empty() {
            return false;
        }
        let at = place(view, is_name);
        let slot = self.slots.get(at).copied().unwrap_or(FREE);
        if slot.view != view.len() || slot.is_name != is_name || slot == FREE {
            return false;
        }
        let held = part(&self.bytes, slot.start, ROOM);
        let same = upto(held, slot.view) == view
            && match slot.name {
                Some(length) => part(held, slot.view, length) == name,
                // In a password less is found than elsewhere.
                None => slot.hits == 0 || !is_secret(name),
            };
        if same {
            let found = self.hits.get(slot.first..).unwrap_or_default();
            for (class, strength, at) in found.iter().take(slot.hits) {
                hits.add(*class, *strength, *at);
            }
        }
        same
    }

    /// Keeps a view and what is in it; without a name, whatever its name.
    pub(super) fn keep(&mut self, view: &[u8], name: Option<&[u8]>, is_name: bool, hits: &Hits) {
        let behind = name.unwrap_or_default();
        if view.is_empty() || view.len().saturating_add(behind.len()) > ROOM {
            return;
        }
        if self.bytes.len().saturating_add(ROOM) > MOST
            || self.hits.len().saturating_add(CLASSES) > MOST_HITS
        {
            self.slots.clear();
            self.bytes.clear();
            self.hits.clear();
        }
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, FREE);
        }
        let Some(slot) = self.slots.get_mut(place(view, is_name)) else {
            return;
        };
        let first = self.hits.len();
        for class in Class::ALL {
            if let Some((strength, at)) = hits.get(class) {
                self.hits.push((class, strength, at));
            }
        }
        *slot = Slot {
            start: self.bytes.len(),
            view: view.len(),
            name: name.map(<[u8]>::len),
            is_name,
            first,
            hits: self.hits.len().saturating_sub(first),
        };
        self.bytes.extend_from_slice(view);
        self.bytes.extend_from_slice(behind);
    }
}

/// Where a view is kept: by its length and both of its ends.
fn place(view: &[u8], is_name: bool) -> usize {
    let word = |bytes: &[u8]| {
        let mut word = [0_u8; 8];
        for (to, from) in word.iter_mut().zip(bytes) {
            *to = *from;
        }
        u64::from_le_bytes(word)
    };
    let first = word(view);
    let last = word(rest(view, view.len().saturating_sub(8)));
    let length = u64::try_from(view.len()).unwrap_or(0);
    let mixed = (first ^ last.rotate_left(23) ^ length.rotate_left(11) ^ u64::from(is_name))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::try_from(mixed >> 58).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::{Here, InjectionStage};
    use super::{CLASSES, Class, Hits, MOST, MOST_HITS, ROOM, SLOTS, Seen, Strength, place};
    use crate::budget::MAX_STEPS;
    use crate::finding::Findings;
    use crate::request::body::BodyKind;
    use crate::units::UnixTime;

    fn knows(seen: &Seen, view: &[u8], name: &[u8], is_name: bool) -> bool {
        seen.knows(view, name, is_name, &mut Hits::default())
    }

    /// Whether a list is refused, and the steps that it took.
    fn judge(list: &str) -> (bool, u64) {
        let (mut steps, mut found) = (MAX_STEPS, Findings::default());
        let here = Here::new(b"", UnixTime(0));
        let stage = InjectionStage::new(1, 5);
        let judged = stage.inspect_body(
            BodyKind::Json,
            list.as_bytes(),
            here,
            &mut steps,
            &mut found,
        );
        (judged.is_err(), MAX_STEPS.wrapping_sub(steps))
    }

    #[test]
    fn what_repeats_is_looked_at_once_and_hides_nothing() {
        let list = |value: &str, many: usize| format!("[{}0]", format!("{value},").repeat(many));
        let note = "\"Leave it at the door, please; it's (always) open.\"";
        let (once, often) = (judge(&list(note, 1)), judge(&list(note, 100)));
        assert!(!once.0 && !often.0);
        assert!(often.1 < once.1 * 60, "{once:?} {often:?}");
        // What is there besides, an attack that repeats, and one that begins or ends as an honest value does.
        let wide = "\"it's 12345678 or 12345678, it's\"";
        let attack = "\"it's 12345' or 1=1 -- 678, it's\"";
        assert_eq!(wide.len(), attack.len());
        assert!(!judge(&list(wide, 9)).0);
        for joined in [
            format!("[{note},{note},\"' OR 1=1-- \"]"),
            format!("[{wide},{wide},{attack}]"),
            format!("[{attack},{attack}]"),
        ] {
            assert!(judge(&joined).0, "{joined}");
        }
    }

    /// The same address under two names, one of which is what a program includes.
    #[test]
    fn a_name_that_matters_counts() {
        let url = "\"https://cdn.example.org/a.php\"";
        assert!(!judge(&format!("{{\"site\":{url}}}")).0);
        assert!(judge(&format!("{{\"file\":{url}}}")).0);
        assert!(judge(&format!("{{\"site\":{url},\"file\":{url}}}")).0);
        // A file of secrets, made dear enough to be kept.
        let file = format!("\"{}wp-config.php\"", " ".repeat(200));
        assert!(!judge(&format!("{{\"a\":{file}}}")).0);
        assert!(judge(&format!("{{\"a\":{file},\"file\":{file}}}")).0);
        // An address inside: where a browser is led, and where the server asks.
        let inside = format!("\"//10.0.0.1/{}\"", "a/".repeat(90));
        assert!(!judge(&format!("{{\"redirect_uri\":{inside}}}")).0);
        assert!(judge(&format!("{{\"redirect_uri\":{inside},\"data\":{inside}}}")).0);
    }

    #[test]
    fn only_the_very_same_view_is_known() {
        let mut seen = Seen::new();
        assert!(!knows(&seen, b"a b", b"n", false) && !knows(&seen, b"", b"", false));
        seen.keep(b"a b", Some(b"n"), false, &Hits::default());
        assert!(knows(&seen, b"a b", b"n", false));
        for (view, name, is_name) in [
            (&b"a c"[..], &b"n"[..], false),
            (b"a b", b"m", false),
            (b"a b", b"nn", false),
            (b"a b", b"", false),
            (b"a bn", b"", false),
            (b"a b", b"n", true),
        ] {
            assert!(
                !knows(&seen, view, name, is_name),
                "{view:?} {name:?} {is_name}"
            );
        }
        seen.keep(b"a b", None, false, &Hits::default());
        assert!(knows(&seen, b"a b", b"m", false) && knows(&seen, b"a b", b"", false));
        assert!(!knows(&seen, b"a b", b"m", true));
        // The middle counts as the ends do.
        let mut long = [b'a'; 200];
        seen.keep(&long, None, false, &Hits::default());
        assert!(knows(&seen, &long, b"", false));
        for at in 0..long.len() {
            long[at] = b'b';
            assert!(!knows(&seen, &long, b"", false), "{at}");
            long[at] = b'a';
        }
    }

    /// What was found is found again, but in a password's field only where it was found in that.
    #[test]
    fn hits_are_kept_with_their_view() {
        let found = |seen: &Seen, view: &[u8], name: &[u8]| {
            let mut hits = Hits::default();
            let known = seen.knows(view, name, false, &mut hits);
            assert!(known || hits.is_empty());
            known.then_some(hits)
        };
        let (mut one, mut other) = (Hits::default(), Hits::default());
        one.add(Class::Sqli, Strength::Suspicious, 3);
        one.add(Class::Xss, Strength::Weak, 0);
        other.add(Class::Shell, Strength::Decisive, 1);
        let mut seen = Seen::new();
        seen.keep(b"a b", None, false, &one);
        seen.keep(b"longer than that", Some(b"n"), false, &other);
        seen.keep(b"nothing", None, false, &Hits::default());
        assert_eq!(found(&seen, b"a b", b"m").as_ref(), Some(&one));
        assert_eq!(found(&seen, b"a b", b"password"), None);
        assert_eq!(found(&seen, b"longer than that", b"n"), Some(other));
        assert_eq!(found(&seen, b"longer than that", b"m"), None);
        let nothing = Some(Hits::default());
        assert_eq!(found(&seen, b"nothing", b"password"), nothing);
        seen.keep(b"a b", Some(b"password"), false, &one);
        assert_eq!(found(&seen, b"a b", b"password"), Some(one));
        // As many as there may be.
        let mut all = Hits::default();
        for class in Class::ALL {
            all.add(class, Strength::Weak, 7);
        }
        for number in 0..1_000_u32 {
            let view = number.to_string();
            seen.keep(view.as_bytes(), None, false, &all);
            assert!(seen.hits.len() <= MOST_HITS + CLASSES);
            assert_eq!(found(&seen, view.as_bytes(), b"").as_ref(), Some(&all));
        }
    }

    /// A repeated value that is refused nowhere but in one field is refused there.
    #[test]
    fn what_is_suspicious_stays_so() {
        let url = "\"' /* it's */ http://cdn.example.org/a.php?x='\"";
        for (list, same) in [
            (format!("[{url},{url},{url}]"), format!("[{url}]")),
            (
                format!("{{\"a\":{url},\"b\":{url},\"password\":{url}}}"),
                format!("{{\"a\":{url}}}"),
            ),
        ] {
            assert_eq!(judge(&list).0, judge(&same).0, "{list}");
        }
    }

    #[test]
    fn bounded_whatever_comes() {
        let mut seen = Seen::new();
        let long = [b'a'; ROOM + 1];
        seen.keep(&long, None, false, &Hits::default());
        seen.keep(&long[..ROOM], Some(b"n"), false, &Hits::default());
        seen.keep(b"", None, false, &Hits::default());
        assert_eq!(seen.bytes.len(), 0, "nothing that does not fit is kept");
        let mut used = [false; SLOTS];
        for number in 0..10_000_u32 {
            let view = number.to_string();
            seen.keep(view.as_bytes(), None, false, &Hits::default());
            assert!(knows(&seen, view.as_bytes(), b"", false));
            used[place(view.as_bytes(), false)] = true;
        }
        assert!((1..=MOST).contains(&seen.bytes.len()));
        assert!(used.into_iter().all(|used| used), "values spread");
        let kept = (0..10_000_u32)
            .filter(|number| knows(&seen, number.to_string().as_bytes(), b"", false));
        assert_eq!(kept.count(), SLOTS);
    }
}
