//! Both worlds: the same C program runs natively and under underpass, for blocking and
//! non-blocking sockets, over IPv4, IPv6 and IPv4-mapped addresses, and both must write the same
//! transcript of return values, errno, events and addresses. A known difference stands in the
//! test with its reason, and fails the test when it no longer occurs.

mod connect;
mod datagrams;
mod failures;
mod names;
mod other_ways;
mod passed;
mod processes;
mod refused;
mod streams;
mod surroundings;
mod waiting;
mod worlds;
