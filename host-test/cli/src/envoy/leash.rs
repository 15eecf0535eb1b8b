//! Ends a child when this process ends, even by a signal that it cannot catch.
//!
//! **In:** a child. **Out:** a watcher that ends it when nobody holds the watcher's input any more: the kernel closes that with this process.
//! **Invariant:** the watcher goes with the child ([`Leash::cut`]): later the child's number may be another process's.

use std::io;
use std::process::{Child, Command, Stdio};

/// Signals of a terminal reach the watcher, too: it outlives them.
const WATCH: &str = "trap '' HUP INT TERM; read -r _; kill -KILL \"$1\"";

/// A watcher over a child.
#[derive(Debug)]
pub(super) struct Leash(Child);

impl Leash {
    pub(super) fn on(child: &Child) -> io::Result<Self> {
        Command::new("sh")
            .args(["-c", WATCH, "sh", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
    }

    /// Lets go of the child.
    pub(super) fn cut(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.cut();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn a_child_ends_with_the_input_of_its_watcher() {
        let mut child = sleeper();
        let mut leash = Leash::on(&child).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        // What the kernel does when this process ends.
        drop(leash.0.stdin.take());
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn a_child_that_was_let_go_stays() {
        let mut child = sleeper();
        Leash::on(&child).unwrap().cut();
        std::thread::sleep(std::time::Duration::from_millis(100));
        let stays = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(stays);
    }
}
