//! How schemas are written down: short names for what utoipa builds.

use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type};

use crate::operations::Shape;

/// A schema and the name others refer to it by.
pub(crate) type Named = (&'static str, RefOr<Schema>);

/// The schema of this name.
pub(crate) fn reference(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

/// An array of the schema of this name.
pub(crate) fn array(name: &str) -> RefOr<Schema> {
    RefOr::T(Schema::Array(ArrayBuilder::new().items(reference(name)).build()))
}

/// An array of these.
pub(crate) fn array_of(items: RefOr<Schema>) -> RefOr<Schema> {
    RefOr::T(Schema::Array(ArrayBuilder::new().items(items).build()))
}

/// Something of the schema of this name, or an array of 1 to `most` of such.
pub(crate) fn one_or_many(name: &str, most: usize) -> RefOr<Schema> {
    let either = OneOfBuilder::new().item(reference(name)).item(some_of(most, reference(name)));
    RefOr::T(Schema::OneOf(either.build()))
}

/// What is of the first schema, or the second, or both.
pub(crate) fn either(first: RefOr<Schema>, second: RefOr<Schema>) -> RefOr<Schema> {
    RefOr::T(Schema::AnyOf(AnyOfBuilder::new().item(first).item(second).build()))
}

/// What a parameter looks like.
pub(crate) fn of_parameter(shape: Shape) -> RefOr<Schema> {
    match shape {
        Shape::Text => text(),
        Shape::Flag => typed(Type::Boolean),
        Shape::Number(from, to) => {
            let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(from));
            RefOr::T(Schema::Object(number.maximum(to).build()))
        }
        Shape::Pattern(pattern) => shaped(pattern),
    }
}

/// Anything of this type.
pub(crate) fn typed(kind: Type) -> RefOr<Schema> {
    RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(kind).build()))
}

/// A string.
pub(crate) fn text() -> RefOr<Schema> {
    typed(Type::String)
}

/// An object with these fields; a name ending in `?` is optional.
pub(crate) fn object(fields: &[(&str, RefOr<Schema>)]) -> RefOr<Schema> {
    let mut object = ObjectBuilder::new().schema_type(Type::Object);
    for (name, schema) in fields {
        let (name, optional) = name.strip_suffix('?').map_or((*name, false), |name| (name, true));
        object = object.property(name, schema.clone());
        if !optional {
            object = object.required(name);
        }
    }
    RefOr::T(Schema::Object(object.build()))
}

/// An object of strings; a name ending in `?` is optional.
pub(crate) fn texts(names: &[&str]) -> RefOr<Schema> {
    let fields: Vec<(&str, RefOr<Schema>)> = names.iter().map(|name| (*name, text())).collect();
    object(&fields)
}

/// A string of 1 to `most` characters that can be seen and are ASCII, as ids and secrets are.
pub(crate) fn visible(most: usize) -> RefOr<Schema> {
    shaped(&format!("^[!-~]{{1,{most}}}$"))
}

/// A UUID as it is written.
pub(crate) fn uuid() -> RefOr<Schema> {
    shaped("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
}

/// A string that matches `pattern`.
pub(crate) fn shaped(pattern: &str) -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    RefOr::T(Schema::Object(object.build()))
}

/// One of these strings.
pub(crate) fn one_of(values: &[&str]) -> RefOr<Schema> {
    let values = values.iter().map(|value| serde_json::Value::from(*value));
    RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values)).build()))
}

/// An array of 1 to `most`.
pub(crate) fn some_of(most: usize, of: RefOr<Schema>) -> RefOr<Schema> {
    RefOr::T(Schema::Array(ArrayBuilder::new().items(of).min_items(Some(1)).max_items(Some(most)).build()))
}

/// An array of at most so many.
pub(crate) fn up_to(items: usize, of: RefOr<Schema>) -> RefOr<Schema> {
    RefOr::T(Schema::Array(ArrayBuilder::new().items(of).max_items(Some(items)).build()))
}
