//! Shell commands: a known command in command position, substitutions, redirections, interpreters.
//!
//! **In:** a decoded value. **Out:** hits of class `shell`.
//! **Invariant:** a command word is read once; what follows it is looked at a constant number of bytes ahead.
//! **Source:** POSIX shell grammar (§2.9), cmd.exe and PowerShell separators.
//! **Cost:** one pass; a word that is no command, or an English word without an argument's shape, forms no hit.

mod argument;
mod context;
mod forms;
mod list;
mod path;
#[cfg(test)]
mod tests;
mod tools;
mod word;

use super::super::bytes::{
    AMP, ANGLE, BACKSLASH, DOLLAR, LINE, PAREN, PERCENT, QUOTE, SHELL, SLASH, byte, has_at,
    is_space, is_word, next, pair, part, rest, skip_space, tally, upto,
};
use super::super::places::{Places, Set};
use super::triggers::{CARETS, COMMAND, DOTS, GLUE, OPENS, QUESTIONS, TWINS};
use super::{Class, Hits, Place, SET_UP, Strength, View};
use argument::{Shape, has_flag, is_plain, shape};
use list::{ALONE, RUNNER, SURE};
pub(super) use list::{COMMON, MAYBE, NAMES, PARTS};

/// Bytes of quotes and brackets before a separator.
const QUOTES: usize = 8;

/// How a command came into its position.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The value starts with it.
    Start,
    /// `;`, `|`, `||`, `&&`, a line end after other text.
    Separator,
    /// The same, and nothing but blanks before.
    Leading,
    /// A single `&`, which prose uses, too.
    Ampersand,
    /// `$(`, a backtick at a word's start, `<(`.
    Substitution,
}

/// Whether a shell could make anything of the value: the gate before the pass.
fn is_worth(view: &View<'_>, start: usize) -> bool {
    let View {
        bytes: value,
        classes,
        words,
        marks,
        ..
    } = *view;
    let first = byte(value, start);
    if words & COMMAND != 0 || classes & (DOLLAR | ANGLE) != 0 {
        return true;
    }
    // Quotes, carets and backslashes may tear a command apart; a value that starts with a separator is odd by itself.
    let torn = classes & (SHELL | AMP | LINE | PAREN) != 0 && classes & (QUOTE | BACKSLASH) != 0;
    let shreds = marks & (TWINS | CARETS) != 0;
    let globs = classes & SLASH != 0 && marks & QUESTIONS != 0;
    // `;c[a]t x`: a class of one letter.
    let lettered = classes & PAREN != 0
        && classes & (SHELL | AMP) != 0
        && pair(value, |a, b| a == b'[' && b.is_ascii_alphabetic())
            .is_some_and(|at| byte(value, at.saturating_add(2)) == b']');
    torn || shreds
        || lettered
        || globs
        || matches!(
            first,
            b';' | b'|' | b'&' | b'`' | b'-' | b'.' | b'%' | b'~' | b'!'
        )
        || marks & OPENS != 0
        // `x;while true;do w;done`: a compound command's inner word.
        || goes_on(view)
        // `;. /tmp/x`: the dot before a blank.
        || (marks & DOTS != 0 && classes & SLASH != 0 && classes & (SHELL | AMP) != 0)
        || (classes & PERCENT != 0 && classes & (BACKSLASH | PAREN) != 0)
        || is_statement(value, start)
}

/// Whether the inner word of a compound command stands behind a `;` or in a line of its own: no listed word need be in it.
pub(super) fn goes_on(view: &View<'_>) -> bool {
    view.classes & SHELL != 0 && context::goes_on(view.bytes)
}

/// `if true`, `for x in`.
pub(super) fn is_statement(value: &[u8], start: usize) -> bool {
    has_at(value, start, b"if ") || has_at(value, start, b"for ")
}

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let View {
        bytes: value,
        classes,
        words,
        ..
    } = *view;
    let start = skip_space(value, 0);
    if !is_worth(view, start) {
        return;
    }
    super::spend(steps, value.len().saturating_add(SET_UP));
    let named = if words & COMMAND != 0 || view.marks & GLUE != 0 {
        forms::called(value, words, view.marks)
    } else {
        None
    };
    let option = if byte(value, start) == b'-' {
        forms::option(rest(value, start))
    } else {
        None
    };
    let head = rest(value, start);
    let expanded = (context::expands(head)
        || tools::sends(head)
        || tools::invokes(head)
        || has_at(head, 0, b"ext::sh"))
    .then_some(Strength::Decisive);
    for strength in [
        command(value, start, Before::Start),
        named,
        option,
        expanded,
    ]
    .into_iter()
    .flatten()
    {
        hits.add(Class::Shell, strength, start);
    }
    let mut at = 0;
    let mut text = false;
    let mut lines = 0_u8;
    // The parameters of a URL in a header are values of their own.
    let link = view.place == Place::Header && has_at(value, start, b"http");
    let mut assigned = assigns(value, start);
    // `printf x | rev | sh`: what starts with a command and ends in a shell.
    let mut leads = None;
    let mut paths = path::Paths::default();
    let mut choices = context::Choices::default();
    let lone = Lone::new(value, start);
    // A text of many lines is a document: its lines are no commands by themselves.
    let few_lines = classes & LINE == 0 || !super::code::is_document(value);
    let mut places = Places::of(value, if link { &BEGINS_IN_LINKS } else { &BEGINS });
    while let Some(here) = places.from(at) {
        text = text
            || !part(value, at, here.saturating_sub(at))
                .iter()
                .all(|&byte| is_space(byte));
        at = here;
        let head = byte(value, at);
        // A word is read behind a separator, in a list, behind an escaped line end.
        let cost = match head {
            b'\r' | b'|' => SET_UP,
            b';' | b'{' => 112,
            b'&' => 72,
            b'\\' | b'<' | b'`' | b'@' | b'%' => 48,
            _ => 0,
        };
        super::spend(steps, cost);
        if *steps == 0 {
            return;
        }
        let next = byte(value, at.saturating_add(1));
        let one = at.saturating_add(1);
        let separator = if text {
            Before::Separator
        } else {
            Before::Leading
        };
        let strength = match head {
            b';' | b'|' | b'&' if assigned && uses(value, one) => Some(Strength::Decisive),
            b';' if context::is_entity(value, at) => None,
            // `data:text/plain;base64,…`: a media type.
            b';' if has_at(value, one, b"base64,") => None,
            // `;for i in *;do w;done`: at the start, or behind one word.
            b';' | b'|' if (!text || lone.0 >= at) && context::compound(value, one, steps) => {
                Some(Strength::Decisive)
            }
            b'|' if tools::asks(value, at) => Some(Strength::Decisive),
            b'|' if text && choices.has(value, at) => None,
            b';' | b'|' => {
                assigned |= assigns(value, skip_space(value, one));
                let piped = head == b'|'
                    && *leads.get_or_insert_with(|| leads_with_command(value, start))
                    && context::is_shell(value, one);
                if piped {
                    Some(Strength::Decisive)
                } else {
                    command_behind(
                        value,
                        one,
                        separator,
                        head == b'|' && lone.before(value, at),
                    )
                }
            }
            b'\n' | b'\r' if lines < 4 => {
                lines = lines.saturating_add(1);
                command(value, one, separator).filter(|_| few_lines)
            }
            b'&' if next == b'&' => None,
            b'&' => {
                let doubled = at > 0 && byte(value, at.saturating_sub(1)) == b'&';
                assigned |= doubled && assigns(value, skip_space(value, one));
                let before = if doubled || !text {
                    separator
                } else {
                    Before::Ampersand
                };
                command_behind(value, one, before, doubled && lone.before(value, at))
            }
            // A line end as text, where nothing else has stood.
            b'\\' if matches!(next, b'n' | b'r') && (!text || ended(value, at)) => {
                command(value, at.saturating_add(2), Before::Leading)
            }
            b'=' if link => command(value, one, Before::Start),
            b'`' => forms::backtick(value, at, text),
            b'$' => forms::dollar(value, at),
            b'(' => forms::opened(value, at, at <= start),
            b'<' | b'>' => forms::redirection(value, at),
            b'/' => path::path(value, at, &mut paths),
            b'{' => forms::braces(value, at),
            b'%' => forms::percent(value, at).or_else(|| forms::ruby(value, at)),
            b'@' if next == b'{'
                && byte(value, skip_space(value, at.saturating_add(2))) == b'[' =>
            {
                Some(Strength::Decisive)
            }
            _ => None,
        };
        if let Some(strength) = strength {
            hits.add(Class::Shell, strength, at);
            if strength == Strength::Decisive {
                return;
            }
        }
        text |= !is_space(head) && !matches!(head, b';' | b'|' | b'&' | b'\\');
        at = one;
    }
}

/// Where the first blank behind the first word stands.
struct Lone(usize);

impl Lone {
    fn new(value: &[u8], start: usize) -> Self {
        Self(next(value, start, |byte| byte == b' ').unwrap_or(value.len()))
    }

    /// Whether `&&` or `||`, whose second sign stands at `at`, has but one word before it.
    fn before(&self, value: &[u8], at: usize) -> bool {
        let Some(lead) = at.checked_sub(1).and_then(|first| value.get(..first)) else {
            return false;
        };
        value.get(at.saturating_sub(1)) == value.get(at) && self.0 >= lead.trim_ascii_end().len()
    }
}

/// What a form may begin with, or a command behind it.
static BEGINS: Set = Set::of(b";|&\n\r\\`$(<>/{%@");
/// The same where parameters are values of their own.
static BEGINS_IN_LINKS: Set = Set::of(b";|&\n\r\\`$(<>/{%@=");

/// A command with something behind it at the start of the value.
fn leads_with_command(value: &[u8], start: usize) -> bool {
    let read = word::read(value, start);
    read.kind != 0 && is_space(byte(value, read.end))
}

/// `name=` of a shell's variable.
fn assigns(value: &[u8], at: usize) -> bool {
    let name = tally(
        rest(value, at)
            .iter()
            .take(24)
            .take_while(|byte| is_word(**byte)),
    );
    name > 0
        && byte(value, at).is_ascii_alphabetic()
        && byte(value, at.saturating_add(name)) == b'='
        && !is_space(byte(value, at.saturating_add(name).saturating_add(1)))
}

/// A variable in command position.
fn uses(value: &[u8], from: usize) -> bool {
    let at = skip_space(value, from);
    byte(value, at) == b'$' && byte(value, at.saturating_add(1)).is_ascii_alphabetic()
        // PHP assigns with the sign.
        || (byte(value, at).is_ascii_lowercase() && {
            let name = tally(rest(value, at).iter().take(24).take_while(|byte| is_word(**byte)));
            let sign = at.saturating_add(name);
            byte(value, sign) == b'$' && byte(value, sign.saturating_add(1)).is_ascii_alphabetic()
        })
}

/// A line end as text stands right before, or a separator.
fn ended(value: &[u8], at: usize) -> bool {
    at.checked_sub(1)
        .is_some_and(|at| matches!(byte(value, at), b';' | b'|' | b'&'))
}

/// Variables that expand to nothing in front of a command.
fn skip_nothing(value: &[u8], at: usize) -> usize {
    let length = word::expansion(value, at, true);
    let after = at.saturating_add(length);
    if byte(value, at) == b'$' && length > 0 && is_space(byte(value, after)) {
        skip_space(value, after)
    } else {
        at
    }
}

fn command(value: &[u8], from: usize, before: Before) -> Option<Strength> {
    command_behind(value, from, before, false)
}

/// `doubled`: `&&` or `||` and a single word stand before.
fn command_behind(value: &[u8], from: usize, before: Before, doubled: bool) -> Option<Strength> {
    let mut at = skip_space(value, from);
    // Brackets in front change nothing.
    while matches!(byte(value, at), b'(' | b'{' | b'@' | b'!') && at < from.saturating_add(8) {
        at = skip_space(value, at.saturating_add(1));
    }
    let separated = matches!(before, Before::Leading | Before::Separator);
    if separated && byte(value, at) == b'$' {
        at = skip_nothing(value, at);
    }
    if separated && byte(value, at) == b'.' {
        if dotted(value, at) {
            return Some(Strength::Decisive);
        }
        // `. file`: reads commands from it, or none and goes on.
        if is_space(byte(value, at.saturating_add(1))) {
            at = skip_space(value, at.saturating_add(1));
            let file = byte(value, at) == b'/' || rest(value, at).starts_with(b"./");
            if file && byte(value, at.saturating_add(2)).is_ascii_alphanumeric() {
                return Some(Strength::Decisive);
            }
        }
    }
    let odd = from
        .checked_sub(1)
        .is_some_and(|at| matches!(byte(value, at), b';' | b'|' | b'&'));
    if before == Before::Leading && odd && context::is_dropped(value, at) {
        return Some(Strength::Decisive);
    }
    if matches!(
        byte(value, at),
        0..=b' ' | b';' | b'|' | b'&' | b')' | b',' | b'=' | b':' | b'#' | b'%' | b'}' | b']'
    ) {
        return None;
    }
    // Nothing but a command counts there.
    if before != Before::Leading && word::is_no_command(value, at) {
        return None;
    }
    let first = word::read(value, at);
    let mut read = first;
    let runner = first.kind == RUNNER;
    if runner {
        match inner(value, first.end) {
            Some(found) => read = found,
            None if byte(value, skip_space(value, first.end)) == b'-' => {}
            None if separated && context::waits(value, at, first.end) => {
                return Some(Strength::Decisive);
            }
            None => return None,
        }
    }
    let word::Word {
        kind,
        end,
        torn,
        globbed,
        ..
    } = read;
    let plain = (first.torn > 0).then(|| tools::Name::read(value, at));
    let name = plain
        .as_ref()
        .and_then(|name| name.until(first.end))
        .unwrap_or_else(|| first.name(value));
    let path = first.path || byte(value, at) == b'\\';
    if globbed && separated {
        return Some(Strength::Decisive);
    }
    // `;sort of;1;9.99`: a list of products.
    let record = separated
        && kind != SURE
        && is_space(byte(value, end))
        && from
            .checked_sub(1)
            .is_some_and(|at| byte(value, at) == b';')
        && context::is_record(value, end);
    if kind == 0 {
        let sign = from.saturating_sub(1);
        if odd
            && separated
            && tools::is_near(value, sign)
            && byte(value, from) != b'&'
            && tools::runs(value, at)
        {
            return Some(Strength::Decisive);
        }
        if before != Before::Substitution && forms::construct(value, at) {
            return Some(Strength::Decisive);
        }
        if before == Before::Leading && odd && context::tells(value, name, end) {
            return Some(Strength::Decisive);
        }
        // A value that begins with a separator and goes on like a command line is one, whatever the command.
        let word = before == Before::Leading
            && name.len() > 1
            && name.iter().all(|byte| {
                byte.is_ascii_lowercase()
                    || byte.is_ascii_digit()
                    || matches!(byte, b'-' | b'_' | b'.')
            });
        let code = from
            .checked_sub(1)
            .is_some_and(|at| matches!(byte(value, at), b'\n' | b'\r'))
            && context::is_code(value, end, name);
        return (word && shape(value, end, name, 0) == Shape::Argument && !record && !code)
            .then_some(Strength::Decisive);
    }
    if record {
        return None;
    }
    // An option of the runner's own makes a command line of whatever follows.
    let option = skip_space(value, first.end);
    let shape = if runner
        && byte(value, option) == b'-'
        && byte(value, option.saturating_add(1)).is_ascii_alphanumeric()
    {
        Shape::Argument
    } else {
        shape(value, end, name, kind)
    };
    judge(
        value, from, before, &read, runner, path, torn, shape, doubled,
    )
}

/// `.shell id`, `.databases`: commands of sqlite's shell.
fn dotted(value: &[u8], at: usize) -> bool {
    let mut start = at.saturating_add(1);
    start = skip_space(value, start);
    while matches!(byte(value, start), b'"' | b'\'' | b'\\') && start < at.saturating_add(6) {
        start = start.saturating_add(1);
    }
    [
        &b"shell"[..],
        b"system",
        b"databases",
        b"tables",
        b"sh",
        b"dbinfo",
        b"schema",
        b"load",
        b"dump",
    ]
    .iter()
    .any(|name| {
        let end = start.saturating_add(name.len());
        has_at(value, start, name)
            && (is_space(byte(value, end)) || (end >= value.len() && name.len() > 4))
    })
}

/// The command that a runner runs: behind its own options, numbers and files.
fn inner(value: &[u8], end: usize) -> Option<word::Word> {
    let mut at = skip_space(value, end);
    for _ in 0..6 {
        let read = word::read(value, at);
        if read.kind != 0 && read.kind != RUNNER {
            return Some(read);
        }
        let head = byte(value, at);
        let option = matches!(head, b'-' | b'/') || head.is_ascii_digit() || read.kind == RUNNER;
        let length = upto(rest(value, at), 48)
            .iter()
            .position(|&byte| is_space(byte))?;
        let assignment = rest(value, at)
            .get(..length)
            .is_some_and(|word| word.contains(&b'='));
        if !option && !assignment {
            return None;
        }
        at = skip_space(value, at.saturating_add(length));
    }
    None
}

#[expect(
    clippy::too_many_arguments,
    reason = "the facts of one command, read once"
)]
fn judge(
    value: &[u8],
    from: usize,
    before: Before,
    read: &word::Word,
    runner: bool,
    path: bool,
    torn: u8,
    shape: Shape,
    doubled: bool,
) -> Option<Strength> {
    let alone = read.kind == ALONE;
    let kind = if alone { SURE } else { read.kind };
    let separated = matches!(
        before,
        Before::Leading | Before::Separator | Before::Substitution
    );
    // `x; id` and `10.0.0.1 && dir` are payloads, `U; id) Presto` and `a cat; who` are not.
    let lead = value.get(..from).unwrap_or(&[]);
    let single_segment = || {
        skip_space(value, read.end) >= value.len()
            && !lead.contains(&b' ')
            && context::shows(read.name(value))
    };
    if torn > 1 && shape != Shape::Prose {
        return Some(Strength::Decisive);
    }
    // A name of Windows' without the ending that makes a program of it.
    let folder = before == Before::Start && byte(value, read.start.saturating_add(1)) == b':';
    if folder && shape == Shape::Ends && !context::is_program(read.name(value)) {
        return Some(Strength::Suspicious);
    }
    // `ping 10.0.0.1` and no more: what a network's tools are asked for.
    if before == Before::Start && alone_with_address(value, read) {
        return Some(Strength::Suspicious);
    }
    if before == Before::Substitution && shape == Shape::Word && closed(value, read.end) {
        return Some(Strength::Decisive);
    }
    if alone && shape == Shape::Ends && matches!(byte(value, read.end), b';' | b'|') {
        return Some(Strength::Decisive);
    }
    if before == Before::Leading && shape == Shape::Word && has_flag(rest(value, read.end)) {
        return Some(Strength::Decisive);
    }
    let plain = (torn > 0).then(|| tools::Name::read(value, read.start));
    let name = plain
        .as_ref()
        .and_then(|name| name.until(read.end))
        .unwrap_or_else(|| read.name(value));
    let odd = lead
        .last()
        .is_some_and(|byte| matches!(byte, b';' | b'|' | b'&'));
    // `; ip a`: nothing before the separator, and a command line of plain words behind.
    let joined = lead.last() == Some(&b'&');
    let terse = before == Before::Leading && odd && !joined && shape == Shape::Word;
    if terse && context::is_terse(name) && is_plain(rest(value, read.end)) {
        return Some(Strength::Decisive);
    }
    // `x;echo pwned`: one word, and a command line of plain words glued to it.
    let glued = before == Before::Separator && odd && !joined && shape == Shape::Word;
    if glued
        && !lead
            .iter()
            .rev()
            .skip(1)
            .any(|byte| matches!(byte, b' ' | b';' | b',' | b'|'))
        && byte(value, from) != b' '
        && context::is_verb(name)
        && is_plain(rest(value, read.end))
    {
        return Some(Strength::Decisive);
    }
    // `10.0.0.1 & id`
    let host = before == Before::Ampersand && shape == Shape::Ends && context::is_terse(name);
    if host && context::is_host(lead.strip_suffix(b"&").unwrap_or(lead)) {
        return Some(Strength::Decisive);
    }
    // `"; id; "`
    let quoted = odd && lead.iter().take(QUOTES).all(|byte| !is_word(*byte)) && lead.len() < QUOTES;
    if quoted && separated && shape == Shape::Ends && context::is_terse(name) {
        return Some(Strength::Decisive);
    }
    // `bash;sed;awk`, `linux|bash`: a list of tools.
    let listed = !alone
        && torn == 0
        && shape == Shape::Ends
        && !path
        && matches!(before, Before::Separator | Before::Ampersand);
    if listed && kind == SURE {
        return Some(Strength::Suspicious);
    }
    Some(match (before, kind, shape) {
        (_, SURE | RUNNER, shape) if separated && shape != Shape::Prose => Strength::Decisive,
        (_, MAYBE, Shape::Argument | Shape::Ends) if separated => {
            if before == Before::Separator
                && shape == Shape::Ends
                && is_space(byte(value, from))
                && !path
                && !single_segment()
                && !doubled
            {
                // `a cat; who`: a word after a separator and a blank, nothing else.
                Strength::Suspicious
            } else {
                Strength::Decisive
            }
        }
        (Before::Leading, SURE | MAYBE, Shape::Prose) if path => Strength::Decisive,
        (Before::Ampersand, SURE, shape) if shape != Shape::Prose => Strength::Decisive,
        (Before::Ampersand, MAYBE, Shape::Argument) => Strength::Decisive,
        (Before::Ampersand, MAYBE, Shape::Ends) if path => Strength::Decisive,
        (Before::Start, SURE | MAYBE | RUNNER, Shape::Argument) => Strength::Decisive,
        (Before::Start, SURE, Shape::Ends | Shape::Word) if runner => Strength::Decisive,
        (Before::Start, _, Shape::Ends) if path => Strength::Decisive,
        (_, SURE, _) => Strength::Suspicious,
        _ => return None,
    })
}

/// `ping 127.0.0.1`.
fn alone_with_address(value: &[u8], read: &word::Word) -> bool {
    read.torn == 0
        && read.name(value).eq_ignore_ascii_case(b"ping")
        && rest(value, read.end)
            .trim_ascii()
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

/// `cat file)`: one more word, then the end of the substitution.
fn closed(value: &[u8], end: usize) -> bool {
    let tail = rest(value, skip_space(value, end));
    let word = upto(tail, 64)
        .iter()
        .position(|byte| !(is_word(*byte) || matches!(byte, b'.' | b'-' | b'/')));
    word.is_some_and(|word| matches!(byte(tail, word), b')' | b'`'))
}
