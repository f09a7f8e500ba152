//! What a server under overload is held to.

use serde::Serialize;

use super::overload::Overload;
use super::probe::Health;

/// What a server may answer under any load: done, refused at the door, or too late.
pub(super) const SOUND_STATUSES: [u16; 3] = [200, 429, 504];

/// Share of the capacity that is still to be done.
const SHARE_MIN: f64 = 0.95;

/// Milliseconds within which health answers, every time.
const HEALTH_MS_MAX: f64 = 50.0;

/// Something that is asked of a server, and whether it did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// What it is about.
    pub name: &'static str,
    /// What is asked.
    pub asked: String,
    /// What was found.
    pub found: String,
    /// Whether that is what is asked.
    pub held: bool,
}

/// Every target, with what was found; that of memory only where it is known.
pub(super) fn targets(found: &Overload) -> Vec<Target> {
    let longest = found.health.latency_ms.map_or(f64::INFINITY, |times| times.max);
    let mut targets = vec![
        Target {
            name: "answers",
            asked: "200, 429 or 504".to_owned(),
            found: statuses(found),
            held: found.unsound_answers().is_empty(),
        },
        Target {
            name: "accepted work",
            asked: format!("{:.0}% of the capacity", SHARE_MIN * 100.0),
            found: format!(
                "{:.1}/s of {:.1}/s, {:.1}%",
                found.accepted_per_s,
                found.capacity_per_s,
                found.share_of_capacity * 100.0
            ),
            held: found.share_of_capacity >= SHARE_MIN,
        },
        Target {
            name: "health",
            asked: format!("under {HEALTH_MS_MAX:.0} ms"),
            found: looks(&found.health),
            held: longest < HEALTH_MS_MAX && found.health.failed == 0,
        },
    ];
    targets.extend(found.memory.map(|memory| {
        let [start, mid, end] = [memory.bytes_start, memory.bytes_mid, memory.bytes_end]
            .map(|bytes| bytes as f64 / f64::from(1 << 20));
        Target {
            name: "memory",
            asked: "flat from half time on".to_owned(),
            found: format!("{start:.0} MiB before, {mid:.0} at half time, {end:.0} at the end"),
            held: memory.is_flat(),
        }
    }));
    targets
}

fn statuses(found: &Overload) -> String {
    let counted = found.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
    let failed = (found.failed > 0).then(|| format!("none: {}", found.failed));
    counted.chain(failed).collect::<Vec<_>>().join(", ")
}

fn looks(health: &Health) -> String {
    let Some(times) = health.latency_ms else { return "no answer".to_owned() };
    let failed = match health.failed {
        0 => String::new(),
        failed => format!(", {failed} of {} failed", health.asked),
    };
    format!("p99 {:.1} ms, longest {:.1} ms{failed}", times.p99, times.max)
}

#[cfg(test)]
mod tests {
    use super::super::overload::tests::made_up;
    use super::super::percentiles::Percentiles;
    use super::*;

    fn missed(found: &Overload) -> Vec<&'static str> {
        targets(found).into_iter().filter(|it| !it.held).map(|it| it.name).collect()
    }

    #[test]
    fn each_target_can_be_missed() {
        let mut found = made_up();
        assert_eq!(missed(&found), [] as [&str; 0]);
        found.health.failed = 3;
        assert_eq!(missed(&found), ["health"]);
        assert!(looks(&found.health).ends_with("3 of 600 failed"));
        found.health.failed = 0;
        found.statuses.insert(503, 1);
        assert_eq!(missed(&found), ["answers"]);
        found.share_of_capacity = 0.949;
        found.health.latency_ms = Percentiles::of(vec![50.0]);
        assert_eq!(missed(&found), ["answers", "accepted work", "health"]);
        let memory = found.memory.as_mut().unwrap();
        memory.bytes_end = memory.bytes_mid * 2;
        assert_eq!(missed(&found).last(), Some(&"memory"));
        found.health.latency_ms = None;
        found.memory = None;
        assert_eq!(missed(&found), ["answers", "accepted work", "health"]);
    }
}
