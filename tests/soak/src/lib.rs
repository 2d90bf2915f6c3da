//! A soak: many PUTs and DELETEs through the release binaries under faults of every kind, and the
//! account of each.
//!
//! [`rig`] is the service without an emulator, for whoever wants to drive it. On top of it
//! [`plan`] says what the clients of one resource do, [`client`] does it and writes down what
//! it hears, [`check`] reads these [`record`]s, and [`run`] does it for many resources while
//! processes die and wires are cut.
//!
//! A seed fixes the plans: who sends what, and how likely which fault is. It does not fix
//! how the processes and the calls take turns, so a finding may need several runs to come
//! again.

pub mod check;
pub mod client;
pub mod plan;
pub mod record;
pub mod rig;
pub mod run;
pub mod served;
