//! The SQL tokenizer: bytes → few token kinds, brackets and comments folded into flags.
//!
//! **In:** a value and the quote it may sit in. **Out:** tokens, in a reused list.
//! **Invariant:** every loop step takes at least one byte.
//! **Cost:** linear; a token is eight bytes.

mod list;
mod number;
mod read;
mod words;

pub(super) use list::LIST;
pub(super) use read::{Tail, tokenize};
pub(super) use words::{
    Need, Role, is_function, is_listed, is_server_name, knows, may_call, need, role, splits,
};

use super::bytes;

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
    /// A cast: `::int`.
    Cast,
    /// `CASE`.
    Case,
    /// `WHEN`.
    When,
    /// `AS`.
    As,
    /// `VALUES`.
    Values,
    /// `GRANT`, `REVOKE`.
    Grant,
    /// `COPY`, `HANDLER`, `VACUUM`, …: a statement only where one was separated.
    Verb,
    /// `BEGIN`, `IF`, `WHILE`, …: what a statement can stand behind.
    Flow,
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
            Self::Cast => b"cast",
            Self::Case => b"case",
            Self::When => b"when",
            Self::As => b"as",
            Self::Values => b"values",
            Self::Grant => b"grant",
            Self::Verb => b"verb",
            Self::Flow => b"flow",
            Self::Other => b"other",
        }
    }
}

/// Facts about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags(u16);

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
    /// A closing bracket that nothing opened stands before it.
    pub(super) const BROKEN: Self = Self(256);
    /// A function that only databases have.
    pub(super) const NATIVE: Self = Self(512);
    /// A name with the bracket of an index.
    pub(super) const INDEXED: Self = Self(2048);
    /// A prefix that ends in a blank, `=`, `:` or `[` before a quote that none follows: it opens a quoted word.
    pub(super) const QUOTES: Self = Self(1024);
}

/// A token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stages::injection) struct Token {
    /// What it is.
    pub(super) kind: Kind,
    flags: u16,
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
