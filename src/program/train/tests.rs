//! Training programs: what they cost, and that what is frozen costs nothing.

use std::collections::HashSet;

use super::*;
use crate::network::{AvgPoolPadding, Op, Window};
use crate::program::{Step, StepOp, Target};

fn network() -> Network {
    Network::inception_v3((299, 299), 1, AvgPoolPadding::Include).unwrap()
}

fn options(batch: usize, freeze: usize) -> Options {
    Options {
        training: Some(Training { freeze, ..Training::default() }),
        ..Options::new(batch, Target::cpu())
    }
}

fn program(batch: usize, freeze: usize) -> Program {
    Program::lower(&network(), &options(batch, freeze)).unwrap()
}

/// The layers that a backward step is about.
fn backward_layers(step: &Step) -> Vec<String> {
    match &step.op {
        StepOp::Train(
            TrainOp::NormalizeSums { layer, .. }
            | TrainOp::NormalizeBackward { layer, .. }
            | TrainOp::LinearBackward { layer, .. },
        ) => vec![layer.clone()],
        StepOp::Train(TrainOp::Conv2dBackwardWeight { conv, .. }) => {
            conv.parts.iter().map(|p| p.layer.clone()).collect()
        }
        StepOp::Conv2d(conv) if conv.is_transposed() => {
            let (names, _) = step.name.split_once(".dx").unwrap();
            names.split('+').map(|name| name.strip_suffix(".conv").unwrap().to_string()).collect()
        }
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
fn taking_maps_again_saves_memory_and_repeats_only_normalisation() {
    let options = |recompute| Options {
        training: Some(Training { freeze: 3, recompute, ..Training::default() }),
        ..options(64, 3)
    };
    let [kept, again] =
        [false, true].map(|recompute| Program::lower(&network(), &options(recompute)).unwrap());
    assert!(again.arena_bytes < kept.arena_bytes * 7 / 10, "{} {}", again.arena_bytes, kept.arena_bytes);
    let count = |program: &Program, kind: &str| program.steps.iter().filter(|s| s.kind() == kind).count();
    assert!(count(&again, "normalize") > count(&kept, "normalize"));
    for kind in ["conv2d", "conv2d_backward_data", "conv2d_backward_weight", "normalize_sums"] {
        assert_eq!(count(&again, kind), count(&kept, kind), "{kind}");
    }
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
            if let StepOp::Conv2d(conv) = &step.op
                && !conv.is_transposed()
            {
                for part in &conv.parts {
                    let folded = conv.filters == crate::program::Filters::Folded;
                    assert_eq!(folded, frozen.contains(&part.layer), "{}: batch norm", part.layer);
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
    let all = [0, 3, 7, 94].map(|freeze| program(1, freeze));
    for program in all.into_iter().chain([with_auxiliary_head(2, 0)]) {
        let learned = program.learned.as_ref().unwrap();
        let update = program.steps.last().unwrap();
        assert!(program.steps.windows(2).all(|pair| pair[0].level <= pair[1].level));
        assert_eq!(update.kind(), "update");
        let mut written = vec![0; learned.len()];
        for step in &program.steps {
            for view in step.outputs().iter().filter(|view| view.buffer == learned.gradients) {
                assert!(step.level < update.level, "{}", step.name);
                written[view.channel..view.channel + view.channels].iter_mut().for_each(|n| *n += 1);
            }
        }
        assert!(written.iter().all(|n| *n == 1));
    }
}

/// A program with the auxiliary head for an input of 299×299.
fn with_auxiliary_head(batch: usize, freeze: usize) -> Program {
    let training = Some(Training { freeze, auxiliary: Some(0.4), ..Training::default() });
    Program::lower(&network(), &Options { training, ..options(batch, freeze) }).unwrap()
}

#[test]
fn an_auxiliary_head_is_one_more_branch() {
    let (own, without) = (with_auxiliary_head(2, 0), program(2, 0));
    let named = |name: &str| own.steps.iter().filter(|step| step.name == name).collect::<Vec<_>>();
    // conv0 over 5×5 pixels and conv1 over one, three products each, and the last layer.
    let macs = 25 * 768 * 128 + 128 * 25 * 768;
    assert!((gmac(&own) - gmac(&without) - 3e-9 * f64::from(macs + 768)).abs() < 1e-9);
    let kinds = |name| named(name).iter().map(|step| step.kind()).collect::<Vec<_>>();
    assert_eq!(kinds("AuxLogits.pool"), ["avg_pool2d", "avg_pool2d_backward"]);
    assert_eq!(kinds("AuxLogits.avgpool"), ["global_avg_pool", "global_avg_pool_backward"]);
    assert_eq!(kinds("AuxLogits.fc"), ["linear", "linear_backward"]);
    assert_eq!(own.logits.channels, 1);
    assert_eq!(own.buffers[own.logits.buffer].name, "fc", "the last layer is what answers");
    let losses: Vec<usize> = own.steps.iter().filter(|s| s.kind() == "loss").map(|s| s.level).collect();
    assert_eq!((losses.len(), losses[0]), (2, losses[1]));
    // Of all that goes into the gradient of Mixed_6e the first overwrites and each other adds, on a level of its own.
    let of = |name: &str| own.outputs.iter().find(|(own, _)| own == name).unwrap().1;
    let gradient = of("grad.Mixed_6e").buffer;
    let writes = own.steps.iter().filter(|s| s.outputs().iter().any(|view| view.buffer == gradient));
    let writes: Vec<(usize, bool)> =
        writes.map(|s| (s.level, s.inputs().iter().any(|view| view.buffer == gradient))).collect();
    assert_eq!(writes.iter().filter(|(_, adds)| !adds).count(), 1, "{writes:?}");
    assert!(!writes[0].1 && writes.len() == 3 && writes.windows(2).all(|pair| pair[0].0 < pair[1].0));
    // Nothing of it is dropped, whatever stands before the last layer.
    let training = Some(Training { dropout: 0.5, auxiliary: Some(0.4), ..Training::default() });
    let dropping = Program::lower(&network(), &Options { training, ..options(2, 0) }).unwrap();
    assert_eq!(dropping.steps.iter().filter(|s| s.kind() == "dropout").count(), 2, "forward and backward");
}

#[test]
fn an_auxiliary_head_without_use_is_refused() {
    let refused = |network: &Network, freeze, auxiliary| {
        let training = Some(Training { freeze, auxiliary: Some(auxiliary), ..Training::default() });
        Program::lower(network, &Options { training, ..options(2, 0) }).unwrap_err().to_string()
    };
    for weight in [0.0, -0.4, f32::NAN, f32::INFINITY] {
        let error = refused(&network(), 0, weight);
        assert!(
            error.contains(&format!("weight {weight} of the auxiliary head: give a positive")),
            "{error}"
        );
    }
    with_auxiliary_head(2, 69);
    assert!(refused(&network(), 70, 0.4).contains("with 70 frozen convolutions nothing learns below"));
    for size in [(298, 299), (299, 107)] {
        let small = Network::inception_v3(size, 1, AvgPoolPadding::Include).unwrap();
        let error = refused(&small, 0, 0.4);
        assert!(error.contains("needs inputs of at least 299×299"), "{error}");
    }
    let one = Some(Training { auxiliary: Some(0.4), ..Training::default() });
    let error =
        Program::lower(&network(), &Options { training: one, ..options(1, 0) }).unwrap_err().to_string();
    assert!(error.contains("AuxLogits.conv1 gives one value a channel"), "{error}");
}

#[test]
fn siblings_are_one_step_backward_too() {
    let program = program(1, 0);
    let count = |kind: &str| program.steps.iter().filter(|step| step.kind() == kind).count();
    // As forward: 94 less 3 siblings in each of 9 blocks and 1 in Mixed_7a; the first convolution reads the image.
    assert_eq!(count("conv2d"), 94 - 3 * 9 - 1);
    assert_eq!(count("conv2d_backward_weight"), count("conv2d"));
    // Four convolutions of stride 2, apart from the first, have four phases each.
    assert_eq!(count("conv2d_backward_data"), count("conv2d") - 1 + 4 * 3);
    for kind in ["batch_norm_stats", "normalize", "normalize_sums", "normalize_backward"] {
        assert_eq!(count(kind), 94, "{kind}");
    }
}

#[test]
fn without_fusion_every_layer_stands_by_itself() {
    let network = network();
    let alone = |freeze| {
        let options = Options { fusion: Fusion::None, ..options(1, freeze) };
        Program::lower(&network, &options).unwrap()
    };
    let program_alone = alone(0);
    let count = |kind: &str| program_alone.steps.iter().filter(|step| step.kind() == kind).count();
    for kind in ["conv2d", "batch_norm_stats", "normalize", "relu"] {
        assert_eq!(count(kind), 94, "{kind}");
    }
    for kind in ["relu_backward", "normalize_sums", "normalize_backward", "conv2d_backward_weight"] {
        assert_eq!(count(kind), 94, "{kind}");
    }
    assert_eq!(count("conv2d_backward_data"), 93 + 4 * 3);
    assert_eq!((count("concat"), count("concat_backward")), (11, 11));
    assert_eq!((count("avg_pool2d"), count("avg_pool2d_backward")), (9, 9));
    assert!((gmac(&program_alone) - gmac(&program(1, 0))).abs() < 0.001);

    // Of what is frozen no step but inference's, which keeps running statistics as they are.
    let program = alone(7);
    let count = |kind: &str| program.steps.iter().filter(|step| step.kind() == kind).count();
    assert_eq!((count("batch_norm"), count("normalize"), count("relu_backward")), (7, 87, 87));
    let ends = |step: &&Step| step.kind() == "concat_backward" && step.name == "Mixed_5b";
    let step = program.steps.iter().find(ends).unwrap();
    assert_eq!(step.outputs().len(), 3, "three of four branches learn");
    assert!(program.steps.windows(2).all(|pair| pair[0].level <= pair[1].level));
}

#[test]
fn gradients_of_maps_have_names() {
    let network = network();
    for freeze in [0, 3, 7, 94] {
        let of = |fusion| {
            let options = Options { fusion, ..options(1, freeze) };
            Program::lower(&network, &options).unwrap()
        };
        let (fused, alone) = (of(Fusion::Full), of(Fusion::None));
        let named = |program: &Program| -> HashSet<String> {
            program.outputs.iter().map(|(name, _)| name.clone()).filter(|n| n.starts_with("grad.")).collect()
        };
        assert!(named(&fused).is_subset(&named(&alone)), "freeze {freeze}");
        for program in [&fused, &alone] {
            for (name, view) in program.outputs.iter().filter(|(name, _)| name.starts_with("grad.")) {
                let own = |(other, _): &&(String, View)| *other == name["grad.".len()..];
                let (_, map) = program.outputs.iter().find(own).unwrap();
                assert_eq!(program.shape(*view), program.shape(*map), "{name}");
                assert_eq!(program.buffers[view.buffer].role, crate::program::Role::MapGradient);
                let written = |step: &&Step| {
                    step.outputs().iter().any(|out| {
                        out.buffer == view.buffer
                            && out.channel < view.channel + view.channels
                            && view.channel < out.channel + out.channels
                    })
                };
                assert!(program.steps.iter().any(|step| written(&step)), "{name}");
            }
        }
        // Of each convolution that learns y, and without fusion batch norm's output and z; what is frozen has none.
        let frozen = |layer: &str| {
            network
                .layers
                .iter()
                .filter(|l| matches!(l.op, Op::BasicConv2d(_)))
                .take(freeze)
                .any(|l| l.name == layer)
        };
        for layer in network.layers.iter().filter(|layer| matches!(layer.op, Op::BasicConv2d(_))) {
            let learns = !frozen(&layer.name);
            let name = format!("grad.{}", layer.name);
            assert_eq!(named(&fused).contains(&name), learns, "{name}, freeze {freeze}");
            for suffix in ["", ".bn", ".conv"] {
                let name = format!("{name}{suffix}");
                assert_eq!(named(&alone).contains(&name), learns, "{name}, freeze {freeze}");
            }
        }
        assert!(named(&fused).contains("grad.fc"));
    }
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
    let again = Some(Training { recompute: true, ..Training::default() });
    let alone = Options { fusion: Fusion::None, training: again, ..options(1, 0) };
    assert!(refused(&alone).contains("leave out --recompute"));
    let crops = Input::Crops(crate::program::Normalization {
        divisor: 255.0,
        mean: crate::program::Mean::Channels([0.5; 3]),
        scale: [1.0; 3],
    });
    assert!(refused(&Options { input: crops, ..options(1, 0) }).contains("not on crops"));
    let share = |dropout| Options {
        training: Some(Training { dropout, ..Training::default() }),
        ..Options::new(1, Target::cpu())
    };
    assert!(refused(&share(1.0)).contains("dropout 1: give a number from 0 to below 1"));
    assert!(refused(&share(f32::NAN)).contains("dropout NaN"));
}

#[test]
fn a_data_gradient_is_what_the_definition_says() {
    // Every window of the network, and some it has not: along one axis dx[h] = Σ_p dz[p]·W[h + pad − p·stride].
    let network = network();
    let own = network.layers.iter().filter_map(|layer| match layer.op {
        Op::BasicConv2d(window) => Some(window),
        _ => None,
    });
    let strided = Window { kernel: (5, 3), stride: (3, 2), padding: (2, 1) };
    for window in own.chain([strided]) {
        let (h, w) = (11, 14);
        let (p, q) = window.output(h, w);
        let mut terms = vec![0; h * w * p * q];
        for (phase, small, first_tap) in filters::phases(window, (h, w)) {
            let taps = (0..small.kernel.0).flat_map(|r| (0..small.kernel.1).map(move |s| (r, s)));
            for (r, s) in taps {
                // The tap of `window` that this one stands for.
                let whole = |tap: usize, taps: usize, stride, first| first + stride * (taps - 1 - tap);
                let tap_r = whole(r, small.kernel.0, window.stride.0, first_tap.0);
                let tap_s = whole(s, small.kernel.1, window.stride.1, first_tap.1);
                for y in (phase.first.0..h).step_by(phase.stride.0) {
                    for x in (phase.first.1..w).step_by(phase.stride.1) {
                        let a = (y / phase.stride.0 + r).checked_sub(small.padding.0);
                        let b = (x / phase.stride.1 + s).checked_sub(small.padding.1);
                        let (Some(a), Some(b)) = (a.filter(|a| *a < p), b.filter(|b| *b < q)) else {
                            continue;
                        };
                        assert_eq!(a * window.stride.0 + tap_r, y + window.padding.0);
                        assert_eq!(b * window.stride.1 + tap_s, x + window.padding.1);
                        terms[(y * w + x) * p * q + a * q + b] += 1;
                    }
                }
            }
        }
        for (i, count) in terms.iter().enumerate() {
            let (y, x, a, b) = (i / (p * q) / w, i / (p * q) % w, i % (p * q) / q, i % q);
            let inside = |at: usize, stride: usize, pad: usize, taps: usize, out: usize| {
                (at + pad).checked_sub(out * stride).is_some_and(|tap| tap < taps)
            };
            let reads = inside(y, window.stride.0, window.padding.0, window.kernel.0, a)
                && inside(x, window.stride.1, window.padding.1, window.kernel.1, b);
            assert_eq!(*count, usize::from(reads), "{window:?} ({y}, {x}) from ({a}, {b})");
        }
    }
}

#[test]
fn filters_are_found_where_they_lie() {
    let program = program(1, 3);
    let learned = program.learned.as_ref().unwrap();
    let first = |name: &str| learned.parameters.iter().find(|p| p.name == name).unwrap().first;
    let conv = |name: &str| {
        let step = program.steps.iter().find(|step| step.name == name).unwrap();
        let StepOp::Conv2d(conv) = &step.op else { panic!("{name}") };
        let crate::program::Filters::Learned(filters) = &conv.filters else { panic!("{name}") };
        (conv, filters)
    };
    // Mixed_6a.branch3x3: [384, 288, 3, 3], stride 2.
    let at = first("Mixed_6a.branch3x3.conv.weight");
    let (forward, filters) = conv("Mixed_6a.branch3x3.conv");
    assert_eq!(filters.parameter(forward, 5, 7, 2, 1), at + ((5 * 288 + 7) * 3 + 2) * 3 + 1);
    // Of the phase (0, 1): rows 0 and 2, the last first, and column 1.
    let (back, filters) = conv("Mixed_6a.branch3x3.conv.dx.01");
    assert_eq!(back.window.kernel, (2, 1));
    assert_eq!(filters.parameter(back, 7, 5, 0, 0), at + ((5 * 288 + 7) * 3 + 2) * 3 + 1);
    assert_eq!(filters.parameter(back, 7, 5, 1, 0), at + ((5 * 288 + 7) * 3) * 3 + 1);
    // Siblings stand one behind the other.
    let name = "Mixed_5b.branch1x1.conv+Mixed_5b.branch5x5_1.conv+Mixed_5b.branch3x3dbl_1.conv+Mixed_5b.branch_pool.conv";
    let (back, filters) = conv(&format!("{name}.dx"));
    assert_eq!(
        filters.parameter(back, 3, 64 + 2, 0, 0),
        first("Mixed_5b.branch5x5_1.conv.weight") + 2 * 192 + 3
    );
}
