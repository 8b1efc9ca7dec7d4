//! The command line of `kubectl meshsniff`.
//!
//! | here | holds |
//! |---|---|
//! | `root` | the commands, and what becomes of what they return |
//! | `report` | `report`: of captures, of targets in a cluster, of this machine |
//! | `compare` | `compare`: two captures or reports read, and held against each other |
//! | `capture` | the command without a name: packets to Wireshark, a file or a pipe |
//! | `annotate` | `annotate`: a capture with the verdicts as packet comments |
//! | `follow` | `follow`: one conversation as text |
//! | `cleanup` | what old runs left in a cluster |
//! | `doctor` | what would fail in a cluster |
//! | `rbac` | the rights that a capture takes, as YAML |
//! | `image` | `image`: the agent's image, of what the plugin carries |
//! | `completion` | what a shell and kubectl complete |
//! | `help` | short help that fits what packets come from |
//! | `meant` | the next step for what was typed wrong |
//! | `typed` | words told apart without checking them |
//! | `dry_run` | what a capture would make, printed |
//! | `options`, `packets`, `cluster`, `output` | options that several commands share |
//! | `analysis` | captures read into a report, with a bar or a live view |
//! | `formats` | the formats of a report behind one type |
//! | `files` | files that are written as a whole |
//! | `watch` | `report --live`: its terminal and its keys |
//! | `progress` | the bar on stderr |
//! | `held` | a report that waits for something to report |
//! | `local` | a capture on this machine, through the agent |
//! | `sink` | where the streams of targets are put |
//! | `names` | names for addresses |
//! | `bpf` | whether a capture filter compiles |
//! | `wireshark` | finding and starting Wireshark |
//! | `done` | what comes of a command, and its exit status |
//!
//! stdout is data, stderr is talk. Exit status: 0 the report was made, 1 an error, 2 wrong usage, 3
//! an assertion failed.

mod analysis;
mod annotate;
mod bpf;
mod capture;
mod cleanup;
mod cluster;
mod compare;
mod completion;
mod doctor;
mod done;
mod dry_run;
mod files;
mod follow;
mod formats;
mod held;
mod help;
mod image;
mod local;
mod meant;
mod names;
mod options;
mod output;
mod packets;
mod progress;
mod rbac;
mod report;
mod root;
mod sink;
mod typed;
mod watch;
mod wireshark;

pub use root::main;
