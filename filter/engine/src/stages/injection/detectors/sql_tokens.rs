//! The SQL tokenizer: bytes → few token kinds, brackets and comments folded into flags.
//!
//! **In:** a value and the quote it may sit in. **Out:** tokens, in a reused list.
//! **Invariant:** every loop step takes at least one byte.
//! **Cost:** linear; a token is eight bytes.

use alloc::vec::Vec;

use super::bytes::{byte, is_space, is_word, rest, skip_space, tally};
use super::words::{Key, Words};

/// What a token is to the patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Past the last token.
    End,
    /// What precedes the quote that closes the surrounding literal.
    Prefix,
    /// A closed literal.
    Str,
    /// A literal that the value leaves open.
    StrOpen,
    /// A number.
    Num,
    /// `NULL`, `TRUE`, `FALSE`.
    Lit,
    /// `@x`.
    Var,
    /// `@@x`.
    SysVar,
    /// Any other word.
    Word,
    /// A call that only attacks make.
    Danger,
    /// A call that delays: its arguments decide.
    Timed,
    /// A call of an SQL function.
    Func,
    /// `AND`, `OR`, `XOR`, `&&`, `||`.
    Logic,
    /// An operator.
    Op,
    /// `LIKE`, `REGEXP`, `BETWEEN`, `IN`, `IS`.
    Like,
    /// `NOT`, `!`.
    Not,
    /// `,`
    Comma,
    /// `;`
    Semi,
    /// A comment to the end of the line, or one left open.
    Comment,
    /// `UNION`, `INTERSECT`, `EXCEPT`.
    Union,
    /// `SELECT`.
    Select,
    /// `ALL`, `DISTINCT`, `ANY`, `SOME`, `TOP`.
    All,
    /// `FROM`.
    From,
    /// `WHERE`.
    Where,
    /// `INTO`.
    Into,
    /// `OUTFILE`, `DUMPFILE`.
    Outfile,
    /// `ORDER BY`, `GROUP BY`.
    Order,
    /// `HAVING`.
    Having,
    /// `LIMIT`, `OFFSET`.
    Limit,
    /// `DROP`, `CREATE`, `ALTER`, `TRUNCATE`, `RENAME`.
    Ddl,
    /// `TABLE`, `DATABASE`, `USER`, …
    Object,
    /// `INSERT`, `REPLACE`.
    Insert,
    /// `UPDATE`.
    Update,
    /// `DELETE`.
    Delete,
    /// `SET`.
    Set,
    /// `EXEC`, `EXECUTE`, `CALL`.
    Exec,
    /// `DECLARE`.
    Declare,
    /// `WAITFOR`.
    Waitfor,
    /// `DELAY`.
    Delay,
    /// `SHUTDOWN`.
    Shutdown,
    /// `EXISTS`.
    Exists,
    /// A name of the system catalogues.
    Schema,
    /// `BY`; folded into [`Kind::Order`].
    By,
    /// A byte SQL has no use for: ends every pattern.
    Other,
}

impl Kind {
    /// Name in traces.
    pub(super) const fn name(self) -> &'static [u8] {
        match self {
            Self::End => b"end",
            Self::Prefix => b"before-quote",
            Self::Str => b"string",
            Self::StrOpen => b"open-string",
            Self::Num => b"number",
            Self::Lit => b"literal",
            Self::Var => b"variable",
            Self::SysVar => b"system-variable",
            Self::Word => b"word",
            Self::Danger => b"attack-call",
            Self::Timed => b"delay-call",
            Self::Func => b"call",
            Self::Logic => b"logic",
            Self::Op => b"operator",
            Self::Like => b"like",
            Self::Not => b"not",
            Self::Comma => b"comma",
            Self::Semi => b"semi",
            Self::Comment => b"comment",
            Self::Union => b"union",
            Self::Select => b"select",
            Self::All => b"all",
            Self::From => b"from",
            Self::Where => b"where",
            Self::Into => b"into",
            Self::Outfile => b"outfile",
            Self::Order => b"order",
            Self::Having => b"having",
            Self::Limit => b"limit",
            Self::Ddl => b"ddl",
            Self::Object => b"object",
            Self::Insert => b"insert",
            Self::Update => b"update",
            Self::Delete => b"delete",
            Self::Set => b"set",
            Self::Exec => b"exec",
            Self::Declare => b"declare",
            Self::Waitfor => b"waitfor",
            Self::Delay => b"delay",
            Self::Shutdown => b"shutdown",
            Self::Exists => b"exists",
            Self::Schema => b"schema",
            Self::By => b"by",
            Self::Other => b"other",
        }
    }
}

/// Facts about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    /// An opening bracket stands before it.
    pub(super) const OPEN: Self = Self(1);
    /// A closing bracket stands before it.
    pub(super) const CLOSED: Self = Self(2);
    /// A comment stands before it.
    pub(super) const COMMENTED: Self = Self(4);
    /// A literal or comment without content.
    pub(super) const EMPTY: Self = Self(8);
    /// An operator that compares.
    pub(super) const COMPARES: Self = Self(8);
    /// A name with its bracket: a call.
    pub(super) const CALLED: Self = Self(8);
    /// A prefix without blanks; a logic operator as a symbol.
    pub(super) const SHORT: Self = Self(16);
    /// `&&` or `||` rather than a word.
    pub(super) const SYMBOL: Self = Self(16);
    /// A blank between a name and its bracket.
    pub(super) const SPACED: Self = Self(32);
    /// A prefix of punctuation alone.
    pub(super) const ODD: Self = Self(32);
    /// A `--` comment.
    pub(super) const DASHES: Self = Self(64);
    /// A stored procedure's name (`xp_`, `sp_`).
    pub(super) const PROC: Self = Self(128);
}

/// A token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stages::injection) struct Token {
    /// What it is.
    pub(super) kind: Kind,
    flags: u8,
    at: u32,
}

impl Token {
    /// Whether a flag is set.
    pub(super) const fn has(self, flag: Flags) -> bool {
        self.flags & flag.0 != 0
    }

    /// Where it starts.
    pub(super) fn at(self) -> usize {
        usize::try_from(self.at).unwrap_or(0)
    }
}

const W_LOGIC: u8 = 1;
const W_UNION: u8 = 2;
const W_SELECT: u8 = 3;
const W_ALL: u8 = 4;
const W_FROM: u8 = 5;
const W_WHERE: u8 = 6;
const W_INTO: u8 = 7;
const W_OUTFILE: u8 = 8;
const W_ORDER: u8 = 9;
const W_BY: u8 = 10;
const W_HAVING: u8 = 11;
const W_LIMIT: u8 = 12;
const W_DDL: u8 = 13;
const W_OBJECT: u8 = 14;
const W_INSERT: u8 = 15;
const W_UPDATE: u8 = 16;
const W_DELETE: u8 = 17;
const W_SET: u8 = 18;
const W_EXEC: u8 = 19;
const W_DECLARE: u8 = 20;
const W_WAITFOR: u8 = 21;
const W_DELAY: u8 = 22;
const W_SHUTDOWN: u8 = 23;
const W_EXISTS: u8 = 24;
const W_SCHEMA: u8 = 25;
const W_LIKE: u8 = 26;
const W_NOT: u8 = 27;
const W_LIT: u8 = 28;
const W_DANGER: u8 = 29;
const W_TIMED: u8 = 30;
const W_FUNC: u8 = 31;
const W_DIV: u8 = 32;

pub(super) const LIST: &[(&[u8], u8)] = &[
    (b"and", W_LOGIC),
    (b"or", W_LOGIC),
    (b"xor", W_LOGIC),
    (b"union", W_UNION),
    (b"intersect", W_UNION),
    (b"except", W_UNION),
    (b"select", W_SELECT),
    (b"all", W_ALL),
    (b"distinct", W_ALL),
    (b"distinctrow", W_ALL),
    (b"any", W_ALL),
    (b"some", W_ALL),
    (b"top", W_ALL),
    (b"from", W_FROM),
    (b"where", W_WHERE),
    (b"into", W_INTO),
    (b"outfile", W_OUTFILE),
    (b"dumpfile", W_OUTFILE),
    (b"order", W_ORDER),
    (b"group", W_ORDER),
    (b"by", W_BY),
    (b"having", W_HAVING),
    (b"limit", W_LIMIT),
    (b"offset", W_LIMIT),
    (b"drop", W_DDL),
    (b"create", W_DDL),
    (b"alter", W_DDL),
    (b"truncate", W_DDL),
    (b"rename", W_DDL),
    (b"table", W_OBJECT),
    (b"database", W_OBJECT),
    (b"user", W_OBJECT),
    (b"view", W_OBJECT),
    (b"procedure", W_OBJECT),
    (b"function", W_OBJECT),
    (b"trigger", W_OBJECT),
    (b"index", W_OBJECT),
    (b"schema", W_OBJECT),
    (b"role", W_OBJECT),
    (b"login", W_OBJECT),
    (b"column", W_OBJECT),
    (b"temporary", W_OBJECT),
    (b"assembly", W_OBJECT),
    (b"extension", W_OBJECT),
    (b"insert", W_INSERT),
    (b"update", W_UPDATE),
    (b"delete", W_DELETE),
    (b"set", W_SET),
    (b"exec", W_EXEC),
    (b"execute", W_EXEC),
    (b"call", W_EXEC),
    (b"declare", W_DECLARE),
    (b"waitfor", W_WAITFOR),
    (b"delay", W_DELAY),
    (b"shutdown", W_SHUTDOWN),
    (b"exists", W_EXISTS),
    (b"information_schema", W_SCHEMA),
    (b"sysobjects", W_SCHEMA),
    (b"syscolumns", W_SCHEMA),
    (b"sysusers", W_SCHEMA),
    (b"pg_catalog", W_SCHEMA),
    (b"pg_shadow", W_SCHEMA),
    (b"pg_user", W_SCHEMA),
    (b"pg_tables", W_SCHEMA),
    (b"pg_database", W_SCHEMA),
    (b"pg_class", W_SCHEMA),
    (b"sqlite_master", W_SCHEMA),
    (b"sqlite_schema", W_SCHEMA),
    (b"all_tables", W_SCHEMA),
    (b"all_tab_columns", W_SCHEMA),
    (b"user_tables", W_SCHEMA),
    (b"user_tab_columns", W_SCHEMA),
    (b"dba_users", W_SCHEMA),
    (b"all_users", W_SCHEMA),
    (b"msysobjects", W_SCHEMA),
    (b"msysaccessobjects", W_SCHEMA),
    (b"sysdatabases", W_SCHEMA),
    (b"syslogins", W_SCHEMA),
    (b"sysprocesses", W_SCHEMA),
    (b"msysaces", W_SCHEMA),
    (b"sysservers", W_SCHEMA),
    (b"v$version", W_SCHEMA),
    (b"innodb_table_stats", W_SCHEMA),
    (b"like", W_LIKE),
    (b"rlike", W_LIKE),
    (b"regexp", W_LIKE),
    (b"between", W_LIKE),
    (b"in", W_LIKE),
    (b"is", W_LIKE),
    (b"ilike", W_LIKE),
    (b"sounds", W_LIKE),
    (b"glob", W_LIKE),
    (b"not", W_NOT),
    (b"div", W_DIV),
    (b"mod", W_DIV),
    (b"null", W_LIT),
    (b"true", W_LIT),
    (b"false", W_LIT),
    (b"benchmark", W_TIMED),
    (b"sleep", W_TIMED),
    (b"pg_sleep", W_DANGER),
    (b"load_file", W_DANGER),
    (b"extractvalue", W_DANGER),
    (b"updatexml", W_DANGER),
    (b"xp_cmdshell", W_DANGER),
    (b"xp_dirtree", W_DANGER),
    (b"xp_regread", W_DANGER),
    (b"xp_fileexist", W_DANGER),
    (b"sp_executesql", W_DANGER),
    (b"sp_password", W_DANGER),
    (b"sp_oacreate", W_DANGER),
    (b"sp_makewebtask", W_DANGER),
    (b"sp_addsrvrolemember", W_DANGER),
    (b"sp_addlogin", W_DANGER),
    (b"sp_configure", W_DANGER),
    (b"sp_msforeachtable", W_DANGER),
    (b"utl_http", W_DANGER),
    (b"utl_inaddr", W_DANGER),
    (b"dbms_pipe", W_DANGER),
    (b"dbms_lock", W_DANGER),
    (b"dbms_ldap", W_DANGER),
    (b"ctxsys", W_DANGER),
    (b"xmltype", W_FUNC),
    (b"randomblob", W_DANGER),
    (b"group_concat", W_DANGER),
    (b"concat_ws", W_DANGER),
    (b"string_agg", W_FUNC),
    (b"pg_read_file", W_DANGER),
    (b"lo_import", W_DANGER),
    (b"lo_export", W_DANGER),
    (b"sys_eval", W_DANGER),
    (b"sys_exec", W_DANGER),
    (b"load_extension", W_DANGER),
    (b"dblink", W_DANGER),
    (b"opendatasource", W_DANGER),
    (b"openrowset", W_DANGER),
    (b"make_set", W_DANGER),
    (b"gtid_subset", W_DANGER),
    (b"procedure_analyse", W_DANGER),
    (b"fn_varbintohexstr", W_DANGER),
    (b"query_to_xml", W_DANGER),
    (b"database_to_xml", W_DANGER),
    (b"unhex", W_FUNC),
    (b"concat", W_FUNC),
    (b"char", W_FUNC),
    (b"nchar", W_FUNC),
    (b"chr", W_FUNC),
    (b"ascii", W_FUNC),
    (b"ord", W_FUNC),
    (b"substring", W_FUNC),
    (b"substr", W_FUNC),
    (b"mid", W_FUNC),
    (b"hex", W_FUNC),
    (b"cast", W_FUNC),
    (b"convert", W_FUNC),
    (b"version", W_FUNC),
    (b"current_user", W_FUNC),
    (b"system_user", W_FUNC),
    (b"session_user", W_FUNC),
    (b"user_name", W_FUNC),
    (b"db_name", W_FUNC),
    (b"if", W_FUNC),
    (b"iif", W_FUNC),
    (b"ifnull", W_FUNC),
    (b"nullif", W_FUNC),
    (b"coalesce", W_FUNC),
    (b"count", W_FUNC),
    (b"length", W_FUNC),
    (b"len", W_FUNC),
    (b"md5", W_FUNC),
    (b"sha1", W_FUNC),
    (b"floor", W_FUNC),
    (b"rand", W_FUNC),
    (b"lower", W_FUNC),
    (b"upper", W_FUNC),
    (b"json_extract", W_FUNC),
    (b"json_depth", W_FUNC),
    (b"elt", W_FUNC),
    (b"bin", W_FUNC),
    (b"object_id", W_FUNC),
    (b"last_insert_id", W_FUNC),
];

static WORDS: Words<1024> = Words::new(LIST);

/// What a word needs beside it to take part in a pattern.
pub(super) enum Need {
    /// Nothing.
    Always,
    /// An operator.
    Logic,
    /// A logic word.
    Like,
    /// A bracket.
    Call,
    /// It never starts one.
    Never,
}

/// The need of a listed word.
pub(super) const fn need(word: u8) -> Need {
    match word {
        W_LOGIC => Need::Logic,
        W_LIKE => Need::Like,
        W_FUNC | W_TIMED => Need::Call,
        W_ALL | W_FROM | W_WHERE | W_BY | W_LIMIT | W_OBJECT | W_SET | W_DELAY | W_NOT | W_LIT
        | W_DIV | W_INTO | W_EXISTS => Need::Never,
        _ => Need::Always,
    }
}

fn kind_of(word: u8, calls: bool) -> Kind {
    match word {
        W_LOGIC => Kind::Logic,
        W_UNION => Kind::Union,
        W_SELECT => Kind::Select,
        W_ALL => Kind::All,
        W_FROM => Kind::From,
        W_WHERE => Kind::Where,
        W_INTO => Kind::Into,
        W_OUTFILE => Kind::Outfile,
        W_ORDER => Kind::Order,
        W_BY => Kind::By,
        W_HAVING => Kind::Having,
        W_LIMIT => Kind::Limit,
        W_DDL => Kind::Ddl,
        // `database()`, `user()`, `schema()`.
        W_OBJECT if calls => Kind::Func,
        W_OBJECT => Kind::Object,
        W_INSERT => Kind::Insert,
        W_UPDATE => Kind::Update,
        W_DELETE => Kind::Delete,
        W_SET => Kind::Set,
        W_EXEC => Kind::Exec,
        W_DECLARE => Kind::Declare,
        W_WAITFOR => Kind::Waitfor,
        W_DELAY => Kind::Delay,
        W_SHUTDOWN => Kind::Shutdown,
        W_EXISTS => Kind::Exists,
        W_SCHEMA => Kind::Schema,
        W_LIKE => Kind::Like,
        W_NOT => Kind::Not,
        W_DIV => Kind::Op,
        W_LIT => Kind::Lit,
        W_DANGER => Kind::Danger,
        W_TIMED if calls => Kind::Timed,
        W_FUNC if calls => Kind::Func,
        _ => Kind::Word,
    }
}

struct Builder<'t> {
    tokens: &'t mut Vec<Token>,
    pending: u8,
}

impl Builder<'_> {
    fn push(&mut self, kind: Kind, flags: u8, at: usize) {
        self.tokens.push(Token {
            kind,
            flags: flags | self.pending,
            at: u32::try_from(at).unwrap_or(u32::MAX),
        });
        self.pending = 0;
    }

    fn last(&self) -> Kind {
        self.tokens.last().map_or(Kind::End, |token| token.kind)
    }
}

/// Reads `value` as it would stand after an opening `context` quote (0: none).
pub(super) fn tokenize(value: &[u8], context: u8, tokens: &mut Vec<Token>) {
    tokens.clear();
    let mut builder = Builder { tokens, pending: 0 };
    let mut at = 0;
    if context != 0 {
        at = literal(value, 0, context, false).unwrap_or(value.len());
        let inside = value.get(..at.saturating_sub(1)).unwrap_or(value);
        let mut flags = 0;
        if inside.is_empty() {
            flags |= Flags::EMPTY.0;
        }
        if !inside.trim_ascii().iter().any(|&byte| is_space(byte)) {
            flags |= Flags::SHORT.0;
        }
        if !inside.trim_ascii().is_empty()
            && !inside
                .iter()
                .any(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80)
        {
            flags |= Flags::ODD.0;
        }
        builder.push(Kind::Prefix, flags, at.saturating_sub(1));
    }
    while let Some(&head) = value.get(at) {
        at = token(value, at, head, &mut builder);
    }
}

/// The position after the closing quote; `None` when it stays open. Doubled quotes and backslashes are inside.
fn literal(value: &[u8], from: usize, quote: u8, escapes: bool) -> Option<usize> {
    let mut at = from;
    while let Some(&head) = value.get(at) {
        if escapes && head == b'\\' {
            at = at.saturating_add(2);
        } else if head == quote {
            let next = at.saturating_add(1);
            if byte(value, next) != quote {
                return Some(next);
            }
            at = at.saturating_add(2);
        } else {
            at = at.saturating_add(1);
        }
    }
    None
}

fn line_end(value: &[u8], at: usize) -> usize {
    rest(value, at)
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(value.len(), |step| at.saturating_add(step))
}

fn blank_until(value: &[u8], from: usize, to: usize) -> u8 {
    let inside = value.get(from..to).unwrap_or(&[]);
    // A few letters after the dashes are part of the trick (`--+`, `-- -`, `--x`).
    let words = tally(inside.iter().filter(|byte| byte.is_ascii_alphanumeric()));
    if words <= 3 { Flags::EMPTY.0 } else { 0 }
}

fn token(value: &[u8], at: usize, head: u8, builder: &mut Builder<'_>) -> usize {
    let next = byte(value, at.saturating_add(1));
    let one = at.saturating_add(1);
    let two = at.saturating_add(2);
    match head {
        _ if is_space(head) || head == 0 || head == 0xA0 => return skip_space(value, one),
        b'0'..=b'9' => return number(value, at, builder),
        b'.' if next.is_ascii_digit() && builder.last() != Kind::Word => {
            return number(value, at, builder);
        }
        b'.' => {}
        _ if is_word(head) || head == b'$' && is_word(next) => return word(value, at, builder),
        b'\'' | b'"' => {
            let end = literal(value, one, head, true);
            let close = end.unwrap_or(value.len());
            let empty = match end {
                Some(close) => close == two,
                None => one >= value.len(),
            };
            let flags = if empty { Flags::EMPTY.0 } else { 0 };
            let kind = if end.is_some() {
                Kind::Str
            } else {
                Kind::StrOpen
            };
            builder.push(kind, flags, at);
            return close;
        }
        b'`' => {
            let close = rest(value, one).iter().position(|&byte| byte == b'`');
            builder.push(Kind::Word, 0, at);
            return close.map_or(one, |step| two.saturating_add(step));
        }
        b'[' => {
            // SQL Server's [name]; anything longer than a name is no name.
            let close = tally(
                rest(value, one)
                    .iter()
                    .take(64)
                    .take_while(|&&byte| is_word(byte) || byte == b' '),
            );
            let end = one.saturating_add(close);
            if close > 0 && byte(value, end) == b']' {
                builder.push(Kind::Word, 0, at);
                return end.saturating_add(1);
            }
            builder.push(Kind::Other, 0, at);
        }
        b'-' if next == b'-' => {
            let end = line_end(value, two);
            builder.push(
                Kind::Comment,
                Flags::DASHES.0 | blank_until(value, two, end),
                at,
            );
            return end;
        }
        b'#' => {
            let end = line_end(value, one);
            builder.push(Kind::Comment, blank_until(value, one, end), at);
            return end;
        }
        b'/' if next == b'*' => return block_comment(value, at, builder),
        b'*' if next == b'/' => return two,
        b'(' => builder.pending |= Flags::OPEN.0,
        b')' => builder.pending |= Flags::CLOSED.0,
        b'{' | b'}'
            if matches!(
                builder.last(),
                Kind::Op | Kind::Logic | Kind::Prefix | Kind::Select | Kind::Num
            ) => {}
        b',' => builder.push(Kind::Comma, 0, at),
        b';' => builder.push(Kind::Semi, 0, at),
        b'@' => {
            let system = next == b'@';
            let name = if system { two } else { one };
            let end = rest(value, name)
                .iter()
                .position(|&byte| !is_word(byte))
                .unwrap_or(usize::MAX);
            let end = name.saturating_add(end).min(value.len());
            // `user@host` is an address.
            let kind = match builder.last() {
                Kind::Word if at > 0 && is_word(byte(value, at.saturating_sub(1))) => Kind::Other,
                _ if end == name => Kind::Other,
                _ if system => Kind::SysVar,
                _ => Kind::Var,
            };
            builder.push(kind, 0, at);
            return end;
        }
        b'&' | b'|' if next == head => {
            builder.push(Kind::Logic, Flags::SYMBOL.0, at);
            return two;
        }
        b'+' | b'-' | b'~' if is_operator(builder.last()) => {}
        b'!' if next != b'=' && is_operator(builder.last()) => builder.push(Kind::Not, 0, at),
        b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'&' | b'|' | b'~' | b'!' | b'=' | b'<'
        | b'>' => {
            let long = matches!(
                (head, next),
                (b'<', b'=' | b'>' | b'<')
                    | (b'>', b'=' | b'>')
                    | (b'!', b'=' | b'<' | b'>')
                    | (b'=', b'=')
                    | (b':', b'=')
            );
            let flags = if matches!(head, b'=' | b'<' | b'>' | b'!') {
                Flags::COMPARES.0
            } else {
                0
            };
            builder.push(Kind::Op, flags, at);
            return if long { two } else { one };
        }
        b':' if next == b':' || next == b'=' => {
            builder.push(Kind::Op, 0, at);
            return two;
        }
        _ => builder.push(Kind::Other, 0, at),
    }
    one
}

/// Kinds after which `+`, `-`, `!`, `~` are signs.
const fn is_operator(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Op
            | Kind::Logic
            | Kind::Comma
            | Kind::Select
            | Kind::Like
            | Kind::Not
            | Kind::All
            | Kind::Order
            | Kind::End
    )
}

/// `/*…*/` is a blank, `/*!50000…*/` is code, `/*…` cuts off the rest.
fn block_comment(value: &[u8], at: usize, builder: &mut Builder<'_>) -> usize {
    let inside = at.saturating_add(2);
    builder.pending |= Flags::COMMENTED.0;
    if byte(value, inside) == b'!'
        || (byte(value, inside) == b'M' && byte(value, inside.saturating_add(1)) == b'!')
    {
        let digits = tally(
            rest(value, inside)
                .iter()
                .take(7)
                .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'!' | b'M')),
        );
        return inside.saturating_add(digits.max(1));
    }
    let close = rest(value, inside)
        .windows(2)
        .position(|pair| pair == b"*/");
    match close {
        Some(step) => inside.saturating_add(step).saturating_add(2),
        None => {
            builder.push(Kind::Comment, blank_until(value, inside, value.len()), at);
            value.len()
        }
    }
}

/// Numbers: `1`, `1.5e3`, `0x1F`, `1e1`; a number that runs into letters is a word.
fn number(value: &[u8], at: usize, builder: &mut Builder<'_>) -> usize {
    let hex = byte(value, at) == b'0'
        && matches!(byte(value, at.saturating_add(1)), b'x' | b'X' | b'b' | b'B');
    let body = if hex { at.saturating_add(2) } else { at };
    let mut end = body;
    let mut exponent = false;
    let mut dots = 0_u8;
    while let Some(&digit) = value.get(end) {
        let belongs = if hex {
            digit.is_ascii_hexdigit()
        } else if digit.is_ascii_digit() || digit == b'.' {
            dots = dots.saturating_add(u8::from(digit == b'.'));
            true
        } else if matches!(digit, b'e' | b'E') && !exponent && {
            let after = byte(value, end.saturating_add(1));
            after.is_ascii_digit()
                || (matches!(after, b'+' | b'-')
                    && byte(value, end.saturating_add(2)).is_ascii_digit())
        } {
            exponent = true;
            end = end.saturating_add(1);
            true
        } else {
            false
        };
        if !belongs {
            break;
        }
        end = end.saturating_add(1);
    }
    if is_word(byte(value, end)) {
        // `1union`, `1or` split where a keyword starts; `5th` stays a word.
        let (kind, _, stop) = read_word(value, end);
        if !hex
            && matches!(
                kind,
                Kind::Logic | Kind::Union | Kind::Order | Kind::Having | Kind::From | Kind::Like
            )
        {
            builder.push(Kind::Num, 0, at);
            return end;
        }
        builder.push(Kind::Word, 0, at);
        return stop;
    }
    // A version or an address is no number.
    builder.push(if dots > 1 { Kind::Word } else { Kind::Num }, 0, at);
    end.max(at.saturating_add(1))
}

fn read_word(value: &[u8], at: usize) -> (Kind, u8, usize) {
    let mut key = Key::EMPTY;
    let mut length = 0_usize;
    for &letter in rest(value, at) {
        if !is_word(letter) && letter != b'$' {
            break;
        }
        if length < 31 {
            key.push(letter);
        }
        length = length.saturating_add(1);
    }
    let end = at.saturating_add(length);
    if length > 24 {
        return (Kind::Word, 0, end);
    }
    let found = WORDS.kind(key);
    let mut flags = 0;
    let mut calls = false;
    if found == 0 || matches!(found, W_FUNC | W_TIMED | W_OBJECT | W_DANGER) {
        let bracket = skip_space(value, end);
        calls = byte(value, bracket) == b'('
            || (bracket == end
                && byte(value, bracket) == b'/'
                && byte(value, bracket.saturating_add(1)) == b'*');
        if calls {
            flags = if bracket > end {
                Flags::SPACED.0
            } else {
                Flags::CALLED.0
            };
        }
    }
    if super::bytes::has_at(value, at, b"xp_") || super::bytes::has_at(value, at, b"sp_") {
        flags |= Flags::PROC.0;
    }
    (kind_of(found, calls), flags, end)
}

fn word(value: &[u8], at: usize, builder: &mut Builder<'_>) -> usize {
    let (kind, flags, end) = read_word(value, at);
    match kind {
        // A quoted national or hex string: N'…', X'…'.
        Kind::Word
            if end == at.saturating_add(1)
                && byte(value, end) == b'\''
                && matches!(byte(value, at) | 0x20, b'n' | b'x' | b'b' | b'e')
                && builder.last() != Kind::End =>
        {
            return end;
        }
        Kind::By if builder.last() == Kind::Order => return end,
        Kind::Order => {
            // Only `ORDER BY`; a word otherwise.
            let (next, _, _) = read_word(value, skip_space(value, end));
            let by = next == Kind::By || byte(value, end) == b'/';
            builder.push(if by { Kind::Order } else { Kind::Word }, flags, at);
            return end;
        }
        Kind::By => builder.push(Kind::Word, flags, at),
        // `a.b` is one name: the last part decides.
        _ if at > 0
            && byte(value, at.saturating_sub(1)) == b'.'
            && builder.last() == Kind::Word =>
        {
            if kind != Kind::Word {
                builder.push(kind, flags, at);
            }
        }
        _ => builder.push(kind, flags, at),
    }
    end
}
