//! Expressions of template engines: what calls, computes or walks in them.
//!
//! **In:** the bytes behind an opening delimiter. **Out:** the [`Shape`] of the expression, and where it ends.
//! **Invariant:** an expression ends at its delimiter, at the next opening one, or after [`REACH`] bytes; no byte is read for two expressions.
//! **Source:** grammars of Jinja2, Twig, FreeMarker, Velocity, Mako, Smarty, ERB, Pug, Handlebars, Thymeleaf, SpEL, OGNL, Jakarta EL, Razor.
//! **Cost:** one pass over the expression; a look-up a word.

use super::bytes::{byte, contains, has_at, is_space, part, rest};
use super::code;
use super::words::Words;

/// Longest expression that is read.
const REACH: usize = 1024;
/// Longest string literal that is looked for.
const STRING: usize = 256;

/// A name that reaches the interpreter from any object.
const WALK: u8 = 1;
/// A call that runs or reads something.
const RUN: u8 = 2;
/// An object that engines put into every template.
const OBJECT: u8 = 3;
/// The same in expression languages of Java.
const SCOPE: u8 = 4;
/// A filter that calls what it is given.
const FILTER: u8 = 5;
/// A condition or an output.
const TEST: u8 = 6;
/// A literal, or an operator in letters.
const LITERAL: u8 = 7;
/// First name of a Java package.
const PACKAGE: u8 = 8;
/// A call that shows what is there.
const SHOW: u8 = 9;
/// Loads another template or module.
const LOAD: u8 = 10;
/// `T`, `new`: a class follows.
const TYPE: u8 = 11;
/// A class that reads files or starts processes.
const READ: u8 = 12;
/// What makes an object: calls code when called.
const MAKE: u8 = 13;
/// The engine's own variable, by whose members it tells what it is.
const OWN: u8 = 14;
/// A member that tells secrets of the program.
const TELL: u8 = 15;
/// `class`: as [`SCOPE`], and a word.
const CLASS: u8 = 17;
/// A filter of Liquid's that computes.
const COUNT: u8 = 16;
/// Any other word.
const PLAIN: u8 = 0x40;

static NAMES: Words<1024> = Words::new(&[
    (b"__class__", WALK),
    (b"__mro__", WALK),
    (b"__base__", WALK),
    (b"__bases__", WALK),
    (b"__subclasses__", WALK),
    (b"__globals__", WALK),
    (b"__builtins__", WALK),
    (b"__init__", WALK),
    (b"__import__", WALK),
    (b"__getattribute__", WALK),
    (b"__getitem__", WALK),
    (b"__dict__", WALK),
    (b"__code__", WALK),
    (b"__self__", WALK),
    (b"__loader__", WALK),
    (b"__module__", WALK),
    (b"__reduce__", WALK),
    (b"__reduce_ex__", WALK),
    (b"__call__", WALK),
    (b"__file__", WALK),
    (b"__func__", WALK),
    (b"__closure__", WALK),
    (b"__proto__", WALK),
    (b"__definegetter__", WALK),
    (b"__lookupgetter__", WALK),
    (b"_templatereference__context", WALK),
    (b"constructor", MAKE),
    (b"func_globals", WALK),
    (b"gi_frame", WALK),
    (b"f_globals", WALK),
    (b"f_builtins", WALK),
    (b"mro", WALK),
    (b"subclasses", WALK),
    (b"mainmodule", WALK),
    (b"classloader", WALK),
    (b"protectiondomain", WALK),
    (b"_memberaccess", WALK),
    (b"registerundefinedfiltercallback", WALK),
    (b"getfilter", WALK),
    (b"setcache", WALK),
    (b"loadtemplate", WALK),
    (b"smarty_internal_write_file", WALK),
    (b"getstreamvariable", WALK),
    (b"template_object", WALK),
    (b"system", RUN),
    (b"popen", RUN),
    (b"exec", RUN),
    (b"eval", RUN),
    (b"execute", RUN),
    (b"executeglobal", RUN),
    (b"passthru", RUN),
    (b"shell_exec", RUN),
    (b"proc_open", RUN),
    (b"pcntl_exec", RUN),
    (b"phpinfo", RUN),
    (b"file_get_contents", RUN),
    (b"file_put_contents", RUN),
    (b"fopen", RUN),
    (b"readfile", RUN),
    (b"show_source", RUN),
    (b"highlight_file", RUN),
    (b"call_user_func", RUN),
    (b"create_function", RUN),
    (b"assert", RUN),
    (b"spawn", RUN),
    (b"execsync", RUN),
    (b"spawnsync", RUN),
    (b"execfile", RUN),
    (b"getruntime", RUN),
    (b"processbuilder", RUN),
    (b"getclass", RUN),
    (b"forname", RUN),
    (b"getmethod", RUN),
    (b"getdeclaredmethod", RUN),
    (b"getdeclaredmethods", RUN),
    (b"getdeclaredconstructors", RUN),
    (b"newinstance", RUN),
    (b"getenginebyname", RUN),
    (b"getenginebyextension", RUN),
    (b"getsystemclassloader", RUN),
    (b"getprotectiondomain", RUN),
    (b"loadclass", RUN),
    (b"getenv", RUN),
    (b"urlclassloader", RUN),
    (b"scriptenginemanager", RUN),
    (b"require", RUN),
    (b"instance_eval", RUN),
    (b"class_eval", RUN),
    (b"instance_variable_get", RUN),
    (b"source_file_excerpt", RUN),
    (b"createobject", RUN),
    (b"fetchall", RUN),
    (b"getline", RUN),
    (b"writefile", RUN),
    (b"readfilesync", RUN),
    (b"writefilesync", RUN),
    (b"check_output", RUN),
    (b"config", OBJECT),
    (b"request", OBJECT),
    (b"self", OBJECT),
    (b"_self", OBJECT),
    (b"_context", OBJECT),
    (b"app", OBJECT),
    (b"cycler", OBJECT),
    (b"joiner", OBJECT),
    (b"namespace", OBJECT),
    (b"lipsum", OBJECT),
    (b"get_flashed_messages", OBJECT),
    (b"handler", OBJECT),
    (b"pagecontext", SCOPE),
    (b"applicationscope", SCOPE),
    (b"sessionscope", SCOPE),
    (b"requestscope", SCOPE),
    (b"facescontext", SCOPE),
    (b"initparam", SCOPE),
    (b"class", CLASS),
    (b"attr", FILTER),
    (b"filter", FILTER),
    (b"map", FILTER),
    (b"sort", FILTER),
    (b"reduce", FILTER),
    (b"if", TEST),
    (b"elif", TEST),
    (b"elsif", TEST),
    (b"unless", TEST),
    (b"while", TEST),
    (b"print", TEST),
    (b"puts", TEST),
    (b"true", LITERAL),
    (b"false", LITERAL),
    (b"none", LITERAL),
    (b"null", LITERAL),
    (b"nil", LITERAL),
    (b"and", LITERAL),
    (b"or", LITERAL),
    (b"not", LITERAL),
    (b"eq", LITERAL),
    (b"ne", LITERAL),
    (b"gt", LITERAL),
    (b"lt", LITERAL),
    (b"div", LITERAL),
    (b"mod", LITERAL),
    (b"java", PACKAGE),
    (b"javax", PACKAGE),
    (b"org", PACKAGE),
    (b"com", PACKAGE),
    (b"sun", PACKAGE),
    (b"freemarker", PACKAGE),
    (b"groovy", PACKAGE),
    (b"jdk", PACKAGE),
    (b"$smarty", OWN),
    (b"dump", SHOW),
    (b"debug", SHOW),
    (b"var_dump", SHOW),
    (b"print_r", SHOW),
    (b"include", LOAD),
    (b"import", LOAD),
    (b"extends", LOAD),
    (b"fetch", LOAD),
    (b"source", LOAD),
    (b"t", TYPE),
    (b"new", TYPE),
    (b"api", TYPE),
    (b"interpret", TYPE),
    (b"file", READ),
    (b"dir", READ),
    (b"io", READ),
    (b"kernel", READ),
    (b"process", READ),
    (b"os", READ),
    (b"subprocess", READ),
    (b"objectspace", READ),
    (b"environment", READ),
    (b"environ", TELL),
    (b"secret_key", TELL),
    (b"database_url", TELL),
    (b"sqlalchemy_database_uri", TELL),
    (b"aws_secret_access_key", TELL),
    (b"get_admin_log", WALK),
    (b"template_from_string", RUN),
    (b"constant", SHOW),
    (b"times", COUNT),
    (b"divided_by", COUNT),
    (b"modulo", COUNT),
    (b"plus", COUNT),
    (b"minus", COUNT),
]);

/// What an expression is made of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that an expression can do"
)]
pub(super) struct Shape {
    /// Its end was found.
    pub(super) closed: bool,
    /// Numbers and strings.
    pub(super) constants: u32,
    /// `true`, `none`, `and`, …
    literals: u32,
    /// Names that are no keywords.
    pub(super) names: u32,
    /// Kind of the first word.
    first: u8,
    /// An operator between two constants.
    pub(super) computes: bool,
    /// A constant is multiplied.
    pub(super) product: bool,
    /// Something is called.
    pub(super) calls: bool,
    /// A comma outside brackets, a statement's end, a colon.
    pub(super) lists: bool,
    /// Reaches the interpreter from an object.
    pub(super) walks: bool,
    /// Names the constructor of something.
    pub(super) constructs: bool,
    /// Runs or reads something.
    pub(super) runs: bool,
    /// An object of the engine is called or walked by an index.
    pub(super) object_used: bool,
    /// An object of a Java expression language is walked.
    pub(super) scope_used: bool,
    /// A member of a literal is called.
    pub(super) literal_called: bool,
    /// An empty literal is walked.
    pub(super) empty_walked: bool,
    /// Shows what there is.
    pub(super) shows: bool,
    /// A class that reads files or starts processes is walked.
    pub(super) reads: bool,
    /// Loads by a path that leaves the templates, or a module by name.
    pub(super) loads: bool,
    /// A package of Java is named.
    pub(super) package: bool,
    /// A string in backticks.
    pub(super) backtick: bool,
    /// A piece of a name that begins or ends with `__`.
    dunder: bool,
    /// An object of a Java expression language is named.
    scope: bool,
}

impl Shape {
    /// A test or an output of constants.
    pub(super) const fn tests(&self) -> bool {
        let constant = self.constants > 0 || self.literals > 0;
        self.closed && self.first == TEST && self.names == 0 && constant
    }

    /// An object of the engine, and no more than that.
    pub(super) const fn object(&self) -> bool {
        self.closed && self.first == OBJECT && self.names == 1 && self.constants == 0
    }

    /// An object of a Java expression language, and no more than that and a member.
    pub(super) const fn scoped(&self) -> bool {
        self.closed && self.scope && self.constants == 0 && !self.lists
    }

    /// A statement that shows what there is, and no more than that.
    pub(super) const fn debugs(&self) -> bool {
        self.closed && self.first == SHOW && self.names == 1 && self.constants == 0
    }

    /// A computation of constants.
    pub(super) const fn sum(&self) -> bool {
        self.closed && self.computes && self.names == 0 && !self.lists
    }
}

/// What stood before a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Constant,
    /// A literal without content: `''`, `[]`, `()`, `{}`.
    Empty,
    Name(u8),
    Dot,
    Pipe,
    Question,
    /// An operator behind a constant.
    Computes,
    Operator,
    Open,
    Close,
    Other,
}

/// How an expression ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// `}}`.
    Braces,
    /// `}`.
    Brace,
    /// `%}`.
    Block,
    /// `%>`.
    Percent,
    /// `>` or `]`.
    Directive,
    /// `)`.
    Bracket,
}

/// Reads an expression from `start`; returns its shape and where to go on.
pub(super) fn read(value: &[u8], start: usize, until: Until) -> (Shape, usize) {
    let mut shape = Shape::default();
    let mut before = Before::Nothing;
    let mut depth = 0_u8;
    let mut filter = false;
    let mut at = start;
    let end = start.saturating_add(REACH).min(value.len());
    while at < end {
        let head = byte(value, at);
        let next = byte(value, at.saturating_add(1));
        if ends(until, head, next, depth) {
            shape.closed = true;
            at = at.saturating_add(
                if matches!(until, Until::Brace | Until::Directive | Until::Bracket) {
                    1
                } else {
                    2
                },
            );
            break;
        }
        if at > start && opens(head, next) {
            break;
        }
        if is_space(head) {
            at = at.saturating_add(1);
            continue;
        }
        if head.is_ascii_digit() {
            at = number(value, at);
            shape.constants = shape.constants.saturating_add(1);
            shape.computes |= before == Before::Computes;
            before = Before::Constant;
            continue;
        }
        if matches!(head, b'"' | b'\'' | b'`')
            && let Some(length) = string(value, at)
        {
            let text = rest(value, at.saturating_add(1))
                .get(..length)
                .unwrap_or(&[]);
            shape.constants = shape.constants.saturating_add(1);
            shape.computes |= before == Before::Computes;
            shape.backtick |= head == b'`' && !text.is_empty();
            literal(text, filter, &mut shape);
            let piece = text.len() > 2 && (text.starts_with(b"__") != text.ends_with(b"__"));
            shape.dunder |= piece;
            if let Before::Name(RUN) = before {
                shape.runs = true;
            }
            before = if text.is_empty() {
                Before::Empty
            } else {
                Before::Constant
            };
            at = at.saturating_add(length).saturating_add(2);
            continue;
        }
        if head.is_ascii_alphabetic() || matches!(head, b'_' | b'$') || head >= 0x80 {
            let (kind, after) = word(value, at);
            let called = {
                let open = skip_blank(value, after);
                byte(value, open) == b'(' || (byte(value, open) == b'`')
            };
            let member = matches!(byte(value, after), b'.' | b'[' | b'|');
            // `{campaign|require id}`: a statement of PHP's, which no filter is.
            let kind = if before == Before::Pipe && !called && has_at(value, at, b"require") {
                0
            } else {
                kind
            };
            name(kind, before, called, member, &mut shape);
            filter = kind == FILTER && before == Before::Pipe && called;
            // `attr` reaches any attribute; nothing harmless needs it.
            shape.walks |= filter && has_at(value, at, b"attr");
            if before == Before::Question && kind == TYPE {
                shape.runs = true;
            }
            if kind == TYPE && called && byte(value, at) == b'T' {
                let argument = skip_blank(value, skip_blank(value, after).saturating_add(1));
                shape.package |= byte(value, argument).is_ascii_alphabetic();
            }
            before = if kind == LITERAL {
                Before::Other
            } else {
                Before::Name(kind)
            };
            at = after;
            continue;
        }
        before = match head {
            b'.' => {
                shape.empty_walked |= before == Before::Empty && next.is_ascii_alphabetic();
                if matches!(before, Before::Constant | Before::Empty) {
                    let (_, after) = word(value, at.saturating_add(1));
                    shape.literal_called |=
                        after > at.saturating_add(2) && byte(value, after) == b'(';
                }
                Before::Dot
            }
            b'|' if next != b'|' => Before::Pipe,
            b'?' if before != Before::Nothing => Before::Question,
            b'+' | b'*' | b'/' | b'%' | b'-' | b'~' | b'=' | b'<' | b'>' | b'^' | b'&' | b'!' => {
                if matches!(before, Before::Constant | Before::Empty | Before::Computes)
                    && head != b'!'
                {
                    shape.product |= head == b'*' && before == Before::Constant;
                    Before::Computes
                } else {
                    Before::Operator
                }
            }
            b'(' | b'[' | b'{' => {
                depth = depth.saturating_add(1);
                if matches!(before, Before::Name(_) | Before::Close) && head == b'(' {
                    shape.calls = true;
                }
                let close = skip_blank(value, at.saturating_add(1));
                let empty = matches!((head, byte(value, close)), (b'(', b')') | (b'[', b']'));
                if empty
                    && matches!(
                        before,
                        Before::Nothing
                            | Before::Open
                            | Before::Operator
                            | Before::Other
                            | Before::Name(TEST)
                    )
                {
                    depth = depth.saturating_sub(1);
                    at = close;
                    Before::Empty
                } else if head == b'(' && before == Before::Computes {
                    Before::Computes
                } else {
                    Before::Open
                }
            }
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if before == Before::Constant {
                    Before::Constant
                } else {
                    Before::Close
                }
            }
            b':' if next == b':' => {
                at = at.saturating_add(1);
                Before::Dot
            }
            b',' | b';' | b':' | b'\\' => {
                shape.lists |= depth == 0 || head == b'\\';
                Before::Other
            }
            _ => Before::Other,
        };
        at = at.saturating_add(1);
    }
    // `['__cl'+'ass__']`: a name in pieces.
    shape.walks |= shape.dunder && shape.computes;
    (shape, at.max(start))
}

/// Whether two bytes end an expression.
const fn ends(until: Until, head: u8, next: u8, depth: u8) -> bool {
    match until {
        Until::Braces => head == b'}' && next == b'}',
        Until::Brace => head == b'}' && depth == 0,
        Until::Block => head == b'%' && next == b'}',
        Until::Percent => head == b'%' && next == b'>',
        Until::Directive => matches!(head, b'>' | b']') && depth == 0,
        Until::Bracket => head == b')' && depth == 0,
    }
}

/// Whether two bytes open another expression.
pub(super) const fn opens(head: u8, next: u8) -> bool {
    matches!(
        (head, next),
        (b'{', b'{' | b'%') | (b'<', b'%') | (b'$' | b'#', b'{')
    )
}

fn skip_blank(value: &[u8], at: usize) -> usize {
    let mut next = at;
    while is_space(byte(value, next)) && next < at.saturating_add(8) {
        next = next.saturating_add(1);
    }
    next
}

fn number(value: &[u8], at: usize) -> usize {
    let mut next = at;
    while byte(value, next).is_ascii_alphanumeric()
        || (byte(value, next) == b'.' && byte(value, next.saturating_add(1)).is_ascii_digit())
    {
        next = next.saturating_add(1);
    }
    next
}

/// Length of the content of the string that starts at `at`.
fn string(value: &[u8], at: usize) -> Option<usize> {
    let quote = byte(value, at);
    part(value, at.saturating_add(1), STRING)
        .iter()
        .position(|&byte| byte == quote)
}

/// Reads a word; its kind, and where it ends.
fn word(value: &[u8], at: usize) -> (u8, usize) {
    let (next, key) = code::word(value, at);
    (NAMES.kind(key), next)
}

fn name(kind: u8, before: Before, called: bool, member: bool, shape: &mut Shape) {
    let top = !matches!(before, Before::Dot | Before::Pipe);
    let opening = shape.first == 0;
    if opening {
        shape.first = if kind == 0 { PLAIN } else { kind };
    }
    match kind {
        WALK => shape.walks = true,
        MAKE => {
            shape.constructs = true;
            shape.walks |= called;
        }
        RUN if called || before == Before::Pipe => shape.runs = true,
        TELL if before == Before::Dot => shape.shows = true,
        OBJECT if top => shape.object_used |= member,
        CLASS if top => shape.scope_used |= member,
        SCOPE if top => {
            shape.scope_used |= member;
            shape.scope |= opening && !called;
        }
        // `{{ 7 | times: 7 }}`
        COUNT if before == Before::Pipe && shape.names == 0 && shape.constants > 0 => {
            shape.shows = true;
        }
        LITERAL => {
            shape.literals = shape.literals.saturating_add(1);
            return;
        }
        TEST => return,
        PACKAGE if top && member => shape.package = true,
        SHOW if called && top => shape.shows = true,
        OWN => shape.shows |= member,
        READ if top && member => shape.reads = true,
        _ => {}
    }
    match before {
        // `eval request(…)`.
        Before::Name(RUN) => shape.runs |= called,
        // A module by its name; templates are strings.
        Before::Name(LOAD) => shape.loads |= kind == READ && !member,
        _ => {}
    }
    shape.names = shape.names.saturating_add(1);
}

/// What a string says: names of calls for filters, names of attributes, paths.
fn literal(text: &[u8], filter: bool, shape: &mut Shape) {
    if shape.first == LOAD {
        shape.loads |= byte(text, 0) == b'/' || contains(text, b"..") || contains(text, b"://");
        shape.loads |= contains(text, b".php");
    }
    let mut at = 0;
    while at < text.len() {
        let (kind, after) = word(text, at);
        match kind {
            WALK if byte(text, at) == b'_' => shape.walks = true,
            RUN if filter => shape.runs = true,
            PACKAGE if has_at(text, at, b"freemarker.template") => shape.runs = true,
            _ => {}
        }
        at = after.max(at.saturating_add(1));
    }
}
