//! The options of `soak`.

use farm_core::cli::parse_duration;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Soak {
    /// How many minutes to inject faults
    #[arg(long, value_name = "N", default_value = "30")]
    pub(super) minutes: u32,
    /// Repeat the faults of an earlier run
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,
    /// The session timeout of the tools
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = parse_duration)]
    pub(super) session_timeout: Duration,
    /// Print each fault when it is injected
    #[arg(short, long)]
    pub(super) verbose: bool,
}
