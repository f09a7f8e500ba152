//! A few most recently used values, bounded in number and bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::Tensor;

/// What a kept value takes of memory.
pub(crate) trait HeldBytes {
    /// As if it shared nothing with other values.
    fn bytes(&self) -> usize;
}

impl<const D: usize> HeldBytes for Tensor<D> {
    fn bytes(&self) -> usize {
        self.dims().iter().product::<usize>() * size_of::<f32>()
    }
}

/// How much is kept. The newest value is, however large.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecentLimits {
    pub(crate) entries_max: usize,
    pub(crate) bytes_max: usize,
}

/// A few most recently used values by key.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    entries: Mutex<VecDeque<(K, Arc<V>)>>,
    limits: RecentLimits,
}

impl<K: PartialEq, V: HeldBytes> Recent<K, V> {
    pub(crate) fn new(limits: RecentLimits) -> Self {
        Self { entries: Mutex::new(VecDeque::new()), limits }
    }

    /// Makes what is not there without holding the lock: a thread that waits for others inside may
    /// run another step's work meanwhile, which may look here too.
    pub(crate) fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let excess = |kept: &K| (*kept == key).then_some(0);
        if let Some(value) = self.get(excess) {
            return value;
        }
        self.insert_with(key, make)
    }

    /// The same where values of other keys do too: of those that have an excess the one with the least.
    pub(crate) fn get_near_or_insert_with(
        &self,
        key: K,
        excess: impl Fn(&K) -> Option<usize>,
        make: impl FnOnce() -> V,
    ) -> Arc<V> {
        self.get(excess).unwrap_or_else(|| self.insert_with(key, make))
    }

    fn insert_with(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let value = Arc::new(make());
        let mut entries = self.lock();
        // Another thread may have made the same meanwhile.
        entries.retain(|entry| entry.0 != key);
        entries.push_front((key, Arc::clone(&value)));
        let kept = kept(entries.iter().map(|entry| entry.1.bytes()), self.limits);
        entries.truncate(kept);
        value
    }

    fn get(&self, excess: impl Fn(&K) -> Option<usize>) -> Option<Arc<V>> {
        let mut entries = self.lock();
        let near = entries.iter().enumerate();
        let near = near.filter_map(|(place, entry)| Some((excess(&entry.0)?, place)));
        let (_, place) = near.min()?;
        let entry = entries.remove(place)?;
        let value = Arc::clone(&entry.1);
        entries.push_front(entry);
        Some(value)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(K, Arc<V>)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn sizes(&self) -> Vec<usize> {
        self.lock().iter().map(|entry| entry.1.bytes()).collect()
    }
}

/// How many of these sizes, newest first, are within the limits; the newest always is.
fn kept(sizes: impl Iterator<Item = usize>, limits: RecentLimits) -> usize {
    let mut bytes = 0usize;
    let fits = |size: &usize| {
        bytes = bytes.saturating_add(*size);
        bytes <= limits.bytes_max
    };
    sizes.take(limits.entries_max).take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many bytes.
    struct Sized(usize);

    impl HeldBytes for Sized {
        fn bytes(&self) -> usize {
            self.0
        }
    }

    fn sizes(limits: RecentLimits, asked: &[usize]) -> Vec<usize> {
        let recent = Recent::new(limits);
        for size in asked {
            assert_eq!(recent.get_or_insert_with(*size, || Sized(*size)).0, *size);
        }
        recent.sizes()
    }

    #[test]
    fn the_least_recently_used_leave_first() {
        let limits = RecentLimits { entries_max: 3, bytes_max: 100 };
        assert_eq!(sizes(limits, &[1, 2, 3, 4]), [4, 3, 2]);
        assert_eq!(sizes(limits, &[1, 2, 3, 1, 4]), [4, 1, 3]);
    }

    #[test]
    fn bytes_are_bounded_and_the_newest_stays() {
        let limits = RecentLimits { entries_max: 8, bytes_max: 100 };
        assert_eq!(sizes(limits, &[50, 30, 20]), [20, 30, 50]);
        assert_eq!(sizes(limits, &[50, 30, 21]), [21, 30], "101 bytes would be too many");
        assert_eq!(sizes(limits, &[50, 30, 500]), [500]);
        assert_eq!(sizes(limits, &[500, 30]), [30]);
    }
}
