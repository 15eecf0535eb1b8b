//! Shell commands: a known command in command position, substitutions, redirections, interpreters.
//!
//! **In:** a decoded value. **Out:** hits of class `shell`.
//! **Invariant:** a command word is read once; what follows it is looked at a constant number of bytes ahead.
//! **Source:** POSIX shell grammar (§2.9), cmd.exe and PowerShell separators.
//! **Cost:** one pass; a word that is no command, or an English word without an argument's shape, forms no hit.

use super::bytes::{
    AMP, ANGLE, BACKSLASH, DOLLAR, LINE, PAREN, QUOTE, SHELL, byte, contains, has_at, is_space,
    is_word, rest, skip_space, tally,
};
use super::triggers::COMMAND;
use super::words::{Key, Words};
use super::{Class, Hits, Strength, View};

/// No word of any language: decisive in command position.
const SURE: u8 = 1;
/// Also a word, or short: its argument decides.
const MAYBE: u8 = 2;
/// Runs what follows it.
const RUNNER: u8 = 3;

pub(super) const LIST: &[(&[u8], u8)] = &[
    (b"invoke-webrequest", SURE),
    (b"invoke-expression", SURE),
    (b"iex", SURE),
    (b"iwr", SURE),
    (b"reg", MAYBE),
    (b"alias", MAYBE),
    (b"which", MAYBE),
    (b"htop", SURE),
    (b"visudo", SURE),
    (b"regedit", SURE),
    (b"lastlog", SURE),
    (b"whoami", SURE),
    (b"ifconfig", SURE),
    (b"ipconfig", SURE),
    (b"netstat", SURE),
    (b"uname", SURE),
    (b"wget", SURE),
    (b"curl", SURE),
    (b"nslookup", SURE),
    (b"traceroute", SURE),
    (b"tracert", SURE),
    (b"chmod", SURE),
    (b"chown", SURE),
    (b"chattr", SURE),
    (b"powershell", SURE),
    (b"powershell.exe", SURE),
    (b"pwsh", SURE),
    (b"cmd.exe", SURE),
    (b"bash", SURE),
    (b"zsh", SURE),
    (b"ksh", SURE),
    (b"csh", SURE),
    (b"tcsh", SURE),
    (b"systeminfo", SURE),
    (b"tasklist", SURE),
    (b"taskkill", SURE),
    (b"netsh", SURE),
    (b"printenv", SURE),
    (b"getent", SURE),
    (b"lsof", SURE),
    (b"useradd", SURE),
    (b"usermod", SURE),
    (b"adduser", SURE),
    (b"crontab", SURE),
    (b"iptables", SURE),
    (b"mkfifo", SURE),
    (b"ncat", SURE),
    (b"netcat", SURE),
    (b"socat", SURE),
    (b"telnet", SURE),
    (b"tcpdump", SURE),
    (b"nmap", SURE),
    (b"certutil", SURE),
    (b"bitsadmin", SURE),
    (b"mshta", SURE),
    (b"rundll32", SURE),
    (b"regsvr32", SURE),
    (b"wscript", SURE),
    (b"cscript", SURE),
    (b"wmic", SURE),
    (b"schtasks", SURE),
    (b"phpinfo", MAYBE),
    (b"xargs", SURE),
    (b"gzip", SURE),
    (b"gunzip", SURE),
    (b"mkdir", SURE),
    (b"rmdir", SURE),
    (b"lscpu", SURE),
    (b"lsblk", SURE),
    (b"dmesg", SURE),
    (b"hostnamectl", SURE),
    (b"passwd", SURE),
    (b"base64", SURE),
    (b"awk", SURE),
    (b"gawk", SURE),
    (b"sed", SURE),
    (b"chroot", SURE),
    (b"rsync", SURE),
    (b"scp", SURE),
    (b"sftp", SURE),
    (b"tftp", SURE),
    (b"ftp", MAYBE),
    (b"nohup", RUNNER),
    (b"strace", RUNNER),
    (b"busybox", RUNNER),
    (b"timeout", RUNNER),
    (b"unzip", SURE),
    (b"printf", SURE),
    (b"setenforce", SURE),
    (b"pkill", SURE),
    (b"killall", SURE),
    (b"usleep", SURE),
    (b"cat", MAYBE),
    (b"ls", MAYBE),
    (b"id", MAYBE),
    (b"dir", MAYBE),
    (b"ping", MAYBE),
    (b"ping6", SURE),
    (b"echo", MAYBE),
    (b"sleep", MAYBE),
    (b"type", MAYBE),
    (b"who", MAYBE),
    (b"more", MAYBE),
    (b"less", MAYBE),
    (b"head", MAYBE),
    (b"tail", MAYBE),
    (b"find", MAYBE),
    (b"net", MAYBE),
    (b"nc", MAYBE),
    (b"nc.exe", SURE),
    (b"time", RUNNER),
    (b"set", MAYBE),
    (b"sh", MAYBE),
    (b"ash", MAYBE),
    (b"dash", MAYBE),
    (b"python", MAYBE),
    (b"python3", MAYBE),
    (b"python2", MAYBE),
    (b"perl", MAYBE),
    (b"ruby", MAYBE),
    (b"php", MAYBE),
    (b"node", MAYBE),
    (b"ps", MAYBE),
    (b"env", MAYBE),
    (b"pwd", MAYBE),
    (b"rm", MAYBE),
    (b"cp", MAYBE),
    (b"mv", MAYBE),
    (b"touch", MAYBE),
    (b"kill", MAYBE),
    (b"reboot", MAYBE),
    (b"halt", MAYBE),
    (b"grep", MAYBE),
    (b"tar", MAYBE),
    (b"dd", MAYBE),
    (b"dig", MAYBE),
    (b"host", MAYBE),
    (b"hostname", MAYBE),
    (b"ver", MAYBE),
    (b"copy", MAYBE),
    (b"del", MAYBE),
    (b"start", MAYBE),
    (b"cmd", MAYBE),
    (b"exec", MAYBE),
    (b"eval", MAYBE),
    (b"source", MAYBE),
    (b"arp", MAYBE),
    (b"route", MAYBE),
];

static COMMANDS: Words<512> = Words::new(LIST);

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

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let View {
        bytes: value,
        classes,
        words,
        ..
    } = *view;
    // Quotes and backslashes may tear a command apart; a value that starts with a separator is odd by itself.
    let torn = classes & (SHELL | AMP | LINE | PAREN) != 0 && classes & (QUOTE | BACKSLASH) != 0;
    let leads = value
        .iter()
        .find(|&&byte| !is_space(byte))
        .is_some_and(|byte| matches!(byte, b';' | b'|' | b'&' | b'`'));
    let function = classes & PAREN != 0 && opens(value);
    if words & COMMAND == 0 && classes & (DOLLAR | ANGLE) == 0 && !torn && !leads && !function {
        return;
    }
    super::spend(steps, value.len());
    let start = skip_space(value, 0);
    if let Some(strength) = command(value, start, Before::Start) {
        hits.add(Class::Shell, strength, start);
    }
    let mut at = 0;
    let mut text = false;
    let mut lines = 0_u8;
    // A text of many lines is a document: its lines are no commands by themselves.
    let few_lines =
        classes & LINE == 0 || tally(value.iter().filter(|&&byte| byte == b'\n').take(4)) < 4;
    while let Some(&head) = value.get(at) {
        let next = byte(value, at.saturating_add(1));
        let one = at.saturating_add(1);
        let separator = if text {
            Before::Separator
        } else {
            Before::Leading
        };
        let strength = match head {
            b';' | b'|' => command(value, one, separator),
            b'\n' | b'\r' if lines < 4 => {
                lines = lines.saturating_add(1);
                command(value, one, separator).filter(|_| few_lines)
            }
            b'&' if next == b'&' => None,
            b'&' => {
                let doubled = at > 0 && byte(value, at.saturating_sub(1)) == b'&';
                let before = if doubled || !text {
                    separator
                } else {
                    Before::Ampersand
                };
                command(value, one, before)
            }
            b'`' => backtick(value, at, text),
            b'$' => dollar(value, at),
            b'(' => opened(value, at),
            b'<' | b'>' => redirection(value, at),
            b'/' => path(value, at),
            b'{' => braces(value, at),
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
        text |= !is_space(head) && !matches!(head, b';' | b'|' | b'&');
        at = one;
    }
}

/// `()` of a function's definition, `@{` of perl.
fn opens(value: &[u8]) -> bool {
    let mut before = 0;
    value.iter().any(|&here| {
        let pair = (before == b'(' && here == b')') || (before == b'@' && here == b'{');
        before = here;
        pair
    })
}

/// The command word at `at`: blanks, quotes, backslashes and a path before its name are read through.
fn read_command(value: &[u8], at: usize) -> (u8, usize) {
    let mut key = Key::EMPTY;
    let mut end = at;
    let mut length = 0_u8;
    let mut quotes = 0_u8;
    let mut programs = false;
    let mut path = false;
    let mut capital = false;
    for &letter in rest(value, at).iter().take(64) {
        match letter {
            b'/' => {
                // Only what lies in a folder of programs is one.
                let folder = rest(value, end.saturating_sub(3)).starts_with(b"bin/");
                key = Key::EMPTY;
                length = 0;
                programs = folder;
                path = true;
            }
            b'\'' | b'"' | b'\\' | b'^'
                if length > 0 || byte(value, end.saturating_add(1)).is_ascii_alphabetic() =>
            {
                quotes = quotes.saturating_add(1);
            }
            _ if is_word(letter) || matches!(letter, b'.' | b'-') => {
                capital = if length == 0 {
                    letter.is_ascii_uppercase()
                } else {
                    capital && letter.is_ascii_lowercase()
                };
                key.push(letter);
                length = length.saturating_add(1);
                if length > 24 {
                    return (0, end);
                }
            }
            _ => break,
        }
        end = end.saturating_add(1);
    }
    // `Sed modi`, `Touch;`: a name or the start of a sentence, no command.
    let odd = quotes > 24 || (path && !programs) || (capital && length > 1);
    let kind = if odd { 0 } else { COMMANDS.kind(key) };
    (kind, end)
}

fn command(value: &[u8], from: usize, before: Before) -> Option<Strength> {
    let mut at = skip_space(value, from);
    // `$IFS` and brackets in front change nothing.
    while matches!(byte(value, at), b'(' | b'{' | b'@' | b'!') && at < from.saturating_add(8) {
        at = skip_space(value, at.saturating_add(1));
    }
    let (mut kind, mut end) = read_command(value, at);
    let path = byte(value, at) == b'/' || byte(value, at) == b'\\';
    let runner = kind == RUNNER;
    if runner {
        let (inner, inner_end) = read_command(value, skip_space(value, end));
        if inner == 0 && byte(value, skip_space(value, end)) != b'-' {
            return None;
        }
        if inner != 0 {
            (kind, end) = (inner, inner_end);
        }
    }
    let name = value.get(at..end).unwrap_or(&[]);
    if kind == 0 {
        if matches!(before, Before::Start | Before::Leading | Before::Separator)
            && construct(value, at)
        {
            return Some(Strength::Decisive);
        }
        // A value that begins with a separator and goes on like a command line is one, whatever the command.
        let word = before == Before::Leading
            && name.len() > 1
            && name.iter().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
            });
        return (word && argument(value, end, name) == Shape::Argument)
            .then_some(Strength::Decisive);
    }
    let shape = argument(value, end, name);
    // `x; id` is a payload, `U; id) Presto` and `a cat; who` are not.
    let single_segment =
        skip_space(value, end) >= value.len() && !value.get(..from).unwrap_or(&[]).contains(&b' ');
    Some(match (before, kind, shape) {
        (Before::Separator | Before::Leading | Before::Substitution, SURE | RUNNER, shape)
            if shape != Shape::Prose =>
        {
            Strength::Decisive
        }
        (
            Before::Separator | Before::Leading | Before::Substitution,
            MAYBE,
            Shape::Argument | Shape::Ends,
        ) => {
            if before == Before::Separator
                && shape == Shape::Ends
                && is_space(byte(value, from))
                && !path
                && !single_segment
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

/// `for /f … in (`, `for %i in (`, `if [not] exist …`: cmd's own grammar.
fn construct(value: &[u8], at: usize) -> bool {
    let tail = rest(value, at);
    let tail = tail.get(..96).unwrap_or(tail);
    if has_at(tail, 0, b"for") && is_space(byte(tail, 3)) {
        let next = skip_space(tail, 3);
        let switch =
            byte(tail, next) == b'/' && byte(tail, next.saturating_add(1)).is_ascii_alphabetic();
        return (switch || byte(tail, next) == b'%')
            && contains(tail, b"%")
            && (contains(tail, b" in (")
                || contains(tail, b" in  ")
                || contains(tail, b" in \"("));
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
    let tested = [
        &b"exist "[..],
        b"defined ",
        b"errorlevel ",
        b"cmdextversion ",
    ]
    .iter()
    .any(|word| has_at(tail, next, word));
    tested
        && tail
            .iter()
            .any(|byte| matches!(byte, b'(' | b'\\' | b'%' | b'.'))
}

/// What stands behind a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Nothing, or the next separator.
    Ends,
    /// A flag, a path, a variable, an address, a substitution.
    Argument,
    /// A word like any other.
    Word,
    /// Punctuation of a sentence.
    Prose,
}

fn argument(value: &[u8], end: usize, name: &[u8]) -> Shape {
    let next = skip_space(value, end);
    let glued = next == end;
    let head = byte(value, next);
    if next >= value.len() {
        return Shape::Ends;
    }
    if glued {
        return match head {
            b';' | b'|' | b'&' | b'`' | b')' | b'#' | b'\'' | b'"' | b'}' | b'\0' => Shape::Ends,
            b'<' | b'>' | b'{' => Shape::Argument,
            b'$' if matches!(
                byte(value, end.saturating_add(1)),
                b'{' | b'I' | b'@' | b'('
            ) =>
            {
                Shape::Argument
            }
            b'\\' if matches!(byte(value, end.saturating_add(1)), b'n' | b'r') => Shape::Ends,
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
        b'-' if byte(value, next.saturating_add(1)).is_ascii_alphanumeric()
            || byte(value, next.saturating_add(1)) == b'-' =>
        {
            Shape::Argument
        }
        b'/' | b'\\' | b'$' | b'~' | b'*' | b'<' | b'>' | b'%' => Shape::Argument,
        b'.' if matches!(byte(value, next.saturating_add(1)), b'/' | b'.' | b' ') => {
            Shape::Argument
        }
        b'\'' | b'"' => {
            let runs = [&b"echo"[..], b"printf", b"bash", b"sh", b"eval", b"exec"];
            if runs.iter().any(|run| name.eq_ignore_ascii_case(run)) {
                Shape::Argument
            } else {
                Shape::Word
            }
        }
        _ if word.len() > 2 && byte(word, 1) == b':' && byte(word, 2) == b'\\' => Shape::Argument,
        _ if is_address(word) => Shape::Argument,
        _ if head.is_ascii_digit() && closes => Shape::Argument,
        _ if contains(word, b"/")
            && (contains(word, b"://") || word.starts_with(b"etc") || closes) =>
        {
            Shape::Argument
        }
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
        _ if word.iter().any(|&byte| matches!(byte, b'*' | b'=' | b'\\'))
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

fn is_address(word: &[u8]) -> bool {
    let dots = tally(word.iter().filter(|&&byte| byte == b'.'));
    dots == 3
        && word
            .iter()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b':'))
}

/// `` `cmd` ``: decisive where a value or word starts; `` `ls -la` `` amid a sentence is markdown.
fn backtick(value: &[u8], at: usize, text: bool) -> Option<Strength> {
    let glued = at > 0 && !is_space(byte(value, at.saturating_sub(1)));
    let one = at.saturating_add(1);
    if byte(value, one) == b'`' || (at > 0 && byte(value, at.saturating_sub(1)) == b'`') {
        return None;
    }
    let closed = rest(value, one).iter().take(512).any(|&byte| byte == b'`');
    let found = command(value, one, Before::Substitution)?;
    if !closed {
        return None;
    }
    if text && !glued {
        Some(Strength::Suspicious)
    } else {
        Some(found)
    }
}

/// `$(cmd)`, `$IFS`, `${IFS}`, `$((1+1))`.
fn dollar(value: &[u8], at: usize) -> Option<Strength> {
    let one = at.saturating_add(1);
    if has_at(value, one, b"ifs")
        || has_at(value, one, b"{ifs")
        || has_at(value, one, b"{path:")
        || has_at(value, one, b"{shell")
    {
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
        return command(value, two, Before::Substitution);
    }
    // `c$@at`, `who$*ami`: empty parameters inside a word; `$[2+2]`.
    let inside = at > 0 && byte(value, at.saturating_sub(1)).is_ascii_lowercase();
    let empty = matches!(byte(value, one), b'@' | b'*' | b'!' | b'?')
        && byte(value, one.saturating_add(1)).is_ascii_lowercase();
    let sum = byte(value, one) == b'[' && byte(value, one.saturating_add(1)).is_ascii_digit();
    ((inside && empty) || sum).then_some(Strength::Decisive)
}

/// `() { :;};`, `<(cmd)`, `system('…')`.
fn opened(value: &[u8], at: usize) -> Option<Strength> {
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
            if byte(value, body) == b':' || byte(value, body) == b'_' {
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
fn redirection(value: &[u8], at: usize) -> Option<Strength> {
    let one = at.saturating_add(1);
    if has_at(value, at, b"<!--#") {
        let word = skip_space(value, at.saturating_add(5));
        let known = [&b"exec"[..], b"include", b"echo", b"printenv", b"config"]
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
        let target = skip_space(
            value,
            if byte(value, one) == b'>' {
                one.saturating_add(1)
            } else {
                one
            },
        );
        let file = [&b"/dev/"[..], b"/tmp/", b"/var/", b"/etc/", b"c:\\"]
            .iter()
            .any(|path| has_at(value, target, path));
        return file.then_some(Strength::Decisive);
    }
    None
}

/// `/bin/sh`, `/usr/bin/id`, `/dev/tcp/`.
fn path(value: &[u8], at: usize) -> Option<Strength> {
    if has_at(value, at, b"/dev/tcp/") || has_at(value, at, b"/dev/udp/") {
        return Some(Strength::Decisive);
    }
    if !has_at(value, at, b"/bin/") && !has_at(value, at, b"/sbin/") {
        return None;
    }
    let (kind, end) = read_command(value, at);
    if kind == 0 {
        return None;
    }
    let lead = value.get(..at).unwrap_or(&[]);
    let lead = lead.strip_suffix(b"/local").unwrap_or(lead);
    let lead = lead.strip_suffix(b"/usr").unwrap_or(lead);
    let lead = lead.strip_suffix(b"usr").unwrap_or(lead);
    let leading = lead.iter().all(|&byte| is_space(byte))
        || lead.last().is_some_and(|byte| {
            matches!(
                byte,
                b';' | b'|' | b'&' | b'`' | b'(' | b'\n' | b'=' | b'"' | b'\''
            )
        });
    let shape = argument(value, end, b"");
    Some(match (leading, shape) {
        (_, Shape::Argument) | (true, Shape::Ends | Shape::Word) => Strength::Decisive,
        _ => Strength::Suspicious,
    })
}

/// `{cat,/etc/passwd}`: brace expansion as blanks, from its comma.
fn braces(value: &[u8], at: usize) -> Option<Strength> {
    let one = at.saturating_add(1);
    let start = if byte(value, one) == b',' {
        at.saturating_add(2)
    } else {
        one
    };
    let (kind, end) = read_command(value, start);
    let next = byte(value, end);
    // `{id,name}` lists fields; `{cat,/etc/…}`, `{id,}` and `{,ls}` run.
    let after = byte(value, end.saturating_add(1));
    let listed = match next {
        b',' => start > one || matches!(after, b'/' | b'-' | b'$' | b'~' | b'.' | b'}' | b'*'),
        b'}' => start > one,
        _ => false,
    };
    (kind != 0 && listed).then_some(Strength::Decisive)
}
