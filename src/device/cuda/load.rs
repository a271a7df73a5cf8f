//! Embedded code on its way to the card, and whether the card can take what an engine needs.

use std::collections::HashMap;
use std::sync::Arc;

use cudarc::driver::sys::CUresult;

use super::Properties;
use super::driver::{Context, Function, Module};
use super::properties::{in_words, problem};
use crate::error::Result;
use crate::kernels::{Image, ImageKind, Kernel, Launches};
use crate::program::Program;

/// The modules that the kernels of `program` lie in, and the kernels.
pub(super) fn load(
    context: &Arc<Context>,
    name: &str,
    properties: &Properties,
    program: &Program,
    launches: &Launches,
) -> Result<(Vec<Module>, HashMap<&'static str, Function>)> {
    let (mut modules, mut kernels) = (HashMap::new(), HashMap::new());
    for step in 0..program.steps.len() {
        let kernel = launches.launch(step, program.options.batch).kernel;
        if kernels.contains_key(kernel.name) {
            continue;
        }
        if !modules.contains_key(kernel.module) {
            modules.insert(kernel.module, load_module(context, name, properties, kernel.module)?);
        }
        // A driver that loads lazily refuses code only here.
        let (module, image) = &modules[kernel.module];
        let (function, threads) = module
            .function(kernel.name)
            .map_err(|error| problem(name, &refusal(image, properties, error.0)))?;
        if kernel.threads > threads {
            let Kernel { name: kernel, threads: needed, .. } = kernel;
            let text =
                format!("the kernel {kernel} needs blocks of {needed} threads, and {threads} fit here");
            return Err(problem(name, &text));
        }
        kernels.insert(kernel.name, function);
    }
    Ok((modules.into_values().map(|(module, _)| module).collect(), kernels))
}

/// The embedded code of `kernels/MODULE.cu` for the card, loaded.
fn load_module(
    context: &Arc<Context>,
    name: &str,
    properties: &Properties,
    module: &str,
) -> Result<(Module, &'static Image)> {
    let image = Image::of(module, properties.compute_capability)
        .ok_or_else(|| problem(name, &format!("the build embedded no code of `{module}` for this card")))?;
    let mut code = image.code()?;
    if image.kind == ImageKind::Ptx {
        code.push(0);
    }
    // SAFETY: NVRTC made the image while nodal was built, and it was unpacked whole; PTX ends with a zero.
    let loaded = unsafe { Module::load(context, &code) };
    let module = loaded.map_err(|error| problem(name, &refusal(image, properties, error.0)))?;
    Ok((module, image))
}

/// Why the driver does not take an image.
pub(super) fn refusal(image: &Image, properties: &Properties, code: CUresult) -> String {
    let Properties { cuda_version: (major, minor), .. } = properties;
    let (what, module) = (in_words(image), image.module);
    let unfit = matches!(
        code,
        CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
            | CUresult::CUDA_ERROR_INVALID_IMAGE
            | CUresult::CUDA_ERROR_INVALID_PTX
            | CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
    );
    let needs = match image.kind {
        _ if !unfit => return format!("loading the {what} of `{module}` failed ({code:?})"),
        ImageKind::Machine => "the card needs a newer driver",
        _ => &format!("it is PTX ISA {}, and ISA 8.8 needs driver 575 of CUDA 12.9", isa(image)),
    };
    format!(
        "the driver refuses the {what} of `{module}` ({code:?}): {needs}, and this driver serves CUDA {major}.{minor}; \
         install a newer one"
    )
}

/// The version of the instruction set that PTX is written in.
fn isa(image: &Image) -> String {
    let code = image.code().unwrap_or_default();
    let text = String::from_utf8_lossy(&code);
    let version = text.lines().find_map(|line| line.strip_prefix(".version "));
    version.unwrap_or("unknown").trim().to_string()
}

/// Compares what an engine needs with what is free, before it takes any.
pub(super) fn check_memory(name: &str, batch: usize, needed: usize, free: usize) -> Result<()> {
    if needed <= free {
        return Ok(());
    }
    let text = format!(
        "a batch of {batch} needs {needed} bytes of its memory, and {free} bytes are free: choose a smaller batch or end \
         what else runs there"
    );
    Err(problem(name, &text))
}
