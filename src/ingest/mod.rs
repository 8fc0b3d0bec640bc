//! Files into tables: the engine reads and converts, this moves bytes in and rows out.
pub(crate) mod dataset;
mod import;
pub(crate) mod server_file;
