//! Files that are looked at again and again: which of them have changed, and have come to rest.
//!
//! **Invariant:** a file counts as changed only when it looked the same at two looks one after the other, so one that is just being written
//! is left alone; replaced atomically, edited in place, or gone and come again: each is a change.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// What a file looks like from outside: inode, size, time of change.
type Look = Option<(u64, u64, i64, i64)>;

/// One set of files.
#[derive(Debug)]
pub(crate) struct Watch {
    files: Vec<PathBuf>,
    /// As last taken.
    taken: Vec<Look>,
    /// As last seen.
    seen: Vec<Look>,
}

impl Watch {
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        let taken: Vec<Look> = files.iter().map(look).collect();
        Self {
            files,
            seen: taken.clone(),
            taken,
        }
    }

    /// Looks; true if something has changed since it was last true, and rests.
    pub(crate) fn changed(&mut self) -> bool {
        let now: Vec<Look> = self.files.iter().map(look).collect();
        let rests = now == self.seen && now.iter().all(Option::is_some);
        let changed = rests && now != self.taken;
        if changed {
            self.taken.clone_from(&now);
        }
        self.seen = now;
        changed
    }
}

fn look(file: &PathBuf) -> Look {
    let metadata = std::fs::metadata(file).ok()?;
    Some((
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    ))
}
