//! The codecs, in this process.

use crate::bench::error::BenchError;
use crate::bench::stats::{TimingResult, interleave};
use crate::bench::table::Row;
use crate::bench::testbed::{host_name, record};
use farm_core::codec::{TextFormat, encode_farm, json::decode_znode};
use farm_core::model::{Farm, HostName};
use std::hint::black_box;
use std::time::Instant;

const HOSTS: usize = 1_000;
const ROUNDS: usize = 200;
const WARM_UP_ROUNDS: usize = 20;

/// Decodes the records of all hosts. The limit: a copy of the same bytes.
pub(super) fn decode_znodes(name: &'static str) -> Result<Row, BenchError> {
    let znodes: Vec<_> = (0..HOSTS).map(|index| record(index, 0)).collect();
    let bytes = znodes.concat().into_bytes();
    let decode = || {
        for znode in &znodes {
            black_box(decode_znode(black_box(znode.as_bytes())).map_err(BenchError::codec)?);
        }
        Ok(())
    };
    compare_with_copy(name, &bytes, decode)
}

pub(super) fn encode_json(name: &'static str) -> Result<Row, BenchError> {
    encode(name, TextFormat::Json)
}

pub(super) fn encode_php(name: &'static str) -> Result<Row, BenchError> {
    encode(name, TextFormat::Php)
}

pub(super) fn encode_yaml(name: &'static str) -> Result<Row, BenchError> {
    encode(name, TextFormat::Yaml)
}

/// Encodes the whole farm. The limit: a copy of the encoded bytes.
fn encode(name: &'static str, format: TextFormat) -> Result<Row, BenchError> {
    let mut farm = Farm::default();
    for index in 0..HOSTS {
        let host = HostName::parse(&host_name(index)).map_err(BenchError::codec)?;
        farm.insert(host, decode_znode(record(index, 0).as_bytes()).map_err(BenchError::codec)?);
    }
    let bytes = encode_farm(format, &farm).map_err(BenchError::codec)?;
    let encode = || {
        black_box(encode_farm(format, black_box(&farm)).map_err(BenchError::codec)?);
        Ok(())
    };
    compare_with_copy(name, &bytes, encode)
}

fn compare_with_copy(
    name: &'static str,
    bytes: &[u8],
    work: impl Fn() -> Result<(), BenchError>,
) -> Result<Row, BenchError> {
    let mut target = vec![0; bytes.len()];
    let measured = || -> TimingResult {
        let start = Instant::now();
        work()?;
        Ok(start.elapsed())
    };
    let limit = || -> TimingResult {
        let start = Instant::now();
        black_box(&mut target).copy_from_slice(black_box(bytes));
        Ok(start.elapsed())
    };
    let pairs = interleave(ROUNDS, WARM_UP_ROUNDS, measured, limit)?;
    Ok(Row::measured(name, pairs)?.with_bytes(bytes.len()))
}
