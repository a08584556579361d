//! The OpenAPI document, and whether the answers fit it.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use jsonschema::Validator;
use ractor_housekeeper::Scope;
use ractor_housekeeper::config::Schedule;
use ractor_housekeeper::model::Event;
use ractor_housekeeper::testing::{Fault, Gate, MemoryOutbox, Step, next_event};
use ractor_housekeeper::web::Web;
use serde_json::{Value, json};

use crate::support::host::{Host, minutes, seconds};
use crate::web::couriers::{park, with_courier};
use crate::web::visitor::{Answer, Visitor, host, setup};

/// The document, and what of it was seen.
struct Contract {
    document: Value,
    /// Statuses seen, by operation.
    seen: BTreeMap<String, BTreeSet<u16>>,
}

impl Contract {
    async fn read(visitor: &Visitor) -> Self {
        let document = visitor.get("/api/v1/openapi.json").await;
        let kind = document.header("content-type");
        assert_eq!(kind, "application/openapi+json;version=3.1");
        Self {
            document: document.json(),
            seen: BTreeMap::new(),
        }
    }

    /// The names of all operations, by method and path.
    fn operations(&self) -> BTreeMap<(String, String), String> {
        let paths = self.document["paths"].as_object().expect("paths");
        let operations = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods");
            methods.iter().map(move |(method, operation)| {
                let name = operation["operationId"].as_str().expect("a name");
                ((method.clone(), path.clone()), name.to_owned())
            })
        });
        operations.collect()
    }

    /// Statuses that the document has and no answer had, by operation.
    fn unseen(&self) -> BTreeMap<String, BTreeSet<u16>> {
        let unseen = self.operations().into_iter().map(|((method, path), name)| {
            let responses = self.document["paths"][path][method]["responses"].as_object();
            let statuses = responses.expect("responses").keys();
            let seen = self.seen.get(&name).cloned().unwrap_or_default();
            let statuses = statuses.filter_map(|status| status.parse().ok());
            (
                name,
                statuses.filter(|status| !seen.contains(status)).collect(),
            )
        });
        unseen.collect()
    }

    /// Fails unless the document allows this answer to a request of this operation.
    fn check(&mut self, method: &str, template: &str, answer: &Answer) {
        let status = answer.status.as_u16();
        let response = &self.document["paths"][template][method]["responses"][status.to_string()];
        assert!(
            response.is_object(),
            "{method} {template} answered {status}: {answer:?}"
        );
        let kind = answer.header("content-type");
        let mut schema = response["content"][kind]["schema"].clone();
        assert!(schema.is_object(), "{method} {template} {status}: {kind}");
        schema["components"] = self.document["components"].clone();
        let validator = Validator::new(&schema).expect("is a schema");
        let body = answer.json();
        let errors: Vec<String> = validator
            .iter_errors(&body)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(
            errors.is_empty(),
            "{method} {template}: {errors:?}\n{body:#}"
        );
        for header in ["Location", "Retry-After"] {
            let documented = response["headers"][header].is_object();
            let sent = answer.headers.contains_key(header.to_lowercase());
            assert_eq!(sent, documented, "{method} {template} {status}: {header}");
        }
        let operation = self.operations()[&(method.to_owned(), template.to_owned())].clone();
        self.seen.entry(operation).or_default().insert(status);
    }

    async fn get(&mut self, visitor: &Visitor, template: &str, path: &str) -> Answer {
        let answer = visitor.get(&format!("/api/v1{path}")).await;
        self.check("get", template, &answer);
        answer
    }

    async fn post_json(
        &mut self,
        visitor: &Visitor,
        template: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        let answer = visitor.post_json(&format!("/api/v1{path}"), body).await;
        self.check("post", template, &answer);
        answer
    }

    async fn post(&mut self, visitor: &Visitor, template: &str, path: &str) -> Answer {
        let answer = visitor.post(&format!("/api/v1{path}")).await;
        self.check("post", template, &answer);
        answer
    }
}

#[tokio::test(start_paused = true)]
async fn each_answer_fits_the_document() {
    let (mut setup, outbox) = with_courier(setup(), "booking-expirer");
    setup.config.job.schedule = Schedule {
        at_start: false,
        ..Schedule::default()
    };
    let mut host = setup.start().await;
    let visitor = Visitor::actor(&host);
    let mut contract = Contract::read(&visitor).await;
    let job = "/jobs/booking-expirer";

    // A job before its first run, after a failure, a rejection, a run and a pause, in a run, and
    // after a crash.
    look(&mut contract, &visitor, job).await;
    host.faults
        .once(Step::BeginRun, 1, Fault::Fail("is away".to_owned()));
    contract
        .post(&visitor, "/jobs/{job}/run", &format!("{job}/run"))
        .await;
    look(&mut contract, &visitor, job).await;
    host.add_overdue(3);
    contract
        .post(&visitor, "/jobs/{job}/run", &format!("{job}/run"))
        .await;
    contract.post(&visitor, "/run", "/run").await;
    for action in [
        "pause",
        "resume",
        "cancel",
        "pause-replicas",
        "resume-replicas",
    ] {
        let path = format!("/jobs/{{job}}/{action}");
        contract
            .post(&visitor, &path, &format!("{job}/{action}"))
            .await;
        look(&mut contract, &visitor, job).await;
    }
    host.add_overdue(3);
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 2, Fault::Hold(gate.clone()));
    contract
        .post(&visitor, "/jobs/{job}/run", &format!("{job}/run?wait=1"))
        .await;
    contract.post(&visitor, "/run", "/run?wait=1").await;
    look(&mut contract, &visitor, job).await;
    contract
        .post(&visitor, "/jobs/{job}/cancel", &format!("{job}/cancel"))
        .await;
    gate.open();
    host.run_now(Scope::All).await.expect("a report");
    host.faults.always(Step::BeginRun, Fault::Panic);
    host.run_now(Scope::All).await.expect("a report");
    look(&mut contract, &visitor, job).await;
    tokio::time::sleep(minutes(60)).await;
    look(&mut contract, &visitor, job).await;
    let finished = |news: &Event| matches!(news, Event::RunFinished(_));
    next_event(&mut host.events, finished).await;

    deliver(&mut contract, &mut host, &outbox, &visitor).await;
    refuse(&mut contract, &host, &visitor).await;
    misuse(&mut contract, &host, &visitor).await;
    host.housekeeper.stop(None);
    host.housekeeper
        .wait(Some(seconds(60)))
        .await
        .expect("it stops");
    for ((method, template), _) in contract.operations() {
        let path = path_of(&template);
        match method.as_str() {
            "get" => contract.get(&visitor, &template, &path).await,
            _ if template.starts_with("/couriers") => {
                let all = r#"{"entries":"all"}"#;
                contract.post_json(&visitor, &template, &path, all).await
            }
            _ => contract.post(&visitor, &template, &path).await,
        };
    }

    // The rest needs a database that is away or silent, or many callers.
    let rest = BTreeSet::from([202, 409, 429, 502, 504]);
    for (operation, unseen) in contract.unseen() {
        assert!(
            unseen.is_subset(&rest),
            "{operation}: {unseen:?} was not seen"
        );
    }
}

/// A path of the operation.
fn path_of(template: &str) -> String {
    let path = template.replace("{job}", "booking-expirer");
    let path = path.replace("{rule}", "booking-expirer");
    path.replace("{run}", &uuid::Uuid::nil().to_string())
}

/// Sends each operation a name, a query and a body that are not right.
async fn misuse(contract: &mut Contract, host: &Host, visitor: &Visitor) {
    let web = Web::new(host.housekeeper.clone()).without_previews();
    let reader = Visitor(web.router());
    let large = " ".repeat(20_000);
    for ((word, template), _) in contract.operations() {
        let path = format!("/api/v1{}", path_of(&template));
        let method = Method::from_bytes(word.to_uppercase().as_bytes()).expect("is a method");
        let (ours, none) = ("a.example", "");
        let mut requests = vec![
            (visitor, "evil.example", none, none, none, 421),
            (visitor, ours, "?x=1", none, none, 400),
        ];
        if word == "post" {
            requests.extend([
                (&reader, ours, none, none, none, 403),
                (visitor, ours, none, "text/plain", "all", 415),
                (visitor, ours, none, "application/json", &large, 413),
                (visitor, ours, none, "application/json", "[]", 422),
            ]);
        } else if template.ends_with("/preview") {
            requests.push((&reader, ours, none, none, none, 403));
        }
        for (visitor, name, query, kind, body, status) in requests {
            let kind = [("content-type", kind)];
            let path = format!("{path}{query}");
            let answer = visitor.send_to(name, method.clone(), &path, &kind, body);
            let answer = answer.await;
            assert_eq!(answer.status, status, "{word} {path}: {answer:?}");
            contract.check(&word, &template, &answer);
        }
    }
}

/// Reads everything that can be read.
async fn look(contract: &mut Contract, visitor: &Visitor, job: &str) {
    contract.get(visitor, "/status", "/status").await;
    contract.get(visitor, "/jobs/{job}", job).await;
    contract.get(visitor, "/instances", "/instances").await;
    let history = format!("{job}/history?limit=5");
    contract.get(visitor, "/jobs/{job}/history", &history).await;
    let preview = format!("{job}/preview?size=1");
    contract.get(visitor, "/jobs/{job}/preview", &preview).await;
    let queued = format!("{job}/run?wait=0");
    let run = contract.post(visitor, "/jobs/{job}/run", &queued).await;
    let run = run.json()["run"].as_str().expect("is an id").to_owned();
    for wait in ["", "?wait=1"] {
        let run = format!("/runs/{run}{wait}");
        contract.get(visitor, "/runs/{run}", &run).await;
    }
}

/// Reads and changes parked entries, and asks for some that are not there.
async fn deliver(
    contract: &mut Contract,
    host: &mut Host,
    outbox: &MemoryOutbox,
    visitor: &Visitor,
) {
    let (root, rule) = ("/couriers/{rule}", "booking-expirer");
    outbox.write(rule, "bookings", "good", "{}");
    park(host, outbox, rule, &["b1", "b2"]).await;
    for name in [rule, "other", "%ff"] {
        let path = format!("/couriers/{name}");
        contract.get(visitor, root, &path).await;
        contract.get(visitor, "/status", "/status").await;
        let parked = format!("{root}/parked");
        for query in ["", "?size=1", "?size=1001", "?after=7", "?size=0"] {
            contract
                .get(visitor, &parked, &format!("{path}/parked{query}"))
                .await;
        }
        for (action, body) in [
            ("redeliver", r#"{"entries":{"these":[0]}}"#),
            ("discard", r#"{"entries":{"these":[2]}}"#),
            ("discard", "{}"),
            ("discard", ""),
        ] {
            let template = format!("{root}/{action}");
            let path = format!("{path}/{action}");
            contract.post_json(visitor, &template, &path, body).await;
        }
    }
}

/// Asks for what is refused.
async fn refuse(contract: &mut Contract, host: &Host, visitor: &Visitor) {
    let jobs = "/jobs/{job}";
    contract.get(visitor, jobs, "/jobs/other").await;
    contract.get(visitor, jobs, "/jobs/%ff").await;
    for rest in ["history", "preview"] {
        let template = format!("{jobs}/{rest}");
        for path in ["other", "%ff"] {
            let path = format!("/jobs/{path}/{rest}");
            contract.get(visitor, &template, &path).await;
        }
    }
    for query in [
        "limit=1001",
        "outcome=lost",
        "after=x",
        "from=2026-01-02&until=2026-01-01",
    ] {
        let history = format!("/jobs/booking-expirer/history?{query}");
        contract.get(visitor, "/jobs/{job}/history", &history).await;
    }
    let nil = uuid::Uuid::nil();
    for path in [
        format!("/runs/{nil}"),
        "/runs/x".to_owned(),
        format!("/runs/{nil}?wait=31"),
    ] {
        contract.get(visitor, "/runs/{run}", &path).await;
    }
    let preview = "/jobs/booking-expirer/preview?size=1001";
    contract.get(visitor, "/jobs/{job}/preview", preview).await;
    host.faults
        .once(Step::Preview, 1, Fault::Fail("is away".to_owned()));
    let preview = "/jobs/booking-expirer/preview";
    contract.get(visitor, "/jobs/{job}/preview", preview).await;
    let run = "/jobs/{job}/run";
    for path in [
        "/jobs/other/run",
        "/jobs/%ff/run",
        "/jobs/booking-expirer/run?wait=31",
    ] {
        contract.post(visitor, run, path).await;
    }
    let bodies = [
        ("application/json", r#"{"scope": {"user": "anna"}}"#, 422),
        ("application/json", r#"{"scope": "#, 400),
        ("text/plain", "all", 415),
        ("application/json", &" ".repeat(20_000), 413),
    ];
    for (kind, body, status) in bodies {
        let path = "/api/v1/jobs/booking-expirer/run";
        let kind = [("content-type", kind)];
        let answer = visitor.send(Method::POST, path, &kind, body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        contract.check("post", run, &answer);
    }
    for action in [
        "pause",
        "resume",
        "cancel",
        "pause-replicas",
        "resume-replicas",
    ] {
        let template = format!("{jobs}/{action}");
        contract
            .post(visitor, &template, &format!("/jobs/other/{action}"))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_document_names_only_what_it_defines() {
    let host = host().await;
    let contract = Contract::read(&Visitor::reader(&host)).await;

    let text = contract.document.to_string();
    let schemas = contract.document["components"]["schemas"].as_object();
    let schemas = schemas.expect("schemas");
    for reference in text.split("\"$ref\":\"").skip(1) {
        let reference = reference.split('"').next().unwrap_or_default();
        let name = reference.strip_prefix("#/components/schemas/");
        assert!(
            name.is_some_and(|name| schemas.contains_key(name)),
            "{reference}"
        );
    }
    assert!(!text.contains("crate::"), "a link of Rust's documentation");
    assert!(
        !text.contains(r#""default":null"#),
        "a parameter is never null"
    );
    let trigger = &schemas["Trigger"]["enum"];
    assert_eq!(trigger.as_array().map(Vec::len), Some(5), "{trigger}");
    let names: BTreeSet<String> = contract.operations().into_values().collect();
    assert_eq!(names.len(), contract.operations().len(), "{names:?}");
    assert_eq!(contract.document["openapi"], "3.1.0");
    assert_eq!(contract.document["servers"], json!([{ "url": "." }]));
}

#[tokio::test(start_paused = true)]
async fn durations_are_numbers_with_their_unit_beside_texts() {
    let host = host().await;
    host.add_overdue(1);
    let visitor = Visitor::actor(&host);

    let status = visitor.get("/api/v1/jobs/booking-expirer").await.json();
    let report = visitor
        .post("/api/v1/jobs/booking-expirer/run")
        .await
        .json();
    let later = visitor.get("/api/v1/jobs/booking-expirer").await.json();

    assert_eq!(status["min_interval_ms"], 1_000);
    assert_eq!(status["schedule"]["min_interval"], "1s");
    assert_eq!(status["every_ms"], Value::Null);
    assert_eq!(report["elapsed_ms"], 0);
    assert_eq!(report["forecast"]["max_age_ms"], 900_000);
    assert_eq!(report["forecast"]["max_age"], "15m");
    assert_eq!(later["last"]["forecast"]["next_due_ms"], Value::Null);
    assert_eq!(later["oldest_overdue_ms"], Value::Null);
}
