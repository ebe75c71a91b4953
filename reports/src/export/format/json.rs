//! A table as JSON.

use std::io::{self, Write};

use polars::prelude::{AnyValue, DataFrame};
use serde_json::{Map, Value, json};

/// Writes an array with one object a row, each on a line of its own. Numbers are exact; what has no value is `null`.
pub(super) fn write(frame: &DataFrame, to: &mut impl Write) -> io::Result<()> {
    let columns = frame.columns();
    to.write_all(b"[")?;
    for row in 0..frame.height() {
        to.write_all(if row == 0 { b"\n" } else { b",\n" })?;
        let mut object = Map::new();
        for column in columns {
            let value = column.get(row).map_err(io::Error::other)?;
            object.insert(column.name().to_string(), json_of(&value));
        }
        serde_json::to_writer(&mut *to, &Value::Object(object))?;
    }
    to.write_all(b"\n]\n")
}

fn json_of(value: &AnyValue<'_>) -> Value {
    match value {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(value) => json!(value),
        AnyValue::UInt32(value) => json!(value),
        AnyValue::UInt64(value) => json!(value),
        AnyValue::Int64(value) => json!(value),
        AnyValue::Float64(value) => json!(value),
        // Text is owned in columns of one value, borrowed in others.
        other => other.get_str().map_or_else(|| json!(other.to_string()), |text| json!(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;
    use crate::testdata;

    fn text(frame: &DataFrame) -> String {
        let mut bytes = Vec::new();
        write(frame, &mut bytes).expect("writes");
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn rows_are_objects_on_lines_of_their_own() {
        let sizing = tables::sizing(&testdata::small()).expect("builds");
        assert_eq!(text(&sizing), "[\n{\"cache\":\"dentry\",\"attribute\":\"order\",\"kernel\":1,\"computed\":0}\n]\n");
        let empty = tables::sizing(&testdata::empty()).expect("builds");
        assert_eq!(serde_json::from_str::<Value>(&text(&empty)).expect("JSON"), json!([]));
    }

    #[test]
    fn values_keep_their_types() {
        let rows: Value = serde_json::from_str(&text(&tables::caches(&testdata::small()).expect("builds"))).expect("JSON");
        assert_eq!(rows[1]["name"], "kmalloc-64");
        assert_eq!(rows[1]["pseudo"], false);
        assert_eq!(rows[1]["slab_bytes_peak"], 8192);
        assert_eq!(rows[1]["internal_waste_ratio"], 0.25);
    }
}
