//! Compiles `kernels/*.cu` through NVRTC and writes the table of images that `src/kernels/embedded.rs` includes.
//!
//! Environment: NVRTC_LIB, the compiler's library; CUDA_PATH, a toolkit; NODAL_CUDA_ARCHS, architectures to compile
//! for, such as `61` or `61,90`, instead of all.

#[cfg(not(any(feature = "cuda", feature = "sim")))]
fn main() {}

#[cfg(any(feature = "cuda", feature = "sim"))]
fn main() {
    println!("cargo::rerun-if-changed=kernels");
    for variable in ["NVRTC_LIB", "CUDA_PATH", "NODAL_CUDA_ARCHS"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if let Err(problem) = gpu::embed() {
        println!("cargo::error={problem}");
    }
}

#[cfg(any(feature = "cuda", feature = "sim"))]
mod gpu {
    use std::fmt::Write;
    use std::path::{Path, PathBuf};

    use kernelc::{Compiled, Nvrtc, Sources, Target};

    /// The oldest architecture, which the simulator runs too.
    const OLDEST: u32 = 61;

    /// Architectures that machine code is embedded for, where the compiler knows them.
    const ARCHITECTURES: [u32; 9] = [OLDEST, 70, 75, 80, 86, 89, 90, 100, 120];

    pub fn embed() -> Result<(), String> {
        let variable = |name: &str| std::env::var(name).map_err(|_| format!("cargo did not set {name}"));
        let (root, out) =
            (PathBuf::from(variable("CARGO_MANIFEST_DIR")?), PathBuf::from(variable("OUT_DIR")?));
        // target/PROFILE/build/nodal-HASH/out: kernels are shared by all profiles.
        let target = out.ancestors().nth(4).unwrap_or(&out);
        let nvrtc = kernelc::find(&root.join("target/nvrtc"), OLDEST).map_err(|e| {
            let way_out = "or build without GPU kernels: --no-default-features --features cpu,cli";
            match std::env::var_os("NVRTC_LIB") {
                Some(_) => format!("{e}, {way_out}"),
                None => format!("{e}: run `make nvrtc`, which fetches it without a CUDA toolkit, {way_out}"),
            }
        })?;
        let sources = Sources::read(&root.join("kernels")).map_err(|e| e.to_string())?;
        let compiled = kernelc::compile(&nvrtc, &sources, &targets(&nvrtc)?, &target.join("kernels"));
        let table = table(&compiled.map_err(|e| e.to_string().replace('\n', "\ncargo::error="))?)?;
        let path = out.join("embedded.rs");
        std::fs::write(&path, table).map_err(|e| format!("{}: cannot write: {e}", path.display()))
    }

    fn targets(nvrtc: &Nvrtc) -> Result<Vec<Target>, String> {
        let mut targets = Vec::new();
        if cfg!(feature = "sim") {
            targets.push(Target::PtxWithLines(OLDEST));
        }
        if cfg!(feature = "cuda") {
            let known: Vec<u32> =
                ARCHITECTURES.into_iter().filter(|a| nvrtc.architectures.contains(a)).collect();
            let wanted = match std::env::var("NODAL_CUDA_ARCHS") {
                Ok(list) => {
                    list.split(',').map(|name| architecture(name, &known)).collect::<Result<_, _>>()?
                }
                Err(_) => known,
            };
            targets.extend(wanted.iter().map(|&a| Target::Machine(a)));
            // For cards that are newer than all of these, and for those between them without machine code.
            let ptx: std::collections::BTreeSet<u32> =
                wanted.iter().min().into_iter().chain(wanted.iter().max()).copied().collect();
            targets.extend(ptx.into_iter().map(Target::Ptx));
        }
        Ok(targets)
    }

    fn architecture(name: &str, known: &[u32]) -> Result<u32, String> {
        let found = name.trim().parse().ok().filter(|a| known.contains(a));
        found.ok_or_else(|| {
            let known: Vec<String> = known.iter().map(u32::to_string).collect();
            format!("NODAL_CUDA_ARCHS: `{name}` is none of {}", known.join(", "))
        })
    }

    /// The Rust source of both tables.
    fn table(compiled: &[Compiled]) -> Result<String, String> {
        let (mut images, mut resources) = (String::new(), String::new());
        for Compiled { module, target, path, bytes, resources: kernels } in compiled {
            let (kind, architecture) = match target {
                Target::Machine(a) => ("Machine", a),
                Target::Ptx(a) => ("Ptx", a),
                Target::PtxWithLines(a) => ("SimulatorPtx", a),
            };
            let path: &Path = path;
            writeln!(
                images,
                "    Image {{ module: {module:?}, kind: ImageKind::{kind}, architecture: {architecture}, \
                 bytes: {bytes}, compressed: include_bytes!({path:?}) }},"
            )
            .map_err(|e| e.to_string())?;
            for r in kernels {
                writeln!(
                    resources,
                    "    Resources {{ kernel: {:?}, architecture: {architecture}, registers: {}, \
                     shared_bytes: {}, spill_bytes: {} }},",
                    r.kernel, r.registers, r.shared_bytes, r.spill_bytes
                )
                .map_err(|e| e.to_string())?;
            }
        }
        Ok(format!(
            "pub(super) static IMAGES: &[Image] = &[\n{images}];\n\n\
             pub(super) static RESOURCES: &[Resources] = &[\n{resources}];\n"
        ))
    }
}
