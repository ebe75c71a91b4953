//! Texts of tracefs about its buffers, which trace.dat holds too.

/// Lost events of one CPU's `stats` text.
pub(crate) fn overruns(stats: &str) -> u64 {
    stats
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| matches!(key.trim(), "overrun" | "commit overrun" | "dropped events"))
        .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

/// The clock in a text such as `[local] global counter`, or the text itself.
pub(crate) fn chosen_clock(text: &str) -> String {
    let bracketed = text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(name, _)| name);
    bracketed.unwrap_or_else(|| text.trim()).to_owned()
}
