//! Streams by context id: a fixed fan of small buckets.
//!
//! **Invariant:** panic-free and without growth by rehashing: hosts hand out context ids in sequence, so the low
//! byte spreads them evenly and a bucket holds 1/256 of the open streams.
//! **Cost:** a scan of one bucket; no allocation once the buckets have met their load.

/// A map from context id to `T`.
#[derive(Debug)]
pub struct Table<T> {
    buckets: Vec<Vec<(u32, T)>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        let mut buckets = Vec::new();
        buckets.resize_with(BUCKETS, Vec::new);
        Self { buckets }
    }
}

impl<T> Table<T> {
    /// Stores a value, replacing (and returning) one with the same id.
    pub fn insert(&mut self, id: u32, value: T) -> Option<T> {
        if let Some(slot) = self.get_mut(id) {
            return Some(core::mem::replace(slot, value));
        }
        if let Some(bucket) = self.buckets.get_mut(bucket_of(id)) {
            bucket.push((id, value));
        }
        None
    }

    /// The value of an id.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.buckets
            .get_mut(bucket_of(id))?
            .iter_mut()
            .find(|(key, _)| *key == id)
            .map(|(_, value)| value)
    }

    /// Takes a value out.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let bucket = self.buckets.get_mut(bucket_of(id))?;
        let at = bucket.iter().position(|(key, _)| *key == id)?;
        // Not `swap_remove`: its bounds check is a panic.
        let mut entry = bucket.pop()?;
        if let Some(slot) = bucket.get_mut(at) {
            core::mem::swap(slot, &mut entry);
        }
        Some(entry.1)
    }

    /// All values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.buckets
            .iter_mut()
            .flat_map(|bucket| bucket.iter_mut().map(|(id, value)| (*id, value)))
    }
}

const BUCKETS: usize = 256;

const fn bucket_of(id: u32) -> usize {
    let [low, ..] = id.to_le_bytes();
    low as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_as_a_map() {
        let mut table = Table::default();
        let mut model = std::collections::BTreeMap::new();
        let mut seed = 1_u32;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let id = (seed >> 16) % 1_000;
            if seed & 1 == 0 {
                assert_eq!(table.insert(id, seed), model.insert(id, seed));
            } else {
                assert_eq!(table.remove(id), model.remove(&id));
            }
            assert_eq!(table.get_mut(id).copied(), model.get(&id).copied());
        }
        let mut all: Vec<_> = table.iter_mut().map(|(id, value)| (id, *value)).collect();
        all.sort_unstable();
        assert_eq!(all, model.into_iter().collect::<Vec<_>>());
        assert!(!all.is_empty());
    }
}
