//! Fields of heads in which nothing was found, so that the same field is not looked at again: browsers repeat theirs.
//!
//! **In:** a field (its kind, name and bytes). **Out:** whether all of it was looked at before, to the end, without a hit of any class and
//! strength, in any view, scored or not, excepted or not.
//! **Invariant:** such a field gives the same for every route, level, threshold, exception and time, because those only judge hits;
//! its look must depend on nothing but itself ([`super::Inspection::once`]). Made for one policy and gone with it; a fixed size, whatever clients send;
//! without a secret nothing is remembered. What is kept of a field is 64 bits of SipHash-1-3 under the worker's secret: nobody can aim at
//! an entry, and a value that was not looked at passes for one that was with a chance of 2^-64 for each of the 8,192 entries, 2^-51 a guess
//! at most. A guess is a request to this worker, and one that fails is refused as ever.
//! Nothing but the whole value tells, so a guess at somebody's cookie learns no part of it; Basic passwords, which can be guessed whole,
//! are left out.
//! **Cost:** a keyed hash (a round for eight bytes) and [`WAYS`] comparisons.

use alloc::vec::Vec;

use crate::sip::QuickSip;

/// Entries of a set.
const WAYS: usize = 4;

/// Sets: a power of two. 64 KiB in all.
const SETS: usize = 2_048;

/// Bytes of a value that is remembered; a longer one is looked at each time.
const MAX_VALUE: usize = 4 * 1024;

/// Bytes of a name.
const MAX_NAME: usize = 128;

/// What a field is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    /// The path of a target.
    Path,
    /// Its query.
    Query,
    /// A header.
    Header,
    /// A `cookie` header, as cookies.
    Cookies,
}

impl Field {
    const fn number(self) -> u64 {
        match self {
            Self::Path => 1,
            Self::Query => 2,
            Self::Header => 3,
            Self::Cookies => 4,
        }
    }
}

/// A field as it is remembered; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(u64);

/// The clean fields one worker has seen of late, under one policy.
#[derive(Default)]
pub struct Clean {
    secret: [u8; 16],
    /// [`SETS`] of them, or none: off. Zero: a free entry.
    sets: Vec<[u64; WAYS]>,
}

impl core::fmt::Debug for Clean {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Clean").finish_non_exhaustive()
    }
}

/// The low byte of the hash's first word: no other use of the secret begins with it.
const PURPOSE: u64 = 0x48;

impl Clean {
    /// An empty memory; without a secret (all zeros) none.
    #[must_use]
    pub fn new(secret: [u8; 16]) -> Self {
        let mut clean = Self {
            secret,
            sets: Vec::new(),
        };
        if secret != [0; 16] {
            clean.sets.resize(SETS, [0; WAYS]);
        }
        clean
    }

    /// Where a field is remembered; nothing when it is not.
    pub(super) fn tag(&self, kind: Field, name: &[u8], value: &[u8]) -> Option<Tag> {
        if self.sets.is_empty() || value.len() > MAX_VALUE || name.len() > MAX_NAME {
            return None;
        }
        let mut sip = QuickSip::new(&self.secret);
        // The lengths say where the name ends: no two fields make the same words.
        let length = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        sip.word(
            PURPOSE
                | kind.number().wrapping_shl(8)
                | length(name).wrapping_shl(16)
                | length(value).wrapping_shl(32),
        );
        sip.bytes(name);
        sip.bytes(value);
        Some(Tag(sip.finish().max(1)))
    }

    /// Whether it is remembered; then it moves away from the place where new ones come in.
    pub(super) fn knows(&mut self, tag: Tag) -> bool {
        let Some(set) = self.set(tag) else {
            return false;
        };
        let Some(at) = set.iter().position(|held| *held == tag.0) else {
            return false;
        };
        // What comes again and again drifts to the front; what came once is what the next new one pushes out.
        if let Some([front, back]) = set.get_mut(at.saturating_sub(1)..=at) {
            core::mem::swap(front, back);
        }
        true
    }

    /// Remembers a field, in the place of the one that came last and not again.
    pub(super) fn remember(&mut self, tag: Tag) {
        let Some(set) = self.set(tag) else {
            return;
        };
        let free = set.iter().position(|held| *held == 0);
        let at = free.unwrap_or(WAYS.saturating_sub(1));
        if let Some(slot) = set.get_mut(at) {
            *slot = tag.0;
        }
    }

    fn set(&mut self, tag: Tag) -> Option<&mut [u64; WAYS]> {
        let mask = u64::try_from(SETS.saturating_sub(1)).unwrap_or(0);
        let at = usize::try_from(tag.0 & mask).unwrap_or(0);
        self.sets.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::super::{Exception, Here, InjectionStage, OperatorPattern, Parts, Rules};
    use super::{Clean, Field, SETS, WAYS};
    use crate::budget::MAX_STEPS;
    use crate::finding::{Finding, Findings};
    use crate::request::RequestHead;
    use crate::units::UnixTime;
    use crate::verdict::Denial;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn judge(
        stage: &InjectionStage,
        route: &str,
        pairs: Pairs<'_>,
        clean: &mut Clean,
        steps: &mut u64,
    ) -> (Option<Denial>, Vec<Finding>) {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let head = RequestHead::decode(pairs);
        let mut found = Findings::default();
        let here = Here::new(route.as_bytes(), UnixTime(0));
        let judged = stage.inspect_known_head(&head, here, clean, steps, &mut found);
        (judged.err(), found.as_slice().to_vec())
    }

    fn spent(stage: &InjectionStage, pairs: Pairs<'_>, clean: &mut Clean) -> u64 {
        let mut steps = MAX_STEPS;
        assert_eq!(judge(stage, "", pairs, clean, &mut steps).0, None);
        MAX_STEPS.wrapping_sub(steps)
    }

    const HEADS: [Pairs<'static>; 16] = [
        &[
            (":path", "/shoes?page=2&q=red+shoes"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko"),
        ],
        &[
            (":path", "/shoes?page=2' OR 1=1-- "),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko"),
        ],
        &[
            (":path", "/shoes?page=2&q=red+shoes"),
            ("user-agent", "() { :;}; /bin/bash -c id"),
        ],
        &[
            (":path", "/x"),
            ("cookie", "theme=dark; id=8f14e45fceea167a5a36dedd4bea2543"),
        ],
        &[
            (":path", "/x"),
            (
                "cookie",
                "theme=dark; id=1 UNION SELECT password FROM users",
            ),
        ],
        &[
            (":path", "/x"),
            ("x-theme", "dark; id=8f14e45fceea167a5a36dedd4bea2543"),
        ],
        // The same bytes elsewhere are something else.
        &[
            (":path", "/a?cat=/etc/hosts.txt"),
            ("x-a", "cat=/etc/hosts.txt"),
        ],
        &[
            (":path", "/x"),
            ("x-a", "page=2&q=red+shoes"),
            ("cookie", "page=2&q=red+shoes"),
        ],
        &[
            (":path", "/x"),
            (
                "referer",
                "https://shop.example.com/shoes?page=2&sort=price",
            ),
        ],
        &[
            (":path", "/x"),
            (
                "referer",
                "https://shop.example.com/shoes?page=<script>alert(1)</script>",
            ),
        ],
        &[
            (":path", "/x"),
            ("authorization", "Basic Ym9iOmMwcnJlY3QgaG9yc2U="),
        ],
        &[
            (":path", "/x"),
            ("authorization", "Basic JyBPUiAxPTEtLSA6eA=="),
        ],
        &[
            (":path", "/x"),
            ("content-type", "text/html; charset=utf-8"),
        ],
        &[
            (":path", "/x"),
            ("content-type", "text/html; charset=utf-7"),
        ],
        // Weak or suspicious: what becomes of it depends on the level.
        &[(":path", "/x?d=<!DOCTYPE note SYSTEM \"note.dtd\">")],
        &[(
            ":path",
            "/x?d=<!DOCTYPE note SYSTEM \"note.dtd\">&d=1&a=../b",
        )],
    ];

    /// Two routes, at the lowest and at the highest level, and an exception on one of them.
    fn stage() -> InjectionStage {
        let mut stage = InjectionStage::new(1, 5);
        stage.routes = Vec::from([(b"strict".to_vec(), Rules::new(4, 5))]);
        stage.except = Vec::from([Exception {
            classes: Vec::from([super::super::Class::Sqli]),
            field: Some(b"page".to_vec()),
            route: Some(b"open".to_vec()),
            ..Exception::default()
        }]);
        stage
    }

    #[test]
    fn verdicts_are_the_same_whatever_is_remembered() {
        let stage = stage();
        let mut clean = Clean::new([7; 16]);
        for turn in 0..3 {
            for route in ["", "strict", "open"] {
                for index in 0..HEADS.len() {
                    let index = if turn == 1 {
                        HEADS.len() - 1 - index
                    } else {
                        index
                    };
                    let pairs = HEADS[index];
                    let anew = judge(
                        &stage,
                        route,
                        pairs,
                        &mut Clean::default(),
                        &mut MAX_STEPS.clone(),
                    );
                    let known = judge(&stage, route, pairs, &mut clean, &mut MAX_STEPS.clone());
                    assert_eq!(known, anew, "{turn} {route} {pairs:?}");
                }
            }
        }
        let refused = |route| {
            HEADS
                .iter()
                .filter(|pairs| {
                    judge(
                        &stage,
                        route,
                        pairs,
                        &mut Clean::default(),
                        &mut MAX_STEPS.clone(),
                    )
                    .0
                    .is_some()
                })
                .count()
        };
        assert!(refused("") > refused("open"), "the exception holds");
        assert!(refused("strict") > refused(""), "the level does");
    }

    #[test]
    fn what_was_clean_is_not_looked_at_again() {
        let (stage, mut clean) = (stage(), Clean::new([7; 16]));
        for pairs in HEADS {
            let plain = judge(
                &stage,
                "strict",
                pairs,
                &mut Clean::default(),
                &mut MAX_STEPS.clone(),
            );
            if plain.1.is_empty() && !pairs.iter().any(|(name, _)| *name == "authorization") {
                spent(&stage, pairs, &mut clean);
                assert_eq!(spent(&stage, pairs, &mut clean), 0, "{pairs:?}");
                assert!(
                    spent(&stage, pairs, &mut Clean::new([0; 16])) > 0,
                    "no secret, no memory"
                );
                assert!(
                    spent(&stage, pairs, &mut stage.memory([7; 16])) > 0,
                    "a new one is empty"
                );
            }
        }
        let long = format!("it's {}", "long ".repeat(1_000));
        let pairs = [(":path", "/x"), ("x-a", long.as_str())];
        assert!(spent(&stage, &pairs, &mut clean) > 5_000);
        assert!(spent(&stage, &pairs, &mut clean) > 5_000, "too long");
        let mut nothing = InjectionStage::new(1, 5);
        nothing.inspect = Parts {
            target: false,
            headers: false,
            cookies: false,
            ..Parts::ALL
        };
        assert!(nothing.memory([7; 16]).sets.is_empty());
    }

    /// What was not looked at to its end, or matched anything, is not clean.
    #[test]
    fn only_what_was_looked_at_whole_is_remembered() {
        let pairs: Pairs<'_> = &[
            (":path", "/x"),
            ("x-a", "it's (almost) a long value, in the end"),
        ];
        let mut clean = Clean::new([7; 16]);
        let stage = stage();
        for steps in [1, 20, 60, 100] {
            assert!(
                judge(&stage, "", pairs, &mut clean, &mut steps.clone())
                    .0
                    .is_some(),
                "{steps}"
            );
        }
        assert!(spent(&stage, pairs, &mut clean) > 40);
        // A refusal ends the look at all that comes behind it.
        let mut clean = Clean::new([7; 16]);
        let both: Pairs<'_> = &[
            (":path", "/x?a=<script>alert(1)</script>"),
            ("x-a", "it's (almost) a long value"),
        ];
        assert!(
            judge(&stage, "", both, &mut clean, &mut MAX_STEPS.clone())
                .0
                .is_some()
        );
        assert!(spent(&stage, &[(":path", "/x"), both[1]], &mut clean) > 20);
        // An operator's pattern counts on every route, as often as it matches.
        let mut stage = stage;
        stage.patterns.push(OperatorPattern {
            name: b"almost".to_vec(),
            pattern: crate::pattern::Pattern::new("almost").unwrap(),
            score: 3,
        });
        let mut clean = Clean::new([7; 16]);
        for _ in 0..3 {
            assert_eq!(
                judge(&stage, "", pairs, &mut clean, &mut MAX_STEPS.clone())
                    .1
                    .len(),
                1
            );
        }
    }

    /// Text that a cookie's name wraps is looked at with the next value, whose own look is not clean by itself then.
    #[test]
    fn a_wrapped_name_meets_what_is_behind_it() {
        // `{"a":"' OR 1=1-- "}`.
        let name = "eyJhIjoiJyBPUiAxPTEtLSAifQ";
        for next in ["b=it's", "theme=dark"] {
            let heads: [Pairs<'_>; 2] = [
                &[(":path", "/x"), ("cookie", next)],
                &[(":path", "/x"), ("cookie", name), ("cookie", next)],
            ];
            let (stage, mut clean) = (stage(), Clean::new([7; 16]));
            for _ in 0..2 {
                for pairs in heads {
                    let anew = judge(
                        &stage,
                        "",
                        pairs,
                        &mut Clean::default(),
                        &mut MAX_STEPS.clone(),
                    );
                    let known = judge(&stage, "", pairs, &mut clean, &mut MAX_STEPS.clone());
                    assert_eq!(known, anew, "{pairs:?}");
                }
            }
        }
    }

    #[test]
    fn no_field_is_taken_for_another() {
        let clean = Clean::new([7; 16]);
        let mut tags = Vec::new();
        for field in [Field::Path, Field::Query, Field::Header, Field::Cookies] {
            for (name, value) in [
                ("", "a"),
                ("a", ""),
                ("a", "a"),
                ("", "aa"),
                ("", "a\0"),
                ("a\0", ""),
                ("aaaaaaaa", "a"),
                ("aaaaaaa", "aa"),
            ] {
                tags.push(
                    clean
                        .tag(field, name.as_bytes(), value.as_bytes())
                        .unwrap()
                        .0,
                );
            }
        }
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), 32);
        let other = Clean::new([8; 16]);
        assert_ne!(
            other.tag(Field::Path, b"", b"/"),
            clean.tag(Field::Path, b"", b"/")
        );
        let long = [b'a'; 5_000];
        assert_eq!(clean.tag(Field::Path, b"", &long), None);
        assert_eq!(clean.tag(Field::Header, &long, b""), None);
        assert_eq!(format!("{clean:?}"), "Clean { .. }");
    }

    /// A flood of values that never come again takes a fixed room, and leaves those that do.
    #[test]
    fn bounded_and_what_repeats_stays() {
        let mut clean = Clean::new([7; 16]);
        let tag = |clean: &Clean, value: usize| {
            clean
                .tag(Field::Path, b"", format!("/{value}").as_bytes())
                .unwrap()
        };
        let often: Vec<_> = (0..500).map(|value| tag(&clean, value)).collect();
        for _ in 0..WAYS {
            for known in &often {
                if !clean.knows(*known) {
                    clean.remember(*known);
                }
            }
        }
        let mut lost = 0;
        for value in 1_000..100_000 {
            let new = tag(&clean, value);
            assert!(!clean.knows(new));
            clean.remember(new);
            let known = often[value % often.len()];
            if !clean.knows(known) {
                lost += 1;
                clean.remember(known);
            }
        }
        assert!(lost < 200, "{lost}");
        assert_eq!(clean.sets.len(), SETS);
        assert!(clean.sets.capacity() * size_of::<[u64; WAYS]>() <= 64 * 1024);
    }
}
