//! `jsonb` arguments.
//!
//! pgrx's own type panics on documents that PostgreSQL takes and Rust's reader does not: numbers beyond double precision, deep nesting.
//! Anybody may send those, so they are an error like any other.

use std::ffi::CStr;

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::nullable::Nullable;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{direct_function_call, pgrx_resolved_type, FromDatum, PgLogLevel, PgSqlErrorCode};
use serde_json::Value;

use crate::error::{Error, Result};

/// An argument of type `jsonb`.
#[derive(Debug)]
pub struct Document(pub Value);

/// Reads the text of a `jsonb`.
///
/// # Errors
/// 22003 for a number beyond double precision, 22023 for too deep a nesting.
pub fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| {
        if error.to_string().starts_with("number out of range") {
            Error::new(
                PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
                "a number in the JSON is out of the range of double precision",
            )
        } else {
            // of what a jsonb says of itself nothing else is unreadable
            Error::invalid_parameter("JSON", "nested at most 127 levels deep", "deeper")
        }
    })
}

impl FromDatum for Document {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: by contract the datum is a jsonb; its text lives in the current memory context, as arguments do.
        let text = unsafe { direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(datum)]) };
        let read = text.map(CStr::to_string_lossy).map(|text| parse(&text))?;
        match read {
            Ok(value) => Some(Self(value)),
            Err(error) => {
                ErrorReport::from(error).report(PgLogLevel::ERROR);
                None
            }
        }
    }
}

// SAFETY: the argument is taken apart by `from_polymorphic_datum`, which a jsonb is declared for below.
unsafe impl<'fcx> ArgAbi<'fcx> for Document {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        let index = arg.index();
        // SAFETY: by contract.
        let given: Option<Self> = unsafe { arg.unbox_arg_using_from_datum() };
        given.unwrap_or_else(|| {
            // of a function that takes a null elsewhere, and so is not strict
            let error = Error::new(
                PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                format!("argument {} must not be null", index + 1),
            );
            ErrorReport::from(error).report(PgLogLevel::ERROR);
            Self(Value::Null)
        })
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<Self> {
        // SAFETY: by contract.
        unsafe { arg.unbox_arg_using_from_datum() }.into()
    }
}

// SAFETY: it is read from a jsonb and from nothing else.
unsafe impl SqlTranslatable for Document {
    const TYPE_IDENT: &'static str = pgrx_resolved_type!(Document);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
