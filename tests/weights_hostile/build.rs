//! Small builders of weight files: whole ones, and the pieces that broken ones are made of.

use std::io::Write;

pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

pub const GOOD: &str = r#"{"a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
    "a.bn.running_var":{"dtype":"F32","shape":[2],"data_offsets":[24,32]}}"#;

pub fn values() -> Vec<u8> {
    floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.5, 0.25])
}

pub fn good_with(change: (&str, &str)) -> Vec<u8> {
    assert!(GOOD.contains(change.0));
    safetensors(&GOOD.replace(change.0, change.1), &values())
}

pub fn good_values(index: usize, value: f32) -> Vec<u8> {
    let mut data = values();
    data[4 * index..][..4].copy_from_slice(&value.to_le_bytes());
    safetensors(GOOD, &data)
}

/// A zip archive of stored records.
pub fn archive(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in records {
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Changes a field of every record, in the local headers (offset `local`) and in the directory (`central`).
fn patch(mut archive: Vec<u8>, local: usize, central: usize, field: &[u8]) -> Vec<u8> {
    for at in 0..archive.len() - 12 {
        match &archive[at..at + 4] {
            b"PK\x03\x04" => archive[at + local..][..field.len()].copy_from_slice(field),
            b"PK\x01\x02" => archive[at + central..][..field.len()].copy_from_slice(field),
            _ => {}
        }
    }
    archive
}

pub fn claim_deflated(archive: Vec<u8>) -> Vec<u8> {
    patch(archive, 8, 10, &[8, 0])
}

pub fn claim_encrypted(archive: Vec<u8>) -> Vec<u8> {
    patch(archive, 6, 8, &[1, 0])
}

/// Every record at the file's far end, beyond it.
pub fn far(archive: Vec<u8>) -> Vec<u8> {
    let beyond = (archive.len() as u32 + 1).to_le_bytes();
    let directory = (0..archive.len()).filter(|&at| archive[at..].starts_with(b"PK\x01\x02"));
    let mut moved = archive.clone();
    directory.for_each(|at| moved[at + 42..at + 46].copy_from_slice(&beyond));
    moved
}

/// Every record with this uncompressed size.
pub fn claim_size(archive: Vec<u8>, bytes: u32) -> Vec<u8> {
    patch(archive, 22, 24, &bytes.to_le_bytes())
}

pub fn text(text: &str) -> Vec<u8> {
    [b"X", (text.len() as u32).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

/// BININT where it fits, else LONG1.
pub fn int(n: i64) -> Vec<u8> {
    match i32::try_from(n) {
        Ok(n) => [b"J", n.to_le_bytes().as_slice()].concat(),
        Err(_) => [b"\x8a\x08", n.to_le_bytes().as_slice()].concat(),
    }
}

/// One entry of a state_dict: a float tensor over storage `key` of `elements`.
pub fn tensor(name: &str, key: &str, elements: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let tuple =
        |items: &[i64]| [b"(".to_vec(), items.iter().flat_map(|&i| int(i)).collect(), b"t".to_vec()].concat();
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

pub fn dict(items: &[Vec<u8>]) -> Vec<u8> {
    [b"\x80\x02}(".to_vec(), items.concat(), b"u.".to_vec()].concat()
}

pub fn good_items() -> [Vec<u8>; 2] {
    [tensor("a.weight", "0", 6, 0, &[2, 3], &[3, 1]), tensor("a.bn.running_var", "1", 2, 0, &[2], &[1])]
}

pub fn pth(pickle: &[u8]) -> Vec<u8> {
    let data = values();
    let records: [(&str, &[u8]); 4] = [
        ("m/data.pkl", pickle),
        ("m/byteorder", b"little"),
        ("m/data/0", &data[..24]),
        ("m/data/1", &data[24..]),
    ];
    archive(&records)
}

pub fn pth_of(first: Vec<u8>) -> Vec<u8> {
    pth(&dict(&[first, good_items()[1].clone()]))
}

/// The older form: five pickles, then storages `0` and `1` with the lengths given.
pub fn legacy(magic: &[u8], protocol: i64, lengths: [i64; 2]) -> Vec<u8> {
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

pub const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// `bytes` with the only occurrence of `old` replaced.
pub fn replaced(bytes: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    let places: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(old)).collect();
    assert_eq!(places.len(), 1);
    [&bytes[..places[0]], new, &bytes[places[0] + old.len()..]].concat()
}

/// `archive` with every mention of a record's name replaced by another of the same length.
pub fn renamed(mut archive: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    for at in 0..archive.len() {
        if archive[at..].starts_with(old) {
            archive[at..at + new.len()].copy_from_slice(new);
        }
    }
    archive
}

/// The older form with another list of storages.
pub fn legacy_keys(keys: &[&str]) -> Vec<u8> {
    let list = |keys: &[&str]| {
        [b"](".to_vec(), keys.iter().flat_map(|k| text(k)).collect(), b"e.".to_vec()].concat()
    };
    replaced(legacy(&MAGIC, 1001, [6, 2]), &list(&["0", "1"]), &list(keys))
}

/// `archive` with the first mention of a record's name, in its local header, replaced.
pub fn renamed_first(mut archive: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = (0..archive.len()).find(|&at| archive[at..].starts_with(old)).unwrap();
    archive[at..at + new.len()].copy_from_slice(new);
    archive
}
