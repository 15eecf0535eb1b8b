//! Forms of a shell that are no plain commands: substitutions, functions, redirections, braces, cmd's grammar.
//!
//! **In:** a value and where a form may start. **Out:** what it is worth.
//! **Invariant:** looks a constant number of bytes ahead.
//! **Source:** POSIX shell §2.6, §2.9.5; bash brace and parameter expansion; cmd.exe `for`, `if`; CVE-2014-6271.
//! **Cost:** bounded a form.

use super::super::super::bytes::{
    byte, contains, has_at, is_space, is_word, part, rest, skip_space, tally,
};
use super::super::Strength;
use super::super::triggers::{GLUE, INTERPRETER};
use super::list::{ALONE, SURE};
use super::{Before, command, word};

/// `for /f … in (`, `for %i in (`, `if [not] exist …`: cmd's own grammar.
pub(super) fn construct(value: &[u8], at: usize) -> bool {
    let tail = rest(value, at);
    let tail = tail.get(..96).unwrap_or(tail);
    if has_at(tail, 0, b"for") && is_space(byte(tail, 3)) {
        let next = skip_space(tail, 3);
        let switch =
            byte(tail, next) == b'/' && byte(tail, next.saturating_add(1)).is_ascii_alphabetic();
        let list =
            contains(tail, b" in (") || contains(tail, b" in  ") || contains(tail, b" in \"(");
        return (switch || byte(tail, next) == b'%') && contains(tail, b"%") && list;
    }
    if !has_at(tail, 0, b"if") || !is_space(byte(tail, 2)) {
        return false;
    }
    let mut next = skip_space(tail, 2);
    for word in [&b"/i"[..], b"not"] {
        if has_at(tail, next, word) && is_space(byte(tail, next.saturating_add(word.len()))) {
            next = skip_space(tail, next.saturating_add(word.len()));
        }
    }
    let word = [
        &b"exist "[..],
        b"defined ",
        b"errorlevel ",
        b"cmdextversion ",
    ]
    .into_iter()
    .find(|word| has_at(tail, next, word));
    let Some(word) = word else {
        return false;
    };
    let operand = skip_space(tail, next.saturating_add(word.len()));
    let length = rest(tail, operand).iter().position(|&byte| is_space(byte));
    let then = length.map_or(tail.len(), |length| {
        skip_space(tail, operand.saturating_add(length))
    });
    word::read(tail, then).kind != 0
        || (word.len() > 10 && byte(tail, operand).is_ascii_digit())
        || rest(tail, operand)
            .iter()
            .any(|byte| matches!(byte, b'(' | b'\\' | b'%' | b'.' | b'_'))
}

/// `` `cmd` ``: decisive where a value or word starts; `` `ls -la` `` amid a sentence is markdown.
pub(super) fn backtick(value: &[u8], at: usize, text: bool) -> Option<Strength> {
    let glued = at > 0 && !is_space(byte(value, at.saturating_sub(1)));
    let one = at.saturating_add(1);
    if byte(value, one) == b'`' || (at > 0 && byte(value, at.saturating_sub(1)) == b'`') {
        return None;
    }
    if super::context::is_marked(value, at) {
        return None;
    }
    let closed = rest(value, one).iter().take(512).any(|&byte| byte == b'`');
    let found = command(value, one, Before::Substitution)?;
    if !closed {
        return None;
    }
    if !glued && prints(value, at) {
        return Some(found);
    }
    if !glued && (text || super::context::is_pair(value, at)) {
        Some(Strength::Suspicious)
    } else {
        Some(found)
    }
}

/// `echo `: PHP, Perl and Ruby show what a command says, and there is nothing else in the value.
fn prints(value: &[u8], at: usize) -> bool {
    let head = value.get(..at).unwrap_or(&[]).trim_ascii();
    let end = next_tick(value, at);
    [&b"echo"[..], b"print", b"puts", b"say", b"die", b"return"].contains(&head)
        && end.is_some_and(|end| matches!(rest(value, end).trim_ascii(), b"" | b";" | b";//"))
}

/// The position behind the tick that closes the one at `at`.
fn next_tick(value: &[u8], at: usize) -> Option<usize> {
    let one = at.saturating_add(1);
    let step = part(value, one, 512)
        .iter()
        .position(|&byte| byte == b'`')?;
    Some(one.saturating_add(step).saturating_add(1))
}

/// `$(cmd)`, `$IFS`, `${PATH:0:1}`, `$((1+1))`.
pub(super) fn dollar(value: &[u8], at: usize) -> Option<Strength> {
    let one = at.saturating_add(1);
    let cut = match byte(value, one) {
        b'i' | b'I' => has_at(value, one, b"ifs"),
        b'{' => {
            has_at(value, one, b"{ifs")
                || has_at(value, one, b"{path:")
                || has_at(value, one, b"{shell")
                || cuts(value, one)
        }
        _ => false,
    };
    if cut {
        return Some(Strength::Decisive);
    }
    if byte(value, one) == b'(' {
        let two = at.saturating_add(2);
        if byte(value, two) == b'(' {
            let sum = byte(value, two.saturating_add(1));
            let sums = sum.is_ascii_digit() || sum == b'$';
            return Some(if sums {
                Strength::Decisive
            } else {
                Strength::Suspicious
            });
        }
        // `$(<file)`: what a file says.
        if byte(value, two) == b'<'
            && matches!(
                byte(value, two.saturating_add(1)),
                b'/' | b'.' | b'~' | b'a'..=b'z'
            )
        {
            return Some(Strength::Decisive);
        }
        return command(value, two, Before::Substitution);
    }
    // `$'whoami'`: a quoted word in braces or alone.
    if matches!(byte(value, one), b'\'' | b'"')
        && matches!(before(value, at), b',' | b'{' | b';' | b'|')
    {
        let read = word::read(value, one);
        return (read.kind != 0).then_some(Strength::Decisive);
    }
    // `$SHELL -c`
    if has_at(value, one, b"shell ")
        || has_at(value, one, b"bash ")
        || has_at(value, one, b"0 -")
        || has_at(value, one, b"0<<<")
    {
        return Some(Strength::Decisive);
    }
    // `c$@at`, `who$*ami`: empty parameters inside a word; `$[2+2]`.
    let inside = before(value, at).is_ascii_lowercase();
    let empty = matches!(byte(value, one), b'@' | b'*' | b'!' | b'?')
        && byte(value, one.saturating_add(1)).is_ascii_lowercase()
        && is_small(value, at);
    let sum = byte(value, one) == b'[' && byte(value, one.saturating_add(1)).is_ascii_digit();
    ((inside && empty) || sum).then_some(Strength::Decisive)
}

/// Whether the letters around the three bytes at `at` are small, as those of commands are: `HwXm$@efM` is a password.
fn is_small(value: &[u8], at: usize) -> bool {
    let lead = value.get(..at).unwrap_or(&[]);
    !has_capital(lead.iter().rev()) && !has_capital(rest(value, at.saturating_add(2)).iter())
}

/// Whether there is a capital among the letters that come first.
fn has_capital<'a>(letters: impl Iterator<Item = &'a u8>) -> bool {
    letters
        .take(24)
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .any(u8::is_ascii_uppercase)
}

fn before(value: &[u8], at: usize) -> u8 {
    at.checked_sub(1).map_or(0, |at| byte(value, at))
}

/// `${HOME:0:1}`, `${PATH#x}`, `${A%%b}`, `${x^^}`: bash cuts letters out of variables; templates name fields.
fn cuts(value: &[u8], at: usize) -> bool {
    if byte(value, at) != b'{' {
        return false;
    }
    let text = rest(value, at.saturating_add(1));
    let name = tally(
        text.iter()
            .take(24)
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_'),
    );
    let operator = byte(text, name);
    let next = byte(text, name.saturating_add(1));
    let upper = text
        .get(..name)
        .is_some_and(|name| name.len() > 1 && name.iter().all(|byte| !byte.is_ascii_lowercase()));
    match operator {
        b':' => {
            upper
                && (next.is_ascii_digit()
                    || (next == b' ' && byte(text, name.saturating_add(2)) == b'-'))
        }
        b'#' => name > 0 && next != b'}',
        b'%' | b'^' | b'/' => upper && next != b' ',
        b'!' => name == 0 && next.is_ascii_uppercase(),
        _ => false,
    }
}

/// `%COMSPEC%`, `%PATH:~0,1%`: cmd's variables.
pub(super) fn percent(value: &[u8], at: usize) -> Option<Strength> {
    let text = rest(value, at.saturating_add(1));
    let name = tally(
        text.iter()
            .take(24)
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_'),
    );
    let end = byte(text, name);
    let cut = name > 1 && end == b':' && byte(text, name.saturating_add(1)) == b'~';
    let shell = end == b'%' && has_at(text, 0, b"comspec");
    let folder = end == b'%'
        && (has_at(text, 0, b"systemroot") || has_at(text, 0, b"windir"))
        && byte(text, name.saturating_add(1)) == b'\\';
    (cut || shell || folder).then_some(Strength::Decisive)
}

/// `%x(ls -al)`: Ruby's substitution.
pub(super) fn ruby(value: &[u8], at: usize) -> Option<Strength> {
    let open = byte(value, at.saturating_add(2));
    if byte(value, at.saturating_add(1)) != b'x' || !matches!(open, b'(' | b'{' | b'[') {
        return None;
    }
    let mut from = at.saturating_add(3);
    if matches!(byte(value, from), b'\'' | b'"') {
        from = from.saturating_add(1);
    }
    command(value, from, Before::Substitution)
}

/// A function that calls itself behind `|` or `&`: `f(){ f|f& };f`. `at` is its bracket.
fn forks(value: &[u8], at: usize) -> bool {
    let lead = value.get(at.saturating_sub(24)..at).unwrap_or(&[]);
    let lead = lead.trim_ascii_end();
    let start = lead
        .iter()
        .rposition(|&byte| !(is_word(byte) || matches!(byte, b'.' | b':' | b'-')))
        .map_or(0, |at| at.saturating_add(1));
    let name = rest(lead, start);
    let brace = skip_space(value, at.saturating_add(2));
    if name.is_empty() || byte(value, brace) != b'{' {
        return false;
    }
    let body = rest(value, brace.saturating_add(1));
    let body = body.get(..64).unwrap_or(body);
    let first = skip_space(body, 0);
    if !rest(body, first).starts_with(name) {
        return false;
    }
    let mut next = first.saturating_add(name.len());
    if rest(body, next).starts_with(b"()") {
        next = next.saturating_add(2);
    }
    next = skip_space(body, next);
    matches!(byte(body, next), b'|' | b'&')
        && rest(body, skip_space(body, next.saturating_add(1))).starts_with(name)
}

/// `() { :;};`, `<(cmd)`, `system('…')`. `leads`: nothing but blanks stands before.
pub(super) fn opened(value: &[u8], at: usize, leads: bool) -> Option<Strength> {
    const CALLS: [&[u8]; 15] = [
        b"system",
        b"shell_exec",
        b"passthru",
        b"popen",
        b"proc_open",
        b"pcntl_exec",
        b"exec",
        b"execsync",
        b"spawn",
        b"check_output",
        b"subprocess.call",
        b"subprocess.run",
        b"runtime.exec",
        b"getruntime",
        b"spawnsync",
    ];
    let one = at.saturating_add(1);
    if byte(value, one) == b')' {
        let brace = skip_space(value, at.saturating_add(2));
        if byte(value, brace) == b'{' {
            let body = skip_space(value, brace.saturating_add(1));
            if byte(value, body) == b':' || byte(value, body) == b'_' || leads || forks(value, at) {
                return Some(Strength::Decisive);
            }
        }
    }
    let before = at.checked_sub(1).map_or(0, |at| byte(value, at));
    if matches!(before, b'<' | b'>') {
        return command(value, one, Before::Substitution);
    }
    let argument = byte(value, skip_space(value, one));
    if !matches!(argument, b'\'' | b'"' | b'$' | b'`' | b'[') {
        return None;
    }
    if !before.is_ascii_alphabetic() {
        return None;
    }
    let lead = at.saturating_sub(20);
    let name = value.get(lead..at).unwrap_or(&[]);
    CALLS
        .iter()
        .any(|call| {
            let split = name.len().checked_sub(call.len());
            split.is_some_and(|split| {
                let clear = split
                    .checked_sub(1)
                    .is_none_or(|at| !is_word(byte(name, at)));
                has_at(name, split, call) && clear
            })
        })
        .then_some(Strength::Decisive)
}

/// `>/dev/null`, `2>&1`, `> /tmp/x`, `<?php`, `<!--#exec`.
pub(super) fn redirection(value: &[u8], at: usize) -> Option<Strength> {
    let one = at.saturating_add(1);
    let next = byte(value, one);
    // Most of them are mark-up's.
    if !is_space(next) && !matches!(next, b'!' | b'>' | b'&' | b'/' | b'c' | b'C' | b'e' | b'E') {
        return None;
    }
    // A cache's own tags, as Varnish and Akamai read them.
    if has_at(value, at, b"<esi:") {
        return Some(Strength::Decisive);
    }
    if has_at(value, at, b"<!--#") {
        let word = skip_space(value, at.saturating_add(5));
        let known = [
            &b"exec"[..],
            b"include",
            b"echo",
            b"printenv",
            b"config",
            b"flastmod ",
            b"fsize ",
            b"set var=",
            b"if expr=",
            b"elif expr=",
        ]
        .iter()
        .any(|name| has_at(value, word, name));
        return known.then_some(Strength::Decisive);
    }
    if byte(value, at) == b'>' {
        if byte(value, one) == b'&'
            && (byte(value, one.saturating_add(1)).is_ascii_digit()
                || has_at(value, skip_space(value, one.saturating_add(1)), b"/dev/"))
        {
            return Some(Strength::Decisive);
        }
        // A line of somebody else, quoted: `> C:\\work`.
        let quoted = at.checked_sub(1).is_some_and(|at| {
            byte(value, at) == b'\n' || value.get(at.saturating_sub(1)..=at) == Some(b"> ")
        });
        if quoted && byte(value, one) == b' ' {
            return None;
        }
        let target = skip_space(
            value,
            if byte(value, one) == b'>' {
                one.saturating_add(1)
            } else {
                one
            },
        );
        let file = matches!(byte(value, target), b'/' | b'c' | b'C')
            && [&b"/dev/"[..], b"/tmp/", b"/var/", b"/etc/", b"c:\\"]
                .iter()
                .any(|path| has_at(value, target, path));
        return file.then_some(Strength::Decisive);
    }
    None
}

/// `{cat,/etc/passwd}`, `c{a,oun}t`, `{,ip,a}`: brace expansion makes words and blanks.
pub(super) fn braces(value: &[u8], at: usize) -> Option<Strength> {
    let one = at.saturating_add(1);
    let start = if byte(value, one) == b',' {
        at.saturating_add(2)
    } else {
        one
    };
    // `{name}`, `{ "a": …`: no list.
    let plain = tally(
        rest(value, start)
            .iter()
            .take(24)
            .take_while(|byte| byte.is_ascii_lowercase()),
    );
    let behind = byte(value, start.saturating_add(plain));
    let drive = plain == 1 && behind == b':';
    let stops = matches!(
        behind,
        b'}' | b'{' | b' ' | b':' | b';' | b'=' | b'(' | b')' | b'|'
    );
    if start == one && stops && !drive {
        return None;
    }
    let read = word::read(value, start);
    let next = byte(value, read.end);
    // `{id,name}` lists fields; `{cat,/etc/…}`, `{id,}` and `{,ls}` run.
    let after = byte(value, read.end.saturating_add(1));
    let listed = match next {
        b',' => {
            start > one
                || matches!(after, b'/' | b'-' | b'$' | b'~' | b'.' | b'}' | b'*')
                || ((read.kind == SURE || read.kind == ALONE) && after.is_ascii_digit())
        }
        b'}' => start > one,
        _ => false,
    };
    if (read.kind != 0 || (read.globbed && start == one)) && listed {
        return Some(Strength::Decisive);
    }
    if start > one && byte(value, start) == b'/' && read.globbed {
        return Some(Strength::Decisive);
    }
    joined(value, at)
}

/// `c{a,oun}t`, `{l,-lh}s`: the first choice completes a command's name, and nothing else is there.
fn joined(value: &[u8], at: usize) -> Option<Strength> {
    let choice = part(value, at.saturating_add(1), 47);
    let ends = choice.iter().position(|byte| !byte.is_ascii_lowercase())?;
    if ends == 0 || byte(choice, ends) != b',' {
        return None;
    }
    let start = value
        .get(..at)?
        .iter()
        .rposition(|byte| !byte.is_ascii_lowercase())
        .map_or(0, |at| at.saturating_add(1));
    let text = value.get(start..at.saturating_add(48).min(value.len()))?;
    let open = at.saturating_sub(start);
    let comma = text.iter().position(|&byte| byte == b',')?;
    let close = text.iter().position(|&byte| byte == b'}')?;
    let first = text.get(open.saturating_add(1)..comma)?;
    let tail = rest(text, close.saturating_add(1));
    let tail = tail.get(
        ..tail
            .iter()
            .position(|byte| !byte.is_ascii_lowercase())
            .unwrap_or(tail.len()),
    )?;
    let head = text.get(..open)?;
    let glued = !first.is_empty()
        && head.len().saturating_add(tail.len()) > 0
        && first.iter().all(u8::is_ascii_lowercase);
    if !glued || comma > close {
        return None;
    }
    let free = start
        .checked_sub(1)
        .is_none_or(|at| matches!(byte(value, at), b';' | b'|' | b'&' | b'`' | b'('));
    let mut key = super::super::words::Key::EMPTY;
    for &letter in head.iter().chain(first).chain(tail) {
        key.push(letter);
    }
    (free && super::super::trigger_words::command(key) != 0).then_some(Strength::Decisive)
}

/// An option that makes an honest program run another or write where it should not, at the start of a value.
pub(super) fn option(value: &[u8]) -> Option<Strength> {
    const OPTIONS: [&[u8]; 24] = [
        b"-oproxycommand",
        b"--output=",
        b"--output-document=",
        b"--upload-pack=",
        b"--receive-pack=",
        b"--use-askpass=",
        b"--checkpoint-action=",
        b"--post-file=",
        b"--body-file=",
        b"--use-compress-program",
        b"--to-command=",
        b"--rsh=",
        b"--open-files-in-pager",
        b"--exec=",
        b"-exec ",
        b"--execute=",
        b"--eval=",
        b"--config-file=",
        b"--upload-file",
        b"--compress-program=",
        b"--ext-diff=",
        b"--pre-command=",
        b"-oknownhostscommand",
        b"-olocalcommand",
    ];
    OPTIONS
        .iter()
        .any(|option| has_at(value, 0, option))
        .then_some(Strength::Decisive)
}

/// `eval("…`, `Execute("`, `!!python/object`, `.DownloadString(`: interpreters called by name.
pub(super) fn called(value: &[u8], words: u32, marks: u32) -> Option<Strength> {
    let found = words & INTERPRETER != 0
        && (super::tools::loads(value)
            || contains(value, b"frombase64string(")
            || contains(value, b".downloadstring(")
            || contains(value, b".downloadfile(")
            || contains(value, b"!!python/object")
            || contains(value, b"[scriptblock]::create(")
            || contains(value, b".invokescript(")
            || contains(value, b"diagnostics.process]::start(")
            || contains(value, b"new-object net.")
            || contains(value, b"new-object system."));
    (found || (marks & GLUE != 0 && glued(value))).then_some(Strength::Decisive)
}

/// `Ex"&"e"&"cute("`: a name in pieces, as VBScript puts strings together.
fn glued(value: &[u8]) -> bool {
    let mut found = 0_u8;
    let mut before = [0_u8; 2];
    for &here in value {
        let [first, second] = before;
        if first == b'"' && second == b'&' && here == b'"' {
            found = found.saturating_add(1);
        }
        before = [second, here];
    }
    found >= 4
}
