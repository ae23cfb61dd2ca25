//! What becomes of a Distribution, stage by stage.
//!
//! ```text
//!   text ── gather, manifest ──▶ Gathered ── validate ──▶ Validated { EdgeConfig proven by Plan::compile, … }
//!                                              │                │
//!                                              │                └── build ──▶ Desired ── applied elsewhere ──▶ status
//!                                              ├─ schema      the value against the generated definition
//!                                              ├─ rules       the definition's own CEL rules
//!                                              ├─ references  what one field says about another
//!                                              └─ translate   the edge's words, then the edge's own compiler
//! ```
//!
//! All but `gather`, which reads files, is pure: no file, no clock, no cluster.

pub mod manifest;

pub mod gather;

pub mod managed_policies;
pub mod references;
pub mod schema;
pub mod sizing;
pub mod translate;
pub mod validate;

pub mod build;

pub mod status;
