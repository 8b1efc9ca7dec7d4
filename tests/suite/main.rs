//! Tests of the analyser as a whole, on conversations made by hand and on the captures in
//! `testdata-pcaps`.

#![allow(
    unreachable_pub,
    reason = "nothing is reachable from outside of a test"
)]

mod cli;
mod conversations;
mod corpus;
mod envoy_logs;
mod fuzz_regressions;
mod house;
mod missing_frames;
mod odd_traffic;
mod readme;
mod reassembly_model;
mod relay;
mod scenarios;
mod stream_truth;
mod streams;
mod tls_inside;
mod tls_truth;
mod tools;
mod truth;
mod websocket_truth;
