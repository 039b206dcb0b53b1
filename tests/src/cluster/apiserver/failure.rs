//! What the API server answers when it does not do what was asked: the `Status` object of `meta/v1`.

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::store::Resource;

/// A refusal; its texts are the API server's.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{code} {reason}: {message}")]
pub struct Failure {
    /// The HTTP status code.
    pub code: u16,
    /// `status.reason`.
    pub reason: &'static str,
    /// `status.message`.
    pub message: String,
    details: Map<String, Value>,
}

/// Why a field is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The field as `involvedObject.namespace`.
    pub field: &'static str,
    /// `FieldValueInvalid`, `FieldValueRequired`, …
    pub reason: &'static str,
    /// What is wrong, without the field.
    pub message: String,
}

// === impl Failure ===

impl Failure {
    /// Any code; the reason is the one that the API server gives with it.
    #[must_use]
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        let reason = match code {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            405 => "MethodNotAllowed",
            409 => "Conflict",
            410 => "Expired",
            413 => "RequestEntityTooLarge",
            415 => "UnsupportedMediaType",
            422 => "Invalid",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "",
        };
        Self { code, reason, message: message.into(), details: Map::new() }
    }

    /// 404 for an object.
    #[must_use]
    pub fn not_found(resource: Resource, name: &str) -> Self {
        Self::new(404, format!("{} \"{name}\" not found", resource.plural())).about(resource, name)
    }

    /// 409 for an object that is there already.
    #[must_use]
    pub fn already_exists(resource: Resource, name: &str) -> Self {
        let failure = Self::new(409, format!("{} \"{name}\" already exists", resource.plural())).about(resource, name);
        Self { reason: "AlreadyExists", ..failure }
    }

    /// 409 for an object that was changed meanwhile.
    #[must_use]
    pub fn conflict(resource: Resource, name: &str) -> Self {
        Self::new(
            409,
            format!(
                "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your \
                 changes to the latest version and try again",
                resource.plural()
            ),
        )
        .about(resource, name)
    }

    /// 422 with its causes.
    #[must_use]
    pub fn invalid(resource: Resource, name: &str, causes: &[Cause]) -> Self {
        let each: Vec<_> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let all = if each.len() == 1 { each.concat() } else { format!("[{}]", each.join(", ")) };
        let mut failure =
            Self::new(422, format!("{} \"{name}\" is invalid: {all}", resource.kind())).about(resource, name);
        // This one answer names the kind, not the resource.
        failure.details.insert("kind".to_owned(), resource.kind().into());
        let causes = causes.iter().map(Cause::to_json).collect();
        failure.details.insert("causes".to_owned(), Value::Array(causes));
        failure
    }

    /// 403 for an object or a whole resource (empty name).
    #[must_use]
    pub fn forbidden(resource: &str, name: &str, why: &str) -> Self {
        let what = if name.is_empty() { resource.to_owned() } else { format!("{resource} \"{name}\"") };
        let mut failure = Self::new(403, format!("{what} is forbidden: {why}"));
        if !name.is_empty() {
            failure.details.insert("name".to_owned(), name.into());
        }
        failure.details.insert("kind".to_owned(), resource.into());
        failure
    }

    /// Says after how many seconds the client may come again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.details.insert("retryAfterSeconds".to_owned(), seconds.into());
        self
    }

    /// The `Status` object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if !self.details.is_empty() {
            status["details"] = Value::Object(self.details.clone());
        }
        status
    }

    fn about(mut self, resource: Resource, name: &str) -> Self {
        self.details.insert("name".to_owned(), name.into());
        self.details.insert("kind".to_owned(), resource.plural().into());
        self
    }
}

// === impl Cause ===

impl Cause {
    /// A field whose value is not allowed.
    #[must_use]
    pub fn invalid(field: &'static str, value: &str, why: &str) -> Self {
        Self { field, reason: "FieldValueInvalid", message: format!("Invalid value: {value:?}: {why}") }
    }

    /// A field that must be there.
    #[must_use]
    pub fn required(field: &'static str) -> Self {
        Self { field, reason: "FieldValueRequired", message: "Required value".to_owned() }
    }

    fn to_json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}
