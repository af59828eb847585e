//! The `zkexport` program.

fn main() -> std::process::ExitCode {
    farm_core::cli::launch("zkexport", zkexport::run)
}
