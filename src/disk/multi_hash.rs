//! BLAKE3 of many short texts side by side. An entry of a few hundred bytes is a chain of steps that wait for each other
//! and leave most of a processor idle; hashed one by one, entries were the largest part of an export. The hashes are those
//! of the blake3 crate, which has no such call and hashes all else.

// Only what is inlined into the choice of the processor's vectors is compiled for them.
#![allow(clippy::inline_always)]

use fearless_simd::prelude::*;
use fearless_simd::{Level, Simd, dispatch};

/// So many texts are hashed at once: a word of each fits the widest vectors there are.
pub const LANES: usize = 16;
/// In bytes; what is longer than a BLAKE3 chunk is a tree, and fills the processor alone.
pub const LONGEST: usize = 1024;

/// In bytes.
const BLOCK: usize = 64;
const WORDS: usize = BLOCK / 4;
/// What a block of a text is to it.
const FIRST: u32 = 1;
const LAST: u32 = 2 | 8;
const BEGIN: [u32; 8] =
    [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19];
/// Which word of a message stands where in each round: every round shuffles them in the same way.
const ORDERS: [[usize; WORDS]; 7] = {
    let next = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
    let mut orders = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]; 7];
    let mut round = 1;
    while round < 7 {
        let mut word = 0;
        while word < WORDS {
            orders[round][word] = orders[round - 1][next[word]];
            word += 1;
        }
        round += 1;
    }
    orders
};
/// The columns of the state and then its diagonals.
const QUARTERS: [[usize; 4]; 8] = [
    [0, 4, 8, 12],
    [1, 5, 9, 13],
    [2, 6, 10, 14],
    [3, 7, 11, 15],
    [0, 5, 10, 15],
    [1, 6, 11, 12],
    [2, 7, 8, 13],
    [3, 4, 9, 14],
];

/// Texts that wait to be hashed together.
#[derive(Debug)]
pub struct Lanes {
    level: Level,
    /// Each filled up with zeros to the end of its last block.
    texts: Box<[[u8; LONGEST]; LANES]>,
    /// In bytes.
    lengths: [usize; LANES],
    taken: usize,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { level: Level::new(), texts: Box::new([[0; LONGEST]; LANES]), lengths: [0; LANES], taken: 0 }
    }
}

impl Lanes {
    /// How many texts wait.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes a text of at most [`LONGEST`] bytes, while fewer than [`LANES`] wait.
    pub fn add(&mut self, text: &[u8]) {
        let lane = &mut self.texts[self.taken];
        lane[..text.len()].copy_from_slice(text);
        lane[text.len()..blocks(text.len()) * BLOCK].fill(0);
        self.lengths[self.taken] = text.len();
        self.taken += 1;
    }

    /// The hashes of the texts that wait, in their order; none waits then.
    pub fn hash(&mut self) -> impl Iterator<Item = [u8; 32]> + use<> {
        let hashes = dispatch!(self.level, simd => hash_all(simd, self));
        hashes.into_iter().take(std::mem::take(&mut self.taken))
    }
}

/// Even of an empty text there is one.
fn blocks(length: usize) -> usize {
    length.div_ceil(BLOCK).max(1)
}

#[inline(always)]
fn hash_all<S: Simd>(simd: S, lanes: &Lanes) -> [[u8; 32]; LANES] {
    const { assert!(LANES.is_multiple_of(S::u32s::LEN), "vectors share the lanes without rest") };
    let mut hashes = [[0; 32]; LANES];
    let width = S::u32s::LEN;
    for from in (0..lanes.taken).step_by(width) {
        let texts = &lanes.texts[from..from + width];
        let lengths = &lanes.lengths[from..from + width];
        let longest = lengths.iter().copied().fold(0, usize::max);
        let mut chain = [S::u32s::splat(simd, 0); 8];
        for (word, begin) in chain.iter_mut().zip(BEGIN) {
            *word = S::u32s::splat(simd, begin);
        }
        for block in 0..blocks(longest) {
            chain = hash_block(simd, chain, texts, lengths, block);
        }
        for (word, vector) in chain.iter().enumerate() {
            let mut of_lane = [0; LANES];
            vector.store_slice(&mut of_lane[..width]);
            for (hash, value) in hashes[from..].iter_mut().zip(&of_lane[..width]) {
                hash[4 * word..4 * word + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
    }
    hashes
}

/// Goes on with the block of this number of each text; a text that has none stays as it is.
#[inline(always)]
fn hash_block<S: Simd>(
    simd: S,
    chain: [S::u32s; 8],
    texts: &[[u8; LONGEST]],
    lengths: &[usize],
    block: usize,
) -> [S::u32s; 8] {
    let width = S::u32s::LEN;
    let (mut words, mut sizes, mut flags, mut going) = ([[0; LANES]; WORDS], [0; LANES], [0; LANES], [0; LANES]);
    for (lane, (text, length)) in texts.iter().zip(lengths).enumerate() {
        let (bytes, _) = text[block * BLOCK..(block + 1) * BLOCK].as_chunks::<4>();
        for (word, bytes) in words.iter_mut().zip(bytes) {
            word[lane] = u32::from_le_bytes(*bytes);
        }
        let left = length.saturating_sub(block * BLOCK);
        sizes[lane] = u32::try_from(left.min(BLOCK)).unwrap_or_default();
        flags[lane] = if block == 0 { FIRST } else { 0 } | if left <= BLOCK { LAST } else { 0 };
        going[lane] = if block < blocks(*length) { u32::MAX } else { 0 };
    }
    let load = |row: &[u32; LANES]| S::u32s::from_slice(simd, &row[..width]);
    let mut message = [S::u32s::splat(simd, 0); WORDS];
    for (vector, row) in message.iter_mut().zip(&words) {
        *vector = load(row);
    }
    let next = compress(simd, chain, message, load(&sizes), load(&flags));
    let going = load(&going);
    let mut kept = chain;
    for (old, new) in kept.iter_mut().zip(next) {
        *old = (new & going) | (*old & !going);
    }
    kept
}

#[inline(always)]
fn compress<S: Simd>(
    simd: S,
    chain: [S::u32s; 8],
    message: [S::u32s; WORDS],
    size: S::u32s,
    flags: S::u32s,
) -> [S::u32s; 8] {
    let mut state = [S::u32s::splat(simd, 0); 16];
    state[..8].copy_from_slice(&chain);
    for (word, begin) in state[8..12].iter_mut().zip(BEGIN) {
        *word = S::u32s::splat(simd, begin);
    }
    // Between them stands the number of the chunk, 0.
    (state[14], state[15]) = (size, flags);
    for order in &ORDERS {
        for (number, quarter) in QUARTERS.iter().enumerate() {
            mix::<S>(&mut state, *quarter, message[order[2 * number]], message[order[2 * number + 1]]);
        }
    }
    let mut next = chain;
    for (word, vector) in next.iter_mut().enumerate() {
        *vector = state[word] ^ state[word + 8];
    }
    next
}

#[inline(always)]
fn mix<S: Simd>(state: &mut [S::u32s; 16], [a, b, c, d]: [usize; 4], first: S::u32s, second: S::u32s) {
    state[a] += state[b] + first;
    state[d] = turned::<S>(state[d] ^ state[a], 16);
    state[c] += state[d];
    state[b] = turned::<S>(state[b] ^ state[c], 12);
    state[a] += state[b] + second;
    state[d] = turned::<S>(state[d] ^ state[a], 8);
    state[c] += state[d];
    state[b] = turned::<S>(state[b] ^ state[c], 7);
}

#[inline(always)]
fn turned<S: Simd>(words: S::u32s, right: u32) -> S::u32s {
    (words >> right) | (words << (32 - right))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each kind of vectors that this processor has.
    fn levels() -> Vec<Level> {
        let best = Level::new();
        let mut levels = vec![best, Level::baseline()];
        #[cfg(target_arch = "x86_64")]
        levels.extend([best.as_sse4_2().map(Level::Sse4_2), best.as_avx2().map(Level::Avx2)].into_iter().flatten());
        levels
    }

    fn hashes(level: Level, texts: &[Vec<u8>]) -> Vec<[u8; 32]> {
        let mut lanes = Lanes { level, ..Lanes::default() };
        let mut hashes = Vec::new();
        for text in texts {
            lanes.add(text);
            if lanes.taken() == LANES {
                hashes.extend(lanes.hash());
            }
        }
        hashes.extend(lanes.hash());
        hashes
    }

    #[test]
    fn texts_of_every_length_hash_as_the_blake3_crate_hashes_them() {
        let texts: Vec<Vec<u8>> = (0..=LONGEST)
            .map(|length| (0..length).map(|at| u8::try_from((at * 7 + length) % 251).unwrap()).collect())
            .collect();
        let expected: Vec<[u8; 32]> = texts.iter().map(|text| *blake3::hash(text).as_bytes()).collect();
        for level in levels() {
            assert_eq!(hashes(level, &texts), expected, "{level:?}");
        }
    }

    proptest! {
        #[test]
        fn short_texts_beside_long_ones_hash_as_alone(texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=LONGEST), 0..40)) {
            let expected: Vec<[u8; 32]> = texts.iter().map(|text| *blake3::hash(text).as_bytes()).collect();
            for level in levels() {
                prop_assert_eq!(hashes(level, &texts), expected.clone());
            }
        }
    }
}
