//! The `zkjoin` program.

fn main() -> std::process::ExitCode {
    farm_core::cli::launch("zkjoin", zkjoin::run)
}
