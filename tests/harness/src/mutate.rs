//! Random mutations of sample inputs.
//!
//! They are cheap enough for every test run and measure no coverage. `tests/fuzz` runs the
//! same checks under libFuzzer.

use fastrand::Rng;
use std::env;
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

const ROUNDS: usize = 4000;
/// Longer inputs find no other bugs and are slower.
const BYTES_MAX: usize = 4096;
/// Byte sequences that often break parsers.
const TOKENS: [&[u8]; 28] = [
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"\"",
    b"'",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"&a ",
    b"*a",
    b"!!",
    b"1e999",
    b"-0",
    b"\\ud800",
    b"$x",
    b"?>",
    b"..",
    b"/",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
];

/// Runs a check on every file of a directory and then on mutations of them.
/// `FARM_FUZZ_ROUNDS` sets the number of mutations, `FARM_FUZZ_SEED` their seed.
///
/// # Panics
///
/// When the check panics, after printing the seed and the bytes; when the directory has no
/// files.
#[track_caller]
pub fn survive_mutations(corpus: impl AsRef<Path>, check: impl Fn(&[u8])) {
    let samples = samples(corpus.as_ref());
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("FARM_FUZZ_SEED").unwrap_or(1);
    let rounds = number("FARM_FUZZ_ROUNDS").map_or(ROUNDS, |rounds| rounds as usize);
    let mut rng = Rng::with_seed(seed);
    let mutations = (0..rounds).map(|_| mutation(&mut rng, &samples));
    for bytes in samples.iter().cloned().chain(mutations) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&bytes))) {
            let note = format!("seed {seed}, input b\"{}\"\n", bytes.escape_ascii());
            drop(std::io::stderr().write_all(note.as_bytes()));
            resume_unwind(panic);
        }
    }
}

fn samples(corpus: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(corpus).unwrap_or_else(|e| panic!("{}: {e}", corpus.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    // The same seed must produce the same bytes on every machine.
    paths.sort();
    assert!(!paths.is_empty(), "no files in {}", corpus.display());
    let read =
        |path: &PathBuf| fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    paths.iter().map(read).collect()
}

fn mutation(rng: &mut Rng, samples: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = samples[rng.usize(..samples.len())].clone();
    for _ in 0..rng.usize(1..8) {
        let at = rng.usize(..=bytes.len());
        let end = at + rng.usize(..=(bytes.len() - at).min(64));
        match rng.u32(..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.u32(..8),
            1 if at < bytes.len() => bytes[at] = rng.u8(..),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let copy = bytes[at..end].repeat(rng.usize(1..20));
                bytes.splice(at..at, copy);
            }
            4 => bytes.truncate(at),
            5 => {
                let other = &samples[rng.usize(..samples.len())];
                let start = rng.usize(..=other.len());
                bytes.splice(at.., other[start..].iter().copied());
            }
            _ => {
                let token = TOKENS[rng.usize(..TOKENS.len())];
                bytes.splice(at..at, token.iter().copied());
            }
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scratch;
    use std::cell::RefCell;

    #[test]
    fn the_files_come_first_and_then_what_became_of_them() {
        let scratch = Scratch::new();
        scratch.write("b", "second");
        scratch.write("a", "first");
        let seen = RefCell::new(Vec::new());
        survive_mutations(scratch.path(), |bytes| seen.borrow_mut().push(bytes.to_vec()));
        let seen = seen.into_inner();
        assert_eq!(seen[..2], [b"first".to_vec(), b"second".to_vec()]);
        let kinds: std::collections::BTreeSet<_> = seen.iter().collect();
        assert!(kinds.len() > seen.len() / 2, "{} of {}", kinds.len(), seen.len());
        assert!(seen.iter().all(|bytes| bytes.len() <= BYTES_MAX));
    }

    #[test]
    fn a_panic_of_the_check_is_passed_on() {
        let scratch = Scratch::new();
        scratch.write("a", "text");
        let fails = || survive_mutations(scratch.path(), |bytes| assert!(!bytes.contains(&0)));
        assert!(catch_unwind(AssertUnwindSafe(fails)).is_err());
    }
}
