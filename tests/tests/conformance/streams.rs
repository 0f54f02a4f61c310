//! What happens to the bytes and to the ends of established connections.

use underpass_tests::servers::port;

use crate::worlds::{Both, Case};

#[test]
fn half_closes_pass_in_both_directions() {
    Both::new().compare(&[
        Case::new("ends", port::AFTER_END).more(&["half"]),
        Case::new("ends", port::ECHO).more(&["read"]),
        Case::new("ends", port::ECHO).more(&["both"]),
    ]);
}

#[test]
fn a_clean_end_is_an_end_and_a_reset_is_a_reset() {
    Both::new().compare(&[
        Case::new("ends", port::BANNER).more(&["banner"]),
        Case::new("ends", port::RESET).more(&["reset"]),
        Case::new("ends", port::RESET).more(&["reset-error"]),
    ]);
}

#[test]
fn every_byte_arrives_however_fast_either_side_is() {
    Both::new().compare(&[
        Case::new("ends", port::BIG_SENDER).more(&["big"]),
        Case::new("ends", port::SLOW_READER).more(&["slow"]),
    ]);
}
