//! The messages of `runtime.v1`, with the fields that are read; other fields are skipped.

/// `VersionRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct VersionRequest {
    /// The version of CRI that the kubelet implements; runtimes ignore it.
    #[prost(string, tag = "1")]
    pub(super) version: String,
}

/// `VersionResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct VersionResponse {
    #[prost(string, tag = "2")]
    pub(super) runtime_name: String,
}

/// `StatusRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StatusRequest {
    #[prost(bool, tag = "1")]
    pub(super) verbose: bool,
}

/// `StatusResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<RuntimeStatus>,
}

/// `RuntimeStatus`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RuntimeStatus {
    #[prost(message, repeated, tag = "1")]
    pub(super) conditions: Vec<RuntimeCondition>,
}

/// `RuntimeCondition`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct RuntimeCondition {
    #[prost(string, tag = "1")]
    pub(super) r#type: String,
    #[prost(bool, tag = "2")]
    pub(super) status: bool,
    #[prost(string, tag = "3")]
    pub(super) reason: String,
    #[prost(string, tag = "4")]
    pub(super) message: String,
}
