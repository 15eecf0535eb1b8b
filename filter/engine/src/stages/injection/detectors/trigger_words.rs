//! The words that say which languages a value may be of.
//!
//! **In:** the lists of the detectors, and those that several of them share. **Out:** a table of words, made while compiling: bits per language, and
//! for a command what `shell` says of it.
//! **Invariant:** a word that stands in several lists has the bits of all.

use super::triggers::{
    CALL, COMMAND, CRLF, HOST, INTERPRETER, JAVA, JNDI, KIND, LDAP, LIKE, LOGIC, NODE, NOSQL, PART,
    PART_CALL, PATH, PHP, PHP_CALL, PROTOTYPE, RFI, SCRIPT, SQL, SSRF, SSTI, STORE, STORE_CALL,
    WEB, WRAPPER, XPATH, XXE,
};
use super::words::{Key, Words};
use super::{
    address, crlf, java_words, jndi, ldap, node, nosql, nosql_stores, php_words, prototype, rfi,
    shell, sql_tokens, ssrf, ssti, xpath, xxe,
};

type Table = Words<8192>;

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

/// The words of all languages.
pub(super) static TABLE: Table = {
    let mut table: Table = Words::empty()
        .bits(SCRIPTS)
        .bits(PATHS)
        .bits(CALLS)
        .bits(INTERPRETERS);
    table = all(table, crlf::WORDS, CRLF);
    table = coded(table, java_words::LIST, JAVA);
    table = all(table, jndi::WORDS, JNDI);
    table = all(table, ldap::WORDS, LDAP);
    table = reasons(table, node::LIST, NODE);
    table = all(table, nosql::WORDS, NOSQL);
    table = all(table, nosql_stores::CALLED, STORE_CALL);
    table = all(table, nosql_stores::COMMANDS, STORE);
    table = of_php(table, php_words::LIST, PHP);
    table = all(table, prototype::WORDS, PROTOTYPE);
    table = all(table, rfi::WORDS, RFI);
    table = all(table, ssrf::WORDS, SSRF);
    table = all(table, ssrf::WEB_WORDS, WEB);
    table = all(table, address::WORDS, HOST);
    table = all(table, ssti::WORDS, SSTI);
    table = all(table, xpath::WORDS, XPATH);
    table = all(table, xxe::WORDS, XXE);
    table = table.text(shell::PARTS, COMMAND);
    table = commands(table, &shell::NAMES, COMMAND);
    table = table.text(shell::COMMON, kind(shell::MAYBE));
    kinds(table, sql_tokens::LIST, SQL)
};

/// Declares a function that puts a list into the table, a row after the other.
macro_rules! rows {
    ($(#[$doc:meta])* fn $name:ident($table:ident, $row:ident: $kind:ty, $bit:ident) $put:block) => {
        $(#[$doc])*
        #[expect(
            clippy::indexing_slicing,
            clippy::arithmetic_side_effects,
            reason = "runs while compiling: a fault is a build error"
        )]
        const fn $name(mut $table: Table, list: &[$kind], $bit: u32) -> Table {
            let mut index = 0;
            while index < list.len() {
                let $row = list[index];
                $table = $put;
                index += 1;
            }
            $table
        }
    };
}

rows! {
    /// Words.
    fn all(table, word: &[u8], bit) { table.bits(&[(word, bit)]) }
}

rows! {
    /// Words of which their detector says more.
    fn coded(table, row: (&[u8], u8), bit) { table.bits(&[(row.0, bit)]) }
}

rows! {
    /// Words of PHP: functions, and what need not be called.
    fn of_php(table, row: (&[u8], u8), bit) {
        table.bits(&[(row.0, if php_words::is_called(row.1) { PHP_CALL } else { bit })])
    }
}

rows! {
    /// The same, when they are a reason to look.
    fn reasons(table, row: (&[u8], u8), bit) {
        if node::is_reason(row.1) { table.bits(&[(row.0, bit)]) } else { table }
    }
}

rows! {
    /// Texts of commands of one kind.
    fn commands(table, row: (&[u8], u8), bit) { table.text(row.0, bit | kind(row.1)) }
}

rows! {
    /// Texts of words of one kind of SQL's, by what else such a word needs to count.
    fn kinds(table, row: (u8, &[u8]), always) {
        let bit = match sql_tokens::need(row.0) {
            sql_tokens::Need::Always => always,
            sql_tokens::Need::Logic => LOGIC,
            sql_tokens::Need::Like => LIKE,
            sql_tokens::Need::Call => CALL,
            sql_tokens::Need::Never => 0,
        };
        let part = match sql_tokens::role(row.0) {
            sql_tokens::Role::None => 0,
            sql_tokens::Role::Called => PART_CALL,
            sql_tokens::Role::Any => PART,
        };
        if bit | part == 0 { table } else { table.text(row.1, bit | part) }
    }
}

/// What `shell` says of a command, above all bits.
#[expect(clippy::as_conversions, reason = "widens, in a const fn")]
const fn kind(kind: u8) -> u32 {
    (kind as u32) << KIND
}

/// What `shell` says of a name of a command, 0 for any other word.
pub(super) fn command(key: Key) -> u8 {
    u8::try_from(TABLE.found(key) >> KIND).unwrap_or(0)
}

/// Whether a word is listed.
pub(super) fn knows(word: &[u8]) -> bool {
    let mut key = Key::EMPTY;
    for &letter in word {
        key.push(letter);
    }
    TABLE.found(key) != 0
}
