//! The outside, as traits: what the loops need from a store, a broker, an election and a clock.
