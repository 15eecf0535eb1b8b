//! LDAP: filters, and what leaves the filter it was put into.
//!
//! **In:** a decoded value. **Out:** hits of class `ldap`.
//! **Invariant:** one pass that counts brackets; look-ahead is bounded by constants.
//! **Source:** RFC 4515 (string representation of filters), RFC 4517 (matching rules).
//! **Cost:** a pass over values that have brackets and an operator of filters.

use super::super::places::{Places, Set};
use super::bytes::{self, AMP, CONTROL, OPERATOR, PAREN, PIPE, STAR, byte, is_space, rest};
use super::triggers::RULE;
use super::{Class, Hits, Strength, View};

/// Words no pattern of this file can do without: none, brackets are what filters are made of.
pub(super) const WORDS: &[&[u8]] = &[];

/// Bytes of an attribute's name that are read.
const ATTRIBUTE: usize = 40;

/// Attributes whose presence filter gives a directory away.
const ATTRIBUTES: [&[u8]; 22] = [
    b"uid",
    b"cn",
    b"sn",
    b"ou",
    b"dn",
    b"mail",
    b"objectclass",
    b"objectcategory",
    b"objectsid",
    b"userpassword",
    b"password",
    b"samaccountname",
    b"userprincipalname",
    b"memberof",
    b"member",
    b"givenname",
    b"displayname",
    b"admincount",
    b"useraccountcontrol",
    b"homedirectory",
    b"loginshell",
    b"uidnumber",
];

static BRACKETS: Set = Set::of(b"()");

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let value = view.bytes;
    if view.marks & RULE != 0 {
        rule(value, hits);
    }
    // A directory in C stops reading at the NUL: what the filter goes on with is cut off.
    if view.classes & PAREN != 0
        && view.classes & CONTROL != 0
        && let Some(at) = bytes::pair(value, |one, two| one == b')' && two == 0)
    {
        hits.add(Class::Ldap, Strength::Decisive, at);
        return;
    }
    if view.classes & PAREN == 0 || view.classes & (OPERATOR | STAR | AMP | PIPE) == 0 {
        return;
    }
    // Four looks at every bracket.
    super::spend(steps, value.len().saturating_mul(4));
    // `*()|&'`: every sign of a filter and nothing else.
    let signs = value.trim_ascii();
    if signs.len() <= 16
        && signs
            .iter()
            .all(|byte| matches!(byte, b'*' | b'(' | b')' | b'|' | b'&' | b'!' | b'=' | b'\''))
        && bytes::pair(signs, |a, b| matches!((a, b), (b'*', b'(') | (b')', b'('))).is_some()
        && signs.iter().any(|byte| matches!(byte, b'|' | b'&'))
    {
        hits.add(Class::Ldap, Strength::Decisive, 0);
        return;
    }
    let whole = value.trim_ascii_start().first() == Some(&b'(');
    let mut depth = 0_u32;
    let mut brackets = Places::of(value, &BRACKETS);
    let mut from = 0_usize;
    while let Some(at) = brackets.from(from) {
        from = at.saturating_add(1);
        let head = byte(value, at);
        let strength = match head {
            b'(' => {
                depth = depth.saturating_add(1);
                opened(value, at, whole)
            }
            b')' if depth == 0 => left(value, at),
            b')' => {
                depth = depth.saturating_sub(1);
                chained(value, at)
            }
            _ => None,
        };
        if let Some(strength) = strength {
            hits.add(Class::Ldap, strength, at);
            if strength == Strength::Decisive {
                return;
            }
        }
    }
}

/// An attribute at `at` and the position behind it.
fn attribute(value: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let length = bytes::tally(
        rest(value, at)
            .iter()
            .take(ATTRIBUTE)
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b';' | b'.')),
    );
    let end = at.saturating_add(length);
    let name = value.get(at..end)?;
    name.first()?.is_ascii_alphanumeric().then_some((name, end))
}

/// `attribute=`, `~=`, `>=`, `<=`, `:=`; not `==`.
fn compares(value: &[u8], at: usize) -> bool {
    let next = byte(value, at.saturating_add(1));
    match byte(value, at) {
        b'=' => next != b'=' && next != b'>',
        b'~' | b'>' | b'<' => next == b'=',
        b':' => true,
        _ => false,
    }
}

fn is_item(value: &[u8], at: usize) -> bool {
    attribute(value, at).is_some_and(|(_, end)| compares(value, end))
}

/// `(&(a=…`, `(|(a=…`, `(uid=*)`. `whole`: the value begins with a bracket.
fn opened(value: &[u8], at: usize, whole: bool) -> Option<Strength> {
    let one = at.saturating_add(1);
    if matches!(byte(value, one), b'&' | b'|') && byte(value, at.saturating_add(2)) == b'(' {
        let mut item = at.saturating_add(3);
        // `(&(!(&(a=…`
        for _ in 0..4 {
            if !matches!(byte(value, item), b'&' | b'|' | b'!' | b'(') {
                break;
            }
            item = item.saturating_add(1);
        }
        if !is_item(value, item) {
            return None;
        }
        // A whole filter is what an application of the directory's administrators sends; one that tests a constant is not.
        let constant = byte(value, item).is_ascii_digit();
        return Some(if constant || !whole {
            Strength::Decisive
        } else {
            Strength::Suspicious
        });
    }
    let (name, end) = attribute(value, one)?;
    let present = rest(value, end).starts_with(b"=*)");
    (present
        && ATTRIBUTES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name)))
    .then_some(Strength::Decisive)
}

/// A bracket that nothing opened: `)(cn=`, `*)(&`, `*))`.
fn left(value: &[u8], at: usize) -> Option<Strength> {
    let star = at
        .checked_sub(1)
        .is_some_and(|before| byte(value, before) == b'*');
    let opens = bytes::part(value, at, 6).contains(&b'(');
    if !star && !opens {
        return None;
    }
    let mut item = at.saturating_add(1);
    let mut marks = 0_u8;
    for _ in 0..6 {
        match byte(value, item) {
            b'&' | b'|' | b'!' | b'(' | b')' => marks = marks.saturating_add(1),
            blank if is_space(blank) => {}
            _ => break,
        }
        item = item.saturating_add(1);
    }
    let ends = item >= value.len() || byte(value, item) == 0;
    // `)(&)`: a filter that is always true (RFC 4526).
    let filter = rest(value, at);
    let constant = filter.starts_with(b")(&)") || filter.starts_with(b")(|)");
    if constant || opens && marks > 0 && is_item(value, item) {
        return Some(Strength::Decisive);
    }
    (star && marks > 0 && ends).then_some(Strength::Decisive)
}

/// `admin*)(password=`: the first bracket was the application's, or a sentence's.
fn chained(value: &[u8], at: usize) -> Option<Strength> {
    let star = at.checked_sub(1)?;
    if byte(value, star) != b'*' || byte(value, at.saturating_add(1)) != b'(' {
        return None;
    }
    // `(\w*)(a=b)` and `(.*)(a=b)` are regular expressions.
    let before = star.checked_sub(1).map_or(0, |at| byte(value, at));
    let escaped = star
        .checked_sub(2)
        .is_some_and(|at| byte(value, at) == b'\\');
    let plain = before.is_ascii_alphanumeric() && !escaped;
    (plain && is_item(value, at.saturating_add(2))).then_some(Strength::Decisive)
}

/// `userPassword:2.5.13.18:=`, `cn:caseExactMatch:=`, `ou:dn:=`.
fn rule(value: &[u8], hits: &mut Hits) {
    let mut at = 0_usize;
    while let Some(step) = rest(value, at).iter().position(|&byte| byte == b'=') {
        at = at.saturating_add(step);
        let name = at
            .checked_sub(1)
            .filter(|&colon| byte(value, colon) == b':');
        if let Some(colon) = name {
            let window = value
                .get(colon.saturating_sub(ATTRIBUTE)..colon)
                .unwrap_or(&[]);
            let mut letters = 0_u8;
            let mut dots = 0_u8;
            let length = bytes::tally(window.iter().rev().take_while(|byte| {
                letters = letters.saturating_add(u8::from(byte.is_ascii_alphabetic()));
                dots = dots.saturating_add(u8::from(**byte == b'.'));
                byte.is_ascii_alphanumeric() || **byte == b'.'
            }));
            let start = colon.saturating_sub(length);
            let marked = length > 0 && start > 1 && byte(value, start.saturating_sub(1)) == b':';
            let named = start
                .checked_sub(2)
                .is_some_and(|at| byte(value, at).is_ascii_alphanumeric());
            // Active Directory's bit rules are part of its everyday filters.
            let bits = value
                .get(start..colon)
                .is_some_and(|rule| rule.starts_with(b"1.2.840.113556."));
            let known = (letters == 0 && dots >= 2 && !bits)
                || value.get(start..colon).is_some_and(|rule| {
                    rule.eq_ignore_ascii_case(b"dn")
                        || bytes::has_at(rule, rule.len().saturating_sub(5), b"match")
                });
            if marked && named && known {
                hits.add(Class::Ldap, Strength::Decisive, start);
                return;
            }
        }
        at = at.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::hits_of;
    use super::*;

    fn caught(value: &str) -> bool {
        hits_of(value.as_bytes()).contains(&(Class::Ldap, Strength::Decisive))
    }

    #[test]
    fn filters_and_what_leaves_them_are_caught() {
        for value in [
            "(&(uid=root)(!(&(1=0)(userPassword=x))))",
            "*(|(objectclass=*))",
            "*)(uid=*))(|(uid=*",
            "*)(&",
            "*)) ",
            "*)(|(mail=*",
            "bob)(cn=))\0",
            "bob))\0",
            "*)\0x",
            "bob)(!(&(1=0",
            "bob*)((|userpassword=*)",
            "bob)(|(cn~=x",
            "query=(&(uid=*)(uid=*))(|(uid=*)(userPassword={MD5}x))",
            "search(\"bob*)(password=a\")",
            "userPassword:2.5.13.18:=123",
            "cn:caseExactMatch:=Bob",
            "ou:dn:=people",
            "(samAccountName=*)",
            "x)(&)(uid=y",
            "bob)(&)",
            "*()|&'",
        ] {
            assert!(caught(value), "{value}");
        }
    }

    #[test]
    fn brackets_of_prose_and_code_are_let_through() {
        for value in [
            "*) incl. VAT",
            "**bold** (really)",
            "f(a)(b=1)",
            ":-) (x = 1)",
            "(\\w*)(id=\\d+)",
            "(.*)(a=b)",
            "while (!(p=next())) {}",
            "if (a && (b == c)) x = 1;",
            "(a || (b=c))",
            "x := 1; y:= 2",
            "a:b:=c",
            "(name=Bob)",
            "sum(a*b)",
            "(*)",
            "()",
            "(a)(b)",
            "2*(3+4)=14",
            "(a|b)(c|d)=e",
            "std::map<int>::iterator i=m.end()",
            "Smith (Bob) (age=42)",
            "(&(objectCategory=computer)(userAccountControl:1.2.840.113556.1.4.803:=8192))",
        ] {
            assert!(!caught(value), "{value}");
        }
    }
}
