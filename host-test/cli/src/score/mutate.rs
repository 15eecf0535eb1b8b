//! Ways to write one value differently, so that what reads it in the end sees the same.
//!
//! **In:** a value, chance. **Out:** another spelling; `None`: the mutation makes nothing of it.
//! **Invariant:** a mutation keeps what the value does in the language of its classes: case where case does not count, blanks where any
//! blank will do, encodings that an application undoes. The same seed makes the same mutants.

use base64ct::{Base64, Encoding};

use super::place::encode;

/// A mutation.
#[derive(Debug)]
pub struct Mutation {
    /// Its name.
    pub name: &'static str,
    /// Classes it fits; empty: all.
    classes: &'static [&'static str],
    /// Honest software does it too: a benign value stays benign under it.
    pub honest: bool,
    /// Makes it.
    pub make: fn(&str, &mut Random) -> Option<String>,
}

impl Mutation {
    /// Whether it fits a class.
    #[must_use]
    pub fn fits(&self, class: &str) -> bool {
        self.classes.is_empty() || self.classes.contains(&class)
    }
}

/// All mutations.
pub const MUTATIONS: &[Mutation] = &[
    of("case", &["sqli", "php", "ssrf", "rfi"], case),
    of("tag case", &["xss"], tag_case),
    of("tag blanks", &["xss", "xxe"], tag_blanks),
    of("script escapes", &["xss", "node"], script_escape),
    of("comments", &["sqli"], sql_comments),
    of("comments in code", &["php", "java", "node"], code_comments),
    of("blanks", &["sqli", "xpath"], sql_blanks),
    of(
        "blanks in code",
        &["php", "java", "node", "ssti"],
        code_blanks,
    ),
    of("blanks of the shell", &["shell"], shell_blanks),
    of("quotes of the shell", &["shell"], shell_quotes),
    of("slashes", &["traversal"], slashes),
    of("dot segments", &["traversal"], dot_segments),
    of("overlong", &["traversal"], overlong),
    of("addresses", &["ssrf", "rfi"], addresses),
    of("nested look-ups", &["jndi"], nested_lookups),
    honest("padding", padding),
    honest("encoded twice", encoded_twice),
    honest("entities", entities),
    honest("unicode escapes", unicode_escapes),
    of(
        "percent u",
        &["sqli", "xss", "traversal", "shell"],
        percent_u,
    ),
    honest("json escapes", as_it_is),
    of("base64", &[], base64),
];

const fn of(
    name: &'static str,
    classes: &'static [&'static str],
    make: fn(&str, &mut Random) -> Option<String>,
) -> Mutation {
    Mutation {
        name,
        classes,
        honest: false,
        make,
    }
}

const fn honest(name: &'static str, make: fn(&str, &mut Random) -> Option<String>) -> Mutation {
    Mutation {
        name,
        classes: &[],
        honest: true,
        make,
    }
}

/// Chance that can be had again (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Chance of a seed, for a purpose.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut state = seed ^ 0x9E37_79B9_7F4A_7C15;
        for byte in purpose.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        Self(state)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `count`; 0 for 0.
    pub fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap_or(1).max(1);
        usize::try_from(self.number() % count).unwrap_or(0)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let at = self.below(of.len());
        of.get(at).copied().unwrap_or_default()
    }

    /// In any order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let at = self.below(last + 1);
            list.swap(at, last);
        }
    }
}

/// `text` if it is not what it was made from.
fn changed(text: String, from: &str) -> Option<String> {
    (text != from).then_some(text)
}

fn flip(text: &str, random: &mut Random) -> String {
    let one = |one: char| {
        if random.below(2) == 0 {
            one.to_ascii_uppercase()
        } else {
            one.to_ascii_lowercase()
        }
    };
    text.chars().map(one).collect()
}

/// Letters outside of quotes: a quoted text may be compared byte by byte. A name of a host or scheme counts without case; a path does not.
fn case(value: &str, random: &mut Random) -> Option<String> {
    if let Some((scheme, rest)) = value.split_once("://") {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let text = format!("{}://{}{path}", flip(scheme, random), flip(host, random));
        return changed(text, value);
    }
    changed(flip(value, random), value)
}

/// Names of tags and of handlers.
fn tag_case(value: &str, random: &mut Random) -> Option<String> {
    let mut out = String::new();
    let mut name = false;
    for one in value.chars() {
        if name && one.is_ascii_alphabetic() {
            out.push_str(&flip(&one.to_string(), random));
            continue;
        }
        name = one == '<' || (name && one == '/');
        out.push(one);
    }
    changed(out, value)
}

/// Blanks between a tag's name and its attributes.
fn tag_blanks(value: &str, random: &mut Random) -> Option<String> {
    let mut out = String::new();
    let (mut inside, mut quoted) = (false, None);
    for one in value.chars() {
        match (one, quoted) {
            ('<', None) => inside = true,
            ('>', None) => inside = false,
            ('"' | '\'', None) if inside => quoted = Some(one),
            (one, Some(open)) if one == open => quoted = None,
            _ => {}
        }
        if one == ' ' && inside && quoted.is_none() {
            out.push_str(random.one(&["\n", "\t", "\r\n", "  "]));
        } else {
            out.push(one);
        }
    }
    changed(out, value)
}

/// The first letter of a call, as script may write it.
fn script_escape(value: &str, _: &mut Random) -> Option<String> {
    for name in ["alert", "prompt", "confirm", "eval", "fetch"] {
        if let Some(at) = value.find(&format!("{name}(")) {
            let (before, after) = value.split_at(at);
            let first = after.chars().next()?;
            let rest = after.get(1..)?;
            return Some(format!("{before}\\u{:04x}{rest}", u32::from(first)));
        }
    }
    None
}

/// A comment wherever a blank stood; `-- ` keeps its own.
fn sql_comments(value: &str, random: &mut Random) -> Option<String> {
    blanks(value, random, &["/**/", "/*x*/", "/*!*/"])
}

fn sql_blanks(value: &str, random: &mut Random) -> Option<String> {
    blanks(value, random, &["\t", "\n", "\r\n", "\u{c}", "  "])
}

fn blanks(value: &str, random: &mut Random, with: &[&str]) -> Option<String> {
    let mut out = String::new();
    let (mut before, mut comment) = (' ', false);
    for one in value.chars() {
        comment |= (one == '-' && before == '-') || one == '#';
        if one == ' ' && !comment && before != ' ' {
            out.push_str(random.one(with));
        } else {
            out.push(one);
        }
        before = one;
    }
    changed(out, value)
}

/// Before an opening parenthesis of a call, any comment will do.
fn code_comments(value: &str, _: &mut Random) -> Option<String> {
    // SpEL, where `T(` is, knows none.
    if value.contains("T(") {
        return None;
    }
    let at = call(value)?;
    let (before, after) = value.split_at(at);
    Some(format!("{before}/*x*/{after}"))
}

fn code_blanks(value: &str, random: &mut Random) -> Option<String> {
    let blank = random.one(&[" ", "\t", "\n"]);
    if let Some((open, rest)) = value.split_once("{{") {
        let (inner, close) = rest.split_once("}}")?;
        return Some(format!("{open}{{{{{blank}{inner}{blank}}}}}{close}"));
    }
    let at = call(value)?;
    let (before, after) = value.split_at(at);
    Some(format!("{before}{blank}{after}"))
}

/// Where the parenthesis of the first call stands.
fn call(value: &str) -> Option<usize> {
    let bytes = value.as_bytes();
    let is_name = |at: usize| {
        bytes
            .get(at)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    let mut places = value.match_indices('(').map(|(at, _)| at);
    places.find(|at| at.checked_sub(1).is_some_and(is_name))
}

/// Windows has no `$IFS`; between single quotes nothing is expanded.
fn shell_blanks(value: &str, random: &mut Random) -> Option<String> {
    if value.contains('\'') || is_windows(value) {
        return None;
    }
    let (mut out, mut word) = (String::new(), false);
    for one in value.chars() {
        // Between a command and its arguments; what follows `;` may stay.
        if one == ' ' && word {
            out.push_str(random.one(&["${IFS}", "$IFS$9", "\t", "  "]));
        } else {
            out.push(one);
        }
        word = one.is_ascii_alphanumeric() || (word && !matches!(one, ';' | '|' | '&' | '(' | '`'));
    }
    changed(out, value)
}

/// `cat` is `c''at`, and `c\at`.
fn shell_quotes(value: &str, random: &mut Random) -> Option<String> {
    if is_windows(value) || value.contains(['\'', '"']) {
        return None;
    }
    let start = value.find([';', '|', '&', '`', '('])?;
    let (word, length) = quotable(value, start)?;
    let cut = word + 1 + random.below(length - 1);
    let (before, rest) = value.split_at(cut);
    Some(format!(
        "{before}{}{rest}",
        random.one(&["''", "\"\"", "\\"])
    ))
}

/// Words that a shell knows only without quotes (POSIX 2.4, bash).
const RESERVED: &[&str] = &[
    "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in",
    "select", "then", "time", "until", "while",
];

/// The first word from `from` on that quotes do not change, and its length: no reserved word, no name of a variable or of a function.
fn quotable(value: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        let tail = value.get(at..)?;
        let word = at + tail.find(|one: char| one.is_ascii_alphanumeric() || one == '_')?;
        let after = value.get(word..)?;
        let length = after
            .find(|one: char| !(one.is_ascii_alphanumeric() || one == '_'))
            .unwrap_or(after.len());
        let text = after.get(..length)?;
        let behind = after.get(length..)?;
        let before = value.get(..word)?;
        // What is not written in small letters to its end ends there.
        let small = text
            .find(|one: char| !one.is_ascii_lowercase())
            .unwrap_or(length);
        let named = before.ends_with('$')
            || before.ends_with("${")
            || behind.starts_with('=')
            || behind.starts_with("()");
        if small >= 2 && !named && !RESERVED.contains(&text) {
            return Some((word, small));
        }
        at = word + length;
    }
}

fn is_windows(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    [
        "cmd",
        "powershell",
        "c:\\",
        "dir ",
        "type ",
        "ipconfig",
        "net ",
        "%",
        "certutil",
        ".exe",
        "iex",
        "invoke-",
        "wmic",
        "reg ",
    ]
    .iter()
    .any(|word| lower.contains(word))
}

fn slashes(value: &str, _: &mut Random) -> Option<String> {
    value.contains("../").then(|| value.replace("../", "..\\"))
}

fn dot_segments(value: &str, random: &mut Random) -> Option<String> {
    let with = random.one(&[".././", "..//", "../x/../"]);
    changed(value.replace("../", with), value)
}

/// As an application that decodes once more sees it.
fn overlong(value: &str, random: &mut Random) -> Option<String> {
    let with = random.one(&["..%c0%af", "%c0%ae%c0%ae/", "..%ef%bc%8f"]);
    changed(value.replace("../", with), value)
}

fn addresses(value: &str, random: &mut Random) -> Option<String> {
    const LOOP: [&str; 6] = [
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ];
    const LINK: [&str; 4] = [
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "[::ffff:a9fe:a9fe]",
    ];
    let (from, with) = if value.contains("://127.0.0.1") {
        ("://127.0.0.1", random.one(&LOOP))
    } else if value.contains("://localhost") {
        ("://localhost", random.one(&LOOP))
    } else {
        ("://169.254.169.254", random.one(&LINK))
    };
    changed(value.replacen(from, &format!("://{with}"), 1), value)
}

fn nested_lookups(value: &str, random: &mut Random) -> Option<String> {
    let with = random.one(&[
        "${${lower:j}ndi:",
        "${${::-j}${::-n}${::-d}${::-i}:",
        "${j${upper:n}di:",
        "${${env:NOTHING:-j}ndi:",
    ]);
    changed(value.replace("${jndi:", with), value)
}

/// A long beginning: letters before a quote, digits before a number, prose before anything that starts with a sign of its own.
fn padding(value: &str, random: &mut Random) -> Option<String> {
    let first = value.chars().next()?;
    let long = 20 + random.below(600);
    let before = match first {
        '0'..='9' => "1".repeat(long.min(12)),
        '\'' | '"' | ')' => "a".repeat(long),
        'a'..='z' | 'A'..='Z' | '/' | '.' | '\\' => return None,
        _ => "please see below ".repeat(1 + long / 17),
    };
    Some(format!("{before}{value}"))
}

fn encoded_twice(value: &str, _: &mut Random) -> Option<String> {
    changed(encode(value.as_bytes(), b"", "%20"), value)
}

fn entities(value: &str, random: &mut Random) -> Option<String> {
    let hex = random.below(2) == 0;
    let mut out = String::new();
    for one in value.chars() {
        match one {
            '<' | '>' | '"' | '\'' | '&' if hex => {
                out.push_str(&format!("&#x{:x};", u32::from(one)));
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&#39;"),
            one => out.push(one),
        }
    }
    changed(out, value)
}

/// As scripts and JSON in a text write it.
fn unicode_escapes(value: &str, _: &mut Random) -> Option<String> {
    let mut out = String::new();
    for one in value.chars() {
        match one {
            '<' | '>' | '"' | '\'' | '&' | '(' | ')' | ';' | '|' | '=' => {
                out.push_str(&format!("\\u{:04x}", u32::from(one)));
            }
            one => out.push(one),
        }
    }
    changed(out, value)
}

fn percent_u(value: &str, _: &mut Random) -> Option<String> {
    let mut out = String::new();
    for one in value.chars() {
        match one {
            '<' | '>' | '"' | '\'' | '&' | '(' | ')' | ';' | '|' | '/' | '\\' => {
                out.push_str(&format!("%u{:04x}", u32::from(one)));
            }
            one => out.push(one),
        }
    }
    changed(out, value)
}

/// What is done is done by the place.
fn as_it_is(value: &str, _: &mut Random) -> Option<String> {
    Some(value.to_owned())
}

/// What is short looks like a word; bytes that are no text look like data.
fn base64(value: &str, _: &mut Random) -> Option<String> {
    let text = value.bytes().all(|byte| matches!(byte, 0x20..=0x7E));
    (text && value.len() >= 16).then(|| Base64::encode_string(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, value: &str) -> Option<String> {
        let mutation = MUTATIONS
            .iter()
            .find(|mutation| mutation.name == name)
            .expect("it is on the list");
        (mutation.make)(value, &mut Random::new(7, value))
    }

    #[test]
    fn mutations_change_the_spelling_only() {
        const CASES: &[(&str, &str, &[&str])] = &[
            (
                "comments",
                "1 or 1",
                &[
                    "1/**/or/**/1",
                    "1/*x*/or/*x*/1",
                    "1/*!*/or/*!*/1",
                    "1/**/or/*x*/1",
                    "1/*x*/or/**/1",
                    "1/**/or/*!*/1",
                    "1/*!*/or/**/1",
                    "1/*x*/or/*!*/1",
                    "1/*!*/or/*x*/1",
                ],
            ),
            ("entities", "<'", &["&lt;&#39;", "&#x3c;&#x27;"]),
            ("unicode escapes", "a<b", &["a\\u003cb"]),
            ("percent u", "a'b", &["a%u0027b"]),
            ("encoded twice", "' or", &["%27%20or"]),
            ("script escapes", "x=alert(1)", &["x=\\u0061lert(1)"]),
            ("slashes", "../../etc", &["..\\..\\etc"]),
            (
                "comments in code",
                "a(system('id'))",
                &["a/*x*/(system('id'))"],
            ),
            ("base64", "<script>alert(1)", &["PHNjcmlwdD5hbGVydCgxKQ=="]),
        ];
        for (name, value, expected) in CASES {
            let got = made(name, value).expect("it makes something of it");
            assert!(expected.contains(&got.as_str()), "{name}: {got}");
        }
    }

    #[test]
    fn quotes_leave_reserved_words_and_names() {
        for (value, kept) in [
            (";if [ 3 -gt 2 ];then ping x;fi", ";if [ 3 -g"),
            ("|for f in /home/*;do echo $f;done", "|for f in /h"),
            (";case y in y) id;;esac", ";case y in y) i"),
            ("x;until false;do w;done", "x;until f"),
            (";time id", ";time i"),
            (";go(){ id;};go", ";go(){ i"),
        ] {
            let got = made("quotes of the shell", value).expect("a change");
            assert!(got.starts_with(kept), "{got}");
            let plain: String = got
                .chars()
                .filter(|one| !matches!(one, '\'' | '"' | '\\'))
                .collect();
            assert_eq!(plain, value);
        }
    }

    #[test]
    fn a_type_of_spring_takes_no_comment() {
        let value = "T(java.lang.System).getProperty('a')";
        assert_eq!(made("comments in code", value), None);
        assert!(made("comments in code", "print(1)").is_some());
    }

    #[test]
    fn a_comment_of_sql_keeps_its_blank() {
        let got = made("comments", "' or 1=1 -- x").expect("something");
        assert!(got.ends_with("-- x"), "{got}");
    }

    #[test]
    fn what_would_change_what_it_does_is_left_alone() {
        for (name, value) in [
            ("blanks of the shell", "; echo 'a b'"),
            ("quotes of the shell", "& type c:\\boot.ini"),
            ("quotes of the shell", ";if"),
            ("quotes of the shell", ";ab=1;${cd}"),
            ("padding", "../../etc/passwd"),
            ("tag blanks", "no tags here"),
            ("nested look-ups", "${env:HOME}"),
            ("base64", "short"),
        ] {
            assert_eq!(made(name, value), None, "{name} of {value}");
        }
        assert_eq!(
            made("tag case", "<b>AbC</b>").map(|text| text.to_ascii_lowercase()),
            Some("<b>abc</b>".to_owned())
        );
        // A path keeps its case, its host need not.
        let url = made("case", "http://localhost/Admin").expect("a change");
        assert!(url.ends_with("/Admin"), "{url}");
    }

    #[test]
    fn the_same_seed_makes_the_same_mutant() {
        for mutation in MUTATIONS {
            let value =
                "'; cat ../../etc/passwd <img src=x onerror=alert(1)> ${jndi:ldap://127.0.0.1/}";
            let make = || (mutation.make)(value, &mut Random::new(3, mutation.name));
            assert_eq!(make(), make(), "{}", mutation.name);
        }
    }
}
