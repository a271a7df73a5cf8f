//! Structure of the programs: order, disjointness, what fusion leaves.

use std::collections::HashSet;

use super::*;
use crate::network::AvgPoolPadding;

fn program(size: (usize, usize), fusion: Fusion, keep: Keep) -> Program {
    let network = Network::inception_v3(size, 3, AvgPoolPadding::Include).unwrap();
    let options = Options {
        batch: 2,
        fusion,
        keep,
        target: Target::cpu(),
        input: Input::Values,
        training: None,
        gradient: None,
    };
    Program::lower(&network, &options).unwrap()
}

fn every_program() -> Vec<Program> {
    let mut all = Vec::new();
    for size in [(75, 75), (107, 139), (299, 299)] {
        for fusion in [Fusion::None, Fusion::Full] {
            all.extend([Keep::Output, Keep::Layers].map(|keep| program(size, fusion, keep)));
            all.extend([1, 5].map(|batch| for_gpu(size, fusion, batch)));
        }
        all.extend([0, 3, 8, 94].map(|freeze| for_training(size, freeze, Target::cpu())));
        all.extend([0, 3, 94].map(|freeze| for_training(size, freeze, gpu_target())));
        for layer in ["Conv2d_1a_3x3", "Mixed_5b.branch3x3dbl_1", "Mixed_6a.pool", "Mixed_7c"] {
            all.extend([Target::cpu(), gpu_target()].map(|target| for_gradient(size, layer, target)));
        }
    }
    for freeze in [0, 8, 69] {
        all.extend([Target::cpu(), gpu_target()].map(|target| with_auxiliary_head(freeze, target)));
    }
    all
}

/// For training.
fn for_training(size: (usize, usize), freeze: usize, target: Target) -> Program {
    let network = Network::inception_v3(size, 3, AvgPoolPadding::Include).unwrap();
    let training = Some(Training { freeze, recompute: freeze == 8, ..Training::default() });
    Program::lower(&network, &Options { training, ..Options::new(2, target) }).unwrap()
}

/// For the gradient by the output of `layer`.
fn for_gradient(size: (usize, usize), layer: &str, target: Target) -> Program {
    let network = Network::inception_v3(size, 3, AvgPoolPadding::Include).unwrap();
    Program::lower(&network, &Options { gradient: Some(layer.into()), ..Options::new(2, target) }).unwrap()
}

/// For training with the auxiliary head.
fn with_auxiliary_head(freeze: usize, target: Target) -> Program {
    let network = Network::inception_v3((299, 347), 1, AvgPoolPadding::Include).unwrap();
    let training =
        Some(Training { freeze, recompute: freeze == 8, auxiliary: Some(0.4), ..Training::default() });
    Program::lower(&network, &Options { training, ..Options::new(2, target) }).unwrap()
}

/// A card of 28 multiprocessors with two tiles.
fn gpu_target() -> Target {
    let tiles =
        [(128, 64, 2), (64, 64, 4)].map(|(pixels, channels, groups)| Tile { pixels, channels, groups });
    let gpu = Gpu {
        multiprocessors: 28,
        tiles: tiles.to_vec(),
        weight_tiles: vec![(64, 128), (64, 64)],
        tuning: None,
    };
    Target::gpu(gpu)
}

/// As for that card; of crops where the batch is one.
fn for_gpu(size: (usize, usize), fusion: Fusion, batch: usize) -> Program {
    let network = Network::inception_v3(size, 3, AvgPoolPadding::Include).unwrap();
    let normalization = Normalization { divisor: 255.0, mean: Mean::Channels([0.5; 3]), scale: [0.25; 3] };
    let input = if batch == 1 { Input::Crops(normalization) } else { Input::Values };
    let options = Options { fusion, input, ..Options::new(batch, gpu_target()) };
    Program::lower(&network, &options).unwrap()
}

/// Bytes a view touches, as (begin, end) within the arena, one range an image.
fn ranges(program: &Program, view: View) -> Vec<(usize, usize)> {
    let buffer = &program.buffers[view.buffer];
    let map = 4 * buffer.shape.h * buffer.shape.w;
    let image = 4 * buffer.layout.values(buffer.shape);
    // A GPU's input lies elsewhere.
    let elsewhere = program.options.target.gpu.is_some() && view.buffer == program.input.buffer;
    let offset = if elsewhere { 1 << 40 } else { buffer.offset_bytes };
    let whole = matches!(buffer.layout, Layout::ColumnPairs | Layout::Crops);
    let (first, bytes) = if whole { (0, image) } else { (map * view.channel, map * view.channels) };
    let range = |n: usize| {
        let begin = offset + n * image + first;
        (begin, begin + bytes)
    };
    let count = if buffer.role.is_per_image() { program.options.batch } else { 1 };
    (0..count).map(range).collect()
}

fn overlap(a: &[(usize, usize)], b: &[(usize, usize)]) -> bool {
    a.iter().any(|x| b.iter().any(|y| x.0 < y.1 && y.0 < x.1))
}

#[test]
fn live_buffers_never_overlap() {
    for program in every_program() {
        let elsewhere = program.options.target.gpu.is_some().then_some(program.input.buffer);
        let inside = |i: &usize| Some(*i) != elsewhere;
        for (i, a) in program.buffers.iter().enumerate().filter(|(i, _)| inside(i)) {
            assert!(a.live.0 <= a.live.1, "{} is never used", a.name);
            assert!(a.offset_bytes % 64 == 0 && a.offset_bytes + a.bytes <= program.arena_bytes);
            for b in (0..i).filter(inside).map(|b| &program.buffers[b]) {
                let together = a.live.0 <= b.live.1 && b.live.0 <= a.live.1;
                let apart =
                    a.offset_bytes + a.bytes <= b.offset_bytes || b.offset_bytes + b.bytes <= a.offset_bytes;
                assert!(!together || apart, "{} and {} overlap", a.name, b.name);
            }
        }
    }
}

#[test]
fn every_read_finds_what_an_earlier_level_wrote() {
    for program in every_program() {
        // Which layer's values each byte of the arena holds, as ranges written last.
        let mut written: Vec<(usize, usize, View)> =
            ranges(&program, program.input).into_iter().map(|(b, e)| (b, e, program.input)).collect();
        // Some come from the run before, some from the host.
        let others = |learned: &crate::program::LearnedSet| {
            learned.lasting().into_iter().chain(learned.given()).collect::<Vec<_>>()
        };
        let seed = program.gradient.iter().map(|gradient| gradient.seed.buffer);
        for buffer in program.learned.iter().flat_map(others).chain(seed) {
            let view = View { buffer, channel: 0, channels: program.buffers[buffer].shape.c };
            written.extend(ranges(&program, view).into_iter().map(|(b, e)| (b, e, view)));
        }
        for level in 0..program.levels() {
            let steps: Vec<&Step> = program.steps.iter().filter(|s| s.level == level).collect();
            for step in &steps {
                for view in step.inputs() {
                    for (begin, end) in ranges(&program, view) {
                        let holds = |w: &&(usize, usize, View)| w.0 < end && begin < w.1;
                        let found: usize =
                            written.iter().filter(holds).map(|w| w.1.min(end) - w.0.max(begin)).sum();
                        let same = written.iter().filter(holds).all(|w| w.2.buffer == view.buffer);
                        assert!(found == end - begin && same, "{} reads what nobody wrote", step.name);
                    }
                }
            }
            for step in &steps {
                for view in step.outputs() {
                    for (begin, end) in ranges(&program, view) {
                        written = written.iter().flat_map(|&w| cut(w, begin, end)).collect();
                        written.push((begin, end, view));
                    }
                }
            }
        }
    }
}

/// What is left of `range` outside `begin..end`.
fn cut(range: (usize, usize, View), begin: usize, end: usize) -> Vec<(usize, usize, View)> {
    let (b, e, view) = range;
    [(b, e.min(begin), view), (b.max(end), e, view)].into_iter().filter(|r| r.0 < r.1).collect()
}

#[test]
fn steps_of_one_level_are_independent() {
    for program in every_program() {
        for (i, a) in program.steps.iter().enumerate() {
            for b in program.steps[..i].iter().filter(|b| b.level == a.level) {
                let spans = |views: Vec<View>| -> Vec<_> {
                    views.iter().flat_map(|&v| ranges(&program, v)).collect()
                };
                let written = |step: &Step| {
                    let mut all = spans(step.outputs());
                    let Some(view) = step.workspace() else { return all };
                    let buffer = &program.buffers[view.buffer];
                    all.push((buffer.offset_bytes, buffer.offset_bytes + buffer.bytes));
                    all
                };
                // Phases of a data gradient have pixels of their own, and add to no other's.
                let phase = |step: &Step| match &step.op {
                    StepOp::Conv2d(conv) if conv.is_transposed() => Some((conv.input, conv.phase)),
                    _ => None,
                };
                if let (Some((dz, one)), Some((other_dz, other))) = (phase(a), phase(b))
                    && dz == other_dz
                {
                    assert!(one.stride == other.stride && one.first != other.first);
                    continue;
                }
                let (a_out, b_out) = (written(a), written(b));
                let clash = overlap(&a_out, &b_out)
                    || overlap(&a_out, &spans(b.inputs()))
                    || overlap(&b_out, &spans(a.inputs()));
                assert!(!clash, "{} and {} clash in level {}", a.name, b.name, a.level);
            }
        }
    }
}

#[test]
fn fusion_leaves_only_convolutions_and_pools() {
    let fused = program((299, 299), Fusion::Full, Keep::Output);
    let count = |kind: &str| fused.steps.iter().filter(|s| s.kind() == kind).count();
    assert_eq!(["concat", "batch_norm", "relu"].map(count), [0, 0, 0]);
    // 9 blocks pool by the mean, 2 blocks and the stem's 2 places by the maximum.
    assert_eq!(
        (count("avg_pool2d"), count("max_pool2d"), count("global_avg_pool"), count("linear")),
        (9, 4, 1, 1)
    );
    let parts: HashSet<String> = fused
        .steps
        .iter()
        .flat_map(|s| match &s.op {
            StepOp::Conv2d(conv) => conv.parts.iter().map(|p| p.layer.clone()).collect(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(parts.len(), 94, "each convolution is computed once");
    // Merged: 3 siblings disappear in each of 9 blocks with a moved pool, 1 in Mixed_7a.
    assert_eq!(count("conv2d"), 94 - 3 * 9 - 1);
}

#[test]
fn fusion_changes_neither_the_work_nor_the_shapes() {
    let (alone, fused) =
        (program((107, 139), Fusion::None, Keep::Layers), program((107, 139), Fusion::Full, Keep::Layers));
    let conv_flops =
        |p: &Program| -> u64 { p.steps.iter().filter(|s| s.kind() == "conv2d").map(|s| s.flops(p)).sum() };
    assert_eq!(conv_flops(&alone), conv_flops(&fused));
    assert!(alone.flops() > fused.flops(), "pools moved over fewer channels, batch norm gone");
    for (name, view) in &fused.outputs {
        let (_, other) = alone.outputs.iter().find(|(n, _)| n == name).unwrap();
        assert_eq!(fused.shape(*view), alone.shape(*other), "{name}");
    }
}

#[test]
fn sharing_saves_memory() {
    let shared = program((299, 299), Fusion::Full, Keep::Output);
    let kept = program((299, 299), Fusion::Full, Keep::Layers);
    // Two neighbouring maps of the stem, 64×147×147 and 32×147×147, are the most that is live at once.
    assert_eq!(shared.arena_bytes, 2 * 4 * 96 * 147 * 147);
    assert!(kept.arena_bytes > 3 * shared.arena_bytes);
}

#[test]
fn a_batch_that_overflows_is_refused() {
    let network = Network::inception_v3((299, 299), 1, AvgPoolPadding::Include).unwrap();
    for batch in [0, 2000, usize::MAX] {
        let error = Program::lower(&network, &Options::new(batch, Target::cpu())).unwrap_err().to_string();
        assert!(error.contains("a batch of") && error.contains("from 1 to 1552"), "{error}");
    }
}

#[test]
fn slices_share_neither_tickets_nor_partial_sums() {
    for batch in [1, 5] {
        let program = for_gpu((299, 299), Fusion::Full, batch);
        let (mut tickets, mut sliced) = (HashSet::new(), 0);
        for step in &program.steps {
            let StepOp::Conv2dGroup(group) = &step.op else { continue };
            let mut end = 0;
            for (conv, tiling) in group.convs.iter().filter(|(_, tiling)| tiling.slices > 1) {
                sliced += 1;
                let (m, n) = schedule::tiles(&program, conv, group.tile, batch);
                assert!(
                    (tiling.first_ticket..tiling.first_ticket + m * n).all(|ticket| tickets.insert(ticket))
                );
                assert!(tiling.first_partial >= end, "{}", step.name);
                end = tiling.first_partial + m * n * tiling.slices * group.tile.pixels * group.tile.channels;
            }
            for (conv, tiling) in &group.convs {
                let steps = tiling.slices * group.tile.groups * tiling.steps;
                assert!(steps >= schedule::total_steps(&program, conv), "{}: the sum is covered", step.name);
            }
            let room = group.workspace.map_or(0, |view| program.buffers[view.buffer].bytes / 4);
            assert!(end <= room, "{}", step.name);
        }
        let room = program.tickets.map_or(0, |buffer| program.buffers[buffer].bytes / 4);
        assert!(sliced > 0 && tickets.len() <= room && tickets.iter().all(|ticket| *ticket < room));
    }
}

#[cfg(any(feature = "cuda", feature = "sim"))]
#[test]
fn gradients_of_filters_are_cut_into_slices_of_their_own() {
    for (batch, freeze) in [(2, 0), (64, 3)] {
        let network = Network::inception_v3((299, 299), 1, AvgPoolPadding::Include).unwrap();
        let training = Some(Training { freeze, ..Training::default() });
        let program =
            Program::lower(&network, &Options { training, ..Options::new(batch, gpu_target()) }).unwrap();
        let (mut tickets, mut sliced) = (HashSet::new(), 0);
        for step in &program.steps {
            if let StepOp::Conv2dGroup(group) = &step.op {
                for (conv, tiling) in group.convs.iter().filter(|(_, tiling)| tiling.slices > 1) {
                    let (m, n) = schedule::tiles(&program, conv, group.tile, batch);
                    let own = tiling.first_ticket..tiling.first_ticket + m * n;
                    assert!(own.into_iter().all(|ticket| tickets.insert(ticket)), "{}", step.name);
                }
            }
            let StepOp::Train(TrainOp::Conv2dBackwardWeight { conv, cut, .. }) = &step.op else { continue };
            let cut = cut.expect("a GPU's gradients are cut");
            let (p, q) = conv.output_size(&program);
            let pixels = train::weight_steps(&program, conv, &cut, batch) * cut.slices * train::STEP_PIXELS;
            assert!(
                pixels * train::weight_groups(cut.tile) >= batch * p * q,
                "{}: the sum is covered",
                step.name
            );
            if cut.slices > 1 {
                sliced += 1;
                let (m, n) = train::weight_tiles(&program, conv, cut.tile);
                let own = cut.first_ticket..cut.first_ticket + m * n;
                assert!(own.into_iter().all(|ticket| tickets.insert(ticket)), "{}", step.name);
                let room = program.buffers[cut.workspace.unwrap().buffer].bytes / 4;
                assert_eq!(room, m * n * cut.slices * cut.tile.0 * cut.tile.1);
            }
        }
        let room = program.tickets.map_or(0, |buffer| program.buffers[buffer].bytes / 4);
        assert!(sliced > 0 && tickets.len() <= room && tickets.iter().all(|ticket| *ticket < room));
    }
}

#[test]
fn filters_are_packed_for_the_launch_that_reads_them() {
    let program = for_training((299, 299), 0, gpu_target());
    let packings = program.steps.iter().filter_map(|step| match &step.op {
        StepOp::Train(TrainOp::PackFilters { convs, .. }) => Some(convs),
        _ => None,
    });
    let mut packed = std::collections::HashMap::new();
    for packing in packings.flatten() {
        let view = packing.packed().unwrap();
        assert_eq!(program.buffers[view.buffer].bytes, 4 * view.channels);
        assert!(packed.insert(view, packing.cut.unwrap()).is_none());
    }
    let groups = program.steps.iter().filter_map(|step| match &step.op {
        StepOp::Conv2dGroup(group) => Some(group),
        _ => None,
    });
    let mut read = 0;
    for (group, (conv, tiling)) in groups.flat_map(|group| group.convs.iter().map(move |own| (group, own))) {
        let Filters::Learned(learned) = &conv.filters else { continue };
        assert_eq!(packed[&learned.packed], (group.tile, *tiling));
        assert_eq!(learned.packed.channels, schedule::packed_values(conv, group.tile, tiling));
        read += 1;
    }
    assert_eq!(read, packed.len());
    // Phases are one launch, so that they fill the GPU together.
    let phases =
        |step: &&Step| matches!(&step.op, StepOp::Conv2dGroup(g) if g.convs[0].0.phase != Phase::ALL);
    assert!(program.steps.iter().filter(phases).all(|step| step.name.matches(".dx").count() == 4));
}

/// The gradient by a layer's output goes no lower than that, and keeps what it is asked for.
#[test]
fn a_gradient_by_a_layer_ends_at_its_output() {
    for target in [Target::cpu(), gpu_target()] {
        let program = for_gradient((107, 139), "Mixed_6b.branch7x7dbl_3", target);
        let gradient = program.gradient.as_ref().unwrap();
        assert_eq!(program.shape(gradient.map), program.shape(gradient.gradient));
        for view in [gradient.map, gradient.gradient] {
            assert_eq!(program.buffers[view.buffer].live.1, program.levels());
        }
        let begin = program.steps.iter().find(|step| step.name == "probabilities").unwrap().level;
        // Of Mixed_6b what stands behind the layer alone: two convolutions, which depend on it one behind the other.
        let own = |step: &&Step| step.level >= begin && step.name.starts_with("Mixed_6b.");
        let names: Vec<&str> = program.steps.iter().filter(own).map(|step| step.name.as_str()).collect();
        let expected =
            ["dbl_5", "dbl_5.dx", "dbl_4", "dbl_4.dx"].map(|name| format!("Mixed_6b.branch7x7{name}"));
        assert_eq!(names, expected);
        let earlier = ["Mixed_5", "Mixed_6a", "Conv2d", "maxpool"];
        let behind = program.steps.iter().filter(|step| step.level >= begin);
        let lower: Vec<&Step> =
            behind.filter(|step| earlier.iter().any(|name| step.name.starts_with(name))).collect();
        assert!(lower.is_empty(), "{lower:?}");
        let names: Vec<&str> = program.outputs.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"grad.Mixed_6b.branch7x7dbl_3") && names.contains(&"grad.Mixed_7c"));
        assert!(!names.contains(&"grad.Mixed_6b.branch7x7dbl_2") && !names.contains(&"grad.Mixed_6a"));
    }
}

#[test]
fn a_gradient_that_is_not_planned_is_refused() {
    let network = Network::inception_v3((75, 75), 3, AvgPoolPadding::Include).unwrap();
    let plan = Options { gradient: Some("Mixed_7c".into()), ..Options::new(1, Target::cpu()) };
    assert!(Program::lower(&network, &plan).is_ok());
    for options in [
        Options { fusion: Fusion::None, ..plan.clone() },
        Options { training: Some(Training::default()), ..plan.clone() },
        Options { gradient: Some("fc".into()), ..plan.clone() },
        Options { gradient: Some("Mixed_5b.pool".into()), ..plan.clone() },
    ] {
        assert!(matches!(Program::lower(&network, &options), Err(Error::Argument(_))));
    }
}
