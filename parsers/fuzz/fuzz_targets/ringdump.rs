#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| slubreplay_parsers::fuzzing::ringdump(bytes));
