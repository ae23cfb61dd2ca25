//! tmp
pub mod processes;
pub mod readiness;
pub mod static_origin;
pub mod watch;
pub mod output {
    pub fn edge_line(_: &str, _: &str) {}
}
