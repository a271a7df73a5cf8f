//! Training programs: what they cost, and that what is frozen costs nothing.

use std::collections::HashSet;

use super::*;
use crate::network::AvgPoolPadding;
use crate::program::{Gpu, Step, StepOp, Target};

fn network() -> Network {
    Network::inception_v3((299, 299), 1, AvgPoolPadding::Include).unwrap()
}

fn options(batch: usize, freeze: usize) -> Options {
    Options { training: Some(Training { freeze }), ..Options::new(batch, Target::cpu()) }
}

fn program(batch: usize, freeze: usize) -> Program {
    Program::lower(&network(), &options(batch, freeze)).unwrap()
}

/// The layers that a backward step is about.
fn backward_layers(step: &Step) -> Vec<String> {
    let parts = |conv: &crate::program::Conv2d| conv.parts.iter().map(|p| p.layer.clone()).collect();
    match &step.op {
        StepOp::Train(TrainOp::NormalizeBackward { layer, .. } | TrainOp::LinearBackward { layer, .. }) => {
            vec![layer.clone()]
        }
        StepOp::Train(
            TrainOp::Conv2dBackwardWeight { conv, .. } | TrainOp::Conv2dBackwardData { conv, .. },
        ) => parts(conv),
        _ => Vec::new(),
    }
}

/// Multiply-adds of all steps that are products, in units of 10⁹ an image.
fn gmac(program: &Program) -> f64 {
    let product = |step: &&Step| step.kind().contains("conv2d") || step.kind().contains("linear");
    let flops: u64 = program.steps.iter().filter(product).map(|step| step.flops(program)).sum();
    flops as f64 / program.options.batch as f64 / 2e9
}

#[test]
fn a_step_costs_what_was_counted_by_hand() {
    // Forward 5.711 GMAC; with all three products of each convolution 17.1, of the first one two; with the first three
    // convolutions frozen 15.87.
    assert!((gmac(&program(2, 0)) - 17.12).abs() < 0.02, "{}", gmac(&program(2, 0)));
    assert!((gmac(&program(2, 3)) - 15.87).abs() < 0.01, "{}", gmac(&program(2, 3)));
    assert!((gmac(&program(2, 94)) - 5.711).abs() < 0.001, "{}", gmac(&program(2, 94)));
}

#[test]
fn a_batch_of_64_with_a_frozen_stem_takes_less_than_4_gigabytes() {
    let program = program(64, 3);
    let memory = program.memory_use();
    assert!(program.arena_bytes <= 4_000_000_000, "{}", program.arena_bytes);
    assert!(memory.total() <= program.arena_bytes);
    let loss = &program.buffers[program.learned.as_ref().unwrap().loss];
    assert_eq!(loss.live.1, program.levels(), "the loss is there when the run has ended");
    let learned = program.learned.as_ref().unwrap();
    assert_eq!(memory.parameters, 4 * learned.len());
    assert_eq!((memory.parameters, memory.parameters), (memory.gradients, memory.momentum));
}

#[test]
fn frozen_is_free() {
    let network = network();
    let convolutions: Vec<String> = (network.layers.iter())
        .filter(|layer| matches!(layer.op, Op::BasicConv2d(_)))
        .map(|layer| layer.name.clone())
        .collect();
    for freeze in [0, 1, 3, 5, 7, 9, 30, 94] {
        let program = program(1, freeze);
        let frozen: HashSet<&String> = convolutions[..freeze].iter().collect();
        let learned = program.learned.as_ref().unwrap();
        for step in &program.steps {
            assert!(backward_layers(step).iter().all(|layer| !frozen.contains(layer)), "{}", step.name);
            if let StepOp::Conv2d(conv) = &step.op {
                for part in &conv.parts {
                    assert_eq!(conv.folded, frozen.contains(&part.layer), "{}: batch norm", part.layer);
                }
            }
        }
        let own = |name: &str| frozen.iter().any(|layer| name.starts_with(&format!("{layer}.")));
        assert!(learned.parameters.iter().all(|p| !own(&p.name)));
        let expected: usize = (network.parameters().iter())
            .filter(|p| !p.name.contains(".running_") && !own(&p.name))
            .map(|p| p.shape.iter().product::<usize>())
            .sum();
        assert_eq!(learned.len(), expected, "freeze {freeze}");
    }
    // Nothing goes back through what reads frozen maps alone: no gradient of the pool behind the stem.
    let kinds: Vec<&str> = program(1, 5).steps.iter().map(|step| step.kind()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "max_pool2d_backward").count(), 2);
    assert_eq!(program(1, 94).steps.iter().filter(|step| step.kind().contains("backward")).count(), 1);
}

#[test]
fn every_gradient_is_written_once_before_the_update() {
    for freeze in [0, 3, 7, 94] {
        let program = program(1, freeze);
        let learned = program.learned.as_ref().unwrap();
        let update = program.steps.last().unwrap();
        assert_eq!(update.kind(), "update");
        let mut written = vec![0; learned.len()];
        for step in &program.steps {
            for view in step.outputs().iter().filter(|view| view.buffer == learned.gradients) {
                assert!(step.level < update.level, "{}", step.name);
                written[view.channel..view.channel + view.channels].iter_mut().for_each(|n| *n += 1);
            }
        }
        assert!(written.iter().all(|n| *n == 1), "freeze {freeze}");
    }
}

#[test]
fn siblings_are_one_step_backward_too() {
    let program = program(1, 0);
    let count = |kind: &str| program.steps.iter().filter(|step| step.kind() == kind).count();
    // As forward: 94 less 3 siblings in each of 9 blocks and 1 in Mixed_7a; the first convolution reads the image.
    assert_eq!(count("conv2d"), 94 - 3 * 9 - 1);
    assert_eq!(count("conv2d_backward_weight"), count("conv2d"));
    assert_eq!(count("conv2d_backward_data"), count("conv2d") - 1);
    assert_eq!((count("normalize"), count("normalize_backward"), count("batch_norm_stats")), (94, 94, 94));
}

#[test]
fn what_is_not_planned_is_refused() {
    let refused = |options: &Options| Program::lower(&network(), options).unwrap_err().to_string();
    assert!(refused(&options(1, 95)).contains("95 frozen convolutions: there are 94"));
    let small = Network::inception_v3((75, 75), 1, AvgPoolPadding::Include).unwrap();
    let error = Program::lower(&small, &options(1, 3)).unwrap_err().to_string();
    assert!(error.contains("one value a channel"), "{error}");
    assert!(
        Program::lower(&small, &options(2, 3)).is_ok() && Program::lower(&small, &options(1, 94)).is_ok()
    );
    let gpu = Gpu { multiprocessors: 28, tiles: Vec::new(), tuning: None };
    let other = Options { target: Target::gpu(gpu), ..options(1, 0) };
    assert!(refused(&other).contains("planned for the cpu only"));
    assert!(refused(&Options { fusion: Fusion::None, ..options(1, 0) }).contains("planned for the cpu"));
    #[cfg(feature = "cpu")]
    {
        let weights = crate::Weights::random(1, &network().parameters()).unwrap();
        let cpu = crate::Device::open("cpu", Some(1)).unwrap();
        let error = crate::device::Engine::new(program(1, 3), &weights, &cpu).err().unwrap().to_string();
        assert!(error.contains("can be planned so far, not run"), "{error}");
    }
}
