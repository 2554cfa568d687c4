//! The files people write as JSON Schemas, so that editors complete and check them while they are written.
//!
//! The reader stays the judge: it knows more than a schema can say. A test holds the keys of both together.

mod alerts;
mod pipeline;
mod scales;
mod servers;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};

/// Name of a schema, what it describes, and the schema itself.
#[derive(Debug, Clone)]
pub struct Description {
    pub name: &'static str,
    pub file: &'static str,
    pub schema: Schema,
}

/// All of them.
pub fn all() -> Vec<Description> {
    vec![
        describe::<pipeline::Pipeline>("pipeline", "Pipeline.toml"),
        describe::<servers::Servers>("servers", "config/servers.toml"),
        describe::<alerts::Alerts>("alerts", "config/alerts.toml"),
        describe::<scales::Study>("scales", "config/scales/*.toml"),
    ]
}

impl Description {
    /// As it is committed: two spaces, a newline at the end.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.schema.as_value())
    }
}

fn describe<T: JsonSchema>(name: &'static str, file: &'static str) -> Description {
    let schema = SchemaGenerator::new(SchemaSettings::draft07()).into_root_schema_for::<T>();
    Description { name, file, schema }
}

/// A number and its unit: `90s`, `10m`, `1h`, `14d`.
#[derive(JsonSchema)]
#[schemars(transparent, example = "90s", example = "1h")]
#[allow(dead_code)] // only its shape is used
struct Duration(String);
