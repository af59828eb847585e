//! How much memory records take, whatever their shape.
//!
//! One test, in a process of its own: it measures the memory of the process.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use farm_core::codec::json::decode_znode;
use farm_core::codec::{Parse, RECORD_BYTES_MAX, VALUES_MAX};
use farm_core::model::{PARSED_BYTES_MAX, PackedRecord, Record};
use fastrand::Rng;
use std::fmt::Write as _;
use std::hint::black_box;

/// The resident memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// How much the memory of this process grows for what `make` returns.
fn growth<T>(make: impl FnOnce() -> T) -> usize {
    let before = resident();
    let made = black_box(make());
    let growth = resident().saturating_sub(before);
    drop(made);
    growth
}

/// A value of about so many bytes.
fn value(rng: &mut Rng, text: &mut String, depth: usize, bytes: usize) {
    let end = text.len() + bytes;
    let is_list = rng.bool();
    match rng.u8(..8) {
        _ if depth == 0 || bytes < 3 => {
            text.push_str(["0", "\"\"", "null", "[]", "{}"][rng.usize(..5)]);
        }
        0 => text.extend(std::iter::repeat_n('7', bytes)),
        1 => {
            text.push('"');
            text.extend(std::iter::repeat_n('x', bytes));
            text.push('"');
        }
        _ => {
            let inner = [0, 4, 20, 100][rng.usize(..4)].min(bytes);
            text.push(if is_list { '[' } else { '{' });
            for number in 0.. {
                if number > 0 {
                    text.push(',');
                }
                if !is_list {
                    write!(text, "\"{number:x}\":").unwrap();
                }
                value(rng, text, depth - 1, inner);
                if text.len() >= end {
                    break;
                }
            }
            text.push(if is_list { ']' } else { '}' });
        }
    }
}

fn random(rng: &mut Rng, bytes: usize) -> String {
    let mut text = "{\"a\":".to_owned();
    let depth = rng.usize(1..6);
    value(rng, &mut text, depth, bytes);
    text.push('}');
    text
}

/// Shapes that take much memory for their bytes.
fn dense(bytes: usize) -> Vec<String> {
    let list = |item: &str| {
        let count = (bytes / (item.len() + 1)).clamp(1, VALUES_MAX / 3);
        format!("{{\"a\":[{}]}}", vec![item; count].join(","))
    };
    let fields: Vec<String> =
        (0..(bytes / 9).clamp(1, VALUES_MAX)).map(|n| format!("\"{n:x}\":0")).collect();
    let items = ["{\"\":0}", "[0]", "[[]]", "0", "\"\"", "{\"\":{\"\":0}}"];
    items.into_iter().map(list).chain([format!("{{{}}}", fields.join(","))]).collect()
}

/// Copies that together have at least that many bytes.
fn kept(text: &str, total: usize) -> Vec<PackedRecord> {
    let copies = total.div_ceil(text.len());
    (0..copies).filter_map(|_| Parse::Json.decoder()(text.as_bytes().to_vec()).0.ok()).collect()
}

#[test]
fn memory_is_bounded_by_the_bytes_of_the_records_and_their_number() {
    // What a record takes besides its contents, and what the process has taken already.
    const PER_RECORD: usize = 128;
    const SLACK: usize = 1 << 20;
    const TOTAL: usize = 256 << 10;
    let mut rng = Rng::with_seed(7);
    let shapes: Vec<String> = [100, 1_000, 20_000]
        .into_iter()
        .flat_map(dense)
        .chain((0..40).map(|n| random(&mut rng, [50, 500, 5_000, 50_000][n % 4])))
        .collect();
    for text in &shapes {
        let shown: String = text.chars().take(60).collect();
        let Ok(record) = decode_znode(text.as_bytes()) else { continue };
        let bytes = PackedRecord::from(record).bytes();
        assert!(bytes <= PARSED_BYTES_MAX.max(text.len()), "{shown}");
        let count = TOTAL.div_ceil(text.len());
        let growth = growth(|| kept(text, TOTAL));
        let bound = count * (bytes + PER_RECORD) + SLACK;
        assert!(growth <= bound, "{growth} bytes for {count} of {} bytes: {shown}", text.len());
    }

    // One record that is parsed.
    for text in dense(RECORD_BYTES_MAX) {
        let Ok(record) = decode_znode(text.as_bytes()) else { continue };
        drop(record);
        let growth = growth(|| {
            (0..8).map(|_| decode_znode(text.as_bytes()).unwrap()).collect::<Vec<Record>>()
        });
        let shown: String = text.chars().take(60).collect();
        assert!(growth <= 8 * (10 << 20), "{growth} bytes for 8 of {} bytes: {shown}", text.len());
    }
}
