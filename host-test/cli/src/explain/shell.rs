//! A command line, split as bash splits it.
//!
//! **In:** a command as pasted. **Out:** its words, up to a pipe, a redirection or another command.
//! **Invariant:** an open quote is an error, and nothing is expanded: `$` and globs stay as they are.

use anyhow::{Context, Result, bail};

/// Words as bash splits them: quotes, backslashes, `$'…'`, lines that go on. `shlex` knows no `$'…'`, which browsers write.
pub(super) fn split(text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.trim().chars().peekable();
    while let Some(head) = chars.next() {
        match head {
            '\\' => match chars.next() {
                Some('\n') => {}
                Some('\r') if chars.peek() == Some(&'\n') => {
                    chars.next();
                }
                Some(next) => word.get_or_insert_default().push(next),
                None => bail!("a backslash at the end escapes nothing"),
            },
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(next) => word.push(next),
                        None => bail!("a single quote is not closed"),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some('\n') => {}
                            Some(next @ ('"' | '\\' | '$' | '`')) => word.push(next),
                            Some(next) => word.extend(['\\', next]),
                            None => bail!("a double quote is not closed"),
                        },
                        Some(next) => word.push(next),
                        None => bail!("a double quote is not closed"),
                    }
                }
            }
            '$' if chars.peek() == Some(&'\'') => {
                chars.next();
                ansi(&mut chars, word.get_or_insert_default())?;
            }
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '|' | ';' | '&' | '>' | '<' if word.is_none() => break,
            _ => word.get_or_insert_default().push(head),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The inside of `$'…'`.
fn ansi(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, word: &mut String) -> Result<()> {
    loop {
        match chars.next().context("a `$'` quote is not closed")? {
            '\'' => return Ok(()),
            '\\' => match chars.next().context("a `$'` quote is not closed")? {
                'n' => word.push('\n'),
                'r' => word.push('\r'),
                't' => word.push('\t'),
                kind @ ('x' | 'u') => {
                    let most = if kind == 'x' { 2 } else { 4 };
                    let mut number = 0;
                    for _ in 0..most {
                        let Some(digit) = chars.peek().and_then(|digit| digit.to_digit(16)) else {
                            break;
                        };
                        chars.next();
                        number = number * 16 + digit;
                    }
                    word.push(char::from_u32(number).unwrap_or('\u{fffd}'));
                }
                other => word.push(other),
            },
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        const CASES: &[(&str, &[&str])] = &[
            ("", &[]),
            ("a  b\tc", &["a", "b", "c"]),
            ("a'b c'd \"e 'f\" ''", &["ab cd", "e 'f", ""]),
            ("a\\ b \\\nc \"\\$x \\n\"", &["a b", "c", "$x \\n"]),
            ("$'\\x41\\u00e9\\'\\n' $HOME", &["A\u{e9}'\n", "$HOME"]),
            ("a b | c", &["a", "b"]),
            ("a 'b|c' d>e", &["a", "b|c", "d>e"]),
        ];
        for (text, expected) in CASES {
            assert_eq!(split(text).expect(text), *expected, "{text}");
        }
        for text in ["'", "\"", "$'a", "a\\", "\"a\\"] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}
