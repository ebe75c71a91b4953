//! Command line entry point.

fn main() -> std::process::ExitCode {
    slubreplay::cli::main()
}
