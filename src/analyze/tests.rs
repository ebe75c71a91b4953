//! Analyses of hand-made replays.
