//! What a model's calibration promises.

use mue_data::datasets::Task;
use mue_engine::{Engine, ExitChoice, OperatingPoint};

/// The certified point behind a choice of exits; none where nothing is promised of it.
pub fn promised<'a>(
    engine: &'a Engine,
    task: Task,
    exit: &ExitChoice,
) -> Option<&'a OperatingPoint> {
    let (calibration, exits) = (engine.model().calibration(), &engine.model().settings().exits);
    let (calibration, stated) = match task {
        Task::Caption => (&calibration.caption, &exits.caption),
        Task::Entailment => (&calibration.entailment, &exits.entailment),
    };
    match exit {
        ExitChoice::Auto => calibration.point_of(calibration.default_rules(stated.as_ref())?),
        ExitChoice::Mue => calibration.mue.as_ref(),
        ExitChoice::Quality(quality) => calibration.cheapest(*quality),
        _ => None,
    }
}
