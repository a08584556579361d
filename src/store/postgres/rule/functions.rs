//! The functions that a rule calls.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Integer, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::rule::{HandOn, Rule, Target, split_name};

/// One of the functions of a name.
#[derive(Debug, Clone, QueryableByName)]
pub(super) struct Function {
    #[diesel(sql_type = Array<Text>)]
    pub(super) names: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    pub(super) types: Vec<String>,
    /// How many arguments, the last ones, have a default.
    #[diesel(sql_type = Integer)]
    pub(super) defaults: i32,
    /// Whether Postgres leaves out its call for NULL.
    #[diesel(sql_type = Bool)]
    pub(super) is_strict: bool,
    /// Whether values of the host's types are cast to those of the arguments.
    #[diesel(sql_type = Bool)]
    pub(super) casts: bool,
}

impl Function {
    pub(super) fn argument(&self, name: &str) -> Option<&str> {
        let place = self.names.iter().position(|own| own == name)?;
        self.types.get(place).map(String::as_str)
    }

    /// Whether it can be called with these arguments, and no others, as far as their names say.
    fn takes(&self, hand_on: &HandOn) -> bool {
        let optional = usize::try_from(self.defaults).unwrap_or(0);
        let needed = self.names.len().saturating_sub(optional);
        let mut given = hand_on.columns.keys();
        given.all(|name| self.argument(name).is_some())
            && self.names[..needed]
                .iter()
                .all(|name| hand_on.columns.contains_key(name))
    }
}

/// The functions that each part of a rule may call. Empty for a part whose arguments none takes.
pub(super) async fn read(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
) -> QueryResult<BTreeMap<usize, Vec<Function>>> {
    let mut functions = BTreeMap::new();
    for (number, hand_on) in rule.handings().collect::<Vec<_>>().into_iter().enumerate() {
        let Target::Function(name) = &hand_on.to else {
            continue;
        };
        let (schema, bare) = split_name(name);
        let mut found: Vec<Function> = diesel::sql_query(FUNCTIONS)
            .bind::<Text, _>(schema.unwrap_or(""))
            .bind::<Text, _>(bare)
            .load(conn)
            .await?;
        if !found.is_empty() {
            found.retain(|function| function.takes(hand_on));
            functions.insert(number, found);
        }
    }
    Ok(functions)
}

const FUNCTIONS: &str = "
    select array(select coalesce(p.proargnames[place], '') from generate_series(1, greatest(p.pronargs, cardinality(p.proargmodes))) as place
            where p.proargmodes is null or p.proargmodes[place] in ('i', 'b', 'v') order by place) as names,
        array(select format_type(type, null) from unnest(p.proargtypes) with ordinality as a(type, place) order by place) as types,
        p.pronargdefaults::int as defaults, p.proisstrict as is_strict, true as casts
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where p.proname = $2 and case when $1 = '' then pg_function_is_visible(p.oid) else n.nspname = $1 end
        and p.prokind = 'f' and has_function_privilege(p.oid, 'execute') order by p.oid";
