//! Runs of plain decimals, four at once, on an x86-64 processor with AVX2: 784 floats of seven digits in 5.4 µs, one by one in 8.8.
//!
//! It lives beside [`super::array`], which gives it the middle of long arrays and reads the rest itself; so everything here
//! may stop at what it does not know, and nothing here is told apart from what `super::number` reads: the grammar is held
//! and every float is correctly rounded. Two ideas make it short. Where numbers end is found for 64 bytes at a time, as a
//! mask of commas (G. Langdale and D. Lemire, *Parsing gigabytes of JSON per second*, 2019), so that no number waits for
//! the one before it. And a number is converted as a whole: the sixteen bytes that end with it are loaded, what is not its
//! own is masked out, the point is shuffled away, and three multiply-and-add instructions make one integer of sixteen
//! digits. That integer times 10^-places, in double precision, is off by less than four units in the last place; the float
//! that it rounds to is the right one unless it lies that near to the middle between two floats.
//!
//! It is unsafe for its loads: sixteen bytes before a comma, whose bounds are checked once for a whole array.

use std::{arch::x86_64::*, mem::MaybeUninit};

use super::element::Element;

/// Bytes that are loaded for one number, and so its longest text.
const WIDTH: usize = 16;

/// Numbers whose ends are looked up before they are read.
const TILE: usize = 64;

/// An element that is made four at a time.
pub(super) trait Four: Element {
    /// The four numbers whose digits are, as `high * 10^8 + low`, in `[A high, A low, C high, C low | B, D likewise]`, divided
    /// by 10^(15 - point) (by 1 for a point at 16), with a bit for each that is negative. False if one of them needs care.
    ///
    /// # Safety
    /// The processor has AVX2; four numbers fit behind `into`; points are at most 16.
    unsafe fn four(digits: __m256i, points: [usize; 4], negative: usize, into: *mut Self) -> bool;
}

/// Reads numbers up to a comma each, of which the first stands behind the comma at `at`. Returns how many there are, and
/// where the comma behind the last one is; few or none, if they are not plain.
#[inline]
pub(super) fn plain<T: Four>(bytes: &[u8], at: usize, into: &mut [T]) -> (usize, usize) {
    let is_fit = at >= WIDTH && bytes.get(at) == Some(&b',') && u32::try_from(bytes.len()).is_ok();
    if !is_fit
        || !is_x86_feature_detected!("avx2")
        || !is_x86_feature_detected!("bmi1")
        || !is_x86_feature_detected!("popcnt")
    {
        return (0, at);
    }
    // SAFETY: the processor has what the functions are compiled for, and sixteen bytes stand before the comma at `at`.
    unsafe {
        if bytes.get(at + 1) == Some(&b' ') {
            read::<T, true>(bytes, at, into)
        } else {
            read::<T, false>(bytes, at, into)
        }
    }
}

/// # Safety
/// The processor has AVX2, BMI1 and POPCNT; `at` lies within the text, behind sixteen bytes of it.
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn read<T: Four, const SPACED: bool>(bytes: &[u8], at: usize, into: &mut [T]) -> (usize, usize) {
    // The comma before the next number, then those behind the numbers to be read.
    let mut ends = [const { MaybeUninit::<u32>::uninit() }; 4 + TILE + 64];
    let ends = ends.as_mut_ptr().cast::<u32>();
    // SAFETY: the first is there.
    unsafe { *ends = at as u32 };
    let (mut known, mut done, mut commas) = (0, 0, Commas::new(bytes, at + 1));
    // Whether the last four needed a look at their signs: most arrays have none, or many.
    let mut is_signed = false;
    // SAFETY: there is room for the commas in one more block while fewer than a tile are known; what is read lies before
    // them, and behind sixteen bytes.
    unsafe {
        loop {
            while known < TILE.min(into.len() - done) && commas.are_more() {
                known += commas.find(ends.add(1 + known));
            }
            let count = known.min(into.len() - done) & !3;
            for next in (0..count).step_by(4) {
                let (ends, into) = (ends.add(next), into.as_mut_ptr().add(done + next));
                let is_read = !is_signed && four::<T, false, SPACED>(bytes, ends, into);
                if !is_read {
                    is_signed = four::<T, true, SPACED>(bytes, ends, into);
                }
                if !is_read && !is_signed {
                    return (done + next, *ends as usize);
                }
            }
            done += count;
            if count == 0 {
                return (done, *ends as usize);
            }
            // What is left over waits for the next tile.
            known -= count;
            ends.copy_from(ends.add(count), 1 + known);
        }
    }
}

/// The commas of a text up to the first point or zero that cannot stand in a number as it does: `01`, `.5`, `5.`.
struct Commas<'a> {
    /// Without the last byte, so that one more stands behind each comma.
    text: &'a [u8],
    /// Where the next 64 bytes begin.
    block: usize,
    /// Of the byte before these: whether it is a digit, a point, a zero that begins a number.
    before: [u64; 3],
}

impl<'a> Commas<'a> {
    fn new(bytes: &'a [u8], start: usize) -> Self {
        Self { text: &bytes[..bytes.len() - 1], block: start, before: [0; 3] }
    }

    fn are_more(&self) -> bool {
        self.block < self.text.len()
    }

    /// Writes where commas are among the next 64 bytes, and says how many there are.
    ///
    /// # Safety
    /// There are more bytes, and 67 places fit behind `into`.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    unsafe fn find(&mut self, mut into: *mut u32) -> usize {
        let block = self.block;
        let marks = match self.text[block..].first_chunk() {
            Some(bytes) => Marks::of(bytes),
            None => {
                let mut last = [0; 64];
                last[..self.text.len() - block].copy_from_slice(&self.text[block..]);
                Marks::of(&last)
            }
        };
        let Marks { mut commas, digits, points, zeros } = marks;
        let [before_digit, before_point, before_zero] = self.before;
        let (behind_digits, behind_points) = (digits << 1 | before_digit, points << 1 | before_point);
        let first_zeros = zeros & !(behind_digits | behind_points);
        let wrong = points & !behind_digits | behind_points & !digits | (first_zeros << 1 | before_zero) & digits;
        self.before = [digits >> 63, points >> 63, first_zeros >> 63];
        self.block += 64;
        if wrong != 0 {
            commas &= (1 << wrong.trailing_zeros()) - 1;
            self.block = self.text.len();
        }
        let count = commas.count_ones() as usize;
        let mut left = count as isize;
        while left > 0 {
            // Four at a time, needed or not: where a loop ends that runs once for each cannot be foreseen.
            for index in 0..4 {
                // SAFETY: the caller gives room for 64, and four are at most three more than there are.
                unsafe { *into.add(index) = block as u32 + commas.trailing_zeros() };
                commas &= commas.wrapping_sub(1);
            }
            into = into.wrapping_add(4);
            left -= 4;
        }
        count
    }
}

/// A bit for each of 64 bytes that is such a one.
struct Marks {
    commas: u64,
    digits: u64,
    points: u64,
    zeros: u64,
}

impl Marks {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of(text: &[u8; 64]) -> Self {
        let (low, high) = text.split_at(32);
        // SAFETY: 32 bytes stand in each.
        let [low, high] = [low, high].map(|half| unsafe { _mm256_loadu_si256(half.as_ptr().cast()) });
        let bits = |low, high| {
            u64::from(_mm256_movemask_epi8(low) as u32) | u64::from(_mm256_movemask_epi8(high) as u32) << 32
        };
        let all = |byte: u8| {
            let byte = _mm256_set1_epi8(byte as i8);
            bits(_mm256_cmpeq_epi8(low, byte), _mm256_cmpeq_epi8(high, byte))
        };
        let (zero, nine) = (_mm256_set1_epi8(b'0' as i8), _mm256_set1_epi8(9));
        let is_digit = |half| {
            let value = _mm256_sub_epi8(half, zero);
            _mm256_cmpeq_epi8(_mm256_min_epu8(value, nine), value)
        };
        Self { commas: all(b','), digits: bits(is_digit(low), is_digit(high)), points: all(b'.'), zeros: all(b'0') }
    }
}

/// Reads the four numbers between five commas; false if one of them needs care.
///
/// # Safety
/// Five commas within the text behind sixteen bytes of it, with a byte behind each; room for four numbers.
#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn four<T: Four, const SIGNED: bool, const SPACED: bool>(bytes: &[u8], ends: *const u32, into: *mut T) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        let byte = |at: usize| *bytes.as_ptr().add(at);
        let (mut lengths, mut wrong, mut negative) = ([0; 4], 0, 0);
        for (index, length) in lengths.iter_mut().enumerate() {
            let (mut start, end) = (*ends.add(index) as usize + 1, *ends.add(index + 1) as usize);
            if SPACED {
                // The comma at `end` may be what stands there; then the length wraps around.
                wrong |= usize::from(byte(start) != b' ') << 8;
                start += 1;
            }
            if SIGNED {
                let is_negative = usize::from(byte(start) == b'-');
                negative |= is_negative << index;
                start += is_negative;
            }
            *length = end.wrapping_sub(start);
            wrong |= length.wrapping_sub(1);
        }
        // Each is 1 to 16.
        if wrong >= WIDTH {
            return false;
        }
        let own = |index: usize| {
            let text = _mm_loadu_si128(bytes.as_ptr().add(*ends.add(index + 1) as usize - WIDTH).cast());
            let own = _mm_loadu_si128(OWN.0.as_ptr().add(lengths[index]).cast());
            (text, own)
        };
        let zero = _mm256_set1_epi8(b'0' as i8);
        let values = |index: usize| {
            let (low, high) = (own(index), own(index + 1));
            let values = _mm256_sub_epi8(_mm256_set_m128i(high.0, low.0), zero);
            _mm256_and_si256(values, _mm256_set_m128i(high.1, low.1))
        };
        let (ab, cd) = (values(0), values(2));
        let point = _mm256_set1_epi8(b'.'.wrapping_sub(b'0') as i8);
        let ab_points = _mm256_movemask_epi8(_mm256_cmpeq_epi8(ab, point)) as u32;
        let cd_points = _mm256_movemask_epi8(_mm256_cmpeq_epi8(cd, point)) as u32;
        let points = [ab_points, ab_points >> 16, cd_points, cd_points >> 16]
            .map(|points| (points | 0x1_0000).trailing_zeros() as usize);
        let without = |index: usize| {
            let [low, high] =
                [points[index], points[index + 1]].map(|point| _mm_load_si128(WITHOUT.0.as_ptr().add(point).cast()));
            _mm256_set_m128i(high, low)
        };
        let (ab, cd) = (_mm256_shuffle_epi8(ab, without(0)), _mm256_shuffle_epi8(cd, without(2)));
        let nine = _mm256_set1_epi8(9);
        let beyond = _mm256_or_si256(_mm256_subs_epu8(ab, nine), _mm256_subs_epu8(cd, nine));
        if _mm256_testz_si256(beyond, beyond) == 0 {
            return false;
        }
        let (ten, hundred) = (_mm256_set1_epi16(0x010a), _mm256_set1_epi32(0x0001_0064));
        let fours = |digits| _mm256_madd_epi16(_mm256_maddubs_epi16(digits, ten), hundred);
        let fours = _mm256_packus_epi32(fours(ab), fours(cd));
        T::four(_mm256_madd_epi16(fours, _mm256_set1_epi32(0x0001_2710)), points, negative, into)
    }
}

/// What stands in four places of [`four`]'s result as doubles: exact where they have fifteen digits.
#[inline]
#[target_feature(enable = "avx2")]
fn wholes(digits: __m256i) -> __m256d {
    let weights = _mm256_set_pd(1.0, 1e8, 1.0, 1e8);
    let ac = _mm256_mul_pd(_mm256_cvtepi32_pd(_mm256_castsi256_si128(digits)), weights);
    let bd = _mm256_mul_pd(_mm256_cvtepi32_pd(_mm256_extracti128_si256::<1>(digits)), weights);
    _mm256_hadd_pd(ac, bd)
}

impl Four for f32 {
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn four(digits: __m256i, points: [usize; 4], negative: usize, into: *mut Self) -> bool {
        let [a, b, c, d] = points.map(|point| TENTHS[point]);
        let values = _mm256_mul_pd(wholes(digits), _mm256_set_pd(d, c, b, a));
        // Bits that a float has no room for; half way between two floats they are 1000…
        let rest = _mm256_and_si256(_mm256_castpd_si256(values), _mm256_set1_epi64x(0x1fff_ffff));
        let rest = _mm256_sub_epi32(rest, _mm256_set1_epi64x(0x1000_0000));
        let near = _mm256_cmpgt_epi64(_mm256_set1_epi64x(9), _mm256_abs_epi32(rest));
        if _mm256_testz_si256(near, near) == 0 {
            return false;
        }
        let signs = SIGNS[negative & 15].map(|sign| sign as i32);
        let signs = _mm_castsi128_ps(_mm_set_epi32(signs[3], signs[2], signs[1], signs[0]));
        // SAFETY: as the caller says.
        unsafe { _mm_storeu_ps(into, _mm_or_ps(_mm256_cvtpd_ps(values), signs)) };
        true
    }
}

impl Four for f64 {
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn four(digits: __m256i, points: [usize; 4], negative: usize, into: *mut Self) -> bool {
        let (wholes, limit) = (wholes(digits), _mm256_set1_pd(9_007_199_254_740_992.0));
        // Two exact numbers have a correctly rounded quotient; one beyond 2^53 may have been rounded before.
        if _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_LT_OQ>(wholes, limit)) != 0xf {
            return false;
        }
        let [a, b, c, d] = points.map(|point| POWERS[point]);
        let values = _mm256_div_pd(wholes, _mm256_set_pd(d, c, b, a));
        let [a, b, c, d] = SIGNS[negative & 15].map(|sign| i64::from(sign) << 32);
        let signs = _mm256_castsi256_pd(_mm256_set_epi64x(d, c, b, a));
        // SAFETY: as the caller says.
        unsafe { _mm256_storeu_pd(into, _mm256_or_pd(values, signs)) };
        true
    }
}

impl Four for i64 {
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn four(digits: __m256i, points: [usize; 4], negative: usize, into: *mut Self) -> bool {
        if points != [WIDTH; 4] {
            return false;
        }
        let high = _mm256_mul_epu32(digits, _mm256_set1_epi64x(100_000_000));
        let values = _mm256_add_epi64(high, _mm256_srli_epi64::<32>(digits));
        let values = _mm256_permute4x64_epi64::<0b11_01_10_00>(values);
        let [a, b, c, d] = SIGNS[negative & 15].map(|sign| -i64::from(sign >> 31));
        let signs = _mm256_set_epi64x(d, c, b, a);
        // SAFETY: as the caller says.
        unsafe { _mm256_storeu_si256(into.cast(), _mm256_sub_epi64(_mm256_xor_si256(values, signs), signs)) };
        true
    }
}

#[repr(align(64))]
struct Aligned<T>(T);

/// From `length` on: sixteen bytes of which the last `length` are all ones.
static OWN: Aligned<[u8; 32]> = Aligned({
    let mut bytes = [0; 32];
    let mut index = 16;
    while index < 32 {
        bytes[index] = 0xff;
        index += 1;
    }
    bytes
});

/// For a point at each place, and for none: where each byte comes from when the point is left out.
static WITHOUT: Aligned<[[u8; 16]; 17]> = Aligned({
    let mut from = [[0; 16]; 17];
    let mut point = 0;
    while point < 17 {
        let mut index = 0;
        while index < 16 {
            from[point][index] = if point == 16 || index > point { index as u8 } else { (index as u8).wrapping_sub(1) };
            index += 1;
        }
        point += 1;
    }
    from
});

/// For a point at each place, and for none: the power of ten that the digits behind it stand for.
const POWERS: [f64; 17] = [1e15, 1e14, 1e13, 1e12, 1e11, 1e10, 1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1.0, 1.0];

/// The same power of a tenth.
const TENTHS: [f64; 17] =
    [1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1.0];

/// For each pattern of signs: the four signs.
static SIGNS: [[u32; 4]; 16] = {
    let mut signs = [[0; 4]; 16];
    let mut pattern = 0;
    while pattern < 16 {
        let mut index = 0;
        while index < 4 {
            signs[pattern][index] = (pattern as u32 >> index & 1) << 31;
            index += 1;
        }
        pattern += 1;
    }
    signs
};

#[cfg(test)]
mod tests;
