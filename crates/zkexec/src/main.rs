//! The `zkexec` program.

fn main() -> std::process::ExitCode {
    farm_core::cli::launch("zkexec", zkexec::run)
}
