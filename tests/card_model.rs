//! The model of the program's time on a card: its bars, what the kernels' main loops are made of, and the README's numbers.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use nodal::Weights;
use nodal::device::{ProgramModel, model};
use nodal::kernels::Card;
use nodal::network::{AvgPoolPadding, Network};
use nodal::program::{
    Input, Mean, Normalization, Options, PoolBackward, Program, StepOp, Target, TrainOp, Training,
};

/// The model of `batch` crops on the card called `name`.
fn modelled(name: &str, batch: usize) -> (Program, ProgramModel) {
    let card = Card::named(name).unwrap();
    let network = Network::inception_v3((299, 299), 1, AvgPoolPadding::Include).unwrap();
    let weights = Weights::random(0, &network.parameters()).unwrap();
    let normalization = Normalization { divisor: 127.5, mean: Mean::Channels([1.0; 3]), scale: [1.0; 3] };
    let input = Input::Crops(normalization);
    let options = Options { input, ..Options::new(batch, Target::gpu(card.gpu())) };
    let program = Program::lower(&network, &options).unwrap();
    let model = model(&program, &weights, &card, 2, &mut |_| {}).unwrap();
    (program, model)
}

/// The README's number behind `words`, in ms, says `us` for a GTX 1080 Ti: within 3 %, which another version of the compiler may make.
fn readme_says(words: &str, us: f64) {
    let text = std::fs::read_to_string(common::root().join("README.md")).unwrap();
    let (_, behind) = text.split_once(words).unwrap();
    let ms: f64 = behind.trim_start().split_once(" ms").unwrap().0.parse().unwrap();
    assert!((ms * 1e3 / us - 1.0).abs() <= 0.03, "README: {ms} ms; the model: {us:.0} µs");
}

#[test]
fn one_crop_on_a_gtx_1080_ti() {
    let (program, model) = modelled("gtx-1080-ti", 1);
    assert!(model.us <= 3000.0, "{} µs", model.us);
    readme_says("| batch 1 |", model.us);
    let mut loops = 0;
    for (step, modelled) in program.steps.iter().zip(&model.steps) {
        assert!(modelled.estimate.us > 0.0, "{}", step.name);
        assert_eq!((modelled.loop_bank_conflicts, modelled.loop_extra_sectors), (0, 0), "{}", step.name);
        // Every sector that a launch touches is used whole; crops begin where the file has them.
        let whole = if matches!(step.op, StepOp::Crop { .. }) { 0.99 } else { 1.0 };
        assert!(modelled.sector_use >= whole, "{}: {}", step.name, modelled.sector_use);
        // The first convolutions' sums are too short for a loop.
        if matches!(step.op, StepOp::Conv2dGroup(_)) && modelled.loop_fma_share > 0.0 {
            loops += 1;
            assert!(modelled.loop_fma_share >= 0.8, "{}: {}", step.name, modelled.loop_fma_share);
        }
    }
    assert!(loops > 40, "{loops}");
}

#[test]
fn a_batch_of_64_on_a_gtx_1080_ti() {
    let (program, model) = modelled("gtx-1080-ti", 64);
    assert!(model.us <= 110e3, "{} µs", model.us);
    readme_says("| batch 64 |", model.us);
    // No launch is faster than its multiply-adds at the card's peak.
    let peak = Card::named("gtx-1080-ti").unwrap().peak_gflops();
    for (summary, modelled) in program.summary().iter().zip(&model.steps) {
        assert!(summary.flops as f64 / modelled.estimate.us / 1e3 <= peak, "{}", summary.name);
    }
}

#[test]
fn a_training_step_of_64_on_a_gtx_1080_ti() {
    let card = Card::named("gtx-1080-ti").unwrap();
    let network = Network::inception_v3((299, 299), 1, AvgPoolPadding::Include).unwrap();
    let weights = Weights::random(0, &network.parameters()).unwrap();
    let training = Some(Training { freeze: 3, ..Training::default() });
    let options = Options { training, ..Options::new(64, Target::gpu(card.gpu())) };
    let program = Program::lower(&network, &options).unwrap();
    let model = model(&program, &weights, &card, 2, &mut |_| {}).unwrap();
    assert!(model.us <= 420e3, "{} µs", model.us);
    readme_says("the first three convolutions frozen:", model.us);
    let products = ["conv2d", "conv2d_backward_data", "conv2d_backward_weight"];
    let is_product = |kind: &str| products.contains(&kind);
    let own = program.steps.iter().zip(&model.steps).filter(|(step, _)| is_product(step.kind()));
    let us: f64 = own.map(|(_, modelled)| modelled.estimate.us).sum();
    assert!(us <= 225e3, "{us} µs for the products");
    for (step, modelled) in program.steps.iter().zip(&model.steps) {
        assert!(
            step.flops(&program) as f64 / modelled.estimate.us / 1e3 <= card.peak_gflops(),
            "{}",
            step.name
        );
        assert_eq!(modelled.loop_extra_sectors, 0, "{}", step.name);
        // Where a map's rows end, a maximum's gradient looks up winners that may share a bank.
        let looks_up =
            matches!(step.op, StepOp::Train(TrainOp::Pool2dBackward { kind: PoolBackward::Max { .. }, .. }));
        assert!(looks_up || modelled.loop_bank_conflicts == 0, "{}", step.name);
        // The first convolutions' sums are too short for a loop.
        let loops = is_product(step.kind()) && modelled.loop_fma_share > 0.0;
        assert!(!loops || modelled.loop_fma_share >= 0.8, "{}: {}", step.name, modelled.loop_fma_share);
    }
}
