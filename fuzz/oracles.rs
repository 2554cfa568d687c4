//! What has to hold for any bytes: used by the fuzz targets, and by the tests, which replay the seeds.

#![allow(dead_code)] // each target uses one of these
#![allow(clippy::unwrap_used)] // a broken promise ends the target

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mtdata::parts::{Care, DayColumns, EntryRows, Head, Keyring, Parser, Piece, Pieces, RingKey};
use rand_chacha::rand_core::SeedableRng;
use rsa::pkcs8::EncodePrivateKey;
use serde_json::Value;

/// A source that hands out a few bytes at a time.
struct Drops<'b>(&'b [u8], usize);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.1.min(buffer.len()).min(self.0.len());
        buffer[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

/// The ranges of entries and of damaged parts of a raw file.
type Found = Vec<(usize, usize, bool)>;

fn pieces(bytes: &[u8], care: Care, step: usize) -> Found {
    let mut pieces = Pieces::new(Drops(bytes, step), care);
    let mut found = Found::new();
    while let Some(piece) = pieces.next().unwrap() {
        let (at, part, entry) = match piece {
            Piece::Object { at, bytes, .. } => (at, bytes, true),
            Piece::Damage(damage) => (damage.at, damage.bytes, false),
        };
        let at = usize::try_from(at).unwrap();
        assert_eq!(&bytes[at..at + part.len()], part, "a piece is not what stands in the file");
        found.push((at, at + part.len(), entry));
    }
    found
}

/// No byte of a raw file is lost: what is neither entry nor damage is only what holds them together. What serde reads as
/// an array of objects is read as the same entries. How the bytes arrive changes nothing.
pub fn raw_reader(bytes: &[u8]) {
    let found = pieces(bytes, Care::Checked, usize::MAX);
    if bytes.len() < 4096 {
        assert_eq!(pieces(bytes, Care::Checked, 1), found);
        assert_eq!(pieces(bytes, Care::Checked, 7), found);
    }
    let mut end = 0;
    for &(from, to, entry) in &found {
        assert!(from >= end, "pieces overlap");
        between(&bytes[end..from]);
        if entry {
            assert!(Head::default().read_first(&bytes[from..to]).is_ok(), "an entry is not JSON");
        }
        end = to;
    }
    between(&bytes[end..]);
    if let Ok(Value::Array(all)) = serde_json::from_slice::<Value>(bytes)
        && all.iter().all(Value::is_object)
    {
        let entries: Vec<Value> =
            found.iter().map(|&(from, to, _)| serde_json::from_slice(&bytes[from..to]).unwrap()).collect();
        assert_eq!(entries, all);
        assert_eq!(pieces(bytes, Care::Fast, usize::MAX), found);
    }
    pieces(bytes, Care::Fast, usize::MAX);
}

/// Between pieces stand brackets, commas, white space, and the names of a day's answers.
fn between(bytes: &[u8]) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut in_name = false;
    for byte in bytes {
        in_name ^= *byte == b'"';
        assert!(in_name || b"[]{},:\"".contains(byte) || byte.is_ascii_whitespace(), "{bytes:?} is told nowhere");
    }
}

fn ring() -> &'static Keyring {
    static RING: OnceLock<Keyring> = OnceLock::new();
    RING.get_or_init(|| {
        let key = |seed, bits| {
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let key = rsa::PrivateKey::new_unchecked(&mut rng, bits).unwrap();
            RingKey::read(key.to_pkcs8_der().unwrap().as_bytes(), None).unwrap()
        };
        Keyring::new(vec![key(1, 1024), key(2, 2048)])
    })
}

/// Any file is a key or is refused with words; any value is opened to text or stays closed.
pub fn key_ring(bytes: &[u8]) {
    for passphrase in [None, Some("pass")] {
        match RingKey::read(bytes, passphrase) {
            Ok(key) => assert!(key.fingerprint().starts_with("SHA256:") && key.bits() > 0),
            Err(bad) => assert!(!bad.what.is_empty() && !bad.advice.is_empty()),
        }
    }
    let text = String::from_utf8_lossy(bytes);
    let closed = |value: &str| {
        if let Ok((text, key)) = ring().open(value) {
            assert!(key < 2 && !text.chars().any(char::is_control));
        }
    };
    closed(&text);
    // As ciphertext of the right length, whatever the bytes are.
    for size in [128, 256] {
        let mut block = vec![0; size];
        let length = bytes.len().min(size - 1);
        block[size - length..].copy_from_slice(&bytes[..length]);
        closed(&STANDARD.encode(block));
    }
}

/// Entries become rows in which nothing is shifted, and every cell is the text of its value.
pub fn table_writer(bytes: &[u8]) {
    let mut entries = Vec::new();
    let mut source = Pieces::new(bytes, Care::Checked);
    while let Some(piece) = source.next().unwrap() {
        if let Piece::Object { bytes, .. } = piece {
            entries.push(bytes.to_vec());
        }
    }
    let none = DayColumns::default();
    let mut glance = Parser::new(&none, 1);
    for entry in &entries {
        drop(glance.parse(entry));
    }
    let names: BTreeSet<String> = std::mem::take(&mut glance.unknown);
    let columns = DayColumns::new(names.clone());
    let mut parser = Parser::new(&columns, 1);
    let parsed: Vec<_> = entries.iter().filter_map(|entry| parser.parse(entry).ok()).collect();
    assert!(parser.unknown.is_empty());
    let mut rows = EntryRows::new(&columns);
    for (index, entry) in parsed.iter().enumerate() {
        rows.add(index, entry, |_| None);
    }
    let (table, refused) = rows.finish();
    if names.is_empty() {
        assert!(table.is_empty());
        return;
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*table);
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
    let whole: Vec<&Vec<u8>> = entries.iter().filter(|entry| parser.parse(entry).is_ok()).collect();
    assert_eq!(rows.len(), whole.len());
    for (index, (row, entry)) in rows.iter().zip(whole).enumerate() {
        assert_eq!(row.len(), names.len(), "a row is shifted");
        // Bytes of another encoding and halves of surrogate pairs are in quarantine.
        let Ok(fields) = serde_json::from_slice::<serde_json::Map<String, Value>>(entry) else { continue };
        for (name, cell) in names.iter().zip(row) {
            if refused.iter().any(|one| one.entry == index && one.column.is_some_and(|at| columns.names()[at] == *name))
            {
                continue;
            }
            match fields.get(name) {
                None | Some(Value::Null) => assert_eq!(cell, ""),
                Some(Value::String(text)) => assert_eq!(cell, text),
                Some(Value::Bool(value)) => assert_eq!(cell, value.to_string()),
                Some(value) => assert_eq!(&serde_json::from_str::<Value>(cell).unwrap(), value),
            }
        }
    }
}
