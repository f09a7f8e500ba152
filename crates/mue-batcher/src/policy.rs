//! Who goes next: newcomers, the cohort that encodes, or the decode set.

/// How encoding and decoding share the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Rows leave and join after every step, and newcomers encode while the others decode.
    Continuous {
        /// Encoder steps for each token, which is decoded beside the last of them: what a token can
        /// be delayed by, and by a cohort's start and what the model does in a decode step besides.
        encode_steps_max: u32,
        /// Decode steps in a row while a cohort could start: what a newcomer can be delayed by.
        decode_steps_max: u32,
        /// While rows decode, a cohort of fewer rows to encode than this does not start, but waits
        /// for company or for `decode_steps_max`, unless it is full. One (or zero) never waits.
        refill_rows_min: usize,
    },
    /// A batch encodes whole, then decodes whole, and nobody joins: for comparison only. Answers
    /// still leave when they are complete.
    Static,
}

impl Default for Policy {
    fn default() -> Self {
        Self::Continuous { encode_steps_max: 1, decode_steps_max: 4, refill_rows_min: 1 }
    }
}

/// What the next step may work on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Rows to encode of the cohort that may start now; zero while another encodes.
    pub startable_rows: usize,
    /// Whether that cohort is full.
    pub startable_full: bool,
    /// Rows of the cohort that still encode.
    pub encoding_rows: usize,
    /// Rows in the decode set or ready to join it.
    pub decoding_rows: usize,
    /// What was done last.
    pub streaks: Streaks,
}

/// Steps that one side has taken in a row while the other could have worked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streaks {
    /// Of encoding alone (starts included) while rows waited to decode.
    pub encode: u32,
    /// Of decoding alone while a cohort could have started.
    pub decode: u32,
}

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start a cohort.
    Start,
    /// Run the cohort's next encoder layer.
    Encode,
    /// Decode one token of every row.
    Decode,
    /// Run the cohort's next encoder layer and decode one token of every row, at the same time.
    Both,
    /// There is nothing to do.
    Rest,
}

/// Chooses the next step.
///
/// Rows that encode and rows that decode do not touch each other, so both take a step at the same
/// time where the machine can: always with `encode_steps_max` at one. Where it cannot, a decode step
/// costs much the same for few rows as for many, and throughput is best when whoever may encode goes
/// first and keeps the decode set full; so more encoder steps may go before each token. While rows
/// decode, `refill_rows_min` holds small cohorts back until enough rows are free and waiting, for at
/// most `decode_steps_max` tokens: a cohort that is small costs its layers' fixed part for few, and
/// stretches every answer under way. If only one side has work, it works: a lone request on an idle
/// machine starts at once. (`batch-sim --rank` compares knobs.)
///
/// Under [`Policy::Static`] a cohort starts on an empty machine and is finished stage by stage.
pub fn choose(policy: &Policy, view: &View) -> Step {
    let View { startable_rows, startable_full, encoding_rows, decoding_rows, streaks } = *view;
    if decoding_rows == 0 {
        return match (encoding_rows, startable_rows) {
            (0, 0) => Step::Rest,
            (0, _) => Step::Start,
            (_, _) => Step::Encode,
        };
    }
    let Policy::Continuous { encode_steps_max, decode_steps_max, refill_rows_min } = *policy else {
        return if encoding_rows > 0 { Step::Encode } else { Step::Decode };
    };
    if encoding_rows > 0 {
        let is_last = streaks.encode + 1 >= encode_steps_max;
        return if is_last { Step::Both } else { Step::Encode };
    }
    let is_large = startable_full || startable_rows >= refill_rows_min;
    let worth_it = is_large || streaks.decode >= decode_steps_max;
    let may_start = startable_rows > 0 && streaks.encode < encode_steps_max;
    if worth_it && may_start { Step::Start } else { Step::Decode }
}

impl View {
    /// The streaks after a step.
    pub fn streaks_after(&self, step: Step) -> Streaks {
        let Streaks { encode, decode } = self.streaks;
        match step {
            Step::Start | Step::Encode if self.decoding_rows > 0 => {
                Streaks { encode: encode + 1, decode: 0 }
            }
            Step::Decode if self.startable_rows > 0 => Streaks { encode: 0, decode: decode + 1 },
            Step::Start | Step::Encode | Step::Decode | Step::Both | Step::Rest => {
                Streaks::default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn views() -> impl Strategy<Value = View> {
        let rows = || prop_oneof![Just(0), 1..40usize];
        (rows(), rows(), rows()).prop_map(|(startable, encoding, decoding)| View {
            startable_rows: if encoding > 0 { 0 } else { startable },
            startable_full: encoding == 0 && startable > 30,
            encoding_rows: encoding,
            decoding_rows: decoding,
            streaks: Streaks::default(),
        })
    }

    fn continuous() -> impl Strategy<Value = Policy> {
        (1..6u32, 1..6u32, 0..20usize).prop_map(
            |(encode_steps_max, decode_steps_max, refill_rows_min)| Policy::Continuous {
                encode_steps_max,
                decode_steps_max,
                refill_rows_min,
            },
        )
    }

    proptest! {
        #[test]
        fn only_possible_steps_are_chosen_and_no_work_is_left_lying(
            policy in prop_oneof![continuous(), Just(Policy::Static)],
            view in views(),
            streaks in (0..8u32, 0..8u32),
        ) {
            let view = View { streaks: Streaks { encode: streaks.0, decode: streaks.1 }, ..view };
            match choose(&policy, &view) {
                Step::Start => prop_assert!(view.startable_rows > 0 && view.encoding_rows == 0),
                Step::Encode => prop_assert!(view.encoding_rows > 0),
                Step::Decode => prop_assert!(view.decoding_rows > 0),
                Step::Both => prop_assert!(view.encoding_rows > 0 && view.decoding_rows > 0),
                Step::Rest => prop_assert_eq!(
                    view.startable_rows + view.encoding_rows + view.decoding_rows,
                    0
                ),
            }
        }

        #[test]
        fn by_default_encoding_and_decoding_never_wait_for_each_other(view in views()) {
            let both = view.encoding_rows > 0 && view.decoding_rows > 0;
            prop_assert_eq!(choose(&Policy::default(), &view) == Step::Both, both);
        }

        #[test]
        fn neither_side_waits_longer_than_its_bound(
            policy in continuous(),
            views in prop::collection::vec(views(), 1..200),
        ) {
            let Policy::Continuous { encode_steps_max, decode_steps_max, .. } = policy else {
                return Err(TestCaseError::reject("only continuous"));
            };
            let (mut streaks, mut encoded, mut decoded) = (Streaks::default(), 0, 0);
            for view in views {
                let view = View { streaks, ..view };
                let step = choose(&policy, &view);
                // Counted here anew, so that the streaks themselves are under test.
                encoded = match step {
                    Step::Start | Step::Encode if view.decoding_rows > 0 => encoded + 1,
                    _ => 0,
                };
                decoded = match step {
                    Step::Decode if view.startable_rows > 0 => decoded + 1,
                    _ => 0,
                };
                prop_assert!(encoded <= encode_steps_max);
                prop_assert!(decoded <= decode_steps_max);
                streaks = view.streaks_after(step);
            }
        }

        #[test]
        fn static_batches_never_mix(view in views()) {
            match choose(&Policy::Static, &view) {
                Step::Start => prop_assert_eq!(view.decoding_rows, 0),
                Step::Decode => prop_assert_eq!(view.encoding_rows, 0),
                Step::Both => prop_assert!(false, "encoding comes first"),
                Step::Encode | Step::Rest => {}
            }
        }
    }

    #[test]
    fn small_refills_wait_for_company_only_while_rows_decode() {
        let policy =
            Policy::Continuous { encode_steps_max: 2, decode_steps_max: 3, refill_rows_min: 4 };
        let view = View { startable_rows: 3, decoding_rows: 9, ..View::default() };
        assert_eq!(choose(&policy, &view), Step::Decode);
        assert_eq!(choose(&policy, &View { startable_rows: 4, ..view }), Step::Start);
        assert_eq!(choose(&policy, &View { startable_full: true, ..view }), Step::Start);
        assert_eq!(choose(&policy, &View { decoding_rows: 0, ..view }), Step::Start);
        let waited = Streaks { encode: 0, decode: 3 };
        assert_eq!(choose(&policy, &View { streaks: waited, ..view }), Step::Start);
    }
}
