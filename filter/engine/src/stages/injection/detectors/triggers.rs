//! Which languages' words a value has, and which neighbours: one pass that spares most values every tokenizer.
//!
//! **In:** a decoded value. **Out:** bits per language, bits per pair of bytes.
//! **Invariant:** every word a detector's pattern cannot do without is listed here, every pair that several ask for is a mark; patterns
//! without either are found by byte classes.
//! **Cost:** a multiplication a byte, a probe a word; runs only on values that are not plain.

use super::bytes::{PAREN, SCORE, folded, has_at, is_space, part};
use super::words::{Key, Words};
use super::{
    address, crlf, java_words, jndi, ldap, node, nosql, nosql_stores, php_words, prototype, rfi,
    shell, sql_tokens, ssrf, ssti, xpath, xxe,
};

/// A statement, a call or a name that SQL patterns are made of.
pub(super) const SQL: u32 = 1;
/// `AND`, `OR`, …: a pattern only beside an operator.
pub(super) const LOGIC: u32 = 2;
/// `LIKE`, …: the same.
pub(super) const LIKE: u32 = 4;
/// A function's name; counts when a bracket follows.
const CALL: u32 = 8;
/// A command.
pub(super) const COMMAND: u32 = 16;
/// A name of scripts, or a handler.
pub(super) const SCRIPT: u32 = 32;
/// A folder, file or extension worth a look.
pub(super) const PATH: u32 = 64;
/// A stream wrapper.
pub(super) const WRAPPER: u32 = 128;
/// Header and mail injection.
pub(super) const CRLF: u32 = 1 << 8;
/// Java classes, serialised Java, OGNL.
pub(super) const JAVA: u32 = 1 << 9;
/// JNDI look-ups.
pub(super) const JNDI: u32 = 1 << 10;
/// LDAP filters.
pub(super) const LDAP: u32 = 1 << 11;
/// Node and server-side JavaScript, prototypes.
pub(super) const NODE: u32 = 1 << 12;
/// NoSQL operators and server-side functions.
pub(super) const NOSQL: u32 = 1 << 13;
/// Calls of a store's shell.
pub(super) const STORE_CALL: u32 = 1 << 22;
/// Commands of stores.
pub(super) const STORE: u32 = 1 << 23;
/// PHP code and serialised PHP.
pub(super) const PHP: u32 = 1 << 14;
/// Remote inclusion.
pub(super) const RFI: u32 = 1 << 15;
/// Request forgery.
pub(super) const SSRF: u32 = 1 << 17;
/// Templates.
pub(super) const SSTI: u32 = 1 << 18;
/// XPath.
pub(super) const XPATH: u32 = 1 << 19;
/// XML entities and inclusion.
pub(super) const XXE: u32 = 1 << 20;
/// Prototypes.
pub(super) const PROTOTYPE: u32 = 1 << 21;

/// `http`, `https`, `url`: an honest URL has them, too.
pub(super) const WEB: u32 = 1 << 24;
/// A part of a host's name that leads inside, or to who asks for it.
pub(super) const HOST: u32 = 1 << 25;

/// Interpreters that `shell` knows by a call.
pub(super) const INTERPRETER: u32 = 1 << 16;

/// `--`.
pub(super) const DASHES: u32 = 1;
/// `||`.
pub(super) const PIPES: u32 = 1 << 1;
/// `&&`.
pub(super) const AMPS: u32 = 1 << 2;
/// A quote twice in a row.
pub(super) const TWINS: u32 = 1 << 3;
/// `()` of a function's definition, `@{` of perl, `%x` of ruby, `{,` and `}a` of brace expansion.
pub(super) const OPENS: u32 = 1 << 4;
/// Two dots, or one that something hides.
pub(super) const DOTS: u32 = 1 << 5;
/// `'::`.
pub(super) const CAST: u32 = 1 << 6;
/// `:`.
pub(super) const COLON: u32 = 1 << 7;
/// `@`.
pub(super) const AT: u32 = 1 << 8;
/// `:=`.
pub(super) const RULE: u32 = 1 << 9;
/// `^`.
pub(super) const CARET: u32 = 1 << 10;
/// `^` twice.
pub(super) const CARETS: u32 = 1 << 11;
/// `?`.
pub(super) const QUESTION: u32 = 1 << 12;
/// `?` twice.
pub(super) const QUESTIONS: u32 = 1 << 13;
/// A word that is named as functions of PHP's extensions are, where there are brackets.
pub(super) const EXTENSION: u32 = 1 << 14;
/// `"&"`.
pub(super) const GLUE: u32 = 1 << 15;
/// `!`.
pub(super) const BANG: u32 = 1 << 16;
/// `<?`.
pub(super) const QUERY: u32 = 1 << 17;
/// A bracket that closes, and at once one that calls: `)(`.
pub(super) const CALLEE: u32 = 1 << 18;

/// `::`.
pub(super) const COLONS: u32 = 1 << 19;
/// A digit right before `=`.
pub(super) const EQUALS: u32 = 1 << 20;
/// `[`.
pub(super) const SQUARE: u32 = 1 << 21;
/// `@(`.
pub(super) const RAZOR: u32 = 1 << 22;
/// `set @`.
pub(super) const SETS: u32 = 1 << 23;
/// `.254.`: of the address of metadata services.
pub(super) const LINK: u32 = 1 << 24;

/// Blanks between a function's name and its bracket, at most.
const BLANKS: usize = 8;

/// Where the kind of a command stands, above all bits.
const KIND: u32 = 29;
/// Bits of kinds: what `shell` says of a command is asked for again.
pub(super) const KINDS: u32 = u32::MAX << KIND;

// No two languages share a bit.
const _: () = {
    let mut left: &[u32] = &[
        SQL,
        LOGIC,
        LIKE,
        CALL,
        COMMAND,
        SCRIPT,
        PATH,
        WRAPPER,
        CRLF,
        JAVA,
        JNDI,
        LDAP,
        NODE,
        NOSQL,
        STORE_CALL,
        STORE,
        PHP,
        RFI,
        SSRF,
        SSTI,
        XPATH,
        XXE,
        PROTOTYPE,
        WEB,
        HOST,
        INTERPRETER,
        KINDS,
    ];
    let mut seen = 0;
    while let [bit, after @ ..] = left {
        assert!(seen & *bit == 0, "a bit stands for two languages");
        seen |= *bit;
        left = after;
    }
};

const SCRIPTS: &[(&[u8], u32)] = &[
    (b"alert", SCRIPT),
    (b"prompt", SCRIPT),
    (b"confirm", SCRIPT),
    (b"eval", SCRIPT),
    (b"atob", SCRIPT),
    (b"settimeout", SCRIPT),
    (b"setinterval", SCRIPT),
    (b"fetch", SCRIPT),
    (b"function", SCRIPT),
    (b"expression", SCRIPT),
    (b"fromcharcode", SCRIPT),
    (b"constructor", SCRIPT),
    (b"document", SCRIPT),
    (b"window", SCRIPT),
    (b"self", SCRIPT),
    (b"top", SCRIPT),
    (b"localstorage", SCRIPT),
    (b"xmlhttprequest", SCRIPT),
    (b"activexobject", SCRIPT),
    (b"innerhtml", SCRIPT),
    (b"outerhtml", SCRIPT),
    (b"appendchild", SCRIPT),
    (b"parentnode", SCRIPT),
    (b"javascript", SCRIPT),
    (b"vbscript", SCRIPT),
    (b"livescript", SCRIPT),
    (b"mocha", SCRIPT),
    (b"data", SCRIPT | WRAPPER),
    (b"binding", SCRIPT),
    (b"parent", SCRIPT),
    (b"frames", SCRIPT),
    (b"globalthis", SCRIPT),
    (b"this", SCRIPT),
    (b"location", SCRIPT),
    (b"navigator", SCRIPT),
    (b"sessionstorage", SCRIPT),
    (b"history", SCRIPT),
    (b"btoa", SCRIPT),
    (b"execscript", SCRIPT),
    (b"setimmediate", SCRIPT),
    (b"importscripts", SCRIPT),
    (b"import", SCRIPT),
    (b"reflect", SCRIPT),
    (b"call", SCRIPT),
    (b"apply", SCRIPT),
    (b"insertadjacenthtml", SCRIPT),
    (b"srcdoc", SCRIPT),
    (b"formaction", SCRIPT),
    (b"adw", SCRIPT),
    (b"$on", SCRIPT),
    (b"$eval", SCRIPT),
];

const PATHS: &[(&[u8], u32)] = &[
    (b"php", WRAPPER | PATH),
    (b"file", WRAPPER),
    (b"zip", WRAPPER),
    (b"phar", WRAPPER),
    (b"expect", WRAPPER),
    (b"glob", WRAPPER),
    (b"zlib", WRAPPER),
    (b"bzip2", WRAPPER),
    (b"ssh2", WRAPPER),
    (b"ogg", WRAPPER),
    (b"rar", WRAPPER),
    (b"netdoc", WRAPPER),
    (b"jar", WRAPPER),
    (b"etc", PATH),
    (b"proc", PATH),
    (b"ssh", PATH),
    (b"aws", PATH),
    (b"git", PATH),
    (b"svn", PATH),
    (b"docker", PATH),
    (b"kube", PATH),
    (b"gnupg", PATH),
    (b"system32", PATH),
    (b"repair", PATH),
    (b"passwd", PATH),
    (b"shadow", PATH),
    (b"ini", PATH),
    (b"conf", PATH),
    (b"config", PATH),
    (b"xml", PATH),
    (b"htpasswd", PATH),
    (b"htaccess", PATH),
    (b"id_rsa", PATH),
    (b"id_dsa", PATH),
    (b"authorized_keys", PATH),
    (b"known_hosts", PATH),
    (b"bash_history", PATH),
    (b"mysql_history", PATH),
    (b"bashrc", PATH),
    (b"dat", PATH),
    (b"asa", PATH),
    (b"inf", PATH),
    (b"unattend", PATH),
    (b"log", PATH),
    (b"access_log", PATH),
    (b"error_log", PATH),
    (b"err", PATH),
    (b"var", PATH),
    (b"usr", PATH),
    (b"root", PATH),
    (b"boot", PATH),
    (b"dev", PATH),
    (b"sys", PATH),
    (b"opt", PATH),
    (b"lib", PATH),
    (b"inetpub", PATH),
    (b"env", PATH),
    (b"boto", PATH),
    (b"aiignore", PATH),
    (b"cursorignore", PATH),
    (b"history", PATH),
    (b"netrc", PATH),
    (b"npmrc", PATH),
    (b"pypirc", PATH),
    (b"pgpass", PATH),
    (b"dockercfg", PATH),
    (b"s3cfg", PATH),
    (b"viminfo", PATH),
    (b"rhosts", PATH),
    (b"ds_store", PATH),
    (b"id_ecdsa", PATH),
    (b"id_ed25519", PATH),
    (b"claude", PATH),
    (b"cursor", PATH),
    (b"continue", PATH),
    (b"aider", PATH),
    (b"roo", PATH),
    (b"zed", PATH),
    (b"cline", PATH),
    (b"kiro", PATH),
    (b"windsurf", PATH),
    (b"rovodev", PATH),
    (b"codex", PATH),
    (b"opencode", PATH),
    (b"a0proj", PATH),
    (b"plandex", PATH),
    (b"fabric", PATH),
    (b"n8n", PATH),
    (b"junie", PATH),
    (b"gemini", PATH),
    (b"idea", PATH),
    (b"vscode", PATH),
    (b"terraform", PATH),
    (b"azure", PATH),
    (b"hg", PATH),
    (b"bzr", PATH),
    (b"circleci", PATH),
    (b"private", PATH),
    (b"volumes", PATH),
    (b"configuration", PATH),
    (b"localsettings", PATH),
    (b"settings", PATH),
    (b"yml", PATH),
    (b"appsettings", PATH),
    (b"htdigest", PATH),
    (b"tfstate", PATH),
    (b"kubeconfig", PATH),
    (b"privkey", PATH),
    (b"zsh_history", PATH),
    (b"psql_history", PATH),
];

/// Words of shell patterns that are no commands.
const CALLS: &[(&[u8], u32)] = &[
    (b"invoke", COMMAND),
    (b"tcp", COMMAND),
    (b"udp", COMMAND),
    (b"system", COMMAND),
    (b"shell_exec", COMMAND),
    (b"passthru", COMMAND),
    (b"popen", COMMAND),
    (b"proc_open", COMMAND),
    (b"pcntl_exec", COMMAND),
    (b"execsync", COMMAND),
    (b"spawn", COMMAND),
    (b"spawnsync", COMMAND),
    (b"check_output", COMMAND),
    (b"subprocess", COMMAND),
    (b"runtime", COMMAND),
    (b"getruntime", COMMAND),
    (b"exe", COMMAND),
];

/// Words of calls that run what they are given.
const INTERPRETERS: &[(&[u8], u32)] = &[
    (b"frombase64string", INTERPRETER),
    (b"downloadstring", INTERPRETER),
    (b"downloadfile", INTERPRETER),
    (b"python", INTERPRETER),
    (b"object", INTERPRETER),
    (b"scriptblock", INTERPRETER),
    (b"invokescript", INTERPRETER),
    (b"diagnostics", INTERPRETER),
    (b"pickle", INTERPRETER | COMMAND),
    (b"cpickle", INTERPRETER | COMMAND),
    (b"execute", INTERPRETER | COMMAND),
];

static TABLE: Words<8192> = {
    let mut table: Words<8192> = Words::empty()
        .bits(SCRIPTS)
        .bits(PATHS)
        .bits(CALLS)
        .bits(INTERPRETERS);
    table = all(table, crlf::WORDS, CRLF);
    table = same(table, java_words::LIST, JAVA);
    table = all(table, jndi::WORDS, JNDI);
    table = all(table, ldap::WORDS, LDAP);
    table = reasons(table, node::LIST, NODE);
    table = all(table, nosql::WORDS, NOSQL);
    table = all(table, nosql_stores::CALLED, STORE_CALL);
    table = all(table, nosql_stores::COMMANDS, STORE);
    table = same(table, php_words::LIST, PHP);
    table = all(table, prototype::WORDS, PROTOTYPE);
    table = all(table, rfi::WORDS, RFI);
    table = all(table, ssrf::WORDS, SSRF);
    table = all(table, ssrf::WEB_WORDS, WEB);
    table = all(table, address::WORDS, HOST);
    table = all(table, ssti::WORDS, SSTI);
    table = all(table, xpath::WORDS, XPATH);
    table = all(table, xxe::WORDS, XXE);
    table = table.text(shell::PARTS, COMMAND);
    table = commands(table);
    mapped(table, sql_tokens::LIST)
};

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs while compiling: a fault is a build error"
)]
const fn all(mut table: Words<8192>, list: &[&[u8]], bit: u32) -> Words<8192> {
    let mut index = 0;
    while index < list.len() {
        table = table.bits(&[(list[index], bit)]);
        index += 1;
    }
    table
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs while compiling: a fault is a build error"
)]
const fn same(mut table: Words<8192>, list: &[(&[u8], u8)], bit: u32) -> Words<8192> {
    let mut index = 0;
    while index < list.len() {
        table = table.bits(&[(list[index].0, bit)]);
        index += 1;
    }
    table
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs while compiling: a fault is a build error"
)]
const fn reasons(mut table: Words<8192>, list: &[(&[u8], u8)], bit: u32) -> Words<8192> {
    let mut index = 0;
    while index < list.len() {
        if node::is_reason(list[index].1) {
            table = table.bits(&[(list[index].0, bit)]);
        }
        index += 1;
    }
    table
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "runs while compiling: a fault is a build error"
)]
const fn commands(mut table: Words<8192>) -> Words<8192> {
    let mut index = 0;
    while index < shell::NAMES.len() {
        let (names, kind) = shell::NAMES[index];
        table = table.text(names, COMMAND | ((kind as u32) << KIND));
        index += 1;
    }
    table.text(shell::COMMON, (shell::MAYBE as u32) << KIND)
}

/// What `shell` says of a name of a command, 0 for any other word.
pub(super) fn command(key: Key) -> u8 {
    u8::try_from(TABLE.found(key) >> KIND).unwrap_or(0)
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs while compiling: a fault is a build error"
)]
const fn mapped(mut table: Words<8192>, list: &[(u8, &[u8])]) -> Words<8192> {
    let mut index = 0;
    while index < list.len() {
        let bit = match sql_tokens::need(list[index].0) {
            sql_tokens::Need::Always => SQL,
            sql_tokens::Need::Logic => LOGIC,
            sql_tokens::Need::Like => LIKE,
            sql_tokens::Need::Call => CALL,
            sql_tokens::Need::Never => 0,
        };
        if bit != 0 {
            table = table.text(list[index].1, bit);
        }
        index += 1;
    }
    table
}

/// What one pass over a value tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The bits of all words.
    pub(super) words: u32,
    /// The bits of all neighbours that patterns begin with.
    pub(super) marks: u32,
}

/// What a byte outside of words says beside the one behind it.
fn mark(head: u8, after: &[u8], seen: u32) -> u32 {
    let next = after.first().copied().unwrap_or(0);
    match head {
        b'-' if next == b'-' => DASHES,
        b'|' if next == b'|' => PIPES,
        b'&' if next == b'&' => AMPS,
        b'\'' | b'"' | b'`' if next == head => TWINS,
        b'\'' if after.starts_with(b"::") => CAST,
        b'"' if after.starts_with(b"&\"") => GLUE,
        b'!' => BANG,
        b'<' if next == b'?' => QUERY,
        b'(' if next == b')' => OPENS,
        b'%' if next == b'x' => OPENS,
        b'{' if next == b',' => OPENS,
        b')' | b']' | b'}' if next == b'(' => CALLEE,
        b'}' if next.is_ascii_lowercase() => OPENS,
        b'@' if next == b'{' => OPENS | AT,
        b'@' if next == b'(' => RAZOR | AT,
        b'[' => SQUARE,
        b'@' => AT,
        b'.' if matches!(next, b'.' | b';' | b'?') => DOTS,
        b'.' if next == b'2' && after.starts_with(b"254.") => LINK,
        b';' if next == b'.' => DOTS,
        b':' if next == b'=' => COLON | RULE,
        b':' if next == b':' => COLON | COLONS,
        b':' => COLON,
        b'^' if seen & CARET != 0 => CARETS,
        b'^' => CARET,
        b'?' => {
            let dots = if next == b'.' { DOTS } else { 0 };
            let twice = if seen & QUESTION != 0 { QUESTIONS } else { 0 };
            dots | twice | QUESTION
        }
        _ => 0,
    }
}

/// What a byte outside of words says beside what stands before it.
fn mark_behind(head: u8, value: &[u8], after: &[u8]) -> u32 {
    let at = value.len().saturating_sub(after.len()).saturating_sub(1);
    let before = value.get(..at).unwrap_or(&[]);
    match head {
        b'=' if before.last().is_some_and(u8::is_ascii_digit) => EQUALS,
        b'@' if has_at(before, before.len().saturating_sub(4), b"set ") => SETS,
        _ => 0,
    }
}

/// The words and neighbours of a value, of the classes `classes`.
pub(super) fn look(value: &[u8], classes: u32) -> Seen {
    let mut all = 0;
    let mut marks = 0;
    let snakes = classes & SCORE != 0 && classes & PAREN != 0;
    let mut left = value;
    while let Some((&head, after)) = left.split_first() {
        let start = left;
        left = after;
        let first = folded(head);
        if first == 0 {
            marks |= mark(head, after, marks);
            if matches!(head, b'=' | b'@') {
                marks |= mark_behind(head, value, after);
            }
            continue;
        }
        // `1union`, `00000and`: a word starts behind its number.
        if first.is_ascii_digit() {
            continue;
        }
        let head = first;
        let mut key = Key::EMPTY;
        key.push_folded(head);
        let second = after.first().copied().unwrap_or(0) | 0x20;
        let mut length = 1_usize;
        while let Some((&next, after)) = left.split_first() {
            let next = folded(next);
            if next == 0 {
                break;
            }
            key.push_folded(next);
            length = length.wrapping_add(1);
            left = after;
        }
        if length < 2 {
            continue;
        }
        if snakes && php_words::is_of_extension(part(start, 0, length)) {
            marks |= EXTENSION;
        }
        let bits = TABLE.found(key);
        if bits & CALL != 0 {
            let called = match left.split_first() {
                Some((b'(', _)) => true,
                // A comment before the bracket.
                Some((b'/', after)) => after.first() == Some(&b'*'),
                Some((&blank, after)) => {
                    is_space(blank)
                        && part(after, 0, BLANKS).iter().find(|byte| !is_space(**byte))
                            == Some(&b'(')
                }
                None => false,
            };
            all |= if called { SQL } else { 0 };
        }
        all |= bits & !CALL;
        if head == b'o' && second == b'n' && length >= 5 {
            let next = left.first().copied().unwrap_or(0);
            all |= if next == b'=' || is_space(next) {
                SCRIPT
            } else {
                0
            };
        }
    }
    Seen { words: all, marks }
}

#[cfg(test)]
mod tests {
    use super::super::super::bytes::classes;
    use super::*;

    fn marks(value: &str) -> u32 {
        look(value.as_bytes(), classes(value.as_bytes())).marks & !(CARET | QUESTION)
    }

    #[test]
    fn neighbours_are_marked_wherever_they_stand() {
        for (text, bits) in [
            ("--", DASHES),
            ("||", PIPES),
            ("&&", AMPS),
            ("''", TWINS),
            ("\"\"", TWINS),
            ("``", TWINS),
            ("'::", CAST | COLON | COLONS),
            ("::", COLON | COLONS),
            ("[", SQUARE),
            (".254.", LINK),
            ("@(", RAZOR | AT),
            ("1=", EQUALS),
            ("set @", SETS | AT),
            ("\"&\"", GLUE),
            ("!", BANG),
            ("()", OPENS),
            ("%x", OPENS),
            ("{,", OPENS),
            ("}a", OPENS),
            ("@{", OPENS | AT),
            ("@", AT),
            ("..", DOTS),
            (".;", DOTS),
            (";.", DOTS),
            (".?", DOTS),
            ("?.", DOTS),
            (":", COLON),
            (":=", COLON | RULE),
            ("^a^", CARETS),
            ("?a?", QUESTIONS),
        ] {
            for (before, behind) in [("", ""), ("a", ""), ("", " b"), ("1 ", "9"), ("é", "$")] {
                let value = format!("{before}{text}{behind}");
                assert_eq!(marks(&value), bits, "{value}");
            }
        }
        assert_eq!(marks("1mysqli_query(a)"), EXTENSION);
        for plain in [
            "- - | | & & ' \" ` ( ) { } . ; ? ^ 1",
            "x86_64 (a)",
            "a_b mysqli_query",
        ] {
            assert_eq!(marks(plain), 0, "{plain}");
        }
    }
}
