//! The tool from the outside: the binary on real captures, and the library against plain oracles.
//!
//! | module | what it states |
//! |---|---|
//! | `cli` | exit codes, errors with hints, what goes to which stream |
//! | `bad_input` | truncated, damaged and foreign files |
//! | `bench` | forms and refusals of the benchmarks |
//! | `info` | what `info` says of the captures, against counts of trace-cmd |
//! | `formats` | CSV and JSON on stdout, the files of `--out` |
//! | `html` | the page of `--out`, in a browser |
//! | `verify` | the counters of the kernel, cache by cache |
//! | `captures` | the same on captures outside of the repository, if there are any |
//! | `agreement` | the slabs that the kernel served objects from, and `verify --explain` |
//! | `fallback` | order fallback by kernel, trace and model |
//! | `compare` | the same operations by several kernels |
//! | `threads` | the concurrent engine: options, agreement with the exact one, Ctrl-C |
//! | `tune` | grids of knobs, recommendations, lint |
//! | `siblings` | SLAB and SLOB |
//! | `convert` | traces in columns, and the names of call sites |
//! | `every_form` | one trace as trace.dat of both versions, as text, in columns |
//! | `stream` | replay in batches, beside the replay of whole recordings |
//! | `conservation` | allocations, frees and live objects, against a map from address to size |
//! | `record` | recording, by the program and by its script |
//! | `determinism` | the same bytes on every run and any number of threads |
//!
//! Expected figures come from the snapshots in the captures, from trace-cmd, or from arithmetic here.

mod agreement;
mod bad_input;
mod bench;
mod captures;
mod cli;
mod compare;
mod conservation;
mod convert;
mod determinism;
mod every_form;
mod fallback;
mod formats;
mod hashed;
mod html;
mod info;
mod oracle;
mod record;
mod siblings;
mod stream;
mod support;
mod threads;
mod tune;
mod verify;
