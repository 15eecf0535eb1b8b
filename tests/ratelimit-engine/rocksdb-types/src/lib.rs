//! The types of RocksDB that limitador names, so that it compiles without RocksDB.
//!
//! **Invariant:** there is no database here: opening one is an error, and without one nothing else can be called.

#![expect(missing_docs, reason = "names of another crate, documented there")]

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    NotSupported,
    TimedOut,
    TryAgain,
}

#[derive(Debug)]
pub struct Error(ErrorKind);

impl Error {
    pub fn kind(&self) -> ErrorKind {
        self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("built without RocksDB")
    }
}

impl std::error::Error for Error {}

#[derive(Debug)]
pub enum CompactionDecision {
    Keep,
    Remove,
}

#[derive(Debug)]
pub enum DBCompressionType {
    None,
    Bz2,
}

#[derive(Debug)]
pub enum IteratorMode {
    Start,
}

#[derive(Debug)]
pub struct MultiThreaded;

#[derive(Debug)]
pub struct MergeOperands(Infallible);

impl<'a> IntoIterator for &'a MergeOperands {
    type Item = &'a [u8];
    type IntoIter = std::iter::Empty<&'a [u8]>;

    fn into_iter(self) -> Self::IntoIter {
        match self.0 {}
    }
}

#[derive(Debug, Default)]
pub struct Options;

impl Options {
    pub fn set_compression_type(&mut self, _kind: DBCompressionType) {}

    pub fn create_if_missing(&mut self, _create: bool) {}

    pub fn set_compaction_filter<F>(&mut self, _name: &str, _filter: F)
    where
        F: FnMut(u32, &[u8], &[u8]) -> CompactionDecision + Send + 'static,
    {
    }

    pub fn set_merge_operator_associative<F>(&mut self, _name: &str, _merge: F)
    where
        F: Fn(&[u8], Option<&[u8]>, &MergeOperands) -> Option<Vec<u8>> + Clone + 'static,
    {
    }
}

/// A database that nobody can open.
#[derive(Debug)]
pub struct DBWithThreadMode<T>(Infallible, PhantomData<T>);

pub type DB = DBWithThreadMode<MultiThreaded>;
type Entry = Result<(Box<[u8]>, Box<[u8]>), Error>;

impl<T> DBWithThreadMode<T> {
    pub fn open<P: AsRef<Path>>(_options: &Options, _path: P) -> Result<Self, Error> {
        Err(Error(ErrorKind::NotSupported))
    }

    pub fn get<K: AsRef<[u8]>>(&self, _key: K) -> Result<Option<Vec<u8>>, Error> {
        match self.0 {}
    }

    pub fn merge<K: AsRef<[u8]>, V: AsRef<[u8]>>(&self, _key: K, _value: V) -> Result<(), Error> {
        match self.0 {}
    }

    pub fn delete<K: AsRef<[u8]>>(&self, _key: K) -> Result<(), Error> {
        match self.0 {}
    }

    pub fn prefix_iterator<P: AsRef<[u8]>>(&self, _prefix: P) -> std::vec::IntoIter<Entry> {
        match self.0 {}
    }

    pub fn iterator(&self, _mode: IteratorMode) -> std::vec::IntoIter<Entry> {
        match self.0 {}
    }
}
