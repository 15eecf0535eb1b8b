//! Makes a schedule short: takes interruptions away as long as the property stays broken.
//!
//! In: a run that breaks a property. Out: one that still does, with few interruptions; usually the two or three that matter.
//! Cost: some hundred runs, at most `MOST`.
//! Source: delta debugging (Zeller and Hildebrandt, 2002), removal only.

use crate::simulate::{Run, Schedule, Switch};

/// Most runs spent on one schedule.
const MOST: usize = 500;

/// `attempt` plays a schedule and returns its run if that still breaks the property.
pub(super) fn shrink(broken: &Run, attempt: impl Fn(&Schedule) -> Option<Run>) -> Run {
    let mut left = MOST;
    let mut attempt = |schedule: &Schedule| {
        left = left.checked_sub(1)?;
        attempt(schedule)
    };
    // The whole schedule first: what cannot be played again cannot be made shorter.
    let Some(mut best) = attempt(&broken.schedule) else {
        return broken.clone();
    };
    let mut kept = broken.schedule.switches.clone();
    let mut size = kept.len().div_ceil(2).max(1);
    while !kept.is_empty() {
        let mut at = 0;
        let mut removed = false;
        while at < kept.len() {
            let switches: Vec<Switch> = kept
                .iter()
                .enumerate()
                .filter(|(position, _)| *position < at || *position >= at + size)
                .map(|(_, switch)| *switch)
                .collect();
            let schedule = Schedule {
                first: broken.schedule.first,
                switches: switches.clone(),
            };
            match attempt(&schedule) {
                Some(run) => {
                    best = run;
                    kept = switches;
                    removed = true;
                }
                None => at += size,
            }
        }
        if size == 1 && !removed {
            break;
        }
        size = (size / 2).max(1);
    }
    best
}
