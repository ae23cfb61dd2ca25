//! Sans-I/O heart of the Proxima edge: everything that decides, and nothing that does.
//!
//! No module here opens a socket, reads a clock or spawns a task. Time is a parameter. So every decision about a request
//! can be tested with literal input, and the operator can ask the same code what an edge would do.

pub mod edge_config;
pub mod limits;
pub mod link;
pub mod plan;
