//! The bridge to PostgreSQL: the only unsafe code of the extension, behind safe functions.
//!
//! Rules kept by everything here: an error of PostgreSQL reaches Rust as an unwinding panic (pgrx converts the
//! longjmp at every call), so cleaning up is done in `Drop`, never by catching and going on; a callback given to
//! PostgreSQL is `#[pg_guard]`, so no unwinding crosses a C frame; no Rust thread but the backend's own calls in.

pub mod activity;
pub mod append;
mod btree;
mod btree_leaves;
mod btree_page;
pub mod buffers;
mod bulk_read;
pub mod column;
pub mod copy_row;
pub mod delete;
pub mod edit;
pub mod estimate;
pub mod find;
mod finder;
pub mod freed_later;
mod heap_pages;
mod hot_update;
mod index_build;
pub mod json;
pub mod memory;
mod memory_hints;
pub mod parallel;
mod plans;
pub mod privilege;
pub mod read;
pub mod row;
mod row_template;
pub mod row_writer;
pub mod scout;
pub mod settings;
mod snapshot;
pub mod temp_file;
pub mod threads;
pub mod value;
pub mod write;
