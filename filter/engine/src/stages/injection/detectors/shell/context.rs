//! What tells a command line from a text, a list or a record: what stands around a separator and behind a name.
//!
//! **In:** a value and where a separator or a command stands. **Out:** a yes or no.
//! **Invariant:** looks a constant number of bytes to either side.
//! **Source:** POSIX shell §2.6.1 (tilde), bash manual (history), cmd.exe `timeout`, HTML §13.5 (references).
//! **Cost:** bounded a look.

use super::super::super::bytes::{byte, has_at, is_space, is_word, rest, skip_space, tally, upto};
use super::super::super::places::{Places, Set};
use super::argument::{Shape, shape};
use super::list::ALONE;
use super::word;

/// The `;` at `at` ends a reference to a character: `&amp;`, `&#39;`.
pub(super) fn is_entity(value: &[u8], at: usize) -> bool {
    let lead = value.get(at.saturating_sub(8)..at).unwrap_or(&[]);
    let Some(start) = lead.iter().rposition(|&byte| byte == b'&') else {
        return false;
    };
    let name = rest(lead, start.saturating_add(1));
    match name.strip_prefix(b"#") {
        Some(number) => {
            let digits = number.strip_prefix(b"x").unwrap_or(number);
            !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit)
        }
        None => [
            &b"amp"[..],
            b"quot",
            b"apos",
            b"lt",
            b"gt",
            b"nbsp",
            b"ndash",
            b"mdash",
            b"lsquo",
            b"rsquo",
            b"ldquo",
            b"rdquo",
            b"hellip",
            b"laquo",
            b"raquo",
            b"copy",
        ]
        .contains(&name),
    }
}

/// The run of words, bars and hyphens that was looked at last: choices in it share its ends.
#[derive(Debug, Default)]
pub(super) struct Choices {
    start: usize,
    end: usize,
}

impl Choices {
    /// The `|` at `at` stands between the words of a choice or a list of words: `(name|id)`, `date|time|id`.
    pub(super) fn has(&mut self, value: &[u8], at: usize) -> bool {
        let odd = |byte: &u8| !(is_word(*byte) || matches!(byte, b'|' | b'-'));
        if at >= self.end {
            let lead = value.get(self.end..at).unwrap_or(&[]);
            self.start = lead.iter().rposition(odd).map_or(self.end, |step| {
                self.end.saturating_add(step).saturating_add(1)
            });
            self.end = rest(value, at)
                .iter()
                .position(odd)
                .map_or(value.len(), |step| at.saturating_add(step));
        }
        let one = at.saturating_add(1);
        let first = self.start.max(at.saturating_sub(CHOICE));
        let last = self.end.min(one.saturating_add(CHOICE));
        let (before, after) = (
            value.get(first..at).unwrap_or(&[]),
            value.get(one..last).unwrap_or(&[]),
        );
        if before.is_empty()
            || after.is_empty()
            || after.starts_with(b"|")
            || after.ends_with(b"|")
            || before.ends_with(b"|")
        {
            return false;
        }
        let within = |at: usize| at < one.saturating_add(CHOICE).min(value.len());
        let stop = if within(last) { byte(value, last) } else { 0 };
        // A substitution, and what is piped out of one, is none.
        let reach = at.saturating_sub(CHOICE);
        let sign = |step: usize| {
            first
                .checked_sub(step)
                .filter(|&at| at >= reach)
                .map_or(0, |at| byte(value, at))
        };
        let opener = sign(1);
        let calls = matches!(sign(2), b'$' | b'<' | b'>');
        if opener == b'(' && !calls && stop == b')' {
            return true;
        }
        let free = first == 0 && at < CHOICE || opener == b'/';
        let whole = free && last == value.len() && value.len() < one.saturating_add(CHOICE);
        whole && (before.contains(&b'|') || after.contains(&b'|'))
    }
}

/// The backtick at `at` is Markdown's: it closes a span, or opens one that holds a name and stands before a word of a sentence
/// or in a link.
pub(super) fn is_marked(value: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).map_or(b' ', |at| byte(value, at));
    let one = at.saturating_add(1);
    if is_space(byte(value, one)) && !is_space(before) {
        let lead = value.get(at.saturating_sub(CHOICE)..at).unwrap_or(&[]);
        return lead.contains(&b'`');
    }
    let name = tally(
        rest(value, one)
            .iter()
            .take(CHOICE)
            .take_while(|byte| is_word(**byte) || matches!(byte, b'-' | b'.')),
    );
    let close = one.saturating_add(name);
    if byte(value, close) != b'`' {
        return false;
    }
    let next = byte(value, close.saturating_add(1));
    let word = rest(value, close.saturating_add(2))
        .iter()
        .take(3)
        .take_while(|byte| byte.is_ascii_lowercase());
    (is_space(before) && next == b' ' && tally(word) >= 2 && word::read(value, one).kind != ALONE)
        || (before == b'[' && next == b']')
}

/// Bytes around a `|` in which a choice ends.
const CHOICE: usize = 64;

/// `return f(x)`, `power< any`, `if x.y:` at a line's start: a line of a program, not a command nobody knows with a flag or a path.
pub(super) fn is_code(value: &[u8], end: usize, name: &[u8]) -> bool {
    let next = skip_space(value, end);
    let keyword = [&b"return"[..], b"raise", b"yield", b"case"].contains(&name);
    keyword
        || next == end
        || byte(value, next).is_ascii_alphanumeric()
        || matches!(byte(value, next), b'_' | b'"' | b'\'')
}

/// `` `ls -la` or `pwd` ``: Markdown's spans of a command with its flags, and the word that joins them.
pub(super) fn is_pair(value: &[u8], at: usize) -> bool {
    let plain = |byte: &&u8| byte.is_ascii_lowercase() || matches!(byte, b' ' | b'-');
    let one = at.saturating_add(1);
    let first = tally(rest(value, one).iter().take(CHOICE).take_while(plain));
    let mut next = one.saturating_add(first);
    if byte(value, next) != b'`' {
        return false;
    }
    next = next.saturating_add(1);
    let Some(word) = [&b" or `"[..], b" and `", b", `"]
        .into_iter()
        .find(|word| rest(value, next).starts_with(word))
    else {
        return false;
    };
    next = next.saturating_add(word.len());
    let second = tally(rest(value, next).iter().take(CHOICE).take_while(plain));
    byte(value, next.saturating_add(second)) == b'`'
}

/// Words that end at a `;`, and a number or nothing behind it: a field of a record.
pub(super) fn is_record(value: &[u8], from: usize) -> bool {
    let tail = rest(value, from);
    let tail = tail.get(..CHOICE).unwrap_or(tail);
    let Some(end) = tail.iter().position(|&byte| byte == b';') else {
        return false;
    };
    let words = tail
        .iter()
        .take(end)
        .all(|byte| byte.is_ascii_alphanumeric() || is_space(*byte) || *byte >= 0x80);
    let next = byte(tail, end.saturating_add(1));
    words && (next.is_ascii_digit() || next == b';')
}

/// `~+`, `~+5`: folders of a shell's; `!-1!-2`: its history. Nothing else is in the value.
pub(super) fn expands(value: &[u8]) -> bool {
    let value = value.trim_ascii_end();
    match value {
        [b'~', b'+', digits @ ..] => {
            digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit)
                || digits.first() == Some(&b'/')
        }
        [b'!', b'-', digit, ..] => {
            digit.is_ascii_digit()
                && value
                    .iter()
                    .all(|byte| byte.is_ascii_digit() || matches!(byte, b'!' | b'-' | b':' | b'$'))
        }
        _ => false,
    }
}

/// `timeout 10`, `timeout /T 1.5`: waits, and no more; a quote that the value left may follow.
pub(super) fn waits(value: &[u8], at: usize, end: usize) -> bool {
    let tail = rest(value, end).trim_ascii_start();
    let tail = tail.get(..16).unwrap_or(tail);
    has_at(value, at, b"timeout")
        && (has_at(tail, 0, b"/t ") || byte(tail, 0).is_ascii_digit())
        && tail.iter().all(|byte| {
            byte.is_ascii_digit()
                || is_space(*byte)
                || matches!(byte, b'/' | b't' | b'T' | b'&' | b'.' | b'|' | b'"' | b'\'')
        })
}

/// A shell or an interpreter, and nothing but a separator behind it.
pub(super) fn is_shell(value: &[u8], from: usize) -> bool {
    let read = word::read(value, skip_space(value, from));
    let name = read.name(value);
    let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    [
        &b"sh"[..],
        b"bash",
        b"dash",
        b"ash",
        b"zsh",
        b"ksh",
        b"python",
        b"python3",
        b"perl",
        b"php",
        b"ruby",
        b"node",
    ]
    .contains(&name)
        && shape(value, read.end, name, read.kind) == Shape::Ends
}

/// Commands that tell something without an argument; the others wait for input.
pub(super) fn shows(name: &[u8]) -> bool {
    let silent = [
        &b"more"[..],
        b"less",
        b"head",
        b"tail",
        b"sort",
        b"find",
        b"start",
        b"move",
        b"copy",
        b"cut",
        b"source",
        b"which",
        b"expand",
        b"free",
        b"look",
        b"last",
        b"at",
        b"host",
        b"touch",
        b"net",
        b"node",
        b"git",
        b"docker",
        b"aws",
        b"del",
        b"seq",
        b"route",
        b"kill",
        b"join",
        b"ping",
        b"echo",
        b"sleep",
        b"yes",
    ];
    !silent
        .iter()
        .any(|silent| name.eq_ignore_ascii_case(silent))
}

/// Commands whose names nobody's sentence goes on with behind a `;`: `; ip a`, `;docker ps`.
pub(super) fn is_terse(name: &[u8]) -> bool {
    [
        &b"ip"[..],
        b"ss",
        b"ps",
        b"su",
        b"cd",
        b"ls",
        b"rm",
        b"cp",
        b"mv",
        b"nc",
        b"dig",
        b"gcc",
        b"cat",
        b"id",
        b"env",
        b"pwd",
        b"ver",
        b"dir",
        b"df",
        b"du",
        b"ssh",
        b"tar",
        b"cmd",
        b"eval",
        b"redis-cli",
        b"mysql",
        b"echo",
        b"ping",
        b"grep",
        b"chmod",
        b"docker",
        b"kubectl",
        b"lxc",
        b"aws",
        b"php",
        b"perl",
        b"python",
        b"node",
        b"sh",
        b"ash",
        b"umask",
        b"mysql",
    ]
    .contains(&name)
}

/// As [`is_terse`], and no noun that a list of words holds.
pub(super) fn is_verb(name: &[u8]) -> bool {
    [
        &b"echo"[..],
        b"cd",
        b"ls",
        b"rm",
        b"cp",
        b"mv",
        b"ps",
        b"nc",
        b"ssh",
        b"grep",
        b"chmod",
        b"docker",
        b"kubectl",
        b"eval",
    ]
    .contains(&name)
}

/// `;date`: a command that tells something, whose name is a word, and nothing else is in the value.
pub(super) fn tells(value: &[u8], name: &[u8], end: usize) -> bool {
    let known = [
        &b"date"[..],
        b"export",
        b"history",
        b"jobs",
        b"times",
        b"groups",
        b"users",
        b"logname",
        b"locale",
        b"finger",
        b"last",
        b"tty",
        b"ver",
        b"vol",
        b"path",
        b"calc",
        b"calc.exe",
        b"notepad",
        b"notepad.exe",
        b"gci",
        b"gps",
    ]
    .contains(&name);
    let tail = rest(value, end).trim_ascii();
    known
        && matches!(
            tail,
            b"" | b";" | b"|" | b"&" | b"#" | b"\0" | b"&&" | b"||" | b"'" | b"\"" | b"`"
        )
}

/// What the inner word of a compound command stands behind.
static SIGNS: Set = Set::of(b";\n");

/// Blanks before the inner word of a compound command, and one byte of it.
const BLANKS: usize = 9;

/// `;do`, `;  then`, a line of `do`: the inner word of a compound command.
pub(super) fn goes_on(value: &[u8]) -> bool {
    let mut signs = Places::of(value, &SIGNS);
    let mut at = 0;
    while let Some(sign) = signs.from(at) {
        at = sign.saturating_add(1);
        let near = upto(rest(value, at), BLANKS);
        let Some(blanks) = near.iter().position(|&byte| !is_space(byte)) else {
            continue;
        };
        let text = rest(value, at.saturating_add(blanks));
        let length = match byte(text, 0) {
            b'd' if text.starts_with(b"do") => 2,
            b't' if text.starts_with(b"then") || text.starts_with(b"trap") => 4,
            b'e' if text.starts_with(b"esac") && !is_word(byte(text, 4)) => return true,
            _ => continue,
        };
        let next = byte(text, length);
        if is_space(next) || next == b'{' {
            return true;
        }
    }
    false
}

/// Bytes in which a compound command says what it does.
const COMPOUND: usize = 96;

/// Words that compound commands begin with.
const COMPOUNDS: [&[u8]; 7] = [
    b"if", b"for", b"while", b"until", b"select", b"case", b"trap",
];

/// `if [ 1 -eq 1 ];then`, `for i in *;do`, `while true;do`, `case x in x)`, `trap id EXIT`, `f(){ id;}` from `from` on.
pub(super) fn compound(value: &[u8], from: usize, steps: &mut u64) -> bool {
    let text = rest(value, skip_space(value, from));
    let text = text.get(..COMPOUND).unwrap_or(text);
    let name = tally(text.iter().take(16).take_while(|byte| is_word(**byte)));
    let (word, tail) = text.split_at_checked(name).unwrap_or((text, &[]));
    let then = |second: &[u8]| {
        tail.windows(second.len().saturating_add(2)).any(|near| {
            let (sign, word) = near.split_at_checked(1).unwrap_or((near, &[]));
            let (word, after) = word.split_at_checked(second.len()).unwrap_or((word, &[]));
            (sign == b";" || sign.iter().all(|byte| is_space(*byte)))
                && word == second
                && after.iter().all(|byte| is_space(*byte) || *byte == b'{')
        }) && tail.contains(&b';')
    };
    if tail.starts_with(b"()") {
        let body = skip_space(tail, 2);
        return name > 0
            && byte(tail, body) == b'{'
            && is_space(byte(tail, body.saturating_add(1)))
            && rest(tail, body).windows(2).any(|end| end == b";}");
    }
    if !is_space(byte(tail, 0)) || !COMPOUNDS.contains(&word) {
        return false;
    }
    super::super::spend(steps, COMPOUND);
    match word {
        b"if" => then(b"then"),
        b"for" | b"while" | b"until" | b"select" => then(b"do"),
        b"case" => {
            tail.windows(4).any(|word| word == b" in ") && tail.windows(2).any(|end| end == b";;")
        }
        b"trap" => {
            let signal = tail.trim_ascii_end().rsplit(|byte| is_space(*byte)).next();
            signal.is_some_and(|signal| {
                matches!(
                    signal,
                    b"EXIT" | b"ERR" | b"DEBUG" | b"RETURN" | b"0" | b"INT" | b"TERM" | b"HUP"
                )
            })
        }
        _ => false,
    }
}

/// An address or a host's name and nothing else: what a tool of networks was asked for.
pub(super) fn is_host(lead: &[u8]) -> bool {
    let lead = lead.trim_ascii_end();
    let from = lead.len().saturating_sub(CHOICE.saturating_add(1));
    let host = rest(lead, from).trim_ascii_start();
    host.len() <= CHOICE
        && host.contains(&b'.')
        && host.iter().all(|&byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b':')
        })
        // Looked through from behind: up to what the last look began with.
        && lead
            .get(..from)
            .unwrap_or(&[])
            .iter()
            .rposition(|byte| !byte.is_ascii_whitespace())
            .is_none()
}

/// `./run`, `/tmp/run`: a file of one's own.
pub(super) fn is_dropped(value: &[u8], at: usize) -> bool {
    [&b"./"[..], b"/tmp/", b"/dev/shm/", b"/var/tmp/"]
        .iter()
        .any(|folder| {
            has_at(value, at, folder)
                && byte(value, at.saturating_add(folder.len())).is_ascii_alphanumeric()
        })
}

/// An ending that Windows runs.
pub(super) fn is_program(name: &[u8]) -> bool {
    let ending = name.rsplit(|&byte| byte == b'.').next().unwrap_or(name);
    [&b"exe"[..], b"com", b"bat", b"cmd", b"ps1", b"vbs"]
        .iter()
        .any(|program| ending.eq_ignore_ascii_case(program))
}
