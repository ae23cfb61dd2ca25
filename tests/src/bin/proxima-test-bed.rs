//! A process that holds a test bed, for tests of what happens when a test process dies: prints the bed's folder once the
//! bed is up, and waits for the end of standard input.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::io::Read;

use proxima_tests::ControlPlane;

fn main() {
    let plane = ControlPlane::start();
    println!("{}", plane.folder().display());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
