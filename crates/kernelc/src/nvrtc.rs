//! NVRTC, opened at run time. Source of the interface: NVIDIA, "NVRTC" 12.9, `nvrtc.h`.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;

use libloading::Library;

use crate::{Error, Result, Target};

type Program = *mut c_void;

/// The compiler.
pub struct Nvrtc {
    library: Library,
    /// Major and minor version.
    pub version: (u32, u32),
    /// Architectures it has machine code for, 61 for sm_61.
    pub architectures: Vec<u32>,
}

/// Looks a function up and calls it.
macro_rules! call {
    ($library:expr, $name:literal, ($($kind:ty),*), $($argument:expr),*) => {{
        // SAFETY: the type is that of nvrtc.h.
        let function = unsafe { $library.get::<unsafe extern "C" fn($($kind),*) -> c_int>(concat!($name, "\0")) };
        match function {
            // SAFETY: each caller passes pointers that live as long as the call.
            Ok(function) => match unsafe { function($($argument),*) } {
                0 => Ok(()),
                code => Err(Error(format!("{} failed with code {code}", $name))),
            },
            Err(_) => Err(Error(format!("the library has no function {}", $name))),
        }
    }};
}

impl Nvrtc {
    /// Opens the library at `path`.
    ///
    /// # Errors
    /// When it is no NVRTC.
    pub fn open(path: &Path) -> Result<Self> {
        // SAFETY: NVRTC's initialisers have no preconditions.
        let library = unsafe { Library::new(path) };
        let library = library.map_err(|e| Error(format!("{}: cannot be opened: {e}", path.display())))?;
        let (mut major, mut minor, mut count) = (0, 0, 0);
        call!(library, "nvrtcVersion", (*mut c_int, *mut c_int), &mut major, &mut minor)?;
        call!(library, "nvrtcGetNumSupportedArchs", (*mut c_int), &mut count)?;
        let mut architectures = vec![0 as c_int; usize::try_from(count).unwrap_or(0)];
        call!(library, "nvrtcGetSupportedArchs", (*mut c_int), architectures.as_mut_ptr())?;
        let architectures = architectures.into_iter().filter_map(|a| u32::try_from(a).ok()).collect();
        let number = |n: c_int| u32::try_from(n).unwrap_or(0);
        Ok(Nvrtc { library, version: (number(major), number(minor)), architectures })
    }

    /// Code of `text`, called `name` in messages, and the compiler's log.
    ///
    /// # Errors
    /// With the log, for text that does not compile.
    pub fn compile(
        &self,
        name: &str,
        text: &str,
        headers: &[(String, String)],
        target: Target,
    ) -> Result<(Vec<u8>, String)> {
        let library = &self.library;
        let c_string =
            |text: &str| CString::new(text).map_err(|_| Error(format!("{name}: holds a zero byte")));
        let pointers = |strings: &[CString]| strings.iter().map(|s| s.as_ptr()).collect::<Vec<_>>();
        let (c_text, c_name) = (c_string(text)?, c_string(name)?);
        let header_texts = headers.iter().map(|(_, text)| c_string(text)).collect::<Result<Vec<_>>>()?;
        let header_names = headers.iter().map(|(name, _)| c_string(name)).collect::<Result<Vec<_>>>()?;
        let options = target.options().iter().map(|o| c_string(o)).collect::<Result<Vec<_>>>()?;
        let count = |n: usize| c_int::try_from(n).unwrap_or(c_int::MAX);
        let mut program: Program = std::ptr::null_mut();
        type Strings = *const *const c_char;
        call!(
            library,
            "nvrtcCreateProgram",
            (*mut Program, *const c_char, *const c_char, c_int, Strings, Strings),
            &mut program,
            c_text.as_ptr(),
            c_name.as_ptr(),
            count(headers.len()),
            pointers(&header_texts).as_ptr(),
            pointers(&header_names).as_ptr()
        )?;
        let compiled = call!(
            library,
            "nvrtcCompileProgram",
            (Program, c_int, Strings),
            program,
            count(options.len()),
            pointers(&options).as_ptr()
        );
        let log = self.output(program, Output::Log);
        let code = compiled.and_then(|()| {
            self.output(
                program,
                if matches!(target, Target::Machine(_)) { Output::Machine } else { Output::Ptx },
            )
        });
        call!(library, "nvrtcDestroyProgram", (*mut Program), &mut program)?;
        let log = String::from_utf8_lossy(&log?).into_owned();
        match code {
            Ok(code) => Ok((code, log)),
            Err(e) => {
                // Old architectures are what this is for.
                let told = log.lines().filter(|line| !line.contains("are deprecated and may be removed"));
                Err(Error(format!("{name}: {e}\n{}", told.collect::<Vec<_>>().join("\n").trim())))
            }
        }
    }

    /// The log or the code of a program, without the zero that ends text.
    fn output(&self, program: Program, output: Output) -> Result<Vec<u8>> {
        let (library, mut size) = (&self.library, 0usize);
        match output {
            Output::Log => {
                call!(library, "nvrtcGetProgramLogSize", (Program, *mut usize), program, &mut size)
            }
            Output::Ptx => call!(library, "nvrtcGetPTXSize", (Program, *mut usize), program, &mut size),
            Output::Machine => call!(library, "nvrtcGetCUBINSize", (Program, *mut usize), program, &mut size),
        }?;
        let mut bytes = vec![0u8; size];
        let to = bytes.as_mut_ptr().cast::<c_char>();
        match output {
            Output::Log => call!(library, "nvrtcGetProgramLog", (Program, *mut c_char), program, to),
            Output::Ptx => call!(library, "nvrtcGetPTX", (Program, *mut c_char), program, to),
            Output::Machine => call!(library, "nvrtcGetCUBIN", (Program, *mut c_char), program, to),
        }?;
        if !matches!(output, Output::Machine) && bytes.last() == Some(&0) {
            bytes.pop();
        }
        Ok(bytes)
    }
}

#[derive(Clone, Copy)]
enum Output {
    Log,
    Ptx,
    Machine,
}
