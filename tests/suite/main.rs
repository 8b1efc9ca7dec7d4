//! Tests of the analyser as a whole, on conversations made by hand and on the captures in `testdata-pcaps`.

mod conversations;
mod corpus;
mod fuzz_regressions;
mod missing_frames;
mod reassembly_model;
mod scenarios;
mod talk;
