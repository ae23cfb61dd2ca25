//! What becomes of a Distribution, stage by stage.
//!
//! ```text
//!   text ── manifest ──▶ Document ─ ─ ▶ Gathered ── validate ──▶ Validated { EdgeConfig proven by Plan::compile, … }
//!                                                   │
//!                                                   ├─ schema             the value against the generated definition
//!                                                   ├─ CEL                the definition's own rules
//!                                                   ├─ validate/references  what one field says about another
//!                                                   └─ translate          the edge's words, then the edge's compiler
//! ```
//!
//! Everything here is pure: it reads no file, no clock and no cluster.

pub mod manifest;

pub mod gather;

pub mod managed_policies;
pub mod schema;
pub mod translate;
pub mod validate;

pub mod build;

pub mod status;
