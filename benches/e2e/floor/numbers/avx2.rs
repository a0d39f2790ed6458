//! The parser of [`super`] with AVX2: ends of numbers 64 bytes at a time, then four numbers at once.

use std::{arch::x86_64::*, mem::MaybeUninit};

use super::{BEFORE, INVERSE, Number, one};

/// Numbers whose ends are looked up before they are read.
const TILE: usize = 64;

/// Conversion of four numbers at once.
pub trait Four: Number {
    /// The four numbers whose digits are, as `high * 10^8 + low`, in `[A high, A low, C high, C low | B, D likewise]`, divided
    /// by 10^(15 - point) (by 1 for a point at 16), with a bit for each that is negative. False if one of them needs care.
    ///
    /// # Safety
    /// The processor has AVX2; four numbers fit behind `into`; points are at most 16.
    unsafe fn four(digits: __m256i, points: [usize; 4], negative: usize, into: *mut Self) -> bool;
}

/// Reads numbers as [`super::read`] does.
///
/// # Safety
/// The processor has AVX2, BMI1 and POPCNT, and sixteen bytes stand before `at`.
#[target_feature(enable = "avx2,bmi1,popcnt")]
pub(super) unsafe fn read<T: Four>(bytes: &[u8], at: usize, into: &mut [T]) -> usize {
    // The end of the number before, then those of numbers to be read.
    let mut ends = [const { MaybeUninit::<u32>::uninit() }; 4 + TILE + 64];
    let ends = ends.as_mut_ptr().cast::<u32>();
    // SAFETY: the first is there.
    unsafe { *ends = at as u32 - 1 };
    let (mut known, mut block, mut done) = (0, at, 0);
    // Whether the last four needed a look at their signs: most arrays have none, or many.
    let mut is_signed = false;
    while done < into.len() {
        // SAFETY: there is room for the ends in one more block while fewer than a tile are known; numbers begin at or after
        // `at` and end within the text.
        unsafe {
            while known < TILE.min(into.len() - done) {
                assert!(block < bytes.len(), "the text ends after {} of {} numbers", done + known, into.len());
                known += find_ends(bytes, block, ends.add(1 + known));
                block += 64;
            }
            let count = known.min(into.len() - done);
            let mut next = 0;
            while next + 4 <= count {
                let (ends, into) = (ends.add(next), into.as_mut_ptr().add(done + next));
                let is_read = !is_signed && four::<T, false>(bytes, ends, into);
                if !is_read {
                    is_signed = four::<T, true>(bytes, ends, into);
                }
                if !is_read && !is_signed {
                    (0..4).for_each(|index| *into.add(index) = one(between(bytes, ends.add(index))));
                }
                next += 4;
            }
            // What is left over waits for the next tile, unless there is none.
            if done + count == into.len() {
                while next < count {
                    into[done + next] = one(between(bytes, ends.add(next)));
                    next += 1;
                }
            }
            done += next;
            known -= next;
            ends.copy_from(ends.add(next), 1 + known);
        }
    }
    // SAFETY: it is the end of the last number.
    unsafe { *ends as usize + 1 }
}

/// The text of the number that ends at the second of two ends.
unsafe fn between(bytes: &[u8], ends: *const u32) -> &[u8] {
    // SAFETY: as the caller says.
    unsafe { &bytes[*ends as usize + 1..*ends.add(1) as usize] }
}

/// Writes where the commas and brackets are among the 64 bytes at `block`, and says how many there are.
#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn find_ends(bytes: &[u8], block: usize, mut into: *mut u32) -> usize {
    let mut ends = if block + 64 <= bytes.len() {
        // SAFETY: 64 bytes stand there.
        unsafe { mask(bytes.as_ptr().add(block)) }
    } else {
        let mut last = [0_u8; 64];
        last[..bytes.len() - block].copy_from_slice(&bytes[block..]);
        // SAFETY: as above.
        unsafe { mask(last.as_ptr()) }
    };
    let count = ends.count_ones() as usize;
    let mut left = count as isize;
    while left > 0 {
        // Four at a time, needed or not: where a loop ends that runs once for each cannot be foreseen.
        for index in 0..4 {
            // SAFETY: the caller gives room for 64, and four are at most three more than there are.
            unsafe { *into.add(index) = block as u32 + ends.trailing_zeros() };
            ends &= ends.wrapping_sub(1);
        }
        into = into.wrapping_add(4);
        left -= 4;
    }
    count
}

/// A bit for each comma and bracket.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn mask(text: *const u8) -> u64 {
    let (comma, bracket) = (_mm256_set1_epi8(b',' as i8), _mm256_set1_epi8(b']' as i8));
    let half = |at: usize| {
        // SAFETY: 64 bytes stand at `text`.
        let text = unsafe { _mm256_loadu_si256(text.add(at).cast()) };
        let ends = _mm256_or_si256(_mm256_cmpeq_epi8(text, comma), _mm256_cmpeq_epi8(text, bracket));
        u64::from(_mm256_movemask_epi8(ends) as u32)
    };
    let mut ends = half(0) | half(32) << 32;
    // Without this the compiler takes the mask apart into 64 bits where it meets another one.
    // SAFETY: nothing happens here.
    unsafe { std::arch::asm!("/* {0} */", inout(reg) ends, options(pure, nomem, nostack, preserves_flags)) };
    ends
}

/// Reads the four numbers between five ends; false if one of them needs care.
#[inline]
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn four<T: Four, const SIGNED: bool>(bytes: &[u8], ends: *const u32, into: *mut T) -> bool {
    // SAFETY: the caller gives five ends within the text, of which the first is at least `BEFORE - 1`.
    unsafe {
        let (mut lengths, mut wrong, mut negative) = ([0; 4], 0, 0);
        for (index, length) in lengths.iter_mut().enumerate() {
            let (start, end) = (*ends.add(index) as usize + 1, *ends.add(index + 1) as usize);
            let is_negative = usize::from(SIGNED && *bytes.as_ptr().add(start) == b'-');
            negative |= is_negative << index;
            *length = end - start - is_negative;
            wrong |= length.wrapping_sub(1);
        }
        // Each is 1 to 16; an empty one wraps around.
        if wrong >= 16 {
            return false;
        }
        let own = |index: usize| {
            let text = _mm_loadu_si128(bytes.as_ptr().add(*ends.add(index + 1) as usize - BEFORE).cast());
            let own = _mm_loadu_si128(OWN.0.as_ptr().add(lengths[index]).cast());
            (text, own)
        };
        let zero = _mm256_set1_epi8(b'0' as i8);
        let values = |first: usize| {
            let (low, high) = (own(first), own(first + 1));
            let values = _mm256_sub_epi8(_mm256_set_m128i(high.0, low.0), zero);
            _mm256_and_si256(values, _mm256_set_m128i(high.1, low.1))
        };
        let (ab, cd) = (values(0), values(2));
        let point = _mm256_set1_epi8(b'.'.wrapping_sub(b'0') as i8);
        let ab_points = _mm256_movemask_epi8(_mm256_cmpeq_epi8(ab, point)) as u32;
        let cd_points = _mm256_movemask_epi8(_mm256_cmpeq_epi8(cd, point)) as u32;
        let points = [ab_points, ab_points >> 16, cd_points, cd_points >> 16]
            .map(|points| (points | 0x1_0000).trailing_zeros() as usize);
        let without = |first: usize| {
            let [low, high] =
                [points[first], points[first + 1]].map(|point| _mm_load_si128(WITHOUT.0.as_ptr().add(point).cast()));
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

impl Four for f32 {
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn four(digits: __m256i, points: [usize; 4], negative: usize, into: *mut Self) -> bool {
        // SAFETY: as the caller says.
        unsafe {
            let weights = _mm256_set_pd(1.0, 1e8, 1.0, 1e8);
            let ac = _mm256_mul_pd(_mm256_cvtepi32_pd(_mm256_castsi256_si128(digits)), weights);
            let bd = _mm256_mul_pd(_mm256_cvtepi32_pd(_mm256_extracti128_si256::<1>(digits)), weights);
            let [a, b, c, d] = points.map(|point| *TENTHS.get_unchecked(point));
            let values = _mm256_mul_pd(_mm256_hadd_pd(ac, bd), _mm256_set_pd(d, c, b, a));
            let rest = _mm256_and_si256(_mm256_castpd_si256(values), _mm256_set1_epi64x(0x1fff_ffff));
            let rest = _mm256_sub_epi32(rest, _mm256_set1_epi64x(0x1000_0000));
            let near = _mm256_cmpgt_epi64(_mm256_set1_epi64x(9), _mm256_abs_epi32(rest));
            if _mm256_testz_si256(near, near) == 0 {
                return false;
            }
            let signs = _mm_load_ps(SIGNS.0.as_ptr().add(negative).cast());
            _mm_storeu_ps(into, _mm_or_ps(_mm256_cvtpd_ps(values), signs));
            true
        }
    }
}

impl Four for i64 {
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn four(digits: __m256i, points: [usize; 4], negative: usize, into: *mut Self) -> bool {
        if points != [16; 4] {
            return false;
        }
        let high = _mm256_mul_epu32(digits, _mm256_set1_epi64x(100_000_000));
        let values = _mm256_add_epi64(high, _mm256_srli_epi64::<32>(digits));
        let values = _mm256_permute4x64_epi64::<0b11_01_10_00>(values);
        // SAFETY: as the caller says; there are 16 patterns of four signs.
        unsafe {
            let signs =
                _mm256_cvtepi32_epi64(_mm_srai_epi32::<31>(_mm_load_si128(SIGNS.0.as_ptr().add(negative).cast())));
            _mm256_storeu_si256(into.cast(), _mm256_sub_epi64(_mm256_xor_si256(values, signs), signs));
        }
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

/// For a point at each place, and for none: the power of a tenth for the digits behind it.
static TENTHS: [f64; 17] = {
    let mut tenths = [1.0; 17];
    let mut point = 0;
    while point < 16 {
        tenths[point] = INVERSE[15 - point];
        point += 1;
    }
    tenths
};

/// For each pattern of signs: the four signs.
static SIGNS: Aligned<[[u32; 4]; 16]> = Aligned({
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
});
