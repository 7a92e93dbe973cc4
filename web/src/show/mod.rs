//! Parts of pages: times, states, and drawings whose axis is time. Values in, shapes out; the markup is in templates.

pub(crate) mod axis;
pub(crate) mod day;
pub(crate) mod home;
pub(crate) mod look;
pub(crate) mod rota;
pub(crate) mod runs;
pub(crate) mod slots;
pub(crate) mod strip;
pub(crate) mod time;
