//! What requests will do.

use mue_batcher::Rows;

/// What one request will do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rows: Rows,
    /// Encoder layers after which it leaves its cohort.
    pub(crate) layers: usize,
    /// Tokens after which its answer is complete.
    pub(crate) tokens: usize,
    pub(crate) trouble: Trouble,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    FailAtBegin,
    FailAtLayer(usize),
    FailAtToken(usize),
    PanicAtBegin,
    PanicAtLayer(usize),
    PanicAtToken(usize),
    PanicAtRetain,
    /// Whatever it is not in says that it ends there: the cohort that it failed, the decode set that
    /// it failed and is finished.
    Misreported,
}

pub(crate) const fn plan(layers: usize, tokens: usize) -> Plan {
    Plan { rows: Rows::both(1), layers, tokens, trouble: Trouble::None }
}
