//! Where an axis has its marks, and what they say.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;

use crate::format::thousands;

/// More marks than this would never fit; a bound for odd ranges.
const MOST_MARKS: usize = 50;

/// Marks at multiples of 1, 2 or 5 times a power of ten.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Marks {
    /// Values with a mark, rising.
    pub(crate) values: Vec<f64>,
    /// Distance between two marks.
    pub(crate) step: f64,
    decimals: usize,
}

impl Marks {
    /// Returns about `wanted` marks between `low` and `high`, 0 <= `low` < `high`; with `whole`
    /// only at whole numbers.
    pub(crate) fn between(low: f64, high: f64, wanted: u32, whole: bool) -> Self {
        let rough = (high - low) / f64::from(wanted.max(1));
        let magnitude = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * magnitude)
            .into_iter()
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(10.0 * magnitude);
        let step = if whole { step.max(1.0) } else { step };
        let first = (low / step).ceil();
        let values = (0..MOST_MARKS).map(|index| (first + index as f64) * step).take_while(|value| *value <= high + step * 1e-6).collect();
        let decimals = (-(step.log10() + 1e-9).floor()).clamp(0.0, 12.0) as usize;
        Self { values, step, decimals }
    }

    /// Returns marks from 0 to a round number not below `high`, and that number.
    pub(crate) fn from_zero(high: f64, wanted: u32, whole: bool) -> (Self, f64) {
        let step = Self::between(0.0, high, wanted, whole).step;
        // A little air above the highest value.
        let top = (high * 1.02 / step).ceil() * step;
        (Self::between(0.0, top, wanted, whole), top)
    }

    /// Returns marks at powers of ten between two decimal logarithms, `low` < `high`; where there are few, at 2 and 5 times these too.
    pub(crate) fn of_decades(low: f64, high: f64) -> Self {
        let factors: &[f64] = if high - low <= 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let decades = (0..MOST_MARKS).map(|index| low.floor() + index as f64).take_while(|decade| *decade <= high);
        let values = decades.flat_map(|decade| factors.iter().map(move |factor| decade + factor.log10()));
        let values = values.filter(|value| (low - 1e-9..=high + 1e-9).contains(value)).collect();
        Self { values, step: 1.0, decimals: 0 }
    }

    /// Returns the text at a mark of [`Self::of_decades`].
    pub(crate) fn decade_label(&self, value: f64) -> String {
        thousands(10f64.powf(value).round() as u64)
    }

    /// Returns the text at a mark.
    pub(crate) fn label(&self, value: f64) -> String {
        // Also turns -0 into 0.
        let text = format!("{:.*}", self.decimals, value.max(0.0) + 0.0);
        let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
        match whole.parse() {
            Ok(whole) => format!("{}{rest}", thousands(whole)),
            Err(_) => text,
        }
    }
}

/// A coordinate of plotters with marks of our choice.
///
/// plotters' own `WithKeyPoints` takes no label formatter for floats.
pub(crate) struct Axis {
    inner: RangedCoordf64,
    marks: Vec<f64>,
}

impl Axis {
    pub(crate) fn new(range: Range<f64>, marks: &Marks) -> Self {
        Self { inner: range.into(), marks: marks.values.clone() }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.inner.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.inner.range()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(marks: &Marks) -> Vec<String> {
        marks.values.iter().map(|value| marks.label(*value)).collect()
    }

    #[test]
    fn marks_are_round_numbers() {
        // 10 / 5 = 2.
        let marks = Marks::between(0.0, 10.0, 5, false);
        assert_eq!(labels(&marks), ["0", "2", "4", "6", "8", "10"]);
        // 0.03 / 6 = 0.005.
        let marks = Marks::between(0.0, 0.03, 6, false);
        assert_eq!(labels(&marks), ["0.000", "0.005", "0.010", "0.015", "0.020", "0.025", "0.030"]);
    }

    #[test]
    fn marks_start_inside_the_range() {
        let marks = Marks::between(5.5, 9.5, 4, false);
        assert_eq!(labels(&marks), ["6", "7", "8", "9"]);
    }

    #[test]
    fn counts_have_no_fractions() {
        let (marks, top) = Marks::from_zero(2.0, 6, true);
        assert_eq!(labels(&marks), ["0", "1", "2", "3"]);
        assert_eq!(top, 3.0);
    }

    #[test]
    fn large_values_are_grouped() {
        // 10^12 bytes are 953,674.3 MiB.
        let (marks, top) = Marks::from_zero(1e12 / 1_048_576.0, 5, false);
        assert_eq!(top, 1_000_000.0);
        assert_eq!(labels(&marks).last().map(String::as_str), Some("1,000,000"));
    }

    #[test]
    fn decades_have_marks_at_powers_of_ten() {
        let labels = |low, high| {
            let marks = Marks::of_decades(low, high);
            marks.values.iter().map(|value| marks.decade_label(*value)).collect::<Vec<_>>()
        };
        // 10 to 316.
        assert_eq!(labels(1.0, 2.5), ["10", "20", "50", "100", "200"]);
        assert_eq!(labels(0.0, 5.1), ["1", "10", "100", "1,000", "10,000", "100,000"]);
    }

    #[test]
    fn extremes_stay_bounded() {
        for high in [1e-9, u64::MAX as f64] {
            let (marks, top) = Marks::from_zero(high, 6, false);
            assert!(top >= high);
            assert!((2..=MOST_MARKS).contains(&marks.values.len()), "{marks:?}");
        }
    }
}
