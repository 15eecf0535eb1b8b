//! Views of one body in which no detector found anything, so that the same view is not scanned again: lists repeat their values, and
//! a pair that is a piece too is read twice.
//!
//! **In:** a view, its field's name. **Out:** whether the very same bytes were scanned before, to the end, without a hit of any class.
//! **Invariant:** bytes are compared, not hashes, so that a yes is a proof: what a scan finds depends on the bytes, on the name where a detector
//! asks for it, and on the two flags alone (the place is the body's). Wherever assertions are compiled in the detectors look again all the same.
//! A bounded size, allocated as views are kept.
//! **Cost:** two words and one comparison to ask; a copy to keep.

use alloc::vec::Vec;

use super::bytes::{part, rest, upto};

/// Views kept, a power of two: a newer one takes the place of an older one.
const SLOTS: usize = 64;

/// Bytes of a view and its name, together.
const ROOM: usize = 256;

/// Bytes kept in all.
const MOST: usize = SLOTS * ROOM;

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
}

const FREE: Slot = Slot {
    start: 0,
    view: 0,
    name: None,
    is_name: false,
};

/// Views in which nothing was found.
#[derive(Debug)]
pub(super) struct Seen {
    /// [`SLOTS`], or none yet.
    slots: Vec<Slot>,
    /// Views and names of the slots, one behind the other, at most [`MOST`] bytes: then all are forgotten.
    bytes: Vec<u8>,
}

impl Seen {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Whether nothing is in `view` under `name`.
    pub(super) fn knows(&self, view: &[u8], name: &[u8], is_name: bool) -> bool {
        if self.slots.is_empty() {
            return false;
        }
        let at = place(view, is_name);
        let slot = self.slots.get(at).copied().unwrap_or(FREE);
        if slot.view != view.len() || slot.is_name != is_name || slot == FREE {
            return false;
        }
        let held = part(&self.bytes, slot.start, ROOM);
        upto(held, slot.view) == view
            && slot
                .name
                .is_none_or(|length| part(held, slot.view, length) == name)
    }

    /// Keeps a view in which nothing is; without a name, whatever its name.
    pub(super) fn keep(&mut self, view: &[u8], name: Option<&[u8]>, is_name: bool) {
        let behind = name.unwrap_or_default();
        if view.is_empty() || view.len().saturating_add(behind.len()) > ROOM {
            return;
        }
        if self.bytes.len().saturating_add(ROOM) > MOST {
            self.slots.clear();
            self.bytes.clear();
        }
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, FREE);
        }
        let Some(slot) = self.slots.get_mut(place(view, is_name)) else {
            return;
        };
        *slot = Slot {
            start: self.bytes.len(),
            view: view.len(),
            name: name.map(<[u8]>::len),
            is_name,
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
    use super::{MOST, ROOM, SLOTS, Seen, place};
    use crate::budget::MAX_STEPS;
    use crate::finding::Findings;
    use crate::request::body::BodyKind;
    use crate::units::UnixTime;

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
    }

    #[test]
    fn only_the_very_same_view_is_known() {
        let mut seen = Seen::new();
        assert!(!seen.knows(b"a b", b"n", false) && !seen.knows(b"", b"", false));
        seen.keep(b"a b", Some(b"n"), false);
        assert!(seen.knows(b"a b", b"n", false));
        for (view, name, is_name) in [
            (&b"a c"[..], &b"n"[..], false),
            (b"a b", b"m", false),
            (b"a b", b"nn", false),
            (b"a b", b"", false),
            (b"a bn", b"", false),
            (b"a b", b"n", true),
        ] {
            assert!(
                !seen.knows(view, name, is_name),
                "{view:?} {name:?} {is_name}"
            );
        }
        seen.keep(b"a b", None, false);
        assert!(seen.knows(b"a b", b"m", false) && seen.knows(b"a b", b"", false));
        assert!(!seen.knows(b"a b", b"m", true));
        // The middle counts as the ends do.
        let mut long = [b'a'; 200];
        seen.keep(&long, None, false);
        assert!(seen.knows(&long, b"", false));
        for at in 0..long.len() {
            long[at] = b'b';
            assert!(!seen.knows(&long, b"", false), "{at}");
            long[at] = b'a';
        }
    }

    #[test]
    fn bounded_whatever_comes() {
        let mut seen = Seen::new();
        let long = [b'a'; ROOM + 1];
        seen.keep(&long, None, false);
        seen.keep(&long[..ROOM], Some(b"n"), false);
        seen.keep(b"", None, false);
        assert_eq!(seen.bytes.len(), 0, "nothing that does not fit is kept");
        let mut used = [false; SLOTS];
        for number in 0..10_000_u32 {
            let view = number.to_string();
            seen.keep(view.as_bytes(), None, false);
            assert!(seen.knows(view.as_bytes(), b"", false));
            used[place(view.as_bytes(), false)] = true;
        }
        assert!((1..=MOST).contains(&seen.bytes.len()));
        assert!(used.into_iter().all(|used| used), "values spread");
        let kept =
            (0..10_000_u32).filter(|number| seen.knows(number.to_string().as_bytes(), b"", false));
        assert_eq!(kept.count(), SLOTS);
    }
}
