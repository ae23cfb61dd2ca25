//! Sans-I/O heart of the Proxima edge: everything that decides, and nothing that does.
//!
//! No module here opens a socket, reads a clock or spawns a task. Time is a parameter. So every decision about a request
//! can be tested with literal input, and the operator can ask the same code what an edge would do.
//!
//! A request passes through the modules in this order:
//! [`framing`] → [`request`] → [`route`] → [`admit`] → [`key`] → (lookup) → [`decide`] → [`collapse`] → [`origin_request`] → (fetch) →
//! [`storable`] or [`validation`] → [`part`] ([`conditional`], [`range`]) → [`respond`] → [`access_log`]. An unsafe request
//! leads to [`invalidation`] instead of storage.

#![deny(missing_docs)]

pub mod edge_config;
pub mod link;

pub mod path_pattern;
pub mod plan;

pub mod access_log;
pub mod admit;
pub mod cache_control;
pub mod cache_status;
pub mod collapse;
pub mod conditional;
mod credentials;
pub mod decide;
pub mod entry;
pub mod framing;
pub mod freshness;
pub mod invalidation;
pub mod key;
pub mod origin_request;
pub mod part;
pub mod range;
pub mod request;
pub mod respond;
pub mod route;
mod selection;
pub mod storable;
mod structured_field;
pub mod validation;

#[cfg(test)]
mod fixture;

pub mod limits;
pub mod outcome;
pub mod timestamp;
