use std::time::Duration;

use mue_batcher::Policy;

use super::*;
use crate::costs::Line;
use crate::jobs::{Distribution, Task};

const LAYERS: usize = 6;

fn line(base_us: f64, per_row_us: f64) -> Line {
    Line { base_us, per_row_us }
}

fn scenario(distribution: Distribution, entailments: f64, load: Load) -> Scenario {
    let costs = Costs {
        stem: line(500.0, 5500.0),
        image_layer: line(600.0, 560.0),
        text_layer: line(400.0, 235.0),
        decoder_layer: line(300.0, 36.0),
        answer_layer: line(500.0, 330.0),
        first_reach_us: 25.0,
    };
    let mix = Mix { distribution, entailments, beam_size: 1, layers: LAYERS };
    Scenario { mix, load, costs, requests: 800, seed: 3 }
}

fn saturated(distribution: Distribution, entailments: f64) -> Scenario {
    scenario(distribution, entailments, Load::Saturated { clients: 128 })
}

fn fixed() -> Config {
    Config { policy: Policy::Static, cohort_rows_max: 16, ..Config::default() }
}

/// Continuous and static batches of the same size.
fn both(scenario: &Scenario) -> (Summary, Summary) {
    let of = |config: &Config| simulate(config, scenario).unwrap();
    // As many encoder steps as suit a machine that does one thing at a time, as this one does.
    let policy =
        Policy::Continuous { encode_steps_max: 4, decode_steps_max: 4, refill_rows_min: 16 };
    (of(&Config { policy, ..fixed() }), of(&fixed()))
}

/// The latency of the first request, alone.
fn lone_ms(entailments: f64) -> (Job, f64) {
    let load = Load::Saturated { clients: 1 };
    let scenario = Scenario { requests: 1, ..scenario(Distribution::Late, entailments, load) };
    let summary = simulate(&Config::default(), &scenario).unwrap();
    assert_eq!(summary.idle_share, 0.0);
    (scenario.mix.job(scenario.seed, 0), summary.latency_p50_ms)
}

fn milliseconds(times_us: impl IntoIterator<Item = f64>) -> f64 {
    times_us.into_iter().sum::<f64>() / 1e3
}

#[test]
fn a_lone_caption_takes_the_sum_of_its_steps() {
    let (job, latency_ms) = lone_ms(0.0);
    let Task::Caption { token_layers, .. } = job.task else { panic!("no caption") };
    let deepest = token_layers.iter().max().unwrap();
    let decoded: usize = token_layers.iter().sum();
    let expected_ms = milliseconds([
        6000.0,
        1160.0 * job.image_layers as f64,
        336.0 * decoded as f64,
        25.0 * *deepest as f64,
    ]);
    assert!((latency_ms - expected_ms).abs() < 1e-9, "{latency_ms} is not {expected_ms}");
}

#[test]
fn a_lone_entailment_takes_the_sum_of_its_steps() {
    let (job, latency_ms) = lone_ms(1.0);
    let Task::Entailment { text_layers, decoder_layers } = job.task else {
        panic!("no entailment")
    };
    let expected_ms = milliseconds([
        6000.0,
        1160.0 * job.image_layers as f64,
        635.0 * text_layers as f64,
        830.0 * decoder_layers as f64,
    ]);
    assert!((latency_ms - expected_ms).abs() < 1e-9, "{latency_ms} is not {expected_ms}");
}

#[test]
fn equal_requests_at_saturation_flow_as_calculated_by_hand() {
    // Sixteen entailments at a time, every one of six layers in both halves and in the decoder.
    let scenario = saturated(Distribution::Full, 1.0);
    let cohort_ms = 88.5 + 6.0 * (9.56 + 4.16) + 6.0 * 5.78;
    let expected_per_s = 16.0 / cohort_ms * 1e3;
    let (continuous, batches) = both(&scenario);
    assert!((batches.throughput_per_s / expected_per_s - 1.0).abs() < 1e-9);
    assert_eq!((batches.cohort_rows_mean, batches.decode_rows_mean), (16.0, 16.0));
    // The same steps in another order, so that only the ends of the window differ.
    assert!((continuous.throughput_per_s / expected_per_s - 1.0).abs() < 0.02);
}

#[test]
fn continuous_batches_answer_more_than_static_ones_when_depths_differ() {
    let scenario = saturated(Distribution::Bimodal, 0.5);
    let (continuous, batches) = both(&scenario);
    assert!(continuous.throughput_per_s > 1.1 * batches.throughput_per_s);
    assert!(continuous.latency_p50_ms < batches.latency_p50_ms);
    assert!(continuous.decode_rows_mean > 2.0 * batches.decode_rows_mean);
}

#[test]
fn the_more_a_step_costs_without_rows_the_more_continuous_batches_gain() {
    let mut scenario = saturated(Distribution::Bimodal, 0.5);
    let flat = line(500.0, 5.0);
    let Costs { stem, image_layer, text_layer, decoder_layer, answer_layer, .. } =
        &mut scenario.costs;
    for cost in [stem, image_layer, text_layer, decoder_layer, answer_layer] {
        *cost = flat;
    }
    let (continuous, batches) = both(&scenario);
    assert!(continuous.throughput_per_s > 2.0 * batches.throughput_per_s);
    assert!(continuous.latency_p99_ms < batches.latency_p99_ms);
}

#[test]
fn what_a_machine_can_bear_is_answered_as_it_comes() {
    let rate_per_s = 10.0;
    let scenario = scenario(Distribution::Early, 0.5, Load::Open { rate_per_s });
    let summary = simulate(&Config::default(), &scenario).unwrap();
    assert!((summary.throughput_per_s / rate_per_s - 1.0).abs() < 0.1);
    assert!((0.5..1.0).contains(&summary.idle_share), "{}", summary.idle_share);
    assert_eq!(summary.refused_share, 0.0);
}

#[test]
fn what_no_machine_can_bear_is_refused() {
    let scenario = scenario(Distribution::Full, 0.5, Load::Open { rate_per_s: 10_000.0 });
    let config = Config { queue_rows_max: 32, ..Config::default() };
    let summary = simulate(&config, &scenario).unwrap();
    assert!(summary.refused_share > 0.9 && summary.idle_share < 1e-9, "{summary:?}");
}

#[test]
fn a_seed_decides_everything() {
    let scenario = scenario(Distribution::Bimodal, 0.5, Load::Open { rate_per_s: 50.0 });
    let of = |scenario: &Scenario| simulate(&Config::default(), scenario).unwrap();
    let once = of(&scenario);
    assert_eq!(once, of(&scenario));
    assert_ne!(once, of(&Scenario { seed: 4, ..scenario }));
}

#[test]
fn time_passes_to_the_next_arrival_when_there_is_nothing_to_do() {
    let scenario = scenario(Distribution::Early, 0.5, Load::Open { rate_per_s: 0.01 });
    let mut simulation = Simulation::new(&Config::default(), &scenario).unwrap();
    simulation.run_until(1).unwrap();
    let Simulation { clock, .. } = simulation;
    assert!(clock.elapsed() > Duration::from_secs(1), "{:?}", clock.elapsed());
}
