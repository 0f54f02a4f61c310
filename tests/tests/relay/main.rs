//! The relay, asked by programs that other people wrote: curl over HTTP/1.1, nghttpx over HTTP/2, and, for what no
//! decent client says, scripts over Python's ssl and h2.
//!
//! # Layout
//!
//! | file | is |
//! | --- | --- |
//! | `place` | a world with servers and a relay, and its clients |
//! | `serving` | what is served: names, errors, large transfers, ends and cuts |
//! | `who` | who is not: keys, versions of TLS, captured and changed bytes |
//! | `nobody` | nothing is done before it is known who asks |
//! | `tokens` | who has a token, and who has none |
//! | `where_to` | rules, special addresses, limits, and what is written down |
//! | `datagrams` | connect-udp |
//! | `floods` | half-open connections, streams that are not read, frames without end |
//! | `frames` | what RFC 9113 and RFC 7541 say of each frame |
//! | `life` | keys made and refused, reload, an inherited socket, the end |
//! | `fleet` | several relays that share their files, behind HAProxy |

mod datagrams;
mod fleet;
mod floods;
mod frames;
mod life;
mod nobody;
mod place;
mod serving;
mod tokens;
mod where_to;
mod who;
