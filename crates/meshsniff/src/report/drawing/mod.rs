//! The whole capture as one drawing: what the page, the terminal and nobody else draws.
//!
//! ```text
//! exchange, connection, lost packets ──► gathered ──► drawing ──► page, terminal
//!                                        gather       model
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `class` | kinds of verdicts that look alike |
//! | `cells` | many exchanges as cells of time and wait, coarser the more there are |
//! | `bars` | connections as bars, the most telling ones |
//! | `gather` | all of it while a capture is read, in bounded memory |
//! | `model` | what is to be drawn, at the end |
//! | `axis` | decades of waits, and round figures of time |
//!
//! A dot is an exchange, as long as there are few of its class. Then the class becomes cells: a
//! length of time, a tenth of a decade of the wait, and a count. When there are too many cells, those
//! of two neighbours in time become one. So a drawing of millions takes no more room than one of
//! thousands. What a target only counted has no time, and is not drawn: that is said.
//!
//! It is drawn by our own code, 24 kB of script. uPlot 1.6.32 (MIT, 51 kB) was weighed: it draws
//! series of lines on a canvas, and of what is needed here it lacks cells, bars of connections, a
//! picture without a script, names for a screen reader and picking by keyboard. What it would save
//! are axes and a zoom.

mod axis;
mod bars;
mod cells;
mod class;
mod gather;
mod model;

pub(super) use axis::{Decades, ticks};
pub(super) use bars::Bar;
pub(super) use cells::PER_DECADE;
pub(super) use class::Class;
pub(super) use gather::Gathering;
pub(super) use model::{Drawing, Mark, MarkKind};

#[cfg(test)]
mod tests;
