//! What a random script is made of.

use mue_batcher::{Config, Policy, Priority, Rows};
use proptest::prelude::*;

use crate::plan::{Plan, Trouble};
use crate::scene::ms;

#[derive(Clone, Debug)]
pub(crate) enum Act {
    Submit {
        plans: Vec<Plan>,
        priority: Priority,
        deadline_ms: Option<u64>,
        stream: bool,
        permit: bool,
    },
    Reserve(usize),
    Admit,
    /// By somebody who was let in, perhaps since a drain began.
    ReserveAdmitted(usize),
    Cancel(prop::sample::Index),
    Turns(usize),
    Advance(u64),
    Drain {
        deadline_ms: u64,
        new: Config,
    },
    FailBuilds(u32),
}

fn plans() -> impl Strategy<Value = Plan> {
    let trouble = prop_oneof![
        94 => Just(Trouble::None),
        1 => Just(Trouble::FailAtBegin),
        1 => (1..4usize).prop_map(Trouble::FailAtLayer),
        1 => (1..6usize).prop_map(Trouble::FailAtToken),
        1 => Just(Trouble::PanicAtBegin),
        1 => (1..4usize).prop_map(Trouble::PanicAtLayer),
        1 => (1..6usize).prop_map(Trouble::PanicAtToken),
        1 => Just(Trouble::PanicAtRetain),
        1 => Just(Trouble::Misreported),
    ];
    let rows = (1..3usize, 1..6usize).prop_map(|(encode, decode)| Rows { encode, decode });
    (rows, 1..6usize, 1..9usize, trouble).prop_map(|(rows, layers, tokens, trouble)| Plan {
        rows,
        layers,
        tokens,
        trouble,
    })
}

pub(crate) fn configs() -> impl Strategy<Value = Config> {
    let policy = prop_oneof![
        4 => (1..5u32, 1..5u32, 0..6usize).prop_map(
            |(encode_steps_max, decode_steps_max, refill_rows_min)| Policy::Continuous {
                encode_steps_max,
                decode_steps_max,
                refill_rows_min,
            }
        ),
        1 => Just(Policy::Static),
    ];
    (policy, 8..60usize, 5..20usize, 2..9usize, 0..9u64, 0..30u64).prop_map(
        |(policy, queue_rows_max, rows_max, cohort_rows_max, wait, aging)| Config {
            policy,
            queue_rows_max,
            rows_max,
            cohort_rows_max,
            wait_max: ms(wait),
            aging: ms(aging),
            build_attempts_max: 3,
            build_wait: ms(2),
        },
    )
}

pub(crate) fn acts() -> impl Strategy<Value = Act> {
    let submit = (
        prop::collection::vec(plans(), 1..4),
        prop::sample::select(&Priority::ALL[..]),
        prop::option::of(0..60u64),
        any::<[bool; 2]>(),
    );
    prop_oneof![
        400 => submit.prop_map(|(plans, priority, deadline_ms, [stream, permit])| Act::Submit {
            plans, priority, deadline_ms, stream, permit
        }),
        30 => (1..9usize).prop_map(Act::Reserve),
        30 => Just(Act::Admit),
        20 => (1..9usize).prop_map(Act::ReserveAdmitted),
        100 => any::<prop::sample::Index>().prop_map(Act::Cancel),
        700 => (1..12usize).prop_map(Act::Turns),
        100 => (0..20u64).prop_map(Act::Advance),
        2 => (0..50u64, configs()).prop_map(|(deadline_ms, new)| Act::Drain { deadline_ms, new }),
        2 => (1..4u32).prop_map(Act::FailBuilds),
    ]
}
