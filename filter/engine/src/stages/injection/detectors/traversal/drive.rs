//! Paths on a drive: folders of the machine, and files of settings in the users'.
//!
//! **In:** the bytes behind a root. **Out:** whether they lead into the machine.
//! **Invariant:** a document in a user's folder is no traversal.
//! **Cost:** the first folder and the ending.

use super::super::super::bytes::{byte, has_at, rest, tally, upto};
use super::key;
use super::names::{FILE, SEGMENTS};

/// What stands behind `C:\`, or behind the root of such a drive.
pub(super) fn drive(value: &[u8]) -> Option<&[u8]> {
    let lettered = value.first().is_some_and(u8::is_ascii_alphabetic)
        && byte(value, 1) == b':'
        && matches!(byte(value, 2), b'/' | b'\\');
    if lettered {
        let left = rest(value, 3);
        let skip = tally(
            left.iter()
                .take(8)
                .take_while(|byte| matches!(byte, b'/' | b'\\')),
        );
        return Some(rest(left, skip));
    }
    if !matches!(
        value.first().map(u8::to_ascii_lowercase),
        Some(b'p' | b'x' | b'i' | b'w')
    ) {
        return None;
    }
    [
        &b"program files"[..],
        b"xampp\\",
        b"xampp/",
        b"inetpub\\",
        b"windows\\",
        b"winnt\\",
    ]
    .iter()
    .any(|folder| has_at(value, 0, folder))
    .then_some(value)
}

/// Folders of the machine on a drive, and the files in the users' that hold settings.
pub(super) fn machine(folder: &[u8], value: &[u8]) -> bool {
    const SYSTEMS: [&[u8]; 18] = [
        b"windows",
        b"winnt",
        b"inetpub",
        b"xampp",
        b"wamp",
        b"wamp64",
        b"appserv",
        b"mysql",
        b"php",
        b"php4",
        b"php5",
        b"apache",
        b"apache2",
        b"minint",
        b"sysprep",
        b"system32",
        b"system volume information",
        b"$recycle.bin",
    ];
    const SHARED: [&[u8]; 6] = [
        b"program files",
        b"program files (x86)",
        b"programfiles",
        b"programdata",
        b"users",
        b"documents and settings",
    ];
    const FILES: [&[u8]; 8] = [
        b".ini", b".conf", b".cnf", b".xml", b".log", b".dat", b"passwd", b".config",
    ];
    let end = upto(folder, 32)
        .iter()
        .position(|byte| matches!(byte, b'/' | b'\\'));
    let name = end.map_or(folder, |end| folder.get(..end).unwrap_or(folder));
    let among = |list: &[&[u8]]| list.iter().any(|folder| name.eq_ignore_ascii_case(folder));
    let value = value.trim_ascii_end();
    let wanted = FILES.iter().any(|file| ends_with(value, file));
    match end {
        Some(end) => {
            among(&SYSTEMS) && folder.len() > end.saturating_add(1)
                || (among(&SHARED) && (wanted || folder.len() <= end.saturating_add(1)))
        }
        None => SEGMENTS.kind(key(name)) == FILE,
    }
}

pub(super) fn ends_with(value: &[u8], end: &[u8]) -> bool {
    value
        .len()
        .checked_sub(end.len())
        .is_some_and(|split| has_at(value, split, end))
}
