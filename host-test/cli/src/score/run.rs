//! All rows on all cores.
//!
//! **In:** rows, a way to make a [`Judge`]. **Out:** verdicts in the order of the rows.
//! **Invariant:** a thread has a judge of its own; how many threads there are changes nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use super::{Judge, Row, Verdict};

/// Is told how many more rows are done; from several threads at once.
pub type Progress<'a> = &'a (dyn Fn(u64) + Sync);

/// Rows that a thread takes at once.
const BATCH: usize = 32;

/// Judges all rows on `threads` threads.
///
/// # Errors
/// A judge cannot be made.
pub fn judge_all<J: Judge>(
    rows: &[Row],
    threads: usize,
    judge: impl Fn() -> Result<J> + Sync,
    progress: Progress<'_>,
) -> Result<Vec<Verdict>> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let batches: Vec<&[Row]> = rows.chunks(BATCH).collect();
    let done: Mutex<Vec<(usize, Vec<Verdict>)>> = Mutex::new(Vec::new());
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, batches.len().max(1)) {
            scope.spawn(|| {
                let mut judge = match judge() {
                    Ok(judge) => judge,
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        return;
                    }
                };
                while !stop.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(batch) = batches.get(at) else { return };
                    let verdicts = batch
                        .iter()
                        .map(|row| Verdict {
                            id: row.id.clone(),
                            ..judge.judge(&row.request)
                        })
                        .collect();
                    progress(u64::try_from(batch.len()).unwrap_or_default());
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((at, verdicts));
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    Ok(done
        .into_iter()
        .flat_map(|(_, verdicts)| verdicts)
        .collect())
}
