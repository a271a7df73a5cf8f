//! What a kernel needs of a multiprocessor, read from the log of `ptxas -v`.

/// Registers and memory of one kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// The kernel.
    pub kernel: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Shared memory of a block, declared in the kernel.
    pub shared_bytes: u32,
    /// Bytes of registers that a thread stores to local memory and loads back, both added.
    pub spill_bytes: u32,
}

/// All kernels in a log, in its order.
pub(crate) fn parse(log: &str) -> Vec<Resources> {
    let mut all: Vec<Resources> = Vec::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let kernel = rest.split('\'').next().unwrap_or_default().to_string();
            all.push(Resources { kernel, ..Resources::default() });
        }
        let Some(last) = all.last_mut() else { continue };
        // "Used 128 registers, used 1 barriers, 42004 bytes smem", "8 bytes spill stores, 8 bytes spill loads".
        for part in line.split(',') {
            let words: Vec<&str> = part.split_whitespace().collect();
            let number = |at: usize| words.get(at).and_then(|word| word.parse::<u32>().ok());
            for (at, word) in words.iter().enumerate() {
                let before = |back: usize| at.checked_sub(back).and_then(number);
                match *word {
                    "registers" => last.registers = before(1).unwrap_or(last.registers),
                    "smem" => last.shared_bytes = before(2).unwrap_or(last.shared_bytes),
                    "spill" => last.spill_bytes += before(2).unwrap_or(0),
                    _ => {}
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_two_kernels() {
        let log = "ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'a_f32' for 'sm_61'
ptxas info    : Function properties for a_f32
ptxas         .     16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 128 registers, used 1 barriers, 42004 bytes smem, 1192 bytes cmem[0]
ptxas info    : Compiling entry function 'b_f32' for 'sm_61'
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 30 registers, used 0 barriers, 344 bytes cmem[0], 28 bytes cmem[2]";
        let a = Resources { kernel: "a_f32".into(), registers: 128, shared_bytes: 42004, spill_bytes: 20 };
        let b = Resources { kernel: "b_f32".into(), registers: 30, ..Resources::default() };
        assert_eq!(parse(log), [a, b]);
        assert_eq!(parse("nothing of the kind"), []);
    }
}
