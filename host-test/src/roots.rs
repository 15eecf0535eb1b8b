//! The end of root contexts, and of a whole VM.
//!
//! In: a root that nobody needs any more, or the embedder's wish to end. Out: `proxy_on_done`, and `proxy_on_delete` at once or when the
//! guest says `proxy_done`.
//! Invariant: a root that is not done keeps its ticks and call-outs; one that is deleted takes its call-outs along.
//! Source: ABI v0.2.1, Context lifecycle; the owner of call-outs as in Envoy.

use crate::{
    error::Error,
    state::{Ending, RootState},
    stream::StreamId,
    vm::Vm,
};

impl Vm {
    /// Ends all streams and root contexts. Says whether everything has gone; if not, a guest has work left: give it ticks and answers, and
    /// ask again. No stream can be begun after this.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn shutdown(&mut self) -> Result<bool, Error> {
        self.check_alive()?;
        let live: Vec<u32> = {
            let streams = self.store.data().streams.iter();
            let live = streams.filter(|(_, stream)| !stream.ended);
            live.map(|(id, _)| *id).collect()
        };
        for id in live {
            self.finish(StreamId(id))?;
        }
        // No root is new streams' any more.
        self.root = 0;
        self.drop_idle_roots()?;
        self.poll()?;
        let state = self.store.data();
        Ok(state.roots.is_empty() && state.streams.is_empty())
    }

    /// Ends roots that neither new streams nor old ones need.
    pub(crate) fn drop_idle_roots(&mut self) -> Result<(), Error> {
        let state = self.store.data();
        let idle = |(root, held): &(&u32, &RootState)| {
            **root != self.root
                && held.ending == Ending::No
                && !state.streams.values().any(|stream| stream.root == **root)
        };
        let idle: Vec<u32> = state
            .roots
            .iter()
            .filter(idle)
            .map(|(root, _)| *root)
            .collect();
        idle.into_iter().try_for_each(|root| self.drop_root(root))
    }

    pub(crate) fn drop_root(&mut self, root: u32) -> Result<(), Error> {
        // Before the callback: it may end with `proxy_done` itself.
        if let Some(held) = self.store.data_mut().roots.get_mut(&root) {
            held.ending = Ending::AwaitsDone;
        }
        if let Some(done) = self.exports.done.clone()
            && self.call("proxy_on_done", root, &done, root.cast_signed())? == 0
        {
            return self.end_root(root);
        }
        self.delete_root(root)
    }

    /// Deletes a root if its guest has said `proxy_done`.
    pub(crate) fn end_root(&mut self, root: u32) -> Result<(), Error> {
        match self.store.data().roots.get(&root) {
            Some(held) if held.ending == Ending::Done => self.delete_root(root),
            _ => Ok(()),
        }
    }

    fn delete_root(&mut self, root: u32) -> Result<(), Error> {
        if let Some(delete) = self.exports.delete.clone() {
            self.call("proxy_on_delete", root, &delete, root.cast_signed())?;
        }
        let state = self.store.data_mut();
        state.callouts.cancel_root(root);
        state.roots.remove(&root);
        Ok(())
    }
}
