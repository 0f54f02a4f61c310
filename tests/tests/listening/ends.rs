//! Listeners that end, that survive, and that are refused.
