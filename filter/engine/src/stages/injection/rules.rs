//! How suspicious detection is, on a route and for a class, and what it leaves alone.
//!
//! **In:** the compiled `injection` section. **Out:** the level and threshold of a class on a route; whether a hit is excepted.
//! **Invariant:** an exception that has expired excepts nothing; which exceptions were of use is told ([`Used`]).
//! **Cost:** nothing for a request without a hit, but a look at the list of routes with rules of their own.

use alloc::vec;
use alloc::vec::Vec;

use super::{CLASSES, Class};
use crate::units::UnixTime;

/// Levels and thresholds, of the whole policy or of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Score that blocks, of all classes that have no threshold of their own.
    pub threshold: u32,
    levels: [u8; CLASSES],
    own: [u32; CLASSES],
}

impl Rules {
    /// One level (1..=4) and one threshold for all classes.
    #[must_use]
    pub const fn new(level: u8, threshold: u32) -> Self {
        Self {
            threshold,
            levels: [level; CLASSES],
            own: [0; CLASSES],
        }
    }

    /// Sets what is given, for the given classes, or for all of them when there are none.
    pub fn adjust(&mut self, classes: &[Class], level: Option<u8>, threshold: Option<u32>) {
        if let (true, Some(threshold)) = (classes.is_empty(), threshold) {
            self.threshold = threshold;
        }
        for class in Class::ALL {
            if !classes.is_empty() && !classes.contains(&class) {
                continue;
            }
            if let (Some(slot), Some(level)) = (self.levels.get_mut(class.slot()), level) {
                *slot = level;
            }
            if let (Some(slot), Some(threshold), false) = (
                self.own.get_mut(class.slot()),
                threshold,
                classes.is_empty(),
            ) {
                *slot = threshold;
            }
        }
    }

    /// The level of a class.
    pub(super) fn level(&self, class: Class) -> u8 {
        self.levels.get(class.slot()).copied().unwrap_or(1)
    }

    /// The threshold of a class that is counted apart.
    pub(super) fn own_threshold(&self, class: Class) -> Option<u32> {
        self.own.get(class.slot()).copied().filter(|own| *own > 0)
    }
}

/// An exception: all given parts must hold.
#[derive(Debug, Clone, Default)]
pub struct Exception {
    /// Name in metrics: the policy's, or the place in the list from 1.
    pub name: Vec<u8>,
    /// Route name; `None`: any.
    pub route: Option<Vec<u8>>,
    /// Field (parameter, cookie, header or body field name); `None`: any.
    pub field: Option<Vec<u8>>,
    /// Classes; empty: all.
    pub classes: Vec<Class>,
    /// Only hits of this level or a less sure one; 0 or 1: all.
    pub level: u8,
    /// From then on it excepts nothing.
    pub expires: Option<UnixTime>,
}

impl Exception {
    /// Whether it takes a hit out. `level`: of the hit.
    pub(super) fn takes(
        &self,
        route: &[u8],
        now: UnixTime,
        field: &[u8],
        class: Class,
        level: u8,
    ) -> bool {
        let names = |wanted: &Option<Vec<u8>>, name: &[u8]| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.as_slice() == name)
        };
        level >= self.level
            && (self.classes.is_empty() || self.classes.contains(&class))
            && names(&self.field, field)
            && names(&self.route, route)
            && self.expires.is_none_or(|end| now < end)
    }
}

/// Which exceptions were of use in a request, by their places in the list.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Used {
    list: Vec<u16>,
}

impl Used {
    /// Exceptions kept for a request; further ones are not told.
    const MAX: usize = 8;

    pub(crate) fn note(&mut self, index: u16) {
        if self.list.len() < Self::MAX && !self.list.contains(&index) {
            self.list.push(index);
        }
    }

    /// Adds the uses of a request to a worker's.
    pub(crate) fn count_into(&mut self, counts: &mut Uses) {
        for index in self.list.drain(..) {
            if let Some(count) = counts.counts.get_mut(usize::from(index)) {
                *count = count.saturating_add(1);
            }
        }
    }
}

/// How many requests each exception was of use to, since it was last asked.
#[derive(Debug, Default, Clone)]
pub struct Uses {
    counts: Vec<u32>,
}

impl Uses {
    /// Room for `exceptions` exceptions.
    #[must_use]
    pub fn new(exceptions: usize) -> Self {
        Self {
            counts: vec![0; exceptions],
        }
    }

    /// Takes all counts, in the order of the policy.
    pub fn take(&mut self) -> impl Iterator<Item = u32> + '_ {
        self.counts.iter_mut().map(core::mem::take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_fits_wins() {
        let mut rules = Rules::new(1, 5);
        rules.adjust(&[], Some(2), None);
        rules.adjust(&[Class::Xss], Some(4), Some(9));
        assert_eq!(rules.threshold, 5);
        assert_eq!(rules.level(Class::Sqli), 2);
        assert_eq!(rules.level(Class::Xss), 4);
        assert_eq!(rules.own_threshold(Class::Xss), Some(9));
        assert_eq!(rules.own_threshold(Class::Sqli), None);
        rules.adjust(&[], Some(1), Some(7));
        assert_eq!(rules.level(Class::Xss), 1);
        assert_eq!(rules.threshold, 7);
        assert_eq!(rules.own_threshold(Class::Xss), Some(9));
    }

    #[test]
    fn an_exception_is_as_narrow_as_it_says() {
        let except = Exception {
            name: b"1".to_vec(),
            route: Some(b"blog".to_vec()),
            field: Some(b"text".to_vec()),
            classes: [Class::Xss].to_vec(),
            level: 3,
            expires: Some(UnixTime(100)),
        };
        let takes = |route: &[u8], now, field: &[u8], class, level| {
            except.takes(route, UnixTime(now), field, class, level)
        };
        assert!(takes(b"blog", 99, b"text", Class::Xss, 3));
        assert!(takes(b"blog", 99, b"text", Class::Xss, 4));
        assert!(!takes(b"blog", 99, b"text", Class::Xss, 1));
        assert!(!takes(b"blog", 100, b"text", Class::Xss, 3));
        assert!(!takes(b"shop", 99, b"text", Class::Xss, 3));
        assert!(!takes(b"blog", 99, b"title", Class::Xss, 3));
        assert!(!takes(b"blog", 99, b"text", Class::Sqli, 3));
    }

    #[test]
    fn uses_are_counted_once_a_request() {
        let mut uses = Uses::new(2);
        for _ in 0..3 {
            let mut used = Used::default();
            used.note(1);
            used.note(1);
            used.note(7);
            used.count_into(&mut uses);
        }
        assert_eq!(uses.take().collect::<Vec<_>>(), [0, 3]);
        assert_eq!(uses.take().collect::<Vec<_>>(), [0, 0]);
    }
}
