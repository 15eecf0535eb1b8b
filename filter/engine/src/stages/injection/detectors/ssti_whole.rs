//! Templates that are a whole value: what an engine is asked first, which no sentence stands around.
//!
//! **In:** a decoded value. **Out:** a yes or no.
//! **Invariant:** only short values of one line that begin with what opens; a name to fill in (`{{name}}`, `${price}`) is none.
//! **Source:** manuals of FreeMarker, Velocity, Smarty, Go `text/template`, Razor, Mako, Twig, Template Toolkit.
//! **Cost:** a look at the first bytes; what is read is bounded by [`WHOLE`].

use super::bytes::{byte, has_at, is_word, rest, skip_space, tally};

/// Bytes of a value that is one piece.
const WHOLE: usize = 96;

/// How pieces begin that no text to fill in does.
const HEADS: [&[u8]; 22] = [
    b"<#assign ",
    b"[#assign ",
    b"<#list ",
    b"<#setting ",
    b"<#function ",
    b"#parse(\"",
    b"#parse('",
    b"#include(\"",
    b"#include('",
    b"#foreach($i in [",
    b"#macro(",
    b"{math equation=",
    b"{fetch file=",
    b"{include_php ",
    b"{{range .}}",
    b"{{index . ",
    b"{{html \"",
    b"{{include('",
    b"{{source('",
    b"{{#with (",
    b"@{var ",
    b"<%doc>",
];

/// Values that are asked for whole.
const VALUES: [&[u8]; 8] = [
    b"{{this}}",
    b"{{.}}",
    b"{{ . }}",
    b"{{@root}}",
    b"{{$data}}",
    b"{{beans}}",
    b"${.data_model}",
    b"${.version}",
];

/// What Smarty's and Twig's filters run.
const RUNNERS: [&[u8]; 6] = [
    b"system",
    b"passthru",
    b"exec",
    b"shell_exec",
    b"phpinfo",
    b"assert",
];

/// Whether the value is such a piece.
pub(super) fn is_whole(value: &[u8]) -> bool {
    let text = value.trim_ascii();
    if text.len() > WHOLE
        || !matches!(
            text.first(),
            Some(b'{' | b'$' | b'<' | b'[' | b'#' | b'@' | b'%')
        )
    {
        return false;
    }
    let head = HEADS.iter().find_map(|head| behind(text, head));
    head.is_some_and(|tail| !has_lines(tail))
        || VALUES
            .iter()
            .any(|whole| behind(text, whole).is_some_and(<[u8]>::is_empty))
        || (!text.contains(&b'\n') && (multiplies(text) || filters(text)))
        || multiplies(text)
        || filters(text)
}

/// What follows `head` in `text`, with any blanks where an engine takes them; a blank of its own stands for some.
pub(super) fn behind<'a>(text: &'a [u8], head: &[u8]) -> Option<&'a [u8]> {
    let double = head.starts_with(b"{{");
    let (mut left, mut before) = (text, 0);
    for &sign in head {
        let free = matches!(sign, b'(' | b'}' | b'=' | b'[' | b'\'' | b'"' | b'.')
            || (double && before == b'{' && sign != b'{');
        before = sign;
        if sign == b' ' {
            let blanks = left.trim_ascii_start();
            if blanks.len() == left.len() {
                return None;
            }
            left = blanks;
            continue;
        }
        if free {
            left = left.trim_ascii_start();
        }
        let (first, after) = left.split_first()?;
        if !first.eq_ignore_ascii_case(&sign) {
            return None;
        }
        left = after;
    }
    Some(left)
}

/// Whether it has lines, what closes the piece left out.
fn has_lines(tail: &[u8]) -> bool {
    let open = tail.strip_suffix(b"}}").unwrap_or(tail);
    open.trim_ascii_end().contains(&b'\n')
}

/// `[[7*7]]`, `$!{7*7}`, `[% 7*7 %]`: two numbers multiplied between signs that open and signs that close.
fn multiplies(text: &[u8]) -> bool {
    let open = tally(text.iter().take_while(|&&letter| {
        matches!(
            letter,
            b'{' | b'['
                | b'<'
                | b'('
                | b'$'
                | b'#'
                | b'@'
                | b'%'
                | b'!'
                | b'~'
                | b'='
                | b'*'
                | b' '
        )
    }));
    let digits = |at: usize| {
        tally(
            rest(text, at)
                .iter()
                .take(6)
                .take_while(|letter| letter.is_ascii_digit()),
        )
    };
    let first = digits(open);
    let sign = skip_space(text, open.saturating_add(first));
    let from = skip_space(text, sign.saturating_add(1));
    let from = from.saturating_add(usize::from(matches!(byte(text, from), b'\'' | b'"')));
    let second = digits(from);
    let tail = rest(text, from.saturating_add(second));
    // `[7*7]`, `(7*7)`: a sum in brackets is a sum.
    open >= 2
        && first > 0
        && second > 0
        && byte(text, sign) == b'*'
        && !tail.is_empty()
        && tail.iter().all(|letter| {
            matches!(
                letter,
                b'}' | b']' | b'>' | b')' | b'%' | b' ' | b'\'' | b'"'
            )
        })
        && text.first() != Some(&b'(')
}

/// `{'id'|system}`: Smarty gives a text to a function.
fn filters(text: &[u8]) -> bool {
    let quote = byte(text, 1);
    if byte(text, 0) != b'{' || !matches!(quote, b'\'' | b'"') {
        return false;
    }
    let inside = rest(text, 2);
    let Some(close) = inside.iter().position(|&letter| letter == quote) else {
        return false;
    };
    let pipe = skip_space(inside, close.saturating_add(1));
    let name = skip_space(inside, pipe.saturating_add(1));
    byte(inside, pipe) == b'|'
        && RUNNERS.iter().any(|runner| {
            has_at(inside, name, runner)
                && !is_word(byte(inside, name.saturating_add(runner.len())))
        })
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Strength, hits_of};

    fn is_decisive(value: &str) -> bool {
        hits_of(value.as_bytes()).contains(&(Class::Ssti, Strength::Decisive))
    }

    #[test]
    fn pieces_of_templates_are_found() {
        for value in [
            "[[7*7]]",
            "$!{7*7}",
            "[% 7*7 %]",
            "$(7*7)",
            "{{this}}",
            "{{.}}",
            "${.data_model}",
            "<#assign x=1>${x}",
            "[#assign x=1]",
            "<#list 1..3 as x>${x}</#list>",
            "#parse(\"x.vm\")",
            "#foreach($i in [1..3])$i#end",
            "{math equation=\"7*7\"}",
            "{'id'|system}",
            "{{range .}}{{.}}{{end}}",
            "{{index . 0}}",
            "{{source('x')}}",
            "{{\nthis\n}}",
            "{{\trange .\t}}{{.}}{{end}}",
            "{{\nsource ('x')\n}}",
            "#parse\n(\"x.vm\")",
            "#evaluate\t(\"$x\")",
            "#set\t( $a = 8*9 )",
            "{{ #with \"s\" as |string| }}{{/with}}",
            "{{\nprintf \"%s\" .Password }}",
            "#foreach\t($i in [1..3])$i#end",
            "{{include('x')}}",
            "@{var x=1;}",
        ] {
            assert!(
                is_decisive(value),
                "{value}: {:?}",
                hits_of(value.as_bytes())
            );
        }
    }

    #[test]
    fn what_is_filled_in_is_none() {
        for value in [
            "{{name}}",
            "{{ user.name }}",
            "${price}",
            "Dear {{this}}, hello",
            "[[Main Page]]",
            "[[1]]",
            "(7*7)",
            "[7*7]",
            "7*7",
            "((7*7))",
            "#parse",
            "# Parse (\"x.vm\")",
            "{ math equation=1}",
            "{{index . 0}}\n{{name}}",
            "#include <stdio.h>",
            "@using the van",
            "{math}",
            "{'id': 1}",
            "{\"id\"|1}",
            "% of imports",
            "<list>",
        ] {
            assert!(
                !is_decisive(value),
                "{value}: {:?}",
                hits_of(value.as_bytes())
            );
        }
    }
}
