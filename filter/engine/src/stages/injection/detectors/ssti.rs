//! Template injection: expressions that compute, call or walk where a template would be filled in.
//!
//! **In:** a decoded value. **Out:** hits of class `ssti`.
//! **Invariant:** brackets are no sign: `{{name}}`, `${price}` and `{% for item in items %}` fill in mail and pages everywhere.
//! What only an attacker's template does (reach the interpreter, run, read) is decisive; what an author of prose about templates may
//! show too (`{{ 1 + 1 }}`) is so outside of prose.
//! **Cost:** one pass over a value with an opening delimiter; each expression is read once.

use super::super::places::{Places, Set};
use super::bytes::{
    ANGLE, BRACE, DOLLAR, HASH, PAREN, PERCENT, STAR, byte, contains, has_at, is_space, part, rest,
};
use super::prose::is_prose;
use super::ssti_expr::{Shape, Until, opens, read};
use super::triggers::{AT, SSTI};
use super::{Class, Hits, Strength, View};

/// Words no pattern outside of delimiters can do without.
pub(super) const WORDS: &[&[u8]] = &[
    b"__subclasses__",
    b"__globals__",
    b"__builtins__",
    b"__mro__",
    b"__bases__",
    b"__base__",
    b"__import__",
];

/// The engines that share a delimiter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    /// `{{…}}`, `{%…%}`.
    Curly,
    /// `${…}`, `#{…}`, `*{…}`, `@{…}`, `~{…}`, `%{…}`.
    Sigil,
    /// `<%…%>`.
    Percent,
    /// `<#…>`, `[#…]`, `#set(…)`.
    Directive,
    /// `@(…)`.
    Razor,
    /// `{…}`.
    Single,
}

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let value = view.bytes;
    let classes = view.classes;
    let brackets = classes & PAREN != 0;
    let percents = classes & ANGLE != 0 && classes & (PERCENT | HASH) != 0;
    if !brackets && !percents {
        return;
    }
    if super::ssti_whole::is_whole(value) {
        hits.add(Class::Ssti, Strength::Decisive, 0);
        return;
    }
    let mut soft = None;
    if view.words & SSTI != 0 {
        super::spend(steps, value.len());
        soft = walks(value);
    }
    if classes & (DOLLAR | HASH | STAR | PERCENT | ANGLE) == 0
        && classes & BRACE == 0
        && view.marks & AT == 0
        && !rest(value, first(value)).starts_with(b"[=")
    {
        finish(view, soft, steps, hits);
        return;
    }
    super::spend(steps, value.len());
    let lead = first(value);
    let mut system = System::default();
    let mut signs = Places::of(value, &SIGNS);
    let mut from = 0;
    while let Some(at) = signs.from(from) {
        let Some((engine, until, start)) = opening(value, at) else {
            from = at.saturating_add(1);
            continue;
        };
        super::spend(steps, 144);
        if *steps == 0 {
            return;
        }
        // One delimiter in another before anything else: a probe for all engines at once.
        let found = match engine {
            Engine::Single => has_at(value, at, b"{php}"),
            Engine::Curly => asks(value, at, lead),
            Engine::Sigil if byte(value, at) == b'#' => shell_of_ruby(value, at, steps),
            Engine::Sigil => byte(value, at) == b'@' && system.is_near(value, at),
            Engine::Directive => {
                at == lead
                    && has_at(value, at, b"#evaluate")
                    && matches!(byte(value, start), b'"' | b'\'' | b'$')
            }
            _ => false,
        };
        if found || probes(value, start) || stacks(value, at) {
            hits.add(Class::Ssti, Strength::Decisive, at);
            return;
        }
        let (shape, end) = read(value, start, until);
        let quoted = at > 0 && byte(value, at.saturating_sub(1)) == b'`';
        if runs(engine, &shape) || (probe(engine, &shape) && !quoted) {
            hits.add(Class::Ssti, Strength::Decisive, at);
            return;
        }
        let whole = at == lead && skip_back(value) <= end;
        if soft.is_none() && shows(engine, &shape, whole) {
            soft = Some(at);
        }
        from = end.max(at.saturating_add(1));
    }
    finish(view, soft, steps, hits);
}

/// Blanks between the name of a directive and its bracket that are read over.
const BLANKS: usize = 8;

/// Bytes of a block that are looked through.
const BLOCK: usize = 96;

/// `{{#with "s" as |x|}}` (Handlebars walks from a text to its class), `{{printf "%s" .X}}` (Go). `lead`: where the value begins.
fn asks(value: &[u8], at: usize, lead: usize) -> bool {
    let block = part(value, at, BLOCK);
    let begins = |head: &[u8]| super::ssti_whole::behind(block, head).is_some();
    let inside = rest(block, 2).trim_ascii_start();
    match inside.first() {
        Some(b'#') => begins(b"{{#with \"") && contains(block, b" as |"),
        Some(b'p' | b'P') => at == lead && begins(b"{{printf \"") && contains(block, b" ."),
        _ => false,
    }
}

/// `@{ System.IO… }` (Razor): no place is looked at twice, however many blocks open before it.
#[derive(Default)]
struct System {
    /// Where it was not looked for yet.
    from: usize,
}

impl System {
    const WORD: &[u8] = b"system.";

    /// Whether it stands in the block that opens at `at`; asked from left to right, until the first yes.
    fn is_near(&mut self, value: &[u8], at: usize) -> bool {
        let limit = at.saturating_add(BLOCK).min(value.len());
        let block = value.get(self.from.max(at)..limit).unwrap_or_default();
        // A word that reaches over the end is looked for again.
        self.from = limit.saturating_sub(Self::WORD.len()).max(self.from);
        contains(block, Self::WORD)
    }
}

/// ``#{ `id` }``, ``#{%x(id)}``: Ruby's command inside of Ruby's text. In JavaScript the sign is a dollar.
fn shell_of_ruby(value: &[u8], at: usize, steps: &mut u64) -> bool {
    let from = at.saturating_add(2);
    let start = from.saturating_add(usize::from(byte(value, from) == b' '));
    if !matches!(byte(value, start), b'`' | b'%') {
        return false;
    }
    super::spend(steps, BLOCK);
    let tail = part(value, start, BLOCK);
    let Some(end) = tail.iter().position(|&byte| byte == b'}') else {
        return false;
    };
    let inside = tail.get(..end).unwrap_or(tail).trim_ascii_end();
    inside.len() > 2
        && (inside.starts_with(b"`") && inside.ends_with(b"`") || inside.starts_with(b"%x"))
}

fn finish(view: &View<'_>, soft: Option<usize>, steps: &mut u64, hits: &mut Hits) {
    if let Some(at) = soft {
        super::spend(steps, view.bytes.len());
        let strength = if is_prose(view.bytes) {
            Strength::Suspicious
        } else {
            Strength::Decisive
        };
        hits.add(Class::Ssti, strength, at);
    }
}

/// First byte that is no blank.
fn first(value: &[u8]) -> usize {
    value.iter().position(|&byte| !is_space(byte)).unwrap_or(0)
}

/// Position behind the last byte that is no blank.
fn skip_back(value: &[u8]) -> usize {
    value
        .iter()
        .rposition(|&byte| !is_space(byte))
        .map_or(0, |last| last.saturating_add(1))
}

/// What delimiters begin with.
static SIGNS: Set = Set::of(b"{$#*@~%<[");

/// The delimiter that opens at `at`: whose it is, what ends it, where its content starts.
fn opening(value: &[u8], at: usize) -> Option<(Engine, Until, usize)> {
    let next = byte(value, at.saturating_add(1));
    let two = at.saturating_add(2);
    match byte(value, at) {
        b'{' => match next {
            b'{' => Some((Engine::Curly, Until::Braces, two)),
            b'%' => Some((Engine::Curly, Until::Block, two)),
            b'$' | b'/' => Some((Engine::Single, Until::Brace, at.saturating_add(1))),
            _ if next.is_ascii_alphanumeric() => {
                Some((Engine::Single, Until::Brace, at.saturating_add(1)))
            }
            _ => None,
        },
        b'$' | b'#' | b'*' | b'@' | b'~' | b'%' if next == b'{' => {
            // `${{…}}`.
            if byte(value, two) == b'{' {
                return None;
            }
            Some((Engine::Sigil, Until::Brace, two))
        }
        b'@' if next == b'(' => Some((Engine::Razor, Until::Bracket, two)),
        b'<' if next == b'%' => Some((Engine::Percent, Until::Percent, two)),
        b'[' if next == b'=' => Some((Engine::Directive, Until::Directive, two)),
        b'<' | b'[' if next == b'#' && byte(value, two).is_ascii_alphabetic() => {
            Some((Engine::Directive, Until::Directive, two))
        }
        b'#' => {
            if !matches!(next | 0x20, b's' | b'e' | b'i' | b'p' | b'f') {
                return None;
            }
            let name = [&b"set"[..], b"evaluate", b"include", b"parse", b"foreach"]
                .into_iter()
                .find(|name| has_at(value, at.saturating_add(1), name))?;
            let mut open = at.saturating_add(1).saturating_add(name.len());
            let blanks = part(value, open, BLANKS).iter();
            let blanks = super::bytes::tally(blanks.take_while(|&&byte| is_space(byte)));
            open = open.saturating_add(blanks);
            let start = open.saturating_add(1);
            (byte(value, open) == b'(').then_some((Engine::Directive, Until::Bracket, start))
        }
        _ => None,
    }
}

/// Delimiters of several engines, one right in the other.
fn probes(value: &[u8], start: usize) -> bool {
    let nested = |at| opens(byte(value, at), byte(value, at.saturating_add(1)));
    nested(start)
        && byte(value, start) != byte(value, start.saturating_sub(1))
        && (nested(start.saturating_add(2))
            || matches!(byte(value, start.saturating_add(2)), b'[' | b'\'' | b'"'))
}

/// `{={@{#{${`: signs that open, of three engines and more, and nothing in any.
fn stacks(value: &[u8], at: usize) -> bool {
    // Six signs at least, so that the third is one.
    if !is_sign(byte(value, at.saturating_add(2))) {
        return false;
    }
    let mut signs = 0_u32;
    let mut before = 0_u8;
    for &sign in part(value, at, 16) {
        match sign {
            b'{' if matches!(before, b'#'..=b'*' | b'=' | b'@' | b'~') => {
                signs |= 1_u32.wrapping_shl(u32::from(before) & 31);
            }
            _ if is_sign(sign) => {}
            _ => break,
        }
        before = sign;
    }
    signs.count_ones() >= 3
}

/// Whether the byte may stand in a row of openers.
const fn is_sign(byte: u8) -> bool {
    matches!(
        byte,
        b'{' | b'[' | b'<' | b'%' | b'#'..=b'*' | b'=' | b'@' | b'~'
    )
}

/// `{{7*7}}`: a product of two numbers is what probes ask an engine for, whatever stands around it.
const fn probe(engine: Engine, shape: &Shape) -> bool {
    shape.closed
        && shape.product
        && shape.constants == 2
        && shape.sum()
        && !matches!(engine, Engine::Single | Engine::Razor)
}

/// What no honest template in a request does.
const fn runs(engine: Engine, shape: &Shape) -> bool {
    if !shape.closed {
        return shape.walks && matches!(engine, Engine::Curly);
    }
    let common = shape.walks || (shape.package && (shape.calls || shape.runs));
    match engine {
        Engine::Curly => {
            common
                || shape.runs
                || shape.constructs
                || shape.loads
                || (shape.object_used && shape.calls)
        }
        Engine::Percent => {
            common || shape.runs || shape.backtick || shape.loads || (shape.reads && shape.calls)
        }
        Engine::Directive => common || shape.runs || (shape.computes && shape.constants > 1),
        Engine::Sigil => common || shape.runs,
        // Braces are blocks of code too: a statement has its `;`.
        Engine::Single | Engine::Razor => (common || shape.runs || shape.loads) && !shape.lists,
    }
}

/// What an author may write about, and nobody else writes.
const fn shows(engine: Engine, shape: &Shape, whole: bool) -> bool {
    if !shape.closed {
        return false;
    }
    match engine {
        Engine::Curly => {
            shape.sum()
                || shape.tests()
                || ((shape.object() || shape.debugs()) && whole)
                || shape.literal_called
                || shape.empty_walked
                || shape.shows
        }
        Engine::Sigil => {
            shape.sum()
                || shape.empty_walked
                || shape.literal_called
                || (shape.scope_used && shape.calls)
                || (whole && shape.scoped())
        }
        Engine::Percent => shape.sum() || shape.tests() || shape.shows || shape.literal_called,
        Engine::Directive => shape.sum() || shape.calls,
        Engine::Razor => whole && shape.sum(),
        Engine::Single => (whole && shape.sum()) || (shape.shows && !shape.lists),
    }
}

/// Attributes that lead from any Python object to the interpreter, outside of delimiters.
fn walks(value: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(step) = rest(value, at).iter().position(|&byte| byte == b'_') {
        let start = at.saturating_add(step);
        let length = rest(value, start)
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
            .unwrap_or_else(|| rest(value, start).len());
        let end = start.saturating_add(length);
        let before = byte(value, start.saturating_sub(1));
        let reached = start > 0 && matches!(before, b'.' | b'\'' | b'"' | b'[');
        let listed = WORDS
            .iter()
            .any(|word| word.len() == length && has_at(value, start, word));
        let used = matches!(byte(value, end), b'.' | b'[' | b'(' | b'\'' | b'"');
        let import = listed && has_at(value, start, b"__import__(");
        if listed && used && (reached || import) {
            return Some(start);
        }
        at = end.max(start.saturating_add(1));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Strength, hits_of};

    fn seen(value: &str) -> Option<Strength> {
        hits_of(value.as_bytes())
            .into_iter()
            .find_map(|(class, strength)| (class == Class::Ssti).then_some(strength))
    }

    #[test]
    fn expressions_that_compute_call_or_walk_are_attacks() {
        for value in [
            "{{9*9}}",
            "a}}%>{={@{#{${b}",
            "Hi {{ 9 * '9' }}",
            "{{ 'a' ~ 'b' }}",
            "${9*9}",
            "${{9*9}}",
            "#{9*9}",
            "*{9+9}",
            "@(9+9)",
            "{9*9}",
            "<%= 9*9 %>",
            "{% if 1 %}x{% endif %}",
            "{%print(9*9)%}",
            "{{ ''.__class__.__mro__[1] }}",
            "{{ x.__init__.__globals__['os'].popen('w').read() }}",
            "{{ lipsum|attr('__glo'~'bals__') }}",
            "{{ config.items() }}",
            "{{ self }}",
            "{{ request.application.x() }}",
            "{{ ['w']|map('system')|join }}",
            "{{ _self.env.registerUndefinedFilterCallback('exec') }}",
            "{% set a = cycler.__init__ %}",
            "{% import os %}{{ os.popen('w') }}",
            "{% include '/etc/hostname' %}",
            "<#assign a='freemarker.template.utility.Execute'?new()>${a('w')}",
            "${'freemarker.template.utility.ObjectConstructor'?new()('x')}",
            "#set($a=$b.getClass().forName('java.lang.Runtime'))",
            "#set( $a = 9*9 )",
            "@{ @{a} @{ b } System.IO.File.ReadAllText(\"/etc/hosts\") }",
            "${T(java.lang.Runtime).getRuntime().exec('w')}",
            "*{T(java.lang.System).getenv('PATH')}",
            "${new java.lang.ProcessBuilder('w').start()}",
            "${self.module.runtime.util.os.system('w')}",
            "${class.getResource('/').getPath()}",
            "#{request.getClass().getClassLoader()}",
            "<%= system('w') %>",
            "<%= `w` %>",
            "<%= File.open('/etc/hosts').read %>",
            "<% import os %><%= os.popen('w').read() %>",
            "{php}echo 1;{/php}",
            "{system('w')}",
            "{$smarty.version}",
            "{Smarty_Internal_Write_File::writeFile($a,'b',self::clearConfig())}",
            "{{constructor.constructor('x')()}}",
            "{{#with \"a\" as |b|}}{{lookup b \"x\"}}{{b.constructor}}{{/with}}",
            "${{<%[%'\"}}%\\.",
            "{{request['__cl'+'ass__']}}",
            "{{ 9 | times: 9 }}",
            "${applicationScope}",
            "#{ `w` }",
            "#evaluate(\"w\")",
            "[=\"freemarker.template.utility.Execute\"?new()(\"w\")]",
            "x.__class__.__base__.__subclasses__()[40]('/etc/hosts')",
            "__import__('os').system('w')",
        ] {
            assert_eq!(seen(value), Some(Strength::Decisive), "{value}");
        }
    }

    #[test]
    fn placeholders_and_code_are_none() {
        for value in [
            "Hello {{name}}, your order {{ order.id }} of {{order.date | date: \"%d.%m.%Y\"}}",
            "{{ user.first_name }} {{ user.last_name|upper }}",
            "{% for item in cart.items %}{{ item.title }}{% endfor %}",
            "{campaign|require id}",
            "${#{a}} and @{b}",
            "{% if customer.name != blank %}Hi {{ customer.name }}{% endif %}",
            "{{ 'cart.title' | t }} {{ product.price | money }}",
            "{{#each people}}{{firstName}}{{/each}}",
            "${HOME}/bin:${PATH}",
            "`Total: ${items.map(i => i.price).join(', ')} ${this.constructor.name}`",
            "${price * 2} ${a + b} ${x ? 1 : 2}",
            "#{user.name} #{$breakpoint}",
            "<%= user.name %> <%= link_to 'Home', root_path %> <% end %>",
            "{\"a\": {\"b\": [1, 2]}, \"c\": {}}",
            "f(x) = {1, 2, 3} * {4}, x^{2*3}, \\frac{1}{2}",
            "int a[2][2] = {{1, 2}, {3, 4}};",
            "body { color: red; } a { margin: 0 auto; }",
            "*{box-sizing:border-box} @media (min-width: 10px) {p{margin:0}}",
            "@(Anna) see you at 5 (or 6)",
            "if (a) { exec(\"x\"); } else { system(\"pause\"); }",
            "#include(s) and #set the table, #parse this",
            "class A:\n    def __init__(self):\n        self.__dict__ = {}",
            "print(self.__class__.__name__)",
            "{{template}} ${project.version} ${java.io.tmpdir} #{id}",
            "<!-- {{ comment }} --> [[link]] [#1234] <#general>",
            "https://example.com/{id}/items?filter={\"a\":1}",
            "{{ url_for('static', filename='a.css') }}",
            "{{ price | times: 2 }} {{ 5 | pluralize }} ${class}",
        ] {
            assert_eq!(seen(value), None, "{value}");
        }
    }

    /// Words around an expression that reaches the server do not make it a text.
    #[test]
    fn prose_does_not_cover_what_is_dangerous() {
        for expression in [
            "{{7*7}}",
            "${9*9}",
            "#{7*'7'}",
            "<%= 7*7 %>",
            "{{config.items()}}",
            "{{ ''.__class__ }}",
            "{{ x|attr('y') }}",
            "{{ 'w'|system }}",
            "{% include '/etc/hostname' %}",
            "${T(java.lang.Runtime).getRuntime().exec('w')}",
            "<%= system('w') %>",
            "{% get_admin_log 10 as log %}",
        ] {
            let value = format!(
                "what a lovely day it is today my friend, {expression} and many thanks for all of it"
            );
            assert_eq!(seen(&value), Some(Strength::Decisive), "{value}");
        }
        for value in [
            "{{settings.SECRET_KEY}}",
            "{{request.environ}}",
            "{% debug %}",
            "[=9*9]",
            "{{ include('wp-config.php') }}",
        ] {
            assert_eq!(seen(value), Some(Strength::Decisive), "{value}");
        }
        for value in [
            "Hello {{user.name}}, what a lovely day it is today, {{ first_name }} and all of you",
            "{{ settings.logo }} {{ request.id }} [=name] {{ debug_info }}",
        ] {
            assert_eq!(seen(value), None, "{value}");
        }
    }

    #[test]
    fn prose_about_templates_stays_below_the_threshold() {
        for value in [
            "In the documentation of Vue it says that {{ 1 + 1 }} shows two, but my page stays empty.",
            "In a script `${2*3}` stands for six, as the book says on one of its first pages",
            "Why does Twig print nothing at all when I write {{ dump(page) }} into my template?",
        ] {
            assert_eq!(seen(value), Some(Strength::Suspicious), "{value}");
        }
    }

    #[test]
    fn unclosed_delimiters_cost_one_pass() {
        let value = "{{a(".repeat(20_000);
        let mut steps = crate::budget::MAX_STEPS;
        let bytes = value.as_bytes();
        let view = super::View::new(super::super::Place::Query, b"q", bytes, u32::MAX);
        super::scan(&view, &mut steps, &mut super::Hits::default());
        assert!(crate::budget::MAX_STEPS.wrapping_sub(steps) < 1_000_000);
    }

    #[test]
    fn blocks_that_ask_for_an_object() {
        let caught =
            |value: &str| hits_of(value.as_bytes()).contains(&(Class::Ssti, Strength::Decisive));
        for value in [
            "{{#with \"s\" as |string|}}{{#with split as |c|}}{{/with}}{{/with}}",
            "{{printf \"%s\" .Password}}",
            "@{ var x = System.IO.File.ReadAllText(\"c:/x\"); }",
        ] {
            assert!(caught(value), "{value}");
        }
        for value in [
            "{{#with author}}{{name}}{{/with}}",
            "@{variable} in less",
            "@{ Layout = \"_Layout\"; }",
            "use {{printf \"%s\" .Name}} in Helm",
        ] {
            assert!(!caught(value), "{value}");
        }
    }
}
