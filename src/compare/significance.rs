//! Whether runs of two kinds differ by more than runs of one kind do.
//!
//! Welch's t-test, as variances may differ with the means. Where no run differs from another of its kind there is no variance to go by: the
//! exact permutation test then says how many of all ways to part the runs in two would part them as well. Many figures are tested at once,
//! so that some differ by chance; Benjamini and Hochberg's procedure bounds the share of those among all that are called significant.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Share of false findings among those called significant, at most, in the mean.
pub const FALSE_DISCOVERIES: f64 = 0.05;

/// How sure an interval is to hold the difference of the means.
pub const CONFIDENCE: f64 = 0.95;

/// A figure over the runs of one kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Runs that have the figure; at least one.
    pub runs: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, of a sample; `None` of a single run.
    pub deviation: Option<f64>,
}

impl Summary {
    /// Sums up; `None` without values.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let runs = values.len();
        let mean = values.iter().sum::<f64>() / runs as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        // Rounding of the mean alone is no deviation.
        let is_constant = values.windows(2).all(|pair| pair[0] == pair[1]);
        let deviation = if is_constant { 0.0 } else { (squares / (runs as f64 - 1.0)).sqrt() };
        (runs > 0).then_some(Self { runs, mean, deviation: (runs > 1).then_some(deviation) })
    }
}

/// What a test says of two kinds of runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// Bounds of the difference of the means, at [`CONFIDENCE`]; `None` without any spread.
    pub interval: Option<(f64, f64)>,
    /// How often chance alone would part the means as far, either way.
    pub p_value: f64,
}

/// Tests whether two kinds of runs differ; `None` where one of them has fewer than two runs.
#[must_use]
pub(super) fn test(base: &Summary, against: &Summary) -> Option<Test> {
    let (base_deviation, against_deviation) = (base.deviation?, against.deviation?);
    let difference = against.mean - base.mean;
    let (base_error, against_error) = (base_deviation.powi(2) / base.runs as f64, against_deviation.powi(2) / against.runs as f64);
    let error = base_error + against_error;
    if error == 0.0 {
        let p_value = if difference == 0.0 { 1.0 } else { permutation(base.runs, against.runs) };
        return Some(Test { interval: None, p_value });
    }
    // Welch and Satterthwaite's degrees of freedom.
    let part = |error: f64, runs: usize| error.powi(2) / (runs as f64 - 1.0);
    let freedom = error.powi(2) / (part(base_error, base.runs) + part(against_error, against.runs));
    let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
    let error = error.sqrt();
    let half = student.inverse_cdf(0.5 + CONFIDENCE / 2.0) * error;
    let p_value = (2.0 * student.cdf(-(difference / error).abs())).min(1.0);
    Some(Test { interval: Some((difference - half, difference + half)), p_value })
}

/// Share of the ways to part all runs into kinds of these sizes that put equal values together: one, and its mirror image if the kinds are
/// of one size.
fn permutation(base: usize, against: usize) -> f64 {
    // Ways to choose `base` of all.
    let ways = (1..=base).fold(1.0, |ways, k| ways * (against + k) as f64 / k as f64);
    let alike = if base == against { 2.0 } else { 1.0 };
    (alike / ways).min(1.0)
}

/// Which of many p-values are significant, by Benjamini and Hochberg, so that at most a share of `level` of those are so by chance.
#[must_use]
pub(super) fn significant(p_values: &[f64], level: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let bound = |rank: usize| level * (rank + 1) as f64 / p_values.len() as f64;
    let found = order.iter().enumerate().rposition(|(rank, &number)| p_values[number] <= bound(rank)).map_or(0, |rank| rank + 1);
    let mut significant = vec![false; p_values.len()];
    for &number in &order[..found] {
        significant[number] = true;
    }
    significant
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(base: &[f64], against: &[f64]) -> Option<Test> {
        test(&Summary::of(base)?, &Summary::of(against)?)
    }

    #[test]
    fn a_sample_is_summed_up() {
        let summary = Summary::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!((summary.runs, summary.mean), (8, 5.0));
        // Squares of the distances sum up to 32.
        assert!((summary.deviation.unwrap() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(Summary::of(&[3.0]), Some(Summary { runs: 1, mean: 3.0, deviation: None }));
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[0.1, 0.1, 0.1]).unwrap().deviation, Some(0.0), "rounding is no deviation");
    }

    #[test]
    fn with_two_degrees_of_freedom_the_distribution_has_a_closed_form() {
        // Two runs of a kind, of equal variance: two degrees. P(T < t) = 1/2 + t / (2 sqrt(2 + t²)).
        let (base, against) = ([10.0, 12.0], [16.0, 18.0]);
        let t = 6.0 / (2.0_f64 / 2.0 + 2.0 / 2.0).sqrt();
        let test = tested(&base, &against).unwrap();
        assert!((test.p_value - (1.0 - t / (2.0 + t * t).sqrt())).abs() < 1e-9, "{test:?}");
        // Its quantile at 0.975: 0.95 = t / sqrt(2 + t²).
        let quantile = (2.0 * 0.95_f64.powi(2) / (1.0 - 0.95_f64.powi(2))).sqrt();
        let (low, high) = test.interval.unwrap();
        assert!((high - (6.0 + quantile * 2.0_f64.sqrt())).abs() < 1e-6 && (low + high - 12.0).abs() < 1e-9, "{test:?}");
    }

    #[test]
    fn sides_are_alike_and_single_runs_say_nothing() {
        let (a, b) = ([5.0, 6.0, 7.5, 5.5], [9.0, 8.0, 12.0]);
        assert!((tested(&a, &b).unwrap().p_value - tested(&b, &a).unwrap().p_value).abs() < 1e-12);
        assert!((tested(&a, &a).unwrap().p_value - 1.0).abs() < 1e-9);
        assert_eq!(tested(&[1.0], &b), None);
    }

    #[test]
    fn without_any_spread_all_partings_are_counted() {
        // Of the 70 ways to take four of eight, two part four equal values from four others.
        assert_eq!(tested(&[1.0; 4], &[2.0; 4]), Some(Test { interval: None, p_value: 2.0 / 70.0 }));
        assert_eq!(tested(&[1.0; 2], &[2.0; 3]), Some(Test { interval: None, p_value: 0.1 }));
        assert_eq!(tested(&[1.0; 4], &[1.0; 4]), Some(Test { interval: None, p_value: 1.0 }));
    }

    #[test]
    fn false_discoveries_are_bounded() {
        // Benjamini and Hochberg's own example (1995): of 15, four are significant at 0.05, where Bonferroni finds three.
        let p_values =
            [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0];
        assert_eq!(significant(&p_values, 0.05).iter().filter(|&&found| found).count(), 4);
        // One that is too high for its own rank is significant if a later one is low enough for its.
        assert_eq!(significant(&[0.04, 0.03], 0.05), [true, true]);
        assert_eq!(significant(&[0.04, 0.06], 0.05), [false, false]);
        assert_eq!(significant(&[], 0.05), [false; 0]);
    }
}
