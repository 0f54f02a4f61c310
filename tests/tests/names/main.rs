//! The resolver functions in both worlds: the same calls natively against a real resolver (dnsmasq), and
//! redirected, must give the same, call by call, and not a packet may go elsewhere than to the proxy.

mod addresses;
mod asynchronous;
mod both;
mod daemons;
mod exit;
mod guests;
mod hosts;
mod queries;
mod resolvers;
