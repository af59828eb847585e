//! Sessions against servers that hang, lie, vanish and come back.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test as well")]

#[path = "session/calls.rs"]
mod calls;
#[path = "session/costs.rs"]
mod costs;
#[path = "session/credentials.rs"]
mod credentials;
#[path = "session/dialing.rs"]
mod dialing;
#[path = "session/dripping.rs"]
mod dripping;
#[path = "session/ends.rs"]
mod ends;
#[path = "session/farms.rs"]
mod farms;
#[path = "session/fixture.rs"]
mod fixture;
#[path = "session/garbled.rs"]
mod garbled;
#[path = "session/keeping.rs"]
mod keeping;
#[path = "session/leases.rs"]
mod leases;
#[path = "session/log_lines.rs"]
mod log_lines;
#[path = "session/loopback.rs"]
mod loopback;
#[path = "session/many.rs"]
mod many;
#[path = "session/permits.rs"]
mod permits;
#[path = "session/tls.rs"]
mod tls;
#[path = "session/watches.rs"]
mod watches;
