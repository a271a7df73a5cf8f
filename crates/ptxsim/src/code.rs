//! Decoded instructions: sixteen bytes each, operands resolved to register slots.

/// No guard, no destination.
pub(crate) const NONE: u16 = u16::MAX;

/// Set in a guard that is negated.
pub(crate) const NEGATED: u16 = 1 << 15;

/// One instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inst {
    pub code: Code,
    /// Predicate that lanes must have to take part, [`NONE`] for all.
    pub guard: u16,
    /// Destination.
    pub d: u16,
    /// Sources.
    pub a: u16,
    pub b: u16,
    pub c: u16,
    /// Whatever else: target, offset, kind.
    pub imm: u32,
}

/// What an instruction does. The suffix names the width of its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[rustfmt::skip]
pub(crate) enum Code {
    /// Begins basic block number `imm`.
    Block,
    // Moves.
    Mov32, Mov64, Pack32, Unpack32, Pack64, Unpack64, MovPred,
    // Integers of 32 bits; the four sources of `Bfi32` are a vector of registers.
    Add32, Sub32, Mul32, MulHiS32, MulHiU32, Mad32, MinS32, MinU32, MaxS32, MaxU32, And32, Or32, Xor32, Not32, Neg32, Abs32,
    Shl32, ShrU32, ShrS32, DivS32, DivU32, RemS32, RemU32, BfeU32, BfeS32, Bfi32, Lop3, Prmt, ShfL, ShfR, Popc32, Clz32,
    Brev32, BfindU32, Dp4aS32, Dp4aU32,
    // Integers of 16 bits, upper half zero.
    Add16, Sub16, Mul16, Mad16, MinS16, MinU16, MaxS16, MaxU16, Not16, Neg16, Shl16, ShrU16, ShrS16, MulWideS16, MulWideU16,
    // From 32 to 64 bits.
    MulWideS, MulWideU, MadWideS, MadWideU,
    // Integers of 64 bits.
    Add64, Sub64, Mul64, MulHiS64, MulHiU64, Mad64, MinS64, MinU64, MaxS64, MaxU64, And64, Or64, Xor64, Not64, Neg64, Abs64,
    Shl64, ShrU64, ShrS64, DivS64, DivU64, RemS64, RemU64, Popc64, Clz64, Brev64,
    // Float32; `imm` is 1 where numbers below the normal range count as 0.
    FAdd, FSub, FMul, FFma, FFmaDown, FDiv, FMin, FMax, FNeg, FAbs, FCopySign, FRcp, FSqrt, FSqrtFlush, FRsqrt, FEx2, FLg2,
    // Float64.
    DAdd, DSub, DMul, DFma, DDiv, DMin, DMax, DNeg, DAbs, DSqrt, DRcp,
    // Conversions; `imm` holds types and rounding where the code does not.
    CvtS64S32, CvtU64U32, CvtLow32, CvtU16, CvtF32S32, CvtF64F32, Cvt,
    // Predicates.
    SetpS32, SetpU32, SetpS16, SetpU16, SetpS64, SetpU64, SetpF32, SetpF64, Selp32, Selp64, AndPred, OrPred, XorPred, NotPred,
    // Memory; `b` is a packed [`Access`], `c` a vector of registers, `imm` the offset.
    LdShared, StShared, LdGlobal, LdGlobalReadOnly, StGlobal, LdParam, LdLocal, StLocal,
    /// `imm`: packed [`Atomic`] and offset.
    AtomGlobal, AtomShared,
    // Warp and block; sources of `Shfl` are a vector of registers.
    Shfl, Vote, ActiveMask, Barrier, Fence, Bra, Ret,
}

/// What a memory instruction moves for each lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// Bytes of one element: 1, 2, 4 or 8.
    pub bytes: u32,
    /// Elements: 1, 2 or 4.
    pub count: u32,
    /// Whether loads extend the sign.
    pub signed: bool,
    /// Whether loads fill a register of 64 bits with fewer.
    pub widen: bool,
}

impl Access {
    /// Bytes of all elements.
    #[inline(always)]
    pub fn size(self) -> u32 {
        self.bytes * self.count
    }

    pub fn pack(self) -> u16 {
        let flags = u16::from(self.signed) | u16::from(self.widen) << 1;
        (self.bytes as u16) << 8 | (self.count as u16) << 4 | flags
    }

    #[inline(always)]
    pub fn unpack(b: u16) -> Self {
        Access {
            bytes: u32::from(b >> 8),
            count: u32::from(b >> 4 & 15),
            signed: b & 1 != 0,
            widen: b & 2 != 0,
        }
    }
}

/// What an atomic does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[rustfmt::skip]
pub(crate) enum Atomic { Add, MinS, MinU, MaxS, MaxU, Exch, Cas, Inc, Dec, And, Or, Xor, AddF32 }

pub(crate) const ATOMICS: [Atomic; 16] = [
    Atomic::Add,
    Atomic::MinS,
    Atomic::MinU,
    Atomic::MaxS,
    Atomic::MaxU,
    Atomic::Exch,
    Atomic::Cas,
    Atomic::Inc,
    Atomic::Dec,
    Atomic::And,
    Atomic::Or,
    Atomic::Xor,
    Atomic::AddF32,
    // Never asked for.
    Atomic::Xor,
    Atomic::Xor,
    Atomic::Xor,
];

/// A comparison; the unordered ones hold when an operand is NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[rustfmt::skip]
pub(crate) enum Compare { Eq, Ne, Lt, Le, Gt, Ge, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan }

pub(crate) const COMPARES: [(&str, Compare); 18] = [
    ("eq", Compare::Eq),
    ("ne", Compare::Ne),
    ("lt", Compare::Lt),
    ("le", Compare::Le),
    ("gt", Compare::Gt),
    ("ge", Compare::Ge),
    ("lo", Compare::Lt),
    ("ls", Compare::Le),
    ("hi", Compare::Gt),
    ("hs", Compare::Ge),
    ("equ", Compare::Equ),
    ("neu", Compare::Neu),
    ("ltu", Compare::Ltu),
    ("leu", Compare::Leu),
    ("gtu", Compare::Gtu),
    ("geu", Compare::Geu),
    ("num", Compare::Num),
    ("nan", Compare::Nan),
];

/// Comparisons by their number.
pub(crate) const COMPARE_OF: [Compare; 16] = [
    Compare::Eq,
    Compare::Ne,
    Compare::Lt,
    Compare::Le,
    Compare::Gt,
    Compare::Ge,
    Compare::Equ,
    Compare::Neu,
    Compare::Ltu,
    Compare::Leu,
    Compare::Gtu,
    Compare::Geu,
    Compare::Num,
    Compare::Nan,
    // Never asked for.
    Compare::Nan,
    Compare::Nan,
];

/// Whether `compare` of two numbers holds.
#[inline(always)]
pub(crate) fn holds<T: PartialOrd>(compare: Compare, a: T, b: T) -> bool {
    let unordered = a.partial_cmp(&b).is_none();
    match compare {
        Compare::Eq => a == b,
        Compare::Ne => a != b && !unordered,
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Gt => a > b,
        Compare::Ge => a >= b,
        Compare::Equ => a == b || unordered,
        Compare::Neu => a != b,
        Compare::Ltu => a < b || unordered,
        Compare::Leu => a <= b || unordered,
        Compare::Gtu => a > b || unordered,
        Compare::Geu => a >= b || unordered,
        Compare::Num => !unordered,
        Compare::Nan => unordered,
    }
}

/// A type of PTX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[rustfmt::skip]
pub(crate) enum Type { U8, S8, U16, S16, U32, S32, U64, S64, F32, F64, Pred }

pub(crate) const TYPES: [Type; 11] = [
    Type::U8,
    Type::S8,
    Type::U16,
    Type::S16,
    Type::U32,
    Type::S32,
    Type::U64,
    Type::S64,
    Type::F32,
    Type::F64,
    Type::Pred,
];

impl Type {
    /// The type called `name`; bits without a sign count as unsigned.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "u8" | "b8" => Type::U8,
            "s8" => Type::S8,
            "u16" | "b16" => Type::U16,
            "s16" => Type::S16,
            "u32" | "b32" => Type::U32,
            "s32" => Type::S32,
            "u64" | "b64" => Type::U64,
            "s64" => Type::S64,
            "f32" => Type::F32,
            "f64" => Type::F64,
            "pred" => Type::Pred,
            _ => return None,
        })
    }

    pub fn bytes(self) -> u32 {
        match self {
            Type::U8 | Type::S8 | Type::Pred => 1,
            Type::U16 | Type::S16 => 2,
            Type::U32 | Type::S32 | Type::F32 => 4,
            Type::U64 | Type::S64 | Type::F64 => 8,
        }
    }

    pub fn signed(self) -> bool {
        matches!(self, Type::S8 | Type::S16 | Type::S32 | Type::S64)
    }
}

/// Rounding of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[rustfmt::skip]
pub(crate) enum Rounding { Nearest, Zero, Down, Up }

/// A conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conversion {
    pub to: Type,
    pub from: Type,
    pub rounding: Rounding,
    /// To a whole number of the same float type.
    pub integral: bool,
    /// Clamped to [0, 1], or to what the integer holds.
    pub saturate: bool,
    /// Float32 below the normal range counts as 0.
    pub flush: bool,
}

impl Conversion {
    pub fn pack(self) -> u32 {
        let rounding = self.rounding as u32;
        let flags = u32::from(self.integral) | u32::from(self.saturate) << 1 | u32::from(self.flush) << 2;
        self.to as u32 | (self.from as u32) << 4 | rounding << 8 | flags << 12
    }

    pub fn unpack(imm: u32) -> Self {
        let rounding = match imm >> 8 & 15 {
            0 => Rounding::Nearest,
            1 => Rounding::Zero,
            2 => Rounding::Down,
            _ => Rounding::Up,
        };
        let of = |bits: u32| TYPES[bits as usize & 15];
        let flag = |bit: u32| imm >> bit & 1 != 0;
        Conversion {
            to: of(imm),
            from: of(imm >> 4),
            rounding,
            integral: flag(12),
            saturate: flag(13),
            flush: flag(14),
        }
    }
}
