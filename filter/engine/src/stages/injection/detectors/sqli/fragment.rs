//! Whole values that are a piece of SQL without being a pattern: a call left open, a name of the server's own.
//!
//! **In:** a value. **Out:** a yes or no.
//! **Invariant:** looks at [`LONGEST`] bytes at most; a value that says more than the piece is left to the patterns.
//! **Source:** the function, procedure and catalogue lists of `sql_tokens`; an argument that arrives in another parameter
//! (`a=round(/*&b=*/1)`) leaves such a piece behind.
//! **Cost:** constant.

use super::super::bytes::{
    byte, contains, has_at, is_space, is_word, part, rest, skip_space, tally,
};
use super::super::code::gap;
use super::super::sql_tokens::{is_function, is_listed, is_server_name};
use super::super::{Place, View};

/// Bytes of a value that is one piece.
const LONGEST: usize = 48;

/// Bytes of a statement that are looked through.
const QUERY: usize = 160;

/// Bytes between a function's name and the bracket: a comment, an operator that hides the call from a filter.
const JUNK: usize = 8;

/// `round(`, `length||(`, `IN/**/(`: a function's name and its bracket, and nothing else.
pub(super) fn opens_call(value: &[u8]) -> bool {
    if value.len() > LONGEST {
        return false;
    }
    let value = value.trim_ascii();
    let Some((b'(', before)) = value.split_last() else {
        return false;
    };
    let name = part(before, 0, word(before));
    let junk = rest(before, name.len());
    // `left :(` is a face, `day (` and `day. (` are not.
    let face = junk.first().is_some_and(|&byte| is_space(byte))
        && matches!(junk.last(), Some(b'=' | b'>' | b'\''));
    let joined = junk.iter().all(|&byte| {
        is_space(byte)
            || matches!(
                byte,
                b'=' | b'|'
                    | b'&'
                    | b'?'
                    | b'!'
                    | b'$'
                    | b']'
                    | b')'
                    | b'\''
                    | b'"'
                    | b'.'
                    | b'\\'
                    | b'/'
                    | b'*'
                    | b'>'
            )
    });
    joined && !face && junk.len() <= JUNK && is_function(name)
}

/// `xp_cmdshell`, `'information_schema'`: a name that only the server's own things have.
pub(super) fn names_server(view: &View<'_>) -> bool {
    let value = view.bytes;
    if value.len() > LONGEST || view.place == Place::Path {
        return false;
    }
    let value = value.trim_ascii();
    let bare = match value {
        [open @ (b'\'' | b'"' | b'`'), inner @ .., close] if open == close => inner,
        _ => value,
    };
    word(bare) == bare.len() && is_server_name(bare, view.is_name)
}

/// `@@version`, `@@global.datadir`: a setting of the server, and nothing else. `/@@search` is a view of a site.
pub(super) fn names_variable(view: &View<'_>) -> bool {
    const NAMES: [&[u8]; 22] = [
        b"version",
        b"version_comment",
        b"version_compile_os",
        b"version_compile_machine",
        b"hostname",
        b"datadir",
        b"basedir",
        b"tmpdir",
        b"plugin_dir",
        b"socket",
        b"pid_file",
        b"port",
        b"secure_file_priv",
        b"general_log_file",
        b"sql_mode",
        b"server_id",
        b"servername",
        b"servicename",
        b"spid",
        b"trancount",
        b"rowcount",
        b"identity",
    ];
    if view.bytes.len() > LONGEST || view.place == Place::Path {
        return false;
    }
    let (name, cut) = match view.bytes.trim_ascii() {
        [value @ .., b'-', b'-'] => (value, true),
        value => (value, false),
    };
    // `@version--`: nobody ends a name with a comment.
    let name = match name {
        [b'@', b'@', name @ ..] => name,
        [b'@', name @ ..] if cut => name,
        _ => return false,
    };
    let scope = name
        .iter()
        .position(|&byte| byte == b'.')
        .map_or(name, |dot| part(name, 0, dot));
    let scoped = [b"global".as_slice(), b"session", b"local"]
        .iter()
        .any(|known| scope.eq_ignore_ascii_case(known));
    let name = if scoped {
        rest(name, scope.len().saturating_add(1))
    } else {
        name
    };
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// `1/*'*/`, `--sp_password`, `1.e.tables`: what is a remark to the server and hides something from whoever reads along.
pub(super) fn is_remark(view: &View<'_>) -> bool {
    let value = view.bytes.trim_ascii();
    if value.len() > LONGEST {
        return false;
    }
    let digits = tally(value.iter().take_while(|byte| byte.is_ascii_digit()));
    match rest(value, digits) {
        // A quote in a comment behind a number: one of them is taken out by somebody.
        [b'/', b'*', inside @ .., b'*', b'/'] => {
            digits > 0
                && inside.iter().any(|byte| matches!(byte, b'\'' | b'"'))
                && !inside.iter().any(|&byte| is_space(byte))
        }
        // Whoever names this procedure is left out of the log.
        [b'-', b'-', name @ ..] => digits == 0 && name.eq_ignore_ascii_case(b"sp_password"),
        _ => digits > 0 && void(value, digits),
    }
}

/// Whether the digits before `at` and a `.e` behind them are what MySQL reads as nothing: a member or a call follows.
pub(in super::super) fn void(value: &[u8], at: usize) -> bool {
    let [b'.', b'e' | b'E', sign @ (b'.' | b'(' | b'`'), name @ ..] = part(value, at, LONGEST)
    else {
        return false;
    };
    let name = part(name, 0, word(name));
    let member = name.contains(&b'_') || is_listed(name);
    match sign {
        b'.' => member,
        b'(' => is_function(name),
        _ => true,
    }
}

/// `in (0,1)`, `in ('a')`, `like null`, `name like '`: the start or the end of a comparison, as the whole value.
pub(super) fn compares(value: &[u8]) -> bool {
    let listed = has_at(value, 0, b"in") && byte(value, gap(value, 2).0) == b'(';
    let last = value.trim_ascii_end();
    listed
        || is_like_null(last)
        || value.len() <= LONGEST
            && (matches!(last, [.., blank, b'\'' | b'"'] if is_space(*blank))
                || matches!(last, [.., b'*', b'/', b'\'' | b'"']))
}

/// `like null`, whatever parts the two.
pub(in super::super) fn is_like_null(text: &[u8]) -> bool {
    let (null, _) = gap(text, 4);
    has_at(text, 0, b"like")
        && null > 4
        && has_at(text, null, b"null")
        && !is_word(byte(text, null.saturating_add(4)))
}

/// Whether the value begins with the word, and another or a sign follows it behind blanks or a comment.
pub(in super::super) fn leads(value: &[u8], word: &[u8]) -> bool {
    has_at(value, 0, word)
        && (is_space(byte(value, word.len())) || has_at(value, word.len(), b"/*"))
}

/// `backup database x to disk=`, `restore database x from disk=`: SQL Server's statements, and nobody's sentence.
pub(super) fn is_backup(value: &[u8]) -> bool {
    let value = part(value, skip_space(value, 0), QUERY);
    if !leads(value, b"backup") && !leads(value, b"restore") {
        return false;
    }
    let (mut plain, mut length, mut at) = ([0; QUERY], 0_usize, 0);
    while at < value.len() {
        let (next, _) = gap(value, at);
        let letter = if next > at { b' ' } else { byte(value, at) };
        if let Some(place) = plain.get_mut(length) {
            *place = letter;
        }
        length = length.saturating_add(1);
        at = next.max(at.saturating_add(1));
    }
    let value = plain.get(..length).unwrap_or(value);
    let goes = |heads: [&[u8]; 2], devices: [&[u8]; 3]| {
        heads.iter().any(|head| has_at(value, 0, head))
            && devices.iter().any(|device| contains(value, device))
            && value.contains(&b'=')
    };
    goes(
        [b"backup database ", b"backup log "],
        [b" to disk", b" to url", b" to tape"],
    ) || goes(
        [b"restore database ", b"restore log "],
        [b" from disk", b" from url", b" from tape"],
    )
}

/// Length of the word at the start.
fn word(value: &[u8]) -> usize {
    let end = value
        .iter()
        .position(|&byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')));
    end.unwrap_or(value.len())
}
