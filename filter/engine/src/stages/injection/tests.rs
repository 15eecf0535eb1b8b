//! Attacks with their evasions, and honest look-alikes, through the whole stage.

use super::{InjectionStage, Parts};
use crate::finding::Findings;
use crate::request::RequestHead;

fn stage(level: u8) -> InjectionStage {
    InjectionStage {
        level,
        threshold: 5,
        inspect: Parts {
            target: true,
            headers: true,
            cookies: true,
            body: true,
        },
        except: alloc::vec::Vec::new(),
        patterns: alloc::vec::Vec::new(),
    }
}

fn blocked(target: &[u8]) -> bool {
    let pairs = [(&b":method"[..], &b"GET"[..]), (b":path", target)];
    let head = RequestHead::decode(pairs.iter().copied());
    let mut steps = crate::budget::MAX_STEPS;
    let mut found = Findings::default();
    stage(1)
        .inspect_head(&head, b"", &mut steps, &mut found)
        .is_err()
}

#[test]
fn the_obvious_is_found() {
    const CASES: [(&str, bool); 8] = [
        ("/search?q=%27%20OR%201=1--", true),
        ("/search?q=1+union+all+select+1,2,3", true),
        ("/search?q=%3Cscript%3Ealert(1)%3C/script%3E", true),
        ("/file?name=../../etc/passwd", true),
        ("/ping?host=1.1.1.1;cat+/etc/hosts", true),
        ("/search?q=O%27Brien", false),
        ("/search?q=select+a+plan+from+the+list", false),
        ("/search?q=rock+%26+roll;+jazz", false),
    ];
    for (target, expected) in CASES {
        assert_eq!(blocked(target.as_bytes()), expected, "{target}");
    }
}
