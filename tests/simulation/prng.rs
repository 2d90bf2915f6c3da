//! Random numbers from a seed.

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub struct Prng(u64);

impl Prng {
    pub fn new(seed: u64) -> Self {
        let mut prng = Self(seed);
        prng.next();
        prng
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both included.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.next() % 1000 < per_mille
    }

    pub fn index(&mut self, length: usize) -> usize {
        (self.next() % length as u64) as usize
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())].clone()
    }

    /// Up to `max`, with small numbers as common as large ones: to overtake another event, a delay
    /// must sometimes be a thousand times shorter.
    pub fn skewed(&mut self, max: u64) -> u64 {
        let max = max >> self.range(0, 12);
        self.range(0, max)
    }

    /// From `-max` to `max`.
    pub fn signed(&mut self, max: i64) -> i64 {
        self.range(0, 2 * max.unsigned_abs()) as i64 - max
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.index(i + 1));
        }
    }
}
