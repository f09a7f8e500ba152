//! What was found, as text, JSON or a page with plots.

mod html;
mod text;

use serde::Serialize;

use super::client::ServerInfo;
use super::corpus::Requests;
use super::curve::Curve;
use super::overhead::Overhead;
use super::overload::Overload;

pub use html::html;
pub use mue_page::PlotError;

/// Everything that one run found, and on what.
///
/// It is written as text by [`Report::write_text`], as JSON by `serde`, and a curve as a page by
/// [`html`](html()).
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which server.
    pub server: ServerInfo,
    /// How it was loaded.
    pub setup: Setup,
    /// Throughput and latency, if asked for.
    #[serde(flatten)]
    pub curve: Option<Curve>,
    /// What the service adds, by exit setting, if asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overhead: Vec<Overhead>,
    /// Overload by exit setting, if asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overload: Vec<Overload>,
}

/// How a server was loaded.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// Its address, if it is another process.
    pub url: Option<String>,
    /// Seconds of each measurement.
    pub seconds: f64,
    /// Which arrivals.
    pub seed: u64,
    /// Share of caption requests; the others are entailments.
    pub captions: f64,
    /// Where the pictures are from.
    pub data: String,
    /// Pictures that there are.
    pub pictures: usize,
    /// Requests that were sent, warm-ups included.
    #[serde(flatten)]
    pub requests: Requests,
    /// Callers of closed loops.
    pub callers: usize,
    /// Requests that may be under way at once.
    pub in_flight_max: usize,
}

impl Setup {
    /// In a few words.
    fn summary(&self) -> String {
        let Self { seconds, seed, captions, data, requests: Requests { sent, repeats }, .. } = self;
        let share = captions * 100.0;
        let repeats = match (*repeats, &self.url) {
            (0, _) => "no picture came twice".to_owned(),
            (repeats, None) => format!("{repeats} pictures came again and were encoded anew"),
            (repeats, Some(_)) => format!("{repeats} pictures came again, perhaps from a cache"),
        };
        format!(
            "{seconds} s each, Poisson arrivals of seed {seed}, {share:.0}% captions, {data}; \
             {sent} requests, {repeats}"
        )
    }
}

/// Made-up reports for tests.
#[cfg(test)]
mod tests {
    use super::super::curve::Saturation;
    use super::super::point::tests::point;
    use super::*;

    /// Two exit settings at two rates.
    pub(super) fn report() -> Report {
        let points = vec![
            point("off", 10.0, 20),
            point("auto", 10.0, 10),
            point("off", 20.0, 400),
            point("auto", 20.0, 15),
        ];
        let saturation = [("off", 18.0), ("auto", 25.5)]
            .map(|(exit, answers_per_s)| Saturation { exit: exit.to_owned(), answers_per_s });
        let saturation = saturation.to_vec();
        Report {
            server: ServerInfo { model: "<made> & up".to_owned(), device: "flex".to_owned() },
            setup: Setup {
                url: None,
                seconds: 10.0,
                seed: 1,
                captions: 0.5,
                data: "scenes:seed=1,count=100,split=test".to_owned(),
                pictures: 100,
                requests: Requests { sent: 120, repeats: 20 },
                callers: 64,
                in_flight_max: 1024,
            },
            curve: Some(Curve { saturation, points }),
            overhead: Vec::new(),
            overload: Vec::new(),
        }
    }

    #[test]
    fn json_has_the_curve_beside_the_setup() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["saturation"][1]["answers_per_s"], 25.5);
        let setup = &json["setup"];
        assert_eq!((&setup["requests"], &setup["repeats"]), (&120.into(), &20.into()));
        let point = &json["points"][0];
        assert_eq!((&point["exit"], &point["rate"]), (&"off".into(), &10.0.into()));
        assert_eq!(point["statuses"]["429"], 1);
        assert_eq!(point["layers"]["decoder"]["counts"].as_array().unwrap().len(), 4);
        assert!(json.get("overhead").is_none() && json.get("curve").is_none());
    }

    #[test]
    fn repeated_pictures_are_said() {
        let mut setup = report().setup;
        assert!(setup.summary().contains("20 pictures came again and were encoded anew"));
        setup.url = Some("http://localhost".to_owned());
        assert!(setup.summary().contains("perhaps from a cache"));
        setup.requests.repeats = 0;
        assert!(setup.summary().contains("no picture came twice"));
    }
}
