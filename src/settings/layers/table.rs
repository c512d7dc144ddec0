//! Tables of values: reading, merging, and finding keys in them.

use config::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

/// A table of settings, such as a section.
pub(crate) type Table = Map<String, Value>;

/// Parses a TOML text.
pub(crate) fn toml(text: &str) -> Result<Table, ConfigError> {
    File::from_str(text, FileFormat::Toml).collect()
}

/// Overrides one table by another, entry by entry. The crate `config` would treat each top-level key as a
/// path, and create a billion array entries for `"a[1000000000]"`.
pub(crate) fn lay_over(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (
                Some(Value { kind: ValueKind::Table(under), .. }),
                Value { kind: ValueKind::Table(over), .. },
            ) => {
                lay_over(under, over);
            }
            (_, value) => _ = under.insert(key, value),
        }
    }
}

/// The value of a key; `None` if there is none. Each dot in the name leads into a table.
pub(crate) fn lookup<'a>(table: &'a Table, name: &str) -> Option<&'a Value> {
    match name.split_once('.') {
        None => table.get(name),
        Some((outer, inner)) => as_table(table.get(outer)?).and_then(|table| lookup(table, inner)),
    }
}

/// Sets the value of a key. Each dot in the name leads into a table, which is created if it is missing.
pub(crate) fn insert(table: &mut Table, name: &str, value: Value) {
    let Some((outer, inner)) = name.split_once('.') else {
        table.insert(name.to_owned(), value);
        return;
    };
    let empty = || Value::new(None, ValueKind::Table(Table::new()));
    let entry = table.entry(outer.to_owned()).or_insert_with(empty);
    if let ValueKind::Table(table) = &mut entry.kind {
        insert(table, inner, value);
    }
}

/// The table, if the value is one; `None` for other values.
pub(crate) fn as_table(value: &Value) -> Option<&Table> {
    match &value.kind {
        ValueKind::Table(table) => Some(table),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_leads_into_a_table_at_any_depth() {
        let mut table = toml("a = 1\nb = { c = 2, d.e = 3 }").unwrap();
        let number = |table: &Table, name| lookup(table, name).map(|value| value.to_string());
        for (name, value) in [("a", "1"), ("b.c", "2"), ("b.d.e", "3")] {
            assert_eq!(number(&table, name).as_deref(), Some(value), "{name}");
        }
        for name in ["c", "a.b", "b.c.d", "b.d.x", "b..c"] {
            assert_eq!(number(&table, name), None, "{name}");
        }
        insert(&mut table, "b.d.f", Value::from(4));
        insert(&mut table, "x.y.z", Value::from(5));
        assert_eq!((number(&table, "b.d.f"), number(&table, "x.y.z")), (Some("4".into()), Some("5".into())));
        assert_eq!(number(&table, "b.d.e").as_deref(), Some("3"));
    }
}
