//! A share of the requests, spread evenly over them.

/// Whether the request at a place, counted from 0, is one of a share (0 to 1) of all: when the share
/// of those so far passes a whole.
pub fn is_of_share(place: usize, share: f64) -> bool {
    let of_first = |requests: usize| (requests as f64 * share).floor();
    of_first(place + 1) > of_first(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_spread_evenly() {
        let places = |share| (0..8).filter(|place| is_of_share(*place, share)).collect::<Vec<_>>();
        assert_eq!(places(0.25), [3, 7]);
        assert_eq!(places(0.5), [1, 3, 5, 7]);
        assert_eq!((places(0.0).len(), places(1.0).len()), (0, 8));
    }
}
