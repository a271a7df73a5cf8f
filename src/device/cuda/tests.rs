//! What can be tested without a card: kernels against the table of launches, messages. And, where there is a card, that
//! graphs, single steps, partial batches and threads all give the same bits.

use std::collections::BTreeSet;

use cudarc::driver::sys::CUresult;

use super::Properties;
use super::load::{check_memory, refusal};
use super::run::{run_fault, step_fault};
use crate::data::Normalize;
use crate::device::{Device, Engine};
use crate::kernels::{CARDS, Image, ImageKind, Kernel, Launches, Pointer, Region};
use crate::kernels::{TILES, WEIGHT_TILES, all, images, resources};
use crate::network::{AvgPoolPadding, Network};
use crate::program::{Fusion, Gpu, Input, Keep, Options, Program, Target, Training};
use crate::weights::Weights;

/// Names of the `__global__` functions of `kernels/*.cu`, with the file; those that a macro makes are in the PTX only.
fn entries() -> BTreeSet<(String, String)> {
    let ptx = images().iter().filter(|image| image.kind == ImageKind::Ptx);
    ptx.flat_map(|image| {
        let code = String::from_utf8(image.code().unwrap()).unwrap();
        let names = code.lines().filter_map(|line| line.split_once(".entry ")).map(|(_, rest)| {
            let name = rest.split(['(', ' ']).next().unwrap_or_default();
            (image.module.to_string(), name.to_string())
        });
        names.collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn the_table_of_kernels_is_that_of_the_sources() {
    let table = all().into_iter().map(|kernel| (kernel.module.to_string(), kernel.name.to_string()));
    assert_eq!(table.collect::<BTreeSet<_>>(), entries());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/kernels");
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let module = file.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let global = text.contains("__global__");
        assert_eq!(global, all().iter().any(|kernel| kernel.module == module), "{module}");
        let plain = text.lines().filter(|line| line.starts_with("extern \"C\" __global__"));
        for line in plain {
            let named = all().iter().any(|kernel| line.contains(&format!(" {}(", kernel.name)));
            assert!(named, "{module}: not in the table: {line}");
        }
    }
}

#[test]
fn every_kernel_has_machine_code_and_on_sm_61_spills_nothing() {
    let machine = images().iter().filter(|image| image.kind == ImageKind::Machine);
    let architectures: BTreeSet<u32> = machine.map(|image| image.architecture).collect();
    assert!(architectures.contains(&61), "{architectures:?}");
    for kernel in all() {
        for &architecture in &architectures {
            let found =
                resources().iter().find(|r| r.kernel == kernel.name && r.architecture == architecture);
            let found = found.unwrap_or_else(|| panic!("{} has no code for sm_{architecture}", kernel.name));
            assert!(found.registers > 0 && found.shared_bytes <= 48 * 1024, "{found:?}");
            assert!(found.resident_blocks(kernel.threads) >= 1, "{found:?}");
            // Newer architectures are given the same 128 registers; what they spill is a few of them.
            let most = if architecture == 61 { 0 } else { 256 };
            assert!(found.spill_bytes <= most, "{found:?}");
        }
    }
    assert_eq!(resources().len(), all().len() * architectures.len(), "code of kernels that nobody launches");
}

/// Bytes of the one parameter that each kernel takes, and its alignment, by the PTX.
fn parameter(kernel: &Kernel) -> (usize, usize) {
    let image = images().iter().find(|i| i.kind == ImageKind::Ptx && i.module == kernel.module).unwrap();
    let code = String::from_utf8(image.code().unwrap()).unwrap();
    let (_, entry) = code.split_once(&format!(".entry {}(", kernel.name)).unwrap();
    let (list, _) = entry.split_once(')').unwrap();
    let parameters: Vec<&str> = list.split(',').map(str::trim).collect();
    assert_eq!(parameters.len(), 1, "{}: {list}", kernel.name);
    let words: Vec<&str> = parameters[0].split_whitespace().collect();
    let align = words.iter().position(|word| *word == ".align").map_or("1", |at| words[at + 1]);
    let bytes = parameters[0].split_once('[').unwrap().1.trim_end_matches(']');
    (bytes.parse().unwrap(), align.parse().unwrap())
}

/// Programs that launch every kernel: each tile by itself, for inference and for training.
fn every_launch(network: &Network) -> Vec<Program> {
    let tiles = TILES.into_iter().enumerate().map(|(i, tile)| {
        let (fusion, batch) = (if i == 0 { Fusion::None } else { Fusion::Full }, 1 + 2 * i);
        let gpu = Gpu { tiles: vec![tile], ..CARDS[0].gpu() };
        let input = if i % 2 == 0 { Input::Values } else { Input::Crops(Normalize::Tf.normalization()) };
        Options { fusion, keep: Keep::Layers, input, ..Options::new(batch, Target::gpu(gpu)) }
    });
    let training = WEIGHT_TILES.into_iter().enumerate().map(|(i, tile)| {
        let gpu = Gpu { weight_tiles: vec![tile], ..CARDS[0].gpu() };
        let training = Some(Training { freeze: 3 * i, dropout: 0.2, ..Training::default() });
        let fusion = if i == 3 { Fusion::None } else { Fusion::Full };
        Options { training, fusion, ..Options::new(1 + i, Target::gpu(gpu)) }
    });
    tiles.chain(training).map(|options| Program::lower(network, &options).unwrap()).collect()
}

#[test]
fn launches_fill_the_struct_that_their_kernel_takes() {
    let network = Network::inception_v3((299, 299), 3, AvgPoolPadding::Include).unwrap();
    let weights = Weights::random(1, &network.parameters()).unwrap();
    let mut seen = BTreeSet::new();
    for program in every_launch(&network) {
        let launches = Launches::new(&program, &weights).unwrap();
        for step in 0..program.steps.len() {
            let launch = launches.launch(step, program.options.batch);
            let (bytes, align) = parameter(&launch.kernel);
            assert_eq!(launch.parameters.len(), bytes.next_multiple_of(8), "{:?}", launch.kernel);
            assert!(align <= 8 && bytes <= 4096, "{:?}", launch.kernel);
            let arena = (program.arena_bytes, Region::Arena);
            let constants = (size_of_val(launches.constants()), Region::Constants);
            let input = (program.buffers[program.input.buffer].bytes, Region::Input);
            for relocation in &launch.pointers {
                let Pointer { region, offset_bytes, bytes } = relocation.pointer;
                let (size, _) = [arena, constants, input].into_iter().find(|(_, r)| *r == region).unwrap();
                assert!(offset_bytes + bytes <= size, "{}", program.steps[step].name);
                assert!(relocation.at % 8 == 0 && relocation.at + 8 <= launch.parameters.len());
            }
            seen.insert(launch.kernel.name);
        }
    }
    assert_eq!(seen, all().iter().map(|kernel| kernel.name).collect::<BTreeSet<_>>());
}

#[test]
fn messages_say_what_to_do() {
    let properties = Properties {
        name: "a card".into(),
        compute_capability: (99, 0),
        multiprocessors: 1,
        clock_mhz: 1.0,
        memory_bytes: 1,
        cuda_version: (12, 2),
    };
    let image = Image::of("conv2d", properties.compute_capability).unwrap();
    let text = refusal(image, &properties, CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    for part in ["PTX sm_", "`conv2d`", "UNSUPPORTED_PTX_VERSION", "ISA 8.8", "driver 575", "CUDA 12.2"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let image = Image::of("conv2d", (6, 1)).unwrap();
    let text = refusal(image, &properties, CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU);
    assert!(text.contains("machine code sm_61") && text.contains("NO_BINARY_FOR_GPU"), "{text}");
    assert!(!text.contains("ISA"), "{text}");
    // Such as after a fault of another engine of the process.
    let text = refusal(image, &properties, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_eq!(text, "loading the machine code sm_61 of `conv2d` failed (CUDA_ERROR_ILLEGAL_ADDRESS)");

    assert!(check_memory("cuda:1", 8, 100, 100).is_ok());
    let text = check_memory("cuda:1", 8, 101, 100).unwrap_err().to_string();
    assert!(
        text.starts_with("device cuda:1: a batch of 8 needs 101 bytes")
            && text.contains("100 bytes are free")
    );
    assert!(run_fault(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS).contains("--no-graph"));
    let text = step_fault("fc", "linear_forward_f32", CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    assert!(
        text.contains("step fc, kernel linear_forward_f32") && text.contains("ILLEGAL_ADDRESS"),
        "{text}"
    );
}

/// An engine of three images of 75×75 on the card, `graph` or not, filled.
fn engine(device: &Device, with_graph: bool) -> Engine {
    let mut device = device.clone();
    if let Device::Cuda { graph, .. } = &mut device {
        *graph = with_graph;
    }
    let network = Network::inception_v3((75, 75), 3, AvgPoolPadding::Include).unwrap();
    let weights = Weights::random(1, &network.parameters()).unwrap();
    let program = Program::lower(&network, &Options::new(3, device.target())).unwrap();
    let mut engine = Engine::new(program, &weights, &device).unwrap();
    fill(&mut engine);
    engine
}

fn fill(engine: &mut Engine) {
    for (i, value) in engine.input().iter_mut().enumerate() {
        *value = ((i * 7919) % 2003) as f32 / 1001.5 - 1.0;
    }
}

fn results(engine: &Engine, images: usize) -> Vec<u32> {
    let (mut logits, mut probabilities) = (vec![f32::NAN; images * 3], vec![f32::NAN; images * 3]);
    engine.logits(images, &mut logits).unwrap();
    engine.probabilities(images, &mut probabilities).unwrap();
    assert!(logits.iter().chain(&probabilities).all(|x| x.is_finite()), "{logits:?}");
    logits.iter().chain(&probabilities).map(|x| x.to_bits()).collect()
}

#[test]
fn graphs_steps_and_timed_runs_give_the_same_bits() {
    let Some(device) = crate::device::tests::cuda() else { return };
    let (mut by_graph, mut by_step) = (engine(&device, true), engine(&device, false));
    // Partial batches, in both directions, and each more than once.
    for images in [3, 1, 2, 3, 1] {
        by_graph.run(images).unwrap();
        by_step.run(images).unwrap();
        let expected = results(&by_step, images);
        assert_eq!(results(&by_graph, images), expected, "{images} images");
        let mut times = Vec::new();
        by_graph.run_timed(images, &mut times).unwrap();
        assert_eq!(results(&by_graph, images), expected, "{images} images, timed");
        assert_eq!(times.len(), by_graph.program().steps.len());
    }
}

#[test]
fn an_engine_moves_to_another_thread_and_several_run_at_once() {
    let Some(device) = crate::device::tests::cuda() else { return };
    let mut first = engine(&device, true);
    first.run(3).unwrap();
    let expected = results(&first, 3);
    std::thread::scope(|scope| {
        let moved = scope.spawn(move || {
            first.run(3).unwrap();
            results(&first, 3)
        });
        // Captures while the other runs.
        let made = scope.spawn(|| {
            let mut own = engine(&device, true);
            own.run(2).unwrap();
            own.run(3).unwrap();
            results(&own, 3)
        });
        assert_eq!(moved.join().unwrap(), expected);
        assert_eq!(made.join().unwrap(), expected);
    });
}
