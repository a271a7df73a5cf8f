//! Loops over the lanes of a warp.
//!
//! They are macros, not closures: their bodies must end up within the functions that are compiled for an instruction set of
//! the host, where a closure might be left outside. `f` is a frame, `i` an instruction, `SOME` whether not all lanes take part.

/// An expression's value in each lane.
macro_rules! each {
    (|$l:ident| $e:expr) => {{
        let mut out = [0; 32];
        for $l in 0..32 {
            out[$l] = $e;
        }
        out
    }};
}

/// `d = e(a)` on 32 bits.
macro_rules! unary {
    ($f:ident, $i:ident, |$a:ident| $e:expr) => {{
        let a = $f.get($i.a);
        $f.put::<SOME>(
            $i.d,
            &each!(|l| {
                let $a = a[l];
                $e
            }),
        );
    }};
}

/// `d = e(a, b)` on 32 bits.
macro_rules! binary {
    ($f:ident, $i:ident, |$a:ident, $b:ident| $e:expr) => {{
        let (a, b) = ($f.get($i.a), $f.get($i.b));
        $f.put::<SOME>(
            $i.d,
            &each!(|l| {
                let ($a, $b) = (a[l], b[l]);
                $e
            }),
        );
    }};
}

/// `d = e(a, b, c)` on 32 bits.
macro_rules! ternary {
    ($f:ident, $i:ident, |$a:ident, $b:ident, $c:ident| $e:expr) => {{
        let (a, b, c) = ($f.get($i.a), $f.get($i.b), $f.get($i.c));
        $f.put::<SOME>(
            $i.d,
            &each!(|l| {
                let ($a, $b, $c) = (a[l], b[l], c[l]);
                $e
            }),
        );
    }};
}

/// `d = e(a)`, `d = e(a, b)`, `d = e(a, b, c)` on float32, `e` giving bits.
macro_rules! floats {
    ($f:ident, $i:ident, |$a:ident| $e:expr) => {
        unary!($f, $i, |x| {
            let $a = f32::from_bits(x);
            $e
        })
    };
    ($f:ident, $i:ident, |$a:ident, $b:ident| $e:expr) => {
        binary!($f, $i, |x, y| {
            let ($a, $b) = (f32::from_bits(x), f32::from_bits(y));
            $e
        })
    };
    ($f:ident, $i:ident, |$a:ident, $b:ident, $c:ident| $e:expr) => {
        ternary!($f, $i, |x, y, z| {
            let ($a, $b, $c) = (f32::from_bits(x), f32::from_bits(y), f32::from_bits(z));
            $e
        })
    };
}

/// `d = e(a)`, `d = e(a, b)`, `d = e(a, b, c)` on 64 bits.
macro_rules! wides {
    ($f:ident, $i:ident, |$a:ident| $e:expr) => {{
        let a = $f.get64($i.a);
        $f.put64::<SOME>(
            $i.d,
            &each!(|l| {
                let $a = a[l];
                $e
            }),
        );
    }};
    ($f:ident, $i:ident, |$a:ident, $b:ident| $e:expr) => {{
        let (a, b) = ($f.get64($i.a), $f.get64($i.b));
        $f.put64::<SOME>(
            $i.d,
            &each!(|l| {
                let ($a, $b) = (a[l], b[l]);
                $e
            }),
        );
    }};
    ($f:ident, $i:ident, |$a:ident, $b:ident, $c:ident| $e:expr) => {{
        let (a, b, c) = ($f.get64($i.a), $f.get64($i.b), $f.get64($i.c));
        $f.put64::<SOME>(
            $i.d,
            &each!(|l| {
                let ($a, $b, $c) = (a[l], b[l], c[l]);
                $e
            }),
        );
    }};
}

/// `d = e(a)`, `d = e(a, b)` on each half of 64 bits.
macro_rules! halves {
    ($f:ident, $i:ident, |$a:ident| $e:expr) => {{
        let (low, high) = ($f.get($i.a), $f.get($i.a + 1));
        let low = each!(|l| {
            let $a = low[l];
            $e
        });
        let high = each!(|l| {
            let $a = high[l];
            $e
        });
        $f.put::<SOME>($i.d, &low);
        $f.put::<SOME>($i.d + 1, &high);
    }};
    ($f:ident, $i:ident, |$a:ident, $b:ident| $e:expr) => {{
        let (a, b) = ($f.get($i.a), $f.get($i.b));
        let (a_high, b_high) = ($f.get($i.a + 1), $f.get($i.b + 1));
        let low = each!(|l| {
            let ($a, $b) = (a[l], b[l]);
            $e
        });
        let high = each!(|l| {
            let ($a, $b) = (a_high[l], b_high[l]);
            $e
        });
        $f.put::<SOME>($i.d, &low);
        $f.put::<SOME>($i.d + 1, &high);
    }};
}

/// `d = e(a, s)` on 64 bits, `s` of 32.
macro_rules! shift {
    ($f:ident, $i:ident, |$a:ident, $s:ident| $e:expr) => {{
        let (a, s) = ($f.get64($i.a), $f.get($i.b));
        $f.put64::<SOME>(
            $i.d,
            &each!(|l| {
                let ($a, $s) = (a[l], s[l]);
                $e
            }),
        );
    }};
}

/// As [`wides`], on float64, `e` giving bits.
macro_rules! doubles {
    ($f:ident, $i:ident, |$a:ident| $e:expr) => {
        wides!($f, $i, |x| {
            let $a = f64::from_bits(x);
            $e
        })
    };
    ($f:ident, $i:ident, |$a:ident, $b:ident| $e:expr) => {
        wides!($f, $i, |x, y| {
            let ($a, $b) = (f64::from_bits(x), f64::from_bits(y));
            $e
        })
    };
    ($f:ident, $i:ident, |$a:ident, $b:ident, $c:ident| $e:expr) => {
        wides!($f, $i, |x, y, z| {
            let ($a, $b, $c) = (f64::from_bits(x), f64::from_bits(y), f64::from_bits(z));
            $e
        })
    };
}

/// `p = (m compared with n)`, where `m` and `n` are made of lanes `x` and `y` of two registers, combined with predicate `c`.
macro_rules! compare {
    ($f:ident, $i:ident, $get:ident, |$x:ident, $y:ident| ($m:expr, $n:expr)) => {{
        let (a, b) = ($f.$get($i.a), $f.$get($i.b));
        macro_rules! lanes {
            ($variant:expr) => {{
                let mut bits = 0;
                for l in 0..32 {
                    let ($x, $y) = (a[l], b[l]);
                    bits |= if holds($variant, $m, $n) { LANE[l] } else { 0 };
                }
                bits
            }};
        }
        let found = match COMPARE_OF[$i.imm as usize & 15] {
            Compare::Eq => lanes!(Compare::Eq),
            Compare::Ne => lanes!(Compare::Ne),
            Compare::Lt => lanes!(Compare::Lt),
            Compare::Ge => lanes!(Compare::Ge),
            other => lanes!(other),
        };
        let combined = match $i.imm >> 8 & 3 {
            0 => found,
            1 => found & $f.predicate($i.c),
            2 => found | $f.predicate($i.c),
            _ => found ^ $f.predicate($i.c),
        };
        $f.set_predicate($i.d, combined);
    }};
}
