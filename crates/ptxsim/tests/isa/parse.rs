//! What cannot be read is an error that names it and its line.

use ptxsim::{Error, Module};

fn problem(ptx: &str) -> (usize, String) {
    match Module::parse(ptx).map(|_| ()) {
        Err(Error::Parse { line, problem }) => (line, problem),
        other => panic!("{other:?}"),
    }
}

fn kernel(body: &str) -> String {
    format!(
        ".version 8.8\n.target sm_61\n.address_size 64\n\n.visible .entry k(\n\t.param .u64 p\n)\n{{\n\t.reg .pred %p<4>;\n\
         \t.reg .f32 %f<9>;\n\t.reg .b32 %r<9>;\n\t.reg .b64 %rd<9>;\n{body}\n\tret;\n}}\n"
    )
}

#[test]
fn unknown_instructions() {
    for (body, name) in [
        ("\tfoo.bar.u32 %r1, %r2;", "foo.bar.u32"),
        ("\tadd.sat.s32 %r1, %r2, %r3;", "add.sat.s32"),
        ("\tadd.ftz.f32 %f1, %f2, %f3;", "add.ftz.f32"),
        ("\tfma.rn.sat.f32 %f1, %f2, %f3, %f4;", "fma.rn.sat.f32"),
        ("\tfma.rz.f32 %f1, %f2, %f3, %f4;", "fma.rz.f32"),
        ("\tsin.approx.f32 %f1, %f2;", "sin.approx.f32"),
        ("\tld.const.f32 %f1, [%rd1];", "ld.const.f32"),
        ("\tld.u32 %r1, [%rd1];", "ld.u32"),
        ("\tatom.global.add.f64 %rd1, [%rd2], %rd3;", "atom.global.add.f64"),
        ("\tcvt.f32.f16 %f1, %r2;", "cvt.f32.f16"),
        ("\ttrap;", "trap"),
        ("\tmma.sync.aligned.m8n8k4.row.col.f32 %r1, %r2;", "mma.sync.aligned.m8n8k4.row.col.f32"),
    ] {
        let (line, problem) = problem(&kernel(body));
        assert_eq!((line, problem.as_str()), (13, format!("unknown instruction `{name}`").as_str()));
    }
}

#[test]
fn other_problems() {
    for (body, line, part) in [
        ("\t.foo 7;", 13, "unknown directive `.foo 7`"),
        ("\tmov.u32 %r1, %clock;", 13, "unknown register `%clock`"),
        ("\n\tadd.s32 %r1, %x2, %r3;", 14, "unknown register `%x2`"),
        ("\tadd.s32 %r1, %rd2, %r3;", 13, "width"),
        ("\tadd.s64 %r1, %rd2, %rd3;", 13, "width"),
        ("\tadd.s32 %r1, %r2;", 13, "operands"),
        ("\tbra $nowhere;", 13, "no label is called `$nowhere`"),
        ("\tbar.sync 1;", 13, "barrier 0"),
        ("\tmov.u32 %r1, 12x;", 13, "unknown number `12x`"),
        ("\t@%r1 mov.u32 %r1, 1;", 13, "no predicate"),
    ] {
        let (at, problem) = problem(&kernel(body));
        assert!(at == line && problem.contains(part), "{body}: line {at}: {problem}");
    }
    let (line, what) = problem(".version 8.8\n.target sm_61\n.global .align 4 .f32 table[4];\n");
    assert_eq!((line, what.contains(".global")), (3, true));
}

#[test]
fn declarations() {
    let text = ".version 8.8\n.target sm_61\n.address_size 64\n.extern .shared .align 16 .b8 dynamic[];\n\
        .shared .align 4 .b8 other[40];\n.weak .entry k(\n.param .u64 .ptr .global .align 16 p,\n.param .align 8 .b8 q[24]\n)\n\
        .maxntid 128, 1, 1\n.minnctapersm 2\n{\n.reg .b32 %r<4>;\nmov.u32 %r1, dynamic;\nmov.u32 %r2, other;\nret;\n}\n";
    let module = Module::parse(text).unwrap();
    assert_eq!(module.kernels().collect::<Vec<_>>(), ["k"]);
}
