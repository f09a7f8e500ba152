//! Every metric: its name, what kind it is, what it means.

use metrics::Recorder;

pub(super) const BUILD_INFO: &str = "mue_build_info";
pub(super) const START_TIME: &str = "mue_start_time_seconds";
pub(super) const REQUESTS: &str = "mue_requests_total";
pub(super) const REQUEST_DURATION: &str = "mue_request_duration_seconds";
pub(super) const HTTP_RESPONSES: &str = "mue_http_responses_total";
pub(super) const STAGE_DURATION: &str = "mue_stage_duration_seconds";
pub(super) const EXIT_CHOICES: &str = "mue_exit_choices_total";
pub(super) const QUALITY_FLOOR: &str = "mue_quality_floor";
pub(super) const REQUESTS_ACTIVE: &str = "mue_requests_active";
pub(super) const REQUESTS_ACTIVE_MAX: &str = "mue_requests_active_max";
pub(super) const BODY_BYTES: &str = "mue_body_bytes";
pub(super) const BODY_BYTES_MAX: &str = "mue_body_bytes_max";
pub(super) const QUEUE_REQUESTS: &str = "mue_queue_requests";
pub(super) const QUEUE_ROWS: &str = "mue_queue_rows";
pub(super) const QUEUE_ROWS_MAX: &str = "mue_queue_rows_max";
pub(super) const RESERVED_ROWS: &str = "mue_reserved_rows";
pub(super) const LIVE_ROWS: &str = "mue_live_rows";
pub(super) const LIVE_ROWS_MAX: &str = "mue_live_rows_max";
pub(super) const QUEUE_WAIT: &str = "mue_queue_wait_seconds";
pub(super) const COHORT_ROWS: &str = "mue_cohort_rows";
pub(super) const DECODE_ROWS: &str = "mue_decode_rows";
pub(super) const ACTIVE_ROWS: &str = "mue_active_rows";
pub(super) const STEP_DURATION: &str = "mue_step_duration_seconds";
pub(super) const GATHER_DURATION: &str = "mue_gather_duration_seconds";
pub(super) const EXITS: &str = "mue_exits_total";
pub(super) const EARLY_EXITS: &str = "mue_early_exits_total";
pub(super) const LAYERS_COMPUTED: &str = "mue_layers_computed_total";
pub(super) const LAYERS_POSSIBLE: &str = "mue_layers_possible_total";
pub(super) const DEFERRED: &str = "mue_deferred_answers_total";
pub(super) const MACS_COMPUTED: &str = "mue_macs_computed_total";
pub(super) const MACS_POSSIBLE: &str = "mue_macs_possible_total";
pub(super) const CACHE_HITS: &str = "mue_image_cache_hits_total";
pub(super) const CACHE_MISSES: &str = "mue_image_cache_misses_total";
pub(super) const CACHE_ENTRIES: &str = "mue_image_cache_entries";
pub(super) const CACHE_BYTES: &str = "mue_image_cache_bytes";
pub(super) const CACHE_BYTES_MAX: &str = "mue_image_cache_bytes_max";
pub(super) const REJECTIONS: &str = "mue_rejections_total";
pub(super) const ENDED: &str = "mue_ended_total";
pub(super) const RELOADS: &str = "mue_reloads_total";
pub(super) const MODEL_READY: &str = "mue_model_ready";
pub(super) const MODEL_BUILDS: &str = "mue_model_builds_total";
pub(super) const MODEL_PANICS: &str = "mue_model_panics_total";

const COUNTERS: [(&str, &str); 17] = [
    (REQUESTS, "Requests by task and outcome: ok, cancelled, or a problem's code"),
    (EXIT_CHOICES, "Requests that could be read, by task and by how they ask to exit"),
    (HTTP_RESPONSES, "Responses by route and status"),
    (
        EXITS,
        "Exits by task, branch and layer; a decoder has one per token, and captions, whose prompt is constant, none in the text branch; a joint encoder counts as image branch, for entailment as text branch too",
    ),
    (EARLY_EXITS, "Exits before the last layer, by task and branch"),
    (
        LAYERS_COMPUTED,
        "Layers that answers took, by task and branch, as if each had run alone: an encoding that was kept or shared counts again",
    ),
    (LAYERS_POSSIBLE, "Layers that they would have taken at full depth, counted alike"),
    (
        DEFERRED,
        "Entailments whose first answer was not sure enough, so that their picture went on and was read again",
    ),
    (
        MACS_COMPUTED,
        "Multiply-accumulates that answers took, as if each had run alone: an encoding that was kept or shared counts again",
    ),
    (MACS_POSSIBLE, "Multiply-accumulates that they would have taken at full depth, counted alike"),
    (CACHE_HITS, "Requests that found their picture's encoding"),
    (CACHE_MISSES, "Requests that did not find their picture's encoding"),
    (REJECTIONS, "Lists of requests that the batcher turned away, by reason"),
    (
        ENDED,
        "Results by outcome and by the stage they ended in; a list has several, but counts as one until its body is parsed",
    ),
    (MODEL_BUILDS, "Attempts to build the model, by outcome"),
    (RELOADS, "Attempts to reload settings and model, by outcome"),
    (MODEL_PANICS, "Panics of the model"),
];

const GAUGES: [(&str, &str); 16] = [
    (BUILD_INFO, "Always 1; the version is a label"),
    (START_TIME, "When the process started, in seconds since 1970"),
    (REQUESTS_ACTIVE, "Requests under way, whatever they wait for"),
    (REQUESTS_ACTIVE_MAX, "Requests that may be under way at once"),
    (BODY_BYTES, "Bytes of bodies, and of pictures fetched for them, that are held"),
    (BODY_BYTES_MAX, "Bytes of them that may be held at once"),
    (QUEUE_REQUESTS, "Requests in the queue"),
    (QUEUE_ROWS, "Rows in the queue"),
    (QUEUE_ROWS_MAX, "Rows that may wait, reserved ones included"),
    (RESERVED_ROWS, "Rows reserved for requests whose pictures are being decoded"),
    (LIVE_ROWS, "Rows that encode and decode"),
    (LIVE_ROWS_MAX, "Rows that may encode and decode at once"),
    (CACHE_ENTRIES, "Image encodings kept"),
    (CACHE_BYTES, "Bytes of image encodings kept"),
    (CACHE_BYTES_MAX, "Bytes of image encodings that may be kept"),
    (MODEL_READY, "Whether the model is loaded"),
];

const HISTOGRAMS: [(&str, &str); 9] = [
    (
        REQUEST_DURATION,
        "From a request's arrival to the end of its answer, of those answered, by task",
    ),
    (STAGE_DURATION, "Time of answered requests by task and stage"),
    (QUEUE_WAIT, "Time in the queue of requests that were admitted"),
    (COHORT_ROWS, "Rows that began to encode together"),
    (DECODE_ROWS, "Rows held in a decoder step: one per beam of every request in it"),
    (ACTIVE_ROWS, "Rows active at a layer, by branch and layer; those that have left do not count"),
    (QUALITY_FLOOR, "Quality floors that requests ask for, by task"),
    (
        GATHER_DURATION,
        "Time that a step spent on moving rows: active ones together, finished ones out, beams in their new order",
    ),
    (
        STEP_DURATION,
        "Time of a step of the model: start, encode (first with the stem), decode, or these two at once (both)",
    ),
];

/// Buckets of durations: from the overhead of a demo model to the longest deadline.
pub(super) const SECONDS: [f64; 19] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 120.0, 300.0, 600.0,
];

/// Buckets of gathering, which takes microseconds on a CPU.
pub(super) const GATHER_SECONDS: [f64; 12] = [
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01,
    0.05, 0.25,
];

/// Buckets of quality floors.
pub(super) const QUALITIES: [f64; 9] = [0.5, 0.8, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0];

/// Buckets of rows in a batch: from one to what a GPU takes.
pub(super) const ROWS: [f64; 15] =
    [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 128.0, 256.0, 512.0];

/// Says what each metric means.
pub(super) fn describe(recorder: &impl Recorder) {
    for (name, help) in COUNTERS {
        recorder.describe_counter(name.into(), None, help.into());
    }
    for (name, help) in GAUGES {
        recorder.describe_gauge(name.into(), None, help.into());
    }
    for (name, help) in HISTOGRAMS {
        recorder.describe_histogram(name.into(), None, help.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn buckets_go_as_far_as_the_default_settings() {
        let config = Config::default();
        assert_eq!(SECONDS.last(), Some(&(config.deadline_ms_max as f64 / 1e3)));
        assert_eq!(ROWS.last(), Some(&(config.queue_rows_max as f64)));
        for buckets in [&SECONDS[..], &ROWS] {
            assert!(buckets.is_sorted(), "{buckets:?}");
        }
    }
}
