//! Stands in for `tls` in a build without it: values that nobody can have.

use super::servers::Server;
use super::stream::Closed;
use super::wire::Frames;
use std::fmt;
use std::io::{self, Write};

/// How to speak TLS; this build can't.
#[derive(Debug, Clone)]
pub enum Tls {}

/// Why TLS does not work.
#[derive(Debug, Clone)]
pub enum TlsError {}

#[derive(Debug)]
pub(super) enum Channel {}

impl Tls {
    pub(super) const fn channel(&self, _: &Server) -> Result<Channel, Box<TlsError>> {
        match *self {}
    }

    pub(super) const fn silence(&self) -> Box<TlsError> {
        match *self {}
    }
}

impl TlsError {
    pub(super) const fn is_lasting(&self) -> bool {
        match *self {}
    }
}

impl Channel {
    pub(super) const fn is_secure(&self) -> bool {
        match *self {}
    }

    pub(super) const fn is_garbled(&self) -> bool {
        match *self {}
    }

    pub(super) const fn why_closed(&self) -> Box<TlsError> {
        match *self {}
    }

    pub(super) const fn open(&mut self, _: &[u8], _: &mut Frames) -> Result<(), Closed> {
        match *self {}
    }

    pub(super) const fn seal(&mut self, _: &[u8]) -> usize {
        match *self {}
    }

    pub(super) const fn wants_write(&self) -> bool {
        match *self {}
    }

    pub(super) const fn write_to(&mut self, _: &mut impl Write) -> io::Result<usize> {
        match *self {}
    }

    pub(super) const fn say_goodbye(&mut self) {
        match *self {}
    }

    pub(super) const fn terms(&self) -> (String, String) {
        match *self {}
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for TlsError {}
