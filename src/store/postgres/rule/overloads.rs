//! Which of several functions of one name a rule calls.

use diesel::prelude::*;
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, SimpleAsyncConnection, TransactionManager,
};

use super::catalogue::{self, Catalogue};
use super::dialect::Compiler;
use super::functions::Function;
use crate::rule::{HandOn, Rule, bare_name};
use crate::store::rule::{Bind, HandedRows, Handing, Template, identifier, table_name};

/// The catalogue of a rule, with one function for each part that calls one.
pub(super) async fn read(conn: &mut AsyncPgConnection, rule: &Rule) -> QueryResult<Catalogue> {
    let mut catalogue = catalogue::read(conn, rule).await?;
    choose(conn, rule, &mut catalogue).await?;
    Ok(catalogue)
}

/// Leaves one of several functions: the first whose call Postgres accepts, if it can without casts
/// of the host's values.
async fn choose(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    catalogue: &mut Catalogue,
) -> QueryResult<()> {
    for (number, (hand_on, table)) in named(rule).into_iter().enumerate() {
        let found = catalogue.functions.get(&number);
        let Some(all) = found.filter(|all| all.len() > 1).cloned() else {
            continue;
        };
        let mut accepted = None;
        let casts = all.iter().map(|one| (false, one));
        let casts: Vec<_> = casts.chain(all.iter().map(|one| (true, one))).collect();
        for (casts, one) in casts {
            let function = Function {
                casts,
                ..one.clone()
            };
            catalogue.functions.insert(number, vec![function]);
            let Some(call) = call(rule, catalogue, hand_on, table) else {
                continue;
            };
            if accepts(conn, &call).await? {
                accepted = catalogue.functions.remove(&number);
                break;
            }
        }
        catalogue.functions.insert(number, accepted.unwrap_or(all));
    }
    Ok(())
}

/// The parts that hand on, with the tables whose rows they hand on.
fn named(rule: &Rule) -> Vec<(&HandOn, &str)> {
    let mut all: Vec<(&HandOn, &str)> = Vec::new();
    all.extend(rule.hand_on.iter().map(|part| (part, &*rule.table)));
    for children in rule.children() {
        all.extend(children.hand_on.iter().map(|part| (part, &*children.table)));
    }
    all
}

/// A call for each row of a table, if the part can be compiled.
fn call(rule: &Rule, catalogue: &Catalogue, hand_on: &HandOn, table: &str) -> Option<String> {
    let of = identifier(bare_name(table));
    let handed = HandedRows {
        from: &format!("FROM {} AS {of}", table_name(table)),
        of: &of,
        table,
        key: "''::text".to_owned(),
        is_unique: true,
    };
    let mut compiler = Compiler::new(rule, catalogue, false, false);
    match compiler.handed_on(hand_on, &handed)? {
        Handing::Call { call, .. } => Some(Template::new(&call).inline(|_| Bind::Null)),
        Handing::Insert(_) => None,
    }
}

/// Whether the database takes a statement, without running it.
async fn accepts(conn: &mut AsyncPgConnection, statement: &str) -> QueryResult<bool> {
    // An error would fail the transaction.
    AnsiTransactionManager::begin_transaction(conn).await?;
    let explained = conn.batch_execute(&format!("EXPLAIN {statement}")).await;
    AnsiTransactionManager::rollback_transaction(conn).await?;
    Ok(explained.is_ok())
}
