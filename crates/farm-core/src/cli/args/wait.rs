//! `--wait`: how long changes are gathered.

use super::duration::parse_duration;
use crate::engine::Wait;
use clap::Args;

/// How long changes are gathered.
#[derive(Debug, Clone, Copy, Args)]
pub struct WaitArg {
    /// Gather changes until none comes for MIN, but no longer than MAX
    #[arg(short, long, value_name = "MIN[:MAX]")]
    #[arg(default_value = "50ms:500ms", value_parser = parse_wait)]
    pub wait: Wait,
}

/// Parses `MIN[:MAX]`; MAX defaults to ten times MIN.
fn parse_wait(text: &str) -> Result<Wait, String> {
    let both = text.split_once(':').map(|(min, max)| (min, Some(max)));
    let (min, max) = both.unwrap_or((text, None));
    let parse = |text| parse_duration(text).map_err(|error| error.to_string());
    let min = parse(min)?;
    let max = max.map(parse).transpose()?.unwrap_or(min * 10);
    if max < min {
        return Err("MAX is less than MIN".to_owned());
    }
    Ok(Wait { min, max })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn wait_is_one_or_two_durations() {
        for (text, min_ms, max_ms) in
            [("50ms:500ms", 50, 500), ("1", 1000, 10_000), ("0:0", 0, 0), ("2s:2s", 2000, 2000)]
        {
            let (min, max) = (Duration::from_millis(min_ms), Duration::from_millis(max_ms));
            assert_eq!(parse_wait(text), Ok(Wait { min, max }), "{text}");
        }
        for text in ["", ":", "1:", ":1", "2:1", "1:2:3", "x", "-1"] {
            assert!(parse_wait(text).is_err(), "{text:?}");
        }
    }
}
