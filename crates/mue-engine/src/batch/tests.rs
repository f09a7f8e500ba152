//! Cohorts before their first layer: pictures pass the stem a few at a time, and requests may leave.

use mue_batcher::NoObserver;
use mue_data::PixelTensor;

use super::*;
use crate::device::DeviceChoice;
use crate::model_folder::ModelSource;
use crate::request::Image;
use crate::settings::{Encoding, ExitChoice};
use crate::threads::threads;

fn model(encoding: Encoding) -> BatchOfa {
    let mut folder = ModelFolder::open(ModelSource::Demo).unwrap();
    folder.settings.encoding = encoding;
    let device = DeviceChoice::Flex.open().unwrap();
    let model = folder.load(&device, crate::EngineSettings::default().options).unwrap();
    let images = Mutex::new(ImageCache::new(0));
    BatchOfa { model, folder: Arc::new(folder), images, observer: Arc::new(NoObserver) }
}

/// All of one shade.
fn picture(model: &BatchOfa, shade: f32) -> Image {
    let side = model.folder.settings.image_size;
    let values = vec![shade; 3 * side * side];
    Image::new(PixelTensor { values, height: side, width: side })
}

fn requests(model: &BatchOfa) -> Vec<(RequestId, Request)> {
    let entailment = |shade: f32, text: &str| {
        model.folder.entailment(picture(model, shade), ExitChoice::Off, (None, text)).unwrap()
    };
    let search = &model.folder.settings.search;
    let requests = [
        entailment(0.3, "there is a red circle"),
        entailment(0.3, "there is no circle"),
        entailment(-0.5, "there are two squares"),
        model.folder.caption(picture(model, 0.9), ExitChoice::Off, search).unwrap(),
    ];
    let ids = (0..).map(RequestId::from);
    ids.zip(requests).collect()
}

/// Rows of each layer, and who becomes ready.
fn encode(model: &mut BatchOfa, mut cohort: Cohort, count: usize) -> (Vec<usize>, Vec<RequestId>) {
    let (mut rows, mut ready) = (Vec::new(), Vec::new());
    while ready.len() < count {
        let report = model.encode(&mut cohort);
        rows.push(report.rows);
        ready.extend(report.ready.into_iter().map(|(id, _)| id));
    }
    (rows, ready)
}

#[test]
fn who_leaves_before_the_first_layer_costs_nothing() {
    for encoding in [Encoding::Decomposed, Encoding::Joint] {
        let mut model = model(encoding);
        for kept in [vec![1], vec![0, 2], vec![3], vec![1, 3]] {
            let keep = |id: RequestId| kept.contains(&u64::from(id));
            let all = requests(&model);
            let (mut cohort, _) = model.begin_encode(all);
            model.retain_encode(&mut cohort, &keep);
            let found = encode(&mut model, cohort, kept.len());
            let alone = requests(&model).into_iter().filter(|(id, _)| keep(*id)).collect();
            let (cohort, _) = model.begin_encode(alone);
            assert_eq!(found, encode(&mut model, cohort, kept.len()), "{encoding:?} {kept:?}");
        }
    }
}

/// Captions of different pictures.
fn captions(model: &BatchOfa, count: usize) -> Vec<(RequestId, Request)> {
    let caption = |place: usize| {
        let image = picture(model, place as f32 / count as f32);
        let search = &model.folder.settings.search;
        model.folder.caption(image, ExitChoice::Off, search).unwrap()
    };
    (0..count).map(|place| (RequestId::from(place as u64), caption(place))).collect()
}

#[test]
fn pictures_pass_the_stem_a_few_at_a_time() {
    let mut model = model(Encoding::Decomposed);
    let layers = model.folder.config().encoder_layers;
    let (at_once, count) = (threads(), 2 * threads() + 1);
    let all = captions(&model, count);
    let (cohort, _) = model.begin_encode(all);
    let (rows, ready) = encode(&mut model, cohort, count);
    let expected = [vec![at_once; 2], vec![count; layers]].concat();
    assert_eq!((rows, ready.len()), (expected, count));
}

#[test]
fn who_leaves_between_steps_of_the_stem_costs_nothing_more() {
    for encoding in [Encoding::Decomposed, Encoding::Joint] {
        let mut model = model(encoding);
        let layers = model.folder.config().encoder_layers;
        let count = 2 * threads() + 1;
        let all = captions(&model, count);
        let (mut cohort, _) = model.begin_encode(all);
        assert_eq!(model.encode(&mut cohort).rows, threads());
        // One whose picture is behind the stem, and one whose picture is not.
        let kept = [0, count as u64 - 1].map(RequestId::from);
        model.retain_encode(&mut cohort, &|id| kept.contains(&id));
        let (rows, ready) = encode(&mut model, cohort, kept.len());
        assert_eq!((rows, ready), (vec![kept.len(); layers], kept.to_vec()), "{encoding:?}");
    }
}
