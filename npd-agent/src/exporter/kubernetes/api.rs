//! Requests to the API server: which server and as whom, the few calls, and what is read and written.

pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod node;
pub(crate) mod pods;
pub(crate) mod server;
