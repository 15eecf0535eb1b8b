//! What stands behind a command: nothing, an argument, a word, a sentence.
//!
//! **In:** a value and where a command's name ends. **Out:** the shape of what follows.
//! **Invariant:** looks at one word, and at flags within [`FLAGS`] bytes.
//! **Cost:** bounded a command.

use super::super::super::bytes::{byte, contains, has_at, is_space, rest, skip_space, tally};
use super::list::{ALONE, SURE};

/// Bytes in which a flag makes a command line of words.
const FLAGS: usize = 64;

/// What stands behind a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing, or the next separator.
    Ends,
    /// A flag, a path, a variable, an address, a substitution.
    Argument,
    /// A word like any other.
    Word,
    /// Punctuation of a sentence.
    Prose,
}

pub(super) fn shape(value: &[u8], end: usize, name: &[u8], kind: u8) -> Shape {
    let next = skip_space(value, end);
    let glued = next == end;
    let head = byte(value, next);
    if next >= value.len() {
        return Shape::Ends;
    }
    if glued {
        return match head {
            b';' | b'|' | b'&' | b'`' | b')' | b'#' | b'\'' | b'"' | b'}' | b'\0' => Shape::Ends,
            // `tr><td>`: a tag that was cut.
            b'>' if byte(value, end.saturating_add(1)) == b'<' => Shape::Prose,
            b'<' | b'>' | b'{' => Shape::Argument,
            b'$' if matches!(
                byte(value, end.saturating_add(1)),
                b'{' | b'I' | b'@' | b'('
            ) =>
            {
                Shape::Argument
            }
            b'\\' if matches!(byte(value, end.saturating_add(1)), b'n' | b'r') => Shape::Ends,
            b'/' if matches!(kind, SURE | ALONE)
                && byte(value, end.saturating_add(1)).is_ascii_alphabetic()
                && matches!(
                    byte(value, end.saturating_add(2)),
                    b' ' | b'\t' | b':' | b';' | b'|' | b'&' | b'/' | b'"' | 0
                ) =>
            {
                Shape::Argument
            }
            // A blank of a form that nobody has decoded.
            b'+' if matches!(byte(value, end.saturating_add(1)), b'/' | b'-' | b'$') => {
                Shape::Argument
            }
            b'+' if byte(value, end.saturating_add(1)).is_ascii_alphanumeric() => Shape::Word,
            _ => Shape::Prose,
        };
    }
    let tail = rest(value, next);
    let word_length = tail
        .iter()
        .position(|&byte| is_space(byte) || matches!(byte, b';' | b'|' | b'&' | b'`' | b')'))
        .unwrap_or(tail.len());
    let word = tail.get(..word_length).unwrap_or(tail);
    let last = next.saturating_add(word_length);
    let closes = last >= value.len()
        || matches!(
            byte(value, last),
            b';' | b'|' | b'&' | b'`' | b')' | b'\n' | b'\r'
        );
    match head {
        // An interpreter without a program.
        b'-' if word == b"-c"
            && !rest(value, last)
                .iter()
                .take(64)
                .any(u8::is_ascii_alphanumeric) =>
        {
            Shape::Prose
        }
        b';' | b'|' | b'`' | b')' | b'#' | b'&' => Shape::Ends,
        _ if name.eq_ignore_ascii_case(b"at") && !is_time(word) => Shape::Word,
        // `df = f(x)`, `id == 5`: an assignment, a comparison.
        b'=' if matches!(word, b"=" | b"==" | b"===" | b"=>") => Shape::Prose,
        b'+' | b'-' | b'*' | b'<' | b'>' | b':' | b'!'
            if matches!(word, b"+=" | b"-=" | b"*=" | b"<=" | b":=" | b"!=" | b">=") =>
        {
            Shape::Prose
        }
        // `diff --git a/x b/x`: the head of a patch.
        b'-' if word == b"--git"
            && name == b"diff"
            && matches!(rest(value, last), [b' ', b'a' | b'"', b'/' | b'a', ..]) =>
        {
            Shape::Prose
        }
        // Its manual: `/s host`, `/t seconds`, `/si`, and a signal's name.
        _ if name.eq_ignore_ascii_case(b"waitfor")
            && head != b'/'
            && last < value.len()
            && !rest(value, last)
                .iter()
                .take(FLAGS)
                .any(|&byte| byte == b'/') =>
        {
            Shape::Prose
        }
        // `tool\n(1)`: a page of a manual.
        b'(' if byte(value, next.saturating_add(1)).is_ascii_digit()
            && byte(value, next.saturating_add(2)) == b')' =>
        {
            Shape::Prose
        }
        // `python3 (>= 3.8)`: a version.
        b'(' if matches!(byte(value, next.saturating_add(1)), b'<' | b'>' | b'=') => Shape::Prose,
        // `IEX (irm …)`, `powershell iex(irm …)`: PowerShell's, and no other command's.
        b'(' if is_fetch(name) => Shape::Argument,
        _ if fetches(word) => Shape::Argument,
        // `dig +short host`
        b'+' if name.eq_ignore_ascii_case(b"dig") => Shape::Argument,
        b'(' => Shape::Word,
        // `more %s`, `copy %1$s`: the text of a program, with places to fill in.
        b'%' if is_format(word) => Shape::Word,
        _ if is_function_word(word) && !(name == b"ip" && closes) => Shape::Prose,
        b'-' if byte(value, next.saturating_add(1)).is_ascii_alphanumeric()
            || byte(value, next.saturating_add(1)) == b'-' =>
        {
            Shape::Argument
        }
        // `CD / DVD`, `a * b`: a sign between words.
        b'/' | b'*' | b'~' | b'<' | b'>' | b'%'
            if is_space(byte(value, next.saturating_add(1))) && kind != SURE && kind != ALONE =>
        {
            if rest(value, next.saturating_add(2))
                .first()
                .is_some_and(|byte| matches!(byte, b'/' | b'-'))
            {
                Shape::Argument
            } else {
                Shape::Word
            }
        }
        b'/' | b'\\' | b'$' | b'~' | b'*' | b'<' | b'>' | b'%' => Shape::Argument,
        b'+' if name.eq_ignore_ascii_case(b"alias") || name.eq_ignore_ascii_case(b"date") => {
            Shape::Argument
        }
        // `find . is slow`
        b'.' if is_space(byte(value, next.saturating_add(1)))
            && byte(value, skip_space(value, next.saturating_add(1))).is_ascii_alphabetic() =>
        {
            Shape::Word
        }
        b'.' if matches!(byte(value, next.saturating_add(1)), b'/' | b'.' | b' ') => {
            Shape::Argument
        }
        b'\'' | b'"' if matches!(byte(value, next.saturating_add(1)), b'-' | b'/') => {
            Shape::Argument
        }
        b'\'' | b'"' => {
            let runs = [
                &b"echo"[..],
                b"printf",
                b"bash",
                b"sh",
                b"eval",
                b"exec",
                b"trap",
                b"alias",
                b"sqlite3",
                b"psql",
            ];
            if runs.iter().any(|run| name.eq_ignore_ascii_case(run)) {
                Shape::Argument
            } else {
                Shape::Word
            }
        }
        _ if word.len() > 2 && byte(word, 1) == b':' && byte(word, 2) == b'\\' => Shape::Argument,
        _ if is_address(word) => Shape::Argument,
        _ if head.is_ascii_digit() && is_counted(name) && is_number(word) => Shape::Word,
        _ if head.is_ascii_digit() && closes => Shape::Argument,
        _ if contains(word, b"/")
            && (contains(word, b"://") || word.starts_with(b"etc") || closes) =>
        {
            Shape::Argument
        }
        _ if is_secret(word) => Shape::Argument,
        _ if has_verb(name, word)
            && (closes || has_flag(rest(value, last)) || has_key(rest(value, last))) =>
        {
            Shape::Argument
        }
        // `ansible-vault decrypt secret`: names that nobody's sentence begins with.
        _ if is_tool(name) && is_verb(word) && (closes || is_plain(rest(value, last))) => {
            Shape::Argument
        }
        // `which netcat`
        _ if name == b"which"
            && closes
            && matches!(super::word::read(value, next).kind, SURE | ALONE) =>
        {
            Shape::Argument
        }
        _ if (kind == SURE || kind == ALONE) && has_flag(rest(value, last)) => Shape::Argument,
        _ if name.eq_ignore_ascii_case(b"net")
            && [
                &b"user"[..],
                b"localgroup",
                b"view",
                b"use",
                b"share",
                b"start",
                b"accounts",
            ]
            .iter()
            .any(|verb| word.eq_ignore_ascii_case(verb)) =>
        {
            let after = skip_space(value, last);
            let verb_end = rest(value, after)
                .iter()
                .position(|&byte| is_space(byte))
                .map_or(value.len(), |step| after.saturating_add(step));
            if closes
                || contains(
                    rest(value, verb_end)
                        .get(..128)
                        .unwrap_or_else(|| rest(value, verb_end)),
                    b"/",
                )
            {
                Shape::Argument
            } else {
                Shape::Word
            }
        }
        _ if word
            .iter()
            .any(|&byte| matches!(byte, b'*' | b'=' | b'\\' | b'$'))
            || (word.len() > 4
                && word
                    .get(1..word.len().saturating_sub(2))
                    .is_some_and(|middle| middle.contains(&b'.'))) =>
        {
            Shape::Argument
        }
        _ if closes
            && (last < value.len() || word.len() == tail.len())
            && (byte(value, last) == b'|'
                || byte(value, last) == b'`'
                || byte(value, last) == b';') =>
        {
            Shape::Argument
        }
        _ => Shape::Word,
    }
}

/// A time or an option of `at`; a trace of a stack says where a call was.
fn is_time(word: &[u8]) -> bool {
    byte(word, 0).is_ascii_digit()
        || matches!(byte(word, 0), b'-' | b'<' | b'$')
        || [&b"now"[..], b"noon", b"midnight", b"teatime"]
            .iter()
            .any(|time| word.eq_ignore_ascii_case(time))
}

/// `%s`, `%d`, `%1$s`: a directive of a format.
fn is_format(word: &[u8]) -> bool {
    let digits = tally(
        rest(word, 1)
            .iter()
            .take_while(|byte| byte.is_ascii_digit()),
    );
    let mut at = digits.saturating_add(1);
    if digits > 0 && byte(word, at) == b'$' {
        at = at.saturating_add(1);
    }
    matches!(byte(word, at), b's' | b'd' | b'i' | b'u' | b'f')
        && !byte(word, at.saturating_add(1)).is_ascii_alphanumeric()
}

/// Names that a number follows in texts and never on a command line: versions, terms of payment, roads (`RD 2`).
fn is_counted(name: &[u8]) -> bool {
    [
        &b"net"[..],
        b"rd",
        b"md",
        b"dd",
        b"gcc",
        b"python",
        b"perl",
        b"ruby",
        b"php",
        b"node",
        b"docker",
        b"mysql",
        b"mongo",
        b"bash",
        b"lua",
        b"clang",
        b"openssl",
        b"ansible",
    ]
    .iter()
    .any(|word| name.eq_ignore_ascii_case(word))
}

/// `2`, `4.5.0`.
fn is_number(word: &[u8]) -> bool {
    word.iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

fn is_address(word: &[u8]) -> bool {
    let dots = tally(word.iter().filter(|&&byte| byte == b'.'));
    dots == 3
        && word
            .iter()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b':'))
}

/// Files whose names are no words: `more passwd`.
fn is_secret(word: &[u8]) -> bool {
    [
        &b"passwd"[..],
        b"shadow",
        b"/etc",
        b"sudoers",
        b"id_rsa",
        b".env",
        b".htpasswd",
        b"boot.ini",
        b"win.ini",
    ]
    .iter()
    .any(|file| word.eq_ignore_ascii_case(file))
}

/// Commands of Windows that begin with a verb: `reg add`, `sc query`.
fn has_verb(name: &[u8], word: &[u8]) -> bool {
    let verbs: &[&[u8]] = if name.eq_ignore_ascii_case(b"reg") {
        &[
            b"add", b"query", b"delete", b"save", b"export", b"import", b"load",
        ]
    } else if name.eq_ignore_ascii_case(b"sc") {
        &[
            b"query", b"create", b"config", b"start", b"stop", b"delete", b"qc",
        ]
    } else if name == b"tar" {
        &[
            b"cf", b"xf", b"tf", b"cvf", b"xvf", b"czf", b"xzf", b"tzf", b"czvf", b"xzvf", b"zcf",
            b"zxf", b"zcvf", b"zxvf", b"cjf", b"xjf",
        ]
    } else if name == b"ip" {
        &[b"a", b"addr", b"address", b"r", b"route", b"link", b"neigh"]
    } else if name.eq_ignore_ascii_case(b"ps") {
        &[b"aux", b"axu", b"auxf", b"ax", b"ef"]
    } else {
        &[]
    };
    verbs.iter().any(|verb| word.eq_ignore_ascii_case(verb))
}

/// Words of sentences that follow any noun: no argument begins with them.
fn is_function_word(word: &[u8]) -> bool {
    [
        &b"is"[..],
        b"are",
        b"was",
        b"were",
        b"has",
        b"had",
        b"have",
        b"does",
        b"can",
        b"will",
        b"or",
        b"and",
        b"but",
        b"with",
        b"the",
        b"a",
        b"an",
        b"of",
        b"to",
        b"it",
        b"that",
        b"than",
        b"because",
        b"when",
        b"which",
        b"should",
        b"would",
        b"seems",
    ]
    .contains(&word)
}

/// PowerShell's short names for running and fetching.
fn is_fetch(name: &[u8]) -> bool {
    [&b"iex"[..], b"iwr", b"irm", b"invoke-expression"]
        .iter()
        .any(|fetch| name.eq_ignore_ascii_case(fetch))
}

/// `iex(irm`: a short name of PowerShell's and its bracket.
fn fetches(word: &[u8]) -> bool {
    let name = word.get(..3).unwrap_or(word);
    byte(word, 3) == b'(' && is_fetch(name)
}

/// Tools of administrators that are run with a verb.
fn is_tool(name: &[u8]) -> bool {
    let name = name
        .strip_prefix(b"\"")
        .or_else(|| name.strip_prefix(b"'"))
        .unwrap_or(name);
    has_at(name, 0, b"ansible-") || has_at(name, 0, b"aa-") || has_at(name, 0, b"cscli")
}

fn is_verb(word: &[u8]) -> bool {
    !word.is_empty()
        && word
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || *byte == b'-')
}

/// Words of a command line until the value ends: no capital, no sentence.
pub(super) fn is_plain(tail: &[u8]) -> bool {
    tail.len() <= FLAGS
        && tally(tail.trim_ascii().split(|&byte| is_space(byte))) <= 3
        && tail.iter().all(|&byte| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || is_space(byte)
                || matches!(byte, b'.' | b'-' | b'_' | b'/' | b'=' | b':')
        })
        && !tail
            .split(|&byte| is_space(byte))
            .any(|word| is_function_word(word) || matches!(word, b"for" | b"in" | b"on"))
}

/// A key of the registry among the next words.
fn has_key(tail: &[u8]) -> bool {
    contains(tail.get(..FLAGS).unwrap_or(tail), b"\\")
        || [&b"hklm"[..], b"hkcu", b"hkcr", b"hkey_"]
            .iter()
            .any(|root| has_at(tail.trim_ascii_start(), 0, root))
}

/// ` -x` or ` /x` among the next words.
pub(super) fn has_flag(tail: &[u8]) -> bool {
    let tail = tail.get(..FLAGS).unwrap_or(tail);
    let mut before = [0_u8; 2];
    for &here in tail {
        if matches!(here, b';' | b'|' | b'\n') {
            return false;
        }
        let [blank, dash] = before;
        if is_space(blank) && dash == b'-' && here.is_ascii_alphanumeric() {
            return true;
        }
        if is_space(blank) && matches!(dash, b'/' | b'"') && here.is_ascii_alphabetic() {
            return true;
        }
        before = [dash, here];
    }
    false
}
