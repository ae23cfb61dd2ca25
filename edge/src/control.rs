//! Placeholder for the control port.
