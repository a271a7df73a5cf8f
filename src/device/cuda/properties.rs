//! Which cards there are, what is known of each without using it, and why one cannot be used.

use cudarc::driver::{result, sys};

use crate::error::{Error, Result};
use crate::kernels::{Image, ImageKind, TILES, WEIGHT_TILES, fma_per_clock, images};
use crate::program::Gpu;

/// A card as its driver describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Properties {
    /// As its maker calls it.
    pub name: String,
    /// Major and minor compute capability.
    pub compute_capability: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: usize,
    /// Highest clock of the multiprocessors.
    pub clock_mhz: f64,
    /// Its memory, used or not.
    pub memory_bytes: usize,
    /// The newest CUDA version that the driver serves, major and minor.
    pub cuda_version: (u32, u32),
}

/// The oldest CUDA version whose driver can be used: functions that are called came with it.
const OLDEST_CUDA: (u32, u32) = (12, 0);

impl Properties {
    /// What a program is cut for.
    pub fn gpu(&self) -> Gpu {
        Gpu {
            multiprocessors: self.multiprocessors,
            tiles: TILES.to_vec(),
            weight_tiles: WEIGHT_TILES.to_vec(),
            tuning: None,
        }
    }

    /// Nominal float32 peak, at the highest clock that the driver reports; a multiply-add counts two.
    pub fn peak_gflops(&self) -> f64 {
        2.0 * fma_per_clock(self.compute_capability) * self.multiprocessors as f64 * self.clock_mhz / 1e3
    }

    /// The code that runs on it, in words: `machine code sm_90`; `None` where there is none.
    pub fn code(&self) -> Option<String> {
        let mut modules: Vec<&str> = crate::kernels::all().iter().map(|kernel| kernel.module).collect();
        modules.dedup();
        let images: Option<Vec<&Image>> =
            modules.into_iter().map(|module| Image::of(module, self.compute_capability)).collect();
        images?.first().map(|image| in_words(image))
    }
}

/// `machine code sm_90` or `PTX sm_120`.
pub(super) fn in_words(image: &Image) -> String {
    let kind = if image.kind == ImageKind::Machine { "machine code" } else { "PTX" };
    format!("{kind} sm_{}", image.architecture)
}

/// The cards of this machine in the driver's order, those without embedded code included.
///
/// # Errors
/// [`Error::Device`] when there is no driver, none that can be used, or no card.
pub fn devices() -> Result<Vec<Properties>> {
    // SAFETY: opening the driver's library has no preconditions. Nothing else may be called where it is missing.
    if !unsafe { sys::is_culib_present() } {
        return Err(problem(
            "cuda",
            "no NVIDIA driver is installed here: install version 525 or newer, or use --device cpu",
        ));
    }
    let mut version = 0;
    // SAFETY: the one function that may be called before the driver is initialised; it writes an int.
    driver(unsafe { sys::cuDriverGetVersion(&mut version) }.result())?;
    let cuda_version = checked_version(version)?;
    driver(result::init())?;
    let count = driver(result::device::get_count())?;
    if count <= 0 {
        return Err(problem("cuda", NO_CARD));
    }
    (0..count).map(|index| driver(properties(index, cuda_version))).collect()
}

/// Card number `index`, which can be used.
///
/// # Errors
/// Those of [`devices`]; [`Error::Device`] when there is no such card, or no code for it.
pub fn device(index: usize) -> Result<Properties> {
    let mut all = devices()?;
    if index >= all.len() {
        return Err(no_such(index, all.len()));
    }
    let properties = all.swap_remove(index);
    checked_code(index, &properties)?;
    Ok(properties)
}

/// The first card that can be used.
pub fn first() -> Option<(usize, Properties)> {
    devices()
        .ok()?
        .into_iter()
        .enumerate()
        .find(|(index, properties)| checked_code(*index, properties).is_ok())
}

/// Why no card can be used although there is a driver and a card.
pub fn unusable() -> Option<Error> {
    // SAFETY: opening the driver's library has no preconditions.
    if !unsafe { sys::is_culib_present() } {
        return None;
    }
    match devices() {
        Ok(all) => {
            let mut refused = all.iter().enumerate().map(|(index, card)| checked_code(index, card).err());
            let first = refused.next().flatten()?;
            refused.all(|error| error.is_some()).then_some(first)
        }
        Err(Error::Device { problem, .. }) if problem == NO_CARD => None,
        Err(error) => Some(error),
    }
}

fn properties(index: i32, cuda_version: (u32, u32)) -> std::result::Result<Properties, result::DriverError> {
    use sys::CUdevice_attribute as Attribute;
    let device = result::device::get(index)?;
    // SAFETY: the device comes from the driver.
    let attribute = |a| unsafe { result::device::get_attribute(device, a) }.map(i32::unsigned_abs);
    Ok(Properties {
        name: result::device::get_name(device)?,
        compute_capability: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as usize,
        clock_mhz: f64::from(attribute(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?) / 1e3,
        // SAFETY: as above.
        memory_bytes: unsafe { result::device::total_mem(device) }?,
        cuda_version,
    })
}

const NO_CARD: &str =
    "the NVIDIA driver finds no GPU: look at nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu";

/// What the driver says while it starts.
fn driver<T>(result: std::result::Result<T, result::DriverError>) -> Result<T> {
    result.map_err(|error| match error.0 {
        sys::CUresult::CUDA_ERROR_NO_DEVICE => problem("cuda", NO_CARD),
        code => problem(
            "cuda",
            &format!("the NVIDIA driver does not start ({code:?}): look at nvidia-smi, or use --device cpu"),
        ),
    })
}

/// The driver's CUDA version from its number, 12040 for 12.4, if it is new enough.
fn checked_version(version: i32) -> Result<(u32, u32)> {
    let version = version.unsigned_abs();
    let cuda = (version / 1000, version % 1000 / 10);
    if cuda < OLDEST_CUDA {
        return Err(problem(
            "cuda",
            &format!(
                "the NVIDIA driver serves CUDA {}.{} only, and 12.0 is needed: install driver 525 or newer, or use \
                 --device cpu",
                cuda.0, cuda.1
            ),
        ));
    }
    Ok(cuda)
}

fn no_such(index: usize, count: usize) -> Error {
    let there_are = match count {
        1 => "there is one CUDA device, cuda:0".to_string(),
        _ => format!("there are {count} CUDA devices, cuda:0 to cuda:{}", count - 1),
    };
    problem(&format!("cuda:{index}"), &format!("{there_are}: name one of them"))
}

fn checked_code(index: usize, properties: &Properties) -> Result<()> {
    if properties.code().is_some() {
        return Ok(());
    }
    let mut architectures: Vec<u32> =
        images().iter().filter(|i| i.kind == ImageKind::Machine).map(|i| i.architecture).collect();
    architectures.sort_unstable();
    architectures.dedup();
    let names: Vec<String> = architectures.iter().map(|a| format!("sm_{a}")).collect();
    let (major, minor) = properties.compute_capability;
    Err(problem(
        &format!("cuda:{index}"),
        &format!(
            "{} is sm_{major}{minor}, and this build has code for {} and newer ones: use another card or --device cpu",
            properties.name,
            names.join(", ")
        ),
    ))
}

pub(super) fn problem(device: &str, problem: &str) -> Error {
    Error::Device { device: device.into(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(compute_capability: (u32, u32)) -> Properties {
        Properties {
            name: "a card".into(),
            compute_capability,
            multiprocessors: 28,
            clock_mhz: 1582.0,
            memory_bytes: 11 << 30,
            cuda_version: (12, 2),
        }
    }

    #[test]
    fn versions_of_drivers() {
        assert_eq!(checked_version(12040).unwrap(), (12, 4));
        assert_eq!(checked_version(12000).unwrap(), (12, 0));
        assert_eq!(checked_version(13010).unwrap(), (13, 1));
        let error = checked_version(11080).unwrap_err().to_string();
        assert!(error.contains("CUDA 11.8 only") && error.contains("driver 525"), "{error}");
    }

    #[test]
    fn an_index_that_is_too_high_says_how_many_there_are() {
        assert!(no_such(1, 1).to_string().contains("there is one CUDA device, cuda:0"));
        let error = no_such(7, 4).to_string();
        assert!(error.starts_with("device cuda:7: there are 4 CUDA devices, cuda:0 to cuda:3"), "{error}");
    }

    #[test]
    fn a_card_that_is_too_old_says_what_there_is() {
        for old in [(3, 5), (5, 2), (6, 0)] {
            let error = checked_code(2, &card(old)).unwrap_err().to_string();
            let known = error.starts_with(&format!("device cuda:2: a card is sm_{}{}", old.0, old.1));
            assert!(known && error.contains("sm_61"), "{error}");
        }
        assert_eq!(card((6, 1)).code().as_deref(), Some("machine code sm_61"));
        assert!(card((99, 0)).code().is_some_and(|code| code.starts_with("PTX sm_")), "newer cards get PTX");
    }

    #[test]
    fn the_peak_is_that_of_the_published_figures() {
        // GTX 1080 Ti: 3584 lanes.
        assert!((card((6, 1)).peak_gflops() - 2.0 * 3584.0 * 1.582).abs() < 1e-6);
    }

    #[test]
    fn what_the_driver_says_while_starting() {
        let error = |code| driver::<()>(Err(result::DriverError(code))).unwrap_err().to_string();
        assert!(error(sys::CUresult::CUDA_ERROR_NO_DEVICE).contains("finds no GPU"));
        assert!(error(sys::CUresult::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH).contains("SYSTEM_DRIVER_MISMATCH"));
    }
}
