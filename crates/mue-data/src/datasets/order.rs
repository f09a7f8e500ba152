//! Shuffling.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// Keeps these random numbers apart from those of scenes.
const TAG: [u8; 8] = *b"shuffle1";

/// The numbers below `count` in an order that seed and epoch decide, the same on every machine.
pub fn shuffled(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[24..].copy_from_slice(&TAG);
    let mut random = ChaCha8Rng::from_seed(key);
    random.set_stream(epoch);
    let mut order: Vec<usize> = (0..count).collect();
    for end in (1..count).rev() {
        // Widening multiplication: 128 bits, so that the bias is of no consequence.
        let place = (u128::from(random.next_u64()) * (end as u128 + 1)) >> 64;
        order.swap(end, place as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_every_number_once_and_depends_on_seed_and_epoch() {
        let order = shuffled(100, 1, 0);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(order, shuffled(100, 1, 0));
        assert_ne!(order, shuffled(100, 2, 0));
        assert_ne!(order, shuffled(100, 1, 1));
        assert!(shuffled(0, 1, 0).is_empty());
    }

    #[test]
    fn every_place_is_as_likely() {
        let mut at_first = [0; 5];
        for epoch in 0..5000 {
            at_first[shuffled(5, 9, epoch)[0]] += 1;
        }
        assert!(at_first.iter().all(|count| (900..1100).contains(count)), "{at_first:?}");
    }
}
