//! The load generator against a real server with the demo model, over a socket.

#![allow(clippy::unwrap_used)] // helpers outside `#[test]` functions

use std::sync::Arc;
use std::time::Duration;

use mue_bench::load::{
    Client, Corpus, ExitSetting, LoadError, OverloadPlan, Plan, Rates, curve, overhead, overload,
};
use mue_engine::{DeviceChoice, Engine, EngineSettings, ModelSource};
use mue_server::{App, Config, Metrics};
use tokio::net::TcpListener;

/// Starts a server on a free port, which ends with the test's runtime; returns its address.
async fn serve(config: Config) -> String {
    let metrics = Metrics::new().unwrap();
    let settings = EngineSettings { warm_up: false, ..config.engine(DeviceChoice::Flex) };
    let observer = Arc::clone(&metrics);
    let engine = Engine::open(ModelSource::Demo, settings, observer).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = App::new(engine, config, metrics);
    tokio::spawn(mue_server::run(listener, app, std::future::pending()));
    format!("http://{address}")
}

fn corpus() -> Corpus {
    Corpus::open(&"scenes:seed=1,count=50".parse().unwrap(), Vec::new(), 0.5).unwrap()
}

fn exit(name: &str) -> ExitSetting {
    name.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_curve_has_every_setting_at_every_rate() {
    let client = Client::new(&serve(Config::default()).await, None).unwrap();
    assert_eq!(client.server().await.unwrap().device, "flex");
    let plan = Plan {
        // Thresholds below any similarity: every row leaves at the first layer where it may.
        exits: vec![exit("off"), exit("image=-1+text=-1+decoder=-1")],
        rates: Rates::PerSecond(vec![10.0, 20.0]),
        span: Duration::from_millis(500),
        seed: 1,
        callers: 2,
        in_flight_max: 64,
    };
    let mut told = Vec::new();
    let mut progress = |what: &str| told.push(what.to_owned());
    let found = curve(&client, &mut corpus(), &plan, &mut progress).await.unwrap();
    let settings: Vec<_> =
        found.points.iter().map(|point| (point.exit.as_str(), point.rate)).collect();
    let [off, all] = ["off", "image=-1+text=-1+decoder=-1"];
    assert_eq!(settings, [(off, 10.0), (all, 10.0), (off, 20.0), (all, 20.0)]);
    assert_eq!((told.len(), found.saturation.len()), (4, 0));
    for pair in found.points.chunks(2) {
        let [off, all] = pair else { panic!("points come in pairs") };
        assert_eq!(off.offered, all.offered, "both meet the same arrivals");
        for point in pair {
            assert!(point.offered > 0 && point.answered == point.offered, "{point:?}");
            assert_eq!((point.statuses[&200], point.unsent), (point.answered, 0));
            assert!(point.decode_rows_mean.unwrap() >= 1.0, "{point:?}");
        }
        assert_eq!(off.saved, Some(0.0));
        assert_eq!(off.layers.image.mean(), off.layers.image.layers() as f64);
        assert!(all.saved.unwrap() > 0.0, "{all:?}");
        assert!(all.layers.decoder.mean() < off.layers.decoder.mean(), "{all:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overhead_is_what_the_latency_has_beyond_the_engines_time() {
    let client = Client::new(&serve(Config::default()).await, None).unwrap();
    let span = Duration::from_millis(200);
    let found = overhead(&client, &mut corpus(), &exit("auto"), span).await.unwrap();
    assert!(found.requests > 0);
    assert!(found.overhead_ms.p50 > 0.0 && found.inside_ms.p50 >= 0.0, "{found:?}");
    assert!(found.latency_ms.p50 > found.engine_ms.p50, "{found:?}");
    assert!(found.inside_ms.p50 <= found.overhead_ms.max, "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overloaded_server_refuses_and_goes_on() {
    let config = Config { queue_rows_max: 4, rows_max: 4, ..Config::default() };
    let client = Client::new(&serve(config).await, None).unwrap();
    let plan = OverloadPlan {
        exit: exit("auto"),
        times: 20.0,
        span: Duration::from_millis(700),
        seed: 1,
        callers: 2,
        in_flight_max: 64,
        in_process: true,
    };
    let found = overload(&client, &mut corpus(), &plan, &mut |_| {}).await.unwrap();
    assert_eq!(found.complaint(), None, "{found:?}");
    assert!(found.statuses[&200] > 0 && found.statuses[&429] > 0, "{found:?}");
    let ended: usize = found.statuses.values().sum();
    assert_eq!(ended + found.unsent, found.offered);
    assert!(found.health.asked > 0 && found.health.failed == 0, "{found:?}");
    assert_eq!(found.memory.is_some(), cfg!(target_os = "linux"));
    assert!(found.targets[0].held && found.generator_cores.is_none(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_of_requests_under_way_is_kept() {
    let client = Client::new(&serve(Config::default()).await, None).unwrap();
    let plan = Plan {
        exits: vec![exit("off")],
        // Many are due at once, and one may be under way.
        rates: Rates::PerSecond(vec![2000.0]),
        span: Duration::from_millis(100),
        seed: 1,
        callers: 1,
        in_flight_max: 1,
    };
    let found = curve(&client, &mut corpus(), &plan, &mut |_| {}).await.unwrap();
    let point = &found.points[0];
    assert!(point.answered > 0 && point.unsent > 0, "{point:?}");
    assert_eq!(point.answered + point.unsent, point.offered);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    // Bound, so that nobody else takes the port, and gone before anybody connects.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(&url, None).unwrap();
    let error = overhead(&client, &mut corpus(), &exit("off"), Duration::ZERO).await.unwrap_err();
    assert!(matches!(&error, LoadError::NoAnswer(reason) if reason.contains("reached")), "{error}");
}
