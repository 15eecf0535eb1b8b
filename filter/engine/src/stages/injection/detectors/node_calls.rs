//! What code on a server does without a module: answers a request, reflects on functions, looks up its caller.
//!
//! **In:** a decoded value and the place of a word. **Out:** what it is worth there.
//! **Invariant:** a call with its bracket, at the head of the value or of a statement that breaks out; programs of several lines and
//! sentences are none.
//! **Source:** ECMAScript §28.1 (`Reflect`), §10.4.4 (`arguments`); Node.js API (`http.ServerResponse`); Express (`res`); V8 stack trace API.
//! **Cost:** every look is bounded by a constant.

use super::Strength;
use super::bytes::{byte, part, rest, skip_space};
use super::code;
use super::node::{Text, member};
use super::words::Words;

const CALLED: u8 = 1;
const SENT: u8 = 2;
const CALLER: u8 = 3;

/// Members that make the call what it is.
static MEMBERS: Words<64> = Words::new(&[
    (b"construct", CALLED),
    (b"apply", CALLED),
    (b"get", CALLED),
    (b"set", CALLED),
    (b"ownkeys", CALLED),
    (b"defineproperty", CALLED),
    (b"getprototypeof", CALLED),
    (b"setprototypeof", CALLED),
    (b"write", SENT),
    (b"writehead", SENT),
    (b"end", SENT),
    (b"send", SENT),
    (b"sendfile", SENT),
    (b"json", SENT),
    (b"setheader", SENT),
    (b"callee", CALLER),
    (b"caller", CALLER),
]);

/// `Reflect.construct(Function, …)`, `Reflect["get"](…)`.
pub(super) fn reflects(text: Text<'_>, start: usize, end: usize) -> Option<Strength> {
    let value = text.value;
    if value.get(start..end) != Some(b"Reflect") {
        return None;
    }
    let (after, key) = member(value, end)?;
    if MEMBERS.kind(key) != CALLED {
        return None;
    }
    let call = code::call(value, start, after)?;
    Some(if text.lines || call.is_mention(value) {
        Strength::Weak
    } else {
        Strength::Decisive
    })
}

/// `response.write(…)`, `res.end(…)`: at the head of a value, or of a statement behind a quote or a bracket that was closed.
pub(super) fn answers(text: Text<'_>, start: usize, end: usize) -> Option<Strength> {
    let value = text.value;
    let head = value.get(..start)?.trim_ascii_end();
    let breaks = head.is_empty()
        || (head.len() <= 16
            && matches!(head.last(), Some(b';' | b'+' | b'-' | b','))
            && matches!(
                head.first(),
                Some(b'"' | b'\'' | b')' | b'}' | b';' | b'0'..=b'9')
            ));
    let (after, key) = member(value, end)?;
    if MEMBERS.kind(key) != SENT || !breaks {
        return None;
    }
    let call = code::call(value, start, after)?;
    Some(if text.lines || call.is_mention(value) {
        Strength::Weak
    } else {
        Strength::Decisive
    })
}

/// `arguments.callee`, `arguments.callee.caller`.
pub(super) fn callers(text: Text<'_>, end: usize) -> Option<Strength> {
    let (after, key) = member(text.value, end)?;
    if MEMBERS.kind(key) != CALLER || byte(text.value, end) == b':' {
        return None;
    }
    Some(if text.lines || code::goes_on(text.value, after) {
        Strength::Weak
    } else {
        Strength::Decisive
    })
}

/// `Error.prepareStackTrace = (e, frames) => …`: a way out of a sandbox.
pub(super) fn prepares(text: Text<'_>, end: usize) -> Option<Strength> {
    let at = skip_space(text.value, end);
    let given = byte(text.value, at) == b'=' && byte(text.value, at.saturating_add(1)) != b'=';
    let makes = part(text.value, at, 64)
        .windows(2)
        .any(|pair| pair == b"=>" || pair == b"){")
        || rest(text.value, at).len() > 64;
    (given && makes && !text.lines).then_some(Strength::Decisive)
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Strength, hits_of};

    fn is_decisive(value: &str) -> bool {
        hits_of(value.as_bytes()).contains(&(Class::Node, Strength::Decisive))
    }

    #[test]
    fn answers_reflection_and_callers_are_found() {
        for value in [
            "Reflect.construct(Function,['return process'])()",
            "Reflect.get(global,'pro'+'cess')",
            "Reflect['ownKeys'](globalThis)",
            "x = Reflect.apply(f, null, [1])",
            "response.write(7*7)",
            "response.end('x')",
            "res.end\n(6*7)",
            "Reflect.ownKeys\n(globalThis)",
            "Error.prepareStackTrace=(e,s)=>s[0].getThis\n()",
            "res.end(1)",
            "res.send(env)",
            "res.json(secrets)",
            "';res.end(1);'",
            "\"+response.write(42)+\"",
            "1;res.setHeader('x','y')",
            "arguments.callee.caller",
            "arguments['callee']",
            "Error.prepareStackTrace=(e,s)=>s[0].getThis()",
        ] {
            assert!(
                is_decisive(value),
                "{value}: {:?}",
                hits_of(value.as_bytes())
            );
        }
    }

    #[test]
    fn talk_of_them_is_none() {
        for value in [
            "Reflect.",
            "res.end(1)\nres.close()",
            "Reflect.get(target, key)\nis what a trap calls",
            "reflect.ValueOf(x)",
            "Reflect on it (please)",
            "use Reflect.get(target) in your trap",
            "Reflect.get(target, key) returns undefined here",
            "app.get('/', (req, res) => {\n  res.send('hello');\n});",
            "the response.write (socket) failed",
            "in Express you answer with res.json(data) at the end",
            "response.json",
            "res.end",
            "high-res.json",
            "their arguments. Caller: unknown",
            "arguments: callee",
            "what does Error.prepareStackTrace do?",
        ] {
            assert!(
                !is_decisive(value),
                "{value}: {:?}",
                hits_of(value.as_bytes())
            );
        }
    }
}
