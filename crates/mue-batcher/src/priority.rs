//! Priority classes, and why none starves.

use std::time::{Duration, Instant};

/// How urgent a request is.
///
/// Classes are aged, not absolute: a request counts as arriving
/// [`Config::aging`](crate::Config::aging) later for each class below [`High`](Self::High), and the
/// earliest goes first. So within a class the order is that of arrival, and a waiting request is
/// overtaken only by more urgent ones that arrive within one (or two) agings of it; from then on
/// nobody passes it, however many arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody is looking at a spinner.
    High,
    /// The default.
    #[default]
    Normal,
    /// Bulk work.
    Low,
}

impl Priority {
    /// Every class, most urgent first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// When a request of this class counts as having arrived.
    pub(crate) fn aged(self, arrived: Instant, aging: Duration) -> Instant {
        arrived + aging * self as u32
    }
}
