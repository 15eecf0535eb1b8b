//! Paths of programs: `/bin/sh`, `/???/c?t`, `'/usr/bin/id'`, `/dev/tcp/`.
//!
//! **In:** a value and where a `/` stands. **Out:** what the path is worth.
//! **Invariant:** a path ends where the word around it ends and names the same command, so a word is read once for all paths that
//! start in it; only those that can be a command line are read alone.
//! **Cost:** one pass over the words that hold paths, and at most [`LONGEST`] bytes for a path at a word's end.

use super::super::super::bytes::{byte, has_at, is_space};
use super::super::Strength;
use super::argument::{Shape, shape};
use super::word::{self, LONGEST, Word};

/// Bytes of an expansion that a word which is read to its bound may end behind it.
const SLACK: usize = 32;

/// The word that paths were read in last.
#[derive(Debug, Default)]
pub(super) struct Paths {
    word: Option<Word>,
    /// Paths that start before it are in the word.
    until: usize,
    /// Where all words that were read end.
    read: usize,
}

impl Paths {
    /// The word that the path at `at` stands in.
    fn word(&mut self, value: &[u8], at: usize) -> Word {
        if at < self.until
            && let Some(word) = self.word
        {
            return word;
        }
        // What an expansion held may run into what was read already: a bound instead of the whole once more.
        let fresh = at >= self.read;
        let word = word::read_within(value, at, if fresh { usize::MAX } else { LONGEST });
        self.until = if fresh { word.end.min(word.skipped) } else { 0 };
        self.read = self.read.max(word.end);
        self.word = Some(word);
        word
    }
}

/// `/bin/sh`, `/usr/bin/id`, `/???/c?t`, `/dev/tcp/`.
pub(super) fn path(value: &[u8], at: usize, paths: &mut Paths) -> Option<Strength> {
    let next = byte(value, at.saturating_add(1));
    if matches!(next, b'd' | b'D')
        && (has_at(value, at, b"/dev/tcp/") || has_at(value, at, b"/dev/udp/"))
    {
        return Some(Strength::Decisive);
    }
    let lead = value.get(..at).unwrap_or(&[]);
    let programs = matches!(next, b'b' | b'B' | b's' | b'S')
        && (has_at(value, at, b"/bin/") || has_at(value, at, b"/sbin/"));
    let command = (matches!(next, b'?' | b'[') || next.is_ascii_alphabetic()) && is_free(lead);
    if !programs && !command {
        return None;
    }
    let word = paths.word(value, at);
    let far = word.end > at.saturating_add(LONGEST).saturating_add(SLACK);
    let ends = |end| is_space(byte(value, end)) || end >= value.len();
    if command && !far && (word.globs || (word.named != 0 && word.torn > 0)) && ends(word.end) {
        let read = word::read(value, at);
        if (read.globbed || (read.kind != 0 && read.torn > 0 && read.path)) && ends(read.end) {
            return Some(Strength::Decisive);
        }
    }
    if !programs || far || word.named == 0 {
        return None;
    }
    let Word { named, end, .. } = word;
    let lead = lead.strip_suffix(b"/local").unwrap_or(lead);
    let lead = lead.strip_suffix(b"/usr").unwrap_or(lead);
    let lead = lead.strip_suffix(b"usr").unwrap_or(lead);
    let shape = shape(value, end, b"", named);
    Some(match (is_free(lead), shape) {
        (true, Shape::Argument | Shape::Ends | Shape::Word) => Strength::Decisive,
        (false, Shape::Argument) if is_reader(value.get(at..end).unwrap_or(&[])) => {
            Strength::Decisive
        }
        _ => Strength::Suspicious,
    })
}

/// Nothing stands right before a path, or what a command may stand behind.
fn is_free(lead: &[u8]) -> bool {
    lead.last().is_none_or(|byte| {
        matches!(
            byte,
            b';' | b'|' | b'&' | b'`' | b'(' | b'\n' | b'=' | b'"' | b'\'' | b'{' | b','
        )
    }) || lead.iter().rev().take(16).all(|&byte| is_space(byte))
}

/// What runs or reads anything; other programs by their paths are in every log and manual.
fn is_reader(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    [
        &b"sh"[..],
        b"bash",
        b"dash",
        b"ash",
        b"zsh",
        b"ksh",
        b"csh",
        b"cat",
        b"nc",
        b"ncat",
        b"id",
        b"ls",
        b"wget",
        b"curl",
        b"python",
        b"perl",
        b"busybox",
    ]
    .iter()
    .any(|reader| name.eq_ignore_ascii_case(reader))
}

#[cfg(test)]
mod tests {
    use super::super::context::Choices;
    use super::{Paths, path};
    use crate::testing::Random;

    const PIECES: [&str; 30] = [
        "/",
        "/a",
        "/?",
        "/bin/",
        "/usr/bin/",
        "/sbin/",
        "/b?n/",
        "/*",
        "'",
        "\"",
        "`",
        "${/a",
        "${a}",
        "}",
        "[a-/]",
        "$(",
        "()",
        "cat",
        "c''at",
        "id",
        " ",
        "\n",
        ",",
        ";",
        "|",
        "(a|b)",
        "-",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "/abcdefgh/*/",
        "?",
    ];

    /// What is remembered of a word changes nothing.
    #[test]
    fn paths_and_choices_are_judged_as_if_each_were_alone() {
        let mut random = Random::new(7);
        let mut found = [0, 0];
        for round in 0..3000 {
            let mut value = String::new();
            let mut last = "";
            for _ in 0..2 + round % 40 {
                let piece = PIECES[random.below(PIECES.len())];
                let again = random.below(8) == 0;
                last = if again { last } else { piece };
                value.push_str(last);
            }
            let value = value.as_bytes();
            let (mut paths, mut choices) = (Paths::default(), Choices::default());
            for at in 0..value.len() {
                let text = String::from_utf8_lossy(value);
                if value[at] == b'/' {
                    let alone = path(value, at, &mut Paths::default());
                    assert_eq!(path(value, at, &mut paths), alone, "{text} at {at}");
                    found[0] += usize::from(alone.is_some());
                } else if value[at] == b'|' {
                    let alone = Choices::default().has(value, at);
                    assert_eq!(choices.has(value, at), alone, "{text} at {at}");
                    found[1] += usize::from(alone);
                }
            }
        }
        assert!(found[0] > 500 && found[1] > 10, "{found:?}");
    }

    #[test]
    fn decoys_hide_no_path() {
        let value = [
            "'/a".repeat(5000),
            "'/?".to_owned(),
            "/bin//bin/".repeat(500),
            "'/bin/c''at /x".to_owned(),
        ]
        .concat();
        let value = value.as_bytes();
        let mut paths = Paths::default();
        let found = (0..value.len())
            .filter(|&at| value[at] == b'/')
            .any(|at| path(value, at, &mut paths) == Some(super::Strength::Decisive));
        assert!(found);
    }
}
