//! The tools against a real ZooKeeper; the tests are in `tests/`.
