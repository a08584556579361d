//! The OpenAPI document: schemas from the types of the answers, paths from the operations.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::Schema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value, json};

use super::operation::Operation;
use super::operations;
use crate::web::problem::{ProblemJson, may_retry};

/// Serves the document.
pub(super) async fn document() -> Response {
    let kind = [(header::CONTENT_TYPE, "application/openapi+json;version=3.1")];
    (kind, build().to_string()).into_response()
}

/// Builds the document.
fn build() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .with_transform(RecursiveTransform(describe_plainly))
        .with_transform(RecursiveTransform(list_constants));
    let mut answers = settings.clone().for_serialize().into_generator();
    let mut requests = settings
        .with(|settings| settings.inline_subschemas = true)
        .for_deserialize()
        .into_generator();
    let problem = answers.subschema_for::<ProblemJson<'_>>();
    let mut paths = Map::new();
    for operation in operations::all() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = of_operation(&operation, &problem, &mut answers, &mut requests);
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Housekeeper",
            "version": "1",
            "summary": "Watches and steers the jobs of a housekeeper.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        // Relative to this document, so it is right wherever the host nests the router.
        "servers": [{ "url": "." }],
        "paths": paths,
        "components": { "schemas": answers.take_definitions(true) },
    });
    leave_out_null(&mut document);
    document
}

fn of_operation(
    operation: &Operation,
    problem: &Schema,
    answers: &mut SchemaGenerator,
    requests: &mut SchemaGenerator,
) -> Value {
    let mut responses = Map::new();
    for answer in &operation.answers {
        let schema = (answer.schema)(answers);
        let mut response = json!({
            "description": answer.meaning,
            "content": { "application/json": { "schema": schema } },
        });
        if answer.location {
            response["headers"] = json!({
                "Location": {
                    "description": "Where to look, relative to the request.",
                    "schema": { "type": "string", "format": "uri-reference" },
                },
            });
        }
        responses.insert(answer.status.to_string(), response);
    }
    let problems = operation.problems.iter().chain(&MISDIRECTED);
    for status in problems.filter_map(|status| StatusCode::from_u16(*status).ok()) {
        let mut response = json!({
            "description": status.canonical_reason().unwrap_or("Problem"),
            "content": { "application/problem+json": { "schema": problem } },
        });
        if may_retry(status) {
            response["headers"] = json!({
                "Retry-After": {
                    "description": "Seconds until a retry may succeed.",
                    "schema": { "type": "integer" },
                },
            });
        }
        responses.insert(status.as_str().to_owned(), response);
    }
    let mut parameters = path_parameters(operation.path);
    if let Some(query) = operation.query {
        parameters.extend(query_parameters(query(requests)));
    }
    let mut described = json!({
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(body) = operation.body {
        described["requestBody"] = json!({
            "required": operation.needs_body,
            "content": { "application/json": {
                "schema": body(requests),
                "example": operation.body_example,
            } },
        });
    }
    described
}

/// The parameters that a path names.
fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('{').skip(1);
    let names = names.filter_map(|rest| Some(rest.split_once('}')?.0));
    names
        .map(|name| {
            let (description, schema, example) = match name {
                "run" => (
                    "The id of a run.",
                    json!({ "type": "string", "format": "uuid" }),
                    "0198c0de-0000-7000-8000-000000000000",
                ),
                "rule" => (
                    "The name of a rule that hands on.",
                    json!({ "type": "string", "minLength": 1 }),
                    "order-mails",
                ),
                _ => (
                    "The name of a job.",
                    json!({ "type": "string", "minLength": 1 }),
                    "draft-sweeper",
                ),
            };
            json!({
                "name": name, "in": "path", "required": true,
                "description": description, "schema": schema, "example": example,
            })
        })
        .collect()
}

/// The members of an object as parameters behind the question mark.
fn query_parameters(schema: Schema) -> Vec<Value> {
    let mut schema = schema.to_value();
    let members = schema["properties"].take();
    let Value::Object(members) = members else {
        return Vec::new();
    };
    let described = members.into_iter().map(|(name, mut schema)| {
        let description = schema
            .as_object_mut()
            .and_then(|schema| schema.remove("description"));
        // A query cannot say null: it leaves the parameter out.
        if let Value::Array(kinds) = &mut schema["type"] {
            kinds.retain(|kind| kind != "null");
            if let [kind] = kinds.as_slice() {
                schema["type"] = kind.clone();
            }
        }
        json!({
            "name": name,
            "in": "query",
            "required": false,
            // Lists are separated by commas.
            "explode": false,
            "description": description.unwrap_or_default(),
            "schema": schema,
        })
    });
    described.collect()
}

/// Takes the links of Rust's documentation out of a description: their targets are paths of items.
fn describe_plainly(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = without_links(text);
    }
}

/// Takes out each default of null, which not every type allows, and which leaving out means anyway.
fn leave_out_null(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.get("default").is_some_and(Value::is_null) {
                members.remove("default");
            }
            members.values_mut().for_each(leave_out_null);
        }
        Value::Array(values) => values.iter_mut().for_each(leave_out_null),
        _ => {}
    }
}

/// Writes a choice of constants as an enumeration, which generators of clients read better.
fn list_constants(schema: &mut Schema) {
    let Some(Value::Array(choices)) = schema.get("oneOf") else {
        return;
    };
    let constants: Option<Vec<Value>> = choices
        .iter()
        .map(|choice| {
            choice
                .get("const")
                .filter(|constant| constant.is_string())
                .cloned()
        })
        .collect();
    let Some(constants) = constants else {
        return;
    };
    schema.remove("oneOf");
    schema.insert("type".to_owned(), json!("string"));
    schema.insert("enum".to_owned(), Value::Array(constants));
}

/// Writes ``[`Health`](crate::Health)`` and ``[`Health`]`` as `` `Health` ``.
fn without_links(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        plain.push_str(before);
        let Some((label, after)) = link.split_once(']') else {
            plain.push('[');
            rest = link;
            continue;
        };
        plain.push_str(label);
        rest = match after
            .strip_prefix('(')
            .and_then(|target| target.split_once(')'))
        {
            Some((_, after)) => after,
            None => after,
        };
    }
    plain + rest
}

/// Each operation refuses names that the host does not list.
const MISDIRECTED: [u16; 1] = [StatusCode::MISDIRECTED_REQUEST.as_u16()];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_hold_no_links() {
        let table = [
            ("plain", "plain"),
            (
                "the [`Health`](crate::Health), as [`Report`] says",
                "the `Health`, as `Report` says",
            ),
            ("an open [bracket", "an open [bracket"),
        ];

        for (text, expected) in table {
            assert_eq!(without_links(text), expected);
        }
    }

    #[test]
    fn each_path_has_the_parameters_that_it_names() {
        assert_eq!(path_parameters("/status"), Vec::<Value>::new());
        assert_eq!(path_parameters("/jobs/{job}/x/{run}").len(), 2);
    }
}
