//! Broken files that are wrong as containers: not weights at all, safetensors, and bad values in good files.

use crate::Case;
use crate::build::*;

/// Files of no known kind.
pub fn unknown() -> Vec<Case> {
    let kind = "no usable safetensors or .pth";
    vec![
        ("nothing", vec![], kind),
        ("one byte", vec![0], kind),
        ("text", b"these are not weights, but words about them".to_vec(), kind),
        ("zeros", vec![0; 4096], kind),
        ("a JPEG", [&[0xff, 0xd8, 0xff, 0xe0], [7; 400].as_slice()].concat(), kind),
        ("a gzip", [&[0x1f, 0x8b, 8, 0], [7; 400].as_slice()].concat(), kind),
    ]
}

/// A header that claims more data than addresses reach: sixteen tensors of an exabyte, less 8 bytes.
fn beyond_addresses() -> Vec<u8> {
    let (each, last) = (1u64 << 60, (1u64 << 60) - 8);
    let tensor = |i: u64| {
        let (from, bytes) = (i * each, if i == 15 { last } else { each });
        let to = from + bytes;
        format!(r#""t{i}":{{"dtype":"I64","shape":[{}],"data_offsets":[{from},{to}]}}"#, bytes / 8)
    };
    let tensors: Vec<String> = (0..16).map(tensor).collect();
    safetensors(&format!("{{{}}}", tensors.join(",")), &values())
}

/// safetensors whose header lies.
pub fn headers() -> Vec<Case> {
    let cut = safetensors("{}", b"")[..9].to_vec();
    let unusable = "no usable safetensors";
    let name = format!("b{}", "\\n".repeat(9));
    vec![
        ("header longer than the file", cut, unusable),
        ("header length 2^63", [&(1u64 << 63).to_le_bytes(), b"{}".as_slice()].concat(), "beyond reason"),
        ("header length 2^64-1", [&u64::MAX.to_le_bytes(), b"{}".as_slice()].concat(), "beyond reason"),
        ("header no JSON", safetensors("{\"a\": [", b""), unusable),
        ("header a list", safetensors("[]", b""), "an object of tensors"),
        ("header not UTF-8", safetensors("{}", b"").iter().map(|&b| b | 0x80).collect(), unusable),
        ("header nested deeply", safetensors(&"[".repeat(100_000), b""), unusable),
        ("nesting in a shape", safetensors(&format!("{{\"a\":{}", "[".repeat(9999)), b""), unusable),
        ("overlapping tensors", good_with(("[24,32]", "[16,24]")), "overlaps the tensor before it"),
        ("a hole", good_with(("[24,32]", "[28,36]")), "leaves a hole before it"),
        ("a hole in front", good_with(("[0,24]", "[4,24]")), "leaves a hole before it"),
        ("a place too small", good_with(("[0,24]", "[0,20]")), "takes 24 bytes, its place is 0 to 20"),
        ("offsets backwards", good_with(("[24,32]", "[24,16]")), "its place is 24 to 16"),
        ("an empty tensor of bytes", good_with(("\"shape\":[2]", "\"shape\":[2,0]")), "takes 0 bytes"),
        ("negative shape", good_with(("[2,3]", "[-2,3]")), unusable),
        ("fractional shape", good_with(("[2,3]", "[2.5,3]")), unusable),
        ("shape beyond 64 bits", good_with(("[2,3]", "[99999999999999999999,3]")), unusable),
        ("overflowing shape", good_with(("[2,3]", "[9223372036854775807,9]")), "`a.weight`: its shape"),
        ("an empty, overflowing shape", good_with(("[2,3]", "[0,4294967296,4294967296]")), "overflows"),
        ("a hundred dimensions", good_with(("[2,3]", &format!("[6{}]", ",1".repeat(99)))), "overflows"),
        ("data beyond addresses", beyond_addresses(), "`t0`: reaches to byte"),
        (
            "offsets beyond the file",
            good_with(("[2],\"data_offsets\":[24,32]", "[3],\"data_offsets\":[24,36]")),
            "`a.bn.running_var`: reaches to byte 36",
        ),
        ("data behind the tensors", [safetensors(GOOD, &values()), vec![0; 4]].concat(), "take 32"),
        ("one name twice", good_with(("a.bn.running_var", "a.weight")), "`a.weight`: stands twice"),
        (
            "metadata twice",
            safetensors(r#"{"__metadata__":{},"__metadata__":{}}"#, b""),
            "__metadata__ stands twice",
        ),
        ("metadata no strings", safetensors(r#"{"__metadata__":{"a":1}}"#, b""), unusable),
        ("a name with line breaks", good_with(("a.weight", &name)), "called `b`"),
        ("a name of a megabyte", good_with(("a.weight", &"n".repeat(1 << 20))), "no usable name"),
        (
            "unknown type",
            good_with(("\"F32\",\"shape\":[2]", "\"F99\",\"shape\":[2]")),
            "elements of type F99",
        ),
        ("half bytes", good_with(("\"F32\",\"shape\":[2]", "\"F4\",\"shape\":[16]")), "elements of type F4"),
    ]
}

/// Good files that hold the wrong tensors.
pub fn contents() -> Vec<Case> {
    let superfluous =
        GOOD.replace("}}", "},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[32,36]}}");
    let of_type = |dtype: &str| good_with(("\"F32\",\"shape\":[2]", &format!("\"{dtype}\",\"shape\":[2]")));
    let wide = of_type("I64").into_iter().chain([0; 8]).collect::<Vec<u8>>();
    let header = GOOD.replace("\"F32\",\"shape\":[2]", "\"I64\",\"shape\":[2]").replace("[24,32]", "[24,40]");
    let integers = safetensors(&header, &wide[wide.len() - 40..]);
    vec![
        ("integers as weights", integers, "`a.bn.running_var`: holds integers"),
        ("a tensor missing", good_with(("a.weight", "b.weight")), "`a.weight`: missing"),
        ("mis-shaped", good_with(("[2,3]", "[3,2]")), "`a.weight`: expected shape [2, 3], got [3, 2]"),
        ("superfluous", safetensors(&superfluous, &[values(), floats(&[1.0])].concat()), "`b`: superfluous"),
        ("no tensor at all", safetensors("{}", b""), "`a.weight`: missing"),
        ("NaN", good_values(4, f32::NAN), "`a.weight`: element 4 is NaN"),
        ("infinity", good_values(0, f32::INFINITY), "`a.weight`: element 0 is inf"),
        ("minus infinity", good_values(5, f32::NEG_INFINITY), "`a.weight`: element 5 is -inf"),
        ("negative variance", good_values(7, -0.5), "`a.bn.running_var`: element 1 is -0.5"),
    ]
}
