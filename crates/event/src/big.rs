//! Numbers outside the ranges of 64-bit integers and floats.

use std::{cmp::Ordering, fmt, sync::Arc};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A number in its JSON notation: an integer beyond 64 bits, or a number beyond the range of floats.
///
/// Programs can forward and compare it; arithmetic on it is an overflow. Only the parser creates it.
#[derive(Clone)]
pub struct BigNumber(Arc<str>);

/// A number as `0.DIGITS · 10^point`. The digits neither begin nor end with a zero.
struct Decimal {
    negative: bool,
    digits: String,
    point: i128,
}

impl BigNumber {
    /// Stores a number that JSON's grammar allows.
    pub(super) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The number's JSON notation, as it was received.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the notation is an integer's: no fraction and no exponent.
    pub fn is_integer(&self) -> bool {
        !self.0.contains(['.', 'e', 'E'])
    }

    /// Compares the numeric values exactly.
    pub fn cmp_float(&self, float: f64) -> Ordering {
        match float.is_finite() {
            // `.0` prints all integer digits. Floats that are close to a big number have no fraction.
            true => Decimal::parse(&self.0).cmp(&Decimal::parse(&format!("{float:.0}"))),
            false => 0.0_f64.total_cmp(&float),
        }
    }

    /// Compares the numeric values exactly.
    pub fn cmp_int(&self, int: i128) -> Ordering {
        Decimal::parse(&self.0).cmp(&Decimal::parse(&int.to_string()))
    }
}

impl PartialEq for BigNumber {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for BigNumber {}

impl PartialOrd for BigNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BigNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.0 == other.0 {
            return Ordering::Equal;
        }
        let order = Decimal::parse(&self.0).cmp(&Decimal::parse(&other.0));
        // Exponents beyond 128 bits saturate, so they compare as equal. Compare the texts then.
        if order.is_eq() && Decimal::is_vast(&self.0) { self.0.cmp(&other.0) } else { order }
    }
}

impl fmt::Debug for BigNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for BigNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl Decimal {
    fn parse(text: &str) -> Self {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        let zeros = all.len() - digits.len();
        let digits = digits.trim_end_matches('0').to_owned();
        let shift = whole.len() as i128 - zeros as i128;
        let point = Self::exponent(exponent).saturating_add(shift);
        let point = if digits.is_empty() { i128::MIN } else { point };
        Self { negative: negative && !digits.is_empty(), digits, point }
    }

    fn exponent(text: &str) -> i128 {
        let outermost = if text.starts_with('-') { i128::MIN } else { i128::MAX };
        text.parse().unwrap_or(outermost)
    }

    /// Whether the exponent is beyond 128 bits.
    fn is_vast(text: &str) -> bool {
        text.split_once(['e', 'E']).is_some_and(|(_, exponent)| exponent.parse::<i128>().is_err())
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let signs = other.negative.cmp(&self.negative);
        let order = self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits));
        signs.then(if self.negative { order.reverse() } else { order })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn big(text: &str) -> BigNumber {
        BigNumber::new(text)
    }

    #[test]
    fn all_digits_count_in_a_comparison() {
        let ascending = [
            "-1e999999999999999999999999999999999999999999",
            "-1e400",
            "-123456789012345678901234567891",
            "-123456789012345678901234567890",
            "-9223372036854775809",
            "18446744073709551616",
            "92233720368547758423",
            "92233720368547758424",
            "123456789012345678901234567890",
            "1.5e400",
            "16e399",
            "1e401",
            "1e999999999999999999999999999999999999999999",
            "2e999999999999999999999999999999999999999999",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(big(a).cmp(&big(b)), i.cmp(&j), "{a} {b}");
            }
        }
        assert_eq!(big("1e400"), big("10.00E+399"));
    }

    #[test]
    fn big_and_small_numbers_are_compared_by_value() {
        assert_eq!(big("18446744073709551616").cmp_float(18_446_744_073_709_551_616.0), Ordering::Equal);
        assert_eq!(big("18446744073709551617").cmp_float(18_446_744_073_709_551_616.0), Ordering::Greater);
        assert_eq!(big("-1e400").cmp_float(f64::MIN), Ordering::Less);
        assert_eq!(big("18446744073709551616").cmp_float(-0.0), Ordering::Greater);
        assert_eq!(big("-9223372036854775809").cmp_int(i64::MIN.into()), Ordering::Less);
        assert_eq!(big("18446744073709551616").cmp_int(u64::MAX.into()), Ordering::Greater);
        assert_eq!(big("18446744073709551616").cmp_int(0), Ordering::Greater);
    }

    #[test]
    fn a_big_number_keeps_its_notation() {
        for text in ["123456789012345678901234567890", "-1.50E+400"] {
            assert_eq!(serde_json::to_string(&big(text)).unwrap(), text);
        }
    }
}
