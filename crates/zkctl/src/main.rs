//! The `zkctl` program.

fn main() -> std::process::ExitCode {
    farm_core::cli::launch_with_plugin("zkctl", "check", zkctl::run)
}
