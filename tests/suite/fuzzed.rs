//! The fuzz targets' seeds, and what fuzzing once found, replayed: quick, and without the fuzzer.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/oracles.rs"]
mod oracles;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut seeds: Vec<_> = fs::read_dir(&folder).unwrap().map(|seed| seed.unwrap().path()).collect();
    seeds.sort();
    assert!(seeds.len() > 5, "{} has no seeds", folder.display());
    for seed in seeds {
        let bytes = fs::read(&seed).unwrap();
        let outcome = std::panic::catch_unwind(|| check(&bytes));
        assert!(outcome.is_ok(), "{} breaks {target}", seed.display());
        // A seed cut anywhere is another one.
        for cut in 0..bytes.len() {
            check(&bytes[..cut]);
        }
    }
}

#[test]
fn seeds_of_the_raw_reader() {
    replay("raw_reader", oracles::raw_reader);
}

#[test]
fn seeds_of_the_key_ring() {
    replay("key_ring", oracles::key_ring);
}

#[test]
fn seeds_of_the_table_writer() {
    replay("table_writer", oracles::table_writer);
}
