//! The tables, indexes and triggers that a database has, against those that this program's migrations make.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

use super::flaws::{Broken, Flaws};
use super::rows::{column, expect};

/// The table that the migrations themselves are noted in; its text is the library's, of whichever version made it.
const MIGRATIONS: &str = "_sqlx_migrations";

/// What stands in a schema: kind and table, and the text that made it; by name.
type Schema = BTreeMap<String, (String, String, Option<String>)>;

/// Holds the schema, and the steps that made it, against those of this program.
pub(super) async fn compare(connection: &mut SqliteConnection, flaws: &mut Flaws) -> Result<(), Broken> {
    migrations(connection, flaws).await?;
    let made = fresh().await.map_err(|why| Broken { table: "sqlite_schema", why })?;
    let found = read(connection).await.map_err(Broken::of("sqlite_schema"))?;
    for (name, (kind, table, sql)) in &made {
        let holds = match found.get(name) {
            None => Err(format!("this {kind} of table {table} is missing")),
            Some(other) => {
                expect(other == &(kind.clone(), table.clone(), sql.clone()), "it is not as the migrations made it")
            }
        };
        flaws.check("sqlite_schema", name, holds);
    }
    for (name, (kind, table, _)) in found.iter().filter(|(name, _)| !made.contains_key(*name)) {
        flaws.note("sqlite_schema", name, format!("no migration made this {kind} of table {table}: somebody else did"));
    }
    Ok(())
}

/// The schema of a database that was made just now.
async fn fresh() -> Result<Schema, String> {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.map_err(|error| error.to_string())?;
    sqlx::migrate!().run(&mut connection).await.map_err(|error| error.to_string())?;
    let schema = read(&mut connection).await.map_err(|error| error.to_string())?;
    connection.close().await.map_err(|error| error.to_string())?;
    Ok(schema)
}

/// All but what SQLite makes for itself.
async fn read(connection: &mut SqliteConnection) -> Result<Schema, sqlx::Error> {
    let sql = "SELECT name, type, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let mut schema = Schema::new();
    for row in sqlx::query(sql).fetch_all(connection).await? {
        let (name, kind, table): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let sql: Option<String> = row.try_get(3)?;
        let sql = sql.filter(|_| name != MIGRATIONS);
        schema.insert(name, (kind, table, sql));
    }
    Ok(schema)
}

/// The steps that were carried out.
async fn migrations(connection: &mut SqliteConnection, flaws: &mut Flaws) -> Result<(), Broken> {
    let known = sqlx::migrate!();
    let sql = "SELECT version, description, success, checksum FROM _sqlx_migrations";
    let rows = sqlx::query(sql).fetch_all(connection).await.map_err(Broken::of(MIGRATIONS))?;
    let mut missing: Vec<i64> = known.iter().map(|step| step.version).collect();
    for row in rows {
        let check = || {
            let version: i64 = column(&row, 0)?;
            let step = known.iter().find(|step| step.version == version);
            let step = step.ok_or("no version of this program has this migration")?;
            expect(column::<&str>(&row, 1)? == step.description, "column description is another")?;
            expect(column::<i64>(&row, 2)? == 1, "column success says that it failed")?;
            expect(column::<&[u8]>(&row, 3)? == step.checksum.as_ref(), "column checksum is another")
        };
        let version = row.try_get::<i64, _>(0).unwrap_or_default();
        missing.retain(|other| *other != version);
        flaws.check(MIGRATIONS, version, check());
    }
    for version in missing {
        let what =
            "this row is missing; if an older version of lattice wrote the database, start the node once and ask again";
        flaws.note(MIGRATIONS, version, what);
    }
    Ok(())
}
