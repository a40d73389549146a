//! What the integration tests share.

#![allow(dead_code, reason = "every test file uses a part of it")]

pub mod golden;
pub mod least_squares;
pub mod prng;
pub mod walk;
