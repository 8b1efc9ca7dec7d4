//! Problems: what exchanges and connections that went wrong have in common.
//!
//! ```text
//! exchange, connection ──► sorted ──► cell ──► problem
//!                           sorting    cells    told
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `model` | what a problem is |
//! | `sorting` | which kind of problem an exchange or a connection shows, and by which figure |
//! | `cells` | counts of those that agree in everything, in bounded memory, to be merged and sent |
//! | `told` | the cells put together to problems, worst first |
//!
//! An exchange counts in one problem at most: the most telling.

mod cells;
mod model;
mod sorting;
mod told;

pub(super) use cells::Problems;
pub use cells::{CellRow, Totals};
pub use model::{Example, MAX_PROBLEMS, Problem, ProblemKind, Recurring, Severity};
pub(crate) use sorting::{FULL, LARGE, RESET, SLOW, UNANSWERED, shown_by};
pub(super) use told::Context;

#[cfg(test)]
mod tests;
