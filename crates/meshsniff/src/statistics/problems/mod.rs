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
//! | `counts`, `cell` | what is counted of those that agree in everything, and sent |
//! | `record` | what one of them added, for when it has to be taken out |
//! | `cells` | all cells, in bounded memory |
//! | `behind` | whom a proxy waited for, by time alone |
//! | `told` | the cells put together to problems, worst first |
//!
//! An exchange counts in one problem at most: the most telling.

mod behind;
mod cell;
mod cells;
mod counts;
mod model;
mod record;
mod sorting;
mod told;

pub use behind::{Behind, BehindKind};
pub use cell::CellRow;
pub(super) use cells::Problems;
pub use cells::Totals;
pub use model::{Example, MAX_PROBLEMS, Problem, ProblemKind, Readings, Recurring, Severity};
pub(crate) use sorting::{FULL, LARGE, QUEUE, RESET, SLOW, UNANSWERED, is_timeout, shown_by};
pub(super) use told::Context;

#[cfg(test)]
mod tests;
