//! HTTP/2 as RFC 9113 and RFC 7541 have it, frame by frame: the generic cases of h2spec and some more.

use underpass_tests::servers::port;

use crate::place::{EVERYTHING_HERE, NAME, Place};

#[test]
fn each_frame_has_the_answer_that_the_rfc_gives_it() {
    let place = Place::new(EVERYTHING_HERE);
    let at = |port: u16| format!("{NAME}:{port}");
    let said = place.says("relay_frames.py", &[&at(port::BANNER), &at(port::HOLD)]);
    let (count, rest) = said.trim_end().rsplit_once('\n').map_or((said.trim_end(), ""), |(a, b)| (b, a));
    assert_eq!(rest, "", "each of these is another answer");
    assert!(count.ends_with(" cases"), "{said}");
    place.is_served();
}
