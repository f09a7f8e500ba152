//! Cohorts before their first layer: pictures pass the stem a few at a time, and requests may leave.

use std::sync::atomic::AtomicUsize;

use mue_batcher::{NoObserver, Observer};
use mue_data::PixelTensor;

use super::*;
use crate::calibration::{BranchRule, Deferral, ExitRules};
use crate::device::DeviceChoice;
use crate::model_folder::ModelSource;
use crate::observer::LayerStep;
use crate::request::Image;
use crate::settings::{Encoding, ExitChoice};
use crate::threads::threads;

fn model(encoding: Encoding) -> BatchOfa {
    let mut folder = ModelFolder::open(ModelSource::Demo).unwrap();
    folder.settings.encoding = encoding;
    let device = DeviceChoice::Flex.open().unwrap();
    let model = folder.load(&device, crate::EngineSettings::default().options).unwrap();
    let images = Mutex::new(ImageCache::new(0));
    let (folder, observer) = (Arc::new(folder), Arc::new(NoObserver));
    BatchOfa { model, folder, images, observer, cohort_rows_max: 8 }
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
fn encode(model: &mut BatchOfa, cohort: Cohort, count: usize) -> (Vec<usize>, Vec<RequestId>) {
    let (rows, ready) = encode_rest(model, cohort, count);
    (rows, ready.into_iter().map(|(id, _)| id).collect())
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

/// Encodes until pictures have been through their first layer; returns the texts' layer.
fn encode_first_layer(model: &mut BatchOfa, cohort: &mut Cohort, pictures: usize) -> usize {
    let stem_steps = pictures.div_ceil(threads()) - 1;
    for _ in 0..=stem_steps {
        assert!(model.encode(cohort).ready.is_empty());
    }
    1 + stem_steps
}

/// The answers of requests that decode together, to which nobody listens.
fn decode(model: &mut BatchOfa, encoded: Vec<(RequestId, Encoded)>) -> Vec<(RequestId, Reply)> {
    let (mut set, count) = (model.begin_decode(), encoded.len());
    model.join(&mut set, encoded, &|_| false);
    let mut answers = Vec::new();
    while answers.len() < count {
        let report = model.decode(&mut set);
        assert!(report.failed.is_empty() && report.events.is_empty());
        answers.extend(report.finished);
    }
    answers.sort_by_key(|(id, _)| *id);
    answers
}

/// Encodes what is left of a cohort: rows of each layer, and encodings.
fn encode_rest(
    model: &mut BatchOfa,
    mut cohort: Cohort,
    count: usize,
) -> (Vec<usize>, Vec<(RequestId, Encoded)>) {
    let (mut rows, mut ready) = (Vec::new(), Vec::new());
    while ready.len() < count {
        let report = model.encode(&mut cohort);
        rows.push(report.rows);
        ready.extend(report.ready);
    }
    (rows, ready)
}

#[test]
fn who_leaves_after_the_first_layer_costs_nothing_more_and_changes_nothing() {
    // Of the requests above: who stays, and the pictures and texts that they are of.
    let cases = [(vec![1], 1, 1), (vec![0, 1], 1, 2), (vec![2, 3], 2, 1), (vec![0, 3], 2, 1)];
    for (kept, pictures, texts) in cases {
        let mut model = model(Encoding::Decomposed);
        let layers = model.folder.config().encoder_layers;
        let keep = |id: RequestId| kept.contains(&u64::from(id));
        let all = requests(&model);
        let (mut cohort, _) = model.begin_encode(all);
        let texts_layer = encode_first_layer(&mut model, &mut cohort, 3);
        model.retain_encode(&mut cohort, &keep);
        let (rows, ready) = encode_rest(&mut model, cohort, kept.len());
        let both = |layer| pictures + if layer <= layers - texts_layer { texts } else { 0 };
        assert_eq!(rows, (1..layers).map(both).collect::<Vec<_>>(), "{kept:?}");
        let together = decode(&mut model, ready);
        let alone = requests(&model).into_iter().filter(|(id, _)| keep(*id)).collect();
        let (cohort, _) = model.begin_encode(alone);
        let (_, ready) = encode_rest(&mut model, cohort, kept.len());
        for ((id, one), (other_id, other)) in together.iter().zip(decode(&mut model, ready)) {
            let told = |reply: &Reply| match reply {
                Reply::Caption(caption) => caption.text.clone(),
                Reply::Entailment(verdict) => verdict.label.name().to_owned(),
            };
            assert_eq!((*id, told(one)), (other_id, told(&other)), "{kept:?}");
            assert_eq!(one.compute(), other.compute(), "{kept:?}");
        }
    }
}

#[test]
fn in_joint_encoding_too() {
    let mut model = model(Encoding::Joint);
    let layers = model.folder.config().encoder_layers;
    let all = requests(&model);
    let (mut cohort, _) = model.begin_encode(all);
    encode_first_layer(&mut model, &mut cohort, 4);
    model.retain_encode(&mut cohort, &|id| u64::from(id) == 2);
    let (rows, ready) = encode_rest(&mut model, cohort, 1);
    assert_eq!(rows, vec![1; layers - 1]);
    assert_eq!(ready[0].0, RequestId::from(2));
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

#[test]
fn a_picture_passes_the_stem_once_however_many_sentences_are_about_it() {
    let mut model = model(Encoding::Joint);
    let hypotheses: Vec<_> = (0..=2 * threads())
        .map(|place| {
            let text = (None, "there is a red circle");
            let request = model.folder.entailment(picture(&model, 0.3), ExitChoice::Off, text);
            (RequestId::from(place as u64), request.unwrap())
        })
        .collect();
    let (mut cohort, _) = model.begin_encode(hypotheses);
    let report = model.encode(&mut cohort);
    assert_eq!((report.layer, report.rows), (1, 2 * threads() + 1), "no step for the stem alone");
}

/// Counts image rows, layer by layer.
#[derive(Default)]
struct ImageRows(AtomicUsize);

impl Observer for ImageRows {}

impl EngineObserver for ImageRows {
    fn layer(&self, step: &LayerStep) {
        if step.branch == Branch::Image {
            self.0.fetch_add(step.rows, Ordering::Relaxed);
        }
    }
}

/// A model whose image rows are counted.
fn counting() -> (BatchOfa, Arc<ImageRows>) {
    let counted = Arc::new(ImageRows::default());
    let observer = Arc::clone(&counted) as Arc<dyn EngineObserver>;
    (BatchOfa { observer, ..model(Encoding::Decomposed) }, counted)
}

/// A question about a picture, whose first answer is deferred.
fn deferred(model: &BatchOfa, id: u64, (shade, text): (f32, &str)) -> (RequestId, Request) {
    let rules = ExitRules {
        image: BranchRule::Fixed(1),
        deferral: Some(Deferral { below: 2.0, image: 5 }),
        ..ExitRules::default()
    };
    let (image, choice) = (picture(model, shade), ExitChoice::Rules(rules));
    (RequestId::from(id), model.folder.entailment(image, choice, (None, text)).unwrap())
}

fn encoded(model: &mut BatchOfa, asked: Vec<(RequestId, Request)>) -> Vec<(RequestId, Encoded)> {
    let count = asked.len();
    let (cohort, _) = model.begin_encode(asked);
    encode_rest(model, cohort, count).1
}

fn finished(report: DecodeReport<BatchOfa>) -> Vec<u64> {
    report.finished.into_iter().map(|(id, _)| id.into()).collect()
}

#[test]
fn a_deferred_picture_goes_on_while_somebody_waits_for_it() {
    let (mut model, counted) = counting();
    let (circle, squares) = ((0.3, "there is a red circle"), (0.3, "there are two squares"));
    let two = vec![deferred(&model, 0, circle), deferred(&model, 1, squares)];
    let two = encoded(&mut model, two);
    let late = vec![deferred(&model, 2, circle)];
    let late = encoded(&mut model, late);
    counted.0.store(0, Ordering::Relaxed);
    let rows = || counted.0.load(Ordering::Relaxed);
    let mut set = model.begin_decode();

    model.join(&mut set, two, &|_| false);
    for expected in [0, 1, 2] {
        assert!(finished(model.decode(&mut set)).is_empty());
        assert_eq!(
            rows(),
            expected,
            "the first reading, then a layer of the picture with each step"
        );
    }
    model.retain_decode(&mut set, &|id| id == RequestId::from(1));
    model.decode(&mut set);
    assert_eq!(rows(), 3, "one still waits");
    model.retain_decode(&mut set, &|_| false);
    model.decode(&mut set);
    assert_eq!(rows(), 3, "nobody does");

    model.join(&mut set, late, &|_| false);
    for _ in 0..4 {
        assert!(finished(model.decode(&mut set)).is_empty());
    }
    assert_eq!(finished(model.decode(&mut set)), [2], "it goes on anew for who comes later");
    assert_eq!(rows(), 3 + 4);
}

#[test]
fn no_more_deferred_pictures_go_on_at_a_time_than_a_cohort_has() {
    let (mut model, counted) = counting();
    model.cohort_rows_max = 2;
    let text = "there is a red circle";
    let asked = [0.1, 0.2, 0.1, 0.3].iter().zip(0..);
    let asked = asked.map(|(shade, id)| deferred(&model, id, (*shade, text))).collect();
    let asked = encoded(&mut model, asked);
    counted.0.store(0, Ordering::Relaxed);
    let mut set = model.begin_decode();
    model.join(&mut set, asked, &|_| false);
    let mut steps = Vec::new();
    for _ in 0..9 {
        let mut answered = finished(model.decode(&mut set));
        answered.sort_unstable();
        steps.push((counted.0.swap(0, Ordering::Relaxed), answered));
    }
    let none = |rows| (rows, Vec::new());
    let two = [none(0), none(2), none(2), none(2), (2, vec![0, 1, 2])];
    let one = [none(1), none(1), none(1), (1, vec![3])];
    assert_eq!(steps, [&two[..], &one].concat());
}
