//! One answer of each task before the first request: position tables, the constant prompt and,
//! on a GPU, the kernels are then there. Then it is measured when gathering pays on this device.

use std::sync::Arc;
use std::time::Instant;

use mue_batcher::{BatchModel, NoObserver, RequestId};
use mue_data::PixelTensor;
use mue_model::{ExitPolicy, RunOptions};

use crate::batch::BatchOfa;
use crate::request::{Image, Request, Task};

/// Warms a model up. Its observer hears that it happened, not the answers that nobody asked for.
pub(crate) fn run(mut model: BatchOfa) -> BatchOfa {
    let start = Instant::now();
    let observer = std::mem::replace(&mut model.observer, Arc::new(NoObserver));
    answer_grey_picture(&mut model);
    model.images().clear();
    let side = model.folder.settings.image_size;
    let gather = model.compute(|| model.model.measure_gather(side));
    let options = RunOptions { gather, ..model.model.options() };
    model.model = model.model.with_options(options);
    model.observer = observer;
    model.observer.warmed_up(start.elapsed(), &gather);
    model
}

fn answer_grey_picture(model: &mut BatchOfa) {
    let side = model.folder.settings.image_size;
    let values = vec![0.0; 3 * side * side];
    let image = Image::new(PixelTensor { values, height: side, width: side });
    let search = model.folder.settings.search.settings();
    let prompt = model.folder.caption_prompt.clone();
    let entailment = Task::Entailment { prompt, deferral: None };
    let tasks = [Task::Caption { search }, entailment];
    let policy = ExitPolicy::full();
    let mut left = tasks.len();
    let requests = tasks.into_iter().enumerate().map(|(place, task)| {
        let request = Request { image: image.clone(), task, policy: policy.clone() };
        (RequestId::from(place as u64), request)
    });
    let (mut cohort, _) = model.begin_encode(requests.collect());
    let mut set = model.begin_decode();
    let mut answers = left;
    while left > 0 {
        let report = model.encode(&mut cohort);
        left -= report.ready.len() + report.failed.len();
        model.join(&mut set, report.ready, &|_| false);
    }
    while answers > 0 {
        let report = model.decode(&mut set);
        answers -= report.finished.len() + report.failed.len();
    }
}
