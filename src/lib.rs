//! slubreplay
