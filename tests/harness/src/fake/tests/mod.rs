mod faults;
mod protocol;
mod sessions;
