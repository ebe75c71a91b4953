//! Figures of one allocator, from its rounds.

/// What one allocator needed in one pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Name of the pattern.
    pub pattern: &'static str,
    /// Name of the allocator.
    pub allocator: String,
    /// Threads.
    pub threads: usize,
    /// Bytes of an object; `None` where the trace says.
    pub size: Option<u32>,
    /// Nanoseconds of a thread for each allocation with its free, by round.
    pub ns_per_pair: Vec<f64>,
    /// Of the replay of a trace.
    pub replay: Option<ReplayFigure>,
}

/// What only the replay of a trace has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReplayFigure {
    /// Operations.
    pub operations: u64,
    /// Operations a second of all workers together, in the median round.
    pub per_second: f64,
    /// Share of the speed of one worker that each of several still has, if one was measured.
    pub efficiency: Option<f64>,
    /// Most that efficiency can be, as the busiest worker has this many of all operations.
    pub bound: f64,
}

impl Figure {
    /// The median over rounds.
    #[must_use]
    pub fn median(&self) -> f64 {
        median(&self.ns_per_pair)
    }

    /// The fastest round.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.ns_per_pair.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// The value in the middle; of an even number, the mean of the two. Infinite if there is none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (0, 0) => f64::INFINITY,
        (half, 0) => f64::midpoint(sorted[half - 1], sorted[half]),
        (half, _) => sorted[half],
    }
}
