//! Broken `.pth` files: archives, tensors that leave their storage, pickles that call or bomb, the older form.

use crate::Case;
use crate::build::*;

/// Archives that are wrong before their pickle is.
pub fn archives() -> Vec<Case> {
    let pickle = dict(&good_items());
    let doubled = archive(&[("m/data.pkl", &pickle), ("m/data/0", &[0; 24]), ("m/data/1", &[0; 24])]);
    let locator = b"PK\x06\x06PK\x06\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0";
    let end = b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0";
    let ends = [locator.as_slice(), end].concat().repeat(1 << 17);
    let side = archive(&[
        ("m/data.pkl", &pickle),
        ("m/data/0", &[1; 24]),
        ("m/data/1", &[1; 8]),
        ("m/nodal.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\xff"),
    ]);
    vec![
        ("archive without data.pkl", archive(&[("m/readme", b"hello")]), "zip archive without data.pkl"),
        ("two pickles", archive(&[("a/data.pkl", &pickle), ("b/data.pkl", &pickle)]), "two records data.pkl"),
        ("a record twice", renamed(doubled, b"m/data/1", b"m/data/0"), "a record stands twice"),
        ("compressed records", claim_deflated(archive(&[("m/data.pkl", &pickle)])), "is compressed"),
        ("encrypted records", claim_encrypted(archive(&[("m/data.pkl", &pickle)])), "encrypted"),
        (
            "a bomb: a record of 4 GB",
            claim_size(archive(&[("m/data.pkl", &pickle)]), 0xffff_fff0),
            "m/data.pkl",
        ),
        ("big-endian", archive(&[("m/data.pkl", &pickle), ("m/byteorder", b"big")]), "big-endian"),
        ("an empty pickle", archive(&[("m/data.pkl", b"")]), "is cut off"),
        (
            "missing storage",
            archive(&[("m/data.pkl", &pickle), ("m/data/0", &[0; 24])]),
            "`a.bn.running_var`: its storage `1` is missing",
        ),
        (
            "storage shorter than claimed",
            archive(&[("m/data.pkl", &pickle), ("m/data/0", &[0; 20]), ("m/data/1", &[0; 8])]),
            "claims 6 elements, the file holds 20 bytes",
        ),
        (
            "a comment behind",
            [archive(&[("m/data.pkl", &pickle)]), vec![0; 9]].concat(),
            "broken zip archive",
        ),
        // A reader that looks for the directory's end from every signature takes minutes here.
        ("a million ends", [b"PK\x03\x04".to_vec(), ends].concat(), "broken zip archive"),
        (
            "another name in front",
            renamed_first(archive(&[("m/data.pkl", &pickle)]), b"m/data.pkl", b"m/data.PKL"),
            "claims",
        ),
        ("records that lie elsewhere", far(archive(&[("m/data.pkl", &pickle)])), "claims"),
        ("broken side record", side, "its header is longer than the file"),
    ]
}

/// Tensors that do not fit their storage.
pub fn tensors() -> Vec<Case> {
    let of = |shape: &[i64], strides: &[i64]| pth_of(tensor("a.weight", "0", 6, 0, shape, strides));
    let steps = [1 << 48, 1 << 48, 1 << 32, 1 << 16, 1];
    vec![
        ("negative elements", pth_of(tensor("a.weight", "0", -6, 0, &[2, 3], &[3, 1])), "size of -6"),
        (
            "2^63-1 elements",
            pth_of(tensor("a.weight", "0", i64::MAX, 0, &[2, 3], &[3, 1])),
            "claims 9223372036854775807",
        ),
        ("negative offset", pth_of(tensor("a.weight", "0", 6, -1, &[2, 3], &[3, 1])), "size of -1"),
        ("negative stride", of(&[2, 3], &[-3, 1]), "size of -3"),
        ("negative shape in a pickle", of(&[-2, 3], &[3, 1]), "size of -2"),
        ("overflowing shape in a pickle", of(&[i64::MAX; 3], &[1; 3]), "overflows"),
        (
            "empty, but its strides overflow",
            of(&[0, 1 << 16, 1 << 16, 1 << 16, 1 << 16], &steps),
            "overflows",
        ),
        ("an index beyond 64 bits", of(&[2, 3, 2], &[i64::MAX, i64::MAX, i64::MAX]), "leaves its storage"),
        (
            "offset beyond the storage",
            pth_of(tensor("a.weight", "0", 6, 1, &[2, 3], &[3, 1])),
            "leaves its storage",
        ),
        ("stride beyond the storage", of(&[2, 3], &[4, 1]), "leaves its storage"),
        ("expanded to a gigabyte", of(&[1 << 28], &[0]), "repeats the 6 elements"),
        ("dimensions and strides differ", of(&[2, 3], &[1]), "2 dimensions and 1"),
        ("seventeen dimensions", of(&[1; 17], &[1; 17]), "no list of up to 16 sizes"),
        ("one name twice", pth(&dict(&[good_items()[0].clone(), good_items()[0].clone()])), "stands twice"),
        ("a name with a line break", pth_of(tensor("a\nb", "0", 6, 0, &[2, 3], &[3, 1])), "no usable name"),
        (
            "a key with a line break",
            pth_of(tensor("a.weight", "x\ny", 6, 0, &[2, 3], &[3, 1])),
            "storage `xy`",
        ),
    ]
}

fn call(opcodes: &[u8]) -> Vec<u8> {
    pth(&[b"\x80\x02", opcodes, b"."].concat())
}

/// Pickles that call code.
pub fn calls() -> Vec<Case> {
    let model = b"ctorchvision.models.inception\nInception3\n)R";
    vec![
        ("a call of os.system", call(b"cos\nsystem\nX\x02\0\0\0ls\x85R"), "calls `os.system`: refused"),
        ("a call by STACK_GLOBAL", call(b"\x8c\x02os\x8c\x06system\x93)R"), "calls `os.system`: refused"),
        ("a call by INST", call(b"(ios\nsystem\n"), "opcode 0x69"),
        ("a call by OBJ", call(b"(cbuiltins\neval\no"), "calls `builtins.eval`: refused"),
        ("OBJ of a known class", call(b"(ccollections\nOrderedDict\no"), "opcode 0x6f"),
        ("NEWOBJ", call(b"ccollections\nOrderedDict\n)\x81"), "opcode 0x81"),
        ("an extension code", call(b"\x82\x01"), "opcode 0x82"),
        ("a buffer from outside", call(b"\x97"), "opcode 0x97"),
        ("a call of what is no function", call(b"K\x01)R"), "calls what is no function"),
        ("a call of a storage class", call(b"ctorch\nFloatStorage\n)R"), "with the wrong arguments"),
        ("another storage class", call(b"ctorch\nQInt8Storage\n"), "calls `torch.QInt8Storage`"),
        ("a torch module", call(model), "save a state_dict instead"),
        ("a name with line breaks", call(b"\x8c\x04a\nb\n\x8c\x01c\x93"), "calls `ab.c`"),
        ("a persistent id that is no storage", call(b"X\x01\0\0\0aQ"), "a storage without a key"),
        (
            "a persistent id of another kind",
            call(&[b"(", &*text("module"), b"NNNNtQ"].concat()),
            "no storage",
        ),
        ("no storage", call(b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x01))tR"), "without a storage"),
    ]
}

/// Pickles that are broken, or small and ask for much.
pub fn bombs() -> Vec<Case> {
    let nested = [b"N".as_slice(), &[0x85; 10_000]].concat();
    // A list of 2^17 pairs, made into a dict 2^17 times.
    let pairs = [b"](".as_slice(), &b"NN\x86".repeat(1 << 17), b"eq\x00\x85q\x010"].concat();
    let dicts = b"ccollections\nOrderedDict\nh\x01R0".repeat(1 << 12);
    // A list of itself, twice a line: 2^64 leaves for who unfolds it.
    let doubling: Vec<u8> = b"]".iter().copied().chain(b"q\x00h\x00\x86".repeat(64)).collect();
    // One key of a megabyte, for a hundred thousand storages.
    let key = [b"X\0\0\x10\0".as_slice(), &[b'k'; 1 << 20]].concat();
    let storage = [b"(", &*text("storage"), b"ctorch\nFloatStorage\n", &key, b"NK\x01tq\x000"].concat();
    let storages = [storage, b"h\x00Q0".repeat(200_000)].concat();
    vec![
        ("empty stack", call(b"0"), "takes more from the stack"),
        ("tuple without a mark", call(b"t"), "takes more from the stack"),
        ("a pop beyond the mark", call(b"N(0"), "takes more from the stack"),
        ("empty memo slot", call(b"h\x07"), "slot 7, which is empty"),
        ("empty memo slot 2^32-1", call(b"j\xff\xff\xff\xff"), "slot 4294967295, which is empty"),
        ("memo of nothing", call(b"r\xff\xff\xff\xff"), "takes more from the stack"),
        ("a string of 4 GB", call(b"X\xff\xff\xff\xff"), "is cut off"),
        ("a string of 2^63 bytes", call(b"\x8d\0\0\0\0\0\0\0\x80"), "is cut off"),
        ("a frame of 2^63 bytes", call(b"\x95\0\0\0\0\0\0\0\x80"), "takes more from the stack"),
        ("not UTF-8", call(b"X\x02\0\0\0\xff\xfe"), "not UTF-8"),
        ("a global without an end", call(b"ctorch"), "is cut off"),
        ("an unknown opcode", call(b"\xfe"), "opcode 0xfe"),
        ("appending to no list", call(b"K\x01K\x02a"), "no list"),
        ("setting items of no dict", call(b"K\x01K\x02K\x03s"), "no dict"),
        ("a key without a value", call(b"}(Nu"), "no dict"),
        ("a list that contains itself", call(b"]q\x00h\x00a"), "holds no state_dict"),
        ("a number instead of a dict", call(b"K\x01"), "holds no state_dict"),
        ("an empty dict", call(b"}"), "holds no tensor"),
        ("a dict of other things", call(&[b"}", &*text("epoch"), b"K\x07s"].concat()), "holds no tensor"),
        ("ten thousand nested tuples", call(&nested), "holds no state_dict"),
        ("doubling", call(&doubling), "holds no state_dict"),
        ("millions of values", call(&b"N0".repeat(1 << 20)), "goes on and on"),
        ("millions of marks", call(&b"(".repeat(1 << 21)), "goes on and on"),
        ("a dict of many pairs, many times", call(&[pairs, dicts].concat()), "goes on and on"),
        ("one long key, many storages", call(&storages), "takes more from the stack"),
    ]
}

/// The older form.
pub fn older() -> Vec<Case> {
    let good = legacy(&MAGIC, 1001, [6, 2]);
    vec![
        ("legacy magic", legacy(&[7; 10], 1001, [6, 2]), "not one of torch.save"),
        ("a bare pickle", b"\x80\x02}.".to_vec(), "not one of torch.save"),
        ("legacy protocol", legacy(&MAGIC, 1002, [6, 2]), "another protocol"),
        ("legacy storage beyond the file", legacy(&MAGIC, 1001, [6, 3]), "`1` reaches beyond the end"),
        (
            "legacy storage of 2^63 elements",
            legacy(&MAGIC, 1001, [i64::MAX, 2]),
            "`0` reaches beyond the end",
        ),
        ("legacy storage of -1 elements", legacy(&MAGIC, 1001, [-1, 2]), "`0` reaches beyond the end"),
        ("legacy storage shorter than claimed", legacy(&MAGIC, 1001, [5, 2]), "reaches beyond the end"),
        (
            "legacy storage twice",
            replaced(good, b"X\x01\0\0\x001e.", b"X\x01\0\0\x000e."),
            "`0` stands twice",
        ),
        ("an unknown legacy storage", legacy_keys(&["0", "7"]), "`7` belongs to no tensor"),
        ("a call in the magic", b"\x80\x02cos\nsystem\n)R.".to_vec(), "calls `os.system`: refused"),
    ]
}
