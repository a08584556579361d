//! One operation of the API: its route, and its part of the OpenAPI document.

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::web::site::Site;

/// A request that the API answers.
pub(super) struct Operation {
    pub(super) method: &'static str,
    /// Below the root of the API, with parameters as `{name}`.
    pub(super) path: &'static str,
    /// The name of the function in a generated client.
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) handler: MethodRouter<Arc<Site>>,
    /// Whether it needs actions to be enabled.
    pub(super) acts: bool,
    pub(super) query: Option<SchemaOf>,
    pub(super) body: Option<SchemaOf>,
    pub(super) body_example: Value,
    /// Whether a request needs its body.
    pub(super) needs_body: bool,
    pub(super) answers: Vec<Answer>,
    /// Statuses of its problems.
    pub(super) problems: &'static [u16],
}

/// An answer that is no problem.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) meaning: &'static str,
    pub(super) schema: SchemaOf,
    /// Whether a `Location` says where the result will be.
    pub(super) location: bool,
}

pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

impl Operation {
    /// An operation that reads and answers 200 with a `T`.
    pub(super) fn read<T: JsonSchema, H: Handler<P, Arc<Site>>, P: 'static>(
        path: &'static str,
        name: &'static str,
        summary: &'static str,
        handler: H,
    ) -> Self {
        Self::new::<T>("get", path, name, summary, get(handler))
    }

    /// An operation that changes something and answers 200 with a `T`.
    pub(super) fn act<T: JsonSchema, H: Handler<P, Arc<Site>>, P: 'static>(
        path: &'static str,
        name: &'static str,
        summary: &'static str,
        handler: H,
    ) -> Self {
        Self {
            acts: true,
            ..Self::new::<T>("post", path, name, summary, post(handler))
        }
    }

    fn new<T: JsonSchema>(
        method: &'static str,
        path: &'static str,
        name: &'static str,
        summary: &'static str,
        handler: MethodRouter<Arc<Site>>,
    ) -> Self {
        Self {
            method,
            path,
            name,
            summary,
            handler,
            acts: false,
            query: None,
            body: None,
            body_example: Value::Null,
            needs_body: false,
            answers: vec![Answer {
                status: 200,
                meaning: "The answer.",
                schema: SchemaGenerator::subschema_for::<T>,
                location: false,
            }],
            problems: &[],
        }
    }

    /// Takes the fields of `Q` as parameters behind the question mark.
    pub(super) fn query<Q: JsonSchema>(mut self) -> Self {
        self.query = Some(SchemaGenerator::subschema_for::<Q>);
        self
    }

    /// Takes a `B` such as the example as body, which may be absent.
    pub(super) fn body<B: JsonSchema>(mut self, example: Value) -> Self {
        self.body = Some(SchemaGenerator::subschema_for::<B>);
        self.body_example = example;
        self
    }

    /// Takes a `B` such as the example as body.
    pub(super) fn required_body<B: JsonSchema>(self, example: Value) -> Self {
        Self {
            needs_body: true,
            ..self.body::<B>(example)
        }
    }

    /// May answer 202 with a `T` while its work goes on, and a `Location` of the result.
    pub(super) fn accepted<T: JsonSchema>(mut self, meaning: &'static str) -> Self {
        self.answers.push(Answer {
            status: 202,
            meaning,
            schema: SchemaGenerator::subschema_for::<T>,
            location: true,
        });
        self
    }

    /// May answer with problems of these statuses.
    pub(super) fn problems(mut self, statuses: &'static [u16]) -> Self {
        self.problems = statuses;
        self
    }
}
