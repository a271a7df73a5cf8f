//! Broken and hostile weight files: each gives one sentence that names the file and what is wrong; none panics.
#![allow(clippy::unwrap_used)] // a test may panic

use std::io::Write;
use std::path::Path;

use nodal::Weights;
use nodal::network::Parameter;

/// The sentence that opening `bytes`, or reading or checking what is in them, ends with.
fn complaint(bytes: Vec<u8>) -> String {
    let path = Path::new("broken.file");
    let weights = match Weights::from_bytes(path, bytes) {
        Ok(weights) => weights,
        Err(error) => return error.to_string(),
    };
    weights.check(&expected()).unwrap_err().to_string()
}

/// What a whole file of these tests must hold.
fn expected() -> Vec<Parameter> {
    let parameter = |name: &str, shape: &[usize]| Parameter { name: name.into(), shape: shape.to_vec() };
    vec![parameter("a.weight", &[2, 3]), parameter("a.bn.running_var", &[2])]
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

const GOOD: &str = r#"{"a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
    "a.bn.running_var":{"dtype":"F32","shape":[2],"data_offsets":[24,32]}}"#;

fn values() -> Vec<u8> {
    floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.5, 0.25])
}

fn good_with(change: (&str, &str)) -> Vec<u8> {
    assert!(GOOD.contains(change.0));
    safetensors(&GOOD.replace(change.0, change.1), &values())
}

fn good_values(index: usize, value: f32) -> Vec<u8> {
    let mut data = values();
    data[4 * index..][..4].copy_from_slice(&value.to_le_bytes());
    safetensors(GOOD, &data)
}

/// A zip archive of stored records.
fn archive(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in records {
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Changes the method of every record to deflate, in the local headers and in the directory.
fn claim_deflated(mut archive: Vec<u8>) -> Vec<u8> {
    for at in 0..archive.len() - 12 {
        match &archive[at..at + 4] {
            b"PK\x03\x04" => archive[at + 8] = 8,
            b"PK\x01\x02" => archive[at + 10] = 8,
            _ => {}
        }
    }
    archive
}

fn text(text: &str) -> Vec<u8> {
    [b"X", (text.len() as u32).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

fn int(n: i32) -> Vec<u8> {
    [b"J", n.to_le_bytes().as_slice()].concat()
}

/// One entry of a state_dict: a float tensor over storage `key` of `elements`.
fn tensor(name: &str, key: &str, elements: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let tuple =
        |items: &[i32]| [b"(".to_vec(), items.iter().flat_map(|&i| int(i)).collect(), b"t".to_vec()].concat();
    [
        text(name),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(key),
        text("cpu"),
        int(elements),
        b"tQ".to_vec(),
        int(offset),
        tuple(shape),
        tuple(strides),
        b"\x89ccollections\nOrderedDict\n)RtR".to_vec(),
    ]
    .concat()
}

fn dict(items: &[Vec<u8>]) -> Vec<u8> {
    [b"\x80\x02}(".to_vec(), items.concat(), b"u.".to_vec()].concat()
}

fn good_items() -> [Vec<u8>; 2] {
    [tensor("a.weight", "0", 6, 0, &[2, 3], &[3, 1]), tensor("a.bn.running_var", "1", 2, 0, &[2], &[1])]
}

fn pth(pickle: &[u8]) -> Vec<u8> {
    let data = values();
    let records: [(&str, &[u8]); 4] = [
        ("m/data.pkl", pickle),
        ("m/byteorder", b"little"),
        ("m/data/0", &data[..24]),
        ("m/data/1", &data[24..]),
    ];
    archive(&records)
}

fn pth_of(first: Vec<u8>) -> Vec<u8> {
    pth(&dict(&[first, good_items()[1].clone()]))
}

/// The older form: five pickles, then storages `0` and `1` with the lengths given.
fn legacy(magic: &[u8], protocol: i32, lengths: [i64; 2]) -> Vec<u8> {
    let header = [
        b"\x80\x02\x8a\x0a".to_vec(),
        magic.to_vec(),
        b".\x80\x02".to_vec(),
        int(protocol),
        b".\x80\x02}.".to_vec(),
        dict(&good_items()),
        b"\x80\x02](".to_vec(),
        text("0"),
        text("1"),
        b"e.".to_vec(),
    ];
    let data = values();
    let storages = [
        lengths[0].to_le_bytes().to_vec(),
        data[..24].to_vec(),
        lengths[1].to_le_bytes().to_vec(),
        data[24..].to_vec(),
    ];
    [header.concat(), storages.concat()].concat()
}

const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// All broken files: what they are, their bytes, what the sentence must say.
fn table() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let call = |opcodes: &[u8]| pth(&[b"\x80\x02", opcodes, b"."].concat());
    vec![
        ("one byte", vec![0], "no usable safetensors or .pth"),
        ("text", b"these are not weights, but words about them".to_vec(), "no usable safetensors or .pth"),
        ("zeros", vec![0; 4096], "no usable safetensors or .pth"),
        (
            "header longer than the file",
            safetensors("{}", b"")[..9].to_vec(),
            "no usable safetensors or .pth",
        ),
        (
            "header length 2^63",
            [&(1u64 << 63).to_le_bytes(), b"{}".as_slice()].concat(),
            "no usable safetensors",
        ),
        ("header no JSON", safetensors("{\"a\": [", b""), "no usable safetensors"),
        ("overlapping tensors", good_with(("[24,32]", "[16,24]")), "no usable safetensors"),
        ("a hole", good_with(("[0,24]", "[0,20]")), "no usable safetensors"),
        ("offsets backwards", good_with(("[24,32]", "[32,24]")), "no usable safetensors"),
        ("negative shape", good_with(("[2,3]", "[-2,3]")), "no usable safetensors"),
        ("overflowing shape", good_with(("[2,3]", "[9223372036854775807,9]")), "no usable safetensors"),
        ("offsets beyond the file", good_with(("[24,32]", "[24,33]")), "no usable safetensors"),
        (
            "unknown type",
            good_with(("\"F32\",\"shape\":[2]", "\"F99\",\"shape\":[2]")),
            "no usable safetensors",
        ),
        (
            "bytes as weights",
            good_with(("\"F32\",\"shape\":[2]", "\"U8\",\"shape\":[8]")),
            "elements of type U8",
        ),
        (
            "integers as weights",
            good_with(("\"F32\",\"shape\":[2]", "\"I64\",\"shape\":[1]")),
            "`a.bn.running_var`: exp",
        ),
        ("a tensor missing", good_with(("a.weight", "b.weight")), "`a.weight`: missing"),
        ("mis-shaped", good_with(("[2,3]", "[3,2]")), "`a.weight`: expected shape [2, 3], got [3, 2]"),
        (
            "superfluous",
            {
                let header =
                    GOOD.replace("}}", "},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[32,36]}}");
                safetensors(&header, &[values(), floats(&[1.0])].concat())
            },
            "`b`: superfluous",
        ),
        ("NaN", good_values(4, f32::NAN), "`a.weight`: element 4 is NaN"),
        ("infinity", good_values(0, f32::INFINITY), "`a.weight`: element 0 is inf"),
        ("negative variance", good_values(7, -0.5), "`a.bn.running_var`: element 1 is -0.5"),
        ("archive without data.pkl", archive(&[("m/readme", b"hello")]), "zip archive without data.pkl"),
        (
            "compressed records",
            { claim_deflated(archive(&[("m/data.pkl", &dict(&good_items()))])) },
            "is compressed",
        ),
        (
            "big-endian",
            { archive(&[("m/data.pkl", &dict(&good_items())), ("m/byteorder", b"big")]) },
            "big-endian",
        ),
        (
            "missing storage",
            { archive(&[("m/data.pkl", &dict(&good_items())), ("m/data/0", &[0; 24])]) },
            "`a.bn.running_var`: its storage `1` is missing",
        ),
        (
            "storage shorter than claimed",
            {
                let records: [(&str, &[u8]); 3] =
                    [("m/data.pkl", &dict(&good_items())), ("m/data/0", &[0; 20]), ("m/data/1", &[0; 8])];
                archive(&records)
            },
            "claims 6 elements, the file holds 20 bytes",
        ),
        ("negative elements", pth_of(tensor("a.weight", "0", -6, 0, &[2, 3], &[3, 1])), "size of -6"),
        (
            "negative shape in a pickle",
            pth_of(tensor("a.weight", "0", 6, 0, &[-2, 3], &[3, 1])),
            "size of -2",
        ),
        (
            "overflowing shape in a pickle",
            { pth_of(tensor("a.weight", "0", 6, 0, &[i32::MAX, i32::MAX, i32::MAX], &[1, 1, 1])) },
            "overflows",
        ),
        (
            "offset beyond the storage",
            pth_of(tensor("a.weight", "0", 6, 1, &[2, 3], &[3, 1])),
            "leaves its storage",
        ),
        (
            "stride beyond the storage",
            pth_of(tensor("a.weight", "0", 6, 0, &[2, 3], &[4, 1])),
            "leaves its storage",
        ),
        (
            "expanded to a gigabyte",
            pth_of(tensor("a.weight", "0", 6, 0, &[1 << 28], &[0])),
            "leaves its storage",
        ),
        (
            "dimensions and strides differ",
            pth_of(tensor("a.weight", "0", 6, 0, &[2, 3], &[1])),
            "2 dimensions and 1",
        ),
        ("a call of os.system", call(b"cos\nsystem\nX\x02\0\0\0ls\x85R"), "calls `os.system`: refused"),
        ("a call by STACK_GLOBAL", call(b"\x8c\x02os\x8c\x06system\x93)R"), "calls `os.system`: refused"),
        ("a call by INST", call(b"(ios\nsystem\n"), "opcode 0x69"),
        ("a call by OBJ", call(b"(cbuiltins\neval\no"), "calls `builtins.eval`: refused"),
        ("NEWOBJ", call(b"ccollections\nOrderedDict\n)\x81"), "opcode 0x81"),
        ("an extension code", call(b"\x82\x01"), "opcode 0x82"),
        ("a call of what is no function", call(b"K\x01)R"), "calls what is no function"),
        (
            "a torch module",
            call(b"ctorchvision.models.inception\nInception3\n)R"),
            "save a state_dict instead",
        ),
        ("a name with line breaks", call(b"\x8c\x04a\nb\n\x8c\x01c\x93"), "calls `ab.c`"),
        ("empty stack", call(b"0"), "takes more from the stack"),
        ("tuple without a mark", call(b"t"), "takes more from the stack"),
        ("empty memo slot", call(b"h\x07"), "slot 7, which is empty"),
        ("a string of 4 GB", call(b"X\xff\xff\xff\xff"), "is cut off"),
        ("a string of 2^63 bytes", call(b"\x8d\0\0\0\0\0\0\0\x80"), "is cut off"),
        ("not UTF-8", call(b"X\x02\0\0\0\xff\xfe"), "not UTF-8"),
        ("appending to no list", call(b"K\x01K\x02a"), "no list"),
        ("setting items of no dict", call(b"K\x01K\x02K\x03s"), "no dict"),
        ("a list that contains itself", call(b"]q\x00h\x00a"), "holds no state_dict"),
        ("a number instead of a dict", call(b"K\x01"), "holds no state_dict"),
        ("an empty dict", call(b"}"), "holds no tensor"),
        (
            "ten thousand nested tuples",
            call(&[b"N".as_slice(), &[0x85; 10_000]].concat()),
            "holds no state_dict",
        ),
        ("no storage", call(b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x01))tR"), "without a storage"),
        ("legacy magic", legacy(&[7; 10], 1001, [6, 2]), "not one of torch.save"),
        ("legacy protocol", legacy(&MAGIC, 1002, [6, 2]), "another protocol"),
        ("legacy storage beyond the file", legacy(&MAGIC, 1001, [6, 3]), "`1` reaches beyond the end"),
        (
            "legacy storage of 2^63 elements",
            legacy(&MAGIC, 1001, [i64::MAX, 2]),
            "`0` reaches beyond the end",
        ),
        ("legacy storage of -1 elements", legacy(&MAGIC, 1001, [-1, 2]), "`0` reaches beyond the end"),
        ("legacy storage shorter than claimed", legacy(&MAGIC, 1001, [5, 2]), "reaches beyond the end"),
    ]
}

fn assert_sentence(what: &str, message: &str) {
    assert!(message.starts_with("broken.file: "), "{what}: does not name the file: {message}");
    assert!(!message.contains('\n') && message.len() < 300, "{what}: no sentence: {message}");
}

#[test]
fn each_broken_file_gives_one_sentence() {
    let table = table();
    assert!(table.len() >= 40);
    for (what, bytes, says) in table {
        let message = complaint(bytes);
        assert_sentence(what, &message);
        assert!(message.contains(says), "{what}: expected `{says}` in: {message}");
    }
}

#[test]
fn the_files_the_broken_ones_come_from_are_good() {
    for (what, bytes) in [
        ("safetensors", safetensors(GOOD, &values())),
        ("zip", pth(&dict(&good_items()))),
        ("legacy", legacy(&MAGIC, 1001, [6, 2])),
    ] {
        let weights = Weights::from_bytes(Path::new(what), bytes).unwrap();
        weights.check(&expected()).unwrap();
        assert_eq!(*weights.f32("a.weight").unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "{what}");
        assert_eq!(*weights.f32("a.bn.running_var").unwrap(), [0.5, 0.25], "{what}");
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    for whole in [safetensors(GOOD, &values()), pth(&dict(&good_items())), legacy(&MAGIC, 1001, [6, 2])] {
        for length in 0..whole.len() {
            assert_sentence(&format!("cut at {length}"), &complaint(whole[..length].to_vec()));
        }
    }
}

#[test]
fn a_changed_byte_never_panics() {
    for whole in [safetensors(GOOD, &values()), pth(&dict(&good_items())), legacy(&MAGIC, 1001, [6, 2])] {
        for at in 0..whole.len() {
            for value in [0, 0x7f, 0x80, 0xff, whole[at] ^ 1] {
                let mut changed = whole.clone();
                changed[at] = value;
                if let Ok(weights) = Weights::from_bytes(Path::new("changed"), changed) {
                    let names: Vec<String> = weights.names().map(str::to_string).collect();
                    names.iter().for_each(|name| drop(weights.f32(name)));
                }
            }
        }
    }
}
